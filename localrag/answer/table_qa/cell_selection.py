"""Select the figures that a calculation needs by the labels of their rows and columns.

A cell's score is the share of the question's words in its labels, weighted by rarity, and of its row's label in the
question. Figures that belong together are in one row or one column. In doubt none is selected.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from localrag.grounding.cells import UNNAMED, Cell
from localrag.quantities import MONTHS, YEAR
from localrag.question.calculation import Request
from localrag.store import text_analysis

_MIN_SCORE = 0.62
_MIN_LEAD = 0.03  # over the next cells with other figures
_MIN_COVERED = 0.3  # share of the wanted words that a cell's labels must have
_MAX_CELLS = 24  # looked at for each thing
_SECTION = 0.6  # weight of a word that only the section has
_PHRASE = 0.15  # added for a label that is in the question word by word
_ELSEWHERE = 0.8  # weight of a word that no label has
_TOTAL = re.compile(r"\b(?:sub)?total|\bsumme\b|\bgesamt|^all\b", re.I)
_PERCENT = re.compile(r"percent|per cent|%|prozent|pourcent|porcent", re.I)
_DISTINGUISHING = frozenset("other before after without".split())  # common words that tell rows apart
_EMPTY = (
    (text_analysis.COMMON["english"] - _DISTINGUISHING)
    | text_analysis.COMMON["german"]
    | frozenset(
        "amount amounts value values number figure figures year years fiscal ended period company "
        "respective overall billion million thousand".split()
    )
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Figures in the order of their calculation, with the score of their labels."""

    cells: tuple[Cell, ...]
    score: float


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A cell with the terms of its labels and their weights (less than 1 for a word of the section alone)."""

    cell: Cell
    terms: Mapping[str, float]
    row: frozenset[str]
    column: frozenset[str]


class Selector:
    """Selects among the cells of some passages; `about` has words about each, such as its document and headings."""

    def __init__(self, cells: Sequence[Cell], about: Sequence[str], language: str = "english") -> None:
        self._language = language
        self._about = [self._terms(words) for words in about]
        self._all: list[_Labelled] = []
        for cell in cells:
            name, unnamed = (cell.row, "") if cell.row != UNNAMED else ("", UNNAMED)
            row, column = self._terms(name), self._terms(cell.column)
            around = self._terms(f"{cell.section} {cell.caption} {unnamed}") | self._about[cell.passage]
            terms = dict.fromkeys(around, _SECTION) | dict.fromkeys(row | column, 1.0)
            self._all.append(_Labelled(cell, terms, row, column))
        held = Counter(term for one in self._all for term in one.terms)
        self._weights = {term: math.log(1 + len(self._all) / count) for term, count in held.items()}
        self._rarest = max(self._weights.values(), default=1.0)

    def select(self, request: Request) -> tuple[Cell, ...] | None:
        """Return the figures of a calculation, or None if the labels leave a doubt."""
        found = sorted(self.candidates(request), key=lambda one: (-round(one.score, 6), -_latest(one.cells)))
        if not found or found[0].score < _MIN_SCORE:
            return None
        best = found[0]
        values = [cell.value for cell in best.cells]
        for other in found[1:]:
            if other.score < best.score - _MIN_LEAD:
                break
            earlier = not request.years and 0 < _latest(other.cells) < _latest(best.cells)
            if [cell.value for cell in other.cells] != values and not earlier:
                return None
        return best.cells

    def candidates(self, request: Request) -> Iterator[_Candidate]:
        """Yield every way to take the figures."""
        if len(request.subjects) == 1:
            yield from self._over_years(request, request.subjects[0])
            if request.kind in ("average", "sum") and not request.years:
                yield from self._down(request.subjects[0])
            return
        if request.kind == "share":
            yield from self._together(request, (request.whole, request.subjects[-1]))
            if len(request.subjects) == 2:
                return
        elif request.whole:
            yield from self._over_years(request, request.whole)
        yield from self._together(request, request.subjects)

    def _over_years(self, request: Request, subject: str) -> Iterator[_Candidate]:
        wanted = self._terms(subject)
        lines: dict[tuple[int, str, int], list[_Labelled]] = defaultdict(list)
        for one in self._all:
            cell = one.cell
            if not cell.derived and len(cell.years) == 1:
                line = (cell.table, "row", cell.at[0]) if cell.across else (cell.table, "column", cell.at[1])
                lines[line].append(one)
        for cells in lines.values():
            for several in _taken(request, cells):
                score = min(self._score(one, wanted, subject) for one in several)
                yield _Candidate(tuple(one.cell for one in several), score)

    def _down(self, subject: str) -> Iterator[_Candidate]:
        """Yield the figures of a whole column without its totals, if it or its section is what the question names."""
        wanted = self._terms(subject)
        columns: dict[tuple[int, int, str], list[tuple[_Labelled, frozenset[str]]]] = defaultdict(list)
        for one in self._all:
            if one.cell.years or one.cell.row == UNNAMED or _TOTAL.search(one.cell.row):
                continue
            section = self._terms(one.cell.section)
            for terms, name in ((one.column, ""), (section, one.cell.section)):
                if terms & wanted:
                    columns[one.cell.table, one.cell.at[1], name].append((one, terms))
        for several in columns.values():
            if len(several) > 1:
                named = [replace(one, row=terms, terms=dict.fromkeys(terms, 1.0)) for one, terms in several]
                score = min(self._score(one, wanted, subject) for one in named)
                yield _Candidate(tuple(one.cell for one, _ in several), score)

    def _together(self, request: Request, subjects: Sequence[str]) -> Iterator[_Candidate]:
        common = self._terms(request.common)
        every = [self._terms(subject) for subject in subjects]
        times = set(request.years)
        dated = [
            one
            for one in self._all
            if not one.cell.derived and (not times or not one.cell.years or one.cell.years & times)
        ]
        ranked: list[list[tuple[float, _Labelled]]] = []
        for wanted, subject in zip(every, subjects, strict=True):
            others = frozenset().union(*(terms for terms in every if terms is not wanted)) - wanted
            scored = [(self._score(one, wanted, subject, common, others), one) for one in dated]
            ranked.append(sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])[:_MAX_CELLS])
        if len(ranked) > 4 or not all(ranked):
            return
        most = _MAX_CELLS if len(ranked) == 2 else 8
        for combination in itertools.product(*(pairs[:most] for pairs in ranked)):
            cells = tuple(one.cell for _, one in combination)
            places = {(cell.table, cell.at) for cell in cells}
            rows, columns = {(table, at[0]) for table, at in places}, {(table, at[1]) for table, at in places}
            # Different cells, in one row or one column of one table.
            if len(places) == len(cells) and 1 in (len(rows), len(columns)):
                yield _Candidate(cells, min(score for score, _ in combination))

    def _terms(self, text: str) -> frozenset[str]:
        """Return the terms that tell things apart: without years, months and empty words."""
        return frozenset(
            token.term
            for token in text_analysis.tokens(YEAR.sub(" ", text.replace("/", " ")), self._language)
            # A small number is a day or a footnote.
            if token.word not in _EMPTY
            and token.word not in MONTHS
            and (len(token.word) > 2 or not token.word.isdigit())
        )

    def _score(
        self,
        one: _Labelled,
        wanted: frozenset[str],
        subject: str,
        common: frozenset[str] = frozenset(),
        others: frozenset[str] = frozenset(),
    ) -> float:
        """Return how well a cell's labels fit what is wanted, 0 to 1."""

        def weigh(terms: Iterable[str], of: Mapping[str, float] | None = None) -> float:
            unknown = self._rarest * _ELSEWHERE
            return sum(self._weights.get(term, unknown) * (1.0 if of is None else of.get(term, 0.0)) for term in terms)

        whole, met = weigh(wanted), weigh(wanted, one.terms)
        if not wanted or met < _MIN_COVERED * whole:
            return 0.0
        label = one.row or frozenset(one.terms)
        weight = weigh(label) or 1.0
        precise, own = weigh(label & (common | wanted | others)) / weight, weigh(label & others) / weight
        more = weigh(common, one.terms) / weigh(common) if common else 1.0
        score = 0.65 * met / whole + 0.25 * precise + 0.1 * more - 0.25 * own
        if _PERCENT.search(subject) and one.cell.unit != "%":
            score -= 0.5  # a share that is said to have changed is given in percent
        elif one.cell.unit == "%" and not _PERCENT.search(subject):
            score -= 0.05  # amounts are meant rather than their shares beside them
        if one.cell.row and len(one.row) > 1 and _flat(one.cell.row) in _flat(subject):
            score += _PHRASE * weigh(one.row & wanted) / whole
        return max(0.0, score)


