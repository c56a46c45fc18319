"""Are the right document, page and words among the passages that a search finds?

A question gives a rank for each level that it has a known answer for: the number of passages after which it is found.

    document   the first passage of a document that the question names
    documents  every document, where it names several
    page       the first passage of the known page
    evidence   70 % of the evidence's words are covered, in runs, by passages of the right documents
    answer     the known answer stands, word for word, in a passage of the right documents; only where it stands so
               in the document at all

Where people have graded documents (BEIR), documents are ranked instead, each where its best passage stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localrag.api import Library
from localrag.evaluation import metrics, ranking
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.ranking import Figures, Ranked
from localrag.evaluation.runs import Row, Run
from localrag.types import Passage

LEVELS = ("document", "documents", "page", "evidence", "answer")
# Of graded documents, a first one below this rank counts nothing, as BEIR has it.
_MRR = 10
# Passages looked up at most to find enough documents.
_MOST_PASSAGES = 640


@dataclass(frozen=True, slots=True)
class Found:
    """The rank of each level that the question has, counting from 1; None was not among the passages."""

    ranks: Mapping[str, int | None]
    coverage: float | None


def score(question: Question, documents: Sequence[str], passages: Sequence[Passage], verbatim: bool = False) -> Found:
    """Score the passages found for a question.

    Args:
        question: with what is known of it.
        documents: the paths, in the library, of the documents it is about.
        passages: best first.
        verbatim: the answer stands word for word in one of those documents.
    """
    wanted = set(documents)
    right = [passage if passage.document in wanted else None for passage in passages]
    ranks: dict[str, int | None] = {"document": _first(passage is not None for passage in right)}
    if len(wanted) > 1:
        firsts = [_first(passage.document == document for passage in passages) for document in wanted]
        ranks["documents"] = None if None in firsts else max(rank for rank in firsts if rank is not None)
    if question.page is not None:
        ranks["page"] = _first(passage is not None and passage.page == question.page for passage in right)
    texts = [passage.text if passage is not None else "" for passage in right]
    coverage = metrics.Coverage(question.evidence)
    if coverage:
        shares = [coverage.add(text) for text in texts]
        ranks["evidence"] = _first(share >= metrics.COVERED for share in shares)
    if verbatim:
        answer = _row_of_words(question.answer)
        ranks["answer"] = _first(answer in _row_of_words(text) for text in texts)
    return Found(ranks, coverage.share if coverage else None)


def graded(grades: Mapping[str, int], passages: Sequence[Passage], depth: int) -> tuple[list[str], Ranked]:
    """The documents found, each where its best passage stands, and their ranking by what they are worth.

    A document whose passage the search holds back, since another says the same, stands behind that one.
    """
    found = list(dict.fromkeys(document for passage in passages for document in _documents(passage)))[:depth]
    gains = tuple(grades.get(document, 0) for document in found)
    return found, Ranked(gains, tuple(grade for grade in grades.values() if grade > 0))


def _documents(passage: Passage) -> list[str]:
    """The document of a passage, then those that it stands for (`also` names each, with its place)."""
    return [passage.document, *(other.split(", ", 1)[0] for other in passage.also)]


def _row_of_words(text: str) -> str:
    return f" {' '.join(metrics.words(text))} "


def _first(hits: Iterable[bool]) -> int | None:
    return next((rank for rank, hit in enumerate(hits, 1) if hit), None)


def run(
    questions: Sequence[Question], matched: Matched, library: Library, results: Run, *, k: int, within_document: bool,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Row]]:  # fmt: skip
    """Search for each question and score it; what `results` holds already is not searched again.

    Args:
        questions: of which all documents are in the library.
        matched: where they are.
        library: what is searched.
        results: where results are kept.
        k: passages looked up.
        within_document: look only in the documents that a question names.
        stop: polled between questions.
    """
    texts = _Texts(library)
    warm = False
    for question in questions:
        if stop():
            return
        row = results.done(question)
        if row is None:
            documents = matched.documents(question)
            if not warm:  # the first search loads the embedder, which is no part of the latency
                library.search(question.question, k=1)
                warm = True
            globs = (documents or None) if within_document else None
            began = time.perf_counter()
            passages = _look_up(library, question, k, globs)
            seconds = time.perf_counter() - began
            if question.grades:
                figures = _graded_result(question, matched, passages, k)
            else:
                figures = _result(question, documents, passages, texts.hold(documents, question.answer))
            row = results.add(question, {**_about(question, documents, passages, seconds), **figures})
        yield question, row


def _look_up(library: Library, question: Question, k: int, globs: Sequence[str] | None) -> list[Passage]:
    """The k best passages; where documents are ranked, enough of them for k documents, if there are so many."""
    if not question.grades:
        return library.search(question.question, k=k, documents=globs)
    asked = 2 * k
    while True:
        passages = library.search(question.question, k=asked, documents=globs)
        enough = len({passage.document for passage in passages}) >= k
        if enough or len(passages) < asked or asked >= _MOST_PASSAGES:
            return passages
        asked *= 2


def _about(question: Question, documents: Sequence[str], passages: Sequence[Passage], seconds: float) -> dict[str, Any]:
    return {
        "question": question.question,
        "category": question.category,
        "documents": list(documents),
        "page": question.page,
        "evidence": question.evidence,
        "seconds": round(seconds, 5),
        "passages": [
            {"document": p.document, "page": p.page, "start": p.start, "end": p.end, "score": round(p.score, 4)}
            for p in passages
        ],
    }


def _result(
    question: Question, documents: Sequence[str], passages: Sequence[Passage], verbatim: bool
) -> dict[str, Any]:
    found = score(question, documents, passages, verbatim)
    return {
        "ranks": dict(found.ranks),
        "coverage": None if found.coverage is None else round(found.coverage, 4),
    }


def _graded_result(question: Question, matched: Matched, passages: Sequence[Passage], k: int) -> dict[str, Any]:
    grades = {matched.paths.get(document, document): grade for document, grade in question.grades}
    found, ranked = graded(grades, passages, k)
    return {
        "ranks": {"document": _first(gain > 0 for gain in ranked.gains)},
        "coverage": None,
        "gains": list(ranked.gains),
        "judged": list(ranked.judged),
        "found": found,
    }


class _Texts:
    """The words of documents, read once."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._pages = {document.path: document.pages if document.paged else None for document in library.documents()}
        self._words: dict[str, str] = {}

    def hold(self, documents: Sequence[str], answer: str) -> bool:
        """True where the words of an answer stand in a row in one of the documents."""
        wanted = _row_of_words(answer)
        return bool(wanted.strip()) and any(wanted in self._of(document) for document in documents)

    def _of(self, document: str) -> str:
        if document not in self._words:
            pages = self._pages[document]
            numbers = [None] if pages is None else range(1, pages + 1)
            texts = [self._library.page_text(document, number) for number in numbers]
            self._words[document] = _row_of_words("\n".join(texts))
        return self._words[document]


