"""Which documents a question points to, so that they could be read whole: the only ones, those it names, the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from localrag.search import document_matching
from localrag.search import query as queries
from localrag.store.library import Library
from localrag.types import Document, Passage

Pairs = Sequence[tuple[Library, Document]]

# Most documents that are read together.
MOST = 4
# A document that holds so many of the best passages, of this many, is the one that is meant.
_BEST, _OF = 4, 5


@dataclass(frozen=True, slots=True)
class Pointed:
    """The documents pointed to and how that is known; empty where the question points to none, or to too many."""

    documents: tuple[tuple[Library, Document], ...] = ()
    by: Literal["", "only", "name", "scores"] = ""


def by_name(question: str, documents: Pairs) -> Pointed:
    """The documents that the question calls by words of their names."""
    found: list[tuple[Library, Document]] = []
    for library in dict.fromkeys(library for library, _ in documents):
        own = {document.id: document for store, document in documents if store is library}
        query = queries.understand(question, library.overview().languages)
        paths = {i: own[i].path for i in sorted(own)}
        found += [(library, own[i]) for i in document_matching.called(library, paths, query, MOST)]
    return Pointed(tuple(found), "name") if 0 < len(found) <= MOST else Pointed()


def by_scores(passages: Sequence[Passage], documents: Pairs) -> Pointed:
    """The document that holds most of the best passages (best first)."""
    best = [(passage.library, passage.document_id) for passage in passages[:_OF]]
    if len(best) < _OF or best.count(best[0]) < _BEST:
        return Pointed()
    return Pointed(of_passage(passages[0], documents), "scores")


def of_passage(passage: Passage, documents: Pairs) -> tuple[tuple[Library, Document], ...]:
    """The document that a passage is of, where it is among these."""
    return tuple(
        pair for pair in documents if (pair[0].name, pair[1].id) == (passage.library, passage.document_id)
    )[:1]  # fmt: skip


def fit(passages: Sequence[Passage]) -> float | None:
    """How well the best of them fits by words and meaning, from 0 to 1; None where that is not known."""
    known = [passage.signals for passage in passages if "dense" in passage.signals]
    return round(max((of["dense"] + of["lexical"]) / 2 for of in known), 4) if known else None


def margin(passages: Sequence[Passage]) -> float | None:
    """How far the best passage stands out from the rest (best first): its score less their median.

    None with fewer than three, which are no background.
    """
    if len(passages) < 3:
        return None
    scores = [passage.score for passage in passages]
    return round(scores[0] - float(np.median(scores[1:])), 4)
