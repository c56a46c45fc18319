"""The page that a citation rests on, with the quoted words marked and in view, and the pages around it: as text, or as
a picture of the page where document and terminal can.

What is shown is the text that was read and quoted, not the file; where the file is another by now, that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from localrag.errors import LocalragError
from localrag.ingest import source_files
from localrag.ingest.source_files import PageImage
from localrag.tui import shortening
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import Lane, deliver
from localrag.tui.pictures import Pictures
from localrag.tui.widgets import page_text
from localrag.tui.widgets.page_text import Found
from localrag.types import Citation, Page, place
from localrag.worker.engine import Opened

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

_STATES = {
    "changed": "! The file has changed since it was read. What is shown is what was read and quoted.",
    "missing": "! The file is no longer where it was. What is shown is what was read and quoted.",
}


class SourceText(VerticalScroll):
    """The scrolling text of the page; paging past an end of it turns the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", "Scroll up; at the top, the page before"),
        Binding("pagedown", "page(1)", "Scroll down; at the end, the next page"),
    ]

    class Ended(Message):
        """There is no more of this page in that direction."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def action_page(self, step: int) -> None:
        if (self.scroll_y >= self.max_scroll_y) if step > 0 else (self.scroll_y <= 0):
            self.post_message(self.Ended(step))
        else:
            # Two lines stay, to go on reading from.
            self.scroll_relative(y=step * max(1, self.size.height - 2), animate=False)


class SourcePane(Vertical):
    """Title and text of the source shown; hidden until there is one."""

    app: LocalragApp

    class Fetched(Message):
        """A page that was asked for, or why there is none."""

        def __init__(self, wanted: object, opened: Opened | None, error: LocalragError | None = None) -> None:
            super().__init__()
            self.wanted = wanted
            self.opened = opened
            self.error = error

    class Drawn(Message):
        """A picture that was asked for, or why there is none."""

        def __init__(self, page: Opened, image: PageImage | None, error: LocalragError | None = None) -> None:
            super().__init__()
            self.page = page
            self.image = image
            self.error = error

    def __init__(self, core: Core, pictures: Pictures | None = None) -> None:
        super().__init__(id="source")
        self._core = core
        self._pictures = pictures or Pictures()
        self._as_picture = False
        self._drawing = Lane("drawing")  # of its own, since a page's text must not wait for a picture
        self._picture: Widget | None = None
        self._boxes: tuple[tuple[float, float, float, float], ...] = ()
        self._title = Static(id="source-title")
        self._text = Static(id="source-text")
        self._scroll = SourceText(self._text, id="source-scroll")
        self._keys = Static(Content("[ ] pages · n p citations · o open · y copy · Enter back"), id="source-keys")
        self._citation: Citation | None = None
        self._others: tuple[Citation, ...] = ()
        self._counted = ""
        self._opened: Opened | None = None
        self._wanted: tuple[Citation, int | None, str] | None = None
        self._part = page_text.Drawn(Content(), 0, 0)
        self._show_from = "quote"
        self._notes_shown = ""
        self._then: Callable[[Opened], None] | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._scroll
        yield self._keys

    def on_mount(self) -> None:
        # How far it can be scrolled is known only once the new text is laid out.
        self.watch(self._scroll, "virtual_size", self._reveal)
        self._as_picture = self.app.preferences.settings.source_view == "picture"

    # --- what is shown --------------------------------------------------------------------------------------

    @property
    def citation(self) -> Citation | None:
        """The citation whose source is or was shown; None where a document is read that was not cited."""
        return self._citation if self._citation is not None and self._citation.quote else None

    @property
    def opened(self) -> Opened | None:
        """The page shown; None while it is on its way, or cannot be had."""
        return self._opened

    def open(self, citation: Citation, number: int, count: int, others: Sequence[Citation] = ()) -> None:
        """Show the source of one of `count` citations; `others` are marked where they stand on the same page."""
        self._begin(citation, others, f"citation {number} of {count}")

    def read(self, library: str, document: str, page: int | None) -> None:
        """Show a page of a document from which nothing was cited."""
        self._begin(Citation(library, document, page, None, "", "", 0, 0, 0), (), "")

    def _begin(self, citation: Citation, others: Sequence[Citation], counted: str) -> None:
        self._citation = citation
        self._others = tuple(others)
        self._counted = counted
        self._opened = self._then = None
        self._message(Content("Opening the page …"))
        self._fetch(citation.page, "quote")

    def when_opened(self, then: Callable[[Opened], None]) -> None:
        """Do something with the page shown, or with the one that is on its way once it is there."""
        if self._opened is not None:
            then(self._opened)
        else:
            self._then = then

    def return_to_quote(self) -> None:
        """Back to the quoted words, from wherever the reader has gone."""
        if self._citation is not None:
            self._fetch(self._citation.page, "quote")

    def turn(self, step: int, reading: bool = False) -> bool:
        """Go on to the next part or page (`step` 1), or back (-1); False where there is none.

        Who is `reading` backwards goes on at the end of the page before; else a page is shown from its quote or top.
        """
        opened, show_from = self._opened, "end" if reading and step < 0 else "quote"
        if opened is None:
            return False
        if (part := page_text.beside(opened.page.text, self._part, step)) is not None:
            self._draw(opened.page, *part, show_from)
            return True
        if opened.page.number is None or not 1 <= opened.page.number + step <= opened.count:
            return False
        self._fetch(opened.page.number + step, show_from)
        return True

    def toggle_picture(self) -> str:
        """Show the page as a picture, or as text again; returns why that cannot be, else nothing."""
        if not self._as_picture:
            if self._opened is not None and not source_files.has_pictures(self._opened.document):
                return "Only PDFs and pictures are shown as they look; of this document there is the text."
            if why_not := self._pictures.why_not(self.app):
                return why_not
        self._as_picture = not self._as_picture
        if self._opened is not None:
            self._draw(self._opened.page, self._part.start, self._part.end, "quote")
        return ""

    @property
    def as_picture(self) -> bool:
        """Whether pages are shown as pictures where they can be."""
        return self._as_picture

    def on_source_text_ended(self, message: SourceText.Ended) -> None:
        self.turn(message.step, reading=True)

    def _fetch(self, number: int | None, show_from: str) -> None:
        assert self._citation is not None
        citation, engine = self._citation, self._core.engine
        wanted = self._wanted = (citation, number, show_from)
        self.app.lanes["pages"].submit(
            lambda: deliver(self, self.Fetched(wanted, engine.page(citation.library, citation.document, number))),
            lambda error: deliver(self, self.Fetched(wanted, None, error)),
        )

    def on_source_pane_fetched(self, message: Fetched) -> None:
        if message.wanted is not self._wanted or self._wanted is None:
            return
        if message.opened is None:
            self._message(error_content(message.error) if message.error else Content())
            return
        self._opened = message.opened
        page = message.opened.page
        quote = self._found(page)
        if self._wanted[2] != "end":
            self._draw(page, *page_text.around(page.text, quote), self._wanted[2])
        else:
            self._draw(page, max(0, len(page.text) - 2 * page_text.WINDOW), len(page.text), "end")
        if self._then is not None:
            then, self._then = self._then, None
            then(message.opened)

    def _found(self, page: Page) -> Found | None:
        return page_text.find(self._citation, page) if self._citation else None

    # --- drawing --------------------------------------------------------------------------------------------

    def _draw(self, page: Page, start: int, end: int, show_from: str) -> None:
        quote = self._found(page)
        others = [found for other in self._others if (found := page_text.find(other, page))]
        self._show(self._notes(page, quote), page_text.draw(page.text, start, end, quote, others), show_from)
        if self._as_picture and self._opened is not None and source_files.has_pictures(self._opened.document):
            self._fetch_picture(self._opened, [one for one in (quote, *others) if one], quote is not None)

    def _fetch_picture(self, opened: Opened, marks: Sequence[Found], quoted: bool) -> None:
        if why_not := self._pictures.why_not(self.app):
            self._note(f"! {why_not}")
            return
        assert self._citation is not None
        citation, engine = self._citation, self._core.engine
        # The first is boxed as the quote; a page without it has none.
        spans = tuple((one.start, one.end) for one in marks) if quoted else ((0, 0), *((m.start, m.end) for m in marks))
        width = max(20, self._scroll.size.width - 1) * self._pictures.cell()
        self._note("The page is being drawn …")

        def draw() -> None:
            if self._opened is opened and self._as_picture:  # else the reader has gone on meanwhile
                drawn = engine.page_image(citation.library, citation.document, opened.page.number, width, spans)
                deliver(self, self.Drawn(opened, drawn))

        self._drawing.submit(draw, lambda error: deliver(self, self.Drawn(opened, None, error)))

    async def on_source_pane_drawn(self, message: Drawn) -> None:
        if message.page is not self._opened or not self._as_picture or self._picture is not None:
            return
        self._notes_shown = self._notes(message.page.page, self._found(message.page.page))
        if message.image is None:
            if message.error is not None:
                self._note(f"! No picture of this page: {clean_line(message.error.message)}.")
            return
        self._boxes = message.image.boxes
        found = self._found(message.page.page)
        if not self._boxes and found is not None and found.end > found.start:
            self._note("! The quoted words could not be found in the picture; i shows them in the text.")
        self._draw_title()
        picture = self._picture = self._pictures.widget(message.image)
        self._text.display = False
        await self._scroll.mount(picture)
        self.call_after_refresh(self._reveal)

    def _drop_picture(self) -> None:
        if self._picture is not None:
            self._picture.remove()
            self._picture = None
        self._text.display = True

    def _note(self, text: str) -> None:
        self._notes_shown = "\n".join(filter(None, (self._notes_shown, text)))
        self._draw_title()

    def _message(self, content: Content) -> None:
        self._show("", page_text.Drawn(content, 0, 0), "top")

    def _show(self, notes: str, drawn: page_text.Drawn, show_from: str) -> None:
        self._drop_picture()
        self._notes_shown, self._part, self._show_from = notes, drawn, show_from
        self._text.update(drawn.content)
        self._draw_title()
        self.call_after_refresh(self._reveal)

    def _notes(self, page: Page, quote: Found | None) -> str:
        """What a reader must know of the text, whatever part of it is in view."""
        assert self._opened is not None and self._citation is not None
        lines = [_STATES[self._opened.state]] if self._opened.state in _STATES else []
        if page.number == self._citation.page and quote is None:
            lines.append("! The document has changed since: the quoted words are no longer on this page.")
        elif quote is not None and quote.moved:
            lines.append("! The document has changed since: the quoted words have moved on this page.")
        if not page.text.strip():
            reasons = [one.reason for one in self._opened.document.skipped if one.number == page.number]
            lines.append(f"This page has no text{''.join(f': {clean_line(reason)}' for reason in reasons)}.")
        return "\n".join(lines)

    def _draw_title(self) -> None:
        citation, opened = self._citation, self._opened
        if citation is None:
            return
        where, second = citation.place, f"library {clean_line(citation.library)} · {self._counted}"
        if opened is not None and (opened.page.number != citation.page or self.citation is None):
            where = place(opened.page.number, opened.page.label, (), opened.page.unit)
            second = f"{opened.page.number} of {opened.count} · Enter goes back to the quote"
        if self.citation is None:
            number = opened.page.number if opened is not None else None
            of = f" · {number} of {opened.count}" if opened is not None and number is not None else ""
            second = f"library {clean_line(citation.library)}{of}"
        width = self._title.content_size.width or self.size.width - 2
        title = shortening.source(clean_line(citation.document), clean_line(where), max(20, width))
        notes = (f"\n{self._notes_shown}", "bold") if self._notes_shown else ""
        self._title.update(Content.assemble((title, "bold"), f"\n{second}", notes))

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_title)

    def focus_text(self) -> None:
        self._scroll.focus()

    def _reveal(self) -> None:
        """Bring into view what is to be read first."""
        if self._picture is not None:
            self._reveal_box(self._picture)
            return
        width = self._text.content_size.width
        if self._show_from == "end":
            self._scroll.scroll_to(y=self._scroll.max_scroll_y, animate=False, immediate=True)
            return
        at = self._part.at if self._show_from == "quote" else 0
        line = len(self._part.content[:at].wrap(width)) - 1 if width and at else 0
        # A few lines above the quote stay in view, because words are understood by what stands before them.
        self._scroll.scroll_to(y=max(0, line - self._scroll.size.height // 3), animate=False, immediate=True)

    def _reveal_box(self, picture: Widget) -> None:
        """Bring the quote's first line into view, a third of the way down."""
        top = self._boxes[0][1] if self._boxes and self._show_from == "quote" else 0.0
        if self._show_from == "end":
            top = 1.0
        row = int(top * picture.size.height)
        self._scroll.scroll_to(y=max(0, row - self._scroll.size.height // 3), animate=False, immediate=True)
