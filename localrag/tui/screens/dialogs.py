"""Dialogs over another screen: yes or no, a line of text, a file to write, and the help."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from localrag.errors import LocalragError, UsageError
from localrag.tui.commands import COMMANDS
from localrag.tui.text import clean, clean_line, error_line

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp


def field(value: str = "", **given: Any) -> Input:
    """An input whose cursor does not blink, which would redraw twice a second."""
    made = Input(value, select_on_focus=False, **given)
    made.cursor_blink = False
    return made


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
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(self._question), "bold"), classes="dialog-title")
            yield Static(Content(clean_line(self._about)))
            yield Static("y yes · n or Esc no", classes="quiet")


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
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(self._title), "bold"), classes="dialog-title")
            yield Static(Content(clean(self._about)))
            yield self._field
            yield self._problem
            choices = " ".join(one or "not set" for one in self._choices or self._endings)
            yield Static(Content(f"↑ ↓ choose: {choices}" if choices else ""), classes="quiet")
            yield Static(self.HINT, classes="quiet")

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
    """Return the path of a folder."""
    path = Path(value).expanduser()
    if not path.is_dir():
        raise UsageError(f"{value!r} is not a folder", "Give its folder." if path.is_file() else "Check the spelling.")
    return path


class FolderSuggester(Suggester):
    """Complete the path of a folder; hidden ones only if their dot is typed."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        above, _, begun = value.rpartition("/")
        folder = Path(f"{above}/" if above or value.startswith("/") else ".").expanduser()
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir())
        except OSError:
            return None
        for name in names:
            if value and name.startswith(begun) and name.isprintable() and (begun or not name.startswith(".")):
                return f"{value[: len(value) - len(begun)]}{name}/"
        return None


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
