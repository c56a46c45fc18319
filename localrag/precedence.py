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
from typing import TYPE_CHECKING

from localrag import vault
from localrag.errors import StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOOK_AGAIN = 0.2
# Who asks without a pause, or left a question suspended, makes an ingest slow and does not end it.
_LONGEST = 120.0
_TRIES = 5


@contextmanager
def asking(folder: Path) -> Iterator[None]:
    """Hold back every ingest on this machine that looks at `folder`, until the block ends."""
    lock = _marked(folder)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()
            _clear(Path(lock.lock_file))


def _marked(folder: Path) -> BaseFileLock | None:
    """A held mark; None on a full or read-only disk, which is no reason not to answer."""
    from filelock import FileLock, Timeout

    for _ in range(_TRIES):
        mark = folder / f"{uuid.uuid4().hex}.lock"
        lock = FileLock(mark, mode=0o600)
        try:
            vault.make_dir(folder)
            lock.acquire(timeout=0)
        except Timeout:
            continue  # between its making and its holding an ingest took it for one left behind
        except (OSError, StorageError):
            return None
        if mark.exists():
            return lock
        lock.release()
    return None


def give_way(folder: Path, stop: Callable[[], bool] = lambda: False) -> float:
    """Wait while a question is being answered, two minutes at the most; returns the seconds waited."""
    began = time.monotonic()
    while not stop() and any(_held(mark) for mark in folder.glob("*.lock")):
        if time.monotonic() - began > _LONGEST:
            break
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
