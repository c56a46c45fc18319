"""What every reader keeps to, which suffix is read by which module, and what is done to all text alike.

`read_file` is the way in: it looks at the file first (missing, empty, a device, no right to read), hands it to
its reader, and sees to it that there is text, a title, and nothing that a database or a screen would choke on.
`clean` must be called by a reader on its raw text before it makes offsets: it changes lengths. `read_file` checks
that this was done. What it does not do: guess a format from content. A file is what its suffix says, or refused.
"""

from __future__ import annotations

import importlib
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from localrag.errors import ReadError
from localrag.types import Page, Reading, SkippedPage


class Reader(Protocol):
    """A module that reads a family of formats; `read` finds a readable, non-empty, regular file at `path`."""

    def read(self, path: Path, passwords: Sequence[str] = ()) -> Reading: ...


# Modules by name, so that a worker loads only the libraries of the formats it meets.
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        ".docm": "localrag.readers.office",
        ".docx": "localrag.readers.office",
        ".dotm": "localrag.readers.office",
        ".dotx": "localrag.readers.office",
        ".markdown": "localrag.readers.markdown",
        ".md": "localrag.readers.markdown",
        ".pdf": "localrag.readers.pdf",
        ".text": "localrag.readers.text",
        ".txt": "localrag.readers.text",
    }
)


def reads(path: Path) -> bool:
    """Whether there is a reader for files named like this one."""
    return path.suffix.lower() in SUFFIXES


def read_file(path: Path, passwords: Sequence[str] = ()) -> Reading:
    """Read one file in this process.

    Raises:
        ReadError: the file cannot be read, and why.
    """
    name = SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise ReadError(f"is of a type that is not read: {path.suffix!r}", f"Read are {', '.join(SUFFIXES)}.")
    _look_at(path)
    reader = cast(Reader, importlib.import_module(name))
    try:
        reading = reader.read(path, passwords)
    except OSError as error:
        raise _unreadable(error) from error
    if not any(page.text.strip() for page in reading.pages):
        raise ReadError("has no text", "Open it to see whether it holds only pictures or blank pages.")
    return replace(
        reading,
        pages=tuple(_checked(page) for page in reading.pages),
        title=clean_title(reading.title) or clean_title(path.stem) or path.stem,
    )


def _look_at(path: Path) -> None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReadError("is not a regular file", "Folders, devices and pipes are not read.")
        if status.st_size == 0:
            raise ReadError("is empty (0 bytes)", "If it should not be, copy it again from where it came from.")
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> ReadError:
    if isinstance(error, FileNotFoundError):
        return ReadError("is not there any more", "It was moved or deleted meanwhile. Ingest again.")
    if isinstance(error, PermissionError):
        return ReadError("may not be read: permission denied", "Change its rights, or run as its owner.")
    return ReadError(f"cannot be read: {error.strerror or error}", "Check the disk or the network share it is on.")


def _checked(page: Page) -> Page:
    if clean(page.text) != page.text:
        raise AssertionError("a reader made offsets into text that is not clean")
    size = len(page.text)
    headings = sorted((item for item in page.headings if 0 <= item.start < size), key=lambda item: item.start)
    return replace(page, label=clean_title(page.label or "") or None, headings=tuple(headings))


# --- text ----------------------------------------------------------------------------------------------------

# NUL ends SQLite's substr; other control characters upset terminals. Spaces of odd widths and ligatures look
# like the plain letters and would only keep words from being found.
_TRANSLATION: dict[int, str | None] = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_TRANSLATION |= {ord(mark): "\n" for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
_TRANSLATION |= {ord(mark): mark for mark in "\t\n"}
_TRANSLATION |= {
    ord(mark): " " for mark in "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
}
_TRANSLATION |= {ord(mark): None for mark in "\u00ad\u2060\ufeff\ufffe\uffff"}
_TRANSLATION |= {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
_ODD = re.compile("[" + "".join(f"\\u{code:04x}" for code in _TRANSLATION if code not in (9, 10)) + "\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """The text as it is stored: line ends are \\n, no control characters, no halves of characters.

    Cleaning twice changes nothing.
    """
    if _ODD.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", text.translate(_TRANSLATION))


_SPACES = re.compile(r"\s+")
_PRODUCER = re.compile(r"^(?:microsoft (?:word|powerpoint|excel)|powerpoint presentation)\s*(?:-\s*)?", re.I)
_FILE_END = re.compile(r"\.(?:docx?|dotx?|pdf|pptx?|xlsx?|rtf|odt|txt|indd|qxd|wpd|tex|dvi|html?)$", re.I)
_JUNK = re.compile(r"^(?:untitled.*|title|document\d*|doc\d*|slide ?\d+|presentation\d*|unknown|none|null|n/a)$", re.I)


def clean_title(title: str) -> str:
    """A title fit to be shown and embedded, on one line; empty where it says nothing about the document."""
    title = _SPACES.sub(" ", clean(title)).strip(" \"'-_")
    # A title that names a file was put there by a program; the file's real name is the better one.
    if _PRODUCER.match(title) or _FILE_END.search(title) or _JUNK.match(title):
        return ""
    if sum(character.isalpha() for character in title) < 3 and not any(ord(c) > 0x2E7F for c in title):
        return ""
    return title if len(title) <= 200 else title[:200].rsplit(" ", 1)[0]


def blank(number: int, reason: str) -> tuple[Page, SkippedPage]:
    """A page without text: it keeps its place, so that the numbers of those behind it hold."""
    return Page("", number), SkippedPage(number, reason)


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an Office file"),
    (b"\xd0\xcf\x11\xe0", "an old Office file (or an encrypted one)"),
    (b"{\\rtf", "an RTF text"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"\x1f\x8b", "a GZIP archive"),
    (b"%!PS", "a PostScript file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def looks_like(path: Path) -> str:
    """What a file's first bytes say it is, for a plain reason; empty where they say nothing known."""
    with path.open("rb") as stream:
        head = stream.read(1024)
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML file"
    return "a PDF with something before it" if b"%PDF-" in head else ""


def encrypted_office(path: Path) -> bool:
    """Whether this is an OLE container with an encrypted Office document inside."""
    with path.open("rb") as stream:
        head = stream.read(8)
        size = os.fstat(stream.fileno()).st_size
        stream.seek(0)
        return head.startswith(b"\xd0\xcf\x11\xe0") and "EncryptedPackage".encode("utf-16-le") in stream.read(
            min(size, 64_000_000)
        )
