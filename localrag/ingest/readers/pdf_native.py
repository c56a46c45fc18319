"""Calls of PDFium for the letters and drawings of a page.

The functions are bound to plain addresses, which makes a call three times as fast as pypdfium2's own, which check each
argument. Coordinates that leave this module are points from the top left of the page, downward, rotated as it is shown.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

_NOTHING = "\u2060"  # a character that `text.clean` removes
TEXT, PATH, IMAGE, SHADING, FORM = 1, 2, 3, 4, 5
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
        xs, ys = zip(*(self.at(x, y) for x in (left, right) for y in (bottom, top)), strict=True)
        return Box(min(xs), min(ys), max(xs), max(ys))

    def after(self, inner: Matrix) -> Matrix:
        """Return the transformation that applies `inner` first, then this one."""
        a, b = self.a * inner.a + self.c * inner.b, self.b * inner.a + self.d * inner.b
        c, d = self.a * inner.c + self.c * inner.d, self.b * inner.c + self.d * inner.d
        e, f = self.at(inner.e, inner.f)
        return Matrix(a, b, c, d, e, f)


FAR = 1e5  # points; no page is as large, and broken files have any numbers


def tame(box: Box) -> Box:
    """Return a box with finite edges."""
    return Box(*(min(max(edge, -FAR), FAR) if edge == edge else FAR for edge in box))


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
    left, _, _, top = page.get_cropbox()
    return view(page, turns).after(Matrix(1, 0, 0, -1, left, top))


# Functions by their arguments and result: a is an address, i an int, l an unsigned long, f a float.
_SIGNATURES = {
    "a:i": "Text_CountChars Page_CountObjects FormObj_CountObjects PageObj_GetType TextObj_GetTextRenderMode "
    "Path_CountSegments PathSegment_GetType PathSegment_GetClose",
    "aa:i": "PageObj_GetMatrix TextObj_GetFontSize",
    "aaa:i": "Path_GetDrawMode PathSegment_GetPoint",
    "aaaaa:i": "PageObj_GetBounds PageObj_GetFillColor PageObj_GetStrokeColor",
    "aaal:l": "TextObj_GetText",
    "ai:a": "Page_GetObject Path_GetPathSegment",
    "ai:f": "Text_GetCharAngle",
    "ai:i": "Text_GetUnicode PageObj_SetIsActive",
    "aia:i": "Text_GetLooseCharBox",
    "aiaaaa:i": "Text_GetRect",
    "aiala:l": "Text_GetFontInfo",
    "aii:i": "Text_CountRects",
    "aiia:i": "Text_GetText",
    "al:a": "FormObj_GetObject",
}
_TYPES = {"a": ctypes.c_void_p, "i": ctypes.c_int, "l": ctypes.c_ulong, "f": ctypes.c_float}


@functools.cache
def _pdfium() -> Any:
    import pypdfium2.raw

    functions: dict[str, Any] = {}
    for signature, names in _SIGNATURES.items():
        arguments, result = signature.split(":")
        kind = ctypes.CFUNCTYPE(_TYPES[result], *(_TYPES[letter] for letter in arguments))
        functions |= {name: kind(_address(getattr(pypdfium2.raw, f"FPDF{name}"))) for name in names.split()}
    return SimpleNamespace(**functions)


def _address(raw: Any) -> int:
    return ctypes.cast(raw, ctypes.c_void_p).value or 0


def text(textpage: Any) -> str:
    """Return the page's text with one code point for each of PDFium's letters, so offsets are letter numbers."""
    handle = _address(textpage.raw)
    if (count := _pdfium().Text_CountChars(handle)) <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written: int = _pdfium().Text_GetText(handle, 0, count, ctypes.addressof(buffer))
    raw = bytes(buffer)[: 2 * max(written - 1, 0)].decode("utf-16-le", "surrogatepass")
    if len(raw) == count:
        return raw
    unicode = _pdfium().Text_GetUnicode
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
    handle, address, get = _address(textpage.raw), ctypes.addressof(boxes), _pdfium().Text_GetLooseCharBox
    for start, end in spans:
        get(handle, start, address)
        get(handle, end - 1, address + 16)
        address += 32
    return list(boxes)


_NAME, _FLAGS = ctypes.create_string_buffer(128), ctypes.c_int()
_FORCE_BOLD = 1 << 18
_BOLD = re.compile(rb"bold|black|heavy|demi", re.I)


def bold(textpage: Any, places: Sequence[int]) -> list[bool]:
    """Return whether the fonts of these letters call themselves bold."""
    handle, get = _address(textpage.raw), _pdfium().Text_GetFontInfo
    name, flags = ctypes.addressof(_NAME), ctypes.addressof(_FLAGS)
    found = []
    for place in places:
        _FLAGS.value = 0
        get(handle, place, name, 128, flags)
        found.append(bool(_FLAGS.value & _FORCE_BOLD) or bool(_BOLD.search(_NAME.value)))
    return found


def runs(textpage: Any, most: int) -> list[tuple[float, float, float, float]] | None:
    """Return left, top, right, bottom of each run of text in file coordinates; None for more than `most`."""
    handle = _address(textpage.raw)
    count: int = _pdfium().Text_CountRects(handle, 0, -1)
    if count > most:
        return None
    get = _pdfium().Text_GetRect
    box = (ctypes.c_double * 4)()
    address = ctypes.addressof(box)
    found = []
    for index in range(count):
        get(handle, index, address, address + 8, address + 16, address + 24)
        found.append((box[0], box[1], box[2], box[3]))
    return found


def turns_of_text(textpage: Any, raw: str) -> int:
    """Return the quarter turns that set most of the text upright; 0 if unclear."""
    angle = _pdfium().Text_GetCharAngle
    handle = _address(textpage.raw)
    letters = [index for index in range(0, len(raw), max(1, len(raw) // 60)) if raw[index].isalnum()]
    turns = [round(angle(handle, index) / 1.5708) % 4 for index in letters]
    most = max(set(turns), key=turns.count, default=0)
    return (4 - most) % 4 if turns.count(most) > 0.7 * len(turns) else 0


def items(page: Any, matrix: Matrix) -> Iterator[Item]:
    """Yield what the page draws, in order, including the contents of its forms; at most 60,000 objects."""
    handle = _address(page.raw)
    count = _pdfium().Page_CountObjects(handle)
    return islice(_items(handle, count, _pdfium().Page_GetObject, matrix, 0), 60_000)


def _items(holder: int, count: int, get: Callable[..., Any], matrix: Matrix, depth: int) -> Iterator[Item]:
    kind_of = _pdfium().PageObj_GetType
    for index in range(count):
        if not (handle := get(holder, index)):
            continue
        item = Item(handle, kind_of(handle), matrix)
        yield item
        if item.kind == FORM and depth < _MAX_FORM_DEPTH:
            many = _pdfium().FormObj_CountObjects(handle)
            yield from _items(handle, max(many, 0), _pdfium().FormObj_GetObject, _inner(item), depth + 1)


_FLOATS = (ctypes.c_float * 6)()
_FLOAT_AT = tuple(ctypes.addressof(_FLOATS) + 4 * index for index in range(6))
_COLOUR = (ctypes.c_uint * 4)()
_COLOUR_AT = tuple(ctypes.addressof(_COLOUR) + 4 * index for index in range(4))


def _inner(item: Item) -> Matrix:
    """Return the transformation inside an item; the same object as around it if the item moves nothing."""
    got = _pdfium().PageObj_GetMatrix(item.handle, _FLOAT_AT[0])
    return item.around.after(own) if got and (own := Matrix(*_FLOATS)) != (1, 0, 0, 1, 0, 0) else item.around


def bounds(item: Item) -> Box | None:
    """Return its box on the page."""
    if not _pdfium().PageObj_GetBounds(item.handle, *_FLOAT_AT[:4]):
        return None
    return tame(item.around.box(_FLOATS[0], _FLOATS[1], _FLOATS[2], _FLOATS[3]))


Colour = tuple[int, int, int, int]  # red, green, blue, alpha (0 to 255)


def colour_of(handle: int, stroke: bool = False) -> Colour | None:
    """Return the colour of the fill or the stroke; None for a pattern."""
    get = _pdfium().PageObj_GetStrokeColor if stroke else _pdfium().PageObj_GetFillColor
    return (_COLOUR[0], _COLOUR[1], _COLOUR[2], _COLOUR[3]) if get(handle, *_COLOUR_AT) else None


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
    if not _pdfium().PageObj_GetBounds(handle, *_FLOAT_AT[:4]):
        return None
    left, bottom, right, top, _, _ = _FLOATS
    if right - left < 0.01 and top - bottom < 0.01:
        return None
    if not -FAR < left + right + bottom + top < FAR:
        left, bottom, right, top = FAR, FAR, FAR, FAR
    return Ink(_pdfium().TextObj_GetTextRenderMode(handle), colour_of(handle), left, bottom, right, top)


def text_size(item: Item) -> float:
    """Return the size of a text object's letters on the page, in points."""
    if not _pdfium().TextObj_GetFontSize(item.handle, _FLOAT_AT[0]):
        return 0.0
    size, matrix = _FLOATS[0], _inner(item)
    return float(abs(size) * abs(matrix.a * matrix.d - matrix.b * matrix.c) ** 0.5)


