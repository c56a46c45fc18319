"""The conversation and beside it the source of the citation that was chosen last: moving from citation to citation,
copying a quote, opening its file.

What is chosen stays chosen while the source is hidden. Where the keyboard should go back to the question, the screen
is told, because the question lies outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message

from localrag import references
from localrag.errors import LocalragError
from localrag.offline import outside
from localrag.references import Form
from localrag.service.engine import Opened
from localrag.tui import viewing
from localrag.tui.inert import clean_line
from localrag.tui.jobs import Lane, deliver
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.source import SourcePane
from localrag.tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp
    from localrag.tui.widgets.answer import AnswerText

_COPIED: dict[Form, str] = {
    "text": "Copied: the quote with its reference.",
    "markdown": "Copied: the quote with its reference, as Markdown.",
    "words": "Copied: the quoted words.",
}


class Panels(Container):
    """Conversation and source pane."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step(1)", "Next citation"),
        Binding("p", "step(-1)", "Previous citation"),
        Binding("enter", "enter", "From a citation to its source; there, back to the quote"),
        Binding("left_square_bracket", "turn(-1)", "Page before the one shown"),
        Binding("right_square_bracket", "turn(1)", "Page after the one shown"),
        Binding("y", "copy('text')", "Copy the quote with its reference"),
        Binding("Y", "copy('markdown')", "Copy it as Markdown"),
        Binding("w", "copy('words')", "Copy the quoted words alone"),
        Binding("i", "picture", "The page as a picture, or as text"),
        Binding("o", "open_file", "Open the file at this page in the system's viewer"),
    ]

    class Viewed(Message):
        """A file was handed to a viewer, or could not be."""

        def __init__(self, said: str, error: LocalragError | None = None) -> None:
            super().__init__()
            self.said = said
            self.error = error

    class Left(Message):
        """The keyboard has nothing more to do here."""

    def __init__(self, conversation: Conversation, source: SourcePane) -> None:
        super().__init__(id="panels")
        self.conversation = conversation
        self.source = source
        self._chosen: CitationLine | None = None
        self._warned: Path | None = None  # a file that was not opened yet, because of what its viewer may do
        self._viewing = Lane("viewing")

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
        self.source.open(line.citation, lines.index(line) + 1, len(lines), others)

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

    def on_descendant_focus(self) -> None:
        self.set_class(self.has_focus_within, "-focused")

    def on_descendant_blur(self) -> None:
        # From one part to the other, the blur may be told after the focus.
        self.set_class(self.has_focus_within, "-focused")

    # --- keys -----------------------------------------------------------------------------------------------

    def action_step(self, step: int) -> None:
        self.step(step, focus=not self.reading)

    def action_enter(self) -> None:
        if self.reading:
            self.source.return_to_quote()
        else:
            self.source.focus_text()

    def action_turn(self, step: int) -> None:
        if not self.source.turn(step):
            self._tell("This is the last page." if step > 0 else "This is the first page.")

    def action_picture(self) -> None:
        """Change how sources are shown, and remember it."""
        if why_not := self.source.toggle_picture():
            self._tell(why_not, warning=True)
            return
        preferences = self.app.preferences
        knob = next(knob for knob in preferences.knobs if knob.name == "source_view")
        try:
            preferences.change(knob, "save", "picture" if self.source.as_picture else "text")
        except LocalragError as error:  # it holds for now all the same
            self._tell(f"{error.message}. {error.hint}", warning=True)

    def action_copy(self, form: Form) -> None:
        """Copy the quote through the terminal (OSC 52), which also reaches the person's own machine over SSH."""
        citation, opened = self.source.citation, self.source.opened
        if citation is None or not citation.quote:
            self._tell("Nothing is quoted here.")
            return
        self.app.copy_to_clipboard(references.quoted(citation, opened.document if opened else None, form))
        # tmux takes what programs copy only where it was told to.
        in_tmux = " In tmux, only with: set -s set-clipboard on" if os.environ.get("TMUX") else ""
        self._tell(_COPIED[form] + in_tmux)

    def action_open_file(self) -> None:
        self.source.when_opened(self._view)

    def _view(self, opened: Opened) -> None:
        file = Path(opened.file)
        if opened.state == "missing":
            self._tell(f"The file is no longer where it was: {file}", warning=True)
            return
        if viewing.reaches_out(file) and self._warned != file:
            self._warned = file
            self._tell(
                "What shows this file may load pictures it names from the network. Again: open it.", warning=True
            )
            return
        # Inside a mail or an archive, the pages are not those of the file.
        own = opened.document.path == (opened.document.file or opened.document.path)
        page = opened.page.number if own and opened.page.unit == "page" else None

        def view() -> None:
            at_page = outside.show(file.absolute(), page, viewing.show)
            deliver(self, self.Viewed(_opened(opened, page, at_page)))

        self._viewing.submit(view, lambda error: deliver(self, self.Viewed("", error)))

    def on_panels_viewed(self, message: Viewed) -> None:
        if message.error is None:
            self._tell(message.said)
        else:
            self._tell(f"{message.error.message}. {message.error.hint}", warning=True)

    def _tell(self, text: str, warning: bool = False) -> None:
        self.notify(clean_line(text), severity="warning" if warning else "information", markup=False, timeout=8)


def _opened(opened: Opened, page: int | None, at_page: bool) -> str:
    """What is said of a file that was opened: which, where to look in it, and whether it is another by now."""
    inner, outer = opened.document.path, opened.document.file
    lines = [f"Opened {Path(opened.file).name}."]
    if outer and outer != inner:
        lines.append(f"Look in it for {inner.removeprefix(outer).strip('/')}.")
    if page is not None and not at_page:
        lines.append(f"Go to page {page}: this viewer is not told of it.")
    if opened.state == "changed":
        lines.append("It has changed since it was read, so the words may stand elsewhere.")
    return " ".join(lines)


def _newest(lines: Sequence[CitationLine]) -> int:
    """The place of the first citation of the newest answer that has any."""
    return next(at for at, line in enumerate(lines) if line.parent is lines[-1].parent)
