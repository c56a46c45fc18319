"""Sort hits and make passages of them: what is known of documents, fairness, copies, and neighbours.

The best hit is taken repeatedly, and each one taken lowers the others of its document where the question names
several. Adjacent hits become one passage; copies and drafts are listed with the best of them. The
weights were measured (docs/decisions/0020-ranking.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from localrag.question.lookup import Lookup
from localrag.store import locations
from localrag.store.library import Library, PassageSpan, StoredChunk
from localrag.store.text_analysis import COMMON, folded, tokens
from localrag.text import structure_number
from localrag.types import Passage, source

if TYPE_CHECKING:
    from numpy.typing import NDArray

DENSE, NAMED, NEWEST, OPENING, ROW, TITLE = 0.5, 0.5, 0.2, 0.25, 0.15, 0.25
# Passages that hold the words in quotes, or define a term, come before all others.
PHRASED = 1.0
# What a hit costs the next ones of its document, where that is one of several named.
CROWDED_DOCUMENT = 0.03
# Hits examined for each passage wanted, and the maximum characters of neighbours that become one.
_DEPTH, _MAX_JOINED = 3, 2400
# The share of common words from which a passage of one draft stands for that of another.
_ALIKE = 0.9
_GAP = 80  # characters between two neighbours: white space, since all else is in some chunk


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit is, and what the question says of its document."""

    row: PassageSpan
    named: float = 0.0  # how far the document is called so, from 0 to 1
    newest: bool = False  # it is the latest of those
    one_of: bool = False  # the question names several documents, and this is one of them


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage of one library with its scores, and the places where it is, the best first."""

    library: Library
    passage: int
    dense: float
    lexical: float
    places: tuple[Place, ...]
    opens: bool = False
    phrased: bool = False
    row: float = 0.0
    title: float = 0.0  # how well a title fits a part that the question points to
    defines: bool = False  # it says what the term means that is asked for

    @property
    def score(self) -> float:
        place = self.places[0]
        found = DENSE * self.dense + (1 - DENSE) * self.lexical + ROW * self.row + TITLE * self.title
        known = NAMED * place.named + NEWEST * place.newest + OPENING * self.opens
        return found + known + PHRASED * (self.phrased + self.defines)


def in_turn(hits: Sequence[Hit], limit: int) -> list[tuple[Hit, float]]:
    """Return the best hits, best first, each with its score when it was taken."""
    hits = sorted(hits, key=lambda hit: (hit.library.name, hit.passage))
    worth = np.array([hit.score for hit in hits])
    one_of = np.array([hit.places[0].one_of for hit in hits])
    documents = _numbered([(hit.library.name, hit.places[0].row.document_id) for hit in hits])
    taken: list[tuple[Hit, float]] = []
    for _ in range(min(limit, len(hits))):
        best = int(np.argmax(worth))
        taken.append((hits[best], float(worth[best])))
        worth[best] = -np.inf
        worth -= CROWDED_DOCUMENT * (one_of & (documents == documents[best]))
    return taken


def _numbered(keys: Sequence[tuple[object, ...]]) -> NDArray[np.int64]:
    numbers: dict[tuple[object, ...], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def passages(hits: Sequence[Hit], k: int, *, join: bool = True) -> list[Passage]:
    """Return the k best passages of one search, best first; with `join`, neighbours on one page become one."""
    found: list[Passage] = []
    drafts = _drafts(hits)
    taken = in_turn(hits, _DEPTH * k)
    read = _read([hit for hit, _ in taken])
    for (hit, worth), passage in zip(taken, read, strict=True):
        if not _absorbed(found, passage, hit.library, drafts, join) and len(found) < k:
            found.append(replace(passage, score=worth))
    return found


def interleaved(found: Sequence[Sequence[Passage]], k: int) -> list[Passage]:
    """Return the first k of several lists of passages, in turns, each passage once."""
    if len(found) < 2:
        return list(found[0]) if found else []
    taken: list[Passage] = []
    for turn in zip_longest(*found):
        for passage in turn:
            if passage is not None and not any(neighbours(passage, other, 0) for other in taken):
                taken.append(passage)
    return taken[:k]


def _read(hits: Sequence[Hit]) -> list[Passage]:
    """Return the hits with their text, and the names of the other places where it is."""
    chunks: dict[tuple[str, int], list[StoredChunk]] = {}
    for name in dict.fromkeys(hit.library.name for hit in hits):
        own = [hit for hit in hits if hit.library.name == name]
        documents = sorted({place.row.document_id for hit in own for place in hit.places})
        for passage, rows in own[0].library.chunks_of_passages([hit.passage for hit in own], documents).items():
            chunks[name, passage] = rows
    read = []
    for hit in hits:
        by_place = {(row.document_id, row.position, row.start): row for row in chunks[hit.library.name, hit.passage]}
        rows = [by_place[place.row.document_id, place.row.position, place.row.start] for place in hit.places]
        first, *others = (_at(hit, row) for row in rows)
        read.append(replace(first, also=tuple(source(other.document, other.place) for other in others)))
    return read


def _at(hit: Hit, row: StoredChunk) -> Passage:
    signals = {"dense": round(hit.dense, 6), "lexical": round(hit.lexical, 6)}
    signals = {**signals, "phrase": 1.0} if hit.phrased else signals
    return replace(as_passage(hit.library, row), score=hit.score, signals=signals)


def as_passage(library: Library, row: StoredChunk) -> Passage:
    """Return a chunk as the passage that a search finds, without a score."""
    return Passage(
        library=library.name,
        document=row.document,
        page=row.page,
        label=row.label,
        heading=row.heading,
        text=row.text,
        start=row.start,
        end=row.end,
        score=0.0,
        document_id=row.document_id,
        position=row.position,
        unit=row.unit,
        spot=row.spot,
        header=row.header,
    )


def _drafts(hits: Sequence[Hit]) -> set[tuple[str, int, int]]:
    """Return the pairs of documents among the hits that say nearly the same, with their library, in both orders."""
    documents: dict[str, tuple[Library, set[int]]] = {}
    for hit in hits:
        documents.setdefault(hit.library.name, (hit.library, set()))[1].add(hit.places[0].row.document_id)
    return {
        (name, *pair)
        for name, (library, ids) in documents.items()
        for one, other in library.near_pairs(sorted(ids))
        for pair in ((one, other), (other, one))
    }


def _absorbed(
    found: list[Passage], passage: Passage, library: Library, drafts: set[tuple[str, int, int]], join: bool
) -> bool:
    """Return whether one of the better passages says this already, or has become one with it."""
    for i, better in enumerate(found):
        pair = better.library, better.document_id, passage.document_id
        if pair in drafts and better.library == passage.library and _same(better, passage):
            also = dict.fromkeys([*better.also, source(passage.document, passage.place), *passage.also])
            found[i] = replace(better, also=tuple(also))
            return True
        if join and _joinable(better, passage):
            found[i] = joined(better, passage, library)
            # It may now reach others.
            while (
                j := next((j for j, at in enumerate(found) if j != i and _joinable(found[i], at)), None)
            ) is not None:
                i, second = sorted((i, j))
                found[i] = joined(found[i], found.pop(second), library)
            return True
    return False


def _joinable(first: Passage, second: Passage) -> bool:
    length = max(first.end, second.end) - min(first.start, second.start)
    return neighbours(first, second, _GAP) and length <= _MAX_JOINED


def neighbours(first: Passage, second: Passage, gap: int) -> bool:
    """Return whether two passages of one page overlap, or are at most `gap` characters apart."""
    one, other = ((passage.library, passage.document_id, passage.position) for passage in (first, second))
    return one == other and second.start <= first.end + gap and first.start <= second.end + gap


def joined(better: Passage, other: Passage, library: Library) -> Passage:
    """Return two neighbours as one passage, with the score and heading of the better one."""
    start, end = min(better.start, other.start), max(better.end, other.end)
    first = min(better, other, key=lambda passage: passage.start)
    page = library.page(better.document_id, better.position)
    if page is None:
        return better
    return replace(
        better,
        start=start,
        end=end,
        text=page.text[start:end],
        header=first.header,
        spot=locations.spot(page.text, page.anchors, start, end) if page.anchors else "",
    )


_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+")


def _same(better: Passage, passage: Passage) -> bool:
    """Return whether two passages of drafts share nearly all words, and every number."""
    if _NUMBER.findall(better.text) != _NUMBER.findall(passage.text):
        return False
    one, other = set(_WORD.findall(better.text.lower())), set(_WORD.findall(passage.text.lower()))
    return len(one & other) >= _ALIKE * len(one | other)


_COMMON = {name: frozenset(map(folded, words)) for name, words in COMMON.items()}


def row_fit(text: str, groups: Sequence[tuple[str, ...]], language: str) -> float:
    """Return how well a table row's label fits the question, at best: F1 of their words, from 0 to 1.

    A row hardly changes a passage's vector, but a label with nearly all words of the question and few others is the
    answer's own line: "What was the gross margin?", "| Gross margin | 36 |".
    """
    wanted = {term: i for i, group in enumerate(groups) for term in group}
    common = _COMMON.get(language, _COMMON["english"])
    found = 0.0
    for label in row_labels(text):
        terms = {token.term for token in tokens(label, language) if token.word not in common}
        if terms and len(terms) <= 2 * len(groups):
            met = {wanted[term] for term in terms if term in wanted}
            found = max(found, 2 * len(met) / (len(terms) + len(groups)))
    return found


def row_labels(text: str) -> Iterator[str]:
    """Yield the label of each row that holds figures: its first cell, if that is no figure itself."""
    for line in text.split("\n"):
        if line.startswith("| ") and _NUMBER.search(line):
            label = line[2:].split(" | ", 1)[0].rstrip(" |")
            if sum(c.isalpha() for c in label) >= 3:
                yield label


_TITLE_LINES, _MAX_TITLE_WORDS = 4, 12


class Titles:
    """How well the titles of passages fit the parts of documents that a question points to."""

    def __init__(self, lookup: Lookup, language: str) -> None:
        self._language, self._numbers = language, lookup.numbers
        self._common = _COMMON.get(language, _COMMON["english"])
        named = [self._terms(name) for name in lookup.parts]
        self._names = {terms[0] for terms in named if len(terms) == 1}
        self._pairs = {pair for terms in named for pair in pairwise(terms)}
        self._fit = cache(self._fit_of)

    def fit(self, chunk: StoredChunk) -> float:
        """Return how well the best title fits, from 0 to 1.

        The titles are the last headings, the table's caption, and the lines above a table.
        """
        if not (self._names or self._pairs or self._numbers):
            return 0.0
        above = chunk.text.partition("| ")[0] if "| " in chunk.text else ""
        lines = [*chunk.header.partition("|")[0].split("\n")[:_TITLE_LINES], *above.split("\n")[:_TITLE_LINES]]
        return max(map(self._fit, filter(str.strip, (*chunk.heading[-2:], *lines))), default=0.0)

    def _fit_of(self, title: str) -> float:
        """Return the share of its words that follow each other in a name of such a part; 1 for the number named."""
        number = structure_number(title) if self._numbers else None
        # "4. Leases" may be note 4.
        if number and (number in self._numbers or (number[0] == "section" and ("note", number[1]) in self._numbers)):
            return 1.0
        terms = self._terms(title)[:_MAX_TITLE_WORDS]
        if len(terms) == 1:
            return float(terms[0] in self._names)
        most = run = 0
        for pair in pairwise(terms):
            run = run + 1 if pair in self._pairs else 0
            most = max(most, run)
        return (most + 1) / len(terms) if most else 0.0

    def _terms(self, text: str) -> list[str]:
        return [token.term for token in tokens(text, self._language) if token.word not in self._common]


def defines(text: str, term: Sequence[str]) -> bool:
    """Return whether a text says what a term means: "X" means ..., "X" shall mean ..., (the "X")."""
    words = r"\W+".join(map(re.escape, term))
    quoted = rf"[\"“”'‘’]\s*{words}\s*[\"“”'‘’]"
    means = rf"(?:{quoted}[^.;]{{0,60}}?|\b{words})\s+(?:shall |will )?(?:means?|ha(?:s|ve) the meanings?|is defined)\b"
    return bool(re.search(rf"{means}|\([^()]{{0,40}}{quoted}", folded(text)))
