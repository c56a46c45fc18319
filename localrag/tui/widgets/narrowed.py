"""The line above the question that says to which documents it is narrowed; hidden where it is asked of all."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from localrag.tui import shortening
from localrag.tui.inert import clean_line
from localrag.tui.shelves import Name

NAMED = 5
ROOM = 28


class NarrowedLine(Static):
    """ "Only 3 of 120 documents: a.pdf, b.pdf, c.pdf"."""

    def __init__(self) -> None:
        super().__init__(id="narrowed")
        self.display = False

    def show(self, these: Sequence[Name], of: int | None) -> None:
        self.display = bool(these)
        names = ", ".join(shortening.middle(clean_line(path.rsplit("/", 1)[-1]), ROOM) for _, path in these[:NAMED])
        more = ", …" if len(these) > NAMED else ""
        count = f"{len(these):,} of {of:,}" if of else f"{len(these):,}"
        plural = "" if (of or len(these)) == 1 else "s"
        self.update(Content.assemble((f"Only {count} document{plural}", "bold"), f": {names}{more} · F6, c: all again"))
