"""A library written to a backup."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

from localrag import policy
from localrag.errors import SealBroken, UsageError
from localrag.lifecycle.backup.container import FILES, MAGIC, NAME, PIECE, RECORD, Backup, Progress, Stop, check, go_on
from localrag.security import audit, storage
from localrag.security.audit.lists import FOLDER as LISTS
from localrag.security.audit.words import FOLDER as WORDS
from localrag.security.encryption import ring as rings
from localrag.security.encryption import streams, unlocked
from localrag.security.encryption.keys import Key
from localrag.security.encryption.parcels import Recipients
from localrag.sessions.store import FOLDER as CONVERSATIONS
from localrag.settings import Settings
from localrag.store import import_library
from localrag.store.schema import DATABASE, SCHEMA

_PAGES_AT_ONCE = 512


class _Sink(Protocol):
    def write(self, data: bytes, /) -> Any: ...


def write(
    settings: Settings, name: str, file: Path, recipients: Recipients | None = None, *, clear: bool = False,
    replace: bool = False, stop: Stop = lambda: False, progress: Progress = lambda done, total, words: None,
) -> Backup:  # fmt: skip
    """Write a library to a file, and read it back.

    Args:
        recipients: who may open it, of a library in clear.
        clear: nobody needs a key to read it.
        replace: a file that is there is replaced.

    Raises:
        UsageError: it is not said who may open it; the file is there; the library is just being encrypted.
        NotFoundError, LibraryError, StorageError: see there.
        PolicyRefused: the policy allows no exports.
        Cancelled: `stop` said so; no file was left.
    """
    if file.exists() and not replace:
        raise UsageError(f"there is a file {str(file)!r} already", "Give another name, or say --replace.")
    policy.check_export("a backup")
    import_library.open_library(settings, name).close()
    folder = settings.library_dir(name)
    ring, key = _ring_for(folder, recipients, clear)
    audit.record(settings.audit_of(name), "export", name, what="backup", written=str(file.absolute()))
    snapshot = folder / f"{DATABASE}.{uuid.uuid4().hex[:8]}.partial"  # what a kill leaves is swept by the next ingest
    fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        progress(0, None, DATABASE)
        _snapshot(folder / DATABASE, snapshot, stop)
        about = {"localrag-backup": 1, "library": name, "made": datetime.now(UTC).isoformat(timespec="seconds"),
                 "schema": SCHEMA, "encrypted": unlocked.sealed_folder(folder) is not None}  # fmt: skip
        with storage.create(fresh, plain=True) as stream:
            stream.write(MAGIC + len(ring).to_bytes(4, "big") + ring)
            sealing = streams.SealedWriter(stream, key, NAME) if key is not None else None
            body = _Body(cast(_Sink, sealing or stream), stop)
            body.line(about)
            for path, source in _carried(folder, snapshot):
                progress(body.files, None, path)
                body.file(path, source)
            body.end()
            if sealing is not None:
                sealing.finish()
        # Read back before it takes its name; a disk that lies shows it only later.
        progress(0, None, "reading it back")
        found = check(fresh, lambda place, ring: cast(Key, key), stop=stop)
        if found.sha256 != body.digest:
            raise SealBroken(f"{str(file)!r} cannot be read back as it was written", "Check the disk.")
        storage.move(fresh, file)
    finally:
        storage.remove(fresh)
        for each in ("", "-wal", "-shm"):
            storage.remove(snapshot.with_name(snapshot.name + each))
    return found


def _ring_for(folder: Path, recipients: Recipients | None, clear: bool) -> tuple[bytes, Key | None]:
    """The ring of a backup, and its key."""
    held = unlocked.held(folder / DATABASE)
    if held is not None:
        if held.former is not None or held.plain:
            raise UsageError(f"{folder.name!r} is just being encrypted", "End that first: the same command again.")
        if recipients is not None or clear:
            raise UsageError(
                f"{folder.name!r} is encrypted, and so is its backup, under the same key",
                "Leave out --encrypt, --encrypt-for and --clear; localrag vault status lists who may open it.",
            )
        return (folder / rings.FILE).read_bytes(), held.key
    if recipients is not None:
        key = Key.new()
        return rings.to_json(recipients.ring(key), key), key
    if not clear:
        raise UsageError(
            f"who may open the backup of {folder.name!r}?",
            "Give --encrypt for a passphrase, --encrypt-for a public key or key file, or --clear for a file in clear.",
        )
    return b"", None


def _snapshot(path: Path, target: Path, stop: Stop) -> None:
    """Copy a database as it is at one moment, under the same key, while others may write to it."""
    with closing(storage.connect(path)) as source, closing(storage.connect(target, write=True)) as copy:
        # One transaction over all steps: what others commit meanwhile does not begin it anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with storage.storage_errors(target):
            source.backup(copy, pages=_PAGES_AT_ONCE, progress=lambda status, left, total: go_on(stop))
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _carried(folder: Path, snapshot: Path) -> Iterator[tuple[str, Path | bytes]]:
    """The files of a library that are carried, by the paths they have in it; raw, as they lie."""
    yield DATABASE, snapshot
    record = folder / RECORD[0]
    if record.is_file():
        with storage.lock(record.with_suffix(".lock"), "the audit record"):
            both = [(each, (folder / each).read_bytes()) for each in RECORD]
        yield from both
    for below in (CONVERSATIONS, WORDS, LISTS):
        for path in sorted((folder / below).glob("*")):
            if FILES.fullmatch(inside := f"{below}/{path.name}"):
                with suppress(FileNotFoundError):  # it was deleted just now
                    yield inside, path.read_bytes()


class _Body:
    """The body of a backup as it is written; `digest` is of all before the last line."""

    def __init__(self, sink: _Sink, stop: Stop) -> None:
        self._sink, self._stop = sink, stop
        self._hash = hashlib.sha256()
        self.files = 0
        self.digest = ""

    def line(self, value: dict[str, Any]) -> None:
        self._write(json.dumps(value).encode() + b"\n")

    def file(self, path: str, source: Path | bytes) -> None:
        self.files += 1
        if isinstance(source, bytes):
            self.line({"path": path, "size": len(source)})
            self._write(source)
            return
        size = source.stat().st_size
        self.line({"path": path, "size": size})
        with source.open("rb") as stream:
            while piece := stream.read(PIECE):
                self._write(piece)

    def end(self) -> None:
        self.digest = self._hash.hexdigest()
        self.line({"end": self.files, "sha256": self.digest})

    def _write(self, data: bytes) -> None:
        go_on(self._stop)
        self._hash.update(data)
        self._sink.write(data)
