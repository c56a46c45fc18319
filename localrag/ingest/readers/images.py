"""Pictures (PNG, JPEG, JPEG 2000, TIFF, WebP, GIF, BMP, HEIC): recognised text; each page of a TIFF is a page.

A picture without text is reported, never skipped silently. Only the first frame of an animation is read. Only these
formats are tried: some other decoders of Pillow start programs. HEIC needs pillow-heif (the extra "heic").
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image, ImageOps

from localrag.errors import ReadError
from localrag.ingest.readers import ocr
from localrag.ingest.readers.headings import document_headings
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.types import Page, Reading, SkippedPage, Word

_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "WEBP", "GIF", "BMP", "HEIF")
# Pillow raises any of these over a broken file.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_NOTHING = "no text; nothing was recognised in the picture"
_BROKEN = "damaged; the picture could not be decoded"
_SQUARE = 1.2  # fax machines scan up to twice as fine across as down, which distorts letters


def read(source: Source, options: Options) -> Reading:
    if options.ocr == "off":
        raise ReadError("is a picture", "Text recognition is off; repeat with --ocr auto.")
    texts: list[str] = []
    words: list[tuple[Word, ...]] = []
    skipped: list[SkippedPage] = []
    for number, frame in enumerate(frames(source), 1):
        found = ocr.recognise(frame, options.languages) if frame is not None else ocr.Recognised("")
        texts.append(found.text)
        words.append(found.words)
        if not found.text:
            skipped.append(SkippedPage(number, _NOTHING if frame is not None else _BROKEN))
    if all(item.reason == _BROKEN for item in skipped) and len(skipped) == len(texts):
        raise _damaged(source)
    if not any(texts):
        raise ReadError(
            "has no text that could be recognised",
            "Open it to see whether it shows text. If it does, scan it at 300 dpi, or set ocr_languages.",
        )
    headings = document_headings([(text, {}) for text in texts])
    pages = [
        Page(text, number, headings=found, words=boxes)
        for number, (text, found, boxes) in enumerate(zip(texts, headings, words, strict=True), 1)
    ]
    return Reading(tuple(pages), skipped=tuple(skipped))


def frames(source: Source) -> Iterator[Image.Image | None]:
    """Yield the pages upright; None for one that is damaged."""
    if source.suffix in (".heic", ".heif"):
        try:
            import pillow_heif
        except ImportError:
            what = "is a HEIC picture, and pillow-heif is not installed"
            raise ReadError(what, "Run: pip install 'localrag[heic]'") from None
        pillow_heif.register_heif_opener()
    with source.open() as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the size: `check_size` refuses it
                image = Image.open(stream, formats=_FORMATS)
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        except Image.DecompressionBombError as error:
            raise ReadError("is too large a picture", "Save it with fewer pixels (300 dpi).") from error
        except _DAMAGED as error:
            raise _damaged(source) from error
        with image:
            for index in range(count):
                yield _frame(image, index)


def _frame(image: Image.Image, index: int) -> Image.Image | None:
    try:
        image.seek(index)
        ocr.check_size(image.size)
        across, down = _resolution(image)
        image.load()
        # A copy: the object of the first frame changes with the next seek.
        frame = ImageOps.exif_transpose(image) if index == 0 else image.copy()
    except (Image.DecompressionBombError, *_DAMAGED):
        return None
    if across > _SQUARE * down:
        return frame.resize((frame.width, round(frame.height * across / down)))
    if down > _SQUARE * across:
        return frame.resize((round(frame.width * down / across), frame.height))
    return frame


def _resolution(image: Image.Image) -> tuple[float, float]:
    """Return dots per inch across and down, where the file has plausible ones."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(value) for value in image.info.get("dpi", (1, 1)))
        if min(across, down) >= 60 and max(across, down) <= 2.5 * min(across, down):
            return across, down
    return 1.0, 1.0


def _damaged(source: Source) -> ReadError:
    if other := another_kind(source, "a picture", "a PNG", "a JPEG", "a GIF", "a TIFF"):
        return other
    return ReadError("is damaged, or not a picture", "Open it in a viewer and save it again.")
