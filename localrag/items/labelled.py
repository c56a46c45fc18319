"""Take values from where a document labels them: "Label: value" lines, and tables whose rows or columns name a field.

A label fits a field if it has its words, and at most one more ("Total due" for "total"); that of a row of figures no
other than "total". Where several fit, the table or page that has most of the fields decides, then the closest label,
then the value that most tables give; where that leaves two values, code takes none. Limit: a label in other words than
the field's ("Supplier" for "vendor") is not known, unless the field's title says it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localrag.grounding import cells
from localrag.grounding.cells import Cell, Line
from localrag.grounding.citations import cite_span
from localrag.items.filling import Row
from localrag.items.item import Stated
from localrag.items.values import Field, Value, of_figure, read
from localrag.quantities import SCALES, Quantity, lazy_re, load_words, phrases
from localrag.store.text_analysis import FALLBACK, tokens
from localrag.types import Passage

# A label, and a value behind it or on the next line.
_LABELLED = lazy_re(
    r"(?:^|(?<=  )|(?<=\t))[ #>*-]{0,9}(?P<label>[^\W\d_][^:\n|]{0,50}?)[ *]{0,4}:(?!//)[ *\t]{0,9}"
    r"(?=\n?[ *\t]{0,9}(?P<value>[^\s*](?:[^\n \t]|[ \t](?![ \t])){0,250}))",
    re.M,
)
_ASIDE = re.compile(r"\([^()]{0,80}\)")
_SUM = frozenset({"total"})
_LITTLE = frozenset(load_words("localrag.items", "words.toml")["values"]["little"].split())
(_TOTAL,) = phrases("localrag.items", "labelled", "total")
# A label that fits exactly, one that says that it is the total, and one with another word.
_EXACT, _IN_TOTAL, _WIDER = 3, 2, 1


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A value that a label gives a field; `group` is the table or the page that it is in."""

    field: Field
    rank: int
    group: tuple[int, int]
    stated: Stated

    @property
    def says(self) -> tuple[str, str, str]:
        return self.field.name, self.stated.value.form, self.stated.value.unit


def by_label(fields: Sequence[Field], passages: Sequence[Passage]) -> dict[str, Stated]:
    """Return the fields that a label names beyond doubt, by name."""
    groups: dict[tuple[str, tuple[int, int]], list[_Candidate]] = {}
    for one in (*_of_lines(fields, passages), *_of_figures(fields, passages)):
        groups.setdefault((one.field.name, one.group), []).append(one)
    # A table that gives a field two values does not count.
    found = [best for own in groups.values() if (best := _only(own, lambda one: one.rank))]
    sizes = Counter(one.group for one in found)
    agreeing = Counter(one.says for one in found)
    order: Callable[[_Candidate], Any] = lambda one: (sizes[one.group], one.rank, agreeing[one.says])  # noqa: E731
    best_of = {field.name: _only([one for one in found if one.field == field], order) for field in fields}
    return {name: best.stated for name, best in best_of.items() if best is not None}


def _only(found: Sequence[_Candidate], order: Callable[[_Candidate], Any]) -> _Candidate | None:
    """Return the first of the best candidates; None where these have several values."""
    highest = max(map(order, found), default=None)
    best = [one for one in found if order(one) == highest]
    return best[0] if len({one.says for one in best}) == 1 else None


def by_table(fields: Sequence[Field], passages: Sequence[Passage]) -> list[Row]:
    """Return the lines of the tables whose columns have most of the fields, without totals."""
    figures = {(cell.passage, cell.start): cell for cell in cells.find(passages)}
    found: list[tuple[int, Row]] = []
    columns: dict[int, Field] = {}
    width = 0
    for at, passage in enumerate(passages):
        for number, (_, lines) in enumerate(cells.tables(passage)):
            head = next((n for n, line in enumerate(lines[:3]) if _columns(fields, line)), None)
            if head is not None:
                columns, width = _columns(fields, lines[head]), len(lines[head].cells)
            elif number or not columns or len(lines[0].cells) != width:  # else it goes on from the page before
                columns = {}
                continue
            for line in lines[0 if head is None else head + 1 :]:
                if line.start >= 0 and (row := _row(columns, line, passage, at, figures)):
                    found.append((len(columns), row))
    most = max((count for count, _ in found), default=0)
    return [row for count, row in found if count == most]


def _columns(fields: Sequence[Field], line: Line) -> dict[int, Field]:
    """Return the fields by column, if a line heads at least two columns and half of the fields; else nothing."""
    columns: dict[int, Field] = {}
    for field in fields:
        ranks = {n: _fit(field, text) for n, (_, _, text) in enumerate(line.cells) if n not in columns}
        best = max(ranks.values(), default=0)
        if best and list(ranks.values()).count(best) == 1:
            columns[max(ranks, key=lambda n: ranks[n])] = field
    return columns if len(columns) >= min(2, len(fields)) and 2 * len(columns) >= len(fields) else {}


