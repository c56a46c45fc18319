"""Every persistent write of localrag: databases, vectors, prompt caches, conversations, records, models.

In an encrypted folder everything is encrypted: databases by SQLCipher, other files by `encryption.unlocked`. Files that
can be rebuilt (vectors, prompt caches) have a key each, which is destroyed with them. Files are made 0600 and folders
0700. Writes that replace a file are atomic. Names and sizes are not hidden; the disk's cache and backups are beyond it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from localrag.errors import Cancelled, IntegrityError, LibraryLocked, StorageError, UsageError
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key

# The engine is SQLCipher, also for databases in clear: without a key it is SQLite, as fast.
if TYPE_CHECKING:  # it has no types of its own, and the interface of Python's module
    import sqlite3 as sqlite3
else:
    from sqlcipher3 import dbapi2 as sqlite3

LINES_SUFFIX = ".jsonl"  # files that are only appended to; each line is encrypted by itself
REBUILDABLE = (".state", ".index")  # suffixes of files with a key each
_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
_UNWRITABLE |= {errno.ENAMETOOLONG, errno.EBUSY, errno.EINVAL}
_PATIENCE = 30.0  # seconds to wait for another process's transaction
_PARTIAL = ".partial"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
_PLAIN_DATABASE = b"SQLite format 3\0"
# Fewer, larger pages are decrypted faster: a whole library is read in 0.7 of the time that 4,096 bytes take.
_CIPHER_PAGE = 16_384


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn failures of the disk at `path` into a StorageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        number, code = getattr(error, "errno", None), getattr(error, "sqlite_errorcode", 0)
        if number in _FULL or code == sqlite3.SQLITE_FULL:
            hint = "Free some space and run the same command again: it resumes where it stopped."
            raise StorageError(f"the disk that holds {str(path)!r} is full", hint) from error
        if number in _UNWRITABLE or code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            hint = (
                "Check the disk and the rights of the folder, or use another one (LOCALRAG_HOME names localrag's own)."
            )
            message = f"cannot write {str(path)!r}: {getattr(error, 'strerror', None) or error}"
            raise StorageError(message, hint) from error
        raise


def make_dir(path: Path) -> Path:
    """Make a folder and its parents, for their owner only. An existing folder keeps its rights."""
    with storage_errors(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):  # mkdir(parents=True) would give its mode to the last one only
            folder.mkdir(mode=0o700, exist_ok=True)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(path))
    return path


def check_own(folder: Path) -> None:
    """Raise UsageError if a folder is another user's, or others could replace what is in it."""
    try:
        facts = folder.stat()
    except OSError as error:
        raise UsageError(f"cannot use the folder {str(folder)!r}: {error.strerror}", "Make it first.") from None
    others = stat.S_IWGRP | stat.S_IWOTH
    if sys.platform != "win32" and (facts.st_uid != os.geteuid() or facts.st_mode & others):
        hint = "Choose a folder of your own, such as one in your home."
        raise UsageError(f"others can write in the folder {str(folder)!r}", hint)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CREAT | _BINARY, 0o600)
    except FileNotFoundError as error:  # in /proc, say, though the folder is there
        raise OSError(errno.EROFS, "no file can be created there", str(path)) from error


@contextmanager
def create(path: Path, *, durable: bool = True, plain: bool = False) -> Iterator[BinaryIO]:
    """Write a file as a stream. It takes its name when the block ends without an error.

    `durable` waits until it is on the disk, which files need not that can be rebuilt. `plain` never encrypts it, for
    content that reveals nothing of the documents. Raises KeyRequired if the key of its folder is not here.
    """
    held = None if plain else unlocked.keys_for(path)
    make_dir(path.parent)
    key, useless = held.key if held is not None else None, None
    if key is not None and path.suffix in REBUILDABLE:
        key = Key.new()
        if useless := unlocked.key_file(path, key.id):
            write_bytes(useless, key.secret)  # on the disk before anything is encrypted with it
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")
    try:
        with storage_errors(path):
            with os.fdopen(_open(partial, os.O_WRONLY | os.O_EXCL), "wb") as stream:
                if key is None:
                    yield stream
                else:
                    writer = unlocked.EncryptedWriter(stream, key, path.name)
                    yield cast(BinaryIO, writer)
                    writer.finish()
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            before = unlocked.key_file_of(path)
            # An encryption that begins later deletes this file, or finds it under its name and encrypts it.
            if key is None and not plain and unlocked.encrypted_folder(path):
                raise StorageError(f"{str(path.parent)!r} was encrypted meanwhile", "Try again.")
            partial.replace(path)
            useless = before  # the replaced file's key, no longer the new one
    finally:
        partial.unlink(missing_ok=True)
        destroy(useless)


