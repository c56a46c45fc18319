"""How likely a document has the clause of an item, by code: passages that look like it, without a model that answers.

Each passage has the cosine of its vector to the item's question and to its example wordings, the share of their words
that it holds (BM25, as in a search), and whether it has a heading of the clause. A logistic regression makes one
likelihood of the best of each. An item may also name a kind of clause of the classifier (`search/clauses.py`).

The quote is the sentence with most words of one of the examples, in a passage that fits, and by the classifier. It is
no heading, unless an example is one, and rather one with a value where that is asked for.

The weights come from 40 contracts, each kind of clause judged with the weights of the others
(benchmarks/review.py --fit): of what is put below 0.1, 97 % is absent, above 0.9, 89 % is there; with the classifier,
96 % below 0.2, 92 % above 0.6. Limits: English headings; a clause worded unlike its examples looks absent.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag.grounding import context
from localrag.grounding.citations import cite_span, terms
from localrag.grounding.stages import Pair
from localrag.items import values
from localrag.items.item import Item
from localrag.items.values import MEASURED
from localrag.question import lookup
from localrag.search import clauses, filters, ranking
from localrag.search.retrieval import Searcher
from localrag.store import full_text
from localrag.store.library import Library, StoredChunk
from localrag.store.text_analysis import COMMON, FALLBACK, tokens
from localrag.types import Citation, Document, Filter, Page, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# Weights of: cosine to the question, to the examples, words of the question, of the examples, heading; and the rest.
_WITH_EXAMPLES = (3.0, 0.5, 5.5, 7.4, 3.0), -6.1
_WITHOUT = (7.2, 0.0, 8.0, 0.0, 3.0), -6.2
# Weights of: how far the classifier's log odds are above its threshold, and the log odds above; and the rest.
_CLASSIFIED, _MAX_ODDS = (0.71, 0.5, -0.47), 9.2
# Of a quote: the weight of its words and its passage beside the classifier's score, that of a value, that of a label
# ("Rent: EUR 900", "| Rent | EUR 900 |"), and how many sentences are looked through for both; that of the first
# sentence, for what the first sentences of a contract say.
_WORDED, _VALUE, _LABEL, _TRIED, _OPENING = 2.0, 0.5, 1.0, 20, 5.0
_FIRST = ("document-name", "parties", "agreement-date")
_MAX_QUOTE, _MAX_MARKS = 400, 16
_RULE = re.compile(r"\s*\|[\s:|-]+\|(?:\n|$)")  # below the head of a table
_ENOUGH = 10  # passages beside one in which it counts in full that none holds a word
_RELIABLE = 0.65  # F1 by which the classifier is trusted without the model
_ALL = Filter()
# "12. Governing Law." or "Section 4.2 GOVERNING LAW:" at the beginning of a line.
_NUMBER = r"^[ \t]*(?:(?:section|article|clause)\s+)?(?:\(?[\dIVXivxa-z]{1,4}(?:\.\d{1,2}){0,3}[.)]{0,2}[ \t]+)?"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages of a document that fit an item, best first, and how likely it has the clause by them all."""

    passages: tuple[Passage, ...]
    odds: float  # log odds
    of: int  # passages of the document
    quote: Citation | None = None  # the sentence that is the clause, if any is
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
        self._sought: dict[tuple[Item, str], _Sought] = {}
        self._text: tuple[tuple[int, int], _Text] | None = None

    @cached_property
    def _classifier(self) -> clauses.Clauses:
        return clauses.Clauses(self._library)

    def evidence(self, item: Item, pair: Pair, k: int = 3, only: Filter = _ALL) -> Evidence:
        """Return the k passages of a document that fit an item best, and the likelihood that it has the clause.

        Only the pages that `only` names are looked at; the classifier counts only where these are all.
        """
        text = self._of(pair)
        inside = np.array([filters.has_page(only, one.page) for one in text.passages], bool)
        if not text.sentences or not inside.any():
            return Evidence((), -math.inf, len(text.passages))
        key = item, text.language
        sought = self._sought.get(key) or _sought(item, text.language, self._library, self._searcher)
        self._sought[key] = sought
        cosines = self._searcher.embedder(self._library).nearness(text.vectors @ sought.vectors.T)
        words = np.stack([text.scores(groups) for groups in sought.groups], 1)
        examples = len(item.like) > 0
        features = np.stack(
            [
                cosines[:, 0],
                cosines[:, 1:].max(1) if examples else 0 * cosines[:, 0],
                words[:, 0],
                words[:, 1:].max(1) if examples else 0 * words[:, 0],
                np.array(
                    [bool(sought.heading.search("\n".join((*one.heading[-1:], one.text)))) for one in text.passages]
                ),
            ],
            1,
        )
        weights, rest = _WITH_EXAMPLES if examples else _WITHOUT
        scores = np.where(inside, features @ np.array(weights, np.float32) + rest, -np.inf)
        best = np.argsort(-scores, kind="stable")[: min(k, int(inside.sum()))]
        passages = tuple(replace(text.passages[n], score=float(scores[n])) for n in best)
        most = features[inside].max(0)
        found = Evidence(passages, float(most @ np.array(weights, np.float32) + rest), int(inside.sum()))
        found = replace(found, features=tuple(map(float, most)))
        # The classifier knows English only.
        known = item.clause and pair[1].language == FALLBACK and inside.all()
        found = self._classified(item, pair[1], found) if known else found
        return self._quoted(item, pair, text, scores, sought.label, found)

    def _classified(self, item: Item, document: Document, found: Evidence) -> Evidence:
        """Add what the classifier says."""
        best = self._classifier.find(document.id, item.clause, 1)
        above = _log_odds(best[0].probability) - _log_odds(self._classifier.threshold(item.clause))
        of_classifier, of_others, rest = _CLASSIFIED
        return replace(
            found,
            odds=of_classifier * above + of_others * found.odds + rest,
            known=True,
            reliable=self._classifier.f1(item.clause) >= _RELIABLE,
            features=(*found.features, above),
        )

    def _quoted(
        self, item: Item, pair: Pair, text: _Text, scores: NDArray[Any], label: re.Pattern[str], found: Evidence
    ) -> Evidence:
        """Add the sentence that words the clause best, and put the passage that holds it first."""
        library, document = pair
        fit = _WORDED * (text.shares(item) + scores[text.passage_of] / 10)  # none outside the pages that are asked
        if found.known:
            fit += self._classifier.scores(document.id, item.clause)
        opening = item.clause in _FIRST
        fit += opening * _OPENING / (1 + np.arange(len(fit)) / 5)
        if not any(map(clauses.is_heading, item.like)):
            fit[text.headings] -= 2 * _TRIED
        for n in np.argsort(-fit, kind="stable")[:_TRIED]:
            fit[n] += _LABEL * (label.match(text.texts[n]) is not None)
            fit[n] -= 3 * (opening and text.texts[n].startswith("|"))  # they are hardly said in a row
            if item.type in MEASURED and (opening or not found.known):
                fit[n] += _VALUE * (values.read(item.type, text.texts[n]) is not None)
        n = int(np.argmax(fit))
        (_, start, end), at = text.sentences[n], text.passages[text.passage_of[n]]
        first, last = start - at.start, min(end, at.end) - at.start
        if last - first > _MAX_QUOTE:
            last = first + len(at.text[first : first + _MAX_QUOTE].rpartition(" ")[0])
        (quote,) = context.placed([cite_span(at, first, last)], [at], [library])
        passages = {(one.position, one.start): one for one in (at, *found.passages)}
        return replace(found, passages=tuple(passages.values())[: len(found.passages)], quote=quote)

    def _of(self, pair: Pair) -> _Text:
        library, document = pair
        state = document.id, library.generation
        if self._text is None or self._text[0] != state:
            if self._text is not None and self._text[0][1] != library.generation:
                self._sought = {}  # an ingest may have changed the embedder
            self._text = state, _text(library, document, self._classifier)
        return self._text[1]


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return max(-_MAX_ODDS, min(_MAX_ODDS, math.log(share / (1 - share))))


