"""The screens before the conversation: choose a library, name a folder, read it, learn how to install a model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static

from localrag.errors import Cancelled, LocalragError
from localrag.events import IngestProgress, IngestReport
from localrag.ingest import report as in_words
from localrag.security.offline import remote
from localrag.security.terminal import counted, size
from localrag.tui.screens.dialogs import ConfirmScreen, FolderSuggester, InputScreen, check_folder
from localrag.tui.text import clean_line, error_content
from localrag.tui.threads import Core
from localrag.tui.widgets.library import current_file, marked
from localrag.tui.widgets.status import ProgressLine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

# As measured (benchmarks/README.md): 169 pages of contracts took 7 s on an idle processor with AMX, 1,037 pages of
# reports 570 s on two busy cores.
PACE = "100 pages take between 5 seconds and a minute; scans take some seconds a page."


class ChooseScreen(Screen[str]):
    """Choose a library; the result is its name, or "" to read another folder."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.quit", "Quit")]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names
        self._list = OptionList(*(Content(clean_line(name)) for name in names), Content("Read another folder …"))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled("Which library?", "bold"), classes="dialog-title")
            yield self._list
            yield Static("↑ ↓ and Enter choose · Esc quits", classes="quiet")

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = 0

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        at = message.option_index
        self.dismiss(self._names[at] if at < len(self._names) else "")


def _reach() -> str:
    there = ", ".join(map(str, remote.reachable()))
    return f"It reaches {there}, and nothing else." if there else "Nothing leaves this machine."


def welcome(first: bool) -> InputScreen:
    """Say what localrag does and ask for a folder."""
    return InputScreen(
        "Welcome to localrag" if first else "Read a folder",
        "localrag answers questions about your documents and shows the page and the words behind each answer. It reads "
        f"a folder once into a library. {_reach()}\n\n"
        + ("There is no library yet. " if first else "")
        + "Which folder holds the documents? Tab completes. You are asked before anything is read.\n",
        suggester=FolderSuggester(),
        check=check_folder,
    )


class IngestScreen(Screen[str | None]):
    """Read a folder after a yes; the result is the library's name, or None if nothing was read."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open the conversation"),
        Binding("escape", "stop", "Stop, or go back"),
    ]

    def __init__(self, core: Core, folder: Path) -> None:
        super().__init__()
        self._core = core
        self._folder = folder
        self._library: str | None = None  # once something was read into it
        self._stop: threading.Event | None = None  # while the folder is read
        self._latest: IngestProgress | None = None
        self._words = Static("Looking through the folder …")
        self._bar = ProgressLine()
        self._file = Static(classes="quiet")
        self._hint = Static("Esc goes back", classes="quiet")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(str(self._folder)), "bold"), classes="dialog-title")
            with VerticalScroll():
                yield from (self._words, self._bar, self._file)
            yield self._hint

    def on_mount(self) -> None:
        self.set_interval(0.1, self._draw_progress)  # the engine reports thousands of times
        self._run()

    @work
    async def _run(self) -> None:
        thread, engine = self.app.threads["reading"], self._core.engine
        try:
            found = await thread.result(lambda: engine.look_at(self._folder))
            if found.known:
                self.dismiss(found.library)
            elif not found.files:
                self._words.update("There is no file in this folder that localrag can read.")
            else:
                question = f"Read {counted(found.files, 'file')} into a library named {found.library}?"
                if not await self.app.push_screen_wait(ConfirmScreen(question, f"{size(found.bytes)}. {PACE}")):
                    self.dismiss(None)
                    return
                self._stop = threading.Event()
                self._words.update(Content(f"Reading into the library {clean_line(found.library)}"))
                self._bar.say("Preparing to read …")
                self._hint.update("Esc stops; what was read is kept")
                self._finish(found.library, await thread.result(lambda: self._read(found.library)))
        except LocalragError as error:
            stopped = isinstance(error, Cancelled) and self._stop is not None and self._stop.is_set()
            self._end(Content("Stopped. Nothing was read.") if stopped else error_content(error))

    def _read(self, library: str) -> IngestReport | None:
        assert self._stop is not None
        report = None
        for event in self._core.engine.ingest(library, self._folder, stop=self._stop.is_set):
            if isinstance(event, IngestReport):
                report = event
            else:
                self._latest = event
        return report

    def _finish(self, library: str, report: IngestReport | None) -> None:
        lines = marked(in_words.not_read(report)) if report is not None else []
        held = len(report.read) + report.unchanged if report is not None else 0
        self._library = library if held else None
        if report is not None and report.complete and held and not lines:
            self.dismiss(library)
            return
        head = "" if report is not None and report.complete else "Stopped. "
        self._end(
            Content("\n".join([f"{head}{counted(held, 'document')} in the library {clean_line(library)}.", *lines]))
        )

    def _end(self, words: Content) -> None:
        self._stop = None
        self._bar.finish()
        self._file.update("")
        self._words.update(words)
        self._hint.update("Enter opens the conversation" if self._library else "Esc goes back")

    def _draw_progress(self) -> None:
        progress = self._latest
        if self._stop is None or self._stop.is_set() or progress is None:
            return
        if progress.total:
            self._bar.advance("Reading", progress.done, progress.total, "files")
        self._file.update(Content(current_file(progress)))

    def stop_work(self) -> bool:
        """Stop reading; False if nothing is being read."""
        if self._stop is None or self._stop.is_set():
            return False
        self._stop.set()
        self._words.update("Stopping after this document …")
        return True

    def action_open(self) -> None:
        if self._library:
            self.dismiss(self._library)

    def action_stop(self) -> None:
        if self._stop is None:
            self.dismiss(self._library)
        else:
            self.stop_work()


class NoModelScreen(Screen[bool]):
    """Say how to install a model; True to look for it again, False to continue without one."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "dismiss(True)", "Look again for installed models"),
        Binding("escape", "dismiss(False)", "Continue without a model"),
    ]

    def compose(self) -> ComposeResult:
        words = (
            "In another terminal:\n\n    localrag models install\n\nIt takes the model that suits this machine, "
            "and the one that finds passages. Nothing else uses the network. From a file: localrag models import FILE."
        )
        with Vertical(classes="dialog"):
            yield Static(Content.styled("A model is needed to answer", "bold"), classes="dialog-title")
            yield Static(words)
            yield Static("r looks again · Esc continues without a model", classes="quiet")
