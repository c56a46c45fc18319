"""Which documents a question mentions or points to, and what it asks once their names are left out.

A question's words count by how few documents they tell apart, and most where they are names. A word is one by how the
question writes it (a number, a capital inside the sentence; in German only a number), or by how the library does.
Pages that repeat a name would win by it, so the question is read a second time without the names
(docs/decisions/0020-ranking.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Literal

import numpy as np

from localrag.question import lookup as lookups
from localrag.question.lookup import Lookup
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK, folded, stem, tokens
from localrag.types import Document, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localrag.store.vector_index import Ids

    Shares = NDArray[np.float32]

Group = tuple[str, ...]
Pairs = Sequence[tuple[Library, Document]]

# A word in more than this share of all names tells no document from another.
_MAX_SHARE = 0.7
# The weights of a name, and of any word.
_NAME, _WORD = 0.8, 0.1
# The share of the best from which documents are named best, and of those from which a word names them.
_BEST, _MOST = 0.99, 0.6
# A word is a name where documents are called by it, at most so many, with this share of its passages, and it has a
# capital in this share of its places in a sample of them.
_MAX_DOCUMENTS, _MIN_INSIDE, _MIN_CAPITALS, _SAMPLE = 64, 0.6, 0.8, 8
# Letters that a word and its stem share.
_PREFIX = 3
_WRITTEN = re.compile(r"[^\W\d_][\w'-]*")
_MIN_CONTENT = 2
# Names count where documents are long (pages on average, of so many characters): page 40 does not say the company's
# name again, but what names a document of half a page is in the very passage that answers.
_PAGE, _SHORT, _LONG = 2000, 0.8, 4.0
# Documents that are read together, at most.
MAX_READ = 4
# A document that holds so many of the best passages, of this many, is the one meant.
_MIN_OF_BEST, OF_BEST = 4, 5


@dataclass(frozen=True, slots=True)
class Mentions:
    """What a question says of a library's documents; `content` is the question without the names of those meant."""

    named: Shares = field(default_factory=lambda: np.empty(0, np.float32))  # by id, from 0 to 1; empty where unknown
    meant: frozenset[int] = frozenset()  # those that its names point to
    newest: frozenset[int] = frozenset()  # the latest of them, where the question asks for it
    content: Lookup | None = None  # None where nothing is left out

    def share(self, document: int) -> float:
        return float(self.named[document]) if document < len(self.named) else 0.0

    def best(self, limit: int) -> list[int]:
        """Return the documents that are named at all, best first."""
        ids = np.flatnonzero(self.named)
        return [int(i) for i in ids[np.lexsort((ids, -self.named[ids]))][:limit]]


def find(library: Library, documents: Sequence[int] | None, lookup: Lookup) -> Mentions:
    """Return what a question mentions of these documents (without, of all)."""
    overview = library.overview()
    there, lengths = overview.ids, overview.lengths
    if documents is not None:  # one of which may have been forgotten meanwhile
        chosen = np.isin(there, np.array(documents, np.int64))
        there, lengths = there[chosen], lengths[chosen]
    if len(there) < 2:
        return Mentions()
    size = int(there[-1]) + 1
    called: dict[Group, Ids] = {}
    everywhere: set[Group] = set()
    inside = np.zeros(size, bool)
    inside[there] = True
    all_named = dict(zip(lookup.groups, library.text.documents_named(lookup.groups), strict=True))
    for group, own in all_named.items():
        own = own[own < size]
        own = own[inside[own]]
        if len(own) > _MAX_SHARE * len(there):
            everywhere.add(group)
        elif len(own):
            called[group] = own
    used = _names_by_use(library, {group: all_named[group] for group in called if group not in lookup.names})
    names = {group: own for group, own in called.items() if group in lookup.names or group in used}
    unknown = [group for group in lookup.groups if group not in called and group not in everywhere]
    by_names = _shares(names, size, len(there), len(lookup.names.intersection(unknown)))
    by_words = _shares(called, size, len(there), len(unknown))
    pages = float(lengths.mean()) / _PAGE
    apart = min(1.0, max(0.0, (pages - _SHORT) / (_LONG - _SHORT)))
    named = np.float32(_NAME * apart) * by_names + np.float32(_WORD) * by_words
    meant = _best(by_names) if apart else _best(np.zeros(0, np.float32))
    naming = {group for group, own in names.items() if 0 < _MOST * len(meant) <= len(np.intersect1d(own, meant))}
    content = lookups.without(lookup, naming, overview.languages) if naming else None
    if content is not None and len(content.groups) < _MIN_CONTENT:
        content = None
    newest = _newest(library, there, _best(named)) if lookup.latest else frozenset[int]()
    return Mentions(named, frozenset(meant.tolist()), newest, content)


