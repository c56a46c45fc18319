"""Read the figures of a document's tables: each with its labels, the statement it stands in, and its period."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, partial
from itertools import groupby
from typing import Any, Literal

from localrag.figures import periods
from localrag.figures.periods import Period
from localrag.grounding import cells
from localrag.grounding.cells import UNNAMED, Cell
from localrag.quantities import SCALES, YEAR, find_dates, find_months, lazy_re
from localrag.store.text_analysis import COMMON
from localrag.types import Page, Passage

Measure = Literal["money", "percent", "per share", "count"]
_OF = r"\bstatements? of (?:consolidated )?"
_STATEMENTS = {
    "cash": lazy_re(rf"{_OF}cash flows?\b|\bcash flows? statements?\b", re.I),
    "balance": lazy_re(rf"\bbalance sheets?\b|{_OF}financial (?:position|condition)\b", re.I),
    "equity": lazy_re(rf"{_OF}(?:changes in )?(?:\w{{1,20}} )?(?:stock|share)holders[’'] equity\b", re.I),
    "comprehensive": lazy_re(rf"{_OF}comprehensive\b", re.I),
    "income": lazy_re(
        rf"{_OF}(?:income|operations|earnings|profit)\b|\bincome statements?\b|\bprofit and loss\b", re.I
    ),
}
# What stands in the head of a column besides its name and its period.
_LENGTHS = lazy_re(
    r"\b(?:(?:three|six|nine|twelve|3|6|9|12) months|quarters?|(?:fiscal )?years?|period)\s{1,9}ended\b"
    r"|\bas of\b|\bat\b|\bended\b|\((?:un)?audited\)|\bin (?:thousands|millions|billions)\b",
    re.I,
)
_PER_SHARE = re.compile(r"\bper\b.{0,40}\bshares?\b|\beps\b", re.I)
_SHARES_USED = re.compile(r"\bweighted\b|\bshares used\b", re.I)
_COUNTED = re.compile(r"\b(?:shares|number|employees|staff|people|units|headcount|stores|days|weighted)\b", re.I)
_PERCENT = re.compile(r"%|\bper ?cent(?:age)?\b", re.I)
_LEADS = re.compile(r"(?:,?\s{0,3}\b(?:relying|based|using|drawing|on|in|from|by|of|the|its|their)\b){1,6}\s*$", re.I)
_NOTE = re.compile(r"\(\w\)|\*")  # a note below a statement
_MAX_PAGE = 1_000_000  # characters: a longer sheet holds records, of which each is looked up
_LAST_YEAR = re.compile(r"\b((?:19|20)\d\d)$")
_CENTS = -2  # the exponent of an amount with cents
_DIGITS = re.compile(r"\d\d")
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A figure of a table: its cell, the page and the kind of statement that it stands on, and its period.

    `column` are the words of its column that tell no period.
    """

    cell: Cell
    position: int
    statement: str
    title: str
    period: Period | None
    column: str

    @property
    def row(self) -> str:
        return "" if self.cell.row == UNNAMED else self.cell.row

    @property
    def measure(self) -> Measure:
        """What it measures by its labels and its unit; what cash flows and a balance sheet have is money."""
        found = measure(_labels(self.cell), self.cell.unit)
        return "money" if found == "count" and self.statement in ("cash", "balance") else found

    @property
    def value(self) -> Decimal:
        """The figure in single units: of "1,178" in a table of thousands 1,178,000."""
        return self.cell.value.scaleb(SCALES.get(self.cell.scale, 0))


def read(pages: Sequence[Page], about: Period | None) -> list[Entry]:
    """Return the figures of all pages; `about` is the period that a report is about."""
    # What heads a column or a table is read once for all the figures below it.
    at, kind, words = cache(partial(periods.of_column, own=about)), cache(statement_of), cache(_words)
    found: list[Entry] = []
    for position, page in enumerate(pages):
        if "| " not in page.text or len(page.text) > _MAX_PAGE:
            continue
        passage = Passage("", "", page.number, page.label, (), page.text, 0, len(page.text), 0.0, position=position)
        found_here = list(_in_money(cells.find([passage])))
        heads = _heads(found_here)
        for cell in found_here:
            heading = next((one.title for one in reversed(page.headings) if one.start <= cell.line), "")
            title = f"{heading} {cell.caption}".strip()
            statement = "" if _NOTE.match(cell.section) else kind(title)
            row = cell.row if _dated(cell.row) else ""
            around = (row, cell.section, cell.corner, cell.caption, heading)
            period = _lasting(at(heads[cell.table, cell.at[1], cell.column], around), statement, about)
            found.append(Entry(cell, position, statement, title, period, words(cell.column)))
    return found


def _heads(found: Iterable[Cell]) -> dict[tuple[int, int, str], str]:
    """Return the words that tell the period of each column, by its table, its place and its own words.

    A PDF has words that stand over several columns in one of them: "2023 | Three Months Ended March 31, 2022 | 2023 |
    Nine Months Ended March 31, 2022" are two groups of two columns.
    """
    heads: dict[tuple[int, int, str], str] = {}
    for table, of_table in groupby(found, key=lambda cell: cell.table):
        columns: dict[int, str] = {}
        for cell in of_table:
            if columns.get(cell.at[1], cell.column) != cell.column:  # another header begins
                heads |= {(table, *at): words for at, words in _spread(columns).items()}
                columns = {}
            if not cell.derived:
                columns[cell.at[1]] = cell.column
            heads.setdefault((table, cell.at[1], cell.column), cell.column)
        heads |= {(table, *at): words for at, words in _spread(columns).items()}
    return heads


