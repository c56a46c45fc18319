"""A numbered citation under an answer; moving onto it shows its source."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from localrag.tui.inert import clean_line
from localrag.types import Citation


class CitationLine(Static, can_focus=True):
    """ "[1] contract.pdf, p. 12: “quoted words”", with ▸ before it while its source is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,n", "screen.step_citation(1, True)", "Next citation"),
        Binding("up,p", "screen.step_citation(-1, True)", "Previous citation"),
        Binding("enter", "screen.focus_source", "Go to the source"),
    ]

    class Reached(Message):
        """The person has moved onto a citation."""

        def __init__(self, line: CitationLine) -> None:
            super().__init__()
            self.line = line

    def __init__(self, citation: Citation) -> None:
        super().__init__()
        self.citation = citation
        self.mark(False)

    def mark(self, shown: bool) -> None:
        """Set or take away the mark of the citation whose source is shown."""
        cited = self.citation
        where = clean_line(f"{cited.document}, {cited.place}" if cited.place else cited.document)
        self.set_class(shown, "-shown")
        self.update(
            Content.assemble(
                "▸ " if shown else "  ",
                (f"[{cited.marker}] {where}: ", "bold"),
                f"“{clean_line(cited.quote)}”",
            )
        )

    def on_focus(self) -> None:
        self.post_message(self.Reached(self))
