"""The small screens before the conversation: which library, no library yet, no model yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from localrag.errors import LocalragError
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import deliver
from localrag.tui.talk import look_at

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

CHOICES = 4


class ChooseScreen(Screen[str]):
    """Pick one of several libraries; the result is its name, or "" to read another folder."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.quit", "Quit")]

    class Counted(Message):
        def __init__(self, at: int, words: str) -> None:
            super().__init__()
            self.at = at
            self.words = words

    def __init__(self, core: Core, names: Sequence[str]) -> None:
        super().__init__()
        self._core = core
        self._names = names
        self._list = OptionList(*(Content(clean_line(name)) for name in names), Content("Read another folder …"))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall"):
            yield Static(Content.styled("Which library?", "bold"), classes="dialog-title")
            yield self._list
            yield Static("↑ ↓ and Enter choose · Esc quits", classes="quiet")

    def on_mount(self) -> None:
        self._list.focus()
        self._list.highlighted = 0
        for at, name in enumerate(self._names):
            self._count(at, name)

    def _count(self, at: int, name: str) -> None:
        def count() -> None:
            number, _ = look_at(self._core, [name])
            deliver(self, self.Counted(at, f"{number:,} document{'' if number == 1 else 's'}"))

        self.app.lanes["pages"].submit(
            count, lambda error: deliver(self, self.Counted(at, f"cannot be opened: {error.message}"))
        )

    def on_choose_screen_counted(self, message: Counted) -> None:
        line = f"{clean_line(self._names[message.at])}  ({clean_line(message.words)})"
        self._list.replace_option_prompt_at_index(message.at, Content(line))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        at = message.option_index
        self.dismiss(self._names[at] if at < len(self._names) else "")


class WelcomeScreen(Screen[Path]):
    """No library yet: says what one is and takes a folder."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.quit", "Quit")]

    def __init__(self, first: bool) -> None:
        super().__init__()
        self._first = first

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            title = "Welcome to localrag" if self._first else "Read a folder"
            yield Static(Content.styled(title, "bold"), classes="dialog-title")
            yield Static(
                "localrag answers questions about your documents and shows the page and the words that each "
                "answer rests on. It reads a folder once into a library. Nothing leaves this machine.\n\n"
                + ("There is no library yet. " if self._first else "")
                + "Which folder holds the documents?"
            )
            yield Input(placeholder="~/Documents/contracts", id="folder")
            yield Static(id="folder-problem")
            yield Static(
                "Enter goes on (you are asked before anything is read) · Esc quits\n"
                "The same from the command line: localrag ingest FOLDER",
                classes="quiet",
            )

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.cursor_blink = False
        field.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        typed = message.value.strip()
        if not typed:
            return
        folder = Path(typed).expanduser()
        if folder.is_dir():
            self.dismiss(folder)
            return
        problem = "is a file; give the folder it lies in" if folder.is_file() else "is not there; check the spelling"
        self.query_one("#folder-problem", Static).update(Content(f"! {clean_line(typed)} {problem}."))


class NoModelScreen(Screen[bool]):
    """No model installed: says what to type. True to look for it again, False to go on without."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "dismiss(True)", "Look again"),
        Binding("escape", "dismiss(False)", "Go on without a model"),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self, error: LocalragError, choices: Sequence[tuple[str, int]]) -> None:
        super().__init__()
        self._error = error
        self._choices = choices[:CHOICES]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled("A model is needed to answer", "bold"), classes="dialog-title")
            yield Static(error_content(self._error))
            yield Static(
                Content.assemble(
                    "\nIn another terminal, the only command that uses the network:\n\n",
                    ("  localrag models install\n\n", "bold"),
                    "It takes the best that can be had and fits this machine, or one that you name:\n",
                    *(f"  localrag models install {id}  ({_size(bytes)})\n" for id, bytes in self._choices),
                    "\nWithout network: `localrag models import FILE`, exported on another machine.",
                )
            )
            yield Static("r looks again · Esc goes on without · q quits", classes="quiet")


def _size(bytes: int) -> str:
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.0f} MB"
