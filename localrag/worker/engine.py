"""What a screen asks of documents and models, and how the calls travel to a worker process.

    screen -> Engine: LocalEngine (local.py, this process) | a worker process that holds one (client.py -> worker.py)

Every call may be slow: make it from a thread. MODEL_CALLS are made from one thread; the others may run beside them.
Arguments and results are frozen dataclasses, scalars, paths, tuples and mappings, so that they can travel between
processes (`protocol`); `stop` stays on its side. Importing this module loads nothing heavy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from localrag import protocol
from localrag.events import Event, Failure, IngestProgress, IngestReport, Reviewed, ReviewEnded, Warmed
from localrag.ingest.source_files import FileState, PagePicture
from localrag.protocol import Message
from localrag.settings import Settings
from localrag.types import EVERYTHING, Decision, Document, Filter, Mode, Page, Passage, Turn, Verdict

# Calls that share the model: one runs at a time.
MODEL_CALLS = frozenset({"load", "ask", "read_ahead", "review", "warm", "configure"})


@dataclass(frozen=True, slots=True)
class Shelved:
    """A document on a shelf: its length in tokens (about), and how many of them are in the prompt cache.

    `share` is how much of it is warm, from 0 to 1: all, or that share of its passages.
    """

    document: Document
    tokens: int
    warm: int
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a library holds, in order of paths; `most` is how many tokens the model can read of whole documents."""

    library: str
    roots: tuple[str, ...]
    documents: tuple[Shelved, ...]
    failed: tuple[Failure, ...]
    instructions: str
    most: int
    encrypted: bool = False
    elsewhere: tuple[str, ...] = ()  # roots that were not read on this machine