@contextmanager
def create_new(path: Path) -> Iterator[BinaryIO]:
    """Write a file of a person's as a stream, in clear. Raises FileExistsError if there is one of its name already.

    The name is taken before anything is written; nothing is left of it where the block fails.
    """
    os.close(_open(path, os.O_WRONLY | os.O_EXCL))
    try:
        with create(path, plain=True) as stream:
            yield stream
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def check_target(path: Path) -> None:
    """Refuse a path at which no file can be written or replaced, before long work is done for it."""
    if not path.absolute().parent.is_dir():
        raise StorageError(f"there is no folder {str(path.parent)!r}", "Create it first, or give another path.")
    if path.exists() and not path.is_file():
        raise StorageError(f"{str(path)!r} is no file that can be replaced", "Give the name of a new file.")
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")
    with storage_errors(path):
        os.close(_open(probe, os.O_WRONLY | os.O_EXCL))
        probe.unlink()


def write_bytes(path: Path, data: bytes | memoryview, *, plain: bool = False) -> None:
    """Replace a file's content atomically; see `create`."""
    with create(path, plain=plain) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Replace a file's content by readable JSON, atomically."""
    # File names that are not UTF-8 hold surrogates; `json.loads` reads them back from these bytes.
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n")


def append_line(path: Path, line: str, *, on_new_line: bool = False) -> None:
    """Append a line to a file, on the disk before this returns; `on_new_line` first ends one that was cut short."""
    held = unlocked.keys_for(path)
    make_dir(path.parent)
    data = line.encode("utf-8", "backslashreplace")  # half a character is valid JSON only when escaped
    if held is not None and data:
        data = unlocked.encrypt_line(held.key, path.name, data)
    with storage_errors(path), os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND), "ab") as stream:
        stream.write(b"\n" * on_new_line + data + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def decrypt_line(path: Path, raw: bytes) -> bytes:
    """Return a line that `append_line` wrote, without its line break. Raises as `open_stream`."""
    held = unlocked.keys_for(path)
    if held is None or not raw:
        return raw
    for key in filter(None, (held.key, held.former)):
        with suppress(IntegrityError):
            return unlocked.decrypt_line(key, path.name, raw)
    if held.plain:
        return raw
    raise IntegrityError(f"a line of {str(path)!r} is not what was written", "Restore the file from a backup.")


def read_bytes(path: Path) -> bytes:
    """Read what `write_bytes` wrote; raises as `open_stream`."""
    with open_stream(path) as stream:
        return stream.read()


@contextmanager
def open_stream(path: Path) -> Iterator[BufferedReader]:
    """Read in pieces what `create` wrote, for files too large to hold twice in memory.

    Raises KeyRequired if its key is not here; IntegrityError, also while reading, if it is not what was written.
    """
    with path.open("rb") as stream:
        held = unlocked.keys_for(path)
        key = None if held is None else _key_of(stream, held, path)
        if key is None:
            stream.seek(0)
            yield stream
        else:
            yield BufferedReader(unlocked.EncryptedReader(stream, key, path.name), unlocked.PIECE)


def size(path: Path) -> int:
    """The number of bytes that `open_stream` gives."""
    whole = path.stat().st_size
    with path.open("rb") as stream:
        return whole if unlocked.key_id(stream) is None else unlocked.content_size(whole)


def _key_of(stream: BinaryIO, held: unlocked.FolderKeys, path: Path) -> Key | None:
    """The key of an open file, after reading its head; None if it is in clear and may be."""
    key_id = unlocked.key_id(stream)
    key = held.of(key_id) if key_id is not None else None
    if key is None and key_id is not None and (file := unlocked.key_file(path, key_id)) and file.is_file():
        key = Key(read_bytes(file))
    if key is None and (key_id is not None or not held.plain):
        raise IntegrityError(
            f"{str(path)!r} is not encrypted with the key of its folder",
            "Somebody else put it there. Restore it from a backup, or delete it.",
        )
    return key


def destroy(file: Path | None) -> None:
    """Delete a key file, if any. It is overwritten first, which works on file systems that write in place."""
    if file is not None:
        with suppress(FileNotFoundError), storage_errors(file):
            with file.open("r+b") as stream:
                stream.write(bytes(file.stat().st_size))
                stream.flush()
                os.fsync(stream.fileno())
            file.unlink()


def move(source: Path, target: Path) -> None:
    """Move a file or folder within localrag's own folders."""
    make_dir(target.parent)
    with storage_errors(target):
        source.replace(target)


def link(path: Path, target: Path) -> None:
    """Make a symbolic link to a folder."""
    with storage_errors(path):
        path.symlink_to(target, target_is_directory=True)


def remove(path: Path) -> None:
    """Delete a file or a folder, keys first; a missing one is ignored."""
    with storage_errors(path):
        if path.is_dir() and not path.is_symlink():
            for file in path.rglob("*"):
                destroy(unlocked.key_file_of(file))
            for file in path.rglob(keyrings.FILE):
                destroy(file)
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():  # somebody wrote into it meanwhile
                shutil.rmtree(path)
        else:
            destroy(unlocked.key_file_of(path))
            path.unlink(missing_ok=True)


def sweep(folder: Path, idle: float = 0) -> None:
    """Delete what interrupted `create` calls left in a folder, unless written to in the last `idle` seconds.

    Without a lock on the folder, another process may be in a `create`: give it time, or expect it to fail.
    """
    for leftover in folder.glob(f"*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime >= idle:
                remove(leftover)


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open a database: rows by name, foreign keys enforced, deleted content overwritten.

    With `write`, a missing file is made, and the caller begins and ends transactions. Raises KeyRequired, or
    sqlite3.DatabaseError if it is not a database under the key of its folder.
    """
    held = unlocked.keys_for(path)
    if write:
        make_dir(path.parent)
    with storage_errors(path):
        if write and not path.exists():
            os.close(_open(path, os.O_WRONLY))
        if held is None or (held.plain and is_plain(path)):
            return _connected(path, write, None)
        try:
            return _connected(path, write, held.key)
        except sqlite3.DatabaseError:
            if held.former is None:
                raise
            return _connected(path, write, held.former)


def connect_unchanging(path: Path, key: Key | None) -> sqlite3.Connection:
    """Open a database that nobody changes, under a key or in clear: without a lock, a journal, or any other file."""
    return _connected(path, False, key, "&immutable=1")


def is_database(path: Path) -> bool:
    """True if a file is named like a database; an encrypted one looks like random bytes."""
    return path.suffix == ".db"


def is_plain(path: Path) -> bool:
    """True if a database is in clear."""
    with path.open("rb") as stream:
        return stream.read(len(_PLAIN_DATABASE)) == _PLAIN_DATABASE


def _connected(path: Path, write: bool, key: Key | None, more: str = "") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}{more}"
    connection = sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA cipher_log_level = NONE")  # a wrong key raises, and need not write on stderr as well
        if key is not None:
            connection.execute(f'PRAGMA key = "{_raw_key(key)}"')
            connection.execute(f"PRAGMA cipher_page_size = {_CIPHER_PAGE}")
            connection.execute("SELECT count(*) FROM sqlite_master")
        connection.row_factory = sqlite3.Row
        # The file's own schema calls no function with side effects, and damaged pages are detected.
        pragmas = [
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "cell_size_check = ON",
            *["query_only = ON"] * bool(more),
        ]
        if write:
            # Readers see the last committed state while a writer works; FULL survives a power cut.
            pragmas += ["journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"]
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _raw_key(key: Key) -> str:
    """A key in the form that SQLCipher uses without stretching it."""
    return f"x'{key.derive('database').hex()}'"


def let_others_read(folder: Path) -> None:
    """Give what is in a folder the rights of files that are not localrag's own, and wait until it is on the disk."""
    os.umask(mask := os.umask(0o077))
    with storage_errors(folder):
        for path in (folder, *folder.rglob("*")):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
            if path.is_file():
                with path.open("rb+") as stream:
                    os.fsync(stream.fileno())


def rekey(path: Path, *, stop: Callable[[], bool] = lambda: False) -> bool:
    """Rewrite a database, of which the caller holds the lock, under its folder's key; False if it already is.

    Raises LibraryLocked if somebody is reading from it; Cancelled if `stop` returned True; the old database stays.
    """
    held = unlocked.keys_for(path)
    if held is None or _is_under(path, held.key):
        return False
    source = connect(path, write=True)
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")
    try:
        with storage_errors(path):
            # Nothing may stay in the log: it would be lost, or be replayed over the new database.
            if source.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise LibraryLocked(f"somebody is reading {str(path)!r}", "Close what uses it, and try again.")
            os.close(_open(fresh, os.O_WRONLY))
            _export(source, fresh, held.key, stop)
            source.close()
            # Set the journal mode of libraries now: it cannot be changed while somebody reads.
            _connected(fresh, True, held.key).close()
            with fresh.open("rb+") as stream:
                os.fsync(stream.fileno())
            fresh.replace(path)
    finally:
        source.close()
        fresh.unlink(missing_ok=True)
    return True


def _export(source: sqlite3.Connection, fresh: Path, key: Key, stop: Callable[[], bool]) -> None:
    source.execute("ATTACH DATABASE ? AS fresh KEY ?", (str(fresh), _raw_key(key)))
    source.execute(f"PRAGMA fresh.cipher_page_size = {_CIPHER_PAGE}")
    source.set_progress_handler(stop, 100_000)
    try:
        source.execute("SELECT sqlcipher_export('fresh')")
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise Cancelled("stopped; the database is unchanged", "The same command resumes.") from None
        raise
    finally:
        source.set_progress_handler(None, 0)
    source.execute("DETACH DATABASE fresh")


def _is_under(path: Path, key: Key) -> bool:
    with suppress(sqlite3.DatabaseError):
        if not is_plain(path):
            _connected(path, False, key).close()
            return True
    return False


def touch(path: Path, times: tuple[int, int] | None = None) -> None:
    """Set the times of a file (of last use and change, in ns) to these or to now.

    By an open file: a confined process may not set times by a path.
    """
    with path.open("rb") as stream:
        place = stream.fileno() if os.utime in os.supports_fd else path
        os.utime(place) if times is None else os.utime(place, ns=times)


def reencrypt(path: Path) -> bool:
    """Rewrite a file under the key of its folder; False if it already is."""
    held = unlocked.keys_for(path)
    if held is None:
        return False
    if path.suffix == LINES_SUFFIX:
        with lock(path.with_suffix(".lock"), "the audit record"):
            return _reencrypt_lines(path, held)
    own = unlocked.key_file_of(path)
    with (own or path).open("rb") as stream:
        if unlocked.key_id(stream) == held.key.id:
            return False
    stamp = path.stat()
    with open_stream(path) as old, create(path) as new:
        shutil.copyfileobj(old, new, unlocked.PIECE)
    touch(path, (stamp.st_atime_ns, stamp.st_mtime_ns))
    return True


def _reencrypt_lines(path: Path, held: unlocked.FolderKeys) -> bool:
    changed = False
    with path.open("rb") as old, create(path, plain=True) as new:
        for raw in old:
            line, end = raw.rstrip(b"\n"), b"\n" * raw.endswith(b"\n")
            with suppress(IntegrityError):
                unlocked.decrypt_line(held.key, path.name, line)
                new.write(raw)
                continue
            changed = True
            with suppress(IntegrityError):  # a torn line cannot be decrypted, and reveals nothing
                line = unlocked.encrypt_line(held.key, path.name, decrypt_line(path, line)) if line else line
            new.write(line + end)
    return changed


@contextmanager
def lock(path: Path, what: str, *, wait: bool = True, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes, which the system frees when its holder dies; a file beside it names the holder.

    `what` is locked, for messages; `on_wait` is called with one when waiting begins. Without `wait`, raises
    LibraryLocked if another process holds it.
    """
    from filelock import FileLock, Timeout

    make_dir(path.parent)
    holder = path.with_suffix(".holder")
    guard = FileLock(path, mode=0o600)
    with storage_errors(path):
        try:
            guard.acquire(timeout=0)
        except Timeout:
            who = "another process"
            with suppress(OSError):
                who = f"process {holder.read_text(encoding='utf-8').strip()}"
            message = f"{what} is being written by {who}"
            if not wait:
                raise LibraryLocked(message, "Wait for it to finish, or leave out --no-wait to queue.") from None
            if on_wait is not None:
                on_wait(f"{message}; waiting for it to finish")
            while not guard.is_locked:  # short waits, so that Ctrl-C works
                with suppress(Timeout):
                    guard.acquire(timeout=0.5)
    try:
        # Deleting needs the lock too, and must work on a full disk; and a sweep of the folder may delete this note.
        with suppress(StorageError, FileNotFoundError):
            write_bytes(holder, str(os.getpid()).encode(), plain=True)
        yield
    finally:
        holder.unlink(missing_ok=True)
        guard.release()
