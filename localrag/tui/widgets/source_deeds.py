"""What can be done with a source wherever it is shown: turn pages, copy the quote, see the page, open the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message

from localrag.answer.verify import references
from localrag.answer.verify.references import Form
from localrag.errors import LocalragError
from localrag.security.offline import viewer_process
from localrag.tui import viewing
from localrag.tui.inert import clean_line
from localrag.tui.jobs import Lane, deliver
from localrag.tui.widgets.source import SourcePane
from localrag.worker.engine import Opened

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

_COPIED: dict[Form, str] = {
    "text": "Copied: the quote with its reference.",
    "markdown": "Copied: the quote with its reference, as Markdown.",
    "words": "Copied: the quoted words.",
}


class SourceDeeds(Container):
    """A container whose keys work on the source in it."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
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

    def __init__(self, source: SourcePane, **given: Any) -> None:
        super().__init__(**given)
        self.source = source
        self._warned: Path | None = None  # a file that was not opened yet, because of what its viewer may do
        self._viewing = Lane("viewing")

    def on_descendant_focus(self) -> None:
        self.set_class(self.has_focus_within, "-focused")

    def on_descendant_blur(self) -> None:
        # From one part to the other, the blur may be told after the focus.
        self.set_class(self.has_focus_within, "-focused")

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
        self.app.copy_to_clipboard(references.format_quote(citation, opened.document if opened else None, form))
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

        engine, citation = self.app.core.engine, self.source.citation

        def view() -> None:
            if citation is not None:  # recorded first: what cannot be recorded is not opened
                engine.note_opened(citation.library, opened.document.path, opened.page.number)
            at_page = viewer_process.show(file.absolute(), page, viewing.show)
            deliver(self, self.Viewed(_opened(opened, page, at_page)))

        self._viewing.submit(view, lambda error: deliver(self, self.Viewed("", error)))

    def on_source_deeds_viewed(self, message: Viewed) -> None:
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
