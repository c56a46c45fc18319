"""Lines with boxes, as a recogniser finds them, put into the order in which a person reads them.

Columns of prose are read one after the other, everything else row by row from the top. Rows that hold figures in
columns become a table. Skew is measured and taken out first. Not done: columns narrower than a few words, text that
runs from top to bottom, cells of more than one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from localrag.ingest.readers.cleaning import clean


@dataclass(frozen=True, slots=True)
class Spot:
    """A box in pixels."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text on one line, with the box of each of its characters."""

    text: str
    spots: tuple[Spot, ...]
    confidence: float


Marks = list[tuple[str, Spot | None]]  # the characters of a text; None for those that stand nowhere on the page

_LEAST_ROWS = 3  # of a column, and of a table
_PARAGRAPH = 1.45  # a distance between rows this much over the usual one parts paragraphs
_APART = 0.8  # pieces of a row further apart than this many heights are cells
_FIGURE = re.compile(r"[$€£¥(+-]*\s*\d[\d.,:/ ]*\s*[)%]*|[-–—]+|[$€£¥]", re.ASCII)
_CURRENCY = re.compile(r"[$€£¥(]+")
_CLOSING = re.compile(r"[)%]+")
_HYPHENS = "-\u2010\u00ad"
_HYPHENED = re.compile(r"\w+-\w+")
# Scans are of print, whose lines cut "ex-plain" and "sub-chapter" more often than they end in "ex-" or "sub-".
_KEEP_HYPHEN = frozenset("all anti best cross full half high long low multi non self semi short third two well".split())


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line in coordinates without skew."""

    marks: Marks
    left: float
    right: float
    middle: float
    height: float

    @property
    def text(self) -> str:
        return "".join(character for character, _ in self.marks)


_Row = list[_Piece]


def arrange(lines: Sequence[Line]) -> Marks:
    """The text of a page as characters with their boxes."""
    pieces = _level([line for line in lines if line.text.strip()])
    hyphened = {word.lower() for line in lines for word in _HYPHENED.findall(line.text)}
    marks: Marks = []
    for block in _blocks(pieces):
        rows = _rows(block)
        pitch = _pitch(rows)
        previous: float | None = None
        for kind, part in _tables(rows):
            more = _table(part) if kind else _running(part[0])
            if kind or previous is None:
                apart = kind or not _continues(marks, more)
            else:
                apart = _middle(part[0]) - previous > _PARAGRAPH * pitch
            _append(marks, more, apart, hyphened)
            previous = None if kind else _middle(part[-1])
    return marks


# --- rows ----------------------------------------------------------------------------------------------------


def _level(lines: Sequence[Line]) -> list[_Piece]:
    skew = _skew(lines)
    pieces = []
    for line in lines:
        marks: Marks = [(mark, spot) for text, spot in zip(line.text, line.spots, strict=True) for mark in clean(text)]
        while marks and marks[0][0].isspace():
            marks.pop(0)
        while marks and marks[-1][0].isspace():
            marks.pop()
        if not marks:
            continue
        left, right = min(spot.left for spot in line.spots), max(spot.right for spot in line.spots)
        x = (left + right) / 2
        y = median((spot.top + spot.bottom) / 2 for spot in line.spots)
        height = max(1.0, median(spot.bottom - spot.top for spot in line.spots))
        shift = y * skew
        pieces.append(_Piece(marks, left + shift, right + shift, y - x * skew, height))
    return pieces


def _skew(lines: Sequence[Line]) -> float:
    """How much lines fall from left to right, in pixels for each pixel; 0 where it cannot be told."""
    slopes = []
    for line in lines:
        first, last = line.spots[0], line.spots[-1]
        width, height = last.left - first.left, first.bottom - first.top
        if width > 8 * height:
            slopes.append((last.top + last.bottom - first.top - first.bottom) / 2 / width)
    return median(slopes) if len(slopes) >= 3 else 0.0


def _rows(pieces: Sequence[_Piece]) -> list[_Row]:
    rows: list[_Row] = []
    for piece in sorted(pieces, key=lambda piece: piece.middle):
        row = rows[-1] if rows else []
        near = row and abs(piece.middle - _middle(row)) < 0.5 * min(piece.height, median(p.height for p in row))
        if near and not any(min(p.right, piece.right) - max(p.left, piece.left) > piece.height for p in row):
            row.append(piece)
        else:
            rows.append([piece])
    for row in rows:
        row.sort(key=lambda piece: piece.left)
    return rows


def _middle(row: _Row) -> float:
    return sum(piece.middle for piece in row) / len(row)


def _pitch(rows: Sequence[_Row]) -> float:
    """The usual distance from row to row inside a paragraph: below rows that are full, where there are such."""
    height = median(piece.height for row in rows for piece in row)
    left, right = min(row[0].left for row in rows), max(row[-1].right for row in rows)
    full = [row[-1].right > left + 0.85 * (right - left) and len(row) == 1 for row in rows]
    steps = [_middle(below) - _middle(row) for row, below in pairwise(rows)]
    below_full = [step for step, wide in zip(steps, full, strict=False) if wide and step < 3.5 * height]
    steps = below_full if len(below_full) >= _LEAST_ROWS else [step for step in steps if step < 2.2 * height]
    return median(steps) if steps else 1.3 * height


# --- columns -------------------------------------------------------------------------------------------------


def _blocks(pieces: list[_Piece], depth: int = 0) -> Iterator[list[_Piece]]:
    """What is read from top to bottom before the eye goes to the next: a column, or all there is."""
    if not pieces:
        return
    gutter = _gutter(pieces) if depth < 3 and len(pieces) >= 2 * _LEAST_ROWS else None
    if gutter is None:
        yield pieces
        return
    # What lies across the gutter (a title, a wide table) parts the columns above it from those below.
    across = [piece for piece in pieces if piece.left < gutter < piece.right]
    whole: list[_Piece] = []
    for span, band in _bands(pieces, across):
        left = [piece for piece in band if piece.right <= gutter]
        right = [piece for piece in band if piece.left >= gutter]
        if span or not _prose(left) or not _prose(right):
            whole += band
            continue
        if whole:
            yield whole
            whole = []
        yield from _blocks(left, depth + 1)
        yield from _blocks(right, depth + 1)
    if whole:
        yield whole


def _gutter(pieces: Sequence[_Piece]) -> float | None:
    """Where the fewest lines cross, near the middle; None where too many do for two columns."""
    first, last = min(piece.left for piece in pieces), max(piece.right for piece in pieces)
    width = last - first
    best: tuple[int, float, float] | None = None
    for step in range(20, 81):
        x = first + width * step / 100
        crossing = sum(piece.left < x < piece.right for piece in pieces)
        before = sum(piece.right <= x for piece in pieces)
        if min(before, len(pieces) - crossing - before) < _LEAST_ROWS:
            continue
        if best is None or (crossing, abs(step - 50)) < (best[0], best[1]):
            best = crossing, abs(step - 50), x
    return best[2] if best is not None and best[0] <= len(pieces) / 4 else None


def _bands(pieces: Sequence[_Piece], across: Sequence[_Piece]) -> Iterator[tuple[bool, list[_Piece]]]:
    """From top to bottom: runs of lines across the gutter (True), and of lines beside it."""
    spanning = {id(piece) for piece in across}
    band: list[_Piece] = []
    kind = False
    for row in _rows(pieces):
        span = any(id(piece) in spanning for piece in row)
        if band and span != kind:
            yield kind, band
            band = []
        kind = span
        band.extend(row)
    if band:
        yield kind, band


def _prose(pieces: Sequence[_Piece]) -> bool:
    """Whether these are the lines of a column of text: most of them long, and as wide as the column."""
    if len(pieces) < _LEAST_ROWS:
        return False
    width = max(piece.right for piece in pieces) - min(piece.left for piece in pieces)
    wide = sum(sum(piece.right - piece.left for piece in row) > 0.6 * width for row in _rows(pieces))
    return wide >= 0.5 * len(_rows(pieces)) and median(len(piece.marks) for piece in pieces) >= 15


# --- tables --------------------------------------------------------------------------------------------------


def _tables(rows: Sequence[_Row]) -> Iterator[tuple[bool, list[_Row]]]:
    """Runs of rows with figures in cells (True), and every other row for itself."""
    cells = [_cells(row) for row in rows]
    index = 0
    while index < len(rows):
        end = index
        while end < len(rows) and len(cells[end]) > 1:
            end += 1
            # A label on a row of its own ("Net sales:") does not end a table.
            if end + 1 < len(rows) and len(cells[end]) == 1 and len(cells[end + 1]) > 1:
                end += 1
        run = cells[index:end]
        figures = sum(any(_FIGURE.fullmatch(cell.text) for cell in row[1:]) for row in run)
        if len(run) >= _LEAST_ROWS and figures >= 0.5 * len(run):
            yield True, run
            index = end
        else:
            yield False, [rows[index]]
            index += 1


def _cells(row: _Row) -> _Row:
    """A row's pieces; those that stand close are one cell, a currency sign belongs to the figure behind it."""
    cells: _Row = []
    for piece in [part for whole in row for part in _parted(whole)]:
        before = cells[-1] if cells else None
        tight = before is not None and (_CURRENCY.fullmatch(before.text) or _CLOSING.fullmatch(piece.text))
        near = before is not None and piece.left - before.right < _APART * min(piece.height, before.height)
        if before is None or not (tight or (near and not _CURRENCY.match(piece.text))):
            cells.append(piece)
            continue
        gap: Marks = [] if tight else [(" ", None)]
        marks = before.marks + gap + piece.marks
        cells[-1] = _Piece(marks, before.left, piece.right, before.middle, before.height)
    return cells


