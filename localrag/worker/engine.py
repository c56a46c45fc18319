"""Documents and models for a screen, in this process; `client` offers the same calls of a worker process.

Every call may be slow: make it from a thread. The calls that share the model (`calls.MODEL_CALLS`) are made from one
thread; the others may run beside them. Importing this module loads nothing heavy: each call imports what it needs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from localrag import protocol
from localrag.errors import Cancelled, LibraryLocked, ModelError, NotFoundError, ReadError, StorageError
from localrag.events import Event, Failure, IngestProgress, IngestReport, Reviewed, ReviewEnded, Warmed
from localrag.ingest.source_files import FileState, PageCopy, PagePicture
from localrag.settings import Settings
from localrag.store import names
from localrag.types import EVERYTHING, Decision, Document, Fact, FactState, Filter, Mode, Page, Passage, Turn, Verdict
from localrag.worker.calls import Asker

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant
    from localrag.api import Library
    from localrag.ingest.readers.isolate import Drawer
    from localrag.items.playbook import Playbook
    from localrag.redline.export import Compared

_POLL = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """A document of a library: its length in tokens (about), and how many of them are in the prompt cache.

    `share` is how much of it is warm, from 0 to 1: all, or that share of its passages. `title` is what people would
    call it, where that is shorter than its path.
    """

    document: Document
    tokens: int
    warm: int
    share: float = 0.0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a library holds, in order of paths; `most` is how many tokens the model can read of whole documents."""

    library: str
    roots: tuple[str, ...]
    documents: tuple[Entry, ...]
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
    recording: str = ""  # the file to listen to; empty for what is no recording or transcript of one


