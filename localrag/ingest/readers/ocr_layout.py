"""The text of a scanned page from its recognised lines: columns, tables, paragraphs, words cut at line ends.

The page is levelled first; columns and tables are found as in a PDF (`pdf_layout`, `pdf_tables`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from localrag.ingest.readers import pdf_words
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.pdf_layout import find_regions
from localrag.ingest.readers.pdf_native import Box
from localrag.ingest.readers.pdf_tables import Table, find_tables
from localrag.ingest.readers.pdf_words import join_hyphen
from localrag.text import clean

_PARAGRAPH = 1.45  # line distances above this many usual ones part paragraphs
_MIN_ROWS = 3  # of a column
_MAX_DEPTH = 3  # of columns in columns
_HYPHENS = "-\u2010\u00ad"
# Characters that are written without spaces are words of their own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A recognised line; `boxes` (in pixels from the top left) has one for each character, None for spaces."""

    text: str
    boxes: tuple[Box | None, ...]
    confidence: float


def arrange(lines: Sequence[Line]) -> tuple[str, list[tuple[int, int, Box]]]:
    """Return the text of a page, and the offsets and boxes of its words."""
    boxes: dict[int, Box] = {}
    joined: set[int] = set()
    slope = _slope(lines)
    levelled = [level for line in lines if (level := _level(line, slope, boxes, joined)) is not None]
    text = _Text("\n".join(clean(line.text) for line in lines), boxes, joined)
    for column in _columns(levelled):
        # Where lines were recognised across a narrow gutter, gaps between words still show it.
        for region, _ in find_regions(pdf_words.find_lines(word for line in column for word in line.words)):
            _add_column(text, region)
    return text.text, text.words


def _level(line: Line, slope: float, boxes: dict[int, Box], joined: set[int]) -> pdf_words.Line | None:
    """Return a line of the levelled page; note the boxes of its words, and which words follow without a space."""
    words: list[pdf_words.Word] = []
    last = None
    for match in _WORD.finditer(line.text):
        inside = [box for box in line.boxes[match.start() : match.end()] if box is not None]
        text = clean(match[0])
        if not inside or not text.strip():
            continue
        number = len(boxes)
        boxes[number] = _around(inside)
        words.append(pdf_words.Word(number, number, text, *_around(_levelled(box, slope) for box in inside)))
        if last == match.start():
            joined.add(number)
        last = match.end()
    if not words:
        return None
    around = _around(Box(*word[3:]) for word in words)
    return pdf_words.Line(tuple(sorted(words, key=lambda word: word.left)), around.top, around.bottom)


