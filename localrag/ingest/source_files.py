"""The file that a document was read from: whether it is still the one that was read, and how its pages look."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from localrag.types import Document, Page, StoredFile

if TYPE_CHECKING:
    from localrag.ingest.readers.isolate import Drawer

FileState = Literal["same", "changed", "missing"]
_PICTURED = frozenset(".pdf .png .jpg .jpeg .jp2 .j2k .tif .tiff .webp .gif .bmp .heic .heif".split())


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as it is seen: `pixels` is base64 of zlib of three bytes (red, green, blue) for each, row by row.

    `boxes` is where the lines of the quote stand (left, top, right, bottom), in fractions of width and height from the
    top left; empty where the words could not be found in the picture.
    """

    width: int
    height: int
    pixels: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def state(file: Path, stored: StoredFile | None) -> FileState:
    """Whether a file on the disk is the one that was read.

    The same size and time are taken for the same file, as an ingest does; where only the time differs, its bytes are
    hashed. A file that cannot be looked at counts as missing.
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
    """Whether pages of a document can be shown as they look."""
    return PurePosixPath(document.path).suffix.lower() in _PICTURED


def page_image(
    file: Path, document: Document, page: Page, width: int, spans: Sequence[tuple[int, int]], drawer: Drawer
) -> PageImage:  # fmt: skip
    """A page, drawn in a process apart, `width` pixels wide or less, with spans of its text boxed (the quote first).

    Raises:
        ReadError: the file is another by now, or cannot be drawn.
    """
    from base64 import b64encode
    from zlib import compress

    from localrag.ingest.readers.source import PageRequest

    name = document.path.removeprefix(document.file).strip("/") if document.file else ""
    wanted = PageRequest(name, document.sha256, page.number or 1, width, page.text, tuple(spans), page.words)
    drawn = drawer.draw(file, wanted)
    # Packed once more, since it may go on to another process.
    return PageImage(drawn.width, drawn.height, b64encode(compress(drawn.rgb, 1)).decode("ascii"), drawn.boxes)
