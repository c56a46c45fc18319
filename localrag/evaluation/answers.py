"""Is the answer right, and do its quotes stand where they are said to stand?

Only what code can decide: whether it answers where there is an answer and declines where there is none, its words and
numbers against the known answer, its citations against the known place, and each quote against the stored text. It
does not judge free text: a right answer in other words has a low F1. What the rows of a run come to is told by
totals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from localrag.api import Library
from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, UsageError
from localrag.evaluation import metrics, worth
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.metrics import MARKER
from localrag.evaluation.runs import Row, Run
from localrag.events import Answered, Event
from localrag.store.sentences import sentences
from localrag.types import Answer, Citation, Mode, Plan

_OF_THE_RUN = ("run", "id", "digest")
_OF_CHECKS = ("sentences", "flags")


class Asker(Protocol):
    """What is needed of an Assistant."""

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Sequence[str] | None, mode: Mode,
        stop: Callable[[], bool],
    ) -> Iterator[Event]: ...  # fmt: skip


def score(question: Question, documents: Sequence[str], answer: Answer, choices: Sequence[str]) -> dict[str, Any]:
    """The figures of one answer, those that the question gives something to compare with.

    Of a question without an answer (and where the right choice is "Not mentioned") only whether it was declined.

    Args:
        question: with its known answer.
        documents: the paths, in the library, of the documents it is about.
        answer: what was answered.
        choices: the answers there are to questions with a label.
    """
    figures: dict[str, Any] = {}
    text = MARKER.sub("", answer.answer)
    said = text if answer.found else ""
    if question.label:
        figures["choice"] = float(chose(answer, choices) == question.answer)
    elif question.answerable:
        figures |= _words(said, question.answer)
    if question.answerable and not declining(question.label, question.answer):
        figures |= _places(question, documents, answer, said)
    value, is_right = worth.judged(question, documents, answer, figures)
    return {**figures, "worth": round(value, 4), "right": float(is_right)}


def _words(said: str, known: str) -> dict[str, float]:
    """An answer's words and numbers beside those of the known one."""
    figures = {"exact": float(metrics.exact_match(said, known)), "f1": round(metrics.f1(said, known), 4)}
    for name, match in (("numeric", metrics.numeric_match), ("unit", metrics.unit_match)):
        if (same := match(said, known)) is not None:
            figures[name] = float(same)
    return figures


def _places(question: Question, documents: Sequence[str], answer: Answer, said: str) -> dict[str, float]:
    """What an answer cites, quotes and was written from, beside the known place and evidence."""
    right = [citation for citation in answer.citations if citation.document in documents]
    figures = {"cited": float(bool(answer.citations)), "cited_document": float(bool(right))}
    if question.page is not None:
        figures["cited_page"] = float(any(citation.page == question.page for citation in right))
    quotes = [citation.quote for citation in right]
    covered = metrics.covered(question.evidence, quotes)
    if covered is None:
        return figures
    figures["evidence"] = round(covered, 4)
    figures["evidence_given"] = round(metrics.covered(question.evidence, [*quotes, said]) or 0.0, 4)
    figures["quotes_touching"] = sum(bool(metrics.covered(question.evidence, [quote])) for quote in quotes)
    if answer.passages:
        shown = [passage.text for passage in answer.passages if passage.document in documents]
        figures["evidence_shown"] = round(metrics.covered(question.evidence, shown) or 0.0, 4)
    return figures


def chose(answer: Answer, choices: Sequence[str]) -> str | None:
    """The choice an answer makes; declining is the choice "Not mentioned" where there is one."""
    if not answer.found:
        return next((choice for choice in choices if declining(choice, choice)), None)
    return metrics.chosen(MARKER.sub("", answer.answer), choices)


def declining(label: str | None, known: str) -> bool:
    """True where the right answer to a question with a label is that the text does not say."""
    return bool(label) and known.lower().startswith("not ")


def verbatim(library: Library, citation: Citation) -> bool:
    """True where a quote stands, character for character, at its stated place in the stored text."""
    try:
        text = library.page_text(citation.document, citation.page)
    except NotFoundError:
        return False
    return bool(citation.quote) and text[citation.start : citation.end] == citation.quote


