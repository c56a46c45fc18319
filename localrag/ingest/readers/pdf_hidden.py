"""Text that a PDF page holds but does not show: found, taken out of the page (in memory), and reported.

In invisible ink, of no opacity, smaller than a point, off the page: told from the file. In the colour of what is behind
it, or under something opaque: the page is drawn with it and without it, and what makes no difference is not shown. The
text layer of a scan is invisible as well, and kept: it is the text of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.blocks import HiddenText

_INVISIBLE, _CLIPPING = 3, 7
_WHITE = 235  # of 255; paler is not seen on paper
_SAME = 10  # of 255; two colours this near cannot be told apart
_LEAST_SIZE = 1.0  # points
_PICTURE = 0.5  # of the page: a scan
_MOST_PATHS = 5000
_DRAWN_PIXELS = 6_000_000
_SCALE = 2.0  # pixels a point
_BAND = 20.0
_LEAST_UPRIGHT = 3
_MOST_BANDS = 400


@dataclass
class Looked:
    """What one look at a page's objects finds; `taken` where something was taken out, so that the text has changed."""

    taken: bool = False
    kinds: set[int] = field(default_factory=set)
    texts: int = 0
    unseen: list[tuple[str, native.Item]] = field(default_factory=list)
    layer: list[native.Item] = field(default_factory=list)
    suspects: list[tuple[str, native.Item, native.Box]] = field(default_factory=list)
    paths: list[native.Item] = field(default_factory=list)
    ruled: bool = False  # whether there may be rules that go down the page
    pictured: float = 0.0  # share of the page


def hide(page: Any, textpage: Any, hidden: HiddenText) -> Looked:
    """Take what is not shown out of the page, into `hidden`."""
    looked = _look(page)
    out = list(looked.unseen)
    if looked.layer and not _is_scan(looked):
        out += [("invisible text", item) for item in looked.layer]
    if looked.suspects:
        out += _undrawn(page, looked.suspects)
    for kind, item in out:
        words = native.words_of(item, textpage)
        says = any(map(str.isalnum, words))
        if not says and kind in ("transparent text", "invisible text"):
            continue  # a box to tick that is drawn as well
        if says:
            hidden.add(kind, f"{words} ")
        native.show(item.handle, False)
        looked.taken = True
    return looked


def _is_scan(looked: Looked) -> bool:
    """Whether invisible text is that of a picture, or of letters turned into drawings."""
    return looked.pictured >= _PICTURE or (len(looked.paths) > 100 and len(looked.layer) > 0.9 * looked.texts)


def _look(page: Any) -> Looked:
    looked = Looked()
    matrix = native.view(page)
    left, bottom, right, top = page.get_cropbox()
    area = max(1.0, (right - left) * (top - bottom))
    ground = _Ground()
    plain = ground.plain
    for item in native.items(page, matrix):
        if item.kind == native.TEXT:
            looked.kinds.add(native.TEXT)
            looked.texts += 1
            ink = native.ink(item.handle)
            if ink is None:
                continue
            if (
                ink.mode == 0 and ink.fill in plain and item.around is matrix and ink.top - ink.bottom >= _LEAST_SIZE
                and ink.right > left and ink.left < right and ink.top > bottom and ink.bottom < top
            ):  # fmt: skip
                ground.add_text(item, ink)  # black on white, on the page: nearly always
            else:
                _look_at_text(item, ink, (right - left, top - bottom), ground, looked)
            continue
        looked.kinds.add(item.kind)
        if item.kind == native.PATH:
            looked.paths.append(item)
            if len(looked.paths) <= _MOST_PATHS:
                ground.add_path(item)
        elif item.kind in (native.IMAGE, native.SHADING) and (box := native.bounds(item)):
            share = min(1.0, max(0.0, box.width * box.height / area))
            looked.pictured += share if item.kind == native.IMAGE else 0.0
            ground.add_picture(box, share)
    looked.ruled = ground.upright >= _LEAST_UPRIGHT
    looked.suspects += [("covered text", item, box) for item, box in ground.covered]
    return looked


