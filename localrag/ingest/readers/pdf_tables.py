"""Tables that are set by alignment alone, as in filings: rows of figures under one another.

A table starts where at least two lines have figures in columns that are parted by white from top to bottom. Its header
is the text above the columns. A label over two lines differs from a section row: its next word would not have fitted.
Conservative: prose in columns, lists and contents pages stay text. Not found: tables of words in fewer than three
columns, cells of several lines of words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from localrag.ingest.readers.pdf_words import Line, Piece, Rule, Word, joined, pieces
from localrag.quantities import ENGLISH_MONTHS

_MAX_HEADER_LINES = 7
_MAX_BETWEEN = 4  # lines without figures between two rows
_MAX_STEP = 3.2  # heights from one row to the next
_MIN_FIGURES = 0.5  # share of the cells behind the first column


Columns = Sequence[tuple[float, float]]
Span = tuple[float, float]


class _Row(NamedTuple):
    line: Line
    pieces: list[Piece]

    @property
    def has_figures(self) -> bool:
        """Whether a figure follows something else on the line."""
        return any(is_figure(piece.text) for piece in self.pieces[1:])


def find_tables(lines: Sequence[Line], flat: Sequence[Rule]) -> list[Table]:
    """Return the tables among the lines of a page or column; `flat` are the horizontal rules."""
    rows = [_Row(line, found) for line in lines if (found := whole(pieces(line)))]
    tables: list[Table] = []
    free = 0
    for first, last in _stretches(rows):
        for start, end in _split(rows, first, last):
            if table := _table(rows, free, start, end, flat):
                made, free = table
                tables.append(made)
    return tables


def _stretches(rows: Sequence[_Row]) -> list[tuple[int, int]]:
    """Return the first and last row of each stretch of lines with figures that may be a table."""
    found: list[tuple[int, int]] = []
    for index in (index for index, row in enumerate(rows) if row.has_figures):
        if found and index - found[-1][1] <= _MAX_BETWEEN + 1 and _near(rows, found[-1][1], index):
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return found


def _near(rows: Sequence[_Row], first: int, last: int) -> bool:
    """Whether two lines with figures may be of one table: near, and no prose between them."""
    figures = min(rows[first].pieces[1].left, rows[last].pieces[1].left)
    if any(
        len(row.pieces) == 1 and row.pieces[0].left < figures - 30 < figures < row.pieces[0].right
        for row in rows[first + 1 : last]
    ):
        return False
    return all(
        rows[index + 1].line.top - rows[index].line.bottom < _MAX_STEP * rows[index].line.height
        for index in range(first, last)
    )


def _split(rows: Sequence[_Row], first: int, last: int) -> list[tuple[int, int]]:
    """Split a stretch where prose or another header is between its rows."""
    core = [index for index in range(first, last + 1) if rows[index].has_figures]
    columns = _columns(rows, first, last)
    if len(core) > 2 and _is_foot(rows, core, _columns(rows, core[0], core[-2])):
        return _split(rows, core[0], core[-2])
    if len(columns) < 2:
        return []
    for index in range(first + 1, last):
        row = rows[index]
        if all(is_year(piece.text) for piece in row.pieces) if row.has_figures else _parts(row, columns):
            before = max(i for i in core if i < index)
            after = min(i for i in core if i >= index)
            return [*_split(rows, first, before), *_split(rows, after, last)]
    return [(first, last)]


def _is_foot(rows: Sequence[_Row], core: Sequence[int], columns: Columns) -> bool:
    """Whether the last line with a figure is a page footer: far below, and nearly empty."""
    row, above = rows[core[-1]], rows[core[-2]]
    for piece in row.pieces:
        crossed = sum(piece.left < right and piece.right > left for left, right in columns)
        if crossed > 1 and not is_figure(piece.text):
            return True
    far = row.line.top - rows[core[-1] - 1].line.bottom > 1.3 * above.line.height
    return far and len(columns) > 2 and len(row.pieces) <= 2


def _parts(row: _Row, columns: Columns) -> bool:
    """Whether a line without figures cannot be a row: it crosses columns, or is a header above them."""
    if any(is_unit(piece.text) for piece in row.pieces):
        return True
    first = row.pieces[0]
    if first.left >= columns[1][0] - 2 or (len(row.pieces) > 1 and column_of(first, columns)):
        return not is_figure(first.text)
    return first.right > columns[1][1] - 0.3 * (columns[1][1] - columns[1][0])


def _columns(rows: Sequence[_Row], first: int, last: int) -> list[tuple[float, float]]:
    core = [row for row in rows[first : last + 1] if row.has_figures]
    return find_columns([row.pieces for row in core], median(row.line.height for row in core))


def _table(rows: Sequence[_Row], free: int, first: int, last: int, flat: Sequence[Rule]) -> tuple[Table, int] | None:
    """Return the table between two rows, with its header (not above row `free`), and the first row after it."""
    columns = _columns(rows, first, last)
    body = first
    while body < last:
        figures = [piece.text for piece in rows[body].pieces if is_figure(piece.text)]
        if len(figures) < 2 or not all(map(is_year, figures)):
            break
        body += 1  # a line whose figures are years belongs to the header
    core = [row for row in rows[body : last + 1] if row.has_figures]
    if not _is_table(core, columns):
        return None
    top, body = _header_start(rows, free, first, body, columns)
    end = last
    if last + 1 < len(rows):  # a line below may continue the label of the last row
        row, before = rows[last + 1], rows[last]
        lone, close = row.pieces[0], row.line.top - before.line.bottom < 0.4 * row.line.height
        inside = lone.right < columns[1][0] and -2 < lone.left - before.pieces[0].left < 20
        end += len(row.pieces) == 1 and inside and close and lone.text[0].islower()
    head = [(row.line, row.pieces) for row in rows[top:body]]
    cells = _body(rows[body : end + 1], columns)
    names = header(head, columns, flat, rows[body].line.top)
    words = tuple(word for row in rows[top : end + 1] for word in row.line.words)
    return Table(words, (tuple(names), *map(tuple, cells))), end + 1


def _is_table(core: Sequence[_Row], columns: Columns) -> bool:
    if len(columns) < 2 or len(core) < (3 if len(columns) == 2 else 2):
        return False
    behind = [piece.text for row in core for piece in row.pieces if column_of(piece, columns)]
    figures = sum(map(is_figure, behind))
    digits = sum(any(map(str.isdigit, text)) for text in behind)
    if figures < _MIN_FIGURES * len(behind) or digits < 0.5 * figures:
        return False
    filled = sum(len({column_of(piece, columns) for piece in row.pieces}) for row in core)
    return filled >= 0.4 * len(core) * len(columns) and not _is_contents(core)


_PAGE = re.compile(r"^(?:[A-Z]-?)?\d{1,4}$")


def _is_contents(core: Sequence[_Row]) -> bool:
    """Whether this is a contents page: titles with page numbers that do not fall."""
    last = [row.pieces[-1].text for row in core]
    figures = [sum(is_figure(piece.text) for piece in row.pieces[1:]) for row in core]
    if not all(map(_PAGE.match, last)) or max(figures) > 1:
        return False
    numbers = [int(re.sub(r"\D", "", text)) for text in last]
    return sum(a > b for a, b in pairwise(numbers)) <= len(numbers) * 0.1


def _header_start(rows: Sequence[_Row], free: int, first: int, body: int, columns: Columns) -> tuple[int, int]:
    """Return the first line of the header and of the rows; go up as long as lines are over the columns."""
    top = first
    for index in range(first - 1, max(free, first - _MAX_HEADER_LINES) - 1, -1):
        row, below = rows[index], rows[index + 1]
        if below.line.top - row.line.bottom > 1.8 * row.line.height:
            break
        if _is_label(row, columns):
            if top == first == body and index > free:  # the start of a label, or a section, under the header
                continue
            break
        if not _is_head(row, columns):
            break
        if top == first == body:
            body = index + 1
        top = index
    return top, body


def _is_label(row: _Row, columns: Columns) -> bool:
    lone = row.pieces[0]
    return (
        len(row.pieces) == 1
        and not column_of(lone, columns)
        and lone.right < columns[1][0] + 4
        and (abs(lone.left - columns[0][0]) < 40 or len(lone.text) < 30)
        and not is_unit(lone.text)
    )


def _is_head(row: _Row, columns: Columns) -> bool:
    """Whether a line may belong to a header: over the columns, with at most a short label before them."""
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
    if lone is None or len(columns) <= 2:
        return True
    centre = (columns[0][0] + columns[-1][1]) / 2
    return not (abs((lone.left + lone.right) / 2 - centre) < 6 or len(lone.text) > 70)  # a title over the table


def _body(rows: Sequence[_Row], columns: Columns) -> list[list[str]]:
    """Return the cells of each row; join a label over two lines."""
    steps = [b.line.middle - a.line.middle for a, b in pairwise(rows)]
    pitch = median(steps) if steps else 0.0
    widest = max((row.pieces[0].right for row in rows if not column_of(row.pieces[0], columns)), default=0.0)
    cells: list[list[str]] = []
    open_label = False  # whether the row above starts this row's label
    for index, row in enumerate(rows):
        made = [""] * len(columns)
        for piece in row.pieces:
            column = column_of(piece, columns)
            made[column] = joined(made[column], piece.text)
        lone = not any(made[1:])
        if index and open_label:
            cells[-1] = [joined(cells[-1][0], made[0]), *made[1:]]
        elif (
            index
            and lone
            and any(cells[-1][1:])
            and row.pieces[0].left >= rows[index - 1].pieces[0].left - 2
            and row.pieces[0].text[:1].islower()
            and steps[index - 1] <= 1.05 * pitch
        ):
            cells[-1][0] = joined(cells[-1][0], made[0])  # a line with only a label continues the label above it
            continue
        else:
            cells.append(made)
        open_label = (
            lone and index + 1 < len(rows) and _is_begun(row, rows[index + 1], steps[index], pitch, columns, widest)
        )
    return cells


_OPEN_END = (",", " of", " and", " the", " in", " for", " to")


def _is_begun(row: _Row, below: _Row, step: float, pitch: float, columns: Columns, widest: float) -> bool:
    """Whether a label continues in the line below: the next word would not have fitted, or is in lower case."""
    label, other = row.pieces[0], below.pieces[0]
    if is_figure(other.text) and not column_of(other, columns):
        return label.text.endswith(_OPEN_END)
    if label.text.endswith(":") or is_figure(other.text) or other.left < label.left - 2:
        return other.text[:1].islower() and not is_figure(other.text) and other.left >= label.left - 2
    if other.text[:1].islower():
        return True
    word = other.words[0]
    full = label.right + (word.right - word.left) > widest - 2
    long = label.right - label.left > 0.8 * (widest - label.left)
    return full and long and (step < 0.93 * pitch or label.text.endswith((*_OPEN_END, "-")))


class Table(NamedTuple):
    """The words of a table, and its rows; the first row is the header."""

    words: tuple[Word, ...]
    rows: tuple[tuple[str, ...], ...]


_CURRENCY = re.compile(r"^\(?(?:[A-Z]{1,3})?[$€£¥]\s*\(?$")
_CLOSING = re.compile(r"^[)%]+$|^(?:bps|ppts?|pp|x)$")
_OPEN_GAP = re.compile(r"(?<=[$€£¥(])\s+(?=[\d($€£¥.—–-])")
_CLOSE_GAP = re.compile(r"(?<=[\d—–-])\s+(?=[)%])")
_FIGURE = re.compile(
    r"^(?:[-+–—−(]*+(?:(?:[A-Z]{1,3})?[$€£¥])?[-–−(]*+\.?\d(?:[\d,.]*\d)?\)?(?:\s?(?:%|x|bps|ppts?|pp|years?|yrs|months?|days?|million|billion))?\)?(?:\s?\(\w{1,3}\)|[*†‡]+)?"
    r"|\(?[$€£¥]?\(?[—–−-]+\)?%?|N/?[AM]\.?|n/?[am]\.?)$"
)
_YEAR = re.compile(r"^(?:FY|Q[1-4]|Fiscal)?\s?'?(?:19|20)\d\d\*?(?:\s?\(\w{1,3}\))?$")
_UNIT = re.compile(
    r"^\(?unaudited\)?$|^\(?(?:dollars |amounts |\$ |u\.s\. dollars )?(?:in|unaudited)\b"
    r".{0,60}(?:million|thousand|billion|unaudited)",
    re.I,
)
_MONTHS = [month.lower() for month in ENGLISH_MONTHS if month != "May"]
_PERIOD = re.compile(
    rf"\b(?:ended|ending|as of|at|months|weeks|year|{'|'.join(_MONTHS)}"
    rf"|(?:{'|'.join(month[:3] for month in _MONTHS)}|sept)\.?)\b",
    re.I,
)
_LEADERS = re.compile(r"(?<!\.)(?<!\.\s)(?:\s?\.){4,}\s*$|(?<!_)(?<!_\s)(?:\s?_){4,}\s*$")


def is_figure(text: str) -> bool:
    return bool(_FIGURE.match(text))


def is_year(text: str) -> bool:
    return bool(_YEAR.match(text))


def is_unit(text: str) -> bool:
    """Whether a text is a unit: "(In millions, except per share data)"."""
    return bool(_UNIT.match(text)) and len(text) < 100


def whole(found: Sequence[Piece]) -> list[Piece]:
    """Join "$", ")" and "%", which filings set apart, to their figures, and drop leader dots."""
    pieces: list[Piece] = []
    for piece in found:
        text = piece.text
        if " " in text or text.endswith((".", "_")):
            text = _CLOSE_GAP.sub("", _OPEN_GAP.sub("", _LEADERS.sub("", text)))
            if not text.strip(" ._"):
                continue
            piece = piece._replace(text=text)
        if pieces and _belong((before := pieces[-1]).text, text):
            text = (before.text + text).replace(" ", "")
            pieces[-1] = Piece(before.words + piece.words, text, before.left, piece.right)
        else:
            pieces.append(piece)
    return pieces


def _belong(left: str, right: str) -> bool:
    """Whether a sign and a figure belong together."""
    if _CURRENCY.match(left):
        return is_figure(right)
    return bool(_CLOSING.match(right)) and is_figure(left) and bool(re.search(r"[\d—–-]\)?$", left))


def find_columns(rows: Sequence[Sequence[Piece]], height: float) -> list[tuple[float, float]]:
    """Return left and right of each column, parted by white from top to bottom; few pieces may stick out."""
    edges = sorted([(p.left, 1) for row in rows for p in row] + [(p.right, -1) for row in rows for p in row])
    few = int(len(rows) * 0.06)
    columns: list[tuple[float, float]] = []
    depth, start = 0, 0.0
    for x, step in edges:
        if depth <= few < depth + step:
            if columns and x - columns[-1][1] < 0.2 * height:
                start = columns.pop()[0]
            else:
                start = x
        depth += step
        if depth <= few < depth - step:
            columns.append((start, x))
    return columns


def column_of(piece: Piece, columns: Columns) -> int:
    """Return the column that a piece overlaps most, else the nearest."""

    fits = [min(piece.right, right) - max(piece.left, left) for left, right in columns]
    return fits.index(max(fits))


def header(
    lines: Sequence[tuple[Line, Sequence[Piece]]], columns: Columns, flat: Sequence[Rule], below: float
) -> list[str]:
    """Return a header as one row: each column gets the text above it, from the top down."""
    if not lines:
        return [""] * len(columns)
    columns = _widened(columns, [rule for rule in flat if lines[0][0].top < rule.at < below + lines[0][0].height])
    spans: list[list[Span | None]] = []
    over = [sum(column_of(piece, columns) > 0 for piece in found) for _, found in lines]
    for index in reversed(range(len(lines))):
        line, found = lines[index]
        bottom = lines[index + 1][0].middle if index + 1 < len(lines) else below
        ruled = [_ruled(piece, line, columns, flat, bottom) for piece in found]
        if len(set(ruled) - {None}) < sum(span is not None for span in ruled):
            ruled = [None] * len(found)  # a rule under several cells decides nothing
        if not any(ruled) and spans and over[index] == over[index + 1]:
            ruled = _inherited(found, lines[index + 1][1], spans[-1])
        spans.append(ruled if any(ruled) else _shared(found, columns))
    spans.reverse()
    for index in range(1, len(lines)):
        if not any(spans[index]) and over[index] == over[index - 1]:
            spans[index] = _inherited(lines[index][1], lines[index - 1][1], spans[index - 1])
    cells: list[list[str]] = [[] for _ in columns]
    for (_, found), spans_of_line in zip(lines, spans, strict=True):
        for piece, span in zip(found, spans_of_line, strict=True):
            unit = len(found) == 1 and is_unit(piece.text)
            for column in [0] if unit else _covered(piece, span, columns):
                cells[column].append(piece.text)
    return [" ".join(words) for words in cells]


def _ruled(piece: Piece, line: Line, columns: Columns, flat: Sequence[Rule], bottom: float) -> Span | None:
    """Return the extent of the rule under a header cell: the columns it covers."""
    under = (
        rule
        for rule in flat
        if line.middle < rule.at <= max(bottom, line.bottom + 2)
        and min(rule.end, piece.right) - max(rule.start, piece.left) > 0.8 * (piece.right - piece.left)
        and rule.start > (columns[0][0] + columns[0][1]) / 2
    )
    rule = min(under, key=lambda rule: rule.at, default=None)
    return rule and (min(rule.start, piece.left), max(rule.end, piece.right))


def _widened(columns: Columns, flat: Sequence[Rule]) -> Columns:
    """Widen columns to the rules that are over one column each."""
    wide = list(columns)
    for rule in flat:
        under = [
            index
            for index, (left, right) in enumerate(columns)
            if min(right, rule.end) - max(left, rule.start) > 0.3 * (right - left)
        ]
        if len(under) == 1 and under[0]:
            left, right = wide[under[0]]
            wide[under[0]] = min(left, rule.start), max(right, rule.end)
    return wide


def _inherited(found: Sequence[Piece], other: Sequence[Piece], spans: Sequence[Span | None]) -> list[Span | None]:
    """Give cells the spans of the cells above or below that share their middle or an edge."""
    inherited: list[Span | None] = []
    for a in found:
        same = [
            span
            for b, span in zip(other, spans, strict=True)
            if min(abs(a.left + a.right - b.left - b.right) / 2, abs(a.left - b.left), abs(a.right - b.right)) < 4
        ]
        if not same:
            return [None] * len(found)
        inherited.append(same[0])
    return inherited


def _shared(found: Sequence[Piece], columns: Columns) -> list[Span | None]:
    """Share columns evenly among fewer header cells without rules, if each is within its columns."""
    over = [piece for piece in found if column_of(piece, columns)]
    behind = columns[1:]
    none: list[Span | None] = [None] * len(found)
    if not over or len(over) == len(behind) or len(behind) % len(over):
        return none
    if not all(_PERIOD.search(piece.text) for piece in over) and all(
        any(start - 2 <= piece.left and piece.right <= end + 2 for start, end in behind) for piece in over
    ):
        return none  # each has a column of its own
    size = len(behind) // len(over)
    groups = [(behind[i * size][0], behind[i * size + size - 1][1]) for i in range(len(over))]
    for piece, (start, end) in zip(over, groups, strict=True):
        off = abs((piece.left + piece.right) / 2 - (start + end) / 2)
        if off > (8 if len(over) == 1 else 0.2 * (end - start)) and (abs(piece.right - end) > 6 or len(over) == 1):
            return none
    spans = dict(zip(over, groups, strict=True))
    return [spans.get(piece) for piece in found]


def _covered(piece: Piece, span: Span | None, columns: Columns) -> list[int]:
    left, right = span or (piece.left, piece.right)
    inside = [
        index
        for index, (start, end) in enumerate(columns)
        if min(right, end) - max(left, start) > (0.5 if span else 0.6) * (end - start)
    ]
    return inside or [column_of(piece, columns)]
