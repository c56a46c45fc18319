"""A page of a PDF, or a picture, as pixels, with the words of a quote boxed; runs in a reader process.

A quote is found by its letters and digits among the drawn words, since the stored text differs from what the file draws
(tables became rows, columns were put in order, hyphens removed, right-to-left lines turned). A quote that is not drawn
in one piece is found piece by piece. If most of it is not found, nothing is boxed.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from localrag.errors import ReadError
from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.pdf_words import Word, find_words
from localrag.ingest.readers.source import MAX_PIXELS, MAX_WIDTH, Options, Source
from localrag.ingest.source_files import PagePicture, PageRequest

if TYPE_CHECKING:
    from PIL import Image

_MIN_WIDTH = 100

_QUOTE, _OTHER, _TINT = (200, 20, 20), (110, 110, 110), (255, 243, 150)


def draw_page(source: Source, wanted: PageRequest, options: Options) -> PagePicture:
    """Draw a page, or raise ReadError."""
    if source.suffix == ".pdf":
        image, marks = _pdf(source, wanted, options)
    else:
        image, marks = _frame(source, wanted), _recognised(wanted)
    for boxes in marks[1:]:
        _mark(image, boxes, _OTHER, quiet=True)
    quote = marks[0] if marks else []
    _mark(image, quote, _QUOTE, quiet=False)
    return PagePicture(image.width, image.height, image.tobytes(), tuple(quote))


def _pdf(source: Source, wanted: PageRequest, options: Options) -> tuple[Image.Image, list[list[Box]]]:
    import pypdfium2

    from localrag.ingest.readers import pdf

    with contextlib.closing(pdf.open_document(source, options.passwords)) as document:
        if not 1 <= wanted.page <= len(document):
            raise ReadError(f"has no page {wanted.page}", "Ingest again.")
        try:
            if pdf.has_form(document):
                with contextlib.closing(document[wanted.page - 1]) as page:
                    page.flatten()  # as for reading; only in memory
            with contextlib.closing(document[wanted.page - 1]) as page:
                across, down = page.get_size()
                scale = _scale(across, down, wanted.width)
                return page.render(scale=scale).to_pil().convert("RGB"), boxes_of(page, wanted)
        except pypdfium2.PdfiumError as error:
            raise ReadError("is damaged: the page could not be drawn", "Open it in a viewer.") from error


def boxes_of(page: Any, wanted: PageRequest) -> list[list[Box]]:
    """Return the lines of each span on a page of a PDF, in fractions of its width and height as shown."""
    if wanted.words or not wanted.spans:
        return _recognised(wanted)
    across, down = page.get_size()
    with contextlib.closing(page.get_textpage()) as textpage:
        words = find_words(textpage, native.text(textpage), native.view(page, page.get_rotation() // 90))
    found = [locate(wanted.text, start, end, words) for start, end in wanted.spans]
    return [[(a / across, b / down, c / across, d / down) for a, b, c, d in boxes] for boxes in found]


def _scale(across: float, down: float, width: int) -> float:
    """Return pixels per point for the requested width, within the limits of a picture."""
    if not (across >= 1 and down >= 1):
        raise ReadError("is damaged: its page has no size", "Open it in a viewer.")
    wide = min(max(width, _MIN_WIDTH), MAX_WIDTH)
    return float(min(wide / across, (MAX_PIXELS / (across * down)) ** 0.5))


def _frame(source: Source, wanted: PageRequest) -> Image.Image:
    from localrag.ingest.readers import images

    for number, frame in enumerate(images.frames(source), 1):
        if number == wanted.page:
            if frame is None:
                break
            scale = _scale(frame.width, frame.height, wanted.width)
            size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
            return frame.convert("RGB").resize(size)
    raise ReadError(f"is damaged: picture {wanted.page} could not be decoded", "Open it in a viewer.")


def _recognised(wanted: PageRequest) -> list[list[Box]]:
    """Return the boxes of the recognised words in each span, joined by lines."""
    words = [Word(one.start, one.end, "", one.left, one.top, one.right, one.bottom) for one in wanted.words]
    return [lines([word for word in words if word.start < last and word.end > first]) for first, last in wanted.spans]


def _mark(image: Image.Image, boxes: Sequence[Box], colour: tuple[int, int, int], quiet: bool) -> None:
    """Frame each box, a little outside of its letters; tint the quote's."""
    from PIL import Image, ImageChops, ImageDraw

    draw = ImageDraw.Draw(image)
    line = max(1, image.width // (600 if quiet else 350))
    for left, top, right, bottom in boxes:
        pad = 2 + image.height * max(0.0, bottom - top) * 0.12
        x0, y0 = max(0, round(left * image.width - pad)), max(0, round(top * image.height - pad))
        x1 = min(image.width - 1, round(right * image.width + pad))
        y1 = min(image.height - 1, round(bottom * image.height + pad))
        if x1 <= x0 or y1 <= y0:
            continue
        if not quiet:
            part = image.crop((x0, y0, x1, y1))
            image.paste(ImageChops.multiply(part, Image.new("RGB", part.size, _TINT)), (x0, y0))
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)


