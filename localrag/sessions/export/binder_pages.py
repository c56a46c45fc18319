"""The pages of a binder as reportlab lays them out: its index, frames around copies, and texts of what is no PDF."""

from __future__ import annotations

import io
import re
import sys
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from itertools import accumulate
from types import ModuleType
from typing import Any

from localrag.answer.checks.cited_page import in_columns
from localrag.ingest.source_files import PageCopy
from localrag.sessions.export.binding import Mark, Placed, Rectangle

_FONT = "DejaVuSans"
_WIDTH, _HEIGHT, _MARGIN = 595.28, 841.89, 48.0  # A4, in points
_ROOM = _WIDTH - 2 * _MARGIN
_SIZE, _SMALL, _LINE = 9.0, 7.0, 1.45  # of letters, and of a line in sizes of its letters
_GUTTER, _STRIP = 28.0, 40.0  # left of a copy and below it
_GREY, _BLACK, _BLUE = (0.4, 0.4, 0.4), (0.0, 0.0, 0.0), (0.02, 0.28, 0.6)
_FIXED, _CELL, _MAX_CELLS = "\x1f", 0.64, 150  # of tables: a space, the width of letters in sizes, the most letters
_PIECE = re.compile(rf"[^{_FIXED}]+(?:{_FIXED}[^{_FIXED}]+)*")
_COLUMNS = (("", 24.0), ("Place", 76.0), ("Quote", 210.0), ("Stands for", 157.28), ("Page", 32.0))
_MAX_LINES = 6  # of a cell
Spans = Sequence[tuple[int, int, int]]  # start, end and number of each quote
Row = tuple[int, str, tuple[str, str, str]]  # of the index: number, document; place, quote, what it stands for


@cache
def _face() -> Any:
    """Register the font, and return its widths and glyphs by letter."""
    # reportlab runs a module or file of this name, of the current folder or the home folder, when it is imported.
    sys.modules.setdefault("reportlab_settings", ModuleType("reportlab_settings"))
    from reportlab.pdfbase import pdfmetrics, ttfonts

    data = resources.files("localrag").joinpath("sessions/export/font/DejaVuSans.ttf").read_bytes()
    font = ttfonts.TTFont(_FONT, io.BytesIO(data))
    pdfmetrics.registerFont(font)
    return font.face


def _edges(text: str, size: float) -> list[float]:
    """Return where each letter of a line begins, and where the last one ends."""
    face = _face()
    widths = (face.charWidths.get(ord(letter), face.defaultWidth) * size / 1000 for letter in text)
    return list(accumulate(widths, initial=0.0))


def _wrapped(text: str, size: float, room: float) -> Iterator[tuple[int, int]]:
    """Yield the spans of a text's lines, at least one."""
    edges, begin = _edges(text, size), 0
    while True:
        end = bisect_right(edges, edges[begin] + room) - 1
        if end >= len(text):
            yield begin, len(text)
            return
        end = max(end, begin + 1)
        space = text.rfind(" ", begin + 1, end + 1)
        end = space if space > begin else end
        yield begin, end
        begin = end + (text[end : end + 1] == " ")


def legible(text: str) -> tuple[str, list[int]]:
    """Return a text with what the font cannot show replaced by its count and script, and where each offset is then."""
    marks = "".join("." if _shows(letter) else "x" for letter in text)
    parts, places, last = [], list[int](), 0
    length = 0
    for run in re.finditer(r"x(?:[x.]?x)*", marks):
        first = run.start()
        letters = [letter for letter in text[first : run.end()] if not _shows(letter)]
        said = f"[{len(letters)} {_script(letters[0])}]"
        parts += [text[last:first], said]
        places += range(length, length + first - last)
        length += first - last
        places += [length] * (run.end() - first)
        length, last = length + len(said), run.end()
    places += range(length, length + len(text) - last + 1)
    return "".join((*parts, text[last:])), places


def _shows(letter: str) -> bool:
    """Whether the font has a letter, and it needs no order from the right and no shaping."""
    return letter == "\n" or (
        ord(letter) in _face().charToGlyph and unicodedata.bidirectional(letter) not in ("R", "AL", "AN")
    )


def _script(letter: str) -> str:
    if not unicodedata.category(letter).startswith("L"):
        return "signs"
    name = unicodedata.name(letter, "other").partition(" ")[0]
    return f"{name if len(name) < 4 else name.capitalize()} letters"


