"""The screens before the conversation: choose a library, name a folder, read it, install a model.

No screen reaches the network. Models are installed by another process (`cli/installer.py`), after a yes.
"""

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
from localrag.security.terminal import counted, duration, size
from localrag.tui.lanes import Core, Installer, InstallProgress
from localrag.tui.screens.dialogs import ConfirmScreen, FolderSuggester, InputScreen, check_folder
from localrag.tui.text import clean_line, error_content
from localrag.tui.widgets.library import current_file, unread_lines
from localrag.tui.widgets.status import ProgressLine
from localrag.worker.engine import ModelOffer

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

EMBEDDER = "all-minilm-l6-v2"  # finds passages; no library can be made without it
LINE_SPEED = 12_500_000  # bytes a second at 100 Mbit/s
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


def welcome(first: bool) -> InputScreen:
    """Say what localrag does and ask for a folder."""
    return InputScreen(
        "Welcome to localrag" if first else "Read a folder",
        "localrag answers questions about your documents and shows the page and the words behind each answer. It reads "
        "a folder once into a library. Nothing leaves this machine.\n\n"
        + ("There is no library yet. " if first else "")
        + "Which folder holds the documents? Tab completes. You are asked before anything is read.\n",
        suggester=FolderSuggester(), check=check_folder,
    )  # fmt: skip


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
        lane, engine = self.app.lanes["reading"], self._core.engine
        try:
            found = await lane.result(lambda: engine.look_at(self._folder))
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
                self._finish(found.library, await lane.result(lambda: self._read(found.library)))
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
        lines = unread_lines(report) if report is not None else []
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


CHOOSE_HINT = (
    "↑ ↓ choose · Enter installs, after a yes · r looks again · Esc continues without a model\n"
    "From a file, without a network: localrag models import FILE, then r"
)


class NoModelScreen(Screen[bool]):
    """Choose and install a model; True to look for it again, False to continue without one."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "dismiss(True)", "Look again for installed models"),
        Binding("escape", "escape", "Stop, or continue without a model"),
    ]

    def __init__(self, core: Core, installer: Installer | None) -> None:
        super().__init__()
        self._core = core
        self._installer = installer
        self._offers: Sequence[ModelOffer] = ()
        self._stop: threading.Event | None = None  # while a model is installed
        self._latest: InstallProgress | None = None
        self._list = OptionList(id="offers")
        self._about = Static("Looking for models that fit this machine …", id="offer")
        self._bar = ProgressLine()
        self._line = Static(id="install-line")
        self._hint = Static(CHOOSE_HINT, classes="quiet")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled("A model is needed to answer", "bold"), classes="dialog-title")
            yield from (self._list, self._about, self._bar, self._line, self._hint)

    def on_mount(self) -> None:
        self.set_interval(0.2, self._draw_progress)
        self._list.focus()
        self._look()

    @work
    async def _look(self) -> None:
        try:
            self._offers = await self.app.lanes["pages"].result(self._core.engine.model_choices)
        except LocalragError as error:
            self._about.update(error_content(error))
            return
        for offer in self._offers:
            note = "  (installed)" if offer.installed else "  ← suggested" if offer.suggested else ""
            self._list.add_option(Content(f"{offer.id:<30} {size(offer.bytes):>7}  {offer.licence}{note}"))
        if self._offers:
            self._list.highlighted = next((at for at, one in enumerate(self._offers) if one.suggested), 0)
        else:
            self._about.update("No known model fits this machine. Import a smaller one: localrag models import FILE")

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        offer = self._offers[message.option_index]
        self._line.update("")
        self._about.update(
            Content(
                f"{clean_line(offer.title)}, licence {clean_line(offer.licence)}. {clean_line(offer.note)}\n"
                f"Needs {size(offer.memory)} of memory. Downloading {size(offer.bytes)} from "
                f"{' or '.join(offer.sources)} takes about {duration(offer.bytes / LINE_SPEED)} at 100 Mbit/s. "
                f"An answer begins after about {duration(offer.seconds)} here (an estimate)."
            )
        )

    @work
    async def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        offer, installer = self._offers[message.option_index], self._installer
        command = f"localrag models install {offer.id}"
        if installer is None:
            self._line.update(Content(f"It cannot be installed from here. In another terminal: {command}, then r"))
            return
        about = (
            "With it comes the small model that finds passages (91 MB), if it is missing. This runs "
            f"`{command}` in a process of its own, the only one that may use the network. It sees no document and no "
            "question. Every file must have the known SHA-256."
        )
        if await self.app.push_screen_wait(ConfirmScreen(f"Install {offer.id} ({size(offer.bytes)})?", about)):
            await self._install(offer, installer)

    async def _install(self, offer: ModelOffer, installer: Installer) -> None:
        stop = self._stop = threading.Event()
        self._list.disabled, self._latest = True, None
        self._about.update(Content(f"Installing {offer.id} …"))
        self._hint.update("Esc stops; nothing half installed is left")

        def install() -> None:
            for progress in installer((EMBEDDER, offer.id), stop.is_set):
                self._latest = progress

        try:
            await self.app.lanes["reading"].result(install)
        except LocalragError as error:
            self._about.update("" if stop.is_set() else error_content(error))
            self._line.update("Stopped. Nothing half installed is left." if stop.is_set() else "")
        else:
            self.dismiss(True)
            return
        self._stop, self._list.disabled = None, False
        self._bar.finish()
        self._hint.update(CHOOSE_HINT)
        self._list.focus()

    def _draw_progress(self) -> None:
        latest = self._latest
        if self._stop is None or self._stop.is_set() or latest is None:
            return
        if latest.total:
            done, total = latest.done // 10**6, latest.total // 10**6
            self._bar.advance(f"Downloading {clean_line(latest.text)}", done, total, "MB")
        else:
            self._bar.finish()
            self._line.update(Content(clean_line(latest.text)))

    def stop_work(self) -> bool:
        """Stop the installation; False if there is none."""
        if self._stop is None or self._stop.is_set():
            return False
        self._stop.set()
        self._line.update("Stopping …")
        return True

    def action_escape(self) -> None:
        if self._stop is None:
            self.dismiss(False)
        else:
            self.stop_work()
