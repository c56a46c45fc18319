"""What goes on with libraries in the background: folders being read, documents being kept ready, and what came of it.

Folders are read in the "reading" lane. Keeping ready shares the model, so it runs behind everything else of its lane
and gives way at once (`Lane.behind`). The core reports far more often than anybody looks: what it says last is drawn
ten times a second, by a timer that stands still while nothing goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from localrag.errors import Cancelled, LocalragError
from localrag.reports import IngestProgress, IngestReport, Warmed
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import deliver
from localrag.tui.reading import at_hand, kept_up, summed_up
from localrag.tui.shelves import Name
from localrag.tui.widgets.progress import ProgressLine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

EVERY = 0.1


@dataclass(eq=False, slots=True)
class Reading:
    """Folders to be read into libraries, one after the other; the lane writes, the screen looks."""

    folders: list[tuple[str, Path]]
    stop: threading.Event = field(default_factory=threading.Event)
    at: int = 0
    latest: IngestProgress | None = None
    reports: list[IngestReport] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Keeping:
    """Documents of a library to be kept ready, with their tokens, and how far it is; the lane writes."""

    library: str
    tokens: dict[str, int]
    left: list[str]
    stop: threading.Event = field(default_factory=threading.Event)
    running: bool = False
    latest: Warmed | None = None
    told: list[Warmed] = field(default_factory=list)

    def progress(self) -> tuple[int, int]:
        """Tokens done of all."""
        total = sum(self.tokens.values())
        done = total - sum(self.tokens[path] for path in tuple(self.left))
        if (latest := self.latest) is not None and latest.share < 1:
            done += int(latest.share * self.tokens.get(latest.piece.document.path, 0))
        return min(done, total), total


class LibraryWork(Vertical):
    """A line for each thing that goes on, and below it what came of those before."""

    app: LocalragApp

    class Advanced(Message):
        """`working` are the documents at hand, and how much of each is done, in percent."""

        def __init__(self, working: dict[Name, int]) -> None:
            super().__init__()
            self.working = working

    class Changed(Message):
        """Libraries hold something else now, or more of it is kept ready."""

    class Ended(Message):
        """Something that went on has come to its end."""

        def __init__(self, work: Reading | Keeping, error: LocalragError | None = None) -> None:
            super().__init__()
            self.work = work
            self.error = error

    class Said(Message):
        """Something was done, or could not be."""

        def __init__(self, words: Content) -> None:
            super().__init__()
            self.words = words

    def __init__(self, core: Core, clock: Callable[[], float]) -> None:
        super().__init__(id="library-work")
        self._core = core
        self._reading: Reading | None = None
        self._keeping: list[Keeping] = []
        self._working: dict[Name, int] = {}
        self._bar = ProgressLine(clock)
        self._file = Static(classes="quiet")
        self._warm_bar = ProgressLine(clock)
        self._said = Static(id="library-said")
        self._scroll = VerticalScroll(self._said, id="library-said-scroll")
        self._timer: Timer | None = None
        self.display = self._file.display = self._scroll.display = False

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._file
        yield self._warm_bar
        yield self._scroll

    def on_mount(self) -> None:
        self._timer = self.set_interval(EVERY, self._draw, pause=True)

    def on_unmount(self) -> None:
        self.stop()

    @property
    def busy(self) -> bool:
        return self._reading is not None or bool(self._keeping)

    # --- beginning and ending -------------------------------------------------------------------------------

    def read(self, folders: Sequence[tuple[str, Path]]) -> bool:
        """Bring libraries level with folders; False if a reading goes on already."""
        if self._reading is not None or not folders:
            return False
        work = self._reading = Reading(list(folders))
        self._bar.say("Getting ready to read …")
        self._begin()

        def run() -> None:
            for at, (library, folder) in enumerate(work.folders):
                work.at = at
                if work.stop.is_set():
                    break
                for told in self._core.engine.ingest(library, folder, stop=work.stop.is_set):
                    if isinstance(told, IngestReport):
                        work.reports.append(told)
                    else:
                        work.latest = told
            deliver(self, self.Ended(work))

        self.app.lanes["reading"].submit(run, lambda error: deliver(self, self.Ended(work, error)))
        return True

    def keep(self, library: str, documents: Sequence[tuple[str, int]]) -> None:
        """Have the model read documents (path and tokens) and keep them ready, those being done before these."""
        work = Keeping(library, dict(documents), [path for path, _ in documents])
        self._keeping.append(work)
        self._warm_bar.say("Waiting for the model …")
        self._begin()

        def run(wanted: Callable[[], bool]) -> bool:
            if finished := _keep(self._core, work, wanted):
                deliver(self, self.Ended(work))
            return finished

        self.app.lanes["model"].behind(run, lambda error: deliver(self, self.Ended(work, error)))

    def forget(self, documents: Sequence[Name]) -> None:
        """Delete what was read of these documents."""

        def run() -> None:
            gone = 0
            for library in sorted({name for name, _ in documents}):
                paths = [path for name, path in documents if name == library]
                gone += len(self._core.engine.forget(library, paths))
            words = f"What was read of {gone:,} document{'' if gone == 1 else 's'} is deleted."
            deliver(self, self.Said(Content(words)))

        self.app.lanes["reading"].submit(run, lambda error: deliver(self, self.Said(error_content(error))))

    def stop(self) -> bool:
        """Stop what goes on; False if nothing does."""
        works: list[Reading | Keeping] = [*([self._reading] if self._reading is not None else []), *self._keeping]
        for work in works:
            work.stop.set()
        if self._reading is not None:
            self._bar.say("Stopping after this document …")
        return bool(works)

    def clear(self) -> bool:
        """Take away what was said; False if nothing was."""
        shown = self._scroll.display
        self._scroll.display = False
        self.display = self.busy
        return shown

    def on_library_work_ended(self, message: Ended) -> None:
        message.stop()
        work, error = message.work, message.error
        lines: list[str] = []
        if isinstance(work, Reading):
            self._reading = None
            lines = [line for report in work.reports for line in summed_up(report)]
            self._bar.finish()
            self._file.display = False
        elif work in self._keeping:
            self._keeping.remove(work)
            lines = kept_up(work.library, work.told)
            if not self._keeping:
                self._warm_bar.finish()
        said = [Content("\n".join(["Stopped.", *lines] if work.stop.is_set() and not lines else lines))]
        if error is not None and not (isinstance(error, Cancelled) and work.stop.is_set()):
            said.append(error_content(error))
        self._tell(Content("\n").join([one for one in said if one.plain]))
        self._draw()
        self.post_message(self.Changed())

    def on_library_work_said(self, message: Said) -> None:
        message.stop()
        self._tell(message.words)
        self.post_message(self.Changed())

    def _tell(self, words: Content) -> None:
        self._said.update(words)
        self._scroll.display = bool(words.plain)
        self._scroll.scroll_home(animate=False)
        self.display = self.busy or self._scroll.display

    # --- drawing --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.display = True
        if self._timer is not None:
            self._timer.resume()

    def _draw(self) -> None:
        if not self.busy and self._timer is not None:
            self._timer.pause()
        working: dict[Name, int] = {}
        if self._reading is not None:
            self._draw_reading(self._reading)
        if self._keeping:
            working = self._draw_keeping(self._keeping[0])
        if working != self._working:
            self._working = working
            self.post_message(self.Advanced(dict(working)))

    def _draw_reading(self, work: Reading) -> None:
        if (now := work.latest) is None or work.stop.is_set():
            return
        if now.total:
            of = f" into {clean_line(work.folders[work.at][0])}" if len({name for name, _ in work.folders}) > 1 else ""
            self._bar.advance(f"Reading{of}", now.done, now.total, "files")
        self._file.display = True
        self._file.update(Content(at_hand(now)))

    def _draw_keeping(self, work: Keeping) -> dict[Name, int]:
        latest = work.latest
        if work.stop.is_set():
            self._warm_bar.say("Stopping …")
        elif not work.running or (latest is not None and latest.state == "waiting"):
            self._warm_bar.say(f"{len(work.left):,} to be kept ready; questions come first …")
        elif latest is None:
            self._warm_bar.say("Looking at what is to be kept ready …")
        else:
            self._warm_bar.advance("Keeping ready", *work.progress(), "tokens")
            if latest.share < 1:
                return {(work.library, latest.piece.document.path): int(latest.share * 100)}
        return {}


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
