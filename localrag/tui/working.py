"""What goes on with libraries in the background, whichever conversation is on the screen.

Folders are read in the "reading" lane. Keeping documents ready shares the model, so it runs behind everything else of
its lane and gives way at once (`Lane.behind`). The lanes write what the core reports into the works below, far more
often than anybody looks; a panel looks at them, and takes what is done (`take`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localrag.errors import LocalragError
from localrag.events import IngestProgress, IngestReport, Warmed
from localrag.tui.core import Core
from localrag.tui.jobs import Lane
from localrag.tui.shelves import Name


@dataclass(eq=False, slots=True)
class Reading:
    """Folders to be read into libraries, one after the other; `at` is the one at hand."""

    folders: Sequence[tuple[str, Path]]
    stop: threading.Event = field(default_factory=threading.Event)
    at: int = 0
    latest: IngestProgress | None = None
    reports: list[IngestReport] = field(default_factory=list)
    error: LocalragError | None = None
    done: bool = False


@dataclass(eq=False, slots=True)
class Keeping:
    """Documents of a library to be kept ready, with their tokens, and those that are `left`."""

    library: str
    tokens: Mapping[str, int]
    left: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    running: bool = False
    latest: Warmed | None = None
    told: list[Warmed] = field(default_factory=list)
    error: LocalragError | None = None
    done: bool = False

    def progress(self) -> tuple[int, int]:
        """Tokens done of all."""
        total = sum(self.tokens.values())
        done = total - sum(self.tokens[path] for path in tuple(self.left))
        if (latest := self.latest) is not None and latest.share < 1:
            done += int(latest.share * self.tokens.get(latest.piece.document.path, 0))
        return min(done, total), total


@dataclass(eq=False, slots=True)
class Forgetting:
    """Documents whose text is to be deleted; `gone` are those that went."""

    documents: Sequence[Name]
    gone: int = 0
    error: LocalragError | None = None
    done: bool = False


Work = Reading | Keeping | Forgetting


class Works:
    """All that goes on, in the order in which it was begun."""

    def __init__(self, core: Core, lanes: Mapping[str, Lane]) -> None:
        self._core = core
        self._lanes = lanes
        self.under_way: list[Work] = []

    def reading(self) -> Reading | None:
        return next((work for work in self.under_way if isinstance(work, Reading)), None)

    def keeping(self) -> list[Keeping]:
        return [work for work in self.under_way if isinstance(work, Keeping)]

    def read(self, folders: Sequence[tuple[str, Path]]) -> bool:
        """Bring libraries level with folders; False if a reading goes on already."""
        if self.reading() is not None:
            return False
        work = Reading(folders)

        def run() -> None:
            for at, (library, folder) in enumerate(folders):
                work.at = at
                if work.stop.is_set():
                    break
                for told in self._core.engine.ingest(library, folder, stop=work.stop.is_set):
                    if isinstance(told, IngestReport):
                        work.reports.append(told)
                    else:
                        work.latest = told
            work.done = True

        self._begin(work, lambda failed: self._lanes["reading"].submit(run, failed))
        return True

    def keep(self, library: str, documents: Sequence[tuple[str, int]]) -> None:
        """Have the model read documents (path and tokens) and keep them ready, after those begun before."""
        work = Keeping(library, dict(documents), [path for path, _ in documents])

        def run(wanted: Callable[[], bool]) -> bool:
            work.done = _keep(self._core, work, wanted)
            return work.done

        self._begin(work, lambda failed: self._lanes["model"].behind(run, failed))

    def forget(self, documents: Sequence[Name]) -> None:
        """Delete what was read of these documents."""
        work = Forgetting(documents)

        def run() -> None:
            for library in dict.fromkeys(name for name, _ in documents):
                paths = tuple(path for name, path in documents if name == library)
                work.gone += len(self._core.engine.forget(library, paths))
            work.done = True

        self._begin(work, lambda failed: self._lanes["reading"].submit(run, failed))

    def _begin(self, work: Work, start: Callable[[Callable[[LocalragError], None]], None]) -> None:
        def failed(error: LocalragError) -> None:
            work.error, work.done = error, True

        self.under_way.append(work)
        start(failed)

    def take(self) -> list[Work]:
        """What is done, and is not under way any more."""
        done = [work for work in self.under_way if work.done]
        self.under_way = [work for work in self.under_way if work not in done]
        return done

    def stop(self) -> bool:
        """Stop reading and keeping ready; False if neither goes on."""
        works = [work for work in self.under_way if not isinstance(work, Forgetting)]
        for work in works:
            work.stop.set()
        return bool(works)


def _keep(core: Core, work: Keeping, wanted: Callable[[], bool]) -> bool:
    """Go on keeping documents ready until all are done or somebody wants the model; True where nothing is left."""
    gave_way = False

    def stop() -> bool:
        nonlocal gave_way
        gave_way = gave_way or wanted()
        return gave_way or work.stop.is_set()

    work.running = True
    try:
        if work.left and not stop():
            for event in core.engine.warm(work.library, tuple(work.left), stop=stop):
                work.latest = event
                if event.state in ("kept", "no room", "not read"):
                    work.told.append(event)
                if event.share >= 1:
                    work.left = [path for path in work.left if path != event.piece.document.path]
    finally:
        work.running = False
    # What is still to be done where nobody stopped it is no longer in the library.
    return work.stop.is_set() or not gave_way or not work.left
