"""The keys, listed from the bindings themselves, so that the list cannot be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from localrag.tui.commands import Command


def own_bindings(owner: Any) -> list[Binding]:
    """The bindings that a class of this app declares itself, one for each action."""
    return [binding for binding in owner.__dict__.get("BINDINGS", ()) if isinstance(binding, Binding)]


class HelpScreen(ModalScreen[None]):
    """A list of keys in groups, over whatever was on the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "Close the help")]

    def __init__(self, groups: Sequence[tuple[str, Any]], commands: Sequence[Command] = ()) -> None:
        super().__init__()
        self._groups = groups
        self._commands = commands

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog tall"):
            yield Static(Content.styled("Keys", "bold"), classes="dialog-title")
            with VerticalScroll():
                yield Static(self.text())
            yield Static("Esc closes", classes="quiet")

    def text(self) -> Content:
        lines: list[str | Content | tuple[str, str]] = []
        for title, owner in self._groups:
            bindings = own_bindings(owner)
            if bindings:
                lines.append((f"{title}\n", "bold"))
                lines += [f"  {self._keys(binding):<16} {binding.description}\n" for binding in bindings]
                lines.append("\n")
        if self._commands:
            lines.append(("Commands, typed as a question\n", "bold"))
            lines += [f"  {f'/{one.name} {one.takes}':<20} {one.does}\n" for one in self._commands]
            lines.append("  @name                Ask of this document only\n")
        return Content.assemble(*lines)

    def _keys(self, binding: Binding) -> str:
        return ", ".join(self.app.get_key_display(single) for single in Binding.make_bindings([binding]))
