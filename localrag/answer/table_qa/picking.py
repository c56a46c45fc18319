"""Which figures a calculation needs, picked by their labels (pure): the cell whose row and column say what is asked.

A cell is scored by how much of what the question calls it stands in its labels (weighted by how few cells have a
word), and how much of its row's label the question has (so that "Total assets" does not stand for "Assets held for
sale"). Figures that belong together stand in one row or one column: for years in one row, each in its year's column (or
the other way round); for a share or a difference of two things in one row or column. Where the labels do not bear the
question, or two places bear it alike with other figures, nothing is picked.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from localrag.answer.table_qa.asking import Wanted
from localrag.answer.table_qa.cells import UNNAMED, YEAR, Cell
from localrag.quantities import MONTHS
from localrag.store import text_analysis

# Below this score nothing is picked; and the second best, with other figures, must be this much worse.
ENOUGH, APART = 0.62, 0.03
COVERED = 0.3  # least share of what is asked that the labels of a figure have
_MOST = 24  # cells looked at for each thing
_SECTION = 0.6  # what a word that only the section has counts
_PHRASE = 0.15  # more for a label that stands in the question word by word
_ELSEWHERE = 0.8  # what a word counts against a cell that no label has
_TOTAL = re.compile(r"\b(?:sub)?total|\bsumme\b|\bgesamt|^all\b", re.I)
_TAIL = re.compile(r" (?:in|for|at|of|within|from|on|as|due)\b.+$| (?:quarter|month|half)\b.*$", re.I)
_NOTE = re.compile(r"\((?:\w|\d+)\)")
_RANGE = re.compile(r"\d+\s?[-–]\s?\d+|[<>]\s?\d+|\b(?:level|tier|stage|than|over|under|after|within) \d+", re.I)
_PERCENT = re.compile(r"percent|per cent|%|prozent|pourcent|porcent", re.I)
_TELLING = frozenset("other before after without".split())  # common words that tell one row from another
_EMPTY = (text_analysis.COMMON["english"] - _TELLING) | text_analysis.COMMON["german"] | frozenset(
    "amount amounts value values number figure figures year years fiscal ended period company "
    "respective overall billion million thousand".split()
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picked:
    """The figures of a calculation in the order that it takes them, and how well their labels bear the question."""

    cells: tuple[Cell, ...]
    score: float


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A cell with the terms of its labels, each with its share (1, or less for a word of the section alone)."""

    cell: Cell
    terms: Mapping[str, float]
    row: frozenset[str]
    column: frozenset[str]


