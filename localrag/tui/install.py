"""Installing a model from the screen, as the screen sees it: it is done by another process, which alone may reach the
network (cli/installer.py), and told of as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


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
