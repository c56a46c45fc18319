"""The keys, listed from the bindings themselves, so that the list cannot be wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from localrag.tui.commands import Command


def own_bindings(owner: Any) -> list[Binding]:
    """The bindings that a class of this app declares itself, one for each action."""
    return [binding for binding in owner.__dict__.get("BINDINGS", ()) if isinstance(binding, Binding)]


class HelpScreen(ModalScreen[None]):
    """A list of keys in groups, over whatever was on the screen; typing searches it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Clear the search, or close the help"),
        Binding("up", "scroll(-1)", "A line up"),
        Binding("down", "scroll(1)", "A line down"),
        Binding("pageup", "page(-1)", "A page up"),
        Binding("pagedown", "page(1)", "A page down"),
    ]

    def __init__(self, groups: Sequence[tuple[str, Any]], commands: Sequence[Command] = ()) -> None:
        super().__init__()
        self._groups = groups
        self._commands = commands
        self._search = Input(placeholder="Type to search: citation, export, stop …", id="help-search")
        self._search.cursor_blink = False
        self._list = Static(id="help-list")
        self._scroll = VerticalScroll(self._list, can_focus=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            yield Static(Content.styled("Keys and commands", "bold"))
            yield self._search
            yield self._scroll
            yield Static("↑ ↓ PgUp PgDn scroll · Esc or F1 closes", classes="quiet")

    def on_mount(self) -> None:
        self._search.focus()
        self._list.update(self.text())

    def on_input_changed(self) -> None:
        self._list.update(self.text(self._search.value))
        self._scroll.scroll_home(animate=False)

    def on_input_submitted(self) -> None:
        self.dismiss()

    def action_close(self) -> None:
        if self._search.value:
            self._search.value = ""
        else:
            self.dismiss()

    def action_scroll(self, lines: int) -> None:
        self._scroll.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        self.action_scroll(pages * max(1, self._scroll.size.height - 2))

    def text(self, search: str = "") -> Content:
        """The lines that have every word that is searched for, in their group or themselves."""
        words = search.lower().split()
        parts: list[str | tuple[str, str]] = []
        for title, lines in self._lines():
            found = [line for line in lines if all(word in f"{title} {' '.join(line)}".lower() for word in words)]
            if found:
                width = max(16, *(len(keys) for keys, _ in found))
                parts += [(f"{title}\n", "bold"), *(f"  {keys:<{width}} {does}\n" for keys, does in found), "\n"]
        return Content.assemble(*parts) if parts else Content("Nothing here has these words. Esc shows all again.")

    def _lines(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Groups with their lines: what is pressed or typed, and what it does."""
        for title, owner in self._groups:
            yield title, [(self._keys(binding), binding.description) for binding in own_bindings(owner)]
        if self._commands:
            typed = [(f"/{one.name} {one.takes}", one.does) for one in self._commands]
            yield "Commands, typed as a question", [*typed, ("@name", "Ask of this document only")]

    def _keys(self, binding: Binding) -> str:
        return ", ".join(self.app.get_key_display(single) for single in Binding.make_bindings([binding]))
