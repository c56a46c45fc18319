"""The page that a citation rests on, with the quote marked and in view, and the pages around it.

The pane shows the text that was read, not the file; if the file has changed since, it says so. A page can also be
shown as a picture, if the document is a PDF or a picture, the optional `textual-image` is installed, and the terminal
draws pixels (Kitty's protocol or Sixel; letters made of half blocks could not be read).
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from localrag.answer.checks import cited_page
from localrag.answer.checks.cited_page import Found, in_columns, locate, neighbour, window
from localrag.errors import LocalragError
from localrag.ingest import source_files
from localrag.ingest.source_files import PagePicture
from localrag.tui.text import clean_in_place, clean_line, error_content, shorten_source
from localrag.tui.threads import Core
from localrag.types import Citation, Page, place
from localrag.worker.branches import Name
from localrag.worker.engine import Opened

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

QUOTE, OTHER, FIGURE, ROW = "bold reverse", "underline", "bold underline reverse", "reverse"  # visible without colour
KEYS = "[ ] pages · F3 F4 citations · Ctrl+O open · Alt+Y copy · Enter back"
NO_EXTRA = "Pages as pictures need an extra: pip install 'localrag[images]'."
NO_PIXELS = "This terminal shows no pictures (it needs Kitty's protocol or Sixel)."


@dataclass(frozen=True, slots=True)
class Drawn:
    """Characters `start` to `end` of a page as content; there the quote is from `at` until `until`."""

    content: Content
    start: int
    end: int
    at: int = 0
    until: int = 0


def draw(text: str, start: int, end: int, quote: Found | None, others: Sequence[Found] = (), room: int = 0) -> Drawn:
    """Draw the part [start, end) of a text with the quotes in it marked, tables of up to `room` cells in columns."""
    head = f"… {start:,} characters before this are not shown; [ shows them …\n" if start else ""
    tail = f"\n… {len(text) - end:,} more characters are not shown; ] shows them …" if end < len(text) else ""
    body, places = in_columns(clean_in_place(text[start:end]), room, wrap=True)
    content = Content(head + body + tail)
    marks = [(one.start, one.end, OTHER) for one in others if one != quote]
    if quote:
        marks.append((quote.start, quote.end, ROW if quote.figures else QUOTE))
        marks += [(*span, FIGURE) for span in quote.figures]
    for first, last, style in marks:
        for at, until in _parts(body, places[max(0, first - start) : max(0, last - start)]):
            content = content.stylize(style, len(head) + at, len(head) + until)
    quoted = places[max(0, quote.start - start) : max(0, quote.end - start)] if quote else ()
    at, until = (len(head) + min(quoted), len(head) + max(quoted) + 1) if quoted else (0, 0)
    return Drawn(content, start, end, at, until)


def _parts(body: str, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The characters at these places, as one part, or as a part of each line where cells of a table are between."""
    if places and places[-1] - places[0] == len(places) - 1:
        yield places[0], places[-1] + 1
        return
    starts = [0, *(at + 1 for at, letter in enumerate(body) if letter == "\n")]
    for _, line in groupby(sorted(places), key=lambda at: bisect(starts, at)):
        taken = list(line)
        yield taken[0], taken[-1] + (body[taken[-1] : taken[-1] + 1] not in ("", "\n"))


class Pictures:
    """Whether the terminal can show pictures; it is asked once."""

    def __init__(self) -> None:
        self._why_not: str | None = None

    def why_not(self, app: App[None]) -> str:
        """Why there can be no picture; empty if there can."""
        if self._why_not is None:
            self._why_not = self._ask(app)
        return self._why_not

    def _ask(self, app: App[None]) -> str:
        if find_spec("textual_image") is None:
            return NO_EXTRA
        try:
            with app.suspend():
                # Importing it asks the terminal, whose answer comes where keys are read.
                from textual_image.renderable import Image, SixelImage, TGPImage
                from textual_image.widget import get_cell_size

                get_cell_size()
        except SuspendNotSupported:
            return NO_PIXELS
        return "" if Image in (SixelImage, TGPImage) else NO_PIXELS

    def cell_width(self) -> int:
        """The width of a cell in pixels."""
        from textual_image.widget import get_cell_size

        return int(get_cell_size().width)

    def widget(self, image: PagePicture) -> Widget:
        """A widget that shows the picture over its whole width."""
        from textual_image.widget import Image as ImageWidget

        widget: Widget = ImageWidget(image.image())
        widget.styles.width, widget.styles.height = "100%", "auto"
        return widget


