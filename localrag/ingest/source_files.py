"""The file that a document was read from: whether it changed since, and pictures of its pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from localrag.types import Document, Page, StoredFile

if TYPE_CHECKING:
    from PIL.Image import Image

    from localrag.ingest.readers.isolate import Drawer

FileState = Literal["same", "changed", "missing", "elsewhere"]  # elsewhere: its folder was not read on this machine
_MAX_PIXEL_BYTES = 60_000_000
_PICTURED = frozenset(".pdf .png .jpg .jpeg .jp2 .j2k .tif .tiff .webp .gif .bmp .heic .heif".split())


@dataclass(frozen=True, slots=True)
class PageImage:
    """A picture of a page: `pixels` is base64 of zlib of three bytes (red, green, blue) each, row by row.

    `boxes` are the lines of the quote (left, top, right, bottom), in fractions of width and height from the top left;
    empty if its words were not found in the picture.
    """

    width: int
    height: int
    pixels: str
    boxes: tuple[tuple[float, float, float, float], ...] = ()


def picture(image: PageImage) -> Image:
    """Return the picture of a page for Pillow. Raises ValueError for one whose size cannot be."""
    from base64 import b64decode
    from zlib import decompressobj

    from PIL import Image

    size = 3 * image.width * image.height
    if not 0 < size <= _MAX_PIXEL_BYTES:
        raise ValueError(f"a picture of {image.width} x {image.height}")
    pixels = decompressobj().decompress(b64decode(image.pixels), size)
    return Image.frombytes("RGB", (image.width, image.height), pixels)


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
) -> PageImage:  # fmt: skip
    """Draw a page in a separate process, at most `width` pixels wide, with boxes around spans (the quote first).

    Raises:
        ReadError: the file changed, or cannot be drawn.
    """
    from base64 import b64encode
    from zlib import compress

    from localrag.ingest.readers.source import PageRequest

    name = document.path.removeprefix(document.file).strip("/") if document.file else ""
    wanted = PageRequest(name, document.sha256, page.number or 1, width, page.text, tuple(spans), page.words)
    drawn = drawer.draw(file, wanted)
    # Compressed for the way to another process.
    return PageImage(drawn.width, drawn.height, b64encode(compress(drawn.rgb, 1)).decode("ascii"), drawn.boxes)
