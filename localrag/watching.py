"""Tell when something changes below a folder (watchfiles, on the system's own notifications).

On network shares the system is told of nothing that other machines do; there the folder is looked at every minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Programs write a file in several steps; what comes within this many milliseconds is one change.
_SETTLED_MS = 1_600
_LOOK_AGAIN = 60.0


def changes(folder: Path, stop: Callable[[], bool]) -> Iterator[None]:
    """Something below the folder may have changed since the last time; ends when `stop` says so."""
    from watchfiles import watch

    ended = threading.Event()
    looked = time.monotonic()
    # `watch` is told by time-outs as well, so that Ctrl-C and shares are seen to.
    found = watch(
        folder, debounce=_SETTLED_MS, step=200, rust_timeout=500, yield_on_timeout=True, raise_interrupt=False,
        stop_event=ended,
    )  # fmt: skip
    try:
        for seen in found:
            if stop():
                return
            if seen or time.monotonic() - looked > _LOOK_AGAIN:
                yield
                looked = time.monotonic()
    finally:
        ended.set()