def _parted(piece: _Piece) -> _Row:
    """The piece without the currency sign of the next figure that got stuck to its end ("1.89 $")."""
    if len(piece.marks) < 3 or piece.marks[-1][0] not in "$€£¥" or not re.search(r"\d[)%]*\s*.$", piece.text):
        return [piece]
    figure, sign = piece.marks[:-1], piece.marks[-1:]
    while figure[-1][0] == " ":
        figure.pop()
    edge = piece.right - piece.height / 2
    return [
        _Piece(figure, piece.left, edge - 1, piece.middle, piece.height),
        _Piece(sign, edge, piece.right, piece.middle, piece.height),
    ]


def _table(rows: Sequence[_Row]) -> Marks:
    """Markdown rows as `tables.markdown_rows` makes them, with the boxes kept."""
    starts = _columns(rows)
    marks: Marks = []
    for number, row in enumerate(rows):
        line: list[Marks] = [[] for _ in starts]
        for piece in row:
            column = max(range(len(starts)), key=lambda i, p=piece: _shared(p, starts[i]))  # type: ignore[misc]
            line[column] += [(" ", None), *piece.marks] if line[column] else piece.marks
        marks += _plain("\n" if number else "") + _plain("| ")
        for column, cell in enumerate(line):
            marks += _plain(" | " if column else "")
            for character, spot in cell:
                marks += [("\\", None), ("|", spot)] if character == "|" else [(character, spot)]
        marks += _plain(" |")
        if number == 0:
            marks += _plain("\n|" + " --- |" * len(starts))
    return marks


