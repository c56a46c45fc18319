"""Tables that are set by alignment alone, as in filings: rows of figures under one another.

A table begins where lines carry figures in columns: at least two such lines, parted by white from top to bottom. Its
header is what stands over the columns, its section rows and labels over two lines are told apart by what would have
fitted on the line. Conservative: prose in columns, lists and contents pages stay text. Not done: tables of words
without figures in fewer than three columns, cells that run over several lines of words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from localrag.ingest.readers.pdf_cells import Table, column_of, find_columns, header, is_figure, is_unit, is_year, whole
from localrag.ingest.readers.pdf_rules import Rule
from localrag.ingest.readers.pdf_words import Line, Piece, joined, pieces

_MOST_HEADER_LINES = 7
_MOST_BETWEEN = 4  # lines without figures between two rows
_FARTHEST = 3.2  # heights from one row to the next
_LEAST_SHARE = 0.5  # of the cells behind the first column that are figures


class _Row(NamedTuple):
    line: Line
    pieces: list[Piece]

    @property
    def has_figures(self) -> bool:
        """Whether figures stand behind something else, or several in a row."""
        return len(self.pieces) > 1 and any(is_figure(piece.text) for piece in self.pieces[1:])


def find_tables(lines: Sequence[Line], flat: Sequence[Rule]) -> list[Table]:
    """The tables among the lines of a page (of one column of it); `flat` are its horizontal rules."""
    rows = [_Row(line, whole(pieces(line))) for line in lines]
    rows = [row for row in rows if row.pieces]
    tables: list[Table] = []
    free = 0
    for first, last in _stretches(rows):
        for start, end in _split(rows, first, last):
            if table := _table(rows, max(free, 0), start, end, flat):
                made, free = table
                tables.append(made)
    return tables


def _stretches(rows: Sequence[_Row]) -> list[tuple[int, int]]:
    """First and last row of each stretch of lines with figures that may be a table."""
    found: list[tuple[int, int]] = []
    last: int | None = None
    for index, row in enumerate(rows):
        if not row.has_figures:
            continue
        if last is not None and index - last <= _MOST_BETWEEN + 1 and _near(rows, last, index):
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
        last = index
    return found


def _near(rows: Sequence[_Row], first: int, last: int) -> bool:
    """Whether two lines with figures can be of one table: not far apart, and no prose between them."""
    figures = min(rows[first].pieces[1].left, rows[last].pieces[1].left)
    if any(
        len(row.pieces) == 1 and row.pieces[0].left < figures - 30 < figures < row.pieces[0].right
        for row in rows[first + 1 : last]
    ):
        return False
    return all(
        rows[index + 1].line.top - rows[index].line.bottom < _FARTHEST * rows[index].line.height
        for index in range(first, last)
    )


def _split(rows: Sequence[_Row], first: int, last: int) -> list[tuple[int, int]]:
    """A stretch in parts, where prose or another header stands between its rows."""
    core = [index for index in range(first, last + 1) if rows[index].has_figures]
    columns = _columns(rows, first, last)
    if len(core) > 2:  # a page's foot, or a line of prose with a figure, may hang on
        for start, end in ((core[0], core[-2]), (core[1], core[-1])):
            if len(_columns(rows, start, end)) > len(columns):
                return _split(rows, start, end)
        if _is_foot(rows, core, _columns(rows, core[0], core[-2])):
            return _split(rows, core[0], core[-2])
    if len(columns) < 2:
        return _split_worst(rows, first, last)
    for index in range(first + 1, last):
        row = rows[index]
        if row.has_figures:
            parts = _only_years(rows, index)
        else:
            parts = _parts(row, columns)
        if parts:
            before = max(i for i in core if i < index)
            after = min(i for i in core if i >= index)
            return [*_split(rows, first, before), *_split(rows, after, last)]
    return [(first, last)]


def _is_foot(rows: Sequence[_Row], core: Sequence[int], columns: Sequence[tuple[float, float]]) -> bool:
    """Whether the last line with a figure is a page's foot: far below, and nearly empty."""
    row, above = rows[core[-1]], rows[core[-2]]
    if len(columns) < 2:
        return False
    for piece in row.pieces:
        crossed = sum(piece.left < right and piece.right > left for left, right in columns)
        if crossed > 1 and not is_figure(piece.text):
            return True
    far = row.line.top - rows[core[-1] - 1].line.bottom > 1.3 * above.line.height
    return far and len(columns) > 2 and len(row.pieces) <= 2


def _only_years(rows: Sequence[_Row], index: int) -> bool:
    return len(rows[index].pieces) > 1 and all(is_year(piece.text) for piece in rows[index].pieces)


