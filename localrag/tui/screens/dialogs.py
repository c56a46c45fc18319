"""Which of several libraries?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static

from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.jobs import deliver
from localrag.tui.talk import look_at

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp


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
            number = look_at(self._core, [name]).documents
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
