"""Write a library to one file, and read such a file: database, conversations, reviews, audit record.

    "localrag-backup-1\\n" | length of the keyring (4 bytes) | keyring (JSON as vault.json, empty if in clear) | body

The body, encrypted under the library's own key or a new one for the recipients, holds a JSON line about the library,
each file as a JSON line with path and size and its bytes, and a last line with their number and SHA-256. What can be
rebuilt is left out. A backup is read back whole before it takes its name. Limits: a backup in clear detects accidental
damage, not tampering; its size and holders are visible to all; it keeps documents that are forgotten later.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from localrag import policy
from localrag.errors import Cancelled, IntegrityError, LibraryError, UsageError
from localrag.security import audit, storage
from localrag.security.audit import LISTS_FOLDER as LISTS
from localrag.security.audit import WORDS_FOLDER as WORDS
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, Recipients
from localrag.sessions.session_store import FOLDER as CONVERSATIONS
from localrag.settings import Settings
from localrag.store.library import open_library
from localrag.store.names import DATABASE, SCHEMA, check_in_folder, check_name
from localrag.store.reviews import FOLDER as REVIEWS

MAGIC = b"localrag-backup-1\n"
NAME = "backup"  # what the stream is bound to, so that the file may be renamed
RECORD = ("audit.jsonl", "audit.key")
# The only paths that are written to a backup or read from one.
FILES = re.compile(
    rf"{re.escape(DATABASE)}|audit\.jsonl|audit\.key|({WORDS}|{LISTS})/\d{{1,12}}\.json|"
    rf"{CONVERSATIONS}/\d{{8}}T\d{{12}}-[0-9a-f]{{6}}\.(json|said|draft)|{REVIEWS}/([0-9a-f]{{16}}|runs)\.json",
    re.ASCII,
)
BLOCK = 1 << 20
_MAX_RING, _MAX_LINE, _MAX_FILES = 1 << 20, 1 << 12, 1_000_000
_PAGES_PER_STEP = 512

Stop = Callable[[], bool]
Progress = Callable[[int, int | None, str], None]
Unlock = Callable[[Path, bytes], Key]


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: its library, when it was made, the number of files, their bytes, and the digest of all."""

    library: str
    made: str
    encrypted: bool
    files: int
    bytes: int
    sha256: str


def write(
    settings: Settings,
    name: str,
    file: Path,
    recipients: Recipients | None = None,
    *,
    clear: bool = False,
    replace: bool = False,
    stop: Stop = lambda: False,
    progress: Progress = lambda done, total, words: None,
) -> Backup:
    """Write a library to a file, and read it back. `recipients` may open the backup of a library in clear.

    Raises UsageError if nobody is named who may open it, the file exists, or the library is being encrypted;
    PolicyRefused if the policy forbids exports; Cancelled if `stop` returned True, and then no file is left.
    """
    if file.exists() and not replace:
        raise UsageError(f"the file {str(file)!r} exists already", "Give another name, or add --replace.")
    policy.check_export("a backup")
    folder = settings.library_dir(name)
    check_in_folder(folder, "pg_dump backs it up")
    open_library(settings, name).close()
    keyring, key = _keyring_for(folder, recipients, clear)
    audit.record(settings.library_audit_file(name), "export", name, what="backup", written=str(file.absolute()))
    snapshot = folder / f"{DATABASE}.{uuid.uuid4().hex[:8]}.partial"  # after a kill, the next ingest sweeps it
    fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        progress(0, None, DATABASE)
        _snapshot(folder / DATABASE, snapshot, stop)
        about = {
            "localrag-backup": 1,
            "library": name,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "schema": SCHEMA,
            "encrypted": unlocked.encrypted_folder(folder) is not None,
        }
        with storage.create(fresh, plain=True) as stream:
            stream.write(MAGIC + len(keyring).to_bytes(4, "big") + keyring)
            sealing = unlocked.EncryptedWriter(stream, key, NAME) if key is not None else None
            sink = cast(BinaryIO, sealing or stream)
            digest = _write_body(sink, about, _members(folder, snapshot), stop, progress)
            if sealing is not None:
                sealing.finish()
        progress(0, None, "reading it back")
        found = check(fresh, lambda place, keyring: cast(Key, key), stop=stop)
        if found.sha256 != digest:
            raise IntegrityError(f"{str(file)!r} cannot be read back as it was written", "Check the disk.")
        if clear:  # `restore` recognises it by this
            audit.record(settings.audit_file, "export", name, what="backup", sha256=found.sha256)
        storage.move(fresh, file)
    finally:
        storage.remove(fresh)
        for suffix in ("", "-wal", "-shm"):
            storage.remove(snapshot.with_name(snapshot.name + suffix))
    return found


def _keyring_for(folder: Path, recipients: Recipients | None, clear: bool) -> tuple[bytes, Key | None]:
    held = unlocked.keys_for(folder / DATABASE)
    if held is not None:
        if held.former is not None or held.plain:
            raise UsageError(f"{folder.name!r} is being encrypted", "Finish that first: run the same command again.")
        if recipients is not None or clear:
            hint = "Leave out --encrypt, --encrypt-for and --clear; localrag vault status lists who may open it."
            raise UsageError(f"{folder.name!r} is encrypted, so its backup is too, under the same key", hint)
        return (folder / keyrings.FILE).read_bytes(), held.key
    if recipients is not None:
        key = Key.new()
        return keyrings.to_json(recipients.keyring(key), key), key
    if not clear:
        hint = "Give --encrypt for a passphrase, --encrypt-for for a public key or key file, or --clear."
        raise UsageError(f"nobody is named who may open the backup of {folder.name!r}", hint)
    return b"", None


