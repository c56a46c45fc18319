"""The one file that decides what reaches the disk, and in what form.

Every persistent write of localrag goes through here (a test holds it): databases, vectors, kept model states,
sessions, the audit record, models. Today all of it is written in clear; encryption is turned on here, not in
the callers. Files are created 0600 and folders 0700 whatever the umask says. Replacing writes are atomic: a
crash leaves the old file or the new one. The disk's own cache and copies made by backups are beyond it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import LibraryLocked, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_UNWRITABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EIO,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
}
_PARTIAL = ".partial"
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn failures of the disk at `path` into a StorageError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise _full(path) from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            raise StorageError(f"cannot write {str(path)!r}: {error}", "Check the disk and its rights.") from error
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise _full(path) from error
        if error.errno in _UNWRITABLE:
            raise StorageError(
                f"cannot write {str(path)!r}: {error.strerror}",
                "Check the rights of the folder, or set LOCALRAG_HOME to one you may write to.",
            ) from error
        raise


def _full(path: Path) -> StorageError:
    return StorageError(
        f"the disk that holds {str(path)!r} is full",
        "Free some space and run the same command again: it goes on where it stopped.",
    )


def make_dir(path: Path) -> Path:
    """Create a folder (and its parents), open to its owner only; an existing one is left as it is."""
    with storage_errors(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):  # mkdir(parents=True) would give its mode to the last one only
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is not a folder", str(path))
    return path


def _open(path: Path, flags: int) -> int:
    """A descriptor of a file for its owner only, also where the umask would take the owner's own rights."""
    new = not path.exists()
    descriptor = os.open(path, flags | os.O_CREAT | _BINARY, 0o600)
    if new and hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return descriptor


@contextmanager
def create(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a file as a stream; it takes its name only when the block ends without an error.

    Without `durable` it is left to the system when its bytes reach the disk: for what is checked when it is read, and
    can be made again.
    """
    make_dir(path.parent)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{_PARTIAL}")
    try:
        with storage_errors(path):
            with os.fdopen(_open(partial, os.O_WRONLY | os.O_EXCL), "wb") as stream:
                yield stream
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Replace a file's content atomically."""
    with create(path) as stream:
        stream.write(data)


def write_json(path: Path, value: Any) -> None:
    """Replace a file's content by `value` as readable JSON, atomically."""
    # File names that are not UTF-8 travel as surrogates; `json.loads` reads them back from these bytes.
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "surrogatepass") + b"\n")


def append_line(path: Path, line: str) -> None:
    """Add one line to a file, on the disk before this returns."""
    make_dir(path.parent)
    with storage_errors(path), os.fdopen(_open(path, os.O_WRONLY | os.O_APPEND), "ab") as stream:
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_bytes(path: Path) -> bytes:
    """Read back what `write_bytes` wrote."""
    return path.read_bytes()


@contextmanager
def open_stream(path: Path) -> Iterator[BufferedReader]:
    """Read back in pieces what `create` wrote: for files that should not lie in memory twice."""
    with path.open("rb") as stream:
        yield stream


def move(source: Path, target: Path) -> None:
    """Move a file or folder within localrag's own folders."""
    make_dir(target.parent)
    with storage_errors(target):
        source.replace(target)


def remove(path: Path) -> None:
    """Delete a file or a whole folder; nothing happens where there is none."""
    with storage_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path, idle: float = 0) -> None:
    """Delete what an interrupted `create` left in a folder and nobody wrote to for `idle` seconds.

    Without a lock of the folder, a `create` of another process may be under way: give it time, or expect it to fail.
    """
    for leftover in folder.glob(f"*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime >= idle:
                remove(leftover)


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """Open a database: rows by name, foreign keys held, deleted content overwritten.

    A reader opens without the right to write. With `write`, the file is created where it is missing, and the
    caller begins and ends transactions itself.
    """
    if write:
        make_dir(path.parent)
    with storage_errors(path):
        if write and not path.exists():
            os.close(_open(path, os.O_WRONLY))
        mode = "rw" if write else "ro"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            _prepare(connection, write)
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, write: bool) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    if write:
        # A reader sees the last committed state while a writer works; FULL survives a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")


@contextmanager
def lock(path: Path, what: str, *, wait: bool = True, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes; it is freed by the system when its holder dies.

    Args:
        path: the lock's file; a second file beside it names the holder.
        what: what is locked, for the message.
        wait: whether to wait for the holder to finish.
        on_wait: called once with a message when waiting begins.

    Raises:
        LibraryLocked: another process holds it and `wait` is False.
    """
    from filelock import FileLock, Timeout

    make_dir(path.parent)
    holder = path.with_suffix(".holder")
    guard = FileLock(path, mode=0o600)
    with storage_errors(path):
        try:
            guard.acquire(timeout=0)
        except Timeout:
            who = _holder(holder)
            if not wait:
                raise LibraryLocked(
                    f"{what} is being written by {who}",
                    "Wait for it to finish, or leave out --no-wait to queue.",
                ) from None
            if on_wait is not None:
                on_wait(f"{what} is being written by {who}; waiting for it to finish")
            while True:  # short waits, so that Ctrl-C is heard
                try:
                    guard.acquire(timeout=0.5)
                    break
                except Timeout:
                    continue
    try:
        with suppress(StorageError):  # deleting needs the lock too, and must work on a full disk
            write_bytes(holder, str(os.getpid()).encode())
        yield
    finally:
        holder.unlink(missing_ok=True)
        guard.release()


def _holder(path: Path) -> str:
    try:
        return f"process {path.read_text().strip()}"
    except OSError:
        return "another process"
