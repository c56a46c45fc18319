"""Find text that a PDF page holds but does not show, remove it from the page (in memory), and report it.

Invisible, transparent, smaller than a point, off the page: the file says so. In the colour of its background, or under
something opaque: the page is drawn with and without it, and text that makes no difference is hidden. The invisible text
layer of a scan is kept: it is the text of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.blocks import HiddenText

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
    unseen: list[tuple[str, native.Item]] = field(default_factory=list)
    layer: list[native.Item] = field(default_factory=list)
    suspects: list[tuple[str, native.Item, native.Box]] = field(default_factory=list)
    paths: list[native.Item] = field(default_factory=list)
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
        words = native.words_of(item, textpage)
        readable = any(map(str.isalnum, words))
        if not readable and kind in ("transparent text", "invisible text"):
            continue  # a tick box that is drawn too
        if readable:
            hidden.add(kind, f"{words} ")
        native.show(item.handle, False)
        found.removed = True
    return found


def _look(page: Any) -> PageObjects:
    found = PageObjects()
    matrix = native.view(page)
    left, bottom, right, top = page.get_cropbox()
    area = max(1.0, (right - left) * (top - bottom))
    ground = _Ground()
    for item in native.items(page, matrix):
        found.kinds.add(item.kind)
        if item.kind == native.TEXT:
            found.texts += 1
            if ink := native.ink(item.handle):
                _look_at_text(item, ink, (right - left, top - bottom), ground, found)
        elif item.kind == native.PATH:
            found.paths.append(item)
            if len(found.paths) <= _MAX_PATHS:
                ground.add_path(item)
        elif item.kind in (native.IMAGE, native.SHADING) and (box := native.bounds(item)):
            share = min(1.0, max(0.0, box.width * box.height / area))
            found.pictured += share if item.kind == native.IMAGE else 0.0
            ground.fills.append((box, None))
            if share < _PICTURE:  # under a picture of the whole page is the text of a scan
                ground.cover(box)
    found.ruled = ground.upright >= _MIN_UPRIGHT
    found.suspects += [("covered text", item, box) for item, box in ground.covered]
    return found


def _look_at_text(
    item: native.Item, ink: native.Ink, paper: tuple[float, float], ground: _Ground, found: PageObjects
) -> None:
    box = native.tame(item.around.box(*ink[2:]))
    if ink.mode in (_INVISIBLE, _CLIPPING):
        found.layer.append(item)
        return
    inks = [ink.fill] if ink.mode not in (1, 5) else []
    if ink.mode in (1, 2, 5, 6):
        inks.append(native.colour_of(item.handle, stroke=True))
    colours = [colour for colour in inks if colour is not None]
    if box.right <= 0 or box.left >= paper[0] or box.bottom <= 0 or box.top >= paper[1]:
        found.unseen.append(("text off the page", item))
    elif len(colours) < len(inks):
        ground.texts.append((item, box))  # a pattern
    elif all(colour[3] == 0 for colour in colours):
        found.unseen.append(("transparent text", item))
    elif box.height < _MIN_SIZE and native.text_size(item) < _MIN_SIZE:
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
        self.covered: list[tuple[native.Item, native.Box]] = []
        self.texts: list[tuple[native.Item, native.Box]] = []
        self.fills: list[tuple[native.Box, native.Colour | None]] = []
        self._colours: set[tuple[int, int, int]] = set()

    def add_path(self, item: native.Item) -> None:
        box = native.bounds(item)
        if box is None or box.height < 3:
            return
        if box.width < 3:
            self.upright += box.height > 8
            return
        filled, stroked = native.paint_of(item.handle)
        if stroked and box.width > 20 and box.height > 8:
            self.upright += 2 if native.segment_count(item.handle) < 8 else _MIN_UPRIGHT
        if not filled:
            return
        colour = native.colour_of(item.handle)
        if colour is not None and colour[3] == 0:
            return
        self.fills.append((box, colour))
        if colour is not None:
            self._colours.add(colour[:3])
            if colour[3] == 255:
                self.cover(box)

    def cover(self, over: native.Box) -> None:
        inside = [entry for entry in self.texts if _within(entry[1], over)]
        if inside:
            self.covered += inside
            self.texts = [entry for entry in self.texts if not _within(entry[1], over)]

    def may_be(self, colour: native.Colour, box: native.Box) -> bool:
        """Whether text of this colour may be invisible here."""
        pale = min(colour[:3]) >= _WHITE
        if not pale and not any(_near(colour, other) for other in self._colours):
            return False
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        for fill, behind in reversed(self.fills):
            if fill.left <= x <= fill.right and fill.top <= y <= fill.bottom:
                return behind is None or _near(colour, behind) or behind[3] < 255
        return pale


def _within(box: native.Box, over: native.Box) -> bool:
    return (
        over.left - 1 <= box.left
        and box.right <= over.right + 1
        and over.top - 1 <= box.top
        and box.bottom <= over.bottom + 1
    )


def _near(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one[:3], other[:3], strict=True))


def _undrawn(page: Any, suspects: Sequence[tuple[str, native.Item, native.Box]]) -> Iterable[tuple[str, native.Item]]:
    """Return the suspects without which the page looks the same."""
    from PIL import ImageChops

    width, height = page.get_size()
    if width <= 0 or height <= 0:
        return []
    scale = min(_SCALE, (_MAX_PIXELS / (width * height)) ** 0.5)
    shown = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    for _, item, _ in suspects:
        native.show(item.handle, False)
    bare = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    for _, item, _ in suspects:
        native.show(item.handle, True)
    change = ImageChops.difference(shown, bare)
    turned = native.turned(page, page.get_rotation() // 90)
    out = []
    for kind, item, box in suspects:
        seen = turned.box(box.left, box.top, box.right, box.bottom)
        left, top = max(0, int(seen.left * scale) - 1), max(0, int(seen.top * scale) - 1)
        right, bottom = min(change.width, int(seen.right * scale) + 2), min(change.height, int(seen.bottom * scale) + 2)
        piece = change.crop((left, top, max(left, right), max(top, bottom)))
        if not piece.point(lambda value: 255 * (value > 2 * _SAME)).getbbox():
            out.append((kind, item))
    return out