@dataclass(frozen=True, slots=True)
class _Text:
    """The passages of a document with their ids and vectors, of shape (passages, dimension), and its sentences.

    `terms` has the passages that have each term and how often, and `norms` what their lengths count for: words are
    weighed within the document, so that the same text is judged alike in any library. `passage_of` has the last passage
    that holds the beginning of each sentence, `headings` those that are no sentence, and `words` the sentences that
    have each word.
    """

    passages: tuple[Passage, ...]
    terms: dict[str, tuple[NDArray[np.int64], Rows]]
    norms: Rows
    vectors: Rows
    language: str
    sentences: list[clauses.Sentence]
    texts: list[str]
    passage_of: NDArray[np.int64]
    headings: NDArray[np.int64]
    words: dict[str, list[int]]

    def scores(self, groups: Sequence[Sequence[str]]) -> Rows:
        """Return the share of the words of a text that each passage has (BM25)."""
        return full_text.bm25(groups, self.terms, self.norms, len(self.passages), (len(self.passages) - 1) / _ENOUGH)

    def shares(self, item: Item) -> Rows:
        """Return the share of the words of one example, or of the question, that each sentence has, the rare more."""
        best = np.zeros(len(self.sentences), np.float32)
        for example in item.like or (item.question,):
            own, whole = np.zeros_like(best), 0.0
            for word in terms(example, self.language):
                if word[0].isdigit():  # an example's figure is of no contract
                    continue
                at = self.words.get(word, [])
                whole += (weight := math.log(1 + len(best) / max(1, len(at))))
                own[at] += weight
            best = np.maximum(best, own / (whole or 1.0))
        return best