def _parts(row: _Row, columns: Sequence[tuple[float, float]]) -> bool:
    """Whether a line without figures cannot be a row: it crosses columns, or stands above them like a header."""
    if any(is_unit(piece.text) for piece in row.pieces):
        return True
    first = row.pieces[0]
    if first.left >= columns[1][0] - 2 or (len(row.pieces) > 1 and column_of(first, columns)):
        return not is_figure(first.text)
    return first.right > columns[1][1] - 0.3 * (columns[1][1] - columns[1][0])


def _split_worst(rows: Sequence[_Row], first: int, last: int) -> list[tuple[int, int]]:
    """No columns are common to all: part at the widest step, or give up where there is none."""
    if last - first < 2:
        return []
    steps = [(rows[index + 1].line.top - rows[index].line.bottom, index) for index in range(first, last)]
    _, at = max(steps)
    figured = [index for index in range(first, last + 1) if rows[index].has_figures]
    left = [index for index in figured if index <= at]
    right = [index for index in figured if index > at]
    return [part for half in (left, right) if half for part in _split(rows, half[0], half[-1])]


def _columns(rows: Sequence[_Row], first: int, last: int) -> list[tuple[float, float]]:
    core = [row for row in rows[first : last + 1] if row.has_figures]
    return find_columns([row.pieces for row in core], median(row.line.height for row in core))


# --- one table -----------------------------------------------------------------------------------------------


def _table(rows: Sequence[_Row], free: int, first: int, last: int, flat: Sequence[Rule]) -> tuple[Table, int] | None:
    """The table between two rows, with the header above it (not above row `free`), and the first row behind it."""
    columns = _columns(rows, first, last)
    body = first
    while body < last and _heads(rows[body]):
        body += 1
    core = [row for row in rows[body : last + 1] if row.has_figures]
    if not _is_table(core, columns):
        return None
    top, body = _header_start(rows, free, first, body, columns, flat)
    end = _end(rows, last, columns)
    head = [(row.line, row.pieces) for row in rows[top:body]]
    cells = _body(rows[body : end + 1], columns)
    names = header(head, columns, flat, rows[body].line.top)
    words = tuple(word for row in rows[top : end + 1] for word in row.line.words)
    return Table(words, (tuple(names), *map(tuple, cells))), end + 1


def _heads(row: _Row) -> bool:
    """Whether a line with figures is of the header all the same: years only."""
    figures = [piece.text for piece in row.pieces if is_figure(piece.text)]
    return len(figures) > 1 and all(map(is_year, figures))


def _is_table(core: Sequence[_Row], columns: Sequence[tuple[float, float]]) -> bool:
    if len(columns) < 2 or len(core) < (3 if len(columns) == 2 else 2):
        return False
    behind = [piece.text for row in core for piece in row.pieces if column_of(piece, columns)]
    figures = sum(map(is_figure, behind))
    if figures < _LEAST_SHARE * len(behind) or sum(map(_has_digit, behind)) < 0.5 * figures:
        return False
    filled = sum(len({column_of(piece, columns) for piece in row.pieces}) for row in core)
    if filled < 0.4 * len(core) * len(columns):
        return False
    return not _is_contents(core, columns)


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


_PAGE = re.compile(r"^(?:[A-Z]-?)?\d{1,4}$")


def _is_contents(core: Sequence[_Row], columns: Sequence[tuple[float, float]]) -> bool:
    """Page numbers that never fall, behind titles."""
    last = [row.pieces[-1].text for row in core]
    if not all(map(_PAGE.match, last)) or any(
        sum(is_figure(piece.text) for piece in row.pieces[1:]) > 1 for row in core
    ):
        return False
    numbers = [int(re.sub(r"\D", "", text)) for text in last]
    return sum(a > b for a, b in pairwise(numbers)) <= len(numbers) * 0.1


def _header_start(
    rows: Sequence[_Row],
    free: int,
    first: int,
    body: int,
    columns: Sequence[tuple[float, float]],
    flat: Sequence[Rule],
) -> tuple[int, int]:
    """The first line of the header, and that of the rows: upward as long as lines stand over the columns."""
    top = first
    for index in range(first - 1, max(free, first - _MOST_HEADER_LINES) - 1, -1):
        row, below = rows[index], rows[index + 1]
        if below.line.top - row.line.bottom > 1.8 * row.line.height:
            break
        if _is_label(row, columns):
            if top == first == body and index > free:  # the beginning of a label, or a section, under the header
                continue
            break
        if not _is_head(row, below, columns, flat):
            break
        if top == first == body:
            body = index + 1
        top = index
    if top == first == body and first > free and _is_label(rows[first - 1], columns):
        row, below = rows[first - 1], rows[first]
        close = below.line.top - row.line.bottom < 0.4 * row.line.height
        if close and (below.pieces[0].text[:1].islower() or row.pieces[0].text.endswith(":")):
            return first - 1, first - 1
    return top, body