def _names_by_use(library: Library, called: Mapping[Group, Ids]) -> set[Group]:
    """Return the words that the library writes with a capital and hardly uses outside the documents called by them."""
    languages = library.overview().languages or (FALLBACK,)
    if languages[0] == "german":  # every noun has a capital
        return set()
    few = {group: own.tolist() for group, own in called.items() if 0 < len(own) <= _MAX_DOCUMENTS}
    passages = {group: library.passage_ids(own) for group, own in few.items()}
    # A word that more passages have than can be inside is none; most words are told so without reading where they are.
    most = zip(few, library.text.most_held(few), strict=True)
    rare = [group for group, count in most if len(passages[group]) >= _MIN_INSIDE * count]
    names: set[Group] = set()
    for group, held in zip(rare, library.text.with_terms(rare), strict=True):
        inside, own = held[np.isin(held, passages[group])], few[group]
        sample = inside[:: 1 + len(inside) // _SAMPLE].tolist()
        if sample and len(inside) >= _MIN_INSIDE * len(held):
            chunks = library.chunks_of_passages(sample, own).values()
            if _capitalised((same[0].text for same in chunks), group, languages):
                names.add(group)
    return names


def _capitalised(texts: Iterable[str], group: Group, languages: Sequence[str]) -> bool:
    """Return whether a word mostly has a capital in these texts."""
    starts = tuple(term[:_PREFIX] for term in group)
    found: list[bool] = []
    for word in _WRITTEN.findall(unicodedata.normalize("NFKC", "\n".join(texts)).replace("’", "'")):
        for part in {*word.split("-"), word.replace("-", "")}:  # as the index has compounds
            if folded(part).startswith(starts) and any(stem(part.lower(), name) in group for name in languages):
                found.append(any(map(str.isupper, part)))
    return bool(found) and sum(found) >= _MIN_CAPITALS * len(found)


def _shares(called: dict[Group, Ids], size: int, count: int, unknown: int) -> Shares:
    """Return each document's share, by id, of all that these words tell (their idf among documents).

    A word that no document is called by tells the most: with it, none of them is named as a whole. Words that together
    do not tell one document from all others ("Licensed Software") name none as a whole either.
    """
    shares = np.zeros(size, np.float32)
    weights = {group: log(count / len(own)) for group, own in called.items()}
    total = max(sum(weights.values()) + unknown * log(count), log(count))
    for group, own in called.items():
        shares[own] += np.float32(weights[group] / total)
    return shares


def _best(shares: Shares) -> Ids:
    most = float(shares.max(initial=0.0))
    return np.flatnonzero(shares >= _BEST * most) if most else np.empty(0, np.int64)


def _newest(library: Library, there: Ids, group: Ids) -> frozenset[int]:
    """Return the documents with the latest date of those that are named best, or of all if none is."""
    known = library.overview().dates
    dates = {int(i): known[int(i)] for i in (group if len(group) else there) if known.get(int(i))}
    last = max(dates.values(), default="")
    return frozenset(i for i, date in dates.items() if date == last)


@dataclass(frozen=True, slots=True)
class Pointed:
    """The documents that a question points to and how that is known; empty where to none, or to too many."""

    documents: tuple[tuple[Library, Document], ...] = ()
    by: Literal["", "only", "name", "scores"] = ""


def by_name(question: str, documents: Pairs) -> Pointed:
    """Return the documents that the question calls by words of their names."""
    found: list[tuple[Library, Document]] = []
    for library in dict.fromkeys(library for library, _ in documents):
        own = {document.id: document for store, document in documents if store is library}
        lookup = lookups.read(question, library.overview().languages)
        paths = {i: own[i].path for i in sorted(own)}
        found += [(library, own[i]) for i in called(library, paths, lookup)]
    return Pointed(tuple(found), "name") if 0 < len(found) <= MAX_READ else Pointed()


def called(library: Library, paths: Mapping[int, str], lookup: Lookup) -> list[int]:
    """Return the documents that a question calls by words of their names, in the order in which it calls them best.

    The one that most words call comes first; the words left may call another: "compare the Orlo lease with the Tess
    contract". Of several that are called alike, those with the most of these words in their path are meant, since the
    first lines of an amendment name its contract too. Words that call more than `MAX_READ` documents call none.
    """
    there = paths.keys()
    if len(there) < 2:
        return []
    telling: dict[Group, set[int]] = {}
    for group, named in zip(lookup.groups, library.text.documents_named(lookup.groups), strict=True):
        own = set(named.tolist()).intersection(there)
        if 0 < len(own) < len(there):
            telling[group] = own
    languages = library.overview().languages or (FALLBACK,)
    found: list[int] = []
    while telling:
        weights: dict[int, float] = {}
        for own in telling.values():
            for i in own:
                weights[i] = weights.get(i, 0.0) + log(len(there) / len(own))
        best = sorted(i for i, weight in weights.items() if weight >= _BEST * max(weights.values()))
        terms = {i: {token.term for name in languages for token in tokens(paths[i], name)} for i in best}
        in_path = {i: sum(not terms[i].isdisjoint(group) for group in telling) for i in best}
        best = [i for i in best if in_path[i] == max(in_path.values())]
        if len(best) + len(found) > MAX_READ:
            break
        found += best
        telling = {group: own for group, own in telling.items() if not own.intersection(best)}
    return found


def by_scores(passages: Sequence[Passage], documents: Pairs) -> Pointed:
    """Return the document that holds most of the best passages (best first)."""
    best = [(passage.library, passage.document_id) for passage in passages[:OF_BEST]]
    if len(best) < OF_BEST or best.count(best[0]) < _MIN_OF_BEST:
        return Pointed()
    return Pointed(of_passage(passages[0], documents), "scores")


def of_passage(passage: Passage, documents: Pairs) -> tuple[tuple[Library, Document], ...]:
    """Return the document of a passage, where it is among these."""
    key = (passage.library, passage.document_id)
    return tuple(pair for pair in documents if (pair[0].name, pair[1].id) == key)[:1]
