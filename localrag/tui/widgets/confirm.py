"""A question that is answered by y or n, in the place of what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static


class Confirm(Static, can_focus=True):
    """Hidden until it asks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="confirm")
        self._then: Callable[[bool], None] | None = None
        self.display = False

    def ask(self, words: Content, then: Callable[[bool], None]) -> None:
        """Ask, and call `then` with the answer; an earlier question counts as answered with no."""
        self.action_answer(False)
        self._then = then
        self.update(Content.assemble(words, (" (y/n)", "bold")))
        self.display = True
        self.focus()

    def action_answer(self, yes: bool) -> None:
        then, self._then = self._then, None
        self.display = False
        if then is not None:
            then(yes)

    def on_blur(self) -> None:
        self.action_answer(False)