@dataclass(frozen=True, slots=True)
class _Sought:
    """What passages are compared with: first the question, then the examples."""

    vectors: Rows
    groups: tuple[Sequence[Sequence[str]], ...]
    heading: re.Pattern[str]
    label: re.Pattern[str]


def _text(library: Library, document: Document, classifier: clauses.Clauses) -> _Text:
    chunks = library.chunks_of(document.id)
    ids = np.array([chunk.passage_id for chunk in chunks], np.int64)
    known, vectors = library.vectors(ids.tolist()) if chunks else (ids, np.zeros((0, 0), np.float32))
    passages = tuple(ranking.as_passage(library, chunk) for chunk in chunks)
    sentences, texts, _ = classifier.scored(document.id)
    language = document.language if document.language in COMMON else FALLBACK
    held, lengths = _postings(chunks, language)
    words = defaultdict[str, list[int]](list)
    for n, text in enumerate(texts):
        for word in terms(text, language):
            words[word].append(n)
    pages = library.pages(document.id)
    headings = [n for n, one in enumerate(sentences) if _is_heading(pages[one.position], one)]
    begins = [(one.position, one.start) for one in passages]
    passage_of = [bisect(begins, one[:2]) - 1 for one in sentences]
    return _Text(
        passages,
        held,
        full_text.length_norms(lengths),
        vectors[np.searchsorted(known, ids)],
        language,
        sentences,
        texts,
        np.array(passage_of, np.int64),
        np.array(headings, np.int64),
        words,
    )


def _postings(chunks: Sequence[StoredChunk], language: str) -> tuple[dict[str, tuple[NDArray[np.int64], Rows]], Rows]:
    """Return the chunks that have each term and how often, and the number of words of each, as they are indexed."""
    held: dict[str, dict[int, int]] = defaultdict(dict)
    lengths = np.zeros(len(chunks), np.float32)
    for n, chunk in enumerate(chunks):
        words = tokens("\n".join((chunk.title, *chunk.heading, chunk.header, chunk.text)), language)
        lengths[n] = len(words)
        for term, times in Counter(token.term for token in words).items():
            held[term][n] = times
    return {
        term: (np.array([*own], np.int64), np.array([*own.values()], np.float32)) for term, own in held.items()
    }, lengths


def _is_heading(page: Page, sentence: clauses.Sentence) -> bool:
    """Return whether a line is a heading, or the head of a table."""
    _, start, end = sentence
    text = page.text[start:end]
    if text.startswith("|"):
        return _RULE.match(page.text, end) is not None
    titles = (one.title for one in page.headings if one.start == start)
    return (clauses.is_heading(text) and ": " not in text) or any(len(text) < len(one) + _MAX_MARKS for one in titles)


def _sought(item: Item, language: str, library: Library, searcher: Searcher) -> _Sought:
    embedder = searcher.embedder(library)
    vectors = [
        embedder.embed_question(item.question),
        *(embedder.embed_documents(list(item.like)) if item.like else ()),
    ]
    groups = tuple(lookup.read(text, [language]).groups for text in (item.question, *item.like))
    title = item.title or item.question
    names = "|".join(r"\s+".join(map(re.escape, name.split())) for name in (item.headings or (title,)))
    heading = re.compile(rf"{_NUMBER}(?:{names})[ \t]*(?:[.:—–-]|$)", re.I | re.M)
    label = re.compile(rf"(?:\|\s*|{_NUMBER})(?:{names}|{re.escape(title)})\s*[:|]", re.I)
    return _Sought(np.stack(vectors), groups, heading, label)
