"""Two small questions over another screen: a line of text, and whether one is sure."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from localrag.tui.inert import clean_line


class LineScreen(ModalScreen[str | None]):
    """Asks for a line of text; None where the person went back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "done", "Take it"),
        Binding("escape", "dismiss(None)", "Go back"),
    ]

    def __init__(self, title: str, value: str) -> None:
        super().__init__()
        self._title = title
        self._field = Input(clean_line(value))
        self._field.cursor_blink = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(self._title), "bold"), classes="dialog-title")
            yield self._field
            yield Static("Enter takes it · Esc goes back", classes="quiet")

    def on_mount(self) -> None:
        self._field.focus()

    def on_input_submitted(self) -> None:
        self.action_done()

    def action_done(self) -> None:
        if self._field.value.strip():
            self.dismiss(self._field.value.strip())


class SureScreen(ModalScreen[bool]):
    """Asks whether something shall be done that cannot be taken back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, about: str) -> None:
        super().__init__()
        self._question = question
        self._about = about

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled(clean_line(self._question), "bold"), classes="dialog-title")
            yield Static(Content(clean_line(self._about)))
            yield Static("y does it · n or Esc goes back", classes="quiet")