def _row(
    columns: Mapping[int, Field], line: Line, passage: Passage, at: int, figures: Mapping[tuple[int, int], Cell]
) -> dict[str, Stated]:
    """Return what a line has of the fields; nothing for a total, or a line that has only one of several."""
    if _TOTAL.match(next((text for _, _, text in line.cells if text), "")):
        return {}
    row: dict[str, Stated] = {}
    filled = 0
    for column, field in columns.items():
        start, _, text = line.cells[column] if column < len(line.cells) else (0, 0, "")
        filled += bool(text)
        cell = figures.get((at, start))
        value = field.read(text)
        if cell is not None and (value is None or value.type != "text"):  # scaled as its table says
            value = _figure(field, cell) or value
        if value is not None:
            row[field.name] = Stated(value, cite_span(passage, line.start, line.end))
    return row if row and 2 * filled >= len(columns) else {}


# --- labels of single values --------------------------------------------------------------------------------


def _of_lines(fields: Sequence[Field], passages: Sequence[Passage]) -> Iterator[_Candidate]:
    for at, passage in enumerate(passages):
        for group, label, text, start, end in _pairs(passage):
            for field in fields:
                rank = _fit(field, label)
                value = field.read(text) if rank else None
                if value is not None:
                    yield _Candidate(field, rank, (at, group), Stated(value, cite_span(passage, start, end)))


def _pairs(passage: Passage) -> Iterator[tuple[int, str, str, int, int]]:
    """Yield each label of words with its value and the span of both, after a negative number for its table or text."""
    for found in _LABELLED.finditer(passage.text):
        yield -1, found["label"], found["value"].rstrip(" *"), found.start("label"), found.end("value")
    for number, (_, lines) in enumerate(cells.tables(passage)):
        for line in lines:
            filled = [text for _, _, text in line.cells if text]
            if len(filled) == 2 and line.start >= 0 and cells.read(filled[1]) is None:
                yield -2 - number, filled[0].rstrip(":"), filled[1], line.start, line.end


def _of_figures(fields: Sequence[Field], passages: Sequence[Passage]) -> Iterator[_Candidate]:
    """Yield the figures whose row, with column and section, names a field; of several years those of the latest."""
    by_row: dict[tuple[int, int, int], list[Cell]] = {}
    for cell in cells.find(passages):
        by_row.setdefault((cell.passage, cell.table, cell.at[0]), []).append(cell)
    for (at, table, _), row in by_row.items():
        for field in fields:
            fitting = [(rank, cell) for cell in row if (rank := _fit_cell(field, cell)) and _figure(field, cell)]
            latest = max((max(cell.years, default=0) for _, cell in fitting), default=0)
            for rank, cell in fitting:
                if max(cell.years, default=0) == latest and (value := _figure(field, cell)):
                    stated = Stated(value, cite_span(passages[at], cell.line, cell.stop))
                    yield _Candidate(field, rank, (at, table), stated)


def _fit_cell(field: Field, cell: Cell) -> int:
    """Return how well a cell fits a field: its row has words of it, its column and section have the others."""
    column = _terms(cell.column) | frozenset(map(str, cell.years))
    row = _terms(cell.row)
    for own in _names(field):
        years = {word for word in own if re.fullmatch(r"(?:19|20)\d\d", word)}
        extra = row - own
        if not row & own or not years <= column or (cell.derived and not own & _terms(cell.column)):
            continue
        # "Cost of revenue" is no revenue, "Total revenue" is.
        if extra <= _SUM and own - row <= (column if extra else column | _terms(cell.section)):
            return _rank(cell.row, extra)
    return 0


def _rank(label: str, extra: frozenset[str]) -> int:
    """Return the rank of a label that fits but for some words; a total alone may be that of any table."""
    if not extra:
        return _WIDER if _TOTAL.match(label) else _EXACT
    return _IN_TOTAL if extra <= _SUM else _WIDER


def _figure(field: Field, cell: Cell) -> Value | None:
    """Return the value of a cell, scaled as its table says; None for an amount in percent, or a share that is not."""
    if field.type not in ("money", "percent", "number") or (cell.unit == "%") != (field.type == "percent"):
        return read("text", cell.text) if field.type == "text" else None
    return of_figure(field.type, cell.text, Quantity(cell.value.scaleb(SCALES.get(cell.scale, 0)), cell.unit))


def _fit(field: Field, label: str) -> int:
    words = _terms(label)
    extra = min((words - own for own in _names(field) if own <= words), key=len, default=None)
    return _rank(label, extra) if extra is not None and len(extra) <= 1 else 0


def _names(field: Field) -> list[frozenset[str]]:
    return [own for name in (field.label, field.title) if (own := _terms(name))]


@lru_cache(10_000)
def _terms(label: str) -> frozenset[str]:
    return frozenset(one.term for one in tokens(_ASIDE.sub(" ", label), FALLBACK) if one.word not in _LITTLE)
