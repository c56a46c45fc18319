"""Dialogs: yes or no, a line of text, a file to write, the help; and the screens before the conversation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from localrag.errors import Cancelled, LocalragError, UsageError
from localrag.events import IngestProgress, IngestReport
from localrag.ingest import report as in_words
from localrag.security.offline import remote
from localrag.security.terminal import counted, size
from localrag.tui.commands import COMMANDS
from localrag.tui.text import clean, clean_line, error_content, error_line
from localrag.tui.threads import Core
from localrag.tui.widgets.library import current_file, marked
from localrag.tui.widgets.status import ProgressLine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

# As measured (benchmarks/README.md): 169 pages of contracts took 7 s on an idle processor with AMX, 1,037 pages of
# reports 570 s on two busy cores.
PACE = "100 pages take between 5 seconds and a minute; scans take some seconds a page."


def field(value: str = "", **given: Any) -> Input:
    """An input whose cursor does not blink, which would redraw twice a second."""
    made = Input(value, select_on_focus=False, **given)
    made.cursor_blink = False
    return made


def titled(title: str, *parts: Widget) -> Vertical:
    return Vertical(Static(Content.styled(clean_line(title), "bold"), classes="dialog-title"), *parts, classes="dialog")


class ConfirmScreen(ModalScreen[bool]):
    """Ask for a yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, about: str = "") -> None:
        super().__init__()
        self._question = question
        self._about = about

    def compose(self) -> ComposeResult:
        about = Static(Content(clean_line(self._about)))
        yield titled(self._question, about, Static("y yes · n or Esc no", classes="quiet"))


class InputScreen(ModalScreen[str | None]):
    """Ask for a line of text, which may be empty if it is `optional`; None if it was cancelled.

    Up and Down go through `choices`, or give the name of a file one of the `endings`; a file that exists must then be
    confirmed. `check` raises LocalragError if the text cannot be used.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "Previous choice, or format of a file"),
        Binding("down", "choose(1)", "Next choice, or format of a file"),
        Binding("tab", "complete", "Complete the path of a folder", priority=True),
        Binding("enter", "done", "Accept"),
        Binding("escape", "dismiss(None)", "Cancel"),
    ]

    HINT = "Enter accepts · Esc cancels"

    def __init__(
        self,
        title: str,
        about: str = "",
        value: str = "",
        *,
        choices: Sequence[str] = (),
        endings: Sequence[str] = (),
        optional: bool = False,
        check: Callable[[str], object] = str,
        suggester: Suggester | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._about = about
        self._choices = choices
        self._endings = endings
        self._optional = optional
        self._check = check
        self._field = field(clean_line(value), suggester=suggester)
        self._problem = Static()
        self._replacing = ""

    def compose(self) -> ComposeResult:
        choices = " ".join(one or "not set" for one in self._choices or self._endings)
        offered = Static(Content(f"↑ ↓ choose: {choices}" if choices else ""), classes="quiet")
        hint = Static(self.HINT, classes="quiet")
        yield titled(self._title, Static(Content(clean(self._about))), self._field, self._problem, offered, hint)

    def on_mount(self) -> None:
        self._field.focus()

    def action_complete(self) -> None:
        self._field.action_cursor_right()

    def action_choose(self, step: int) -> None:
        value, path = self._field.value, Path(self._field.value)
        if self._choices:
            at = self._choices.index(value) if value in self._choices else -1
            self._field.value = self._choices[(at + step) % len(self._choices)]
        elif self._endings and path.name:
            at = self._endings.index(path.suffix) if path.suffix in self._endings else -1
            self._field.value = str(path.with_suffix(self._endings[(at + step) % len(self._endings)]))

    def on_input_changed(self) -> None:
        self._replacing = ""
        self._problem.update("")

    def on_input_submitted(self) -> None:
        self.action_done()

    def action_done(self) -> None:
        value = self._field.value.strip()
        if not value and not self._optional:
            return
        try:
            self._check(value)
        except LocalragError as error:
            self._problem.update(Content(f"! {error_line(error)}"))
            return
        if self._endings and Path(value).expanduser().exists() and value != self._replacing:
            self._replacing = value
            self._problem.update("! This file exists. Enter again replaces it.")
        else:
            self.dismiss(value)


def check_file(value: str) -> Path:
    """Return the path of a file that can be written."""
    path = Path(value).expanduser()
    from localrag.security import storage  # imports the database engine, which the app's first screen does not need

    storage.check_target(path)
    return path


async def export(
    app: LocalragApp,
    title: str,
    about: str,
    name: str,
    endings: Sequence[str],
    check: Callable[[Path], object],
    save: Callable[[Path], object],
    what: str,
    libraries: Iterable[str],
) -> None:
    """Ask for a file, `name` if nothing else is typed, and `save` to it, unless it was read into these libraries."""
    asked = InputScreen(title, about, name, endings=endings, check=lambda typed: check(check_file(typed)))
    if (typed := await app.push_screen_wait(asked)) is None:
        return
    with app.errors_shown("Not exported"):
        await app.threads["pages"].result(lambda: save(app.core.check_spared(check_file(typed), libraries)))
        app.notify(f"Wrote {what} to {clean_line(typed)}", timeout=10)


def check_folder(value: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_dir():
        raise UsageError(f"{value!r} is not a folder", "Give its folder." if path.is_file() else "Check the spelling.")
    return path


class FolderSuggester(Suggester):
    """Complete the path of a folder; hidden ones only if their dot is typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        from localrag.ingest import scan

        return next(iter(scan.folders_beginning(value)), None) if value else None


