"""Hits put in order and made passages: what is known of documents, fairness among them, copies, and neighbours.

To the joined score of a hit comes what the question says of its document: that it is called so (its path, title or
first lines), that it is the newest of those, that the answer stands where it begins. Then the best hit is taken again
and again, and each one taken costs the others of its page, and of a document that the question names, a little: so
that one long document of several named does not crowd out the rest. Neighbours among the hits become one passage,
copies and drafts stand behind the best of them. The weights were measured (docs/decisions/0020-ranking.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localrag.store import locations as places
from localrag.store.library import Library, Standing, StoredChunk
from localrag.types import Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMED, NEWEST, OPENING, ROW = 0.5, 0.2, 0.25, 0.15
# Whoever puts words in quotes wants the passages that hold them, before all others.
PHRASED = 1.0
# What a hit costs the next ones of its document (where that is one of several named), and of its page.
CROWDED_DOCUMENT, CROWDED_PAGE = 0.03, 0.015
# Hits looked through for each passage wanted, and the most characters of neighbours that become one.
_DEPTH, _MOST_JOINED = 3, 2400
# The share of their words that passages of two drafts have in common where one stands for both.
_ALIKE = 0.9
_GAP = 80  # characters between two neighbours: white space, since all else is in some chunk


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit stands, and what the question says of its document.

    `named`: how far it is called so, from 0 to 1; `newest`: it is the latest of those; `one_of`: the question names
    several documents, and this is one of them.
    """

    row: Standing
    named: float = 0.0
    newest: bool = False
    one_of: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage of one library with its scores, and the places where it stands, the best first."""

    library: Library
    passage: int
    joined: float
    dense: float
    lexical: float
    places: tuple[Place, ...]
    opens: bool = False
    phrased: bool = False
    row: float = 0.0

    @property
    def score(self) -> float:
        place = self.places[0]
        known = NAMED * place.named + NEWEST * place.newest + OPENING * self.opens + PHRASED * self.phrased
        return self.joined + known + ROW * self.row


def in_turn(hits: Sequence[Hit], most: int, *, fair: bool = True) -> list[tuple[Hit, float]]:
    """The best hits, best first, and what each was worth in its turn: less where its page or document was there."""
    hits = sorted(hits, key=lambda hit: (hit.library.name, hit.passage))
    worth = np.array([hit.score for hit in hits])
    one_of = np.array([hit.places[0].one_of for hit in hits])
    documents = _numbered([(hit.library.name, hit.places[0].row.document_id) for hit in hits])
    pages = _numbered([(hit.library.name, *hit.places[0].row[1:3]) for hit in hits])
    taken: list[tuple[Hit, float]] = []
    for _ in range(min(most, len(hits))):
        best = int(np.argmax(worth))
        taken.append((hits[best], float(worth[best])))
        worth[best] = -np.inf
        if not fair:
            continue
        worth -= CROWDED_DOCUMENT * (one_of & (documents == documents[best]))
        if hits[best].places[0].row.number is not None:
            worth -= CROWDED_PAGE * (pages == pages[best])
    return taken


def _numbered(keys: Sequence[tuple[object, ...]]) -> NDArray[np.int64]:
    numbers: dict[tuple[object, ...], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def passages(hits: Sequence[Hit], k: int, *, join: bool = True, fair: bool = True) -> list[Passage]:
    """The k best passages, best first.

    Args:
        hits: of one search.
        k: most passages.
        join: neighbours on one page become one passage.
        fair: a hit costs the next ones of its page and document a little.
    """
    found: list[Passage] = []
    drafts = _drafts(hits)
    taken = in_turn(hits, _DEPTH * k, fair=fair)
    read = _read([hit for hit, _ in taken])
    for (hit, worth), passage in zip(taken, read, strict=True):
        if not _taken_in(found, passage, hit.library, drafts, join) and len(found) < k:
            found.append(replace(passage, score=worth))
    return found


def _read(hits: Sequence[Hit]) -> list[Passage]:
    """The hits with their text, and the names of the other places where it stands."""
    chunks: dict[tuple[str, int], list[StoredChunk]] = {}
    for name in dict.fromkeys(hit.library.name for hit in hits):
        own = [hit for hit in hits if hit.library.name == name]
        documents = sorted({place.row.document_id for hit in own for place in hit.places})
        for passage, rows in own[0].library.places([hit.passage for hit in own], documents).items():
            chunks[name, passage] = rows
    read = []
    for hit in hits:
        by_place = {(row.document_id, row.position, row.start): row for row in chunks[hit.library.name, hit.passage]}
        stands = [by_place[place.row.document_id, place.row.position, place.row.start] for place in hit.places]
        first, *others = (_at(hit, row) for row in stands)
        read.append(replace(first, also=tuple(map(_named, others))))
    return read


def _at(hit: Hit, row: StoredChunk) -> Passage:
    return Passage(
        library=hit.library.name, document=row.document, page=row.page, label=row.label, heading=row.heading,
        text=row.text, start=row.start, end=row.end, score=hit.score, document_id=row.document_id,
        position=row.position, signals=_signals(hit),
        unit=row.unit, spot=row.spot, header=row.header,
    )  # fmt: skip


def _signals(hit: Hit) -> dict[str, float]:
    """Both scores, and whether words in quotes stand here."""
    signals = {"dense": round(hit.dense, 6), "lexical": round(hit.lexical, 6)}
    return {**signals, "phrase": 1.0} if hit.phrased else signals


def _named(passage: Passage) -> str:
    return ", ".join(part for part in (passage.document, passage.place) if part)


# --- what is said already -----------------------------------------------------------------------------------


def _drafts(hits: Sequence[Hit]) -> set[tuple[str, int, int]]:
    """The pairs of documents among the hits that say nearly the same, each with its library, in both orders."""
    documents: dict[str, tuple[Library, set[int]]] = {}
    for hit in hits:
        documents.setdefault(hit.library.name, (hit.library, set()))[1].add(hit.places[0].row.document_id)
    return {
        (name, *pair)
        for name, (library, ids) in documents.items()
        for one, other in library.near(sorted(ids))
        for pair in ((one, other), (other, one))
    }


def _taken_in(
    found: list[Passage], passage: Passage, library: Library, drafts: set[tuple[str, int, int]], join: bool
) -> bool:
    """True where one of the better passages says this already, or has become one with it."""
    for i, better in enumerate(found):
        pair = better.library, better.document_id, passage.document_id
        if pair in drafts and better.library == passage.library and _same(better, passage):
            also = dict.fromkeys([*better.also, _named(passage), *passage.also])
            found[i] = replace(better, also=tuple(also))
            return True
        if join and _may_be_one(better, passage):
            found[i] = one(better, passage, library)
            _close_up(found, i, library)
            return True
    return False


def _may_be_one(first: Passage, second: Passage) -> bool:
    length = max(first.end, second.end) - min(first.start, second.start)
    return neighbours(first, second, _GAP) and length <= _MOST_JOINED


def _close_up(found: list[Passage], i: int, library: Library) -> None:
    """What has grown may have reached another of those found: the better of the two takes the other in."""
    while (j := next((j for j, at in enumerate(found) if j != i and _may_be_one(found[i], at)), None)) is not None:
        first, second = sorted((i, j))
        found[first] = one(found[first], found.pop(second), library)
        i = first


def neighbours(first: Passage, second: Passage, gap: int) -> bool:
    """True where two passages of one page overlap, or are parted by no more than `gap` characters."""
    one, other = ((passage.library, passage.document_id, passage.position) for passage in (first, second))
    return one == other and second.start <= first.end + gap and first.start <= second.end + gap


def one(better: Passage, other: Passage, library: Library) -> Passage:
    """Two neighbours as one passage, with the score and heading of the better one."""
    start, end = min(better.start, other.start), max(better.end, other.end)
    first = min(better, other, key=lambda passage: passage.start)
    page = library.page(better.document_id, better.position)
    if page is None:
        return better
    return replace(
        better, start=start, end=end, text=page.text[start:end], header=first.header,
        spot=places.spot(page.text, page.anchors, start, end) if page.anchors else "",
    )  # fmt: skip


_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


def _same(better: Passage, passage: Passage) -> bool:
    """Whether two passages of drafts say the same: nearly all words, and every number."""
    if _NUMBER.findall(better.text) != _NUMBER.findall(passage.text):
        return False
    one, other = set(_WORD.findall(better.text.lower())), set(_WORD.findall(passage.text.lower()))
    return len(one & other) >= _ALIKE * len(one | other)