@dataclass(slots=True)
class Pages:
    """Lays out pages one by one; `known` is where a layout before put each quote, `total` how many pages it made."""

    title: str
    known: Mapping[int, int] = field(default_factory=dict)
    total: int = 0
    where: dict[int, int] = field(default_factory=dict)  # the page of each quote, from 1
    placed: list[Placed] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    _names: dict[int, str] = field(default_factory=dict)
    _aimed: set[int] = field(default_factory=set)
    _made: io.BytesIO = field(default_factory=io.BytesIO)
    _canvas: Any = None
    _lines: defaultdict[int, list[Rectangle]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        _face()
        from reportlab.pdfgen.canvas import Canvas

        self._canvas = Canvas(self._made, (_WIDTH, _HEIGHT), invariant=1, pageCompression=1)
        self._canvas.setTitle(self.title)
        self._canvas.setAuthor("localrag")
        self._canvas.showOutline()

    def finished(self) -> bytes:
        self.total = self._canvas.getPageNumber() - 1
        self._canvas.save()
        return self._made.getvalue()

    def add_index(self, about: Sequence[str], rows: Sequence[Row]) -> None:
        """Add the title, what the binder was made from, and a line for each quote that leads to its page."""
        self._canvas.bookmarkPage("index")
        self._canvas.addOutlineEntry("Index", "index", 0)
        y = self._paragraph(self.title, _HEIGHT - _MARGIN - 12, 17, _BLACK)
        for text in about:
            y = self._paragraph(text, y - 2, 8.5, _GREY)
        y, last = self._heads(y - 14), ""
        for number, document, texts in rows:
            shown = (str(number), *texts, str(self.known.get(number, "")))
            cells = [_cell(text, room) for text, (_, room) in zip(shown, _COLUMNS, strict=True)]
            height = 10.0 * max(map(len, cells)) + 5
            if y - height - (18 if document != last else 0) < _MARGIN:
                self._end("Index")
                y, last = self._heads(_HEIGHT - _MARGIN), ""
            if document != last:
                self._write(_MARGIN + 3, y - 11, _cut(document, 8, _ROOM - 6), 8)
                y, last = y - 15, document
            self._row(number, cells, y, height)
            y -= height
        self._end("Index")

    def _heads(self, y: float) -> float:
        self._canvas.setFillColorRGB(0.91, 0.93, 0.95)
        self._canvas.rect(_MARGIN, y - 5, _ROOM, 15, stroke=0, fill=1)
        x = _MARGIN
        for head, width in _COLUMNS:
            self._write(x + 3, y, head, 7.5)
            x += width
        return y - 8

    def _row(self, number: int, cells: Sequence[Sequence[str]], y: float, height: float) -> None:
        x = _MARGIN
        for at, (lines, (_, width)) in enumerate(zip(cells, _COLUMNS, strict=True)):
            for line, text in enumerate(lines):
                self._write(x + 3, y - 8 - 10 * line, text, 7.5, _BLUE if at in (0, len(cells) - 1) else _BLACK)
            x += width
        self._canvas.setStrokeColorRGB(0.8, 0.8, 0.8)
        self._canvas.line(_MARGIN, y - height, _MARGIN + _ROOM, y - height)
        self._canvas.linkRect("", f"q{number}", (_MARGIN, y - height, _MARGIN + _ROOM, y), relative=0)

    def begin(self, document: str, quotes: Mapping[int, str]) -> None:
        """Begin the page of quotes, by number and name, with bookmarks; `document` is empty if it is that before."""
        self._names.update(quotes)
        for number in quotes:
            self._aim(number, 20_000)
        self._aimed.difference_update(quotes)
        if document:
            self._canvas.bookmarkPage(f"d{min(quotes)}")
            self._canvas.addOutlineEntry(legible(document)[0], f"d{min(quotes)}", 0, closed=True)
        for number, name in quotes.items():
            self._canvas.addOutlineEntry(legible(name)[0], f"q{number}", 1)

    def add_text(self, head: str, about: Sequence[str], parts: Sequence[tuple[str, Spans]], foot: str) -> None:
        """Add the parts of a text with their quotes, on as many pages as it takes."""
        y = self._paragraph(head, _HEIGHT - _MARGIN - 6, 12, _BLACK)
        for text in about:
            y = self._paragraph(text, y, 8, _GREY)
        self._canvas.setStrokeColorRGB(0.7, 0.7, 0.7)
        self._canvas.line(_MARGIN, y, _MARGIN + _ROOM, y)
        y -= 16
        for text, spans in parts:
            shown, at = _in_columns(text)
            quotes = [(at[start], at[end], number) for start, end, number in spans]
            for size, pieces in _lines(shown):
                if y < _MARGIN + 14:
                    self._end(foot)
                    y = _HEIGHT - _MARGIN
                for x, first, last in pieces:
                    self._piece(shown, (first, last), (_MARGIN + x, y), size, quotes)
                y -= size * _LINE
        self._end(foot)

    def _piece(self, text: str, span: tuple[int, int], at: tuple[float, float], size: float, quotes: Spans) -> None:
        (first, last), (x, y) = span, at
        own = text[first:last].replace(_FIXED, " ")
        self._write(x, y, own, size)
        for start, end, number in quotes:
            if start < last and end > first:
                edges = _edges(own, size)
                left, right = edges[max(start, first) - first], edges[min(end, last) - first]
                self._lines[number].append((x + left, y - 0.25 * size, x + right, y + 0.85 * size))

    def add_copy(self, copy: PageCopy, numbers: Sequence[int], notes: Sequence[str], foot: str) -> None:
        """Add a frame around a copy of a page: numbers beside its quotes, and below it what it is."""
        scale = max(1.0, max(copy.width, copy.height) / 1000)
        left, below = _GUTTER * scale, _STRIP * scale
        width = max(copy.width, 260.0) + left
        self._canvas.setPageSize((width, copy.height + below))
        self.placed.append(Placed(self._canvas.getPageNumber() - 1, copy, left, below))
        for number, boxes in zip(numbers, copy.boxes, strict=False):
            for x0, y0, x1, y1 in boxes:
                top, bottom = below + (1 - y0) * copy.height, below + (1 - y1) * copy.height
                self._lines[number].append((left + x0 * copy.width, bottom, left + x1 * copy.width, top))
        self._canvas.setStrokeColorRGB(0.7, 0.7, 0.7)
        self._canvas.line(0, below, width, below)
        self._end(foot, notes, left, width, scale)
        self._canvas.setPageSize((_WIDTH, _HEIGHT))

    def _end(
        self, foot: str, notes: Sequence[str] = (), left: float = _MARGIN, width: float = _WIDTH, scale: float = 1.0
    ) -> None:
        """End a page: mark the quotes on it, and say below what it is."""
        page, used = self._canvas.getPageNumber(), list[float]()
        for number, lines in self._lines.items():
            top = max(line[3] for line in lines)
            self.marks.append(Mark(page - 1, tuple(lines), self._names[number]))
            self._aim(number, top + 40 * scale)
            y = top - 8 * scale
            while any(abs(y - one) < 8 * scale for one in used):
                y -= 8 * scale
            used.append(y)
            self._write(left - 20 * scale, y, str(number), 8 * scale, _BLUE)
        self._lines.clear()
        size, right = _SMALL * scale, f"{page} of {self.total}"
        end = width - (_MARGIN if left == _MARGIN else 12 * scale) - _edges(right, size)[-1]
        self._write(end, 26 * scale, right, size, _GREY)
        for line, text in enumerate((foot, *notes)[:3]):
            self._write(left, (26 - 9 * line) * scale, _cut(text, size, end - left - size), size, _GREY)
        self._canvas.showPage()

    def _aim(self, number: int, top: float) -> None:
        """Make links and bookmark of a quote lead to this height, unless they lead to its words on an earlier page."""
        if number not in self._aimed:
            self.where[number] = self._canvas.getPageNumber()
            self._canvas.bookmarkPage(f"q{number}", fit="XYZ", left=0, top=top)
            self._aimed.add(number)

    def _paragraph(self, text: str, y: float, size: float, colour: tuple[float, float, float]) -> float:
        """Write a text over the width of the page; return the height below it."""
        shown = legible(text)[0]
        for start, end in _wrapped(shown, size, _ROOM):
            self._write(_MARGIN, y, shown[start:end], size, colour)
            y -= size * _LINE
        return y

    def _write(self, x: float, y: float, text: str, size: float, colour: tuple[float, float, float] = _BLACK) -> None:
        self._canvas.setFont(_FONT, size)
        self._canvas.setFillColorRGB(*colour)
        self._canvas.drawString(x, y, text)


def _cut(text: str, size: float, room: float) -> str:
    shown = legible(text)[0]
    edges = _edges(shown, size)
    return shown if edges[-1] <= room else shown[: max(0, bisect_right(edges, room - size) - 1)].rstrip() + "…"


def _cell(text: str, width: float) -> list[str]:
    """Return the lines of a cell of the index."""
    shown = legible(text)[0]
    lines = [shown[start:end] for start, end in _wrapped(shown, 7.5, width - 6)]
    return lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], f"{lines[_MAX_LINES - 1][:-1].rstrip()}…"]


def _in_columns(text: str) -> tuple[str, list[int]]:
    """Return a text that can be shown, with its tables in columns, and where each of its offsets is then."""
    shown, at = legible(text)
    laid, places = in_columns(shown, _MAX_CELLS, _FIXED)
    return laid, [places[one] for one in at]


def _lines(text: str) -> Iterator[tuple[float, list[tuple[float, int, int]]]]:
    """Yield the lines of a text: the size of their letters, and the pieces of each, where they begin."""
    lines, at = text.split("\n"), 0
    longest = max((len(line) for line in lines if _is_table(line)), default=1)
    small = min(_SIZE, _ROOM / _CELL / longest)
    for line in lines:
        if _is_table(line):
            pieces = [(one.start() * _CELL * small, at + one.start(), at + one.end()) for one in _PIECE.finditer(line)]
            yield small, pieces
        else:
            for start, end in _wrapped(line, _SIZE, _ROOM):
                yield _SIZE, [(0.0, at + start, at + end)]
        at += len(line) + 1


def _is_table(line: str) -> bool:
    return _FIXED in line or line.startswith("──")
