"""The file of a backup: how it is opened, and read to its end; the last line says whether all was there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import Cancelled, LibraryError, SealBroken, UsageError
from localrag.security import storage
from localrag.security.audit.lists import FOLDER as LISTS
from localrag.security.audit.words import FOLDER as WORDS
from localrag.security.encryption import ring as rings
from localrag.security.encryption import streams
from localrag.security.encryption.keys import Key
from localrag.sessions.store import FOLDER as CONVERSATIONS
from localrag.store.names import check_name
from localrag.store.schema import DATABASE, SCHEMA

MAGIC = b"localrag-backup-1\n"
NAME = "backup"  # the file may be renamed
LARGEST_RING, _LONGEST_LINE, _MOST_FILES = 1 << 20, 1 << 12, 1_000_000
PIECE = 1 << 20
RECORD = ("audit.jsonl", "audit.key")
FILES = re.compile(
    rf"{re.escape(DATABASE)}|audit\.jsonl|audit\.key|({WORDS}|{LISTS})/\d{{1,12}}\.json|"
    rf"{CONVERSATIONS}/\d{{8}}T\d{{12}}-[0-9a-f]{{6}}\.(json|said|draft)",
    re.ASCII,
)

Stop = Callable[[], bool]
Progress = Callable[[int, int | None, str], None]
Unlock = Callable[[Path, bytes], Key]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: of which library, when it was made, its files, their bytes, and the digest of all."""

    library: str
    made: str
    encrypted: bool
    files: int
    bytes: int
    sha256: str


def check(file: Path, unlock: Unlock, *, stop: Stop = lambda: False) -> Backup:
    """Read a backup whole, and write nothing.

    Raises:
        UsageError: it is no backup.
        SealBroken, VaultDamaged: it was changed, or cut short.
    """
    with opened(file, lambda ring: unlock(file, ring)) as (body, _, _):
        return read(body, stop, lambda path: None)


@contextmanager
def opened(file: Path, unlock: Callable[[bytes], Key]) -> Iterator[tuple[BinaryIO, bytes, Key | None]]:
    """The body of a backup, its ring and its key."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise UsageError(f"{str(file)!r} is no backup of localrag", "localrag backup NAME FILE makes one.")
        size = int.from_bytes(stream.read(4), "big")
        if size > LARGEST_RING:
            raise broken(file)
        ring = stream.read(size)
        if not ring:
            yield stream, ring, None
            return
        rings.from_json(ring)
        key = unlock(ring)
        rings.check(ring, key)
        if streams.sealed(stream) != key.id:
            raise broken(file)
        try:
            yield BufferedReader(streams.SealedReader(stream, key, NAME), streams.PIECE), ring, key
        except SealBroken:
            raise broken(file) from None


def first(said: dict[str, Any]) -> Backup:
    if said.get("localrag-backup") != 1 or said.get("schema") != SCHEMA:
        raise LibraryError(
            f"this backup is of version {said.get('localrag-backup')!r:.20} and schema {said.get('schema')!r:.20}; "
            f"this localrag reads 1 and {SCHEMA}",
            "Restore it with the localrag that made it.",
        )
    return Backup(check_name(str(said.get("library"))), str(said.get("made"))[:40], said.get("encrypted") is True,
                  0, 0, "")  # fmt: skip


def read(body: BinaryIO, stop: Stop, place: Callable[[str], Path | None]) -> Backup:
    """Read a body to its end; `place` says where each file goes, None for nowhere.

    Raises:
        SealBroken: it is not what was written.
    """
    digest = hashlib.sha256()
    about = first(line(body, digest))
    seen: set[str] = set()
    size = 0
    while True:
        before = digest.hexdigest()
        said = line(body, digest)
        if "end" in said:
            if said.get("end") != len(seen) or said.get("sha256") != before or body.read(1) or DATABASE not in seen:
                raise broken()
            return Backup(about.library, about.made, about.encrypted, len(seen), size, before)
        path, length = said.get("path"), said.get("size")
        fits = isinstance(path, str) and FILES.fullmatch(path) and path not in seen and len(seen) < _MOST_FILES
        if not fits or type(length) is not int or length < 0:
            raise broken()
        assert isinstance(path, str)
        seen.add(path)
        size += length
        target = place(path)
        if target is None:
            for piece in pieces(body, length, stop):
                digest.update(piece)
        else:
            with storage.create(target, durable=False, plain=True) as out:
                for piece in pieces(body, length, stop):
                    digest.update(piece)
                    out.write(piece)


def line(body: BinaryIO, digest: Any = None) -> dict[str, Any]:
    line = body.readline(_LONGEST_LINE)
    if digest is not None:
        digest.update(line)
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not line.endswith(b"\n"):
        raise broken()
    return said


def pieces(body: BinaryIO, length: int, stop: Stop) -> Iterator[bytes]:
    while length:
        go_on(stop)
        piece = body.read(min(PIECE, length))
        if not piece:
            raise broken()
        length -= len(piece)
        yield piece


def broken(file: Path | None = None) -> SealBroken:
    what = "the backup" if file is None else repr(str(file))
    return SealBroken(f"{what} is not what was written: it was changed or cut short", "Take another copy of it.")


def go_on(stop: Stop) -> None:
    if stop():
        raise Cancelled("stopped; nothing was changed", "The same command begins again.")