def _around(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _levelled(box: Box, slope: float) -> Box:
    across, down = (box.top + box.bottom) / 2 * slope, (box.left + box.right) / 2 * slope
    return Box(box.left + across, box.top - down, box.right + across, box.bottom - down)


def _slope(lines: Sequence[Line]) -> float:
    """Return how far lines fall for each pixel to the right; 0 where unclear."""
    slopes = []
    for line in lines:
        inside = [box for box in line.boxes if box is not None]
        first, last = inside[0], inside[-1]
        width, height = last.left - first.left, first.bottom - first.top
        if width > 8 * height:
            slopes.append((last.top + last.bottom - first.top - first.bottom) / 2 / width)
    return median(slopes) if len(slopes) >= 3 else 0.0


def _columns(lines: list[pdf_words.Line], depth: int = 0) -> Iterator[list[pdf_words.Line]]:
    """Yield the parts of a page in reading order: columns, and what is not set in columns."""
    gutter = _gutter(lines) if depth < _MAX_DEPTH and len(lines) >= 2 * _MIN_ROWS else None
    if gutter is None:
        yield from [lines] if lines else []
        return
    # A line across the gutter (a title, a wide table) parts the columns above it from those below.
    whole: list[pdf_words.Line] = []
    for crosses, rows in groupby(_rows(lines), lambda row: any(one.left < gutter < one.right for one in row)):
        band = [line for row in rows for line in row]
        left = [line for line in band if line.right <= gutter]
        right = [line for line in band if line.left >= gutter]
        if crosses or not _is_prose(left) or not _is_prose(right):
            whole += band
            continue
        if whole:
            yield whole
            whole = []
        yield from _columns(left, depth + 1)
        yield from _columns(right, depth + 1)
    if whole:
        yield whole


def _gutter(lines: Sequence[pdf_words.Line]) -> float | None:
    """Return where the fewest lines cross, near the middle; None where too many do for two columns."""
    first, last = min(line.left for line in lines), max(line.right for line in lines)
    found: list[tuple[int, float, float]] = []
    for step in range(20, 81):
        x = first + (last - first) * step / 100
        crossing = sum(line.left < x < line.right for line in lines)
        before = sum(line.right <= x for line in lines)
        if min(before, len(lines) - crossing - before) >= _MIN_ROWS:
            found.append((crossing, abs(step - 50), x))
    crossing, _, x = min(found, default=(len(lines), 0.0, 0.0))
    return x if crossing <= len(lines) / 4 else None


def _rows(lines: Sequence[pdf_words.Line]) -> list[list[pdf_words.Line]]:
    rows: list[list[pdf_words.Line]] = []
    for line in sorted(lines, key=lambda line: line.middle):
        if rows and abs(line.middle - rows[-1][0].middle) < 0.5 * line.height:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _is_prose(lines: Sequence[pdf_words.Line]) -> bool:
    """Whether these are lines of text in columns: most of them long, and of one width."""
    if len(lines) < _MIN_ROWS:
        return False
    widths = sorted(line.right - line.left for line in lines)
    usual = widths[len(widths) * 3 // 4]
    wide = sum(width > 0.6 * usual for width in widths)
    return wide >= 0.5 * len(lines) and median(sum(len(word.text) + 1 for word in line.words) for line in lines) >= 15


def _add_column(text: _Text, lines: Sequence[pdf_words.Line]) -> None:
    """Add a column or another part of a page."""
    tables = find_tables(lines, ())
    table_of = {word.start: table for table in tables for word in table.words}
    height = median(line.height for line in lines)
    steps = [step for a, b in pairwise(lines) if (step := b.middle - a.middle) < 2.2 * height]
    pitch = median(steps) if steps else 1.3 * height  # the usual distance of lines in a paragraph
    before: pdf_words.Line | None = None
    done: set[int] = set()
    for line in lines:
        table = table_of.get(line.words[0].start)
        if table is None:
            near = before is not None and line.middle - before.middle <= _PARAGRAPH * pitch
            text.add_line(line, near or (before is None and text.continues(line)))
        elif id(table) not in done:
            done.add(id(table))
            text.add_table(table)
        before = line if table is None else None


class _Text:
    """The text so far, and where its words are in it."""

    def __init__(self, raw: str, boxes: dict[int, Box], joined: set[int]) -> None:
        self._raw, self._boxes, self._joined = raw, boxes, joined
        self.text = ""
        self.words: list[tuple[int, int, Box]] = []

    def continues(self, line: pdf_words.Line) -> bool:
        """Whether a sentence continues in a line at the top of the next column."""
        last = self.text[-1:]
        return (last.isalnum() or last in _HYPHENS + ",") and bool(last) and line.words[0].text[0].islower()

    def add_line(self, line: pdf_words.Line, near: bool) -> None:
        """Add a line; `near` says that it belongs to the paragraph before."""
        if self.text:
            first = line.words[0].text
            if not (near and self._join_cut_word(first)):
                self.text += "\n" if near else "\n\n"
        for place, word in enumerate(line.words):
            self.text += " " if place and word.start not in self._joined else ""
            self.words.append((len(self.text), len(self.text) + len(word.text), self._boxes[word.start]))
            self.text += word.text

    def add_table(self, table: Table) -> None:
        self.text += "\n\n" if self.text else ""
        start = len(self.text)
        self.text += "\n".join(markdown_rows(list(table.rows)))
        at = start
        for word in sorted(table.words, key=lambda word: word.start):
            text = word.text.replace("|", "\\|")
            found = self.text.find(text, at)
            if found < 0:
                found = self.text.find(text, start)
            if found >= 0:
                at = found + len(text)
                self.words.append((found, at, self._boxes[word.start]))

    def _join_cut_word(self, following: str) -> bool:
        """Join a word that is cut at the end of the last line with its other half."""
        cut = len(self.text) > 1 and self.text[-1] in _HYPHENS and self.text[-2].isalpha()
        if not cut or not following[0].islower():
            return False
        left = re.search(r"\w{0,99}$", self.text[:-1])
        right = re.match(r"\w*", following)
        if "-" not in join_hyphen(left[0] if left else "", right[0] if right else "", self._raw):
            self.text = self.text[:-1]
            start, end, box = self.words[-1]
            self.words[-1] = (start, end - 1, box)
        return True
