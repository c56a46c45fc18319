"""A page of a PDF, or a picture, as it is seen, with words of it boxed.

Runs where readers run, in a process apart, since it uses the same parsers on the same files. The file must be the one
that was read (by its hash): a box drawn on another version would point to other words. What comes out is plain pixels,
so that nobody else has to decode what a subverted parser made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localrag.errors import ReadError
from localrag.ingest.readers.quote_boxes import Box, locate
from localrag.ingest.readers.source import MAX_PIXELS, MAX_WIDTH, Options, PagePicture, PageRequest, Source

if TYPE_CHECKING:
    from PIL import Image

_LEAST_WIDE = 100
_CHANGED = "is not the file any more that was read: it has changed since"
_QUOTE, _OTHER, _TINT = (200, 20, 20), (110, 110, 110), (255, 243, 150)


def draw_page(source: Source, wanted: PageRequest, options: Options) -> PagePicture:
    """The page, drawn.

    Raises:
        ReadError: it cannot be, and why.
    """
    from localrag.ingest.readers.base import sha256_of

    if sha256_of(source) != wanted.sha256:
        raise ReadError(_CHANGED, "Ingest again, then ask again.")
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
    from localrag.ingest.readers import pdf_native as native
    from localrag.ingest.readers.pdf_words import find_words

    with contextlib.closing(pdf.open_document(source, options.passwords)) as document:
        if not 1 <= wanted.page <= len(document):
            raise ReadError(f"has no page {wanted.page}", "Ingest again.")
        try:
            if pdf.has_form(document):
                with contextlib.closing(document[wanted.page - 1]) as page:
                    page.flatten()  # as when it was read; only in memory
            with contextlib.closing(document[wanted.page - 1]) as page:
                across, down = page.get_size()
                scale = _scale(across, down, wanted.width)
                image = page.render(scale=scale).to_pil().convert("RGB")
                if wanted.words or not wanted.spans:
                    return image, _recognised(wanted)
                with contextlib.closing(page.get_textpage()) as textpage:
                    seen = native.view(page, page.get_rotation() // 90)
                    words = find_words(textpage, native.text(textpage), seen)
        except pypdfium2.PdfiumError as error:
            raise ReadError("is damaged: the page could not be drawn", "Open it in a viewer.") from error
    found = [locate(wanted.text, start, end, words) for start, end in wanted.spans]
    return image, [
        [(left / across, top / down, right / across, bottom / down) for left, top, right, bottom in boxes]
        for boxes in found
    ]


def _scale(across: float, down: float, width: int) -> float:
    """How many pixels a point becomes: the width that is wanted, within what a picture may have."""
    if not (across >= 1 and down >= 1):
        raise ReadError("is damaged: its page has no size", "Open it in a viewer.")
    wide = min(max(width, _LEAST_WIDE), MAX_WIDTH)
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
    """The boxes of the recognised words that each span touches, those of a line joined."""
    from localrag.ingest.readers.pdf_words import Word
    from localrag.ingest.readers.quote_boxes import lines

    return [
        lines(
            [
                Word(word.start, word.end, "", word.left, word.top, word.right, word.bottom)
                for word in wanted.words
                if word.start < last and word.end > first
            ]
        )
        for first, last in wanted.spans
    ]


def _mark(image: Image.Image, boxes: Sequence[Box], colour: tuple[int, int, int], quiet: bool) -> None:
    """Draw a frame around each box, a little outside of its letters; the quote's are tinted as well."""
    from PIL import Image, ImageChops, ImageDraw

    draw = ImageDraw.Draw(image)
    line = max(1, image.width // (600 if quiet else 350))
    for left, top, right, bottom in boxes:
        pad = 2 + image.height * max(0.0, bottom - top) * 0.12
        x0, y0 = max(0, round(left * image.width - pad)), max(0, round(top * image.height - pad))
        x1, y1 = (
            min(image.width - 1, round(right * image.width + pad)),
            min(image.height - 1, round(bottom * image.height + pad)),
        )
        if x1 <= x0 or y1 <= y0:
            continue
        if not quiet:
            part = image.crop((x0, y0, x1, y1))
            image.paste(ImageChops.multiply(part, Image.new("RGB", part.size, _TINT)), (x0, y0))
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)
