"""Archives (ZIP, TAR, compressed TAR), single compressed files (GZ, BZ2, XZ) and mailboxes (MBOX): their members.

Nothing is written to disk, no link is followed, and only members of types that are read are unpacked. Bombs are found
by declared sizes, by members that share bytes, and by counting unpacked bytes. Not read: RAR, 7Z, Deflate64, Zstandard,
AES encryption, split archives.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.parser import BytesHeaderParser
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, BinaryIO, cast

from localrag.errors import ReadError
from localrag.ingest.readers.mail import subject_name
from localrag.ingest.readers.source import (
    RIGHT_SUFFIX,
    Budget,
    Member,
    Options,
    OverBudget,
    Source,
    another_kind,
    locked,
    looks_like,
    old_name,
    reads,
    safe,
)
from localrag.ingest.readers.text import header_text

_COMPRESSED = {
    **dict.fromkeys((".gz", ".tgz"), gzip.open),
    **dict.fromkeys((".bz2", ".tbz", ".tbz2"), bz2.open),
    **dict.fromkeys((".xz", ".txz"), lzma.open),
}
_OF_FORMATS = (struct.error, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
_DAMAGED = (OSError, ValueError, EOFError, IndexError, OverflowError, *_OF_FORMATS)
_OF_SYSTEMS = re.compile(r"(?:^|/)(?:\.[^/]*|__MACOSX|~\$[^/]*|Thumbs\.db|desktop\.ini)(?:/|$)", re.I)
_DAMAGE = "Copy it again from where it came from, or unpack it with a repair tool."
_DISTRUST = "Do not trust this archive."
_NO_FILE = ReadError("is a link, a device or a pipe, which are not followed", "Pack the file itself.")
_STEP = 1 << 20
_RATIO = 200
_HARMLESS = 50_000_000


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    if source.suffix == ".mbox":
        return _letters(source)
    return _zip_members(source, options, budget) if source.suffix == ".zip" else _tar_or_single(source, budget)


def _inner_name(raw: str) -> tuple[str, ReadError | None] | None:
    """Return a member's path made safe, and why it is refused; None for files that systems leave in archives."""
    path = raw.replace("\\", "/")
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if not steps or _OF_SYSTEMS.search("/".join(step for step in steps if step != "..")):
        return None
    refused = None
    if path.startswith("/") or re.match(r"[A-Za-z]:/", path):
        refused = ReadError("has an absolute path in the archive", _DISTRUST)
    elif ".." in steps:
        refused = ReadError("has a path that leads out of the archive", _DISTRUST)
    return "/".join(filter(None, map(safe, steps))) or "unnamed", refused


def _zip_members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    with source.open() as stream:
        try:
            archive = zipfile.ZipFile(stream)
            entries = archive.infolist()
        except (*_DAMAGED, NotImplementedError) as error:
            other = another_kind(source, "a ZIP archive", "a ZIP")
            raise (other or ReadError("is damaged, cut off, or not a ZIP archive", _DAMAGE)) from error
        if any(entry.volume for entry in entries):
            hint = "Join the parts (zip -s 0 FILE.zip --out WHOLE.zip), or unpack."
            raise ReadError("is one part of a split archive", hint)
        # Entries that lie in each other: so a small archive unpacks to a huge one without nesting.
        spans = sorted((entry.header_offset, entry.header_offset + 30 + entry.compress_size) for entry in entries)
        if any(end > start for (_, end), (start, _) in pairwise(spans)):
            raise ReadError("has members that share their bytes, as in a bomb", _DISTRUST)
        for entry in entries:
            raw = entry.filename
            if not raw.isascii() and not entry.flag_bits & 0x800:  # not in Unicode
                raw = old_name(raw.encode("cp437", "replace"))
            if (found := _inner_name(raw)) is None or entry.is_dir():  # `is_dir` fails for an empty name
                continue
            name, refused = found
            mode = stat.S_IFMT(entry.external_attr >> 16)
            if mode not in (0, stat.S_IFREG):
                refused = refused or _NO_FILE
            yield _member(name, refused, partial(_zip_data, archive, entry, options, budget))


def _member(name: str, refused: ReadError | None, unpack: Callable[[], bytes]) -> Member:
    if not reads(Path(name)):
        return Member(name)
    try:
        return Member(name, None if refused else Source(name, data=unpack()), refused)
    except OverBudget:
        raise
    except ReadError as error:
        return Member(name, refused=error)
    except _DAMAGED:
        return Member(name, refused=ReadError("is damaged in the archive", _DAMAGE))


def _bomb(unpacked: int, packed: int) -> ReadError | None:
    """Refuse what unpacks too well for a document; `zipfile` gives no more bytes than declared."""
    if unpacked <= _HARMLESS or unpacked <= _RATIO * packed:
        return None
    return ReadError(f"unpacks to over {_RATIO} times its size, as a bomb does", _DISTRUST)


