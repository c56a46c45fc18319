"""The line in which questions are typed, with the earlier ones a key away."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Input

from localrag.tui.inert import clean_line


class QuestionInput(Input):
    """An input line that remembers what was asked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Ask"),
        Binding("up", "earlier(-1)", "Earlier question"),
        Binding("down", "earlier(1)", "Later question"),
    ]

    def __init__(self) -> None:
        super().__init__(id="question", placeholder="Ask a question about the documents")
        # A blinking cursor redraws twice a second for ever, which is felt over SSH.
        self.cursor_blink = False
        self._asked: list[str] = []
        self._at = 0
        self._draft = ""

    def hint(self, text: str) -> None:
        """Words on the line's lower edge."""
        self.border_subtitle = text

    def take(self) -> str:
        """The question as typed; the line is emptied and remembers it."""
        question = self.value.strip()
        if not self._asked or self._asked[-1] != question:
            self._asked.append(question)
        self._at = len(self._asked)
        self._draft = ""
        self.value = ""
        return question

    def action_earlier(self, step: int) -> None:
        if self._at == len(self._asked):
            self._draft = self.value
        self._at = max(0, min(len(self._asked), self._at + step))
        self.value = self._draft if self._at == len(self._asked) else self._asked[self._at]
        self.cursor_position = len(self.value)

    def _on_paste(self, event: events.Paste) -> None:
        # Textual's own handler keeps the first line only and drops the rest without a word.
        event.prevent_default()
        event.stop()
        self.replace(clean_line(event.text), *self.selection)
