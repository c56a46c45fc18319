"""Installing a model from the screen, as the screen sees it: it is done by another process, which alone may reach the
network (cli/installer.py), and told of as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# What finds passages; a library cannot be made without it.
EMBEDDER = "all-minilm-l6-v2"
LINE_SPEED = 12_500_000  # bytes a second of a line of 100 Mbit/s, to give sizes a feel


@dataclass(frozen=True, slots=True)
class Fetched:
    """How far it is, in bytes; `total` is an estimate."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Said:
    """A line that it said."""

    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over; `code` is 0 where the models are there."""

    code: int


Told = Fetched | Said | Ended


class Installer(Protocol):
    """What can have models installed; `wanted` says that there was none that answers when the app was started."""

    wanted: bool

    def install(self, ids: Sequence[str], stop: Callable[[], bool]) -> Iterator[Told]:
        """Fetch models, one after the other; the last value is `Ended`. A stop leaves nothing half installed."""

    def take_in(self, path: Path, stop: Callable[[], bool]) -> Iterator[Told]:
        """Import a model from a file or folder, without any network."""


def size(bytes: int) -> str:
    """Bytes as a person reads them."""
    if bytes >= 1e9:
        return f"{bytes / 1e9:.1f} GB"
    return f"{bytes / 1e6:.0f} MB" if bytes >= 1e6 else f"{max(1, round(bytes / 1e3))} KB"


def spoken(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