def words_of(item: Item, textpage: Any) -> str:
    """Return the text of one text object."""
    get = _pdfium().TextObj_GetText
    handle = _address(textpage.raw)
    size = get(item.handle, handle, None, 0)
    buffer = ctypes.create_string_buffer(max(size, 2))
    get(item.handle, handle, ctypes.addressof(buffer), size)
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "replace")


def show(handle: int, shown: bool) -> None:
    """Show an object on the page and in its text, or hide it; in memory only."""
    _pdfium().PageObj_SetIsActive(handle, int(shown))


def paint_of(handle: int) -> tuple[bool, bool]:
    """Return whether a path is filled, and whether it is stroked."""
    fill, stroke = (ctypes.c_int * 1)(), (ctypes.c_int * 1)()
    _pdfium().Path_GetDrawMode(handle, ctypes.addressof(fill), ctypes.addressof(stroke))
    return bool(fill[0]), bool(stroke[0])


def segment_count(handle: int) -> int:
    return int(_pdfium().Path_CountSegments(handle))


def strokes(item: Item) -> Iterator[tuple[float, float, float, float]]:
    """Yield the straight strokes of a path as x0, y0, x1, y1 on the page; skip curves."""
    pdfium = _pdfium()
    matrix = _inner(item)
    start = last = (0.0, 0.0)
    for index in range(segment_count(item.handle)):
        segment = pdfium.Path_GetPathSegment(item.handle, index)
        if not segment or not pdfium.PathSegment_GetPoint(segment, _FLOAT_AT[0], _FLOAT_AT[1]):
            continue
        here = matrix.at(_FLOATS[0], _FLOATS[1])
        kind = pdfium.PathSegment_GetType(segment)
        if kind == 0:  # a line to here; 1 is a curve, 2 a move
            yield (*last, *here)
        elif kind == 2:
            start = here
        last = here
        if pdfium.PathSegment_GetClose(segment):
            yield (*here, *start)
            last = start
