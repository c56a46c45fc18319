"""Reads a folder into a library: asks first, shows how far it is, says what was not read and why.

Esc stops it after the document at hand; what was read stays in the library.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from localrag.errors import Cancelled, LocalragError
from localrag.events import IngestProgress, IngestReport
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.install import size, spoken
from localrag.tui.jobs import deliver
from localrag.tui.reading import at_hand, remarks
from localrag.tui.widgets.progress import ProgressLine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

# As measured (benchmarks/README.md): 169 pages of contracts in 7 s on an idle processor with AMX, 1,037 pages of
# reports in 570 s on two busy cores; recognising text in a picture takes some seconds a page.
PACE = (
    "As measured, 100 pages take between 5 seconds and a minute, scans some seconds a page. The time left is shown as "
    "soon as the first files are read."
)
Step = Literal["counting", "asking", "reading", "done", "nothing"]
HINTS: dict[Step, str] = {
    "counting": "Esc goes back",
    "asking": "y reads them · n goes back",
    "reading": "Esc stops; what was read stays",
    "done": "Enter opens the conversation",
    "nothing": "Esc goes back",
}


class IngestScreen(Screen[str | None]):
    """The result is the library's name, or None if nothing was read."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Read the files"),
        Binding("n", "no", "Do not read them"),
        Binding("enter", "open", "Open the conversation"),
        Binding("escape", "stop", "Stop, or go back"),
    ]

    class Looked(Message):
        """What the folder is: read into `library` already, or to be read with so many files."""

        def __init__(self, library: str, files: int | None, bytes: int = 0, seconds: float | None = None) -> None:
            super().__init__()
            self.library = library
            self.files = files
            self.bytes = bytes
            self.seconds = seconds

    class Finished(Message):
        def __init__(self, report: IngestReport | None, error: LocalragError | None = None) -> None:
            super().__init__()
            self.report = report
            self.error = error

    def __init__(self, core: Core, folder: Path, clock: Callable[[], float]) -> None:
        super().__init__()
        self._core = core
        self._folder = folder
        self._library = ""
        self._step: Step = "counting"
        self._stop = threading.Event()
        self._latest: IngestProgress | None = None
        self._words = Static(id="ingest-words")
        self._bar = ProgressLine(clock)
        self._file = Static(id="ingest-file", classes="quiet")
        self._hint = Static(classes="quiet")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(str(self._folder)), "bold"), classes="dialog-title")
            with VerticalScroll():
                yield self._words
                yield self._bar
                yield self._file
            yield self._hint

    def on_mount(self) -> None:
        self._go("counting", Content("Looking through the folder …"))
        # The core reports thousands of times; the screen looks ten times a second.
        self.set_interval(0.1, self._draw_progress)
        self.app.lanes["reading"].submit(self._look, self._failed)

    def stop_reading(self) -> bool:
        """Stop the ingest that is running; False if there is none."""
        if self._step != "reading" or self._stop.is_set():
            return False
        self._stop.set()
        self._words.update(Content("Stopping after this document …"))
        return True

    def on_ingest_screen_looked(self, message: Looked) -> None:
        self._library = message.library
        if message.files is None:
            self.dismiss(message.library)
        elif message.files:
            files = f"{message.files:,} file{'' if message.files == 1 else 's'}"
            self._go(
                "asking",
                Content(
                    f"Read {files} into a library named {clean_line(self._library)}? (y/n)\n\n"
                    f"{size(message.bytes)} in all. {_pace(message.seconds)}"
                ),
            )
        else:
            self._go("nothing", Content("There is no file in this folder that localrag can read."))

    def action_yes(self) -> None:
        if self._step != "asking":
            return
        self._go("reading", Content(f"Reading into the library {clean_line(self._library)}"))
        self._bar.say("Getting ready to read; this takes some seconds …")
        self.app.lanes["reading"].submit(self._read, self._failed)

    def action_no(self) -> None:
        if self._step in ("asking", "nothing"):
            self.dismiss(None)

    def action_open(self) -> None:
        if self._step == "done":
            self.dismiss(self._library)

    def action_stop(self) -> None:
        if self._step in ("counting", "asking", "nothing"):
            self.dismiss(None)
        else:
            self.stop_reading()

    def _look(self) -> None:
        found = self._core.engine.look_at(self._folder)
        deliver(self, self.Looked(found.library, None if found.known else found.files, found.bytes, found.seconds))

    def _read(self) -> None:
        for told in self._core.engine.ingest(self._library, self._folder, stop=self._stop.is_set):
            if isinstance(told, IngestReport):
                deliver(self, self.Finished(told))
            else:
                self._latest = told

    def _failed(self, error: LocalragError) -> None:
        deliver(self, self.Finished(None, error))

    def _draw_progress(self) -> None:
        progress = self._latest
        if self._step != "reading" or progress is None or self._stop.is_set():
            return
        if progress.total:
            self._bar.advance("Reading", progress.done, progress.total, "files")
        self._file.update(Content(at_hand(progress)))

    def on_ingest_screen_finished(self, message: Finished) -> None:
        self._bar.finish()
        self._file.update(Content())
        if isinstance(message.error, Cancelled) and self._stop.is_set():
            self._go("nothing", Content("Stopped. Nothing was read."))
        elif message.error is not None:
            self._go("nothing", error_content(message.error))
        elif message.report is not None:
            self._tell(message.report)

    def _tell(self, report: IngestReport) -> None:
        lines = remarks(report)
        if report.complete and not lines and (report.read or report.unchanged):
            self.dismiss(self._library)
            return
        held = len(report.read) + report.unchanged
        head = "" if report.complete else "Stopped. "
        head += f"{held:,} document{'' if held == 1 else 's'} in the library {clean_line(self._library)}."
        self._go("done" if held else "nothing", Content("\n".join([head, *lines])))

    def _go(self, step: Step, words: Content) -> None:
        self._step = step
        self._words.update(words)
        self._hint.update(HINTS[step])


def _pace(seconds: float | None) -> str:
    """How long reading may take: as the last folder did here, else as it was measured elsewhere."""
    if seconds is None:
        return PACE
    return (
        f"At the pace of the folder read last on this machine, that takes about {spoken(seconds)}; scans take longer. "
        "The time left is shown as soon as the first files are read."
    )
