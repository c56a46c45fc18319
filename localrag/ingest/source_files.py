"""The file that a document was read from: whether it changed since, and pictures of its pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from localrag.types import Document, Page, StoredFile, Word

if TYPE_CHECKING:
    from PIL.Image import Image

    from localrag.ingest.readers.isolate import Drawer

FileState = Literal["same", "changed", "missing", "elsewhere"]  # elsewhere: its folder was not read on this machine
_PICTURED = frozenset(".pdf .png .jpg .jpeg .jp2 .j2k .tif .tiff .webp .gif .bmp .heic .heif".split())


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


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page as pixels."""

    width: int
    height: int
    rgb: bytes  # three for each pixel, row by row from the top left
    # Of the quote's lines (left, top, right, bottom), in fractions of width and height; empty if it was not found.
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def image(self) -> Image:
        """Return the picture for Pillow. Raises ValueError if its pixels are fewer or more than its size says."""
        from PIL import Image

        return Image.frombytes("RGB", (self.width, self.height), self.rgb)


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


def page_image(
    file: Path, document: Document, page: Page, width: int, spans: Sequence[tuple[int, int]], drawer: Drawer
) -> PagePicture:
    """Draw a page, at most `width` pixels wide, with boxes around spans (the quote first), or raise ReadError."""
    name = document.path.removeprefix(document.file).strip("/") if document.file else ""
    wanted = PageRequest(name, document.sha256, page.number or 1, width, page.text, tuple(spans), page.words)
    return drawer.draw(file, wanted)
