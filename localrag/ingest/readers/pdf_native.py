"""Calls of PDFium for the letters and drawings of a page, and the text that it holds but does not show.

The functions are bound to plain addresses, which makes a call three times as fast as pypdfium2's own, which check each
argument. Coordinates that leave this module are points from the top left of the page, downward, rotated as it is shown.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import SimpleNamespace
from typing import Any, NamedTuple

from localrag.ingest.readers.blocks import HiddenText

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
    left, bottom, right, top = page.get_bbox()
    return (
        Matrix(1, 0, 0, -1, -left, top),
        Matrix(0, 1, 1, 0, -bottom, -left),
        Matrix(-1, 0, 0, 1, right, -bottom),
        Matrix(0, -1, -1, 0, top, right),
    )[turns % 4]


def turned(page: Any, turns: int) -> Matrix:
    """Return the matrix from points of the unrotated page to those after quarter turns clockwise."""
    left, _, _, top = page.get_bbox()
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
    """Return left, top, right, bottom of the first and of the last letter of each span, all in one list."""
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


# --- hidden text, which is removed from the page (in memory) and reported --------------------------------------------

# Invisible, transparent, smaller than a point, off the page: the file says so. In the colour of its background, or
# under something opaque: the page is drawn with and without it, and text that makes no difference is hidden. The
# invisible text layer of a scan is kept: it is the text of the picture.

_INVISIBLE, _CLIPPING = 3, 7
_WHITE = 235  # of 255; paler is invisible on paper
_SAME = 10  # of 255; nearer colours look the same
_MIN_SIZE = 1.0  # points
_PICTURE = 0.5  # share of the page that makes it a scan
_MAX_PATHS = 1000
_MAX_PIXELS = 6_000_000
_SCALE = 2.0  # pixels a point
_MIN_UPRIGHT = 3


@dataclass
class PageObjects:
    """The objects of a page; `removed` says that hidden text was removed, so its text has changed."""

    removed: bool = False
    kinds: set[int] = field(default_factory=set)
    texts: int = 0
    unseen: list[tuple[str, Item]] = field(default_factory=list)
    layer: list[Item] = field(default_factory=list)
    suspects: list[tuple[str, Item, Box]] = field(default_factory=list)
    paths: list[Item] = field(default_factory=list)
    ruled: bool = False  # whether some paths may be rules down the page
    pictured: float = 0.0  # share of the page


def hide(page: Any, textpage: Any, hidden: HiddenText) -> PageObjects:
    """Move hidden text from the page to `hidden`."""
    found = _look(page)
    out = list(found.unseen)
    outlines = len(found.paths) > 100 and len(found.layer) > 0.9 * found.texts
    if found.pictured < _PICTURE and not outlines:  # else it is the text of a picture, or of letters drawn as shapes
        out += [("invisible text", item) for item in found.layer]
    out += _undrawn(page, found.suspects) if found.suspects else ()
    for kind, item in out:
        words = words_of(item, textpage)
        readable = any(map(str.isalnum, words))
        if not readable and kind in ("transparent text", "invisible text"):
            continue  # a tick box that is drawn too
        if readable:
            hidden.add(kind, f"{words} ")
        show(item.handle, False)
        found.removed = True
    return found


def _look(page: Any) -> PageObjects:
    found = PageObjects()
    matrix = view(page)
    left, bottom, right, top = page.get_bbox()
    area = max(1.0, (right - left) * (top - bottom))
    ground = _Ground()
    for item in items(page, matrix):
        found.kinds.add(item.kind)
        if item.kind == TEXT:
            found.texts += 1
            if drawn := ink(item.handle):
                _look_at_text(item, drawn, (right - left, top - bottom), ground, found)
        elif item.kind == PATH:
            found.paths.append(item)
            if len(found.paths) <= _MAX_PATHS:
                ground.add_path(item)
        elif item.kind in (IMAGE, SHADING) and (box := bounds(item)):
            share = min(1.0, max(0.0, box.width * box.height / area))
            found.pictured += share if item.kind == IMAGE else 0.0
            ground.fills.append((box, None))
            if share < _PICTURE:  # under a picture of the whole page is the text of a scan
                ground.cover(box)
    found.ruled = ground.upright >= _MIN_UPRIGHT
    found.suspects += [("covered text", item, box) for item, box in ground.covered]
    return found


def _look_at_text(item: Item, ink: Ink, paper: tuple[float, float], ground: _Ground, found: PageObjects) -> None:
    box = tame(item.around.box(*ink[2:]))
    if ink.mode in (_INVISIBLE, _CLIPPING):
        found.layer.append(item)
        return
    inks = [ink.fill] if ink.mode not in (1, 5) else []
    if ink.mode in (1, 2, 5, 6):
        inks.append(colour_of(item.handle, stroke=True))
    colours = [colour for colour in inks if colour is not None]
    if box.right <= 0 or box.left >= paper[0] or box.bottom <= 0 or box.top >= paper[1]:
        found.unseen.append(("text off the page", item))
    elif len(colours) < len(inks):
        ground.texts.append((item, box))  # a pattern
    elif all(colour[3] == 0 for colour in colours):
        found.unseen.append(("transparent text", item))
    elif box.height < _MIN_SIZE and text_size(item) < _MIN_SIZE:
        found.unseen.append(("tiny text", item))
    elif all(ground.may_be(colour, box) for colour in colours):
        kind = "white text" if min(colours[0][:3]) >= _WHITE else "text in the colour of its background"
        found.suspects.append((kind, item, box))
    else:
        ground.texts.append((item, box))


class _Ground:
    """What is drawn behind and over text, in the order of the file."""

    def __init__(self) -> None:
        self.upright = 0
        self.covered: list[tuple[Item, Box]] = []
        self.texts: list[tuple[Item, Box]] = []
        self.fills: list[tuple[Box, Colour | None]] = []
        self._colours: set[tuple[int, int, int]] = set()

    def add_path(self, item: Item) -> None:
        box = bounds(item)
        if box is None or box.height < 3:
            return
        if box.width < 3:
            self.upright += box.height > 8
            return
        filled, stroked = paint_of(item.handle)
        if stroked and box.width > 20 and box.height > 8:
            self.upright += 2 if segment_count(item.handle) < 8 else _MIN_UPRIGHT
        if not filled:
            return
        colour = colour_of(item.handle)
        if colour is not None and colour[3] == 0:
            return
        self.fills.append((box, colour))
        if colour is not None:
            self._colours.add(colour[:3])
            if colour[3] == 255:
                self.cover(box)

    def cover(self, over: Box) -> None:
        inside = [entry for entry in self.texts if _within(entry[1], over)]
        if inside:
            self.covered += inside
            self.texts = [entry for entry in self.texts if not _within(entry[1], over)]

    def may_be(self, colour: Colour, box: Box) -> bool:
        """Whether text of this colour may be invisible here."""
        pale = min(colour[:3]) >= _WHITE
        if not pale and not any(_near(colour, other) for other in self._colours):
            return False
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        for fill, behind in reversed(self.fills):
            if fill.left <= x <= fill.right and fill.top <= y <= fill.bottom:
                return behind is None or _near(colour, behind) or behind[3] < 255
        return pale


def _within(box: Box, over: Box) -> bool:
    return (
        over.left - 1 <= box.left
        and box.right <= over.right + 1
        and over.top - 1 <= box.top
        and box.bottom <= over.bottom + 1
    )


def _near(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one[:3], other[:3], strict=True))


def _undrawn(page: Any, suspects: Sequence[tuple[str, Item, Box]]) -> Iterable[tuple[str, Item]]:
    """Return the suspects without which the page looks the same."""
    from PIL import ImageChops

    width, height = page.get_size()
    if width <= 0 or height <= 0:
        return []
    scale = min(_SCALE, (_MAX_PIXELS / (width * height)) ** 0.5)
    shown = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    for _, item, _ in suspects:
        show(item.handle, False)
    bare = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    for _, item, _ in suspects:
        show(item.handle, True)
    change = ImageChops.difference(shown, bare)
    matrix = turned(page, page.get_rotation() // 90)
    out = []
    for kind, item, box in suspects:
        seen = matrix.box(box.left, box.top, box.right, box.bottom)
        left, top = max(0, int(seen.left * scale) - 1), max(0, int(seen.top * scale) - 1)
        right, bottom = min(change.width, int(seen.right * scale) + 2), min(change.height, int(seen.bottom * scale) + 2)
        piece = change.crop((left, top, max(left, right), max(top, bottom)))
        if not piece.point(lambda value: 255 * (value > 2 * _SAME)).getbbox():
            out.append((kind, item))
    return out
