"""What a screen may ask of documents and models.

    screen -> Engine: LocalEngine (local.py, this process) | a worker process that holds one (client.py -> worker.py)

Every call may be slow and belongs into a thread of the caller's. `load`, `ask`, `read_ahead`, `warm` and `configure`
share the model and are called from one thread; the others open what they need and may be called beside them. Only
frozen values (of `types`, `events`, `reports` and this module), scalars, paths, and tuples and mappings of these go in
and out, so that they can travel between processes (`wire.py`, by the hints below); `stop` is the only callable.
Importing this module loads nothing heavy: a screen does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from localrag.events import Event, Failure, IngestProgress, IngestReport, Warmed
from localrag.ingest.source_files import FileState, PageImage
from localrag.types import EVERYTHING, Document, Filter, Mode, Page, Turn

# Calls that share the model: they come one after the other.
MODEL_CALLS = frozenset({"load", "ask", "read_ahead", "warm", "configure"})


@dataclass(frozen=True, slots=True)
class Shelved:
    """A document as a shelf shows it: how long it is in tokens (about), and how many of them the model has kept."""

    document: Document
    tokens: int
    warm: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a library holds, in order of paths; `most` is the most tokens that the model can use when it reads whole.

    `encrypted` says whether it lies encrypted on the disk.
    """

    library: str
    roots: tuple[str, ...]
    documents: tuple[Shelved, ...]
    failed: tuple[Failure, ...]
    instructions: str
    most: int
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored page (of a document without pages, its whole text), and the file on the disk that it was read from.

    `count` is how many pages the document has; `state` says whether the file is still as it was when it was read.
    """

    document: Document
    page: Page
    count: int
    file: str
    state: FileState = "same"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it might be read: the library that it is or would be, and how much of it can be read.

    `seconds` is about how long that takes, at the pace of the folder that was read last here; None before one was.
    """

    library: str
    known: bool
    files: int
    bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """A model that could answer here: what it is good for, what it takes, and whether it is installed.

    `seconds` is about how long an answer from a few passages would take to begin, as scaled from measured models.
    `sources` are the places it can be fetched from, in words; `suggested` is the best that is quick enough here.
    """

    id: str
    title: str
    licence: str
    bytes: int
    memory: int
    note: str
    seconds: float
    installed: bool = False
    sources: tuple[str, ...] = ()
    suggested: bool = False


class Engine(Protocol):
    """Documents and models, wherever they are."""

    def use(self, libraries: Sequence[str]) -> None:
        """Say which libraries are asked from now on; a model that is loaded may have to be loaded again (`load`)."""

    def load(self) -> str:
        """Load the model that answers (seconds); returns its id."""

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Filter = EVERYTHING, mode: Mode = "auto",
        history: Sequence[Turn] = (), stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:  # fmt: skip
        """See `Assistant.ask`."""

    def read_ahead(
        self, *, libraries: Sequence[str], documents: Filter = EVERYTHING, likely: Sequence[tuple[str, str]] = (),
        draft: str = "", mode: Mode = "auto", history: Sequence[Turn] = (), stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:  # fmt: skip
        """See `Assistant.read_ahead`."""

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
        """Bring a library level with a folder, made where it is missing; the last value is the report."""

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """See `Assistant.warm`."""

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        """Delete what was read of these documents (exact paths) for good; returns the paths that went."""

    def libraries(self) -> tuple[str, ...]:
        """Names of all libraries, in order."""

    def look_at(self, folder: Path) -> Folder:
        """What a folder would be read into, and how much of it could be."""

    def shelf(self, library: str) -> Shelf:
        """What a library holds."""

    def page(self, library: str, document: str, number: int | None = None) -> Opened:
        """A stored page, as `Library.page` finds it; that it was shown is recorded."""

    def note_opened(self, library: str, document: str, number: int | None = None) -> None:
        """Record that the file behind a page is opened in the person's viewer; call it before it is."""

    def models(self) -> tuple[str, ...]:
        """Ids of the models that are installed and could answer."""

    def page_image(
        self, library: str, document: str, number: int | None, width: int, spans: tuple[tuple[int, int], ...] = ()
    ) -> PageImage:
        """How a page looks, `width` pixels wide or less, with spans of its text boxed: the quote first.

        Raises:
            ReadError: the file is another by now, or its pages cannot be drawn.
        """

    def model_choices(self) -> tuple[ModelOffer, ...]:
        """Models that answer, fit this machine and can be fetched, best first; none whose hash is not known."""

    def configure(self, **options: Any) -> None:
        """Settings by name, from the next call on; text is taken as it is typed (`Settings.with_options`).

        The model leaves the memory where a setting of its own changes (`settings.OF_THE_MODEL`), until the next `load`.
        """

    def pause(self, paused: bool) -> None:
        """Stand still while the screen is suspended, and go on after."""

    def close(self) -> None:
        """Give memory and files back."""
