"""Are the right document, page and text among the passages that a search finds?

A question gets a rank for each level that it has a known answer for: the number of passages after which it is found.

    document   the first passage of a document that the question names
    documents  every document, if it names several
    page       the first passage of the known page
    evidence   70 % of the evidence's words are covered, in runs, by passages of the right documents
    answer     a passage of the right documents contains the known answer verbatim (if the documents do at all)

If people have graded documents (BEIR), documents are ranked instead, each by its best passage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localrag.api import Library
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.metrics import Figures, Ranked
from localrag.evaluation.runs import Row, Run
from localrag.types import Passage

LEVELS = ("document", "documents", "page", "evidence", "answer")
# A first graded document below this rank does not count, as in BEIR.
_MRR = 10
# Limit of passages retrieved to find enough documents.
_MAX_PASSAGES = 640


@dataclass(frozen=True, slots=True)
class Found:
    """The rank of each level that the question has, from 1, or None if it was not found."""

    ranks: Mapping[str, int | None]
    coverage: float | None


def score(question: Question, documents: Sequence[str], passages: Sequence[Passage], verbatim: bool = False) -> Found:
    """Score the passages found for a question.

    Args:
        question: with its known answer.
        documents: the library paths of the documents it is about.
        passages: best first.
        verbatim: one of those documents contains the answer verbatim.
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
        answer = _joined_words(question.answer)
        ranks["answer"] = _first(answer in _joined_words(text) for text in texts)
    return Found(ranks, coverage.share if coverage else None)


def graded(grades: Mapping[str, int], passages: Sequence[Passage], depth: int) -> tuple[list[str], Ranked]:
    """Return the documents found, in the order of their best passages, and their ranking by grade."""
    # A passage also counts for the documents it was merged with: `also` names each, with its location.
    found = list(dict.fromkeys(
        document
        for passage in passages
        for document in (passage.document, *(other.split(", ", 1)[0] for other in passage.also))
    ))[:depth]  # fmt: skip
    gains = tuple(grades.get(document, 0) for document in found)
    return found, Ranked(gains, tuple(grade for grade in grades.values() if grade > 0))


def _joined_words(text: str) -> str:
    return f" {' '.join(metrics.words(text))} "


def _first(hits: Iterable[bool]) -> int | None:
    return next((rank for rank, hit in enumerate(hits, 1) if hit), None)


def run(
    questions: Sequence[Question], matched: Matched, library: Library, results: Run, *, k: int, within_document: bool,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Row]]:  # fmt: skip
    """Search for each question and score it, unless `results` has it already.

    Args:
        questions: those whose documents are all in the library.
        matched: their paths.
        library: the library to search.
        results: where results are kept.
        k: passages per search.
        within_document: search only the documents that a question names.
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
            if not warm:  # the first search loads the embedder, which is not part of the latency
                library.search(question.question, k=1)
                warm = True
            globs = (documents or None) if within_document else None
            began = time.perf_counter()
            passages = _search(library, question, k, globs)
            seconds = time.perf_counter() - began
            if question.grades:
                figures = _graded_result(question, matched, passages, k)
            else:
                figures = _result(question, documents, passages, texts.contain(documents, question.answer))
            row = results.add(question, {**_about(question, documents, passages, seconds), **figures})
        yield question, row


def _search(library: Library, question: Question, k: int, globs: Sequence[str] | None) -> list[Passage]:
    """Return the k best passages; to rank documents, enough passages for k documents if there are as many."""
    if not question.grades:
        return library.search(question.question, k=k, documents=globs)
    count = 2 * k
    while True:
        passages = library.search(question.question, k=count, documents=globs)
        enough = len({passage.document for passage in passages}) >= k
        if enough or len(passages) < count or count >= _MAX_PASSAGES:
            return passages
        count *= 2


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
    """The words of documents, cached."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._pages = {document.path: document.pages if document.paged else None for document in library.documents()}
        self._words: dict[str, str] = {}

    def contain(self, documents: Sequence[str], answer: str) -> bool:
        """Return whether one of the documents contains the words of an answer in a row."""
        wanted = _joined_words(answer)
        return bool(wanted.strip()) and any(wanted in self._of(document) for document in documents)

    def _of(self, document: str) -> str:
        if document not in self._words:
            pages = self._pages[document]
            numbers = [None] if pages is None else range(1, pages + 1)
            texts = [self._library.page_text(document, number) for number in numbers]
            self._words[document] = _joined_words("\n".join(texts))
        return self._words[document]


def per_question(rows: Sequence[Row], k: int) -> dict[str, Figures]:
    """Return the figures of each question, by level and measure."""
    levels: dict[str, Figures] = {}
    for level in LEVELS:
        rankings = {row["id"]: _ranked(row, level) for row in rows if level in row["ranks"]}
        if rankings:
            is_graded = any("gains" in row for row in rows)
            depths = [depth for depth in metrics.DEPTHS if depth <= k]
            levels[level] = metrics.ranking(rankings, depths, _MRR if is_graded else None)
    return levels


def _ranked(row: Row, level: str) -> Ranked:
    if "gains" in row:
        return Ranked(tuple(row["gains"]), tuple(row["judged"]))
    return Ranked.at(row["ranks"][level])


def summarize(rows: Sequence[Row], k: int, seed: int = 0) -> dict[str, Any]:
    """Return the figures over all rows and by category, as plain values."""
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
