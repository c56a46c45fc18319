"""The file that a document was read from: whether it changed since, and pictures and copies of its pages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from localrag.types import Document, Page, StoredFile, Word

if TYPE_CHECKING:
    from PIL.Image import Image

    from localrag.ingest.readers.isolate import Drawer

FileState = Literal["same", "changed", "missing", "elsewhere"]  # elsewhere: its folder was not read on this machine
_PICTURED = frozenset(".pdf .png .jpg .jpeg .jp2 .j2k .tif .tiff .webp .gif .bmp .heic .heif".split())

# Recordings by suffix, and what a browser is told they are; and the types of transcripts that may lie beside them.
SOUNDS = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
    ".amr": "audio/amr",
    ".wma": "audio/x-ms-wma",
    **dict.fromkeys((".ogg", ".oga", ".opus"), "audio/ogg"),
    **dict.fromkeys((".aif", ".aiff"), "audio/aiff"),
    **dict.fromkeys((".m4a", ".mp4", ".mov", ".3gp"), "audio/mp4"),
    **dict.fromkeys((".webm", ".mkv"), "audio/webm"),
}
TRANSCRIPTS = (".vtt", ".srt")
_CLOCK = re.compile(r"(\d{2,4}):(\d\d):(\d\d)$")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page to draw, and the spans of its text to box."""

    name: str  # of the document inside the file, as in `Part.name`; empty for the file itself
    sha256: str  # of the document when it was read
    page: int  # 1-based
    width: int  # in pixels
    text: str  # of the page when it was read
    spans: tuple[tuple[int, int], ...] = ()  # the quote first, then others, which get a weaker box
    words: tuple[Word, ...] = ()  # of recognised text; empty where the text is the file's own
    copied: bool = False  # a copy is wanted, not a picture


@dataclass(frozen=True, slots=True)
class PagePicture:
    width: int
    height: int
    rgb: bytes  # three for each pixel, row by row from the top left
    # Of the quote's lines (left, top, right, bottom), in fractions of width and height; empty if it was not found.
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def image(self) -> Image:
        """Return the picture for Pillow. Raises ValueError if its pixels are fewer or more than its size says."""
        from PIL import Image

        return Image.frombytes("RGB", (self.width, self.height), self.rgb)


# A value of a PDF: null, a number, a list, a dictionary, "/name", "#3" (the object of that number) or "(" with a string
# in hexadecimal digits; and the bytes of a stream.
PdfObject = tuple[Any, bytes | None]
_NAMES = "names"  # a dictionary whose keys are names that the file gives
_RESOURCES = frozenset("/Font /XObject /ExtGState /ColorSpace /Pattern /Shading /Properties /ProcSet".split())
# Keys of what is drawn: forms, pictures, fonts, colours, patterns, functions, layers, filters.
_DRAWN = frozenset(
    """/Type /Subtype /FormType /BBox /Matrix /Resources /Group /S /CS /I /K /Filter /DecodeParms
    /Width /Height /ColorSpace /BitsPerComponent /Intent /ImageMask /Mask /Decode /Interpolate /SMask /SMaskInData
    /Matte /Predictor /Colors /Columns /EarlyChange /EndOfLine /EncodedByteAlign /Rows /EndOfBlock /BlackIs1
    /JBIG2Globals /DamagedRowsBeforeError /ColorTransform
    /BaseFont /FirstChar /LastChar /Widths /FontDescriptor /Encoding /ToUnicode /DescendantFonts /CIDSystemInfo
    /Registry /Ordering /Supplement /DW /W /DW2 /W2 /CIDToGIDMap /FontBBox /FontMatrix /CharProcs /Name /BaseEncoding
    /Differences
    /FontName /FontFamily /FontStretch /FontWeight /Flags /ItalicAngle /Ascent /Descent /Leading /CapHeight /XHeight
    /StemV /StemH /AvgWidth /MaxWidth /MissingWidth /FontFile /FontFile2 /FontFile3 /CharSet /CIDSet /Style /Lang /FD
    /Length1 /Length2 /Length3 /CMapName /UseCMap /WMode
    /LW /LC /LJ /ML /D /RI /OP /op /OPM /Font /BG /BG2 /UCR /UCR2 /TR /TR2 /HT /FL /SM /SA /BM /CA /ca /AIS /TK /G /BC
    /N /Alternate /Range /WhitePoint /BlackPoint /Gamma /Colorants /Process /Components /MixingHints
    /FunctionType /Domain /Size /BitsPerSample /Order /Encode /C0 /C1 /Functions /Bounds /Function
    /ShadingType /Background /AntiAlias /Coords /Extend /BitsPerCoordinate /BitsPerFlag /VerticesPerRow
    /PatternType /PaintType /TilingType /XStep /YStep /Shading /ExtGState /OC /OCGs""".split()
)


