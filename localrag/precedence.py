"""When a question and an ingest both want the processor, the question comes first, also from another process.

A question holds a lock file of its own for as long as it is being answered; an ingest looks between its batches and
waits while any is held. The system frees the lock of a process that dies, and its file is cleared away by whoever
finds it. An ingest that nobody asks beside pays one look at a folder for each batch.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localrag import vault
from localrag.errors import StorageError

_LOOK_AGAIN = 0.2


@contextmanager
def asking(folder: Path) -> Iterator[None]:
    """Hold back every ingest on this machine that looks at `folder`, until the block ends."""
    from filelock import FileLock

    mark = folder / f"{uuid.uuid4().hex}.lock"
    lock = FileLock(mark, mode=0o600)
    try:
        vault.make_dir(folder)
        lock.acquire(timeout=0)
    except (OSError, StorageError):
        yield  # a full or read-only disk is no reason not to answer
        return
    try:
        yield
    finally:
        lock.release()
        _clear(mark)


def give_way(folder: Path, stop: Callable[[], bool] = lambda: False) -> float:
    """Wait while a question is being answered; returns the seconds waited."""
    began = time.monotonic()
    while not stop() and any(_held(mark) for mark in folder.glob("*.lock")):
        time.sleep(_LOOK_AGAIN)
    return time.monotonic() - began


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
        vault.remove(mark)
