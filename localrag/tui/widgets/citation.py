"""A numbered citation under an answer; moving onto it shows its source."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from localrag.answer.verify import references
from localrag.tui import shortening
from localrag.tui.inert import clean_line
from localrag.types import Citation


class CitationLine(Static, can_focus=True):
    """ "[1] contract.pdf, p. 12: “quoted words”", with ▸ before it while its source is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Next citation; behind the last, the question"),
        Binding("up", "move(-1)", "Previous citation"),
        Binding("b", "screen.branch", "Go on in a copy of the conversation that ends with this answer"),
    ]

    class Moved(Message):
        """The person wants to go on to a neighbour."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Reached(Message):
        """The person has moved onto a citation."""

        def __init__(self, line: CitationLine) -> None:
            super().__init__()
            self.line = line

    def __init__(self, citation: Citation) -> None:
        super().__init__()
        self.citation = citation
        self._shown = False
        self._width = 0
        self.mark(False)

    def mark(self, shown: bool) -> None:
        """Set or take away the mark of the citation whose source is shown."""
        self._shown = shown
        cited = self.citation
        # A name may fill a line of its own, but not the next ones.
        room = max(30, self._width - 8 - len(str(cited.marker)))
        where = shortening.source(clean_line(cited.document), clean_line(cited.place), room)
        self.set_class(shown, "-shown")
        self.update(
            Content.assemble(
                "▸ " if shown else "  ",
                (f"[{cited.marker}] {where}: ", "bold"),
                references.in_quotes(clean_line(cited.quote)),
            )
        )

    def on_resize(self) -> None:
        if self.content_size.width != self._width:
            self._width = self.content_size.width
            self.mark(self._shown)

    def action_move(self, step: int) -> None:
        self.post_message(self.Moved(step))

    def on_focus(self) -> None:
        self.post_message(self.Reached(self))
