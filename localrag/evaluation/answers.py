"""Is the answer right, and do its quotes occur in the documents?

Only what code can decide: whether it answers where there is an answer and declines where there is none, its words and
numbers against the known answer, its citations against the known location, and each quote against the stored text. It
does not judge free text: a right answer in other words has a low F1 (judge.py grades those).
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localrag.api import Library
from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, UsageError
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question, Row, Run, Sample, by_category
from localrag.evaluation.metrics import MARKER
from localrag.evaluation.retrieval import passage_row
from localrag.events import Answered, Delta
from localrag.grounding import prompts
from localrag.grounding.stages import Findings, Query, answer_of
from localrag.llm import Completed, Generator
from localrag.question import question as asked
from localrag.settings import Settings
from localrag.store.text_analysis import sentences
from localrag.types import EVERYTHING, Answer, Citation, Message, Mode, Plan

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant

# How a question is answered, given the documents to look in (None: in all); None if it was stopped.
Ask = Callable[[Question, Sequence[str] | None], Answer | None]

PLAIN_PASSAGES = 5
PLAIN_RULES = (
    "Answer the question from the passages, briefly. If they do not contain the answer, reply only: Not found."
)
# A known answer of at most this many words can be a number with its unit.
_MAX_FIGURE_WORDS = 4
_RIGHT, _TOUCHES = 0.5, 1e-9
_DATE = re.compile(r"\d\s*/|/\s*\d")
# Figures that an answer has only if the question has something to compare with.
FIGURES = (
    *("right", "exact", "f1", "numeric", "unit", "choice"),
    *("cited", "cited_document", "cited_page", "evidence", "evidence_given", "evidence_shown"),
)


def score(question: Question, documents: Sequence[str], answer: Answer, choices: Sequence[str]) -> dict[str, Any]:
    """Return the figures of one answer that the question allows.

    A question without an answer (or whose right choice is "Not mentioned") only tells whether it was declined.
    `choices` are the possible answers to questions with a label.
    """
    figures: dict[str, Any] = {}
    text = MARKER.sub("", answer.answer)
    given = text if answer.claims else ""
    if question.label:
        figures["choice"] = float(chose(answer, choices) == question.answer)
    elif question.answerable:
        known = question.answer
        figures |= {"exact": float(metrics.exact_match(given, known)), "f1": round(metrics.f1(given, known), 4)}
        for name, match in (("numeric", metrics.numeric_match), ("unit", metrics.unit_match)):
            if (same := match(given, known)) is not None:
                figures[name] = float(same)
    if question.answerable and not declining(question.label, question.answer):
        figures |= _location_figures(question, documents, answer, given)
    value, least = _worth(question, documents, answer, figures)
    return {**figures, "worth": round(value, 4), "right": float(value >= least)}


def _location_figures(question: Question, documents: Sequence[str], answer: Answer, given: str) -> dict[str, float]:
    """Compare what an answer cites, quotes and was written from with the known location and evidence."""
    right = [citation for citation in answer.citations if citation.document in documents]
    figures = {"cited": float(bool(answer.citations)), "cited_document": float(bool(right))}
    if question.page is not None:
        figures["cited_page"] = float(any(citation.page == question.page for citation in right))
    quotes = [citation.quote for citation in right]
    covered = metrics.covered(question.evidence, quotes)
    if covered is None:
        return figures
    figures["evidence"] = round(covered, 4)
    figures["evidence_given"] = round(metrics.covered(question.evidence, [*quotes, given]) or 0.0, 4)
    figures["quotes_touching"] = sum(bool(metrics.covered(question.evidence, [quote])) for quote in quotes)
    if answer.passages:
        shown = [passage.text for passage in answer.passages if passage.document in documents]
        figures["evidence_shown"] = round(metrics.covered(question.evidence, shown) or 0.0, 4)
    return figures


def _worth(
    question: Question, documents: Sequence[str], answer: Answer, figures: Mapping[str, Any]
) -> tuple[float, float]:
    """Return one figure for an answer, from 0 to 1, and the least that counts as right. The first rule that fits holds.

    - a `label` (Yes, No, Not mentioned): 1 for the right choice; declining is "Not mentioned",
    - no answer in the documents: 1 for declining,
    - a declined answer: 0,
    - a bare number ("12.5 %", "46,000"): 1 if the answer has it,
    - evidence in other words than the known answer (a clause for "Yes"): the share of the evidence's words that the
      answer and its quotes contain, since saying yes shows nothing; right from three words in a row,
    - anything else: the greater of F1 and the share of the known answer's words that the answer contains, so that a
      sentence around the right name is right; with numbers, the mean of that and of the share of numbers given.
    """
    if question.label:
        return float(figures["choice"]), _RIGHT
    if not question.answerable:
        return float(not answer.claims), _RIGHT
    if not answer.claims:
        return 0.0, _RIGHT
    known, given = MARKER.sub("", question.answer), MARKER.sub("", answer.answer)
    numbers = [] if _DATE.search(known) else metrics.numbers(known)
    if len(numbers) == 1 and len(metrics.words(known)) <= _MAX_FIGURE_WORDS and not metrics.exact_match(given, known):
        return float(bool(metrics.numeric_match(given, known))), _RIGHT
    stated = (metrics.covered(known, [question.evidence]) or 0.0) >= metrics.COVERED
    if question.evidence and not (stated and known.lower() not in ("yes", "no")):
        quotes = [citation.quote for citation in answer.citations if citation.document in documents]
        return metrics.covered(question.evidence, [given, *quotes]) or 0.0, _TOUCHES
    words = max(metrics.f1(given, known), metrics.covered(known, [given]) or 0.0)
    if not numbers:
        return words, _RIGHT
    there = metrics.numbers(given)
    right = sum(any(metrics.same_number(one, wanted) for one in there) for wanted in numbers)
    return (words + right / len(numbers)) / 2, _RIGHT


def chose(answer: Answer, choices: Sequence[str]) -> str | None:
    """Return the choice an answer makes; declining is the choice "Not mentioned" if there is one."""
    if not answer.claims:
        return next((choice for choice in choices if declining(choice, choice)), None)
    return metrics.chosen(MARKER.sub("", answer.answer), choices)


def declining(label: str | None, known: str) -> bool:
    """Return whether the right answer to a question with a label is that the text does not say."""
    return bool(label) and known.lower().startswith("not ")


def verbatim(library: Library, citation: Citation) -> bool:
    """Return whether a quote is, character for character, at its stated location in the stored text."""
    try:
        text = library.page_text(citation.document, citation.page)
    except NotFoundError:
        return False
    return bool(citation.quote) and text[citation.start : citation.end] == citation.quote


def run(sample: Sample, results: Run, ask: Ask, stop: Callable[[], bool] = lambda: False) -> Iterator[Row]:
    """Ask each question and score its answer, unless `results` has it already.

    An answer cut short by `stop` is not kept. A question that the model cannot take is kept with its error. Raises
    ModelMissing or ModelDamaged if no question could be answered.
    """

    def work(question: Question) -> Row | None:
        try:
            answer = ask(question, sample.globs(question))
        except (ModelMissing, ModelDamaged):
            raise
        except (ModelError, UsageError) as error:
            return {**_about(question), "error": error.message}
        if stop() or answer is None:
            return None
        row = _result(question, answer, sample)
        if results.settings.get("baseline"):  # which checks nothing
            del row["sentences"], row["flags"]
        return row

    return results.results(sample.questions, work, stop)


def asker(assistant: Assistant, library: str, mode: Mode, stop: Callable[[], bool]) -> Ask:
    """Return how localrag answers a question."""

    def ask(question: Question, documents: Sequence[str] | None) -> Answer | None:
        events = assistant.ask(question.question, libraries=[library], documents=documents, mode=mode, stop=stop)
        return next((event.answer for event in events if isinstance(event, Answered)), None)

    return ask


def plain_asker(
    assistant: Assistant,
    model: Generator,
    settings: Settings,
    library: str,
    choices: Sequence[str],
    stop: Callable[[], bool],
) -> Ask:
    """Return what anybody would write first: one instruction and the five best passages in one prompt, no checks."""

    def ask(question: Question, documents: Sequence[str] | None) -> Answer | None:
        began = time.monotonic()
        found = assistant.search(
            question.question, libraries=[library], k=PLAIN_PASSAGES, documents=documents, join=False
        )
        retrieved, first = time.monotonic() - began, None
        text = "\n\n".join(f"[{number}] {passage.text}" for number, passage in enumerate(found, 1))
        rule = f"\n\nReply with one of: {'; '.join(choices)}." if question.label else ""
        messages = [
            Message("system", PLAIN_RULES),
            Message("user", f"Passages:\n\n{text}\n\nQuestion: {question.question}{rule}"),
        ]
        events = model.generate(
            messages,
            max_tokens=settings.answer_tokens,
            temperature=settings.temperature,
            seed=settings.seed,
            stop=stop,
        )
        for event in events:
            if isinstance(event, Delta) and first is None:
                first = time.monotonic() - began
            elif isinstance(event, Completed):
                text = event.text.strip()
                chosen = metrics.chosen(text, choices) if question.label else None
                made = Findings(
                    text,
                    not (declining(chosen, chosen) if chosen else declines(text)),
                    Plan("retrieve", "A baseline, for comparison."),
                    passages=tuple(found),
                    tokens=event.usage,
                    searching=retrieved,
                    model=model.model,
                    stopped=event.ended != "end",
                )
                query = Query(asked.Question(question.question), [], EVERYTHING, (), started=began)
                return answer_of(made, query, first_token=first)
        return None

    return ask


def declines(reply: str) -> bool:
    """Return whether a reply to PLAIN_RULES is empty or says that the passages do not say."""
    return not re.search(r"\w", reply) or prompts.says_nothing(reply)


def _about(question: Question) -> dict[str, Any]:
    about = {name: getattr(question, name) for name in ("question", "category", "answerable", "label", "evidence")}
    about |= {"known": question.answer, "documents": list(question.documents)}
    return {name: value for name, value in about.items() if value not in (None, [])}


def _result(question: Question, answer: Answer, sample: Sample) -> dict[str, Any]:
    first, confidence = answer.seconds.first_token, answer.confidence
    documents, choices = sample.matched.documents(question), sample.choices
    return {
        **_about(question),
        "answer": answer.answer,
        "found": answer.claims,
        "certainty": answer.certainty,
        "figures": score(question, documents, answer, choices),
        "chose": chose(answer, choices) if question.label else None,
        "quotes": len(answer.citations),
        "verbatim": sum(verbatim(sample.library, citation) for citation in answer.citations),
        "dropped": answer.citations_dropped,
        "unsupported": len(answer.unsupported),
        "sentences": len(sentences(MARKER.sub("", answer.answer))) if answer.claims else 0,
        "flags": [flag.to_dict() for flag in answer.flags],
        "workings": [working.shown for working in answer.workings],
        "confidence": None if confidence is None else round(confidence, 4),
        "passages": [passage_row(passage) for passage in answer.passages],
        "tokens": {"prompt": answer.tokens.prompt, "generated": answer.tokens.generated},
        "cut": answer.stopped,
        "plan": answer.plan.kind,
        "signals": dict(answer.plan.signals),
        "model": answer.model,
        "seconds": round(answer.seconds.total, 3),
        "first_token": None if first is None else round(first, 3),
        "citations": [
            {name: getattr(one, name) for name in ("document", "page", "start", "end", "quote")}
            for one in answer.citations
        ],
    }


def summarize(rows: Sequence[Row], seed: int = 0) -> dict[str, Any]:
    """Return the figures over all rows and by category, as plain values; failed questions are counted apart.

    Intervals resample whole documents (`metrics.clustered`). The share of quotes found verbatim means little without
    the share of questions answered and of evidence quoted.
    """
    done = [row for row in rows if "error" not in row]
    seconds, firsts = [row["seconds"] for row in done], [row["first_token"] for row in done]
    counted = {"shown": "quotes", "verbatim": "verbatim", "dropped": "dropped", "unsupported_sentences": "unsupported"}
    return {
        "questions": len(done),
        "failed": len(rows) - len(done),
        **_figures(done, seed),
        "choices": _choices(done, seed),
        "quotes": {name: sum(row[key] for row in done) for name, key in counted.items()},
        "flags": dict(Counter(flag["kind"] for row in done for flag in row.get("flags", ()))),
        "workings": sum(bool(row.get("workings")) for row in done),
        "categories": {name: {"questions": len(own), **_figures(own, seed)} for name, own in by_category(done).items()},
        "seconds": {
            "p50": metrics.percentile(seconds, 50),
            "p95": metrics.percentile(seconds, 95),
            "first_token_p50": metrics.percentile([first for first in firsts if first is not None], 50),
        },
    }


def _share(
    rows: Sequence[Row], of: Callable[[Row], float], over: Callable[[Row], float] = lambda row: 1.0, seed: int = 0
) -> metrics.Estimate | None:
    """Return the ratio of two sums over rows, clustered by document; None without a denominator."""
    # A question about a whole library is a cluster of its own.
    clusters = ["\n".join(row.get("documents", ())) or str(row["id"]) for row in rows]
    return metrics.clustered([float(of(row)) for row in rows], clusters, [float(over(row)) for row in rows], seed)


def _mean(rows: Sequence[Row], name: str, seed: int) -> metrics.Estimate | None:
    return _share([row for row in rows if name in row["figures"]], lambda row: row["figures"][name], seed=seed)


def _present(row: Row) -> bool:
    """Return whether the text holds an answer: for a question with a label, any but "Not mentioned"."""
    return bool(row["answerable"]) and not declining(row.get("label"), str(row["known"]))


def _figures(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    figures = {name: found for name in FIGURES if (found := _mean(rows, name, seed))}
    with_evidence = [row for row in rows if "evidence" in row["figures"]]
    if found := _share(with_evidence, lambda row: row["figures"]["evidence"] > 0, seed=seed):
        figures["evidence_touched"] = found
    abstention = {
        f"{deed}_{kind}": sum(bool(row["found"]) is found and _present(row) is present for row in rows)
        for kind, present in (("present", True), ("absent", False))
        for deed, found in (("answered", True), ("declined", False))
    }
    return {"abstention": abstention, "rates": _rates(rows, seed), "figures": figures}


def _rates(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Return shares of questions, quotes and sentences, leaving out those without a denominator."""
    present, absent = [row for row in rows if _present(row)], [row for row in rows if not _present(row)]
    known = [row for row in present if "evidence_given" in row["figures"]]
    shown = [row for row in known if "evidence_shown" in row["figures"]]
    declined = [row for row in rows if not row["found"]]
    answered = [row for row in rows if row["found"]]
    flagged = [row for row in answered if "flags" in row]

    def share(own: Sequence[Row], of: Callable[[Row], float], over: Callable[[Row], float] = lambda row: 1.0) -> Any:
        return _share(own, of, over, seed)

    rates = {
        "answered_present": share(present, lambda row: row["found"]),
        "answered_with_evidence": share(known, lambda row: row["found"] and row["figures"]["evidence_given"] > 0),
        "answered_from_evidence": share(shown, lambda row: row["found"] and row["figures"]["evidence_shown"] > 0),
        "declined_absent": share(absent, lambda row: not row["found"]),
        "declined_rightly": share(declined, lambda row: not _present(row)) if absent else None,
        "wrong_when_answered": share(answered, lambda row: 1 - row["figures"]["right"]),
        "citation_precision": share(known, lambda row: row["figures"]["quotes_touching"], lambda row: row["quotes"]),
        "citation_recall": share(known, lambda row: row["figures"]["evidence"]),
        "quotes_verbatim": share(answered, lambda row: row["verbatim"], lambda row: row["quotes"]),
        "unsupported_sentences": share(
            answered, lambda row: row["unsupported"], lambda row: max(row.get("sentences", 0), row["unsupported"])
        ),
        "flagged_answers": share(flagged, lambda row: bool(row["flags"])),
        "entity_errors": share(flagged, lambda row: any(flag["kind"] == "entity" for flag in row["flags"])),
    }
    return {name: found for name, found in rates.items() if found is not None}


def _choices(rows: Sequence[Row], seed: int) -> dict[str, Any] | None:
    """Return the confusion table of questions with a label, and how the most common choice alone would do.

    `table` is by right choice, then by the one made; "none" is an answer without a choice.
    """
    labelled = [row for row in rows if row.get("label")]
    if not labelled:
        return None
    known = Counter(row["known"] for row in labelled)
    common, count = known.most_common(1)[0]
    made: dict[str, Counter[str]] = {name: Counter() for name in sorted(known)}
    for row in labelled:
        made[row["known"]][row.get("chose") or "none"] += 1
    return {
        "table": {name: dict(counts) for name, counts in made.items()},
        "accuracy": _share(labelled, lambda row: row["figures"]["choice"], seed=seed),
        "majority": {"choice": common, "accuracy": round(count / len(labelled), 4)},
        "above_majority": _share(labelled, lambda row: row["figures"]["choice"] - (row["known"] == common), seed=seed),
    }