def run(
    questions: Sequence[Question], matched: Matched, library: Library, assistant: Asker, results: Run, *, mode: Mode,
    within_document: bool, choices: Sequence[str] = (), stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Row]]:  # fmt: skip
    """Ask each question and score its answer; what `results` holds already is not asked again, but scored anew.

    An answer that `stop` cut short is not kept. A question that this model cannot take is kept with its error.

    Raises:
        ModelMissing, ModelDamaged: no question could be answered.
    """
    for question in questions:
        documents = matched.documents(question)
        row = results.done(question)
        if row is not None:
            kept, row = row, _checked(rescored(row, question, documents, choices), results)
            if row != kept:
                # The file has the newer figures too: the later line holds.
                row = results.add(question, {name: row[name] for name in row if name not in _OF_THE_RUN})
        else:
            if stop():
                return
            globs = (documents or None) if within_document else None
            try:
                answer = _ask(assistant, question, library.name, globs, mode, stop)
            except (ModelMissing, ModelDamaged):
                raise
            except (ModelError, UsageError) as error:
                row = results.add(question, _failed(question, error.message))
            else:
                if stop() or answer is None:
                    return
                found = _result(question, documents, answer, library, choices)
                row = results.add(question, _checked(found, results))
        yield question, row


def _checked(row: Row, results: Run) -> Row:
    """A result without what is only known of a checked answer, where a baseline gave it: nobody looked for it there."""
    return {name: row[name] for name in row if name not in _OF_CHECKS} if "baseline" in results.settings else row


def _ask(
    assistant: Asker, question: Question, library: str, documents: Sequence[str] | None, mode: Mode,
    stop: Callable[[], bool],
) -> Answer | None:  # fmt: skip
    answer = None
    for event in assistant.ask(question.question, libraries=[library], documents=documents, mode=mode, stop=stop):
        if isinstance(event, Answered):
            answer = event.answer
    return answer


def about(question: Question) -> dict[str, Any]:
    """What every result says of its question."""
    about = {
        "question": question.question,
        "known": question.answer,
        "category": question.category,
        "answerable": question.answerable,
        "label": question.label,
        "documents": list(question.documents),
        "evidence": question.evidence,
    }
    return {name: value for name, value in about.items() if value not in (None, [])}


def _failed(question: Question, message: str) -> dict[str, Any]:
    return {**about(question), "error": message}


def _result(
    question: Question, documents: Sequence[str], answer: Answer, library: Library, choices: Sequence[str]
) -> dict[str, Any]:
    return {
        **about(question),
        "answer": answer.answer,
        "found": answer.found,
        "figures": score(question, documents, answer, choices),
        "chose": chose(answer, choices) if question.label else None,
        "quotes": len(answer.citations),
        "verbatim": sum(verbatim(library, citation) for citation in answer.citations),
        "dropped": answer.citations_dropped,
        "unsupported": len(answer.unsupported),
        "sentences": len(sentences(MARKER.sub("", answer.answer))) if answer.found else 0,
        "flags": [flag.to_dict() for flag in answer.flags],
        "workings": [working.shown for working in answer.workings],
        "confidence": None if answer.confidence is None else round(answer.confidence, 4),
        "passages": [
            {"document": p.document, "page": p.page, "start": p.start, "end": p.end, "score": round(p.score, 4)}
            for p in answer.passages
        ],
        "tokens": {"prompt": answer.tokens.prompt, "generated": answer.tokens.generated},
        "cut": answer.stopped,
        "plan": answer.plan.kind,
        "signals": dict(answer.plan.signals),
        "model": answer.model,
        "seconds": round(answer.seconds.total, 3),
        "first_token": None if answer.seconds.first_token is None else round(answer.seconds.first_token, 3),
        "citations": [
            {"document": c.document, "page": c.page, "start": c.start, "end": c.end, "quote": c.quote}
            for c in answer.citations
        ],
    }


def rescored(row: Row, question: Question, documents: Sequence[str], choices: Sequence[str]) -> Row:
    """A kept result with the figures that this version gives its answer."""
    if "error" in row:
        return row
    citations = tuple(
        Citation("", c["document"], c["page"], None, "", c["quote"], c["start"], c["end"], 0) for c in row["citations"]
    )
    answer = Answer(question.question, row["answer"], row["found"], Plan(row["plan"], ""), citations)
    # The passages shown are kept without their words, so what was found in them stays.
    kept = {name: row["figures"][name] for name in ("evidence_shown",) if name in row["figures"]}
    return {
        **row,
        **about(question),
        "figures": {**kept, **score(question, documents, answer, choices)},
        "chose": chose(answer, choices) if question.label else None,
    }