@dataclass(frozen=True, slots=True)
class SoundPart:
    """Some bytes of a recording."""

    name: str
    size: int  # of the whole file
    data: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder to read: the library that it is or would become, and how much of it can be read."""

    library: str
    known: bool
    files: int
    bytes: int = 0


class Engine(Asker):
    """Documents and models."""

    def __init__(self, settings: Settings, assistant: Assistant | None = None) -> None:
        from localrag.grounding.workspace import Workspace

        super().__init__(settings, assistant)
        # An embedder and files of its own, which stay: an answer may be using the others.
        self._searcher = Workspace(settings)
        self._searching = threading.Lock()
        self._drawer: Drawer | None = None

    def _extract(
        self, schema: str, libraries: Sequence[str], documents: Filter, stop: Callable[[], bool]
    ) -> Iterator[Event]:
        from localrag.answer.reviewer import Reviewer
        from localrag.items import schema as schemas

        wanted = schemas.parse(schema)
        return Reviewer(self._assistant).extract(wanted, libraries=libraries, documents=documents, stop=stop)

    def use(self, libraries: Sequence[str]) -> None:
        """Set the libraries for the next questions; the model of a worker may have to be loaded again (`load`)."""

    def search(
        self, question: str, *, libraries: Sequence[str], documents: Filter = EVERYTHING, k: int = 10
    ) -> tuple[Passage, ...]:
        """See `Workspace.search`. It needs no turn of the model, so it may run beside an answer."""
        with self._searching:
            return tuple(self._searcher.search(question, libraries=libraries, documents=documents, k=k))

    def embed(self, texts: Sequence[str], *, library: str, question: bool = False) -> tuple[tuple[float, ...], ...]:
        """Return a vector of each text by the embedder of a library; `question`: as it makes those of questions."""
        with self._searching:
            return self._searcher.embed(texts, library=library, question=question)

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
        return self._assistant.read_ahead(
            libraries=libraries,
            documents=documents,
            likely=likely,
            draft=draft,
            mode=mode,
            history=history,
            stop=stop,
        )

    def review(
        self,
        playbook: str,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Reviewed | ReviewEnded]:
        """See `Reviewer.review`; `playbook` is its YAML. The end has no findings: they came one by one."""
        from localrag.answer.reviewer import Reviewer

        reviewer = Reviewer(self._assistant)
        events = reviewer.review(_playbook(playbook), libraries=libraries, documents=documents, stop=stop)
        for event in events:
            yield replace(event, findings=()) if isinstance(event, ReviewEnded) else event

    def decide(
        self, playbook: str, *, item: str, library: str, document: str, verdict: Verdict, comment: str = ""
    ) -> Decision:
        """See `Reviewer.decide`."""
        from localrag.answer.reviewer import Reviewer

        with self._searching:  # the other assistant belongs to the thread of the model, which may be reviewing
            return Reviewer(self._searcher).decide(_playbook(playbook), item, library, document, verdict, comment)

    def overview(self, library: str, *, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Return the first page of a library (`Overview.to_dict`); missing facts are read first, if possible."""
        with self._open(library) as opened:
            with suppress(LibraryLocked, StorageError):  # another process writes, or this one may not
                opened.read_facts(stop=stop)
            return opened.overview().to_dict()

    def dates(
        self,
        libraries: Sequence[str],
        *,
        documents: Sequence[str] = (),
        since: str = "",
        until: str = "",
        stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Return deadlines as rows, and what was not read; see `Reviewer.dates`. No model is needed."""
        from localrag.answer.reviewer import Reviewer
        from localrag.grounding.workspace import Workspace

        period: dict[str, Any] = {"since": since, "until": until, "stop": stop}
        with closing(Workspace(self._settings)) as own:
            found, not_read = Reviewer(own).dates(libraries=libraries, documents=documents, **period)
        return {"dates": [one.to_row() for one in found], "not_read": [one.to_dict() for one in not_read]}

    def decide_fact(self, library: str, document: str, fact: str, state: FactState, value: str = "") -> Fact:
        """Confirm, correct or reject a fact; see `Library.decide`."""
        with self._open(library) as opened:
            return opened.decide(document, fact, state, value)

    def compare(
        self, named: Sequence[str], *, libraries: Sequence[str], stop: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
        """Compare two or three documents of the libraries, or files, and record it.

        Returns a `Comparison` or a `ThreeWay` as `protocol.to_plain` gives it: their classes load numpy.
        """
        from concurrent.futures import ThreadPoolExecutor, wait

        from localrag.redline import versions

        # In a thread that is left behind at a stop: nothing interrupts the seconds that long texts take.
        pool = ThreadPoolExecutor(1)
        future = pool.submit(self._compare, named, libraries, stop)
        pool.shutdown(wait=False)
        while not wait([future], _POLL).done:
            if stop():
                raise Cancelled("stopped")
        compared = future.result()
        versions.record(self._settings, compared)
        plain: dict[str, Any] = protocol.to_plain(compared)
        return plain

    def _compare(self, named: Sequence[str], libraries: Sequence[str], stop: Callable[[], bool]) -> Compared:
        from localrag.diff import changes
        from localrag.redline import three_way, versions

        read = versions.read(named, libraries, self._settings, stop=stop)
        return three_way.compare_three(*read) if len(read) == 3 else changes.compare(*read)

    def proofread(self, library: str, document: str, *, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Find errors of drafting in a document of a library, and record it.

        Returns its path, what was not read of it, and the findings (`Fault.to_dict`): their class loads numpy.
        """
        from localrag.redline import proofreading, versions

        version = versions.of_library(self._settings, library, document)
        found = proofreading.proofread(version, stop)
        versions.record_proofread(self._settings, version, len(found))
        findings = [one.to_dict() for one in found]
        return {"document": version.name, "not_read": list(version.notes), "findings": findings}

    def drafts(self, document: str, *, libraries: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Return the versions of a document (a path, or a part of one) as paths and days, the latest last."""
        from localrag.redline import versions

        for name in libraries:
            with suppress(NotFoundError):
                return tuple((one.path, day) for one, day in versions.drafts(self._settings, name, document))
        return ()

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
        """Update a library from a folder, and create it where it is missing; the last value is the report."""
        from localrag import api

        # `ingest` reports progress through a callback; here it becomes a stream.
        updates: SimpleQueue[IngestProgress | IngestReport | BaseException] = SimpleQueue()

        def run() -> None:
            try:
                with closing(api.open_library(library, settings=self._settings, create=True)) as opened:
                    report = opened.ingest(
                        folder,
                        progress=updates.put,
                        stop=stop,
                        on_wait=lambda words: updates.put(IngestProgress(0, 0, words, "wait")),
                    )
                    updates.put(report)
            except BaseException as error:
                updates.put(error)

        threading.Thread(target=run, name="localrag-ingest", daemon=True).start()
        waiting = False
        while True:
            try:
                value = updates.get(timeout=_POLL)
            except Empty:
                if waiting and stop():
                    # The thread still waits for another process; it stops when its turn comes.
                    raise Cancelled("stopped") from None
                continue
            if isinstance(value, BaseException):
                raise value
            yield value
            if isinstance(value, IngestReport):
                return
            waiting = value.stage == "wait"

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """See `Assistant.warm`."""
        return self._assistant.warm(library, documents, stop=stop)

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        """Delete documents (exact paths) from a library for good; return the paths that were deleted."""
        if not documents:
            return ()  # `api` takes no globs as the whole library
        with self._open(library) as opened:
            return tuple(opened.forget(documents))

    def libraries(self) -> tuple[str, ...]:
        """Return the names of all libraries, in order."""
        return tuple(names.library_names(self._settings.indexes_dir))

    def look_at(self, folder: Path) -> Folder:
        """Return the library a folder would be read into, and how much of it can be read."""
        from localrag.ingest import scan

        known = names.library_of(folder, self._settings)
        if known:
            return Folder(known, True, 0)
        files, size = scan.readable(folder)
        return Folder(names.name_for(folder, self._settings), False, files, size)

    def contents(self, library: str) -> Contents:
        from localrag.answer import planning
        from localrag.security.encryption.unlocked import encrypted_folder

        with self._open(library) as opened:
            documents = sorted(opened.documents(), key=lambda one: one.path)
            kept, passages, most = self._kept(opened.folder, documents)
            chunks, roots = opened.chunk_counts(), tuple(opened.roots())
            titles = opened.titles([one.path for one in documents])
            return Contents(
                library,
                roots,
                tuple(
                    Entry(
                        one,
                        one.characters // planning.CHARACTERS_PER_TOKEN,
                        kept.get(one.sha256, 0),
                        1.0 if one.sha256 in kept else passages.get(one.sha256, 0) / chunks.get(one.id, 1),
                        titles.get(one.path, ""),
                    )
                    for one in documents
                ),
                tuple(opened.failures()),
                opened.instructions,
                most,
                encrypted_folder(opened.folder) is not None,
                tuple(root for root in roots if not self._settings.read_marks(library, root).exists()),
            )

    def _kept(self, folder: Path, documents: Sequence[Document]) -> tuple[dict[str, int], dict[str, int], int]:
        """Return the cached tokens and passages of each document, and how many tokens are read at once at most."""
        from localrag.llm import calibration, loading, prompt_cache

        try:
            name, identity = loading.generator_name(self._settings), loading.generator_identity(self._settings)
        except ModelError:
            return {}, {}, self._settings.read_tokens  # no model yet; the first question says so
        passages = prompt_cache.passages(folder, identity, [one.sha256 for one in documents])
        return prompt_cache.kept(folder, identity), passages, calibration.read_limit(self._settings, name)

    def page(self, library: str, document: str, number: int | None = None, *, exact: bool = False) -> Opened:
        """Return a stored page, as `Library.page` finds it, and record in the audit log that it was shown.

        `exact`: the document is a path, not a glob, and the first page is returned where none is given.
        """
        from localrag.ingest import source_files

        with self._open(library) as opened:
            if exact:
                listed = opened.documents()
                same = [one for one in listed if one.path == document]
                if len(same) != 1:
                    hint = names.did_you_mean(document, [one.path for one in listed], library)
                    several = "They were read from several folders."
                    what = f"{len(same) or 'no'} documents are called {document!r}"
                    raise NotFoundError(what, several if same else hint)
                number = 1 if number is None and same[0].paged else number
            found, page = opened.page(document, number)
            file = names.original(self._settings, library, found)
            state = "elsewhere" if file is None else source_files.state(file, opened.stored_file(found))
            sound = source_files.recording(file, found) if file is not None else None
            return Opened(found, page, found.pages, str(file or ""), state, str(sound or ""))

    def sound(self, library: str, document: str, start: int, most: int) -> SoundPart:
        """Return up to `most` bytes of the recording behind a document; recordings behind links are not played."""
        from localrag.ingest import source_files
        from localrag.ingest.readers.source import open_file

        file, found, _ = self._original(library, document, None)
        recording = source_files.recording(file, found)
        if recording is None:
            hint = "Was it moved? It must lie beside its transcript."
            raise NotFoundError(f"there is no recording of {document!r}", hint)
        with os.fdopen(open_file(recording, links=False), "rb") as stream:
            stream.seek(start)
            return SoundPart(recording.name, os.fstat(stream.fileno()).st_size, stream.read(most))

    def note_opened(self, library: str, document: str, number: int | None = None) -> None:
        """Record in the audit log that a viewer opens the file behind a page; call it before the viewer starts."""
        with self._open(library) as opened:
            opened.page(document, number, opened=True)

    def models(self) -> tuple[str, ...]:
        """Return the ids of the models that can answer: those installed, or those of the server that is set."""
        from localrag.llm import loading

        return loading.generators(self._settings)

    def page_image(
        self, library: str, document: str, number: int | None, width: int, spans: tuple[tuple[int, int], ...] = ()
    ) -> PagePicture:
        """Draw a page with spans of its text boxed (the quote first), or raise ReadError; `width` is in pixels."""
        from localrag.ingest import source_files

        return source_files.page_image(*self._original(library, document, number), width, spans, self._page_drawer())

    def page_copy(
        self, library: str, document: str, number: int | None, spans: tuple[tuple[int, int], ...]
    ) -> PageCopy:
        """Copy a page of a PDF, and find spans of its text on it, or raise ReadError."""
        from localrag.ingest import source_files

        return source_files.page_copy(*self._original(library, document, number), spans, self._page_drawer())

    def _original(self, library: str, document: str, number: int | None) -> tuple[Path, Document, Page]:
        with self._open(library) as opened:
            found, page = opened.page(document, number)
        if (file := names.original(self._settings, library, found)) is None:
            if (self._settings.library_dir(library) / names.LINK).exists():
                raise ReadError("its file is not in this read-only library", "Ask for one made --with-documents.")
            raise ReadError("it was not read on this machine", "Read its folder here: localrag ingest FOLDER")
        return file, found, page

    def _page_drawer(self) -> Drawer:
        if (drawer := self._drawer) is None:
            from localrag.ingest.readers.isolate import Drawer
            from localrag.ingest.readers.source import Options

            settings = self._settings
            options = Options(depth=settings.archive_depth, unpacked=settings.read_unpacked_mb * 1_000_000)
            drawer = self._drawer = Drawer(settings.read_seconds, options, settings.read_memory_mb * 1_000_000)
        return drawer

    def configure(self, **options: Any) -> None:
        """Change settings by name for the next calls; a change to one of MODEL_SETTINGS unloads the model."""
        settings = self._settings.with_options(**options)
        if settings != self._settings:
            self._settings = settings
            self._assistant.configure(settings)
            with self._searching:
                self._searcher.configure(settings)
            self._drop_drawer()

    def pause(self, paused: bool) -> None:
        """Pause while the screen is suspended, then continue; in this process, that is the system's to do."""

    def rest(self) -> None:
        """Release the memory of a worker until the next call, unless one is in progress."""

    def close(self) -> None:
        """Release memory and files."""
        self._drop_drawer()
        self._searcher.close()
        super().close()

    def _open(self, library: str) -> closing[Library]:
        from localrag import api

        return closing(api.open_library(library, settings=self._settings))

    def _drop_drawer(self) -> None:
        drawer, self._drawer = self._drawer, None
        if drawer is not None:
            drawer.close()


def _playbook(text: str) -> Playbook:
    from localrag.items import playbook

    return playbook.parse(text.encode(), "the playbook")
