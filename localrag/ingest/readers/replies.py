"""What readers found and nobody has taken yet: it holds only so much, so that a slow caller makes the readers wait."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path

from localrag.ingest.readers import wire
from localrag.types import Part, Refused

Reply = tuple[Path, Part | Refused | None]


class Replies:
    """What was read and not taken yet; it holds only so much text, and whoever brings more waits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._weight = 0
        self._items: deque[tuple[int, Reply]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, path: Path, item: Part | Refused | None) -> bool:
        """False where nobody takes anything any more."""
        weight = _weight(item)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._weight + weight <= self._most)
            if self._closed:
                return False
            self._items.append((weight, (path, item)))
            self._weight += weight
            self._changed.notify_all()
        return True

    def get(self, timeout: float) -> Reply | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout):
                return None
            weight, reply = self._items.popleft()
            self._weight -= weight
            self._changed.notify_all()
        return reply

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


def _weight(item: Part | Refused | None) -> int:
    if isinstance(item, Part):
        return sum(len(page.text) for page in item.reading.pages) + 100 * wire.count(item) + 1000
    return 1000