def _snapshot(path: Path, target: Path, stop: Stop) -> None:
    """Copy a database as it is at one moment, under the same key, while others may write to it."""
    with closing(storage.connect(path)) as source, closing(storage.connect(target, write=True)) as copy:
        # One transaction over all steps, since a commit by another process would restart the copy.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with storage.storage_errors(target):
            source.backup(copy, pages=_PAGES_PER_STEP, progress=lambda status, left, total: check_stop(stop))
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _members(folder: Path, snapshot: Path) -> Iterator[tuple[str, Path | bytes]]:
    """The files of a backup by their paths in it, as they are on the disk."""
    yield DATABASE, snapshot
    record = folder / RECORD[0]
    if record.is_file():
        with storage.lock(record.with_suffix(".lock"), "the audit record"):
            yield from [(name, (folder / name).read_bytes()) for name in RECORD]
    for below in (CONVERSATIONS, REVIEWS, WORDS, LISTS):
        for path in sorted((folder / below).glob("*")):
            if FILES.fullmatch(inside := f"{below}/{path.name}"):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield inside, path.read_bytes()


def _write_body(
    sink: BinaryIO, about: dict[str, Any], members: Iterator[tuple[str, Path | bytes]], stop: Stop, progress: Progress
) -> str:
    """Write the body of a backup; return the digest of everything before the last line."""
    digest, files = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        check_stop(stop)
        digest.update(data)
        sink.write(data)

    write(json.dumps(about).encode() + b"\n")
    for path, source in members:
        progress(files, None, path)
        files += 1
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        write(json.dumps({"path": path, "size": size}).encode() + b"\n")
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            while block := stream.read(BLOCK):
                write(block)
    whole = digest.hexdigest()
    write(json.dumps({"end": files, "sha256": whole}).encode() + b"\n")
    return whole


def check(file: Path, unlock: Unlock, *, stop: Stop = lambda: False) -> Backup:
    """Read a backup whole, and write nothing. Raises UsageError, or IntegrityError if it was changed or cut short."""
    with opened(file, lambda keyring: unlock(file, keyring)) as (body, _, _):
        return read(body, stop, lambda path: None)


@contextmanager
def opened(file: Path, unlock: Callable[[bytes], Key]) -> Iterator[tuple[BinaryIO, bytes, Key | None]]:
    """The body of a backup, its keyring and its key."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise UsageError(f"{str(file)!r} is not a backup of localrag", "localrag backup NAME --out FILE makes one.")
        size = int.from_bytes(stream.read(4), "big")
        if size > _MAX_RING:
            raise broken(file)
        keyring = stream.read(size)
        if not keyring:
            yield stream, keyring, None
            return
        keyrings.from_json(keyring)
        key = unlock(keyring)
        keyrings.check(keyring, key)
        if unlocked.key_id(stream) != key.id:
            raise broken(file)
        try:
            yield BufferedReader(unlocked.EncryptedReader(stream, key, NAME), unlocked.PIECE), keyring, key
        except IntegrityError:
            raise broken(file) from None


def header(body: BinaryIO, digest: Any = None) -> Backup:
    """The first line of a body: what it says of itself."""
    value = _line(body, digest or hashlib.sha256())
    if value.get("localrag-backup") != 1 or value.get("schema") != SCHEMA:
        raise LibraryError(
            f"this backup has version {value.get('localrag-backup')!r:.20} and schema {value.get('schema')!r:.20}; "
            f"this localrag reads 1 and {SCHEMA}",
            "Restore it with the localrag that made it, or ingest the documents again.",
        )
    name, made = check_name(str(value.get("library"))), str(value.get("made"))[:40]
    return Backup(name, made, value.get("encrypted") is True, 0, 0, "")


def read(body: BinaryIO, stop: Stop, place: Callable[[str], Path | None]) -> Backup:
    """Read a body to its end, or raise IntegrityError; `place` returns where each file is written, None for nowhere."""
    digest = hashlib.sha256()
    about = header(body, digest)
    seen: set[str] = set()
    size = 0
    while True:
        before = digest.hexdigest()
        entry = _line(body, digest)
        if "end" in entry:
            if entry.get("end") != len(seen) or entry.get("sha256") != before or body.read(1) or DATABASE not in seen:
                raise broken()
            return Backup(about.library, about.made, about.encrypted, len(seen), size, before)
        path, length = entry.get("path"), entry.get("size")
        valid = isinstance(path, str) and FILES.fullmatch(path) and path not in seen and len(seen) < _MAX_FILES
        if not valid or type(length) is not int or length < 0:
            raise broken()
        assert isinstance(path, str)
        seen.add(path)
        size += length
        target = place(path)
        with nullcontext() if target is None else storage.create(target, durable=False, plain=True) as out:
            while length:
                check_stop(stop)
                if not (block := body.read(min(BLOCK, length))):
                    raise broken()
                length -= len(block)
                digest.update(block)
                if out is not None:
                    out.write(block)


def _line(body: BinaryIO, digest: Any) -> dict[str, Any]:
    line = body.readline(_MAX_LINE)
    digest.update(line)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not line.endswith(b"\n"):
        raise broken()
    return value


def broken(file: Path | None = None) -> IntegrityError:
    what = "the backup" if file is None else repr(str(file))
    return IntegrityError(f"{what} was changed or cut short", "Use another copy of it.")


def check_stop(stop: Stop) -> None:
    if stop():
        raise Cancelled("stopped; nothing was changed", "The same command starts over.")