def _columns(rows: Sequence[_Row]) -> list[tuple[float, float]]:
    """The columns as spans from left to right: where cells of more than a few rows lie above each other."""
    left, right = min(row[0].left for row in rows), max(row[-1].right for row in rows)
    step = max(1.0, (right - left) / 500)
    covered = [0] * 502
    for row in rows:
        for cell in row if len(row) > 1 else ():
            for index in range(int((cell.left - left) / step), int((cell.right - left) / step) + 1):
                covered[index] += 1
    few = sum(len(row) > 1 for row in rows) // 8
    columns: list[tuple[float, float]] = []
    for index in range(501):
        if covered[index] > few:
            start = columns.pop()[0] if index and covered[index - 1] > few else left + index * step
            columns.append((start, left + (index + 1) * step))
    return columns or [(left, right)]


def _shared(piece: _Piece, column: tuple[float, float]) -> float:
    """How much of the piece is in the column; below 0: how far it is away."""
    return min(piece.right, column[1]) - max(piece.left, column[0])


# --- text ----------------------------------------------------------------------------------------------------


def _plain(text: str) -> Marks:
    return [(character, None) for character in text]


def _running(row: _Row) -> Marks:
    marks: Marks = []
    for piece in row:
        marks += [(" ", None), *piece.marks] if marks else piece.marks
    return marks


def _continues(marks: Marks, more: Marks) -> bool:
    """Whether a sentence goes on from one column into the next."""
    return bool(marks) and (marks[-1][0].isalnum() or marks[-1][0] in ",-") and more[0][0].islower()


def _append(marks: Marks, more: Marks, paragraph: bool, hyphened: set[str]) -> None:
    """Put a row behind the text so far; a word that was cut at the line's end becomes whole.

    One that stands with its hyphen elsewhere on the page keeps it.
    """
    if not marks:
        marks += more
    elif not paragraph and _cut(marks, more):
        left = "".join(character for character, _ in _last_word(marks)).lower()
        right = re.match(r"\w*", "".join(character for character, _ in more[:60]))
        if left not in _KEEP_HYPHEN and f"{left}-{right[0].lower() if right else ''}" not in hyphened:
            marks.pop()
        marks += more
    else:
        marks += _plain("\n\n" if paragraph else "\n") + more


def _cut(marks: Marks, more: Marks) -> bool:
    return len(marks) > 1 and marks[-1][0] in _HYPHENS and marks[-2][0].isalpha() and more[0][0].islower()


def _last_word(marks: Marks) -> Marks:
    start = len(marks) - 1
    while start > 0 and marks[start - 1][0].isalnum():
        start -= 1
    return marks[start:-1]


_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


def words(marks: Marks) -> Iterator[tuple[int, int, Spot]]:
    """Each word's offsets and box; a word over two lines comes as its two parts, a Chinese character as one."""
    text = "".join(character for character, _ in marks)
    for match in _WORD.finditer(text):
        start = match.start()
        box: Spot | None = None
        for index in range(match.start(), match.end()):
            spot = marks[index][1]
            if spot is None:
                if box is not None:
                    yield start, index, box
                box, start = None, index + 1
            elif box is None:
                box = spot
            elif spot.left < box.left - (spot.bottom - spot.top) and spot.top > box.top:
                yield start, index, box
                box, start = spot, index
            else:
                box = Spot(min(box.left, spot.left), min(box.top, spot.top), max(box.right, spot.right),
                           max(box.bottom, spot.bottom))  # fmt: skip
        if box is not None and not math.isnan(box.left):
            yield start, match.end(), box
