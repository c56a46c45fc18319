"""Calls of PDFium for the letters and drawings of a page.

The functions are bound to plain addresses, which makes a call three times as fast as pypdfium2's own, which check each
argument. Coordinates that leave this module are points from the top left of the page, downward, rotated as it is shown.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

_NOTHING = "\u2060"  # a character that `cleaning.clean` removes
TEXT, PATH, IMAGE, SHADING, FORM = 1, 2, 3, 4, 5
MAX_OBJECTS = 60_000  # of one page
_MAX_FORM_DEPTH = 6


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def width(self) -> float:
        return self.right - self.left


class Matrix(NamedTuple):
    """A PDF transformation: x' = a x + c y + e, y' = b x + d y + f."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        if not self.b and not self.c and self.a > 0 > self.d:  # nearly always; quick
            return Box(self.a * left + self.e, self.d * top + self.f, self.a * right + self.e, self.d * bottom + self.f)
        x0, y0 = self.at(left, bottom)
        x1, y1 = self.at(right, top)
        x2, y2 = self.at(left, top)
        x3, y3 = self.at(right, bottom)
        return Box(min(x0, x1, x2, x3), min(y0, y1, y2, y3), max(x0, x1, x2, x3), max(y0, y1, y2, y3))

    def after(self, inner: Matrix) -> Matrix:
        """Return the transformation that applies `inner` first, then this one."""
        a, b = self.a * inner.a + self.c * inner.b, self.b * inner.a + self.d * inner.b
        c, d = self.a * inner.c + self.c * inner.d, self.b * inner.c + self.d * inner.d
        e, f = self.at(inner.e, inner.f)
        return Matrix(a, b, c, d, e, f)


_UNMOVED = Matrix(1, 0, 0, 1, 0, 0)
_FAR = 1e5  # points; no page is as large, and broken files have any numbers


def tame(box: Box) -> Box:
    """Return a box with finite edges."""
    return Box(*(min(max(edge, -_FAR), _FAR) if edge == edge else _FAR for edge in box))


class Item(NamedTuple):
    """Something drawn on a page: its native handle, its kind, and the transformation around it."""

    handle: int
    kind: int
    around: Matrix


def view(page: Any, turns: int = 0) -> Matrix:
    """Return the matrix from file coordinates to points from the top left after quarter turns clockwise."""
    left, bottom, right, top = page.get_cropbox()
    return (
        Matrix(1, 0, 0, -1, -left, top),
        Matrix(0, 1, 1, 0, -bottom, -left),
        Matrix(-1, 0, 0, 1, right, -bottom),
        Matrix(0, -1, -1, 0, top, right),
    )[turns % 4]


def turned(page: Any, turns: int) -> Matrix:
    """Return the matrix from points of the unrotated page to those after quarter turns clockwise."""
    left, bottom, right, top = page.get_cropbox()
    width, height = right - left, top - bottom
    return (
        Matrix(1, 0, 0, 1, 0, 0),
        Matrix(0, 1, -1, 0, height, 0),
        Matrix(-1, 0, 0, -1, width, height),
        Matrix(0, -1, 1, 0, 0, width),
    )[turns % 4]


# Functions with their arguments and result: a is an address, i an int, l an unsigned long, f a float.
_SIGNATURES = {
    "FPDFText_CountChars": "a:i",
    "FPDFText_GetText": "aiia:i",
    "FPDFText_GetUnicode": "ai:i",
    "FPDFText_GetLooseCharBox": "aia:i",
    "FPDFText_CountRects": "aii:i",
    "FPDFText_GetRect": "aiaaaa:i",
    "FPDFText_GetCharAngle": "ai:f",
    "FPDFPage_CountObjects": "a:i",
    "FPDFPage_GetObject": "ai:a",
    "FPDFFormObj_CountObjects": "a:i",
    "FPDFFormObj_GetObject": "al:a",
    "FPDFPageObj_GetType": "a:i",
    "FPDFPageObj_GetMatrix": "aa:i",
    "FPDFPageObj_GetBounds": "aaaaa:i",
    "FPDFPageObj_GetFillColor": "aaaaa:i",
    "FPDFPageObj_GetStrokeColor": "aaaaa:i",
    "FPDFPageObj_SetIsActive": "ai:i",
    "FPDFTextObj_GetTextRenderMode": "a:i",
    "FPDFTextObj_GetText": "aaal:l",
    "FPDFTextObj_GetFontSize": "aa:i",
    "FPDFPath_GetDrawMode": "aaa:i",
    "FPDFPath_CountSegments": "a:i",
    "FPDFPath_GetPathSegment": "ai:a",
    "FPDFPathSegment_GetType": "a:i",
    "FPDFPathSegment_GetPoint": "aaa:i",
    "FPDFPathSegment_GetClose": "a:i",
}
_TYPES = {"a": ctypes.c_void_p, "i": ctypes.c_int, "l": ctypes.c_ulong, "f": ctypes.c_float}


