"""What a reader gets: a source of bytes, options, and a budget and names for what is inside it.

A source is a file, or bytes from an archive or a mail: what is inside other files never touches the disk.
"""

from __future__ import annotations

import errno
import io
import mimetypes
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from localrag.errors import ReadError
from localrag.text import clean
from localrag.types import Ocr

LINKED = "is a link, or lies behind one", "To read what links lead to: --follow-links."
_STEP = 1 << 20
# Without O_NONBLOCK a pipe waits for a writer; without O_NOCTTY a terminal becomes this process's own.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC"))
# The word lists and mappings of the readers.
TABLES: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("tables.toml").read_text("utf-8"))
# Modules by name, so a reader process loads only the libraries it needs.
SUFFIXES: Mapping[str, str] = {
    suffix: f"localrag.ingest.readers.{module}"
    for module, suffixes in TABLES["modules"].items()
    for suffix in suffixes.split()
}
# Of the picture of a page.
MAX_PIXELS = 6_000_000
MAX_WIDTH = 3_000
# Called after each slow page of text recognition, which restarts the clock of the time limit: a hundred such pages are
# no reason to give a scan up. Other work must not call them: a file that makes a parser loop must reach its limit.
page_listeners: list[Callable[[], None]] = []


def reads(path: Path) -> bool:
    """Whether there is a reader for this suffix."""
    return path.suffix.lower() in SUFFIXES


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
    speech: str = ""  # the folder of the model that recognises speech; empty without one

    def within(self, size: int) -> tuple[int, int]:
        """Return how many files and characters a file of `size` bytes may hold: large mailboxes hold more."""
        return max(self.members, size // 4_000), max(self.characters, size)


class Budget:
    """What one file may still unpack; shared by everything inside it, so nesting gains nothing."""

    def __init__(self, options: Options, size: int = 0) -> None:
        self._bytes = options.unpacked
        self._most = self._members = options.within(size)[0]
        self._options = options
        self.names: set[str] = set()  # of the documents so far

    def take(self, size: int) -> None:
        """Count unpacked bytes; raise OverBudget where they are too many."""
        self._bytes -= size
        if self._bytes < 0:
            what = f"unpacks to more than {self._options.unpacked:,} bytes"
            raise OverBudget(what, "If it is meant to, raise read_unpacked_mb.")

    def take_member(self) -> None:
        self._members -= 1
        if self._members < 0:
            what = f"holds more than {self._most:,} files"
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


class _Opened(io.RawIOBase):
    """Reads an open file at a position of its own: several streams share a descriptor, which stays open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if sys.platform == "win32":
            raise OSError(errno.ENOTSUP, "documents are opened by their paths")
        view = memoryview(buffer)
        piece = os.pread(self._descriptor, len(view), self._at)
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # as a file does
        self._at = start + offset
        return self._at


def open_file(path: Path, links: bool = True) -> int:
    """Open a document for reading and return its descriptor.

    Raises ReadError if it is missing, empty or no file, or if it is behind a link that is not to be followed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError as error:
        raise unreadable(error) from error
    facts = os.fstat(descriptor)
    if not links and behind_link(path, descriptor):
        os.close(descriptor)
        raise ReadError(*LINKED)
    if stat.S_ISREG(facts.st_mode) and facts.st_size:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise ReadError("is not a regular file", "Folders, devices and pipes are not read.")
    raise ReadError("is empty (0 bytes)", "If it should not be, copy it again from its source.")


def behind_link(path: Path, descriptor: int) -> bool:
    """Whether a link is part of the path of an open file: of the file that was opened, whatever the path is by now."""
    try:
        real = str(Path(f"/proc/self/fd/{descriptor}").readlink())  # the kernel knows
    except OSError:
        real = os.path.realpath(path)
        if not (os.path.lexists(real) and os.path.samestat(os.lstat(real), os.fstat(descriptor))):
            return True
    return real != str(path)


def unreadable(error: OSError) -> ReadError:
    if isinstance(error, FileNotFoundError):
        return ReadError("no longer exists", "It was moved or deleted. Ingest again.")
    if isinstance(error, PermissionError):
        return ReadError("cannot be read: permission denied", "Change its permissions, or run as its owner.")
    return ReadError(f"cannot be read: {error.strerror or error}", "Check its disk or network share.")


@dataclass(frozen=True, slots=True)
class Source:
    """A document's bytes and its name; the suffix is its type.

    The bytes are at a path, in memory, or in an open file: reader processes may open no document themselves.
    """

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)
    descriptor: int | None = None

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
        with self.open() as stream:
            return stream.seek(0, os.SEEK_END)

    def open(self) -> BinaryIO:
        """Return a seekable stream; the caller closes it."""
        if self.data is not None:
            return io.BytesIO(self.data)
        if self.descriptor is not None:
            return cast(BinaryIO, io.BufferedReader(_Opened(self.descriptor)))
        if self.path is None:
            raise ValueError("a Source has a path, data or a descriptor")
        return self.path.open("rb")

    def read(self) -> bytes:
        if self.data is not None:
            return self.data
        with self.open() as stream:
            return stream.read()