Box = tuple[float, float, float, float]  # left, top, right, bottom
_MIN_FOUND = 0.6  # share of the letters
_MIN_PIECE = 4  # letters; shorter pieces are ambiguous
_CONTEXT = 60  # letters on both sides that distinguish two places with the same words


def locate(text: str, start: int, end: int, words: Sequence[Word]) -> list[Box]:
    """Return a box for each line of a span of a page's text, in the units of `words`; empty if not found."""
    stored, offsets = _letters(enumerate(text))
    drawn, owners = _letters((number, letter) for number, word in enumerate(words) for letter in word.text)
    first, last = bisect_left(offsets, start), bisect_left(offsets, end)
    if first == last:
        return []
    begins = [at for at in range(first, last) if at == first or offsets[at] > offsets[at - 1] + 1]  # of its words
    spans = _whole(stored, first, last, drawn) or _pieces(stored, [*begins, last], drawn)
    if sum(end - start for start, end in spans) < _MIN_FOUND * (last - first):
        return []
    numbers = sorted({owners[index] for start, end in spans for index in range(start, end)})
    return lines([words[number] for number in numbers])


def _letters(marked: Iterable[tuple[int, str]]) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, and the offset or word number of each."""
    kept: list[str] = []
    owners: list[int] = []
    for owner, letter in marked:
        for sign in letter if letter.isascii() else unicodedata.normalize("NFKC", letter):
            if sign.isalnum():
                kept.append(sign.lower() if len(sign.lower()) == 1 else sign)
                owners.append(owner)
    return "".join(kept), owners


def _whole(stored: str, first: int, last: int, drawn: str) -> list[tuple[int, int]]:
    """Return where the span is drawn in one piece; of several places, the one with the same context."""
    wanted, size = stored[first:last], last - first
    before, after = stored[max(0, first - _CONTEXT) : first][::-1], stored[last : last + _CONTEXT]

    def same(at: int) -> int:
        ahead, behind = drawn[max(0, at - _CONTEXT) : at][::-1], drawn[at + size :][:_CONTEXT]
        pairs = (*zip(before, ahead, strict=False), *zip(after, behind, strict=False))
        return sum(a == b for a, b in pairs)

    places = _all(wanted, drawn)
    if not places and size >= _MIN_PIECE:
        places = _all(wanted[::-1], drawn)  # right-to-left script, drawn from the left
    return [(at, at + size) for at in (max(places, key=same),)] if places else []


def _all(wanted: str, text: str) -> list[int]:
    return [match.start() for match in islice(re.finditer(f"(?={re.escape(wanted)})", text), 1000)]


def _pieces(stored: str, begins: Sequence[int], drawn: str) -> list[tuple[int, int]]:
    """Return the longest drawn runs of a span's words in order, each the nearest to the one before."""
    found: list[tuple[int, int]] = []
    near, index = 0, 0
    while index < len(begins) - 1:
        best = 0
        for end in begins[index + 1 :]:
            wanted = stored[begins[index] : end]
            places = _all(wanted, drawn) or _all(wanted[::-1], drawn)
            if not places:
                break
            at = min(places, key=lambda at: abs(at - near))
            if len(wanted) >= _MIN_PIECE or at == near:
                best, start = end, at
        if best:
            found.append((start, start + best - begins[index]))
            near = found[-1][1]
        index = bisect_left(begins, best) if best else index + 1
    return found


def lines(words: Sequence[Word]) -> list[Box]:
    """Join the boxes of adjacent words of a line; on a page on its side, lines run down."""
    long = [word for word in words if len(word.text) > 2]
    if sum(word.bottom - word.top > word.right - word.left for word in long) > 0.5 * len(long):
        turned = [Word(one.start, one.end, "", one.top, one.left, one.bottom, one.right) for one in words]
        return [(top, left, bottom, right) for left, top, right, bottom in lines(turned)]
    boxes: list[Box] = []
    for word in words:
        box = (word.left, word.top, word.right, word.bottom)
        if boxes:
            left, top, right, bottom = boxes[-1]
            height = min(bottom - top, word.bottom - word.top)
            shared = min(bottom, word.bottom) - max(top, word.top)
            gap = max(left, word.left) - min(right, word.right)
            if shared > 0.5 * height and gap < 2.5 * height:
                boxes[-1] = (min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3]))
                continue
        boxes.append(box)
    return boxes
