"""Reading ahead while somebody types: begun in a pause of the typing, given up at the next key.

What runs is a job of the "model" lane like an answer, so only one runs at a time, and a question that is asked waits
for it no longer than it takes to notice the flag.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from textual.timer import Timer
from textual.widget import Widget

# Seconds without a key after which the question so far is worth looking up.
PAUSE = 0.4


class Ahead:
    """The one reading that is on its way or about to begin."""

    def __init__(self, owner: Widget, begin: Callable[[threading.Event], None]) -> None:
        self._owner = owner
        self._begin = begin
        self._stop: threading.Event | None = None
        self._pause: Timer | None = None

    def typed(self) -> None:
        """A key was pressed: what runs is of another question, and what is typed now is looked up after a pause."""
        self.stop()
        self._pause = self._owner.set_timer(PAUSE, self._start)

    def stop(self) -> None:
        """Give way."""
        if self._pause is not None:
            self._pause.stop()
            self._pause = None
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _start(self) -> None:
        self._stop = threading.Event()
        self._begin(self._stop)
