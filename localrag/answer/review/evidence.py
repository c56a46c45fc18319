"""How likely a document has the clause of an item, by code: passages that look like it, without a model that answers.

Each passage has the cosine of its vector to the item's question and to its example wordings, the share of their words
that it holds (BM25, as in a search), and whether it has a heading of the clause. A logistic regression makes one
likelihood of the best of each. An item may also name a kind of clause of the classifier (`search/clauses.py`).

The weights come from 40 contracts, each kind of clause judged with the weights of the others
(benchmarks/review.py --fit): of what is put below 0.1, 97 % is absent, above 0.9, 89 % is there; with the classifier,
96 % below 0.2, 92 % above 0.6. Limits: English headings; a clause worded unlike its examples looks absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from localrag.answer.review.playbook import Item
from localrag.answer.stages import Pair
from localrag.answer.verify.citations import cite_span
from localrag.search import clauses, ranking
from localrag.search import query as queries
from localrag.search.retrieval import Searcher
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK
from localrag.types import Citation, Document, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# Weights of: cosine to the question, to the examples, words of the question, of the examples, heading; and the rest.
_WITH_EXAMPLES = (3.0, 0.5, 5.5, 7.4, 3.0), -6.1
_WITHOUT = (7.2, 0.0, 8.0, 0.0, 3.0), -6.2
# Weights of: how far the classifier's log odds are above its threshold, and the log odds above; and the rest.
_CLASSIFIED, _MAX_ODDS = (0.71, 0.5, -0.47), 9.2
_MAX_QUOTE = 400
_RELIABLE = 0.65  # F1 by which the classifier is trusted without the model
# "12. Governing Law." or "Section 4.2 GOVERNING LAW:" at the beginning of a line.
_NUMBER = r"^[ \t]*(?:(?:section|article|clause)\s+)?(?:\(?[\dIVXivxa-z]{1,4}(?:\.\d{1,2}){0,3}[.)]{0,2}[ \t]+)?"
_FEATURES = ("dense", "like", "lexical", "wording", "heading")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages of a document that fit an item, best first, and how likely it has the clause by them all."""

    passages: tuple[Passage, ...]
    odds: float  # log odds
    of: int  # passages of the document
    quote: Citation | None = None  # the sentence that the classifier takes for the clause
    known: bool = False  # the classifier counted
    reliable: bool = False  # it knows this kind of clause well
    features: tuple[float, ...] = ()  # the best of each, and how far the classifier's log odds are above its threshold

    @property
    def likelihood(self) -> float:
        return 1 / (1 + math.exp(-self.odds))


class Clauses:
    """Looks for clauses in the documents of one library."""

    def __init__(self, library: Library, searcher: Searcher) -> None:
        self._library, self._searcher = library, searcher
        self._sought: dict[Item, _Sought] = {}
        self._text: tuple[tuple[int, int], _Text] | None = None

    @cached_property
    def _classifier(self) -> clauses.Clauses:
        return clauses.Clauses(self._library)

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
        found = Evidence(passages, odds, len(text.passages), features=tuple(map(float, features.max(0))))
        # The classifier knows English only.
        return self._classified(item, pair[1], text, found) if item.clause and pair[1].language == FALLBACK else found

    def _classified(self, item: Item, document: Document, text: _Text, found: Evidence) -> Evidence:
        """Add what the classifier says: the odds, its best sentence, and the passage with it, first."""
        best = self._classifier.find(document.id, item.clause, 1)
        if not best:
            return found
        above = _log_odds(best[0].probability) - _log_odds(self._classifier.threshold(item.clause))
        at, quote = _cited(best[0].sentence, text.passages) or (None, None)
        passages = {(one.position, one.start): one for one in (at, *found.passages) if one is not None}
        of_classifier, of_others, rest = _CLASSIFIED
        return replace(
            found, passages=tuple(passages.values())[: len(found.passages)],
            odds=of_classifier * above + of_others * found.odds + rest,
            quote=quote, known=True,
            reliable=self._classifier.f1(item.clause) >= _RELIABLE, features=(*found.features, above),
        )  # fmt: skip

    def _of(self, pair: Pair) -> _Text:
        library, document = pair
        state = document.id, library.generation
        if self._text is None or self._text[0] != state:
            if self._text is not None and self._text[0][1] != library.generation:
                self._sought = {}  # an ingest changed the numbers of passages
            self._text = state, _text(library, document.id)
        return self._text[1]


def _cited(sentence: clauses.Sentence, passages: Sequence[Passage]) -> tuple[Passage, Citation] | None:
    """Return the passage that holds the beginning of a sentence, and the sentence as a quote."""
    position, start, end = sentence
    at = next((one for one in passages if one.position == position and one.start <= start < one.end), None)
    if at is None:
        return None
    first, last = start - at.start, min(end, at.end) - at.start
    if last - first > _MAX_QUOTE:
        last = first + len(at.text[first : first + _MAX_QUOTE].rpartition(" ")[0])
    return at, cite_span(at, first, last)


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return max(-_MAX_ODDS, min(_MAX_ODDS, math.log(share / (1 - share))))


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
