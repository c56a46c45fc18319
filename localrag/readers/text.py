"""Plain text: encoding found, form feeds make pages, headings of contracts recognised.

Encodings: UTF-8, UTF-16 with a byte order mark (or so regular that it needs none), else Windows-1252. Other
8-bit encodings are not told apart. Files that are not text are refused.
"""

from __future__ import annotations

import codecs
import re

from localrag.errors import ReadError
from localrag.readers.base import blank
from localrag.readers.cleaning import clean
from localrag.readers.headings import find_headings
from localrag.readers.source import Options, Source
from localrag.types import Page, Reading, SkippedPage

_NO_TITLE = re.compile(r"[.,;:]$|: |/s/|^(?:exhibit|schedule|annex|appendix|page)\s+[\w.-]+$", re.I)


def read(source: Source, options: Options) -> Reading:
    raw = decode(source.read())
    if "\f" not in raw.strip("\f"):
        text = clean(raw)
        return Reading((Page(text, headings=find_headings(text)),), _title(text))
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    # A form feed at the very end closes the last page; it does not open another.
    for number, part in enumerate(raw.removesuffix("\f").split("\f"), 1):
        text = clean(part)
        if text.strip():
            pages.append(Page(text, number, headings=find_headings(text)))
        else:
            page, skip = blank(number, "no text")
            pages.append(page)
            skipped.append(skip)
    return Reading(tuple(pages), _title(next((p.text for p in pages if p.text), "")), tuple(skipped))


def _title(text: str) -> str:
    """The first line, where it stands alone and is short enough to be a title."""
    lines = text.lstrip().split("\n", 2)
    first = lines[0].strip()
    alone = len(lines) == 1 or not lines[1].strip()
    return first if alone and len(first) <= 100 and not _NO_TITLE.search(first) else ""


def decode(data: bytes) -> str:
    """The text of a file's bytes.

    Raises:
        ReadError: the bytes are not text.
    """
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return data.decode("utf-32", "replace")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        return _wide(data)
    if _controls(data) > max(1, len(data) * 0.02):
        raise _not_text()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return _narrow(data)


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: nearly every second byte of Western text is zero, and always on one side."""
    sample = data[:4096]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if half and zeros > half * 0.7 and others < half * 0.02:
            return data.decode(encoding, "replace")
    raise _not_text()


def _narrow(data: bytes) -> str:
    """Damaged UTF-8, or Windows-1252: whichever explains more of the bytes above 127."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    high = sum(byte > 127 for byte in data)
    good = sum(ord(character) > 127 for character in text) - broken
    if good > 4 * broken:
        return text
    if high > len(data) * 0.6:  # another alphabet: read as Windows-1252 it would be letters without sense
        raise ReadError("is in an encoding that is not recognised", "Save it as UTF-8.")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning in it
        return data.decode("latin-1")


def _controls(data: bytes) -> int:
    return len(data) - len(
        data.translate(None, bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F]))
    )


def _not_text() -> ReadError:
    return ReadError("is not text, whatever its name says", "Give the file the suffix of its real type.")
