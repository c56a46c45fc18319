"""The words of a PDF page with the places they stand at, the lines they make, and the pieces of a line.

A word keeps its place in the page's raw text, so that what is not moved into a table or a column stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from localrag.ingest.readers import pdf_native as native

# U+FFFE is PDFium's hyphen at the end of a line; the next line follows it without a break.
_WORD = re.compile("[^\\s\ufffe]+\ufffe?|\ufffe")
# A gap in a line, in heights of a letter, behind which something else begins; spaces of prose are at most 0.6.
_GAP = 0.75
_FIGURE_GAP = 0.35
_FAR = 1e5  # points; a broken file may say anything
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


def find_words(textpage: Any, raw: str, matrix: native.Matrix) -> list[Word]:
    """The words of a page whose text is `raw`, seen through `matrix`."""
    spans = [match.span() for match in _WORD.finditer(raw)]
    # The box of a hyphen at a line's end may be empty.
    inked = [(start, end - (raw[end - 1] == "\ufffe" and end - start > 1)) for start, end in spans]
    ends = native.end_boxes(textpage, inked)
    found = []
    at = 0
    for start, end in spans:
        left, high, right_of_first, low, left_of_last, other_high, right, other_low = ends[at : at + 8]
        at += 8
        if matrix.b:  # set sideways: its letters follow one another in the file's y
            left, right = min(left, left_of_last), max(right_of_first, right)
            low, high = min(low, other_low), max(high, other_high)
        elif right < left:
            left, right = left_of_last, right_of_first
        if other_high - other_low > high - low:  # a word may begin with a small raised mark
            low, high = other_low, other_high
        if high > low and -_FAR < left <= right < _FAR and -_FAR < low < high < _FAR:
            found.append(Word(start, end, raw[start:end], *matrix.box(left, low, right, high)))
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


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")


def piece(words: Sequence[Word]) -> Piece:
    text = " ".join(word.text for word in words)
    if _RIGHT_TO_LEFT.search(text) and 2 * sum(a > b for a, b in pairwise(words)) > len(words) - 1:
        text = " ".join(word.text for word in sorted(words))  # the file has them from the right
    return Piece(
        tuple(words),
        text,
        min(word.left for word in words),
        max(word.right for word in words),
    )


_WIDE = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u30ff]")


def joined(left: str, right: str) -> str:
    """Two lines of one cell as one: a space between words, none between characters that are written without."""
    if not left or not right:
        return left or right
    if left.endswith("\ufffe") or (_WIDE.match(left[-1]) and _WIDE.match(right[0])):
        return left + right
    return f"{left} {right}"