@dataclass(frozen=True, slots=True)
class Opened:
    """A stored page (the whole text of a document without pages), and the file it was read from."""

    document: Document
    page: Page
    count: int  # of the document's pages
    file: str  # empty if it is "elsewhere"
    state: FileState = "same"  # whether the file has changed since it was read


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to read: the library that it is or would become, and how much of it can be read."""

    library: str
    known: bool
    files: int
    bytes: int = 0


class Engine(Protocol):
    """Documents and models, wherever they are."""

    def use(self, libraries: Sequence[str]) -> None:
        """Set the libraries for the next questions; the model may have to be loaded again (`load`)."""

    def load(self) -> str:
        """Load the model (takes seconds) and return its id."""

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        reproducible: bool = False,
        options: Mapping[str, Any] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """See `Assistant.ask`; `options` are settings by name for this question, beside those of the engine."""

    def search(
        self, question: str, *, libraries: Sequence[str], documents: Filter = EVERYTHING, k: int = 10
    ) -> tuple[Passage, ...]:
        """See `Assistant.search`. It needs no turn of the model, so it may run beside an answer."""

    def embed(self, texts: Sequence[str], *, library: str, question: bool = False) -> tuple[tuple[float, ...], ...]:
        """Return a vector of each text by the embedder of a library; `question`: as it makes those of questions."""

    def read_ahead(
        self,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        likely: Sequence[tuple[str, str]] = (),
        draft: str = "",
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:
        """See `Assistant.read_ahead`."""

    def review(
        self,
        playbook: str,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Reviewed | ReviewEnded]:
        """See `Assistant.review`; `playbook` is its YAML. The end has no findings: they came one by one."""

    def decide(
        self, playbook: str, *, item: str, library: str, document: str, verdict: Verdict, comment: str = ""
    ) -> Decision:
        """See `Assistant.decide`."""

    def compare(
        self, named: Sequence[str], *, libraries: Sequence[str], stop: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Compare two or three documents of the libraries, or files, and record it.

        Returns a `Comparison` or a `ThreeWay` as `protocol.to_plain` gives it: their classes would load numpy here.
        """

    def drafts(self, document: str, *, libraries: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return the versions of a document (a path, or a part of one) as paths and days, the latest last."""

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
        """Update a library from a folder, and create it where it is missing; the last value is the report."""

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """See `Assistant.warm`."""

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        """Delete documents (exact paths) from a library for good; return the paths that were deleted."""

    def libraries(self) -> tuple[str, ...]:
        """Return the names of all libraries, in order."""

    def look_at(self, folder: Path) -> Folder:
        """Return the library a folder would be read into, and how much of it can be read."""

    def shelf(self, library: str) -> Shelf:
        """Return what a library holds."""

    def page(self, library: str, document: str, number: int | None = None, *, exact: bool = False) -> Opened:
        """Return a stored page, as `Library.page` finds it, and record in the audit log that it was shown.

        `exact`: the document is a path, not a glob, and the first page is returned where none is given.
        """

    def note_opened(self, library: str, document: str, number: int | None = None) -> None:
        """Record in the audit log that a viewer opens the file behind a page; call it before the viewer starts."""

    def models(self) -> tuple[str, ...]:
        """Return the ids of the models that can answer: those installed, or those of the server that is set."""

    def page_image(
        self, library: str, document: str, number: int | None, width: int, spans: tuple[tuple[int, int], ...] = ()
    ) -> PagePicture:
        """Draw a page with spans of its text boxed (the quote first), or raise ReadError; `width` is in pixels."""

    def configure(self, **options: Any) -> None:
        """Change settings by name for the next calls; a change to one of MODEL_SETTINGS unloads the model."""

    def pause(self, paused: bool) -> None:
        """Pause while the screen is suspended, then continue."""

    def rest(self) -> None:
        """Release memory until the next call, unless one is in progress."""

    def close(self) -> None:
        """Release memory and files."""


CALLS = tuple(name for name, value in vars(Engine).items() if inspect.isfunction(value) and name[0] != "_")


class Setup(Message):
    """The first message to a worker."""

    settings: Settings
    confined: bool  # whether the worker confines itself
    parent: int  # the process that started it
    libraries: tuple[str, ...] = ()  # the only ones that it can reach
    keys: tuple[tuple[str, bytes], ...] = ()  # of encrypted folders that the parent has open; it cannot ask for any
    reads: tuple[Path, ...] | None = None  # see `sandbox.restrict`
    channel: int | None = None  # the open file by which addresses in the house are reached

    def __repr__(self) -> str:
        return f"Setup(libraries={self.libraries})"  # keys stay out of logs


class Begin(Message, tag="call"):
    number: int
    name: str
    arguments: dict[str, Any]


class Stop(Message, tag="stop"):
    """Make `stop` return True in a call; `drop` says that nobody takes its values either."""

    number: int
    drop: bool = False


class Close(Message, tag="close"):
    """End the worker when the model is idle."""


class Item(Message, tag="item"):
    """The next value of a call that streams."""

    number: int
    value: Any


class Done(Message, tag="done"):
    """The end of a call, with its value if it does not stream."""

    number: int
    value: Any = None


class Failed(Message, tag="error"):
    number: int
    error: protocol.ErrorMessage


Request = Begin | Stop | Close
Reply = Item | Done | Failed


@dataclass(frozen=True, slots=True)
class Call:
    """One method of `Engine`: the types of its parameters (`stop` is left out) and of its result."""

    name: str
    signature: inspect.Signature
    parameters: dict[str, Any]
    result: Any
    streams: bool
    stoppable: bool

    def write(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], bool] | None]:
        """Return the arguments of a call as they travel, and its `stop`. Raises TypeError for wrong arguments."""
        arguments = self.signature.bind(None, *args, **kwargs).arguments
        stop = arguments.pop("stop", None)
        del arguments["self"]
        plain = {name: protocol.to_plain(value) for name, value in arguments.items()}
        try:
            self.read(plain)
        except protocol.Malformed as error:
            raise TypeError(f"{self.name}: {error}") from error
        return plain, stop

    def read(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name. Raises Malformed for wrong arguments."""
        if not plain.keys() <= self.parameters.keys():
            raise protocol.Malformed(f"unknown arguments of {self.name}")
        arguments = {name: protocol.from_plain(value, self.parameters[name]) for name, value in plain.items()}
        for name in plain:
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name)
        return arguments


@cache
def call_of(name: str) -> Call:
    """Return a method of `Engine` by its name. Raises Malformed where there is none."""
    if name not in CALLS:
        raise protocol.Malformed(f"no call is named {name!r:.80}")
    signature, hints = inspect.signature(getattr(Engine, name)), get_type_hints(getattr(Engine, name))
    result = hints.pop("return")
    streams = get_origin(result) is Iterator
    parameters = {
        each: dict[str, Any] if parameter.kind is inspect.Parameter.VAR_KEYWORD else hints[each]
        for each, parameter in signature.parameters.items()
        if each not in ("self", "stop")
    }
    result = get_args(result)[0] if streams else result
    return Call(name, signature, parameters, result, streams, "stop" in signature.parameters)
