"""A page's text with the quoted words marked: which words, and how they are drawn (pure).

The text is the stored one, drawn character for character but for control characters. Of a long text, the part around
what is looked at is drawn, and what was cut is said. The quote is in reverse video, other quotes of the same answer
are underlined, so that neither needs a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from localrag.tui.inert import clean_in_place
from localrag.types import Citation, Page

WINDOW = 20_000
QUOTE, OTHER = "bold reverse", "underline"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a quote stands on its page; `moved` where that is not the place that was cited."""

    start: int
    end: int
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Drawn:
    """A part of a page as it is drawn: `start` to `end` of its text; `at` is where in the content the quote begins."""

    content: Content
    start: int
    end: int
    at: int = 0


def find(citation: Citation, page: Page) -> Found | None:
    """Where the words of a citation stand on a page of its document; None where they do not."""
    if citation.page != page.number:
        return None
    text = page.text
    if text[citation.start : citation.end].split() == citation.quote.split():
        return Found(citation.start, citation.end)
    at = text.find(citation.quote)
    return Found(at, at + len(citation.quote), moved=True) if at >= 0 else None


def draw(text: str, start: int, end: int, quote: Found | None, others: Sequence[Found] = ()) -> Drawn:
    """The part [start, end) of a text, with the quote and others marked where they are in it."""
    head = f"… {start:,} characters before this are not shown; [ goes back …\n" if start else ""
    tail = f"\n… {len(text) - end:,} more characters are not shown; ] goes on …" if end < len(text) else ""
    # Content drops control characters by itself, which would move the marks; clean_in_place leaves none.
    content = Content(head + clean_in_place(text[start:end]) + tail)
    offset = len(head) - start
    marks = [(one, OTHER) for one in others if one != quote] + ([(quote, QUOTE)] if quote else [])
    for mark, style in marks:
        first, last = max(mark.start, start), min(mark.end, end)
        if first < last:
            content = content.stylize(style, first + offset, last + offset)
    at = quote.start + offset if quote and start <= quote.start < end else 0
    return Drawn(content, start, end, at)


def around(text: str, quote: Found | None) -> tuple[int, int]:
    """The part of a text that is drawn first: around the quote, else from its beginning."""
    if quote is None:
        return 0, min(len(text), 2 * WINDOW)
    return max(0, quote.start - WINDOW), min(len(text), quote.end + WINDOW)


def beside(text: str, drawn: Drawn, step: int) -> tuple[int, int] | None:
    """The part of a long text behind (`step` 1) or before (-1) the one that is drawn; None at its end."""
    if step > 0:
        return (drawn.end, min(len(text), drawn.end + 2 * WINDOW)) if drawn.end < len(text) else None
    return (max(0, drawn.start - 2 * WINDOW), drawn.start) if drawn.start > 0 else None