def _zip_data(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, options: Options, budget: Budget) -> bytes:
    if (bomb := _bomb(entry.file_size, entry.compress_size)) is not None:
        raise bomb
    encrypted = bool(entry.flag_bits & 1)
    if entry.compress_type == 99:
        raise ReadError("is encrypted with AES, which is not supported", "Unpack it with its password.")
    for password in options.passwords if encrypted else ("",):
        try:
            with archive.open(entry, pwd=password.encode() if encrypted else None) as stream:
                return budget.unpack(cast(BinaryIO, stream))
        except NotImplementedError as error:
            what = f"is compressed by a method that is not supported ({entry.compress_type})"
            raise ReadError(what, "Pack it as ordinary ZIP.") from error
        except (*_DAMAGED, RuntimeError) as error:
            if not encrypted:
                raise ReadError("is damaged in the archive", _DAMAGE) from error
    raise locked(options.passwords, "Unpack it, or give its password.")


def _tar_or_single(source: Source, budget: Budget) -> Iterator[Member]:
    opener = _COMPRESSED.get(source.suffix)
    with ExitStack() as stack:
        packed = stack.enter_context(source.open())
        if opener is None:
            yield from _tar_members(_Stream(packed), budget)
            return
        stream = _Stream(stack.enter_context(opener(packed)), packed)  # type: ignore[operator]
        try:
            head = stream.read(512)
            stream.seek(0)
        except _DAMAGED as error:
            other = another_kind(source, "a compressed file", "a GZIP")
            raise (other or ReadError("is damaged, or not a compressed file", _DAMAGE)) from error
        named = source.suffix in (".tgz", ".tbz", ".tbz2", ".txz") or source.stem.lower().endswith(".tar")
        if named or head[257:262] == b"ustar":
            yield from _tar_members(stream, budget)
        else:
            yield _member(safe(source.stem) or "unnamed", None, partial(budget.unpack, cast(BinaryIO, stream)))


def _tar_members(stream: _Stream, budget: Budget) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps all of them in memory
                if (member := _tar_member(archive, entry, budget)) is not None:
                    yield member
        # tarfile takes a broken header for the end; the real end is a block of zeros, or nothing.
        if stream.last.strip(b"\0"):
            raise EOFError
    except _DAMAGED as error:
        raise ReadError("is damaged, cut off, or not a TAR archive; what could be read was", _DAMAGE) from error


def _tar_member(archive: tarfile.TarFile, entry: tarfile.TarInfo, budget: Budget) -> Member | None:
    raw = old_name(entry.name.encode("utf-8", "surrogateescape"))
    if entry.isdir() or (found := _inner_name(raw)) is None:
        return None
    name, refused = found
    if not reads(Path(name)):
        return Member(name)
    if not entry.isreg():
        refused = refused or _NO_FILE
    elif entry.sparse is not None:  # holes take no space in the archive
        spans = cast(list[tuple[int, int]], entry.sparse)
        refused = refused or _bomb(entry.size, sum(size for _, size in spans))
    content = archive.extractfile(entry) if refused is None else None
    data = budget.unpack(cast(BinaryIO, content)) if content else None
    return Member(name, None if data is None else Source(name, data=data), refused)


class _Stream:
    """An archive, or what it unpacks to; unpacked bytes count even if they are skipped."""

    def __init__(self, stream: IO[bytes], packed: IO[bytes] | None = None) -> None:
        self._stream = stream
        self._packed = packed
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._stream.read(size)
        self._count()
        return self.last

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if self._packed is None or whence != io.SEEK_SET or position < self._stream.tell():
            return self._stream.seek(position, whence)
        while (missing := position - self._stream.tell()) > 0 and self._stream.read(min(missing, _STEP)):
            self._count()
        return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()

    def _count(self) -> None:
        if self._packed is not None and (bomb := _bomb(self._stream.tell(), self._packed.tell())) is not None:
            raise bomb


# --- mailboxes ------------------------------------------------------------------------------------------------

_BEGINS = re.compile(rb"From (?:.*\d{1,2}:\d\d|\S+ *\r?\n$|- *\r?\n$)")
_ESCAPED = re.compile(rb">+From ")
_MAX_LINE = 1 << 20  # longer lines, which only broken files have, come in pieces
_HEAD = 1 << 16


def _letters(source: Source) -> Iterator[Member]:
    """Yield the mails of a mailbox, which begin at a line "From sender date" after an empty line."""
    # The mails together are as large as the file, so the budget need not count them.
    with source.open() as stream:
        for number, data in enumerate(_mails(stream, source), 1):
            subject = str(BytesHeaderParser().parsebytes(data[:_HEAD]).get("Subject", ""))
            name = f"{number:04} {subject_name(header_text(subject))}"
            yield Member(name, Source(name, data=data))


def _mails(stream: BinaryIO, source: Source) -> Iterator[bytes]:
    first = stream.readline(_MAX_LINE)
    while first and not first.strip(b"\xef\xbb\xbf \t\r\n"):
        first = stream.readline(_MAX_LINE)
    if not first.removeprefix(b"\xef\xbb\xbf").startswith(b"From "):
        kind = looks_like(source) or "something else"
        raise ReadError(f"is not a mailbox but {kind}", RIGHT_SUFFIX)
    lines: list[bytes] = []
    after_blank = False
    while line := stream.readline(_MAX_LINE):
        if after_blank and _BEGINS.match(line):
            yield b"".join(lines)
            lines, after_blank = [], False
            continue
        after_blank = not line.strip()
        lines.append(line[1:] if _ESCAPED.match(line) else line)
    yield b"".join(lines)