@functools.cache
def _pdfium() -> Any:
    import pypdfium2.raw

    functions = {}
    for name, signature in _SIGNATURES.items():
        arguments, result = signature.split(":")
        kind = ctypes.CFUNCTYPE(_TYPES[result], *(_TYPES[letter] for letter in arguments))
        functions[name] = kind(_address(getattr(pypdfium2.raw, name)))
    return SimpleNamespace(**functions)


def _address(raw: Any) -> int:
    return ctypes.cast(raw, ctypes.c_void_p).value or 0


# --- letters -------------------------------------------------------------------------------------------------


def text(textpage: Any) -> str:
    """Return the page's text with one code point for each of PDFium's letters, so offsets are letter numbers."""
    handle = _address(textpage.raw)
    count: int = _pdfium().FPDFText_CountChars(handle)
    if count <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written: int = _pdfium().FPDFText_GetText(handle, 0, count, ctypes.addressof(buffer))
    raw = bytes(buffer)[: 2 * max(written - 1, 0)].decode("utf-16-le", "surrogatepass")
    if len(raw) == count:
        return raw
    unicode = _pdfium().FPDFText_GetUnicode
    units = [unicode(handle, index) for index in range(count)]
    letters = [chr(unit) if 0 < unit < 0x110000 else " " for unit in units]
    for index in range(count - 1):
        if 0xD800 <= units[index] < 0xDC00 <= units[index + 1] < 0xE000:  # a surrogate pair in two letters
            letters[index] = chr(0x10000 + ((units[index] - 0xD800) << 10) + units[index + 1] - 0xDC00)
            letters[index + 1] = _NOTHING
    return "".join(letters).replace("\x02", "\ufffe")


def end_boxes(textpage: Any, spans: Sequence[tuple[int, int]]) -> list[float]:
    """Return left, top, right, bottom of the first and the last letter of each span, in file coordinates.

    Eight numbers a span, in one list. Boxes have the same height in one font.
    """
    boxes = (ctypes.c_float * (8 * len(spans)))()
    handle, address = _address(textpage.raw), ctypes.addressof(boxes)
    get = _pdfium().FPDFText_GetLooseCharBox
    for start, end in spans:
        get(handle, start, address)
        get(handle, end - 1, address + 16)
        address += 32
    return list(boxes)


def runs(textpage: Any, most: int) -> list[tuple[float, float, float, float]] | None:
    """Return left, top, right, bottom of each run of text in file coordinates; None for more than `most`."""
    handle = _address(textpage.raw)
    count: int = _pdfium().FPDFText_CountRects(handle, 0, -1)
    if count > most:
        return None
    get = _pdfium().FPDFText_GetRect
    box = (ctypes.c_double * 4)()
    address = ctypes.addressof(box)
    found = []
    for index in range(count):
        get(handle, index, address, address + 8, address + 16, address + 24)
        found.append((box[0], box[1], box[2], box[3]))
    return found