def _spread(columns: Mapping[int, str]) -> dict[tuple[int, str], str]:
    """Return the heads of columns that share words which stand over one of them."""
    order = sorted(columns.items())
    last = [match[1] for _, words in order if (match := _LAST_YEAR.search(words))]
    if len(last) == len(set(last)) == len(order) and any(len(YEAR.findall(words)) > 1 for _, words in order):
        sentence = YEAR.sub(" ", " ".join(words for _, words in order))  # broken over the heads
        return {one: f"{sentence} {year}" for one, year in zip(order, last, strict=True)}
    over = [one for one in order if _tells_period(one[1])]
    size = len(order) // len(over) if over else 0
    if size < 2 or size * len(over) != len(order):
        return {}
    made = {}
    for first, shared in zip(range(0, len(order), size), over, strict=True):
        group = order[first : first + size]
        named = [match[0] for _, words in group if (match := YEAR.search(words))]
        if [one for one in group if one in over] != [shared] or len(set(named)) < len(named):
            return {}
        for one in group:
            words = YEAR.sub(" ", shared[1]) if YEAR.search(one[1]) else shared[1]
            made[one] = shared[1] if one == shared else f"{words} {one[1]}"
    return made


def _tells_period(column: str) -> bool:
    return periods.length(column) is not None or any(find_dates(column)) or any(find_months(column))


def _lasting(at: Period | None, statement: str, about: Period | None) -> Period | None:
    """Return a period with its months where its statement tells them: a balance is of a day, an annual income of 12."""
    if at is None or at.months is not None:
        return at
    annual = statement in ("income", "cash", "comprehensive") and about is not None and about.months == 12
    return at._replace(months=0 if statement == "balance" else 12 if annual else None)


def _in_money(found: Sequence[Cell]) -> Iterator[Cell]:
    """Yield cells with the currency of their table, where only its first and last rows show it.

    Below shares that earnings are counted with, up to the next sign of a currency, are shares. An amount with cents
    among whole ones is of one share.
    """
    money = {cell.table: cell.unit for cell in reversed(found) if cell.unit not in ("", "%")}
    whole = Counter(cell.table for cell in found if cell.value == int(cell.value))
    every = Counter(cell.table for cell in found if cell.unit != "%")
    shares: set[int] = set()
    for cell in found:
        cents = cell.value.as_tuple().exponent == _CENTS and 2 * whole[cell.table] > every[cell.table]
        if cents or measure(_labels(cell), cell.unit) == "per share":
            cell = replace(cell, scale="")
        if cell.unit:
            shares.discard(cell.table)
        elif _SHARES_USED.search(cell.row):
            shares.add(cell.table)
        known = cell.unit or cell.table not in money or cell.table in shares or measure(_labels(cell)) == "count"
        yield cell if known else replace(cell, unit=money[cell.table])


def _labels(cell: Cell) -> str:
    return f"{cell.row} {cell.section} {cell.column}"


def measure(words: str, unit: str = "") -> Measure:
    """Return what words and a unit measure: money, a percentage, an amount of one share, or a number of things."""
    if unit == "%" or _PERCENT.search(words):
        return "percent"
    if _PER_SHARE.search(words) and not _SHARES_USED.search(words):
        return "per share"
    return "count" if not unit and _COUNTED.search(words) else "money"


def rows(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    """Return figures as a library stores them, in the columns `store.library.FIGURE`."""
    found = []
    for one in entries:
        cell, at = one.cell, one.period
        place = (one.position, cell.start, cell.end, cell.line, cell.stop)
        what = (cell.text, str(cell.value), cell.unit, cell.scale, cell.row, cell.column, cell.section)
        when = (at.year, at.month, at.months) if at else (None, None, None)
        found.append((*place, *what, one.column, one.statement, one.title, *when))
    return found


def stored(found: Iterable[tuple[Any, ...]]) -> Iterator[Entry]:
    """Yield the figures of rows that a library stores."""
    for position, start, end, line, stop, text, value, unit, scale, row, column, section, *more in found:
        words, statement, title, year, month, months = more
        at = None if year is None else Period(year, month, months)
        numbers = (start, end, line, stop, text, Decimal(value), unit, scale, row, column, section)
        yield Entry(Cell(0, 0, (0, 0), *numbers, frozenset(), False, False), position, statement, title, at, words)


def _dated(row: str) -> bool:
    """Return whether a row names a year, before anything slower is tried."""
    return _DIGITS.search(row) is not None and (YEAR.search(row) is not None or any(find_dates(row)))


def statement_of(text: str) -> str:
    """Return the kind of statement that a title names: "cash", "balance", "income", or nothing."""
    return next((kind for kind, pattern in _STATEMENTS.items() if pattern.search(text)), "")


def without_statements(text: str) -> str:
    """Return a text without the names of statements and what leads to them: "on its balance sheet"."""
    for pattern in _STATEMENTS.values():
        while match := pattern.search(text):
            text = f"{_LEADS.sub('', text[: match.start()])} {text[match.end() :]}"
    return text


def _words(column: str) -> str:
    """Return the words of a column that tell no period."""
    rest = _WORD.findall(periods.without(_LENGTHS.sub(" ", column)))
    return "" if all(word.lower() in COMMON["english"] for word in rest) else " ".join(rest)