@dataclass(frozen=True, slots=True)
class PageCopy:
    """A page of a PDF as objects of which the first is a form that draws it; sizes are in points, as it is shown."""

    width: float
    height: float
    objects: tuple[PdfObject, ...]
    # Of the lines of each span, in fractions of width and height; empty where a span was not found.
    boxes: tuple[tuple[tuple[float, float, float, float], ...], ...] = ()
    hidden: tuple[int, ...] = ()  # objects that are layers which are not shown


def drawn(inside: str, key: str) -> str | None:
    """Return what a dictionary is that a page's objects have under a key, None where a copy leaves it out."""
    if inside == _NAMES:
        return ""
    if inside == "/Resources":
        return _NAMES if key in _RESOURCES else None
    own = {"/Resources": key, "/CharProcs": _NAMES, "/Colorants": _NAMES}
    return own.get(key, "") if key in _DRAWN else None


def state(file: Path, stored: StoredFile | None) -> FileState:
    """Whether a file is still the one that was read.

    Size and time decide, as in an ingest; if only the time differs, its bytes are hashed. A file that cannot be
    examined counts as missing.
    """
    try:
        status = file.stat()
        if stored is None or status.st_size != stored.size:
            return "changed"
        if status.st_mtime_ns == stored.mtime_ns:
            return "same"
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "same" if digest == stored.sha256 else "changed"


def has_pictures(document: Document) -> bool:
    """Whether pages of a document can be shown as pictures."""
    return PurePosixPath(document.path).suffix.lower() in _PICTURED


def recording(file: Path, document: Document) -> Path | None:
    """Return the recording that a document is, or is the transcript of; None where there is none."""
    suffix = file.suffix.lower()
    if document.file not in ("", document.path):  # it is inside a file
        return None
    if suffix not in TRANSCRIPTS:
        return file if suffix in SOUNDS else None
    named = [file.with_suffix(""), *map(file.with_suffix, SOUNDS)]
    return next((one for one in named if one.suffix.lower() in SOUNDS and one.is_file()), None)


def second_of(place: str) -> int:
    """Return the second in a recording that a place names, as in "00:14:32"; 0 where it names none."""
    found = _CLOCK.search(place)
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]) if found else 0


def page_image(
    file: Path, document: Document, page: Page, width: int, spans: Sequence[tuple[int, int]], drawer: Drawer
) -> PagePicture:
    """Draw a page, at most `width` pixels wide, with boxes around spans (the quote first), or raise ReadError."""
    return drawer.draw(file, _request(document, page, width, spans))


def page_copy(file: Path, document: Document, page: Page, spans: Sequence[tuple[int, int]], drawer: Drawer) -> PageCopy:
    """Copy a page of a PDF, and find spans on it, or raise ReadError."""
    return drawer.copy(file, replace(_request(document, page, 0, spans), copied=True))


def _request(document: Document, page: Page, width: int, spans: Sequence[tuple[int, int]]) -> PageRequest:
    name = document.path.removeprefix(document.file).strip("/") if document.file else ""
    return PageRequest(name, document.sha256, page.number or 1, width, page.text, tuple(spans), page.words)
