"""Are the right document, page and text among the passages that a search finds?

A question gets a rank for each level that it has a known answer for: the number of passages after which it is found.

    document   the first passage of a document that the question names
    documents  every document, if it names several
    page       the first passage of the known page
    evidence   70 % of the evidence's words are covered, in runs, by passages of the right documents
    answer     a passage of the right documents contains the known answer verbatim (if the documents do at all)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from localrag.api import Library
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question, Row, Run, Sample, by_category
from localrag.types import Passage

LEVELS = ("document", "documents", "page", "evidence", "answer")


def score(question: Question, documents: Sequence[str], passages: Sequence[Passage], verbatim: bool = False) -> Row:
    """Return the rank of each level (from 1, or None if not found), and the share of the evidence covered.

    `verbatim`: one of the documents contains the answer verbatim.
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
    return {"ranks": ranks, "coverage": round(coverage.share, 4) if coverage else None}


def _joined_words(text: str) -> str:
    return f" {' '.join(metrics.words(text))} "


def _first(hits: Iterable[bool]) -> int | None:
    return next((rank for rank, hit in enumerate(hits, 1) if hit), None)


def run(sample: Sample, results: Run, *, k: int, stop: Callable[[], bool] = lambda: False) -> Iterator[Row]:
    """Search k passages for each question and score them, unless `results` has the score already."""
    library, words = sample.library, _words_of(sample.library)
    warm = False

    def work(question: Question) -> Row:
        nonlocal warm
        if not warm:  # the first search loads the embedder, which is not part of the latency
            library.search(question.question, k=1)
            warm = True
        began = time.perf_counter()
        passages = library.search(question.question, k=k, documents=sample.globs(question))
        seconds = time.perf_counter() - began
        documents = sample.matched.documents(question)
        answer = _joined_words(question.answer)
        verbatim = bool(answer.strip()) and any(answer in words(document) for document in documents)
        return {
            "question": question.question,
            "category": question.category,
            "documents": documents,
            "page": question.page,
            "evidence": question.evidence,
            "seconds": round(seconds, 5),
            "passages": [passage_row(passage) for passage in passages],
            **score(question, documents, passages, verbatim),
        }

    return results.results(sample.questions, work, stop)


def passage_row(passage: Passage) -> dict[str, Any]:
    """Return the place and score of a passage, for a result."""
    place = {name: getattr(passage, name) for name in ("document", "page", "start", "end")}
    return {**place, "score": round(passage.score, 4)}


def _words_of(library: Library) -> Callable[[str], str]:
    """Return a cached function from a document to its words."""
    pages = {document.path: document.pages if document.paged else None for document in library.documents()}

    @cache
    def words(document: str) -> str:
        count = pages[document]
        numbers = [None] if count is None else range(1, count + 1)
        return _joined_words("\n".join(library.page_text(document, number) for number in numbers))

    return words


def summarize(rows: Sequence[Row], k: int, seed: int = 0) -> dict[str, Any]:
    """Return the figures over all rows and by category, as plain values."""
    seconds = [row["seconds"] for row in rows]
    return {
        "questions": len(rows),
        "levels": _levels(rows, k, seed),
        "categories": {
            name: {"questions": len(own), "levels": _levels(own, k, seed)} for name, own in by_category(rows).items()
        },
        "seconds": {"p50": metrics.percentile(seconds, 50), "p95": metrics.percentile(seconds, 95)},
    }


def _levels(rows: Sequence[Row], k: int, seed: int) -> dict[str, Any]:
    depths = [depth for depth in metrics.DEPTHS if depth <= k]
    levels: dict[str, Any] = {}
    for level in LEVELS:
        own = [metrics.ranking(row["ranks"][level], depths) for row in rows if level in row["ranks"]]
        if own:
            levels[level] = {name: metrics.estimate([one[name] for one in own], seed) for name in own[0]}
    return levels
