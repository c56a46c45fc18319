"""Notice changes below a folder, by the system's notifications (watchfiles).

Systems do not report what other machines change on network shares, and follow a limited number of folders, so a change
is assumed every minute as well.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.store.names import is_own

if TYPE_CHECKING:
    from watchfiles import Change

# Programs write a file in several steps; changes within this many milliseconds count as one.
_SETTLED_MS = 1_600
_LOOK_AGAIN = 60.0


def changes(
    folder: Path, stop: Callable[[], bool], on_blind: Callable[[str], None] = lambda reason: None
) -> Iterator[None]:
    """Yield whenever something below the folder may have changed; end when `stop` returns True.

    `on_blind` is called once with the reason if notifications do not work.
    """
    from watchfiles import DefaultFilter

    matters, root = DefaultFilter(), folder.resolve()

    def ours(path: Path) -> bool:  # in a library or data folder of localrag
        return any(is_own(each) for each in path.parents if each != root and each.is_relative_to(root))

    looked = time.monotonic()
    for seen in _notifications(folder, on_blind):
        if stop():
            return
        changed = any(matters(*change) and not ours(Path(os.path.realpath(change[1]))) for change in seen)
        if changed or time.monotonic() - looked > _LOOK_AGAIN:
            yield
            looked = time.monotonic()


def _notifications(folder: Path, on_blind: Callable[[str], None]) -> Iterator[set[tuple[Change, str]]]:
    """The system's notifications, and an empty set twice a second, so that the caller can stop."""
    from watchfiles import watch

    ended = threading.Event()
    try:
        # The caller filters, since a filter here would suppress the timeouts too.
        yield from watch(
            folder,
            watch_filter=None,
            debounce=_SETTLED_MS,
            step=200,
            rust_timeout=500,
            yield_on_timeout=True,
            raise_interrupt=False,
            stop_event=ended,
            ignore_permission_denied=True,
        )
    except (OSError, RuntimeError) as error:
        on_blind(" ".join(str(error).split()))
        while True:
            time.sleep(0.5)
            yield set()
    finally:
        ended.set()
