"""Pictures (PNG, JPEG, TIFF, WebP, GIF, BMP): the text that is recognised in them; each page of a TIFF is a page.

What cannot be recognised is said, never passed over. Of an animation only the first frame is read. Only these formats
are tried, whatever else Pillow knows: some of its decoders start other programs.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image, ImageOps

from localrag.errors import ReadError
from localrag.ingest.readers import ocr
from localrag.ingest.readers.headings import drop_running, find_headings
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.types import Page, Reading, SkippedPage, Word

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")
# What Pillow raises over a broken file.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_NOTHING = "no text; nothing was recognised in the picture"
_BROKEN = "damaged; the picture could not be decoded"
_SQUARE = 1.2  # fax machines scan up to twice as fine across as down; the engines expect letters in shape


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
            "Open it to see whether it shows text. If it does, scan it again at 300 dpi, or set ocr_languages.",
        )
    headings = drop_running([(text, find_headings(text)) for text in texts])
    pages = [
        Page(text, number, headings=found, words=boxes)
        for number, (text, found, boxes) in enumerate(zip(texts, headings, words, strict=True), 1)
    ]
    return Reading(tuple(pages), skipped=tuple(skipped))


def frames(source: Source) -> Iterator[Image.Image | None]:
    """The pages as they are to be seen; None for one that is damaged."""
    with source.open() as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the size: `check_size` refuses it
                image = Image.open(stream, formats=_FORMATS)
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        except Image.DecompressionBombError as error:
            raise ReadError("is too large a picture", "Save it anew with fewer pixels (300 dpi).") from error
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
        # A copy: the first frame's own object changes with the next seek.
        frame = ImageOps.exif_transpose(image) if index == 0 else image.copy()
    except Image.DecompressionBombError:
        return None
    except _DAMAGED:
        return None
    if across > _SQUARE * down:
        return frame.resize((frame.width, round(frame.height * across / down)))
    if down > _SQUARE * across:
        return frame.resize((round(frame.width * down / across), frame.height))
    return frame


def _resolution(image: Image.Image) -> tuple[float, float]:
    """Dots per inch across and down, where the file says so in earnest."""
    try:
        across, down = (float(value) for value in image.info.get("dpi", (1, 1)))
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0, 1.0
    return (across, down) if min(across, down) >= 60 and max(across, down) <= 2.5 * min(across, down) else (1.0, 1.0)


def _damaged(source: Source) -> ReadError:
    if other := another_kind(source, "a picture", "a PNG", "a JPEG", "a GIF", "a TIFF"):
        return other
    return ReadError("is damaged, or not a picture", "Open it in a viewer and save it anew.")
