"""The page that a citation rests on, with the quoted words marked and in view.

The text is the stored one, drawn character for character but for control characters. Of a long text without
pages, the part around the quote is shown, and what was cut is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from localrag.errors import LocalragError
from localrag.tui.core import Core
from localrag.tui.inert import clean_in_place, clean_line, error_content
from localrag.tui.jobs import deliver
from localrag.types import Citation

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

WINDOW = 20_000


class SourceText(VerticalScroll):
    """The scrolling text of the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "screen.step_citation(1)", "Next citation"),
        Binding("p", "screen.step_citation(-1)", "Previous citation"),
    ]


class SourcePane(Vertical):
    """Title and text of the source shown; hidden until there is one."""

    app: LocalragApp

    class Opened(Message):
        """A page that was asked for, or why there is none."""

        def __init__(self, citation: Citation, text: str, error: LocalragError | None = None) -> None:
            super().__init__()
            self.citation = citation
            self.text = text
            self.error = error

    def __init__(self, core: Core) -> None:
        super().__init__(id="source")
        self._core = core
        self._citation: Citation | None = None
        self._title = Static(id="source-title")
        self._text = Static(id="source-text")
        self._scroll = SourceText(self._text, id="source-scroll")
        self._content = Content()
        self._quote_at = 0
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._scroll

    def open(self, citation: Citation, number: int, count: int) -> None:
        """Show the source of one of `count` citations; its page comes when the library has given it."""
        self._citation = citation
        place = f", {citation.place}" if citation.place else ""
        self._title.update(
            Content.assemble(
                (clean_line(citation.document + place), "bold"),
                f"\nlibrary {clean_line(citation.library)} · citation {number} of {count}",
            )
        )
        self._draw(Content("Opening the page …"), 0)
        engine = self._core.engine

        def fetch() -> None:
            opened = engine.page(citation.library, citation.document, citation.page)
            deliver(self, self.Opened(citation, opened.page.text))

        self.app.lanes["pages"].submit(fetch, lambda error: deliver(self, self.Opened(citation, "", error)))

    def on_source_pane_opened(self, message: Opened) -> None:
        if message.citation is not self._citation:
            return
        if message.error is not None:
            self._draw(error_content(message.error), 0)
        else:
            self.show(message.citation, message.text)

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

    def focus_text(self) -> None:
        self._scroll.focus()

    def on_mount(self) -> None:
        # How far it can be scrolled is known only once the new text is laid out.
        self.watch(self._scroll, "virtual_size", self._reveal)

    def _draw(self, content: Content, quote_at: int) -> None:
        self._content, self._quote_at = content, quote_at
        self._text.update(content)
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        width = self._text.content_size.width
        line = len(self._content[: self._quote_at].wrap(width)) - 1 if width and self._quote_at else 0
        # A few lines above the quote stay in view, because words are understood by what stands before them.
        self._scroll.scroll_to(y=max(0, line - self._scroll.size.height // 3), animate=False, immediate=True)
