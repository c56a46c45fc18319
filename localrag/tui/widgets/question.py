"""The field in which questions are typed: several lines where wanted, with the earlier questions a key away.

It grows with what is typed, up to the height that the style sheet gives it, and scrolls from there on. What is pasted
is kept whole, but for control characters. Enter never types a line break; Ctrl+J always does, Shift+Enter and Alt+Enter
where the terminal tells them from Enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.binding import Binding, BindingType
from textual.keys import Keys
from textual.message import Message
from textual.widgets import TextArea

from localrag.tui.completing import Offer
from localrag.tui.inert import clean
from localrag.tui.widgets.completions import Completions

# Terminals without the newer key protocol send Alt+Enter like this, which Textual takes for a bare Enter.
cast(dict[str, Any], ANSI_SEQUENCES_KEYS).update({"\x1b\r": (Keys.ControlJ,), "\x1b\n": (Keys.ControlJ,)})

_ENTER = "enter"
_NEW_LINE = ("ctrl+j", "shift+enter", "alt+enter", "ctrl+enter", "shift+\r", "alt+\r")
# Keys of a text area that are the screen's here.
_NOT_HERE = {"f6", "f7", "ctrl+c,super+c", "pageup", "pagedown", "up", "down", "home,ctrl+a", "end,ctrl+e"}


class _Field(TextArea, inherit_bindings=False):
    """A text area without the keys that mean something else on the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,ctrl+a", "cursor_line_start", "Start of the line", show=False),
        Binding("end", "cursor_line_end", "End of the line", show=False),
        *(one for one in TextArea.BINDINGS if isinstance(one, Binding) and one.key not in _NOT_HERE),
    ]


class QuestionInput(_Field):
    """A field that remembers what was asked.

    Messages: `Submitted` on Enter, with nothing taken out of the field; `Changed` (of `TextArea`) as it is typed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Ask"),
        Binding("ctrl+j,shift+enter,alt+enter", "new_line", "New line"),
        Binding("up", "up", "Earlier question, from the first line"),
        Binding("down", "down", "Later question, from the last line"),
    ]

    class Submitted(Message):
        """The person has pressed Enter."""

    class Refused(Message):
        """The person has put a completion aside."""

        def __init__(self, offer: Offer) -> None:
            super().__init__()
            self.offer = offer

    def __init__(self, popup: Completions) -> None:
        super().__init__(
            id="question", placeholder="Ask a question about the documents", soft_wrap=True, tab_behavior="focus",
            highlight_cursor_line=False,
        )  # fmt: skip
        # A blinking cursor redraws twice a second for ever, which is felt over SSH.
        self.cursor_blink = False
        self._popup = popup
        self._asked: list[str] = []
        self._at = 0
        self._draft = ""

    @property
    def value(self) -> str:
        """What stands in the field."""
        return self.text

    @value.setter
    def value(self, text: str) -> None:
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def before_cursor(self) -> str:
        """What stands before the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def complete(self, offer: Offer) -> None:
        """Put a completion in the place of what was typed of it."""
        before = self.before_cursor[: offer.start].split("\n")
        self.replace(offer.text, (len(before) - 1, len(before[-1])), self.cursor_location)

    def hint(self, text: str) -> None:
        """Words on the field's lower edge."""
        self.border_subtitle = text

    def remember(self, earlier: Sequence[str]) -> None:
        """Put questions of earlier conversations, oldest first, before those asked here."""
        self._asked[:0] = earlier
        self._at += len(earlier)

    def take(self) -> str:
        """The question as typed; the field is emptied and remembers it."""
        question = self.value.strip()
        if not self._asked or self._asked[-1] != question:
            self._asked.append(question)
        self._at = len(self._asked)
        self._draft = ""
        self.value = ""
        return question

    def give_back(self, question: str) -> None:
        """Put a question into the field again, above what was typed meanwhile."""
        self.value = f"{question}\n{self.value}" if self.value.strip() else question

    def action_delete_to_start_of_line(self) -> None:
        """Delete to the start of the line as it was typed: of what was pasted, a row of the screen is no line."""
        row, column = self.cursor_location
        if column:
            self.delete((row, 0), (row, column))
        else:
            super().action_delete_to_start_of_line()

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_up(self) -> None:
        if self.navigator.is_first_wrapped_line(self.cursor_location):
            self._earlier(-1)
        else:
            self.action_cursor_up()

    def action_down(self) -> None:
        if self.navigator.is_last_wrapped_line(self.cursor_location):
            self._earlier(1)
        else:
            self.action_cursor_down()

    def _earlier(self, step: int) -> None:
        at = max(0, min(len(self._asked), self._at + step))
        if at == self._at:
            return
        if self._at == len(self._asked):
            self._draft = self.value
        self._at = at
        self.value = self._draft if at == len(self._asked) else self._asked[at]
        if step < 0:
            # At the end of the first line the next Up goes on to the question before.
            self.move_cursor((0, len(self.document[0])))

    async def _on_key(self, event: events.Key) -> None:
        if (offered := self._popup.chosen) is not None and event.key in ("up", "down", "tab", _ENTER, "escape"):
            event.stop()
            event.prevent_default()
            self._choose(event.key, offered)
            return
        # A text area types a line break on Enter before any binding is looked at.
        if event.key == _ENTER or event.key in _NEW_LINE:
            event.stop()
            event.prevent_default()
            self.action_submit() if event.key == _ENTER else self.action_new_line()
            return
        await super()._on_key(event)

    def _choose(self, key: str, offered: Offer) -> None:
        """A key while completions are offered."""
        if key in ("up", "down"):
            self._popup.move(-1 if key == "up" else 1)
            return
        if key == "escape":
            self.post_message(self.Refused(offered))
        else:
            self.complete(offered)
        self._popup.offer([], 0)
        if key == _ENTER and offered.whole:
            self.action_submit()

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert(clean(event.text))