def _taken(request: Request, line: Sequence[_Labelled]) -> Iterator[Sequence[_Labelled]]:
    """Yield the cells of a line for the wanted years; if a year has several, those of columns that read alike."""
    readings: tuple[Callable[[_Labelled], object], ...] = (
        lambda one: "",
        lambda one: one.column if one.cell.across else one.row,
        # "December 31, 2019" and "December 31, 2018" read alike.
        lambda one: re.sub(r"\d+|\s", "", YEAR.sub("", one.cell.column if one.cell.across else one.cell.row)),
    )
    for alike in readings:
        groups: dict[object, dict[int, list[_Labelled]]] = defaultdict(lambda: defaultdict(list))
        for one in line:
            groups[alike(one)][next(iter(one.cell.years))].append(one)
        chosen = [(at, _years(request, sorted(at))) for at in groups.values()]
        fits = [[at[year] for year in years] for at, years in chosen if years is not None]
        if found := [[one for (one,) in several] for several in fits if all(len(one) == 1 for one in several)]:
            yield from found
            return


def _latest(cells: Sequence[Cell]) -> int:
    return max((max(cell.years) for cell in cells if cell.years), default=0)


def _years(request: Request, known: Sequence[int]) -> Sequence[int] | None:
    """Return the years of a line to take, or None if it lacks one."""
    if len(request.years) > 1:
        return request.years if set(request.years) <= set(known) else None
    if request.kind in ("sum", "average"):
        return None if request.years or len(known) < 2 else known
    if not request.years:
        return known[-2:] if len(known) > 1 else None
    before = [year for year in known if year < request.years[0]]
    return (before[-1], request.years[0]) if request.years[0] in known and before else None


def _flat(text: str) -> str:
    return " ".join(re.sub(r"\((?:\w|\d+)\)|[^\w\s]", " ", text.lower()).split())
