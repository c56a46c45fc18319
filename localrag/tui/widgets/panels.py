"""The conversation and beside it the source of the citation that was chosen last; moves from citation to citation.

What is chosen stays chosen while the source is hidden. Where the keyboard should go back to the question, the screen
is told, because the question lies outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.source import SourcePane
from localrag.tui.widgets.source_deeds import SourceDeeds
from localrag.tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp
    from localrag.tui.widgets.answer import AnswerText


class Panels(SourceDeeds):
    """Conversation and source pane."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step(1)", "Next citation"),
        Binding("p", "step(-1)", "Previous citation"),
        Binding("enter", "enter", "From a citation to its source; there, back to the quote"),
    ]

    class Left(Message):
        """The keyboard has nothing more to do here."""

    def __init__(self, conversation: Conversation, source: SourcePane) -> None:
        super().__init__(source, id="panels")
        self.conversation = conversation
        self._chosen: CitationLine | None = None

    def compose(self) -> ComposeResult:
        yield self.conversation
        yield self.source

    @property
    def chosen(self) -> CitationLine | None:
        """The citation whose source is or was shown, while its answer is there."""
        return self._chosen if self._chosen is not None and self._chosen.is_attached else None

    def offer(self, view: TurnView) -> None:
        """Show the first source of a new answer, where there is room for it beside the conversation."""
        lines = view.query(CitationLine)
        focused = self.screen.focused
        if lines and self.screen.has_class("-wide") and not isinstance(focused, CitationLine) and not self.reading:
            self.choose(lines.first())

    def choose(self, line: CitationLine) -> None:
        """Show the source of a citation."""
        lines = self.conversation.citations()
        if (before := self.chosen) is not None:
            before.mark(False)
        self._chosen = line
        line.mark(True)
        self._show_source(True, line)
        others = [one.citation for one in lines if one.parent is line.parent and one is not line]
        self.source.open(line.citation, *self.conversation.place_of(line), others)

    def _show_source(self, shown: bool, seen: CitationLine | None = None) -> None:
        """Show or hide the source; the conversation stays where it was read, though it gets another size."""
        if self.source.display != shown:
            self.conversation.keep_place(seen)
            self.source.display = shown

    def read(self, library: str, document: str, page: int | None) -> None:
        """Show a page of a document that nothing was cited from, and put the keyboard there."""
        if (before := self.chosen) is not None:
            before.mark(False)
        self._show_source(True)
        self.source.read(library, document, page)
        self.source.focus_text()

    def on_citation_line_reached(self, message: CitationLine.Reached) -> None:
        self.choose(message.line)

    def on_answer_text_marker_clicked(self, message: AnswerText.MarkerClicked) -> None:
        turn = message.answer.parent
        for line in turn.query(CitationLine) if turn is not None else ():
            if line.citation.marker == message.marker:
                self.choose(line)
                return

    def on_citation_line_moved(self, message: CitationLine.Moved) -> None:
        self.step(message.step, focus=True)

    def step(self, step: int, focus: bool = False) -> bool:
        """Go to a neighbouring citation, over all answers; False if there is none at all.

        With `focus`, the keyboard goes along, and past the last citation out of the panels.
        """
        lines = self.conversation.citations()
        if not lines:
            return False
        if self._chosen is not None and self._chosen in lines:
            at = lines.index(self._chosen) + step
        else:
            at = _newest(lines) if step > 0 else len(lines) - 1
        if focus and at >= len(lines):
            self.post_message(self.Left())
            return True
        line = lines[max(0, min(len(lines) - 1, at))]
        if focus:
            line.focus(scroll_visible=False)
        else:
            self.choose(line)
        self.conversation.release_anchor()
        # The source pane may just have taken a part of the conversation's room.
        self.call_after_refresh(line.scroll_visible, animate=False)
        return True

    @property
    def reading(self) -> bool:
        """True while the keyboard is in the source."""
        return self.source.has_focus_within

    def focus_citation(self) -> None:
        """Put the keyboard on the chosen citation, or on the newest answer's first."""
        lines = self.conversation.citations()
        if lines:
            line = self._chosen if self._chosen in lines else lines[_newest(lines)]
            line.focus()

    def toggle(self) -> bool:
        """Show or hide the source; False if there is none to be shown."""
        if self.source.display:
            self.hide()
            return True
        if (line := self.chosen) is None:
            return self.step(1)
        self.choose(line)
        return True

    def hide(self) -> None:
        if self.reading:
            self.post_message(self.Left())
        self._show_source(False)
        if self._chosen is not None:
            self._chosen.mark(False)

    def forget(self) -> None:
        """Hide the source and choose nothing, since the conversation begins anew."""
        self.hide()
        self._chosen = None

    def on_resize(self) -> None:
        if self.source.display and (line := self.chosen) is not None:
            self.call_after_refresh(line.scroll_visible, animate=False)

    # --- keys -----------------------------------------------------------------------------------------------

    def action_step(self, step: int) -> None:
        self.step(step, focus=not self.reading)

    def action_enter(self) -> None:
        if self.reading:
            self.source.return_to_quote()
        else:
            self.source.focus_text()


def _newest(lines: Sequence[CitationLine]) -> int:
    """The place of the first citation of the newest answer that has any."""
    return next(at for at, line in enumerate(lines) if line.parent is lines[-1].parent)
