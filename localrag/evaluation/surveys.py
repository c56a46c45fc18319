"""How right is a survey: what it found in each document, beside what people have labelled there.

A set of labels has a line for each document and category (cuad: each contract and kind of clause), answerable where the
document has it. A survey is asked once, of the whole library. What is kept of it are its rows; they are compared with
the labels afterwards, so that other labels need no other survey.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localrag.api import Library
from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, UsageError
from localrag.evaluation import metrics
from localrag.evaluation.answers import Asker, verbatim
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.runs import Row, Run
from localrag.events import Answered, Surveyed
from localrag.types import Answer

_COLUMNS = ("document", "part", "found", "answer", "place", "quote", "likelihood", "read")


@dataclass(frozen=True, slots=True)
class Survey:
    """A question put to every document, and the labels that say where it is to be answered yes.

    `holds` narrows these to documents whose labelled answer or evidence it matches, in any case ("Delaware").
    """

    question: str
    category: str
    holds: re.Pattern[str] | None = None


def survey(question: str, category: str, holds: str, questions: Sequence[Question]) -> Survey:
    """A survey as it was asked for.

    Raises:
        NotFoundError: no question of the dataset has the category.
        UsageError: `holds` is no regular expression.
    """
    names = sorted({one.category for one in questions if one.category})
    found = next((name for name in names if name.lower() == category.lower()), None)
    if found is None:
        raise NotFoundError(
            f"no question of the dataset has the category {category!r}",
            f"It has: {', '.join(names)}" if names else "A survey is compared with labels: lines with a category.",
        )
    try:
        return Survey(question, found, re.compile(holds, re.IGNORECASE | re.DOTALL) if holds else None)
    except re.error as error:
        hint = "Give a word, or several as one|another."
        raise UsageError(f"{holds!r} is no regular expression: {error}", hint) from None


def labels(asked: Survey, matched: Matched) -> dict[str, bool]:
    """Whether each labelled document, by its path in the library, is to be answered yes."""
    known: dict[str, bool] = {}
    for question in matched.questions:
        documents = matched.documents(question)
        if question.category == asked.category and len(documents) == 1:
            known[documents[0]] = known.get(documents[0], False) or _holds(asked, question)
    return known


def _holds(asked: Survey, question: Question) -> bool:
    texts = (question.answer, question.evidence)
    return question.answerable and (asked.holds is None or any(asked.holds.search(text) for text in texts))


# --- asking -------------------------------------------------------------------------------------------------


def run(
    surveys: Sequence[Survey], library: Library, assistant: Asker, results: Run, *,
    progress: Callable[[int, int, str], None] = lambda done, total, words: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Survey, Row]]:  # fmt: skip
    """Ask each survey; what `results` holds already is not asked again, and one that `stop` cut short is not kept.

    Args:
        progress: told how many documents of how many were asked, and which question.

    Raises:
        ModelMissing, ModelDamaged: no question could be answered.
    """
    for asked in surveys:
        step = Question(id=f"survey: {asked.question}", question=asked.question, answer="", doc="")
        row = results.done(step)
        if row is None:
            if stop():
                return
            try:
                answer = _ask(asked.question, library, assistant, progress, stop)
            except (ModelMissing, ModelDamaged):
                raise
            except (ModelError, UsageError) as error:
                row = results.add(step, {"question": asked.question, "error": error.message})
            else:
                if answer is None or answer.stopped:
                    return
                row = results.add(step, _result(answer, library))
        yield asked, row


def _ask(
    question: str, library: Library, assistant: Asker, progress: Callable[[int, int, str], None],
    stop: Callable[[], bool],
) -> Answer | None:  # fmt: skip
    answer = None
    for event in assistant.ask(question, libraries=[library.name], documents=None, mode="survey", stop=stop):
        if isinstance(event, Surveyed):
            progress(event.done, event.total, question)
        elif isinstance(event, Answered):
            answer = event.answer
    return answer


def _result(answer: Answer, library: Library) -> dict[str, Any]:
    if not answer.table:
        return {"question": answer.question, "error": "it is no question that each document answers for itself"}
    return {
        "question": answer.question,
        "answer": answer.answer,
        "rows": [{name: row[name] for name in _COLUMNS if name in row} for row in answer.table],
        "quotes": len(answer.citations),
        "verbatim": sum(verbatim(library, citation) for citation in answer.citations),
        "dropped": answer.citations_dropped,
        "model": answer.model,
        "tokens_read": answer.tokens.prompt - answer.tokens.reused,
        "tokens_written": answer.tokens.generated,
        "seconds": round(answer.seconds.total, 3),
    }


# --- compared with the labels -------------------------------------------------------------------------------


def score(asked: Survey, row: Row, known: Mapping[str, bool], seed: int = 0) -> dict[str, Any]:
    """The figures of one survey, over the documents that have a label, and the documents it was wrong about.

    Precision, recall and F1 each have a bootstrap interval over documents; one is None where there is nothing to divide
    by. Costs are of a document asked, labelled or not.
    """
    holds = asked.holds.pattern if asked.holds else None
    about = {"question": asked.question, "category": asked.category, "holds": holds}
    if "error" in row:
        return {**about, "error": row["error"]}
    found = _by_document(row["rows"])
    names = [name for name in known if name in found]
    yes, true = [bool(found[name]["found"]) for name in names], [known[name] for name in names]
    right = [float(said and label) for said, label in zip(yes, true, strict=True)]
    both = [float(said + label) for said, label in zip(yes, true, strict=True)]
    ratios = {
        "precision": metrics.clustered(right, names, [float(said) for said in yes], seed),
        "recall": metrics.clustered(right, names, [float(label) for label in true], seed),
        "f1": metrics.clustered([2 * one for one in right], names, both, seed),
    }
    counts = metrics.abstention(zip(yes, true, strict=True))
    return {
        **about,
        "documents": len(names),
        "without_label": len(found.keys() - known.keys()),
        "right_yes": counts.answered_present,
        "wrong_yes": counts.answered_absent,
        "missed": counts.declined_present,
        "right_no": counts.declined_absent,
        **{name: None if one is None else one.to_dict() for name, one in ratios.items()},
        "f1_always_yes": round(2 * sum(true) / (len(true) + sum(true)), 4) if any(true) else None,
        "quotes": {"shown": row["quotes"], "verbatim": row["verbatim"], "dropped": row["dropped"]},
        "a_document": {name: round(row[name] / len(found), 2) for name in
                       ("seconds", "tokens_read", "tokens_written")},
        "wrong": [{**found[name], "label": known[name]} for name in names if bool(found[name]["found"]) != known[name]],
    }  # fmt: skip


def _by_document(rows: Sequence[Row]) -> dict[str, Row]:
    """A row for each document; where its parts were asked, the first that answers yes."""
    found: dict[str, Row] = {}
    for row in rows:
        if row["document"] not in found or (row["found"] and not found[row["document"]]["found"]):
            found[row["document"]] = row
    return found
