"""The page that a citation rests on, with the quoted words marked and in view.

The text is the stored one, drawn character for character but for control characters. Of a long text without
pages, the part around the quote is shown, and what was cut is said.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from localrag.errors import LocalragError
from localrag.tui.inert import clean_in_place, clean_line, error_content
from localrag.types import Citation

WINDOW = 20_000


class SourceText(VerticalScroll):
    """The scrolling text of the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "screen.step_citation(1)", "Next citation"),
        Binding("p", "screen.step_citation(-1)", "Previous citation"),
    ]


class SourcePane(Vertical):
    """Title and text of the source shown; hidden until there is one."""

    def __init__(self) -> None:
        super().__init__(id="source")
        self._title = Static(id="source-title")
        self._text = Static(id="source-text")
        self._scroll = SourceText(self._text, id="source-scroll")
        self._content = Content()
        self._quote_at = 0
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._scroll

    def announce(self, citation: Citation, number: int, count: int) -> None:
        """Show which citation comes, before its page is there."""
        place = f", {citation.place}" if citation.place else ""
        self._title.update(
            Content.assemble(
                (clean_line(citation.document + place), "bold"),
                f"\nlibrary {clean_line(citation.library)} · citation {number} of {count}",
            )
        )
        self._draw(Content("Opening the page …"), 0)

    def show(self, citation: Citation, text: str) -> None:
        """Show the page's text with the quoted words marked."""
        if " ".join(text[citation.start : citation.end].split()) != " ".join(citation.quote.split()):
            note = "The document has changed since: the quoted words are no longer at this place."
            self._draw(Content.assemble((f"! {note}\n\n", "bold"), clean_in_place(text[:WINDOW])), 0)
            return
        first, last = max(0, citation.start - WINDOW), citation.end + WINDOW
        before, quote, after = (
            text[first : citation.start],
            text[citation.start : citation.end],
            text[citation.end : last],
        )
        cut_before, cut_after = first, max(0, len(text) - last)
        head = (f"… {cut_before:,} characters before this are not shown …\n" if cut_before else "") + clean_in_place(
            before
        )
        tail = clean_in_place(after) + (f"\n… {cut_after:,} more characters are not shown …" if cut_after else "")
        # Content drops control characters by itself, which would move the mark; clean_in_place left none.
        self._draw(Content.assemble(head, (clean_in_place(quote), "bold reverse"), tail), len(head))

    def show_error(self, error: LocalragError) -> None:
        self._draw(error_content(error), 0)

    def focus_text(self) -> None:
        self._scroll.focus()

    def on_resize(self) -> None:
        self.call_after_refresh(self._reveal)

    def _draw(self, content: Content, quote_at: int) -> None:
        self._content, self._quote_at = content, quote_at
        self._text.update(content)
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        width = self._text.content_size.width
        line = len(self._content[: self._quote_at].wrap(width)) - 1 if width and self._quote_at else 0
        # A few lines above the quote stay in view, because words are understood by what stands before them.
        self._scroll.scroll_to(y=max(0, line - self._scroll.size.height // 3), animate=False, immediate=True)