def turns_of_text(textpage: Any, raw: str) -> int:
    """Return the quarter turns that set most of the text upright; 0 if unclear."""
    angle = _pdfium().FPDFText_GetCharAngle
    handle = _address(textpage.raw)
    letters = [index for index in range(0, len(raw), max(1, len(raw) // 60)) if raw[index].isalnum()]
    turns = [round(angle(handle, index) / 1.5708) % 4 for index in letters]
    most = max(set(turns), key=turns.count, default=0)
    return (4 - most) % 4 if turns.count(most) > 0.7 * len(turns) else 0


# --- drawings ------------------------------------------------------------------------------------------------


def items(page: Any, matrix: Matrix) -> Iterator[Item]:
    """Yield what the page draws, in order, including the contents of its forms; at most MAX_OBJECTS."""
    handle = _address(page.raw)
    count = _pdfium().FPDFPage_CountObjects(handle)
    return islice(_items(handle, count, _pdfium().FPDFPage_GetObject, matrix, 0), MAX_OBJECTS)


def _items(holder: int, count: int, get: Callable[..., Any], matrix: Matrix, depth: int) -> Iterator[Item]:
    kind_of = _pdfium().FPDFPageObj_GetType
    for index in range(count):
        handle = get(holder, index)
        if not handle:
            continue
        kind = kind_of(handle)
        yield Item(handle, kind, matrix)
        if kind == FORM and depth < _MAX_FORM_DEPTH:
            inside = _pdfium().FPDFFormObj_GetObject
            many = _pdfium().FPDFFormObj_CountObjects(handle)
            own = own_matrix(handle)
            moved = matrix.after(own) if own and own != _UNMOVED else matrix  # the same object if nothing moves
            yield from _items(handle, max(many, 0), inside, moved, depth + 1)


_FLOATS = (ctypes.c_float * 6)()
_FLOAT_AT = tuple(ctypes.addressof(_FLOATS) + 4 * index for index in range(6))
_COLOUR = (ctypes.c_uint * 4)()
_COLOUR_AT = tuple(ctypes.addressof(_COLOUR) + 4 * index for index in range(4))


def own_matrix(handle: int) -> Matrix | None:
    got = _pdfium().FPDFPageObj_GetMatrix(handle, _FLOAT_AT[0])
    return Matrix(*_FLOATS) if got else None


def bounds(item: Item) -> Box | None:
    """Return its box on the page."""
    get = _pdfium().FPDFPageObj_GetBounds
    if not get(item.handle, *_FLOAT_AT[:4]):
        return None
    return tame(item.around.box(_FLOATS[0], _FLOATS[1], _FLOATS[2], _FLOATS[3]))


Colour = tuple[int, int, int, int]  # red, green, blue, alpha (0 to 255)


def fill_colour(handle: int) -> Colour | None:
    """Return None for a pattern."""
    if not _pdfium().FPDFPageObj_GetFillColor(handle, *_COLOUR_AT):
        return None
    return _COLOUR[0], _COLOUR[1], _COLOUR[2], _COLOUR[3]


def stroke_colour(handle: int) -> Colour | None:
    if not _pdfium().FPDFPageObj_GetStrokeColor(handle, *_COLOUR_AT):
        return None
    return _COLOUR[0], _COLOUR[1], _COLOUR[2], _COLOUR[3]


class Ink(NamedTuple):
    """How a text object is drawn, and where, in file coordinates before the transformation around it."""

    mode: int
    fill: Colour | None
    left: float
    bottom: float
    right: float
    top: float


def ink(handle: int) -> Ink | None:
    """Return None for text without a box, such as spaces."""
    pdfium = _pdfium()
    a, b, c, d = _FLOAT_AT[:4]
    if not pdfium.FPDFPageObj_GetBounds(handle, a, b, c, d):
        return None
    left, bottom, right, top, _, _ = _FLOATS
    if right - left < 0.01 and top - bottom < 0.01:
        return None
    if not -_FAR < left + right + bottom + top < _FAR:
        left, bottom, right, top = _FAR, _FAR, _FAR, _FAR
    return Ink(pdfium.FPDFTextObj_GetTextRenderMode(handle), fill_colour(handle), left, bottom, right, top)


def text_size(item: Item) -> float:
    """Return the size of a text object's letters on the page, in points."""
    if not _pdfium().FPDFTextObj_GetFontSize(item.handle, _FLOAT_AT[0]):
        return 0.0
    size = _FLOATS[0]
    own = own_matrix(item.handle)
    matrix = item.around.after(own) if own else item.around
    return float(abs(size) * abs(matrix.a * matrix.d - matrix.b * matrix.c) ** 0.5)


def words_of(item: Item, textpage: Any) -> str:
    """Return the text of one text object."""
    get = _pdfium().FPDFTextObj_GetText
    handle = _address(textpage.raw)
    size = get(item.handle, handle, None, 0)
    buffer = ctypes.create_string_buffer(max(size, 2))
    get(item.handle, handle, ctypes.addressof(buffer), size)
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "replace")


def show(handle: int, shown: bool) -> None:
    """Show an object on the page and in its text, or hide it; in memory only."""
    _pdfium().FPDFPageObj_SetIsActive(handle, int(shown))


def paint_of(handle: int) -> tuple[bool, bool]:
    """Return whether a path is filled, and whether it is stroked."""
    fill, stroke = (ctypes.c_int * 1)(), (ctypes.c_int * 1)()
    _pdfium().FPDFPath_GetDrawMode(handle, ctypes.addressof(fill), ctypes.addressof(stroke))
    return bool(fill[0]), bool(stroke[0])


def segment_count(handle: int) -> int:
    count: int = _pdfium().FPDFPath_CountSegments(handle)
    return count


def strokes(item: Item, most: int) -> Iterator[tuple[float, float, float, float]]:
    """Yield the straight strokes of a path as x0, y0, x1, y1 on the page; skip curves."""
    get = _pdfium().FPDFPath_GetPathSegment
    kind_of = _pdfium().FPDFPathSegment_GetType
    point = _pdfium().FPDFPathSegment_GetPoint
    closes = _pdfium().FPDFPathSegment_GetClose
    own = own_matrix(item.handle)
    matrix = item.around.after(own) if own else item.around
    start = last = (0.0, 0.0)
    for index in range(min(segment_count(item.handle), most)):
        segment = get(item.handle, index)
        if not segment or not point(segment, _FLOAT_AT[0], _FLOAT_AT[1]):
            continue
        here = matrix.at(_FLOATS[0], _FLOATS[1])
        kind = kind_of(segment)
        if kind == 0:  # a line to here; 1 is a curve, 2 a move
            yield (*last, *here)
        elif kind == 2:
            start = here
        last = here
        if closes(segment):
            yield (*here, *start)
            last = start