@dataclass(frozen=True, slots=True)
class Member:
    """Something inside a file: its source, or why it is refused; neither where its type is not read."""

    name: str
    source: Source | None = None
    refused: ReadError | None = None


RIGHT_SUFFIX = "Give the file the suffix of its real type."
_MAGIC = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an Office file",
    b"{\\rtf": "an RTF text",
    b"\xd0\xcf\x11\xe0": "an old Office file (or an encrypted one)",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"!BDN": "an Outlook store",
    b"GIF8": "a GIF picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"\x1f\x8b": "a GZIP archive",
    b"%!PS": "a PostScript file",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}


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
    """Return an error if the first bytes show another type than `what`; files of it look like one of `expected`."""
    kind = looks_like(source)
    if not kind or kind.startswith(expected):
        return None
    return ReadError(f"is not {what} but {kind}", RIGHT_SUFFIX)


def locked(passwords: Sequence[str], hint: str = "Save a copy without a password, or give its password.") -> ReadError:
    tried = "and none of the passwords given opens it" if passwords else "and no password was given"
    return ReadError(f"is encrypted, {tried}", hint)


# --- names of members -----------------------------------------------------------------------------------------

_MAX_LENGTH = 150
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069]")  # could show "txt.exe" as "exe.txt"
_MIME = mimetypes.MimeTypes()  # the table of Python, not of this machine


def safe(name: str) -> str:
    """Return one step of a path, made safe; "" if nothing is left."""
    name = "".join(" " if mark in "\n\t" else mark for mark in _INVISIBLE.sub("", clean(name)))
    name = " ".join(re.sub(r"[/\\:]", "_", name.replace(": ", " ")).split())
    if name.strip(". ") == "":
        return ""
    if len(name) <= _MAX_LENGTH:
        return name
    suffix = PurePosixPath(name).suffix[:20]
    return name[: _MAX_LENGTH - len(suffix)].rstrip() + suffix


def attached(filename: str, content_type: str) -> str:
    """Return the name of an attachment, with a suffix from the content type if its own is not read."""
    name = safe(filename) or "attachment"
    if reads(Path(name)):
        return name
    suffix = TABLES["suffixes"].get(content_type) or _MIME.guess_extension(content_type) or ""
    if suffix in SUFFIXES or (suffix and not PurePosixPath(name).suffix and content_type != "application/octet-stream"):
        return name + suffix
    return name


def content_type(name: str) -> str:
    return _MIME.guess_type(name)[0] or ""


class Names:
    """Makes names unique: the second "a.pdf" is "a (2).pdf"."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # and the last number that was added to each

    def unique(self, name: str) -> str:
        path, given = PurePosixPath(name), name
        while given in self._given:
            self._given[name] += 1
            given = str(path.with_name(f"{path.stem} ({self._given[name]}){path.suffix}"))
        self._given[given] = 1
        return given


_WIDE = re.compile("[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]{2,}")
_RUSSIAN = re.compile("[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+")


def old_name(data: bytes) -> str:
    """Decode a name of unknown encoding: UTF-8, or the code page that makes whole words of it."""
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8")
    russian = data.decode("cp866")
    others = [word for word in re.findall(r"[^\W\d_]+|[^\0-\x7f]", russian) if not word.isascii()]
    if all(map(_RUSSIAN.fullmatch, others)) and any(len(word) > 2 for word in others):
        return russian
    for encoding in ("cp932", "gb18030"):
        wide = data.decode(encoding, "replace")
        if all(map(_WIDE.fullmatch, re.findall(r"[^\0-\x7f]+", wide))):
            return wide
    return data.decode("cp437")