def _look_at_text(
    item: native.Item, ink: native.Ink, paper: tuple[float, float], ground: _Ground, looked: Looked
) -> None:
    box = native.tame(item.around.box(*ink[2:]))
    if ink.mode in (_INVISIBLE, _CLIPPING):
        looked.layer.append(item)
        return
    inks = [ink.fill] if ink.mode not in (1, 5) else []
    if ink.mode in (1, 2, 5, 6):
        inks.append(native.stroke_colour(item.handle))
    colours = [colour for colour in inks if colour is not None]
    if box.right <= 0 or box.left >= paper[0] or box.bottom <= 0 or box.top >= paper[1]:
        looked.unseen.append(("text off the page", item))
    elif len(colours) < len(inks):
        ground.add_text(item, ink)  # a pattern
    elif all(colour[3] == 0 for colour in colours):
        looked.unseen.append(("transparent text", item))
    elif box.height < _LEAST_SIZE and native.text_size(item) < _LEAST_SIZE:
        looked.unseen.append(("tiny text", item))
    elif all(ground.may_be(colour, box) for colour in colours):
        kind = "white text" if min(colours[0][:3]) >= _WHITE else "text in the colour of its background"
        looked.suspects.append((kind, item, box))
    else:
        ground.add_text(item, ink)


class _Ground:
    """What is drawn behind text and over it, in the order of the file."""

    def __init__(self) -> None:
        self.upright = 0
        self.covered: list[tuple[native.Item, native.Box]] = []
        self._colours: set[tuple[int, int, int]] = set()
        self.plain: set[native.Colour | None] = set()  # colours that are seen wherever they stand
        # By bands of the page, so that a page of many boxes takes no longer for each.
        self._fills: dict[int, list[tuple[native.Box, native.Colour | None]]] = {}
        self._texts: dict[int, list[tuple[native.Item, native.Box]]] = {}
        self._latest: list[tuple[native.Item, native.Ink]] = []

    def add_path(self, item: native.Item) -> None:
        box = native.bounds(item)
        if box is None or box.height < 3:
            return
        if box.width < 3:
            self.upright += box.height > 8
            return
        filled, stroked = native.paint_of(item.handle)
        if stroked and box.width > 20 and box.height > 8:
            self.upright += 2 if native.segment_count(item.handle) < 8 else _LEAST_UPRIGHT
        if not filled:
            return
        colour = native.fill_colour(item.handle)
        if colour is not None and colour[3] == 0:
            return
        self._add(box, colour)
        if colour is not None and colour[:3] not in self._colours:
            self._colours.add(colour[:3])
            self.plain.clear()
        if colour is not None and colour[3] == 255:
            self._cover(box)

    def add_picture(self, box: native.Box, share: float) -> None:
        self._add(box, None)
        if share < _PICTURE:  # under a picture of the whole page lies the text of a scan
            self._cover(box)

    def add_text(self, item: native.Item, ink: native.Ink) -> None:
        self._latest.append((item, ink))

    def _add(self, box: native.Box, colour: native.Colour | None) -> None:
        first = max(0, int(box.top // _BAND))
        for band in range(first, min(int(box.bottom // _BAND), first + _MOST_BANDS) + 1):
            self._fills.setdefault(band, []).append((box, colour))

    def _cover(self, over: native.Box) -> None:
        for item, ink in self._latest:
            box = native.tame(item.around.box(*ink[2:]))
            self._texts.setdefault(int(box.top // _BAND), []).append((item, box))
        self._latest.clear()
        first = max(0, int(over.top // _BAND) - 1)
        for band in range(first, min(int(over.bottom // _BAND), first + _MOST_BANDS) + 1):
            texts = self._texts.get(band)
            if texts and (inside := [entry for entry in texts if _within(entry[1], over)]):
                self.covered += inside
                self._texts[band] = [entry for entry in texts if not _within(entry[1], over)]

    def may_be(self, colour: native.Colour, box: native.Box) -> bool:
        """Whether text of this colour may not be seen here."""
        pale = min(colour[:3]) >= _WHITE
        if not pale and not any(_near(colour, other) for other in self._colours):
            self.plain.add(colour)
            return False
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        for fill, behind in reversed(self._fills.get(int(y // _BAND), ())):
            if fill.left <= x <= fill.right and fill.top <= y <= fill.bottom:
                return behind is None or _near(colour, behind) or behind[3] < 255
        return pale


def _within(box: native.Box, over: native.Box) -> bool:
    return (
        over.left - 1 <= box.left and box.right <= over.right + 1
        and over.top - 1 <= box.top and box.bottom <= over.bottom + 1
    )  # fmt: skip


def _near(one: Sequence[int], other: Sequence[int]) -> bool:
    return all(abs(a - b) <= _SAME for a, b in zip(one[:3], other[:3], strict=True))


def _undrawn(page: Any, suspects: Sequence[tuple[str, native.Item, native.Box]]) -> Iterable[tuple[str, native.Item]]:
    """The suspects without which the page looks the same."""
    from PIL import ImageChops

    width, height = page.get_size()
    if width <= 0 or height <= 0:
        return []
    scale = min(_SCALE, (_DRAWN_PIXELS / (width * height)) ** 0.5)
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