def own_bindings(owner: Any) -> list[Binding]:
    """The bindings that a class declares itself."""
    return [binding for binding in owner.__dict__.get("BINDINGS", ()) if isinstance(binding, Binding) and binding.show]


class HelpScreen(ModalScreen[None]):
    """The keys, listed from the bindings, and the commands."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Close the help")]

    def __init__(self, groups: Sequence[tuple[str, Any]], with_commands: bool) -> None:
        super().__init__()
        self._groups = groups
        self._with_commands = with_commands

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            yield Static(Content.styled("Keys and commands", "bold"))
            with VerticalScroll():
                yield Static(self.text())
            yield Static("↑ ↓ PgUp PgDn scroll · Ctrl+P searches · Esc or F1 closes", classes="quiet")

    def text(self) -> Content:
        parts: list[str | tuple[str, str]] = []
        for title, lines in self._lines():
            width = max(16, *(len(keys) for keys, _ in lines))
            parts += [(f"{title}\n", "bold"), *(f"  {keys:<{width}} {does}\n" for keys, does in lines), "\n"]
        return Content.assemble(*parts)

    def _lines(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Groups with their lines: what to press or type, and what it does."""
        for title, owner in self._groups:
            yield title, [(self._keys(binding), binding.description) for binding in own_bindings(owner)]
        if self._with_commands:
            typed = [(f"/{one.name} {one.takes}", one.does) for one in COMMANDS]
            yield "Commands, typed as a question", [*typed, ("@name", "Ask this document only")]

    def _keys(self, binding: Binding) -> str:
        return ", ".join(self.app.get_key_display(single) for single in Binding.make_bindings([binding]))


class ChooseScreen(Screen[str]):
    """Choose a library; the result is its name, or "" to read another folder."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.quit", "Quit")]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names
        self._list = OptionList(*(Content(clean_line(name)) for name in names), Content("Read another folder …"))

    def compose(self) -> ComposeResult:
        yield titled("Which library?", self._list, Static("↑ ↓ and Enter choose · Esc quits", classes="quiet"))

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = 0

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        at = message.option_index
        self.dismiss(self._names[at] if at < len(self._names) else "")


def welcome(first: bool) -> InputScreen:
    """Say what localrag does and ask for a folder."""
    there = ", ".join(map(str, remote.reachable()))
    reach = f"It reaches {there}, and nothing else." if there else "Nothing leaves this machine."
    return InputScreen(
        "Welcome to localrag" if first else "Read a folder",
        "localrag answers questions about your documents and shows the page and the words behind each answer. It reads "
        f"a folder once into a library. {reach}\n\n"
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
        yield titled(str(self._folder), VerticalScroll(self._words, self._bar, self._file), self._hint)

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
        hint = Static("r looks again · Esc continues without a model", classes="quiet")
        yield titled("A model is needed to answer", Static(words), hint)
