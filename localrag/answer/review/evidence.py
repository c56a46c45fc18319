"""How likely a document has the clause of an item, by code: passages that look like it, without a model that answers.

Each passage has the cosine of its vector to the item's question and to its example wordings, the share of their words
that it holds (BM25, as in a search), and whether it has a heading of the clause. A logistic regression makes one
likelihood of the best of each; its weights come from 38 kinds of clauses in 40 contracts, each kind judged with the
weights of the others: AUC 0.91; 99 % of what it puts below 0.05 is absent, 92 % of what it puts above 0.8 is there
(benchmarks/review.py --fit). Limits: English headings; a clause worded unlike its examples looks absent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localrag.answer.review.playbook import Item
from localrag.answer.stages import Pair
from localrag.search import query as queries
from localrag.search import ranking
from localrag.search.retrieval import Searcher
from localrag.store.library import Library
from localrag.types import Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# Weights of: cosine to the question, to the examples, words of the question, of the examples, heading; and the rest.
_WITH_EXAMPLES = (3.3, 0.9, 5.9, 6.9, 3.6), -6.4
_WITHOUT = (7.3, 0.0, 8.1, 0.0, 3.7), -6.4
# "12. Governing Law." or "Section 4.2 GOVERNING LAW:" at the beginning of a line.
_NUMBER = r"^[ \t]*(?:(?:section|article|clause)\s+)?(?:\(?[\dIVXivxa-z]{1,4}(?:\.\d{1,2}){0,3}[.)]{0,2}[ \t]+)?"
_FEATURES = ("dense", "like", "lexical", "wording", "heading")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages of a document that fit an item, best first, and how likely it has the clause by them all."""

    passages: tuple[Passage, ...]
    odds: float  # log odds
    of: int  # passages of the document

    @property
    def likelihood(self) -> float:
        return 1 / (1 + math.exp(-self.odds))


class Clauses:
    """Looks for clauses in the documents of one library."""

    def __init__(self, library: Library, searcher: Searcher) -> None:
        self._library, self._searcher = library, searcher
        self._sought: dict[Item, _Sought] = {}
        self._text: tuple[int, _Text] | None = None

    def evidence(self, item: Item, pair: Pair, k: int = 3) -> Evidence:
        """Return the k passages of a document that fit an item best, and the likelihood that it has the clause."""
        text = self._of(pair)
        if not text.passages:
            return Evidence((), -math.inf, 0)
        sought = self._sought.get(item) or _sought(item, self._library, self._searcher)
        self._sought[item] = sought
        cosines = text.vectors @ sought.vectors.T
        words = np.stack([row[text.ids] for row in sought.words], 1)
        examples = len(item.like) > 0
        features = np.stack([
            cosines[:, 0], cosines[:, 1:].max(1) if examples else 0 * cosines[:, 0],
            words[:, 0], words[:, 1:].max(1) if examples else 0 * words[:, 0],
            np.array([bool(sought.heading.search("\n".join((*one.heading[-1:], one.text)))) for one in text.passages]),
        ], 1)  # fmt: skip
        weights, rest = _WITH_EXAMPLES if examples else _WITHOUT
        scores = features @ np.array(weights, np.float32) + rest
        best = np.argsort(-scores, kind="stable")[:k]
        passages = tuple(
            replace(
                text.passages[n],
                score=float(scores[n]),
                signals=dict(zip(_FEATURES, map(float, features[n]), strict=True)),
            )
            for n in best
        )
        odds = float(features.max(0) @ np.array(weights, np.float32) + rest)
        return Evidence(passages, odds, len(text.passages))

    def _of(self, pair: Pair) -> _Text:
        library, document = pair
        if self._text is None or self._text[0] != document.id:
            self._text = document.id, _text(library, document.id)
        return self._text[1]


@dataclass(frozen=True, slots=True)
class _Text:
    """The passages of a document with their ids and vectors, of shape (passages, dimension)."""

    passages: tuple[Passage, ...]
    ids: NDArray[np.int64]
    vectors: Rows


@dataclass(frozen=True, slots=True)
class _Sought:
    """What passages are compared with: first the question, then the examples."""

    vectors: Rows
    words: tuple[Rows, ...]
    heading: re.Pattern[str]


def _text(library: Library, document_id: int) -> _Text:
    chunks = library.chunks_of(document_id)
    ids = np.array([chunk.passage_id for chunk in chunks], np.int64)
    if not chunks:
        return _Text((), ids, np.zeros((0, 0), np.float32))
    known, vectors = library.vectors(ids.tolist())
    return _Text(
        tuple(ranking.as_passage(library, chunk) for chunk in chunks), ids, vectors[np.searchsorted(known, ids)]
    )


def _sought(item: Item, library: Library, searcher: Searcher) -> _Sought:
    embedder, languages = searcher.embedder(library), library.overview().languages
    vectors = [
        embedder.embed_question(item.question),
        *(embedder.embed_documents(list(item.like)) if item.like else ()),
    ]
    groups = [queries.understand(text, languages).groups for text in (item.question, *item.like)]
    words = tuple(library.text.scores(own, library.generation) for own in groups)
    names = "|".join(r"\s+".join(map(re.escape, name.split())) for name in (item.headings or (item.name,)))
    return _Sought(np.stack(vectors), words, re.compile(rf"{_NUMBER}(?:{names})[ \t]*(?:[.:—–-]|$)", re.I | re.M))
