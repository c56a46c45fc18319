"""Lay out the rows of a sheet as text: Markdown tables, titles and notes as plain lines, a cell name at each line.

Empty rows separate blocks; rows of groups above a header are joined into it ("2023 / Q1"). Columns are never
rearranged, so that a cell's name follows from its place in the line.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import markdown_cell, markdown_rows
from localrag.store.locations import cell_name
from localrag.types import Anchor, Heading, Page

# Two corners, 0-based: ((top, left), (bottom, right)).
Merge = tuple[tuple[int, int], tuple[int, int]]
# The row and column (0-based) of the cell that a text box or comment belongs to, and its text.
Note = tuple[int, int, str]

_GAP = 10  # empty columns between tables; inside a table they are one or two
_MAX_MERGED = 1_000  # columns that a merged cell may reach beyond the last of its row
_MAX_NAME = 60  # characters of a column's name
_MAX_TITLES = 3  # lines above a table; more are a list
_VALUE = re.compile(
    r"[-+(]?\W?\d[\d.,'’ ]*(?:[eE][-+]?\d+)?\W{0,2}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|-?\d+:\d\d(?::\d\d)?|TRUE|FALSE|#\S+[!?A]"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_NO_TITLE = re.compile(r"\n|:$")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row from the first filled one to the last, cleaned; `number` and `left` (column) are 0-based."""

    number: int
    left: int
    cells: list[str]

    @property
    def filled(self) -> int:
        return len(self.cells) - self.cells.count("")

    @property
    def right(self) -> int:
        return self.left + len(self.cells)

    def at(self, column: int) -> str:
        return self.cells[column - self.left] if self.left <= column < self.right else ""


def row_of(number: int, left: int, cells: list[str]) -> Row | None:
    """Return a row without the empty cells at its ends; None if all are empty."""
    filled = [index for index, text in enumerate(cells) if text]
    return Row(number, left + filled[0], cells[filled[0] : filled[-1] + 1]) if filled else None


def lay_out(
    rows: Iterable[Row],
    number: int,
    label: str | None,
    merged: Sequence[Merge] = (),
    notes: Sequence[Note] = (),
    limit: int = 100_000_000,
) -> Page:
    """Return the page of a sheet from its rows that are not empty; `limit` is the most characters it may have.

    Merged cells show how far a header reaches; notes come after the cells.
    """
    sheet = _Sheet(merged, limit)
    # Empty rows, which have no number here, separate blocks.
    for _, block in groupby(enumerate(rows), key=lambda item: item[1].number - item[0]):
        regions = _regions([row for _, row in block])
        for region in regions:
            sheet.add(region, alone=len(regions) == 1)
    sheet.close()
    for row, column, text in notes:
        sheet.put("\n\n", markdown_cell(text) if text.startswith("|") else text, row, column)
    return Page("".join(sheet.pieces), number, label, tuple(sheet.headings), "sheet", tuple(sheet.anchors))


def _regions(block: list[Row]) -> list[list[Row]]:
    """Separate tables that are side by side, far apart; a stray cell far right must not widen every row."""
    low, high = min(row.left for row in block), max(row.right for row in block)
    if high - low <= _GAP:
        return [block]
    used = sorted({low, high - 1}.union(*({i for i, text in enumerate(row.cells, row.left) if text} for row in block)))
    cuts = [column for before, column in pairwise(used) if column - before > _GAP]
    regions = []
    for left, right in pairwise([low, *cuts, high]):
        parts = ((row, max(row.left, left)) for row in block)
        cut = (
            row_of(row.number, start, row.cells[start - row.left : max(right - row.left, 0)]) for row, start in parts
        )
        regions.append(list(filter(None, cut)))
    return regions


