"""Who may use the processor: questions first, then reading ahead while a person types, then warming, then ingest.

A process holds a lock file with its rank while it works. Lower ranks look for such files between batches, also of other
processes, and wait. The system frees the lock of a process that dies; the next one to find its file deletes it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.errors import StorageError
from localrag.security import storage

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL_SECONDS = 0.2
# Endless or suspended questions slow an ingest down, but do not stop it.
_MAX_WAIT = 120.0
_TRIES = 5


class Rank(IntEnum):
    """Kinds of work, the most urgent first."""

    QUESTION = 0
    TYPING = 1
    WARMING = 2
    INGEST = 3


@contextmanager
def asking(folder: Path, rank: Rank = Rank.QUESTION) -> Iterator[None]:
    """Hold back less urgent work on this machine that looks at `folder`, until the block ends."""
    lock = _marked(folder, rank)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
            _clear(Path(lock.lock_file))


def _marked(folder: Path, rank: Rank) -> BaseFileLock | None:
    """Return a held mark; None on a full or read-only disk, which must not prevent an answer."""
    from filelock import FileLock, Timeout

    for _ in range(_TRIES):
        mark = folder / f"{rank:d}-{uuid.uuid4().hex}.lock"
        lock = FileLock(mark, mode=0o600)
        try:
            storage.make_dir(folder)
            lock.acquire(timeout=0)
        except Timeout:
            continue  # an ingest took it for a leftover before it was held
        except (OSError, StorageError):
            return None
        if mark.exists():
            return lock
        lock.release()
    return None


def give_way(folder: Path, stop: Callable[[], bool] = lambda: False, rank: Rank = Rank.INGEST) -> float:
    """Wait while more urgent work runs, at most two minutes; return the seconds waited."""
    began = time.monotonic()
    while not stop() and wanted(folder, rank) and time.monotonic() - began <= _MAX_WAIT:
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def wanted(folder: Path, rank: Rank) -> bool:
    """Return whether work more urgent than `rank` runs."""
    return any(_rank(mark) < rank and _held(mark) for mark in folder.glob("*.lock"))


def watch(folder: Path, rank: Rank) -> Callable[[], bool]:
    """Return a cheap form of `wanted` for frequent calls: a model polls before every operation."""
    seen, looked = False, -_POLL_SECONDS

    def look() -> bool:
        nonlocal seen, looked
        if not seen and time.monotonic() - looked >= _POLL_SECONDS:
            seen, looked = wanted(folder, rank), time.monotonic()
        return seen

    return look


def _rank(mark: Path) -> int:
    first = mark.name.partition("-")[0]
    return int(first) if first.isdigit() and len(first) == 1 else Rank.QUESTION


def _held(mark: Path) -> bool:
    from filelock import FileLock, Timeout

    lock = FileLock(mark, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    _clear(mark)
    return False


def _clear(mark: Path) -> None:
    with suppress(OSError, StorageError):
        storage.remove(mark)
