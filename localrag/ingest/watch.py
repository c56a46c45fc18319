"""Tell when something changes below a folder (watchfiles, on the system's own notifications).

On network shares the system is told of nothing that other machines do, and it follows only so many folders; so the
folder is looked at every minute as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.store.names import is_own

if TYPE_CHECKING:
    from watchfiles import Change

# Programs write a file in several steps; what comes within this many milliseconds is one change.
_SETTLED_MS = 1_600
_LOOK_AGAIN = 60.0


def changes(
    folder: Path, stop: Callable[[], bool], on_blind: Callable[[str], None] = lambda reason: None
) -> Iterator[None]:
    """Something below the folder may have changed since the last time; ends when `stop` says so.

    Args:
        on_blind: told once, where the system tells nothing and the folder is only looked at every minute.
    """
    from watchfiles import DefaultFilter

    matters = DefaultFilter()
    looked = time.monotonic()
    for seen in _told(folder, on_blind):
        if stop():
            return
        told = any(matters(*change) and not _ours(Path(change[1]), folder) for change in seen)
        if told or time.monotonic() - looked > _LOOK_AGAIN:
            yield
            looked = time.monotonic()


def _ours(path: Path, folder: Path) -> bool:
    """Whether a change is localrag's own: what it writes to a library below the folder is no reason to read that."""
    root = folder.resolve()
    return any(is_own(each) for each in path.resolve().parents if each != root and each.is_relative_to(root))


def _told(folder: Path, on_blind: Callable[[str], None]) -> Iterator[set[tuple[Change, str]]]:
    """What the system tells, and twice a second nothing, so that Ctrl-C and shares are seen to."""
    from watchfiles import watch

    ended = threading.Event()
    try:
        # Filtered by the caller: what a filter swallows here does not even come as a time-out.
        yield from watch(
            folder, watch_filter=None, debounce=_SETTLED_MS, step=200, rust_timeout=500, yield_on_timeout=True,
            raise_interrupt=False, stop_event=ended, ignore_permission_denied=True,
        )  # fmt: skip
    except (OSError, RuntimeError) as error:
        on_blind(" ".join(str(error).split()))
        while True:
            time.sleep(0.5)
            yield set()
    finally:
        ended.set()
