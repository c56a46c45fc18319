"""Name the place of a span inside a page: cells of a sheet, times, numbered lines, the heading over it.

The cells of a row are separated by " | "; a bar inside a cell is escaped, so that no space precedes it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter

from localrag.types import Anchor, Heading, Page, place

_CELL = re.compile(r"([A-Z]{1,3})([1-9][0-9]*)")
_LINE = re.compile(r"([0-9]+):([0-9]+)")  # of a printed page
_BETWEEN = re.compile(r"[ \n]|(?<!\\)\|")  # separators between cells


def place_at(page: Page, start: int, end: int) -> str:
    """The place of [start, end) as a person would look it up (`types.place`), under the headings over its start."""
    titles = tuple(one.title for one in above(page, start))
    return place(page.number, page.label, titles, page.unit, spot(page.text, page.anchors, start, end))


def above(page: Page, at: int) -> list[Heading]:
    """The headings of a page that an offset is under, the highest first."""
    path: list[Heading] = []
    for one in page.headings:
        if one.start > at:
            break
        path = [*(higher for higher in path if higher.level < one.level), one]
    return path


def spot(text: str, anchors: Sequence[Anchor], start: int, end: int) -> str:
    """The place of [start, end): cells ("C5"), rows ("B4:D9"), a time, lines ("23:4-11"); empty without an anchor."""
    # Without bars and spaces at the ends.
    left, right = start, min(end, len(text))
    while left < right and _BETWEEN.match(text, left):
        left += 1
    while left < right and _BETWEEN.match(text, right - 1):
        right -= 1
    if left < right:
        start, end = left, right
    first = bisect_right(anchors, start, key=attrgetter("start")) - 1
    last = bisect_left(anchors, end, key=attrgetter("start")) - 1
    if first < 0:
        return ""
    if _LINE.fullmatch(anchors[first].name):
        return _lines(anchors[first].name, anchors[max(first, last)].name)
    if _CELL.fullmatch(anchors[first].name) is None:
        return anchors[first].name
    if first >= last:
        column, row = _position(anchors[first].name)
        line, stop = _line(text, anchors, first)
        left = 0 if start > stop else text.count(" | ", line, start)  # after it comes the line of dashes
        return _range(column + left, row, column + text.count(" | ", line, min(end, stop)), row)
    left, top, right, bottom = _cells(text, anchors, first)
    for index in range(first + 1, last + 1):
        if _CELL.fullmatch(anchors[index].name):
            box = _cells(text, anchors, index)
            left, top, right, bottom = min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3])
    return _range(left, top, right, bottom)


def cell_name(row: int, column: int) -> str:
    """A cell's name in A1 notation; both are 0-based."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(65 + letter) + letters
    return f"{letters}{row + 1}"


def _lines(first: str, last: str) -> str:
    """The lines from one to another: "23:4-11", "23:24-24:2"."""
    page, _, line = last.partition(":")
    if first == last or not line:
        return first
    return f"{first}-{line}" if first.startswith(f"{page}:") else f"{first}-{last}"


def _line(text: str, anchors: Sequence[Anchor], index: int) -> tuple[int, int]:
    """Where the cells of an anchor's line begin and end; a line that is not a row is one cell."""
    begin = anchors[index].start
    if not text.startswith("| ", begin):
        return begin, begin
    end = text.find("\n", begin)
    return begin + 2, len(text) if end < 0 else end


def _cells(text: str, anchors: Sequence[Anchor], index: int) -> tuple[int, int, int, int]:
    column, row = _position(anchors[index].name)
    return column, row, column + text.count(" | ", *_line(text, anchors, index)), row


def _position(name: str) -> tuple[int, int]:
    match = _CELL.fullmatch(name)
    assert match is not None, "only called for cells"
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - 64
    return column - 1, int(match[2]) - 1


def _range(left: int, top: int, right: int, bottom: int) -> str:
    one, other = cell_name(top, left), cell_name(bottom, right)
    return one if one == other else f"{one}:{other}"
