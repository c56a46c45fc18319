"""A sign of life from work that takes long by its nature, so that the clock starts anew with each page of it.

Recognising a page takes seconds; a hundred of them are no reason to give a scan up. Only such work may say so: a file
that makes a parser run in circles must still meet its end.
"""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    """Have a function called at every sign; a process has one place that cares."""
    _listeners[:] = [listener]


def beat() -> None:
    """One page is done, and the next will take as long again."""
    for listener in _listeners:
        listener()