class SourceText(VerticalScroll):
    """The scrolling page; paging past its end turns the page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page(-1)", "Scroll up; at the top, the page before"),
        Binding("pagedown", "page(1)", "Scroll down; at the end, the next page"),
    ]

    @dataclass
    class Ended(Message):
        """The page has no more text in that direction."""

        step: int

    def action_page(self, step: int) -> None:
        if (self.scroll_y >= self.max_scroll_y) if step > 0 else (self.scroll_y <= 0):
            self.post_message(self.Ended(step))
        else:
            self.scroll_relative(y=step * max(1, self.size.height - 2), animate=False)  # two lines stay in view


class SourcePane(Vertical):
    """Title and page of a source; hidden until there is one."""

    app: LocalragApp

    def __init__(self, core: Core) -> None:
        super().__init__(id="source")
        self._core = core
        self._pictures = Pictures()
        self.as_picture = False
        self._picture: Widget | None = None
        self._boxes: tuple[tuple[float, float, float, float], ...] = ()
        self._title = Static(id="source-title")
        self._text = Static(id="source-text")
        self._scroll = SourceText(self._text, id="source-scroll")
        self._keys = Static(Content(KEYS), id="source-keys")
        self._citation: Citation | None = None
        self._others: tuple[Citation, ...] = ()
        self._counted = ""
        self.opened: Opened | None = None  # the page shown; None while it is loading or cannot be shown
        self._part = Drawn(Content(), 0, 0)
        self._room = 0  # for which it was drawn
        self._show_from = "quote"
        self._notes = ""
        self._then: Callable[[Opened], object] | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield from (self._title, self._scroll, self._keys)

    def on_mount(self) -> None:
        # How far it can be scrolled is known only after the new text is laid out.
        self.watch(self._scroll, "virtual_size", self._reveal)
        self.as_picture = self.app.preferences.settings.source_view == "picture"

    @property
    def citation(self) -> Citation | None:
        """The citation whose source is shown; None for a document that was opened without one."""
        return self._citation if self._citation is not None and self._citation.quote else None

    @property
    def shown(self) -> Name | None:
        """The document that is shown."""
        one = self._citation if self.display else None
        return (one.library, one.document) if one is not None else None

    def open(self, citation: Citation, number: int, count: int, others: Sequence[Citation] = ()) -> None:
        """Show the source of citation `number` of `count`; `others` are marked if they are on the same page."""
        self._begin(citation, others, f"citation {number} of {count}")

    def read(self, library: str, document: str, page: int | None) -> None:
        """Show a page of a document without a citation."""
        self._begin(Citation(library, document, page, None, "", "", 0, 0, 0), (), "")

    def _begin(self, citation: Citation, others: Sequence[Citation], counted: str) -> None:
        self._citation, self._others, self._counted = citation, tuple(others), counted
        self.opened = self._then = None
        self._show("", Drawn(Content("Opening the page …"), 0, 0), "top")
        self._fetch(citation.page, "quote")

    def when_opened(self, then: Callable[[Opened], object]) -> None:
        """Call `then` with the page shown, or with the one that is loading."""
        if self.opened is not None:
            then(self.opened)
        else:
            self._then = then

    def return_to_quote(self) -> None:
        if self._citation is not None:
            self._fetch(self._citation.page, "quote")

    def turn(self, step: int, reading: bool = False) -> bool:
        """Show the next (1) or previous (-1) part or page; False if there is none.

        While `reading` backwards, the page before is shown from its end.
        """
        opened, show_from = self.opened, "end" if reading and step < 0 else "quote"
        if opened is None:
            return False
        if (part := neighbour(opened.page.text, self._part.start, self._part.end, step)) is not None:
            self._draw(opened.page, *part, show_from)
            return True
        if opened.page.number is None or not 1 <= opened.page.number + step <= opened.count:
            return False
        self._fetch(opened.page.number + step, show_from)
        return True

    def toggle_picture(self) -> str:
        """Switch between picture and text; return why that is not possible, else ""."""
        if not self.as_picture:
            if self.opened is not None and not source_files.has_pictures(self.opened.document):
                return "Only PDFs and pictures can be shown as pictures."
            if why_not := self._pictures.why_not(self.app):
                return why_not
        self.as_picture = not self.as_picture
        if self.opened is not None:
            self._draw(self.opened.page, self._part.start, self._part.end, "quote")
        return ""

    def focus_text(self) -> None:
        self._scroll.focus()

    def on_source_text_ended(self, message: SourceText.Ended) -> None:
        self.turn(message.step, reading=True)

    @work(exclusive=True, group="page")
    async def _fetch(self, number: int | None, show_from: str) -> None:
        assert self._citation is not None
        citation, engine = self._citation, self._core.engine
        try:
            opened = await self.app.threads["pages"].result(
                lambda: engine.page(citation.library, citation.document, number)
            )
        except LocalragError as error:
            self._show("", Drawn(error_content(error), 0, 0), "top")
            return
        self.opened, page = opened, opened.page
        part = window(page.text, locate(citation, page))
        if show_from == "end":
            part = max(0, len(page.text) - 2 * cited_page.WINDOW), len(page.text)
        self._draw(page, *part, show_from)
        if self._then is not None:
            then, self._then = self._then, None
            then(opened)

    def _draw(self, page: Page, start: int, end: int, show_from: str) -> None:
        citation, opened = self._citation, self.opened
        assert citation is not None and opened is not None
        quote = locate(citation, page)
        others = [found for other in self._others if (found := locate(other, page))]
        notes = cited_page.notes(opened.document, page, opened.state, citation, quote)
        self._room = self._text.content_size.width
        drawn = draw(page.text, start, end, quote, others, self._room)
        self._show("\n".join(map(clean_line, notes)), drawn, show_from)
        if self.as_picture and source_files.has_pictures(opened.document):
            self._fetch_picture(opened, quote, [one for one in others if one != quote])

    @work(exclusive=True, group="picture")
    async def _fetch_picture(self, opened: Opened, quote: Found | None, others: Sequence[Found]) -> None:
        if why_not := self._pictures.why_not(self.app):
            self._note(f"! {why_not}")
            return
        assert self._citation is not None
        citation, engine = self._citation, self._core.engine
        # The first span is boxed as the quote; an empty one where this page has none.
        spans = ((quote.start, quote.end) if quote else (0, 0), *((one.start, one.end) for one in others))
        width = max(20, self._scroll.size.width - 1) * self._pictures.cell_width()
        notes = self._notes
        self._note("Drawing the page …")
        try:
            image = await self.app.threads["viewing"].result(
                lambda: engine.page_image(citation.library, citation.document, opened.page.number, width, spans)
            )
        except LocalragError as error:
            self._notes = notes
            self._note(f"! No picture of this page: {clean_line(error.message)}.")
            return
        if opened is not self.opened or not self.as_picture:
            return
        self._notes, self._boxes = notes, image.boxes
        if not image.boxes and quote is not None and quote.end > quote.start:
            self._note("! The quote was not found in the picture; Alt+I shows it in the text.")
        self._draw_title()
        self._picture = self._pictures.widget(image)
        self._text.display = False
        await self._scroll.mount(self._picture)
        self.call_after_refresh(self._reveal)

    def _show(self, notes: str, drawn: Drawn, show_from: str) -> None:
        if self._picture is not None:
            self._picture.remove()
            self._picture = None
        self._text.display = True
        self._notes, self._part, self._show_from = notes, drawn, show_from
        self._text.update(drawn.content)
        self._draw_title()
        self.call_after_refresh(self._reveal)

    def _note(self, text: str) -> None:
        self._notes = "\n".join(filter(None, (self._notes, text)))
        self._draw_title()

    def _draw_title(self) -> None:
        citation, opened = self._citation, self.opened
        if citation is None:
            return
        where, second = citation.place, f"library {clean_line(citation.library)}"
        if opened is not None and (opened.page.number != citation.page or self.citation is None):
            where = place(opened.page.number, opened.page.label, (), opened.page.unit)
        if self.citation is None:
            second += f" · {opened.page.number} of {opened.count}" if opened and opened.page.number is not None else ""
        elif opened is not None and opened.page.number != citation.page:
            second = f"{opened.page.number} of {opened.count} · Enter returns to the quote"
        else:
            second += f" · {self._counted}"
        width = max(20, self._title.content_size.width or self.size.width - 2)
        title = shorten_source(clean_line(citation.name), clean_line(where), width)
        notes = (f"\n{self._notes}", "bold") if self._notes else ""
        self._title.update(Content.assemble((title, "bold"), f"\n{second}", notes))

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw_title)
        self.call_after_refresh(self._draw_again)

    def _draw_again(self) -> None:
        """Lay tables out for another width."""
        if self.opened is not None and self._picture is None and self._room != self._text.content_size.width:
            self._draw(self.opened.page, self._part.start, self._part.end, self._show_from)

    def _reveal(self) -> None:
        """Scroll until all of the quote is in view, and words before it in a third of the pane if there is room."""
        height = self._scroll.size.height
        first, last = self._rows()
        before = min(height // 3, max(0, height - (last - first + 1)))
        self._scroll.scroll_to(y=max(0, first - before), animate=False, immediate=True)

    def _rows(self) -> tuple[int, int]:
        """The rows of what should be read first."""
        if self._show_from == "end":
            return (last := self._scroll.max_scroll_y + self._scroll.size.height), last
        if self._picture is not None:
            top, bottom = (self._boxes[0][1], self._boxes[0][3]) if self._boxes else (0.0, 0.0)
            return int(top * self._picture.size.height), int(bottom * self._picture.size.height)
        width, part = self._text.content_size.width, self._part
        if not width or self._show_from != "quote" or not part.until:
            return 0, 0
        first, last = (len(part.content[:at].wrap(width)) - 1 for at in (part.at, part.until))
        return max(0, first), last