class _Sheet:
    """The text of one sheet with its anchors and headings, built block by block."""

    def __init__(self, merged: Sequence[Merge], limit: int) -> None:
        self.pieces: list[str] = []
        self.anchors: list[Anchor] = []
        self.headings: list[Heading] = []
        self._wide: defaultdict[int, list[Merge]] = defaultdict(list)
        for merge in merged:
            if merge[1][1] > merge[0][1]:
                self._wide[merge[0][0]].append(merge)
        self._limit = limit
        self._size = 0
        self._table: list[Row] = []
        self._depth = 0  # header rows of the open table
        self._tables = 0
        self._titles: list[tuple[int, str]] = []  # offset and text of the lines since the last table

    def add(self, rows: list[Row], alone: bool) -> None:
        if alone and self._continues_table(rows):
            self._table.extend(rows)
            return
        self.close()
        lines = next((index for index, row in enumerate(rows) if row.filled > 1), len(rows))
        if 0 < lines < len(rows) and _is_group(rows[lines - 1 :], self._wide[rows[lines - 1].number]):
            lines -= 1
        if lines < len(rows) and any(len(text) > _MAX_NAME for text in rows[lines].cells):
            lines += _is_group(rows[lines:], self._wide[rows[lines].number])  # titles of tables side by side below
        if lines and self._tables:  # lines between two tables are notes to the first
            self._titles = []
        for row in rows[:lines]:
            self._lines(row, first=row is rows[0])
        if lines < len(rows):
            self._open(rows[lines:])

    def _continues_table(self, rows: list[Row]) -> bool:
        """Return whether a block continues the open table: its first row has values in the same columns."""
        table = self._table
        first = next((row for row in rows if row.filled > 1), None)
        if first is None or not table or not _names(table[self._depth - 1].cells):
            return False
        left, right = min(row.left for row in table[:50]), max(row.right for row in table[:50])
        values = {column for column, text in enumerate(first.cells, first.left) if _is_value(text)}
        if not values or all(_YEAR.fullmatch(first.at(column)) for column in values):
            return False
        if any(row.left < left or row.right > right for row in rows):
            return False
        known = table[self._depth : self._depth + 20]
        if known:
            return all(any(_is_value(row.at(column)) for row in known) for column in values)
        # A header alone: two words side by side may also be the line of a form.
        header = table[self._depth - 1]
        return header.filled > 2 or (header.filled == 2 and len(values) == first.filled)

    def _lines(self, row: Row, first: bool) -> None:
        """Write single cells, a line for each; they keep their own line ends."""
        for column, text in enumerate(row.cells, row.left):
            if text:
                text = markdown_cell(text) if text.startswith("|") else text
                self.put("\n\n" if first else "\n", text, row.number, column)
                self._titles.append((self._size - len(text), text))
                first = False

    def _open(self, rows: list[Row]) -> None:
        if len(self._titles) <= _MAX_TITLES:
            titles = [(start, text) for start, text in self._titles if len(text) <= 100 and not _NO_TITLE.search(text)]
            self.headings += [Heading(start, level, text) for level, (start, text) in enumerate(titles, 1)]
        self._titles = []
        self._tables += 1
        self._table = rows
        self._depth = 1
        while self._depth < 3 and _is_group(rows[self._depth - 1 :], self._wide[rows[self._depth - 1].number]):
            self._depth += 1

    def close(self) -> None:
        """Write the open table, if there is one."""
        rows, self._table = self._table, []
        if not rows:
            return
        left, right = min(row.left for row in rows), max(row.right for row in rows)
        self._check(3 * (right - left) * len(rows))  # before memory is spent on the lines
        heads, body = rows[: self._depth], rows[self._depth :]
        levels = [
            _spread(row, self._wide[row.number], rows[number : number + 19]) for number, row in enumerate(heads, 1)
        ]
        columns = ([level.at(column) for level in levels] for column in range(left, right))
        header = [" / ".join(dict.fromkeys(filter(None, names))) for names in columns]
        lines = markdown_rows([header, *([""] * (row.left - left) + row.cells for row in body)])
        self.put("\n\n", f"{lines[0]}\n{lines[1]}", rows[0].number, left)
        for row, line in zip(body, lines[2:], strict=True):
            self.put("\n", line, row.number, left)

    def put(self, gap: str, text: str, row: int, column: int) -> None:
        gap = gap if self.pieces else ""
        self._check(len(text))
        self.anchors.append(Anchor(self._size + len(gap), cell_name(row, column)))
        self.pieces.append(gap + text)
        self._size += len(gap) + len(text)

    def _check(self, size: int) -> None:
        if self._size + size > self._limit:
            raise ReadError(f"has more than {self._limit:,} characters", "Split it into smaller files.")


def _names(cells: Sequence[str]) -> bool:
    """Return whether all cells can be names of columns: words, or years."""
    return not any(_is_value(text) and not _YEAR.fullmatch(text) for text in cells)


def _is_value(text: str) -> bool:
    return _VALUE.fullmatch(text) is not None


def _spread(row: Row, merges: list[Merge], below: list[Row]) -> Row:
    """Repeat the words of a group above each of its columns that holds something.

    Without merged cells a group reaches to the next one, as far as the row below names columns.
    """
    cells = {column: text for column, text in enumerate(row.cells, row.left) if text}
    spread = dict(cells)
    for (_, first), (_, last) in merges if _names(row.cells) else ():
        for column in range(first, min(last, row.right + _MAX_MERGED) + 1) if first in cells else ():
            if any(other.at(column) for other in below):
                spread[column] = cells[first]
    if below and not merges and _is_group([row, *below], []):
        text = ""
        for column in range(row.left, below[0].right):
            text = cells.get(column, text) if below[0].at(column) else ""
            if text:
                spread[column] = text
    return Row(row.number, row.left, [spread.get(column, "") for column in range(row.left, max(spread) + 1)])


def _is_group(rows: list[Row], merges: list[Merge]) -> bool:
    """Return whether the first row only groups the columns that the second one names.

    It does if there are words under the merged cells, and no other column is named twice or values follow in the third
    row. Without merged cells the first row must have at most half as many words.
    """
    if len(rows) < 2 or rows[1].number != rows[0].number + 1:
        return False
    top, below = rows[0], rows[1]
    merges = [merge for merge in merges if top.at(merge[0][1])]
    if not merges:
        named = [column for column, text in enumerate(top.cells, top.left) if text]
        return (
            len(named) > 1
            and 2 * len(named) <= below.filled
            and len(rows) > 2
            and _names(top.cells)
            and _names(below.cells)
            and all(below.at(column) for column in named)
            and not _names(rows[2].cells)
        )
    under = [column for (_, first), (_, last) in merges for column in range(first, min(last, below.right) + 1)]
    names = [text for column in under if (text := below.at(column))]
    if len(names) < 2 or not _names(names):
        return False
    if top.filled == 1 and merges[0][0][1] <= below.left:
        return False  # a title over the whole table
    if len(rows) > 2 and any(_is_value(rows[2].at(column)) for column in under):
        return True
    merged = set(under)
    return not any(top.at(c) and below.at(c) for c in range(top.left, top.right) if c not in merged)
