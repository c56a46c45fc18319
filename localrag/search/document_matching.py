"""Which documents a question mentions, and what it asks once they are left out.

A document is called by the words of its path, its title and its first lines. A question's words count by how few
documents they tell apart; those that look like names (a number, a capital inside the sentence) count most, since
"Apple", "Q3" or "Hall 4" name a document where "lease" only fits one. Words that name the documents meant say nothing
of where in them the answer stands, and pages that repeat the name would win by it: so the question is read a second
time without.

Limits: names are told by capitals, so German, which writes all nouns so, has only those with numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING

import numpy as np

from localrag.search import query as queries
from localrag.search.query import Query
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localrag.store.vector_index import Ids

    Shares = NDArray[np.float32]

# A word that is part of more than this share of all names tells no document from another.
_TELLING = 0.7
# What a name counts beside any word.
_NAME, _WORD = 0.8, 0.1
# Which documents are named best, and which words name most of those.
_BEST, _MOST = 0.99, 0.6
_LEAST_CONTENT = 2
# Names count where documents are long, in pages on the average: page 40 does not say the company's name again, but what
# names a document of half a page stands in the very passage that answers, or stands there in other words.
_PAGE, _SHORT, _LONG = 2000, 0.8, 4.0


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a question says of a library's documents.

    `named[i]`: how far document i is called by the question's words, from 0 to 1 (empty where that cannot be told);
    `meant`: those that its names point to; `newest`: the latest of them, where the question wants that; `content`: the
    question without the names of those meant, or None where nothing is left out.
    """

    named: Shares = field(default_factory=lambda: np.empty(0, np.float32))
    meant: frozenset[int] = frozenset()
    newest: frozenset[int] = frozenset()
    content: Query | None = None

    def share(self, document: int) -> float:
        return float(self.named[document]) if document < len(self.named) else 0.0

    def best(self, most: int) -> list[int]:
        """The documents that are named at all, best first."""
        ids = np.flatnonzero(self.named)
        return [int(i) for i in ids[np.lexsort((ids, -self.named[ids]))][:most]]


def find(library: Library, documents: Sequence[int] | None, query: Query) -> Mentions:
    """What a question mentions of these documents (all without)."""
    overview = library.overview()
    there = np.array(sorted(overview.dates if documents is None else documents), np.int64)
    if len(there) < 2:
        return Mentions()
    size = int(there[-1]) + 1
    called: dict[tuple[str, ...], Ids] = {}
    everywhere: set[tuple[str, ...]] = set()
    for group in query.groups:
        own = np.unique(np.concatenate([library.text.called(term) for term in group]))
        if documents is not None:
            own = np.intersect1d(own, there, assume_unique=True)
        if len(own) > _TELLING * len(there):
            everywhere.add(group)
        elif len(own):
            called[group] = own
    names = {group: own for group, own in called.items() if group in query.names}
    unknown = sum(group not in called and group not in everywhere for group in query.groups)
    by_names = _shares(names, size, len(there))
    by_words = _shares(called, size, len(there), unknown)
    pages = sum(overview.characters[int(i)] for i in there) / len(there) / _PAGE
    apart = min(1.0, max(0.0, (pages - _SHORT) / (_LONG - _SHORT)))
    named = np.float32(_NAME * apart) * by_names + np.float32(_WORD) * by_words
    meant = _best(by_names) if apart else _best(np.zeros(0, np.float32))
    naming = {group for group, own in names.items() if 0 < _MOST * len(meant) <= len(np.intersect1d(own, meant))}
    content = queries.without(query, naming, overview.languages) if naming else None
    if content is not None and len(content.groups) < _LEAST_CONTENT:
        content = None
    newest = _newest(library, there, _best(named)) if query.latest else frozenset[int]()
    return Mentions(named, frozenset(meant.tolist()), newest, content)


def called(library: Library, paths: Mapping[int, str], query: Query, most: int = 4) -> list[int]:
    """The documents that a question calls by words of their names, in the order in which it calls them best.

    The one that most of its words call comes first, those words are then taken as said, and the rest may call another:
    "compare the Orlo lease with the Tess contract". Of several that are called alike, those are meant that have the
    most of these words in their path, since the first lines of an amendment name its contract too. Words that call
    more than `most` documents call none.
    """
    there = paths.keys()
    if len(there) < 2:
        return []
    telling: dict[tuple[str, ...], set[int]] = {}
    for group in query.groups:
        own = {int(i) for term in group for i in library.text.called(term)}.intersection(there)
        if 0 < len(own) < len(there):
            telling[group] = own
    found: list[int] = []
    while telling:
        weights: dict[int, float] = {}
        for own in telling.values():
            for i in own:
                weights[i] = weights.get(i, 0.0) + log(len(there) / len(own))
        best = sorted(i for i, weight in weights.items() if weight >= _BEST * max(weights.values()))
        in_path = {i: sum(_in_path(group, paths[i], library) for group in telling) for i in best}
        best = [i for i in best if in_path[i] == max(in_path.values())]
        if len(best) + len(found) > most:
            break
        found += best
        telling = {group: own for group, own in telling.items() if not own.intersection(best)}
    return found


def _in_path(group: tuple[str, ...], path: str, library: Library) -> bool:
    spoken = library.overview().languages or (FALLBACK,)
    return any(token.term in group for name in spoken for token in tokens(path, name))


def _shares(called: dict[tuple[str, ...], Ids], size: int, count: int, unknown: int = 0) -> Shares:
    """Of all that these words tell (their idf among documents), what falls to each document, by its id.

    A word that no document is called by tells the most: with it, none of them is named as a whole.
    """
    shares = np.zeros(size, np.float32)
    weights = {group: log(count / len(own)) for group, own in called.items()}
    total = sum(weights.values()) + unknown * log(count)
    for group, own in called.items():
        shares[own] += np.float32(weights[group] / total)
    return shares


def _best(shares: Shares) -> Ids:
    most = float(shares.max(initial=0.0))
    return np.flatnonzero(shares >= _BEST * most) if most else np.empty(0, np.int64)


def _newest(library: Library, there: Ids, group: Ids) -> frozenset[int]:
    """Of the documents that are named best (of all, if none is) those with the latest date."""
    known = library.overview().dates
    dates = {int(i): known[int(i)] for i in (group if len(group) else there) if known.get(int(i))}
    last = max(dates.values(), default="")
    return frozenset(i for i, date in dates.items() if date == last)
