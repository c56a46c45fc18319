"""The engine in this process, on `api` and `assistant`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from localrag import api, protocol
from localrag.answer import planning
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.errors import Cancelled, ModelError, NotFoundError, ReadError
from localrag.events import Event, IngestProgress, IngestReport, Reviewed, ReviewEnded
from localrag.grounding.workspace import Workspace
from localrag.ingest import scan, source_files
from localrag.ingest.readers.source import Options
from localrag.ingest.source_files import PagePicture
from localrag.llm import calibration, loading, prompt_cache
from localrag.security.encryption.unlocked import encrypted_folder
from localrag.settings import Settings
from localrag.store import names
from localrag.types import Decision, Document, Passage
from localrag.worker.engine import Folder, Opened, Shelf, Shelved

if TYPE_CHECKING:
    from localrag.ingest.readers.isolate import Drawer
    from localrag.items.playbook import Playbook
    from localrag.redline.export import Compared

_POLL = 0.2


class LocalEngine:
    """See `Engine`."""

    def __init__(self, settings: Settings, assistant: Assistant | None = None) -> None:
        self._settings = settings
        self._assistant = assistant or Assistant(settings)
        self.load, self.warm = self._assistant.load, self._assistant.warm
        self.read_ahead = self._assistant.read_ahead
        self._drawer: Drawer | None = None
        self._searcher: Workspace | None = None
        self._searching = threading.Lock()

    def use(self, libraries: Sequence[str]) -> None:
        pass  # it reaches everything that its process can

    def ask(self, question: str, *, options: Mapping[str, Any] | None = None, **how: Any) -> Iterator[Event]:
        if options is not None:
            self._assistant.configure(self._settings.with_options(**options))
        if how.get("mode") == "extract":  # the question is a schema
            from localrag.items import schema

            asked = {name: how[name] for name in ("libraries", "documents", "stop") if name in how}
            return Reviewer(self._assistant).extract(schema.parse(question), **asked)
        return self._assistant.ask(question, **how)

    def search(self, question: str, **how: Any) -> tuple[Passage, ...]:
        with self._searching:
            # An embedder and files of its own, which stay: an answer may be using the others.
            self._searcher = self._searcher or Workspace(self._settings)
            return tuple(self._searcher.search(question, **how))

    def embed(self, texts: Sequence[str], *, library: str, question: bool = False) -> tuple[tuple[float, ...], ...]:
        with self._searching:
            self._searcher = self._searcher or Workspace(self._settings)
            return self._searcher.embed(texts, library=library, question=question)

    def review(self, playbook: str, **how: Any) -> Iterator[Reviewed | ReviewEnded]:
        for event in Reviewer(self._assistant).review(_playbook(playbook), **how):
            yield replace(event, findings=()) if isinstance(event, ReviewEnded) else event

    def decide(self, playbook: str, **mark: Any) -> Decision:
        # The other assistant belongs to the thread of the model, which may be reviewing.
        with closing(Workspace(self._settings)) as workspace:
            return Reviewer(workspace).decide(_playbook(playbook), **mark)

    def compare(
        self, named: Sequence[str], *, libraries: Sequence[str], stop: Callable[[], bool] = lambda: False
    ) -> dict[str, Any]:
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
        from localrag.redline import changes, three_way, versions

        read = versions.read(named, libraries, self._settings, stop=stop)
        return three_way.compare_three(*read) if len(read) == 3 else changes.compare(*read)

    def drafts(self, document: str, *, libraries: Sequence[str]) -> tuple[tuple[str, str], ...]:
        from localrag.redline import versions

        for name in libraries:
            with suppress(NotFoundError):
                return tuple((one.path, day) for one, day in versions.drafts(self._settings, name, document))
        return ()

    def ingest(
        self, library: str, folder: Path, *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[IngestProgress | IngestReport]:
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

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        if not documents:
            return ()  # `api` takes no globs as the whole library
        with closing(api.open_library(library, settings=self._settings)) as opened:
            return tuple(opened.forget(documents))

    def libraries(self) -> tuple[str, ...]:
        return tuple(api.library_names(self._settings))

    def look_at(self, folder: Path) -> Folder:
        known = names.library_of(folder, self._settings)
        if known:
            return Folder(known, True, 0)
        files, size = scan.readable(folder)
        return Folder(names.name_for(folder, self._settings), False, files, size)

    def shelf(self, library: str) -> Shelf:
        with closing(api.open_library(library, settings=self._settings)) as opened:
            documents = sorted(opened.documents(), key=lambda one: one.path)
            kept, passages, most = self._kept(opened.folder, documents)
            chunks, roots = opened.chunk_counts(), tuple(opened.roots())
            return Shelf(
                library,
                roots,
                tuple(
                    Shelved(
                        one,
                        one.characters // planning.CHARACTERS_PER_TOKEN,
                        kept.get(one.sha256, 0),
                        1.0 if one.sha256 in kept else passages.get(one.sha256, 0) / chunks.get(one.id, 1),
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
        try:
            name, identity = loading.generator_name(self._settings), loading.generator_identity(self._settings)
        except ModelError:
            return {}, {}, self._settings.read_tokens  # no model yet; the first question says so
        passages = prompt_cache.passages(folder, identity, [one.sha256 for one in documents])
        return prompt_cache.kept(folder, identity), passages, calibration.read_limit(self._settings, name)

    def page(self, library: str, document: str, number: int | None = None, *, exact: bool = False) -> Opened:
        with closing(api.open_library(library, settings=self._settings)) as opened:
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
            return Opened(found, page, found.pages, str(file or ""), state)

    def note_opened(self, library: str, document: str, number: int | None = None) -> None:
        with closing(api.open_library(library, settings=self._settings)) as opened:
            opened.page(document, number, opened=True)

    def models(self) -> tuple[str, ...]:
        return loading.generators(self._settings)

    def page_image(
        self, library: str, document: str, number: int | None, width: int, spans: tuple[tuple[int, int], ...] = ()
    ) -> PagePicture:
        with closing(api.open_library(library, settings=self._settings)) as opened:
            found, page = opened.page(document, number)
        if (file := names.original(self._settings, library, found)) is None:
            raise ReadError("it was not read on this machine", "Read its folder here: localrag ingest FOLDER")
        if (drawer := self._drawer) is None:
            from localrag.ingest.readers.isolate import Drawer

            settings = self._settings
            options = Options(depth=settings.archive_depth, unpacked=settings.read_unpacked_mb * 1_000_000)
            drawer = self._drawer = Drawer(settings.read_seconds, options, settings.read_memory_mb * 1_000_000)
        return source_files.page_image(file, found, page, width, spans, drawer)

    def configure(self, **options: Any) -> None:
        settings = self._settings.with_options(**options)
        if settings != self._settings:
            self._settings = settings
            self._assistant.configure(settings)
            with self._searching:
                if self._searcher is not None:
                    self._searcher.configure(settings)
            self._drop_drawer()

    def pause(self, paused: bool) -> None:
        pass  # it pauses with this process

    def rest(self) -> None:
        pass  # as long as its process runs

    def close(self) -> None:
        self._drop_drawer()
        if self._searcher is not None:
            self._searcher.close()
        self._assistant.close()

    def _drop_drawer(self) -> None:
        drawer, self._drawer = self._drawer, None
        if drawer is not None:
            drawer.close()


def _playbook(text: str) -> Playbook:
    from localrag.items import playbook

    return playbook.parse(text.encode(), "the playbook")