class Picker:
    """Picks among the cells of some passages.

    Args:
        cells: all there are.
        about: for each passage, words that say what it is about: the name of its document, its headings.
        spoken: the language of the text, for stems.
    """

    def __init__(self, cells: Sequence[Cell], about: Sequence[str], spoken: str = "english") -> None:
        self._spoken = spoken
        self._about = [self._terms(words) for words in about]
        self._all = [self._labelled(cell) for cell in cells]
        held = Counter(term for one in self._all for term in one.terms)
        self._weights = {term: math.log(1 + len(self._all) / count) for term, count in held.items()}
        self._rarest = max(self._weights.values(), default=1.0)

    def pick(self, wanted: Wanted) -> Picked | None:
        """The figures of a calculation, if the labels leave no doubt."""
        found = sorted(self.candidates(wanted), key=lambda picked: (-round(picked.score, 6), -_latest(picked.cells)))
        if not found or found[0].score < ENOUGH:
            return None
        best = found[0]
        values = [cell.value for cell in best.cells]
        for other in found[1:]:
            if other.score < best.score - APART:
                break
            earlier = not wanted.years and 0 < _latest(other.cells) < _latest(best.cells)
            if [cell.value for cell in other.cells] != values and not earlier:
                return None
        return best

    def candidates(self, wanted: Wanted) -> Iterator[Picked]:
        """Every way to take the figures that comes into question."""
        if len(wanted.subjects) == 1:
            yield from self._over_years(wanted, wanted.subjects[0])
            if wanted.kind in ("average", "sum") and not wanted.years:
                yield from self._down(wanted.subjects[0])
            return
        if wanted.kind == "share":
            part, whole = wanted.whole, wanted.subjects[-1]
            yield from (one for one in self._together(wanted, (part, whole)) if self._bears(part, one.cells[0]))
            # "what proportion of level 2 inputs are bonds": the whole may be the total of a column.
            of_column = self._together(wanted, (f"{part} {whole}", f"total {whole}"))
            yield from (one for one in of_column if self._bears(part, one.cells[0]))
            if len(wanted.subjects) == 2:
                return
        elif wanted.whole:
            yield from self._over_years(wanted, wanted.whole)
        yield from self._together(wanted, wanted.subjects)
        # "between 1-90 and 91-180 days in low risk countries": what follows the last thing may be said of all of them.
        *others, last = wanted.subjects
        if tail := _TAIL.search(last):
            said = last[tail.start() :]
            yield from self._together(wanted, (*(f"{other}{said}" for other in others), last))

    # --- one thing in several years ---------------------------------------------------------------------------

    def _over_years(self, wanted: Wanted, subject: str) -> Iterator[Picked]:
        asked = self._terms(subject)
        lines: dict[tuple[int, str, int], list[_Labelled]] = defaultdict(list)
        for one in self._all:
            cell = one.cell
            if not cell.derived and len(cell.years) == 1:
                line = (cell.table, "row", cell.at[0]) if cell.across else (cell.table, "column", cell.at[1])
                lines[line].append(one)
        for cells in lines.values():
            for several in _taken(wanted, cells):
                score = min(self._score(one, asked, subject) for one in several)
                yield Picked(tuple(one.cell for one in several), score)

    def _down(self, subject: str) -> Iterator[Picked]:
        """The figures of a whole column but for its totals, where it or its section is what is asked for."""
        asked = self._terms(subject)
        columns: dict[tuple[int, int, str], list[tuple[_Labelled, frozenset[str]]]] = defaultdict(list)
        for one in self._all:
            if one.cell.years or one.cell.row == UNNAMED or _TOTAL.search(one.cell.row):
                continue
            section = self._terms(one.cell.section)
            for said, name in ((one.column, ""), (section, one.cell.section)):
                if said & asked:
                    columns[one.cell.table, one.cell.at[1], name].append((one, said))
        for several in columns.values():
            if len(several) > 1:
                of = [replace(one, row=said, terms=dict.fromkeys(said, 1.0)) for one, said in several]
                score = min(self._score(one, asked, subject) for one in of)
                yield Picked(tuple(one.cell for one, _ in several), score)

    # --- several things at one time ---------------------------------------------------------------------------

    def _together(self, wanted: Wanted, subjects: Sequence[str]) -> Iterator[Picked]:
        common = self._terms(wanted.common)
        every = [self._terms(subject) for subject in subjects]
        dated = [one for one in self._all if not one.cell.derived and self._in_time(one.cell, wanted)]
        ranked: list[list[tuple[float, _Labelled]]] = []
        for asked, subject in zip(every, subjects, strict=True):
            others = frozenset().union(*(terms for terms in every if terms is not asked)) - asked
            scored = [(self._score(one, asked, subject, common, others), one) for one in dated]
            ranked.append(sorted((pair for pair in scored if pair[0] > 0), key=lambda pair: -pair[0])[:_MOST])
        if len(ranked) > 4 or not all(ranked):
            return
        most = _MOST if len(ranked) == 2 else 8
        for combination in itertools.product(*(pairs[:most] for pairs in ranked)):
            cells = [one.cell for _, one in combination]
            if len({(cell.table, cell.at) for cell in cells}) < len(cells) or not _aligned(cells):
                continue
            yield Picked(tuple(cells), min(score for score, _ in combination))

    def _in_time(self, cell: Cell, wanted: Wanted) -> bool:
        return not wanted.years or not cell.years or bool(cell.years & set(wanted.years))

    def _bears(self, part: str, cell: Cell) -> bool:
        """Whether a row's label has some of each thing of a list: "Land" is not land and buildings."""
        label = self._terms(f"{cell.row} {cell.column}")
        return all(not (terms := self._terms(one)) or terms & label for one in re.split(r",? and ", part))

    # --- words ------------------------------------------------------------------------------------------------

    def _labelled(self, cell: Cell) -> _Labelled:
        named = cell.row != UNNAMED
        row, column = self._terms(cell.row if named else ""), self._terms(cell.column)
        around = (
            self._terms(f"{cell.section} {cell.caption}{'' if named else f' {UNNAMED}'}") | self._about[cell.passage]
        )
        terms = dict.fromkeys(around, _SECTION) | dict.fromkeys(row | column, 1.0)
        return _Labelled(cell, terms, row, column)

    def _terms(self, text: str) -> frozenset[str]:
        """The terms that tell things apart: without years, months and empty words."""
        text = _NOTE.sub(" ", YEAR.sub(" ", text.replace("/", " ")))
        ranges = {number for match in _RANGE.finditer(text) for number in re.findall(r"\d+", match[0])}
        return frozenset(
            token.term
            for token in text_analysis.tokens(text, self._spoken)
            # A lone small number is a day of a date or a footnote, unless it says from where to where.
            if token.word not in _EMPTY and token.word not in MONTHS
            and (len(token.word) > 2 or not token.word.isdigit() or token.word in ranges)
        )  # fmt: skip

    def _score(
        self, one: _Labelled, asked: frozenset[str], subject: str, common: frozenset[str] = frozenset(),
        others: frozenset[str] = frozenset(),
    ) -> float:  # fmt: skip
        """How well a cell's labels bear what is asked, 0 to 1."""
        if not asked:
            return 0.0
        weigh = self._weight
        whole = sum(weigh(term) for term in asked)
        met = sum(weigh(term) * one.terms.get(term, 0.0) for term in asked)
        if met < COVERED * whole:
            return 0.0
        shared = common | asked
        said = frozenset(one.row) or frozenset(one.terms)
        told = sum(weigh(term) for term in said)
        precise = sum(weigh(term) for term in said & (shared | others)) / told if told else 0.0
        own = sum(weigh(term) for term in said & others) / told if told else 0.0
        both = sum(weigh(term) * one.terms.get(term, 0.0) for term in common)
        more = both / sum(weigh(term) for term in common) if common else 1.0
        score = 0.65 * met / whole + 0.25 * precise + 0.1 * more - 0.25 * own
        if _PERCENT.search(subject) and one.cell.unit != "%":
            score -= 0.5  # a share that is said to have changed is given in percent
        elif one.cell.unit == "%" and not _PERCENT.search(subject):
            score -= 0.05  # amounts are meant rather than their shares beside them
        if one.cell.row and len(one.row) > 1 and _flat(one.cell.row) in _flat(subject):
            score += _PHRASE * sum(weigh(term) for term in one.row & asked) / whole
        return max(0.0, score)

    def _weight(self, term: str) -> float:
        return self._weights.get(term, self._rarest * _ELSEWHERE)