def per_question(rows: Sequence[Row], k: int) -> dict[str, Figures]:
    """The figures of each question, by level and measure."""
    levels: dict[str, Figures] = {}
    for level in LEVELS:
        rankings = {row["id"]: _ranked(row, level) for row in rows if level in row["ranks"]}
        if rankings:
            is_graded = any("gains" in row for row in rows)
            depths = [depth for depth in ranking.DEPTHS if depth <= k]
            levels[level] = ranking.figures(rankings, depths, _MRR if is_graded else None)
    return levels


def _ranked(row: Row, level: str) -> Ranked:
    if "gains" in row:
        return Ranked(tuple(row["gains"]), tuple(row["judged"]))
    return Ranked.at(row["ranks"][level])


def summarize(rows: Sequence[Row], k: int, seed: int = 0) -> dict[str, Any]:
    """The figures over all rows and by category, as plain values."""
    seconds = [row["seconds"] for row in rows]
    levels = per_question(rows, k)
    categories: dict[str, set[str]] = {}
    for row in rows:
        categories.setdefault(row["category"], set()).add(row["id"])
    return {
        "questions": len(rows),
        "levels": _estimates(levels, None, seed),
        "categories": {
            name: {"questions": len(own), "levels": _estimates(levels, own, seed)}
            for name, own in sorted(categories.items())
            if name
        },
        "seconds": {"p50": metrics.percentile(seconds, 50), "p95": metrics.percentile(seconds, 95)},
    }


def _estimates(levels: Mapping[str, Figures], ids: set[str] | None, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for level, figures in levels.items():
        for name, own in figures.items():
            estimate = metrics.estimate([value for i, value in own.items() if ids is None or i in ids], seed)
            if estimate is not None:
                found.setdefault(level, {})[name] = estimate.to_dict()
    return found
