"""Are the right document, page and words among the passages that a search finds?

A question gives a rank for each level that it has a known answer for: the number of passages after which it is found.

    document   the first passage of a document that the question names
    documents  every document, where it names several
    page       the first passage of the known page
    evidence   70 % of the evidence's words are covered, in runs, by passages of the right documents
    answer     the known answer stands, word for word, in a passage of the right documents; only where it stands so
               in the document at all
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localrag.api import Library
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.runs import Row, Run
from localrag.types import Passage

LEVELS = ("document", "documents", "page", "evidence", "answer")
DEPTHS = (1, 3, 5, 10)


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
    right = [passage if passage.document in documents else None for passage in passages]
    seen = [{passage.document for passage in passages[: i + 1]} for i in range(len(passages))]
    ranks: dict[str, int | None] = {"document": _first(passage is not None for passage in right)}
    if len(set(documents)) > 1:
        ranks["documents"] = _first(set(documents) <= names for names in seen)
    if question.page is not None:
        ranks["page"] = _first(passage is not None and passage.page == question.page for passage in right)
    texts = [passage.text if passage is not None else "" for passage in right]
    coverage = metrics.covered(question.evidence, texts)
    if coverage is not None:
        rising = (metrics.covered(question.evidence, texts[: i + 1]) or 0.0 for i in range(len(texts)))
        ranks["evidence"] = _first(share >= metrics.COVERED for share in rising)
    if verbatim:
        wanted = _row_of_words(question.answer)
        ranks["answer"] = _first(wanted in _row_of_words(text) for text in texts)
    return Found(ranks, coverage)


def _row_of_words(text: str) -> str:
    return f" {' '.join(metrics.words(text))} "


def _first(hits: Iterator[bool]) -> int | None:
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
            began = time.perf_counter()
            passages = library.search(
                question.question, k=k, documents=(documents or None) if within_document else None
            )
            seconds = time.perf_counter() - began
            found = score(question, documents, passages, texts.hold(documents, question.answer))
            row = results.add(question, _result(question, documents, passages, found, seconds))
        yield question, row


def _result(
    question: Question, documents: Sequence[str], passages: Sequence[Passage], found: Found, seconds: float
) -> dict[str, Any]:
    return {
        "question": question.question,
        "category": question.category,
        "documents": list(documents),
        "page": question.page,
        "ranks": dict(found.ranks),
        "coverage": None if found.coverage is None else round(found.coverage, 4),
        "seconds": round(seconds, 5),
        "passages": [
            {"document": p.document, "page": p.page, "start": p.start, "end": p.end, "score": round(p.score, 4)}
            for p in passages
        ],
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


def summarize(rows: Sequence[Row], k: int, seed: int = 0) -> dict[str, Any]:
    """The figures over all rows and by category, as plain values."""
    names = sorted({row["category"] for row in rows})
    seconds = [row["seconds"] for row in rows]
    return {
        "questions": len(rows),
        "levels": _levels(rows, k, seed),
        "categories": {
            name: {"questions": len(own), "levels": _levels(own, k, seed)}
            for name in names
            if name and (own := [row for row in rows if row["category"] == name])
        },
        "seconds": {"p50": metrics.percentile(seconds, 50), "p95": metrics.percentile(seconds, 95)},
    }


def _levels(rows: Sequence[Row], k: int, seed: int) -> dict[str, Any]:
    levels: dict[str, Any] = {}
    for level in LEVELS:
        ranks = [row["ranks"][level] for row in rows if level in row["ranks"]]
        if ranks:
            figures = {f"recall@{depth}": metrics.recall_at(ranks, depth) for depth in DEPTHS if depth <= k}
            figures["mrr"] = metrics.reciprocal(ranks)
            levels[level] = {name: _estimate(values, seed) for name, values in figures.items()}
    return levels


def _estimate(values: Sequence[float], seed: int) -> dict[str, float | int] | None:
    found = metrics.estimate(values, seed)
    return None if found is None else found.to_dict()
