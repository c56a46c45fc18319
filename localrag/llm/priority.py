"""Who has the processor: a question first, then reading ahead of the person typing, then warming, then an ingest.

Whoever works holds a lock file with its rank for as long as it does, and whoever comes after it looks, between batches
or while the model computes, and waits while any of a better rank is held, also by another process. The system frees the
lock of a process that dies, and its file is cleared away by whoever finds it. Work that nobody asks beside pays one
look at a folder for each batch.
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

_LOOK_AGAIN = 0.2
# Who asks without a pause, or left a question suspended, makes an ingest slow and does not end it.
_LONGEST = 120.0
_TRIES = 5


class Rank(IntEnum):
    """What work there is, the most urgent first."""

    QUESTION = 0
    TYPING = 1
    WARMING = 2
    INGEST = 3


@contextmanager
def asking(folder: Path, rank: Rank = Rank.QUESTION) -> Iterator[None]:
    """Hold back all less urgent work on this machine that looks at `folder`, until the block ends."""
    lock = _marked(folder, rank)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
            _clear(Path(lock.lock_file))


def _marked(folder: Path, rank: Rank) -> BaseFileLock | None:
    """A held mark; None on a full or read-only disk, which is no reason not to answer."""
    from filelock import FileLock, Timeout

    for _ in range(_TRIES):
        mark = folder / f"{rank:d}-{uuid.uuid4().hex}.lock"
        lock = FileLock(mark, mode=0o600)
        try:
            storage.make_dir(folder)
            lock.acquire(timeout=0)
        except Timeout:
            continue  # between its making and its holding an ingest took it for one left behind
        except (OSError, StorageError):
            return None
        if mark.exists():
            return lock
        lock.release()
    return None


def give_way(folder: Path, stop: Callable[[], bool] = lambda: False, rank: Rank = Rank.INGEST) -> float:
    """Wait while more urgent work is under way, two minutes at the most; returns the seconds waited."""
    began = time.monotonic()
    while not stop() and wanted(folder, rank):
        if time.monotonic() - began > _LONGEST:
            break
        time.sleep(_LOOK_AGAIN)
    return time.monotonic() - began


def wanted(folder: Path, rank: Rank) -> bool:
    """Whether more urgent work than that of `rank` is under way."""
    return any(_rank(mark) < rank and _held(mark) for mark in folder.glob("*.lock"))


def watch(folder: Path, rank: Rank) -> Callable[[], bool]:
    """`wanted`, to be asked as often as one likes: a model asks before every operation, and looking takes longer."""
    seen, looked = False, -_LOOK_AGAIN

    def look() -> bool:
        nonlocal seen, looked
        if not seen and time.monotonic() - looked >= _LOOK_AGAIN:
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
    # Whoever held it is gone.
    lock.release()
    _clear(mark)
    return False


def _clear(mark: Path) -> None:
    with suppress(OSError, StorageError):
        storage.remove(mark)
