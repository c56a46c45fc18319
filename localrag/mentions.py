"""Which documents a question mentions, and what it asks once they are left out.

A document is called by the words of its path, its title and its first lines. A question's words count by how few
documents they tell apart; those that look like names (a number, a capital inside the sentence) count most, since
"Apple", "Q3" or "Hall 4" name a document where "lease" only fits one. Words that name the documents meant say nothing
of where in them the answer stands, and pages that repeat the name would win by it: so the question is read a second time
without.

Limits: names are told by capitals, so German, which writes all nouns so, has only those with numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log

from localrag import queries
from localrag.library import Library
from localrag.queries import Query

# A word that is part of more than this share of all names tells no document from another.
_TELLING = 0.7
# What a name counts beside any word.
_NAME, _WORD = 0.8, 0.2
# Which documents are named best, and which words name most of those.
_BEST, _MOST = 0.99, 0.6
_LEAST_CONTENT = 2


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a question says of a library's documents.

    `named`: how far each is called by the question's words, from 0 to 1; `meant`: those that its names point to;
    `newest`: the latest of them, where the question wants that; `content`: the question without the names of those
    meant, or None where nothing is left out.
    """

    named: dict[int, float] = field(default_factory=dict)
    meant: frozenset[int] = frozenset()
    newest: frozenset[int] = frozenset()
    content: Query | None = None


def find(library: Library, documents: Sequence[int] | None, query: Query) -> Mentions:
    """What a question mentions of these documents (all without)."""
    within = None if documents is None else set(documents)
    count = len(library.dates()) if within is None else len(within)
    if count < 2:
        return Mentions()
    called: dict[tuple[str, ...], set[int]] = {}
    for group in query.groups:
        own = {int(i) for term in group for i in library.text.called(term)}
        if within is not None:
            own &= within
        if 0 < len(own) <= _TELLING * count:
            called[group] = own
    names = {group: own for group, own in called.items() if group in query.names}
    by_names, by_words = _shares(names, count), _shares(called, count)
    named = {i: _WORD * share + _NAME * by_names.get(i, 0.0) for i, share in by_words.items()}
    meant = _best(by_names)
    naming = {group for group, own in names.items() if len(own & meant) >= _MOST * len(meant)}
    content = queries.without(query, naming, library.languages()) if naming else None
    if content is not None and len(content.groups) < _LEAST_CONTENT:
        content = None
    return Mentions(named, meant, _newest(library, within, _best(named)) if query.latest else frozenset(), content)


def _shares(called: dict[tuple[str, ...], set[int]], count: int) -> dict[int, float]:
    """Of all that these words tell (their idf among documents), what falls to each document."""
    weights = {group: log(count / len(own)) for group, own in called.items()}
    total = sum(weights.values())
    shares: dict[int, float] = {}
    for group, own in called.items():
        for i in own:
            shares[i] = shares.get(i, 0.0) + weights[group] / total
    return shares


def _best(shares: dict[int, float]) -> frozenset[int]:
    most = max(shares.values(), default=0.0)
    return frozenset(i for i, share in shares.items() if share >= _BEST * most)


def _newest(library: Library, within: set[int] | None, group: frozenset[int]) -> frozenset[int]:
    """Of the documents that are named best (of all, if none is) those with the latest date."""
    dates = {
        i: date
        for i, date in library.dates().items()
        if date and (not group or i in group) and (within is None or i in within)
    }
    last = max(dates.values(), default="")
    return frozenset(i for i, date in dates.items() if date == last)
