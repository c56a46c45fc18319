"""The words of a PDF page with the places they stand at, the lines they make, and the pieces of a line.

A word keeps its place in the page's raw text, so that what is not moved into a table or a column stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from localrag.readers.pdf_native import Matrix

# U+FFFE is PDFium's hyphen at the end of a line; the next line follows it without a break.
_WORD = re.compile("[^\\s\ufffe]+\ufffe?|\ufffe")
# A gap in a line, in heights of a letter, behind which something else begins; spaces of prose are at most 0.6.
_GAP = 0.75
_FIGURE_GAP = 0.35
_FIGURE = re.compile(r"^[($€£¥+\-–—]*[\d.,]*\d[\d.,]*[%)]*$|^[—–$€£-]+$")


class Word(NamedTuple):
    start: int
    end: int
    text: str
    left: float
    top: float
    right: float
    bottom: float


class Piece(NamedTuple):
    """Words of one line that stand together."""

    words: tuple[Word, ...]
    text: str
    left: float
    right: float


class Line(NamedTuple):
    words: tuple[Word, ...]
    top: float
    bottom: float

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return max(word.right for word in self.words)

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def find_words(raw: str, boxes: Sequence[float], matrix: Matrix) -> list[Word]:
    """The words of a page; `boxes` as `pdf_native.letter_boxes` gives them."""
    found = []
    for match in _WORD.finditer(raw):
        start, end = match.span()
        first, last = 4 * start, 4 * (end - 1)
        if raw[end - 1] == "\ufffe" and end - start > 1 and boxes[last] == boxes[last + 2]:
            last -= 4
        left, right = boxes[first], boxes[last + 2]
        low, high = boxes[first + 3], boxes[first + 1]
        if boxes[last + 1] - boxes[last + 3] > high - low:  # a word may begin with a small raised mark
            low, high = boxes[last + 3], boxes[last + 1]
        if high <= low:
            continue
        if right < left:
            left, right = boxes[last], boxes[first + 2]
        if matrix.b:  # text that is set sideways: its letters follow one another in the file's y
            left, right = min(boxes[first], boxes[last]), max(boxes[first + 2], boxes[last + 2])
            low, high = min(boxes[first + 3], boxes[last + 3]), max(boxes[first + 1], boxes[last + 1])
        found.append(Word(start, end, match[0], *matrix.box(left, low, right, high)))
    return found


def find_lines(words: Iterable[Word]) -> list[Line]:
    """Words that stand at one height, from the top down, each line from left to right."""
    lines: list[tuple[float, float, list[Word]]] = []
    for word in sorted(words, key=lambda word: word.top + word.bottom):
        middle = (word.top + word.bottom) / 2
        if lines:
            top, bottom, members = lines[-1]
            if abs(middle - (top + bottom) / 2) < 0.42 * min(bottom - top, word.bottom - word.top) or (
                top < middle < bottom and word.bottom - word.top < 0.75 * (bottom - top)
            ):
                members.append(word)
                continue
        lines.append((word.top, word.bottom, [word]))
    return [Line(tuple(sorted(members, key=lambda word: word.left)), top, bottom) for top, bottom, members in lines]


def pieces(line: Line, least: float = _GAP) -> list[Piece]:
    """The pieces of a line, parted by gaps that are wider than a space: `least` letters' heights."""
    found: list[list[Word]] = []
    for word in line.words:
        if found:
            before = found[-1][-1]
            gap, height = word.left - before.right, min(line.height, word.bottom - word.top)
            figures = gap > _FIGURE_GAP * height and bool(_FIGURE.match(before.text)) and bool(_FIGURE.match(word.text))
            if gap <= least * height and not figures:
                found[-1].append(word)
                continue
        found.append([word])
    return [piece(words) for words in found]


def piece(words: Sequence[Word]) -> Piece:
    return Piece(
        tuple(words),
        " ".join(word.text for word in words),
        min(word.left for word in words),
        max(word.right for word in words),
    )