def _is_label(row: _Row, columns: Sequence[tuple[float, float]]) -> bool:
    lone = row.pieces[0]
    return (
        len(row.pieces) == 1 and not column_of(lone, columns) and lone.right < columns[1][0] + 4
        and (abs(lone.left - columns[0][0]) < 40 or len(lone.text) < 30) and not is_unit(lone.text)
    )  # fmt: skip


def _is_head(row: _Row, below: _Row, columns: Sequence[tuple[float, float]], flat: Sequence[Rule]) -> bool:
    """Whether a line can be of a header: over the columns, with at most a short label before them."""
    zone = columns[1][0] - 0.5 * (columns[1][0] - columns[0][1])
    lone = row.pieces[0] if len(row.pieces) == 1 else None
    if lone is not None and is_unit(lone.text):
        return True
    if any(is_figure(piece.text) and not is_year(piece.text) for piece in row.pieces):
        return False
    over = [piece for piece in row.pieces if piece.left >= zone - 4 or column_of(piece, columns)]
    label = [piece for piece in row.pieces if piece not in over]
    if not over or len(label) > 1 or any(piece.left < zone - 4 < piece.right for piece in over):
        return False
    if label and len(label[0].text) > 60:
        return False
    if lone is not None and len(columns) > 2 and not _ruled_under(row.line, below.line, lone, flat):
        centre = (columns[0][0] + columns[-1][1]) / 2
        return not (abs((lone.left + lone.right) / 2 - centre) < 6 or len(lone.text) > 70)  # a title over it all
    return True


def _ruled_under(line: Line, below: Line, piece: Piece, flat: Sequence[Rule]) -> bool:
    return any(
        line.middle < rule.at <= below.middle and rule.start <= piece.left + 2 and rule.end >= piece.right - 2
        for rule in flat
    )


def _end(rows: Sequence[_Row], last: int, columns: Sequence[tuple[float, float]]) -> int:
    """The last row, with the rest of its label where that goes on below it."""
    if last + 1 < len(rows):
        row, before = rows[last + 1], rows[last]
        lone = row.pieces[0]
        step = lone.left - before.pieces[0].left
        if (
            len(row.pieces) == 1 and lone.right < columns[1][0] and lone.text[0].islower() and -2 < step < 20
            and row.line.top - before.line.bottom < 0.4 * row.line.height
        ):  # fmt: skip
            return last + 1
    return last


def _body(rows: Sequence[_Row], columns: Sequence[tuple[float, float]]) -> list[list[str]]:
    """The cells of each row; a label over two lines is made one."""
    steps = [b.line.middle - a.line.middle for a, b in pairwise(rows)]
    pitch = median(steps) if steps else 0.0
    widest = max((row.pieces[0].right for row in rows if not column_of(row.pieces[0], columns)), default=0.0)
    cells: list[list[str]] = []
    open_label = False  # whether the row above is the beginning of this row's label
    for index, row in enumerate(rows):
        made = [""] * len(columns)
        for piece in row.pieces:
            column = column_of(piece, columns)
            made[column] = joined(made[column], piece.text)
        lone = not any(made[1:])
        step = steps[index - 1] if index else 0.0
        if index and open_label:
            cells[-1] = [joined(cells[-1][0], made[0]), *made[1:]]
        elif index and lone and any(cells[-1][1:]) and _goes_on(rows[index - 1], row, step, pitch):
            cells[-1][0] = joined(cells[-1][0], made[0])
            continue
        else:
            cells.append(made)
        open_label = (
            lone and index + 1 < len(rows) and _is_begun(row, rows[index + 1], steps[index], pitch, columns, widest)
        )
    return cells


def _is_begun(
    row: _Row, below: _Row, step: float, pitch: float, columns: Sequence[tuple[float, float]], widest: float
) -> bool:
    """Whether a label goes on in the line below: its next word would not have fitted, or begins small."""
    label, other = row.pieces[0], below.pieces[0]
    if is_figure(other.text) and not column_of(other, columns):
        return bool(re.search(r"(?:,| of| and| the| in| for| to)$", label.text))
    if label.text.endswith(":") or is_figure(other.text) or other.left < label.left - 2:
        return other.text[:1].islower() and not is_figure(other.text) and other.left >= label.left - 2
    if other.text[:1].islower():
        return True
    word = other.words[0]
    full = label.right + (word.right - word.left) > widest - 2 and label.right - label.left > 0.8 * (
        widest - label.left
    )
    return full and (
        step < 0.93 * pitch or label.text.endswith((",", " of", " and", " the", " in", " for", " to", "-"))
    )


def _goes_on(above: _Row, row: _Row, step: float, pitch: float) -> bool:
    """Whether a line of a label alone is the rest of the label above it."""
    label = row.pieces[0]
    if label.left < above.pieces[0].left - 2:
        return False
    return label.text[:1].islower() and step <= 1.05 * pitch
