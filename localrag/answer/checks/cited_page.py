"""The page that a citation rests on, as it is now: where its words are, and what a reader must know about its text."""

from __future__ import annotations

from dataclasses import dataclass

from localrag.ingest.source_files import FileState
from localrag.types import Citation, Document, Page

WINDOW = 20_000  # characters of a long page shown on each side of the quote
STATES: dict[FileState, str] = {
    "changed": "! The file has changed since it was read. This is the text that was read.",
    "missing": "! The file is no longer there. This is the text that was read.",
    "elsewhere": "! The file was not read on this machine, so nothing looks at it. This is the text that was read.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a quote is on its page; `moved` if that is not the cited place."""

    start: int
    end: int
    moved: bool = False


def locate(citation: Citation | None, page: Page) -> Found | None:
    """Find the words of a citation on a page of its document."""
    if citation is None or citation.page != page.number:
        return None
    text = page.text
    if text[citation.start : citation.end].split() == citation.quote.split():
        return Found(citation.start, citation.end)
    at = text.find(citation.quote)
    return Found(at, at + len(citation.quote), moved=True) if at >= 0 else None


def window(text: str, quote: Found | None) -> tuple[int, int]:
    """Return the part of a text to show first: around the quote, else its beginning."""
    if quote is None:
        return 0, min(len(text), 2 * WINDOW)
    return max(0, quote.start - WINDOW), min(len(text), quote.end + WINDOW)


def neighbour(text: str, start: int, end: int, step: int) -> tuple[int, int] | None:
    """Return the part of a long text after (`step` 1) or before (-1) the one from `start` to `end`; None at its end."""
    if step > 0:
        return (end, min(len(text), end + 2 * WINDOW)) if end < len(text) else None
    return (max(0, start - 2 * WINDOW), start) if start > 0 else None


def notes(
    document: Document, page: Page, state: FileState, citation: Citation | None, quote: Found | None
) -> list[str]:
    """Return what a reader must know about the text of this page; `quote` is where the citation's words are on it."""
    lines = [STATES[state]] if state in STATES else []
    if citation is not None and page.number == citation.page and quote is None:
        lines.append("! The document has changed: the quote is no longer on this page.")
    elif quote is not None and quote.moved:
        lines.append("! The document has changed: the quote has moved on this page.")
    if not page.text.strip():
        reasons = [one.reason for one in document.skipped if one.number == page.number]
        lines.append(f"This page has no text{''.join(f': {reason}' for reason in reasons)}.")
    return lines
