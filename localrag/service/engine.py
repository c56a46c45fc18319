"""What a screen may ask of documents and models, and the engine that answers it in this process.

    screen -> Engine: LocalEngine (this process) | RemoteEngine (client.py: a worker process, which holds a LocalEngine)

Every call may be slow and belongs into a thread of the caller's. `load`, `ask`, `read_ahead` and `configure` share the
model and are called from one thread; the others open what they need and may be called beside them. Only frozen values
(of `types`, `events`, `reports`, `warming` and this module) go in and out, so that they can travel between processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from localrag import api, calibration, loading, planning, prefix_cache, scanning
from localrag.assistant import Assistant
from localrag.errors import ModelError
from localrag.events import Event
from localrag.reports import Failure, IngestProgress, IngestReport
from localrag.settings import Settings
from localrag.types import EVERYTHING, Document, Filter, Mode, Page, Turn
from localrag.warming import Warmed


@dataclass(frozen=True, slots=True)
class Shelved:
    """A document as a shelf shows it: how long it is in tokens (about), and how many of them the model has kept."""

    document: Document
    tokens: int
    warm: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a library holds, in order of paths; `most` is the most tokens that the model can use when it reads whole."""

    library: str
    roots: tuple[str, ...]
    documents: tuple[Shelved, ...]
    failed: tuple[Failure, ...]
    instructions: str
    most: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored page (of a document without pages, its whole text), and the file on the disk that it was read from.

    `number` of `count` pages; `file` does not say that the file is still there.
    """

    document: Document
    page: Page
    count: int
    file: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it might be read: the library that it is or would be, and how many files of it can be read."""

    library: str
    known: bool
    files: int


class Engine(Protocol):
    """Documents and models, wherever they are."""

    def load(self) -> str:
        """Load the model that answers (seconds); returns its id."""

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Filter = EVERYTHING, mode: Mode = "auto",
        history: Sequence[Turn] = (), stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:  # fmt: skip
        """See `Assistant.ask`."""

    def read_ahead(
        self, *, libraries: Sequence[str], documents: Filter = EVERYTHING, likely: Sequence[tuple[str, str]] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:  # fmt: skip
        """See `Assistant.read_ahead`."""

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
        """Bring a library level with a folder, made where it is missing; the last value is the report."""

    def libraries(self) -> tuple[str, ...]:
        """Names of all libraries, in order."""

    def look_at(self, folder: Path) -> Folder:
        """What a folder would be read into, and how much of it could be."""

    def shelf(self, library: str) -> Shelf:
        """What a library holds."""

    def page(self, library: str, document: str, number: int | None = None) -> Opened:
        """A stored page, as `Library.page` finds it."""

    def model_choices(self) -> tuple[tuple[str, int], ...]:
        """Models that could be installed and fit this machine: id and bytes, best first."""

    def configure(self, **options: Any) -> None:
        """Settings by name, from the next call on."""

    def close(self) -> None:
        """Give memory and files back."""


class LocalEngine:
    """The engine in this process."""

    def __init__(self, settings: Settings, assistant: Assistant | None = None) -> None:
        self._settings = settings
        self._assistant = assistant or Assistant(settings)

    def load(self) -> str:
        return self._assistant.load()

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Filter = EVERYTHING, mode: Mode = "auto",
        history: Sequence[Turn] = (), stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:  # fmt: skip
        return self._assistant.ask(
            question, libraries=libraries, documents=documents, mode=mode, history=history, stop=stop
        )

    def read_ahead(
        self, *, libraries: Sequence[str], documents: Filter = EVERYTHING, likely: Sequence[tuple[str, str]] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:  # fmt: skip
        return self._assistant.read_ahead(libraries=libraries, documents=documents, likely=likely, stop=stop)

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
        import threading

        # An ingest tells of its progress by calling; here it is to be asked for it.
        told: SimpleQueue[IngestProgress | IngestReport | BaseException] = SimpleQueue()

        def run() -> None:
            try:
                with closing(api.open_library(library, settings=self._settings, create=True)) as opened:
                    told.put(opened.ingest(folder, progress=told.put, stop=stop))
            except BaseException as error:
                told.put(error)

        threading.Thread(target=run, name="localrag-ingest", daemon=True).start()
        while not isinstance(value := told.get(), IngestReport):
            if isinstance(value, BaseException):
                raise value
            yield value
        yield value

    def libraries(self) -> tuple[str, ...]:
        return tuple(api.library_names(self._settings))

    def look_at(self, folder: Path) -> Folder:
        known = api.find_library(folder, self._settings)
        if known:
            return Folder(known, True, 0)
        return Folder(api.name_for(folder, self._settings), False, scanning.readable_files(folder))

    def shelf(self, library: str) -> Shelf:
        with closing(api.open_library(library, settings=self._settings)) as opened:
            kept, most = self._kept(opened.folder)
            return Shelf(
                library, tuple(opened.roots()),
                tuple(
                    Shelved(one, one.characters // planning.CHARACTERS_PER_TOKEN, kept.get((one.sha256,), 0))
                    for one in sorted(opened.documents(), key=lambda one: one.path)
                ),
                tuple(opened.failures()), opened.instructions, most,
            )  # fmt: skip

    def _kept(self, folder: Path) -> tuple[dict[tuple[str, ...], int], int]:
        """Tokens kept of each document, and the most that are read at once."""
        try:
            name = loading.generator_name(self._settings)
            kept = dict(prefix_cache.warm(folder, loading.generator_identity(self._settings)))
        except ModelError:
            return {}, self._settings.read_tokens  # there is none yet, which is said where one is needed
        known = calibration.load(self._settings.calibration_file, name)
        return kept, min(self._settings.read_tokens, known.effective_tokens)

    def page(self, library: str, document: str, number: int | None = None) -> Opened:
        with closing(api.open_library(library, settings=self._settings)) as opened:
            found, page = opened.page(document, number)
            return Opened(found, page, found.pages, str(Path(found.root) / (found.file or found.path)))

    def model_choices(self) -> tuple[tuple[str, int], ...]:
        from localrag.models import catalog

        cards = [card for card in catalog.CATALOG if card.kind == "generator" and card.rank > 0]
        fitting = [card for card in cards if catalog.fits(card.memory)]
        return tuple((card.id, card.bytes) for card in sorted(fitting, key=lambda card: -card.rank))

    def configure(self, **options: Any) -> None:
        settings = self._settings.with_options(**options)
        if settings != self._settings:
            self._assistant.close()
            self._settings, self._assistant = settings, Assistant(settings)

    def close(self) -> None:
        self._assistant.close()
