"""What a reader gets: a source of bytes, options, and a budget for what is inside it.

A source is a file, or bytes from an archive or a mail: what is inside other files never touches the disk.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from localrag.errors import ReadError
from localrag.types import Ocr, Word

_STEP = 1 << 20
# Of the picture of a page.
MAX_PIXELS = 6_000_000
MAX_WIDTH = 3_000
# Called after each slow page of text recognition, which restarts the clock of the time limit: a hundred such pages are
# no reason to give a scan up. Other work must not call them: a file that makes a parser loop must reach its limit.
page_listeners: list[Callable[[], None]] = []


@dataclass(frozen=True, slots=True)
class Options:
    """How files are read; the limits hold for one file with everything inside it."""

    passwords: tuple[str, ...] = ()  # tried in turn on encrypted files
    ocr: Ocr = "auto"  # recognises pages that are pictures with (almost) no text; "force" all pages, "off" none
    languages: tuple[str, ...] = ("en",)  # ISO 639-1 codes for recognition
    depth: int = 3  # of files inside files; 0 reads none
    members: int = 10_000  # files inside
    unpacked: int = 2_000_000_000  # bytes
    characters: int = 100_000_000


class Budget:
    """What one file may still unpack; shared by everything inside it, so nesting gains nothing."""

    def __init__(self, options: Options) -> None:
        self._bytes = options.unpacked
        self._members = options.members
        self._options = options

    def take(self, size: int) -> None:
        """Count unpacked bytes; raise OverBudget where they are too many."""
        self._bytes -= size
        if self._bytes < 0:
            what = f"unpacks to more than {self._options.unpacked:,} bytes"
            raise OverBudget(what, "If it is meant to, raise read_unpacked_mb.")

    def take_member(self) -> None:
        self._members -= 1
        if self._members < 0:
            what = f"holds more than {self._options.members:,} files"
            raise OverBudget(what, "Unpack it and ingest the folder instead.")

    def unpack(self, stream: BinaryIO) -> bytes:
        """Read all of a stream; count while reading (`take`), so a bomb ends early."""
        pieces: list[bytes] = []
        while piece := stream.read(_STEP):
            self.take(len(piece))
            pieces.append(piece)
        return b"".join(pieces)


class OverBudget(ReadError):
    """A limit of the whole file was reached; the rest of it is not read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A document's bytes and its name; the suffix is its type."""

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, path: Path) -> Source:
        return cls(path.name, path)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name.replace("\\", "/")).suffix.lower()

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name.replace("\\", "/")).stem

    @property
    def size(self) -> int:
        return len(self.data) if self.data is not None else self._file().stat().st_size

    def open(self) -> BinaryIO:
        """Return a seekable stream; the caller closes it."""
        return io.BytesIO(self.data) if self.data is not None else self._file().open("rb")

    def read(self) -> bytes:
        return self.data if self.data is not None else self._file().read_bytes()

    def native(self) -> Path | bytes:
        """Return the path where there is one (a library may map it), else the bytes."""
        return self.data if self.data is not None else self._file()

    def _file(self) -> Path:
        if self.path is None:
            raise ValueError("a Source has a path or data")
        return self.path


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
    boxes: tuple[tuple[float, float, float, float], ...] = ()  # of the quote's lines, in fractions of width and height


@dataclass(frozen=True, slots=True)
class Member:
    """Something inside a file: its source, or why it is refused; neither where its type is not read."""

    name: str
    source: Source | None = None
    refused: ReadError | None = None


_MAGIC = {
    b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP archive or an Office file", b"{\\rtf": "an RTF text",
    b"\xd0\xcf\x11\xe0": "an old Office file (or an encrypted one)", b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture", b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture", b"\x1f\x8b": "a GZIP archive", b"%!PS": "a PostScript file",
    b"\x7fELF": "a program", b"MZ": "a program",
}  # fmt: skip


def looks_like(source: Source) -> str:
    """Return what a file's first bytes show it to be, in words; empty where that is unknown."""
    with source.open() as stream:
        head = stream.read(1024)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML file"
    return "a PDF with something before it" if b"%PDF-" in head else ""


def another_kind(source: Source, what: str, *expected: str) -> ReadError | None:
    """Return an error where the first bytes show another type than `what` the name says.

    `expected` is how `looks_like` begins for the right type.
    """
    kind = looks_like(source)
    if not kind or kind.startswith(expected):
        return None
    return ReadError(f"is not {what} but {kind}", "Give the file the suffix of its real type.")