def _taken(wanted: Wanted, line: Sequence[_Labelled]) -> Iterator[Sequence[_Labelled]]:
    """The cells of a line for the years that are wanted: where a year has several, those of columns that read alike."""
    readings: tuple[Callable[[_Labelled], object], ...] = (
        lambda one: "",
        lambda one: one.column if one.cell.across else one.row,
        lambda one: _undated(one.cell.column if one.cell.across else one.cell.row),
    )
    for alike in readings:
        groups: dict[object, dict[int, list[_Labelled]]] = defaultdict(lambda: defaultdict(list))
        for one in line:
            groups[alike(one)][next(iter(one.cell.years))].append(one)
        found = False
        for at in groups.values():
            chosen = _years(wanted, sorted(at))
            if chosen is not None and all(len(at[year]) == 1 for year in chosen):
                yield [at[year][0] for year in chosen]
                found = True
        if found:
            return


def _undated(label: str) -> str:
    """A label without its years and days: "December 31, 2019" and "December 31, 2018" read alike."""
    return " ".join(re.sub(r"\d+", "", YEAR.sub("", label)).split())


def _latest(cells: Sequence[Cell]) -> int:
    return max((max(cell.years) for cell in cells if cell.years), default=0)


def _years(wanted: Wanted, known: Sequence[int]) -> Sequence[int] | None:
    """Which years of a line are taken; None where it lacks one."""
    if len(wanted.years) > 1:
        return wanted.years if set(wanted.years) <= set(known) else None
    if wanted.kind not in ("sum", "average"):
        if not wanted.years:
            return known[-2:] if len(known) > 1 else None
        before = [year for year in known if year < wanted.years[0]]
        return (before[-1], wanted.years[0]) if wanted.years[0] in known and before else None
    if wanted.years or len(known) < 2:
        return None
    return known


def _aligned(cells: Sequence[Cell]) -> bool:
    """Whether cells stand in one row, or in one column, of one table."""
    return len({cell.table for cell in cells}) == 1 and (
        len({cell.at[0] for cell in cells}) == 1 or len({cell.at[1] for cell in cells}) == 1
    )


def _flat(text: str) -> str:
    return " ".join(re.sub(r"\((?:\w|\d+)\)|[^\w\s]", " ", text.lower()).split())
