"""A long document cut into sections that a model can read whole: along headings, then pages, then paragraphs (pure).

The same document and limit give the same sections. Sections follow each other without a gap; none is longer than the
limit, as far as the text can be cut at white space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from localrag.types import Page, place

Count = Callable[[str], int]
Apart = Literal["", "page", "chapter"]
# What a question may call a part of a document, and how such parts are told apart.
PARTS: Mapping[str, Apart] = {"chapter": "chapter", "section": "chapter", "page": "page"}
# A piece of no heading of its own joins whatever stands before it.
_NO_LEVEL = 99


@dataclass(frozen=True, slots=True)
class Span:
    """A part of one page: its 0-based position in the document and half-open offsets."""

    position: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A run of text: what it is called (its first heading, or ""), where it stands, its spans, text and tokens."""

    name: str
    place: str
    spans: tuple[Span, ...]
    text: str
    tokens: int

    def holds(self, position: int, start: int, end: int) -> bool:
        """Whether more than half of a span lies in this section."""
        own = [span for span in self.spans if span.position == position]
        return 2 * sum(max(0, min(end, span.end) - max(start, span.start)) for span in own) > end - start


@dataclass(frozen=True, slots=True)
class _Piece:
    span: Span
    text: str
    tokens: int
    title: str = ""
    level: int = _NO_LEVEL


def cut(pages: Sequence[tuple[int, Page]], most: int, count: Count, *, apart: Apart = "") -> list[Section]:
    """The sections of a document, in order.

    Args:
        pages: (position, page) pairs, in order.
        most: most tokens of a section.
        count: tokens of a text.
        apart: what never shares a section with what stands before it, however short: each "page", or each "chapter": a
            page that is one, or else what stands under a heading of the highest rank that several have.
    """
    if most < 1:
        raise ValueError(f"sections of {most} tokens hold no text")
    by_position = dict(pages)
    pieces = [small for position, page in pages for piece in _by_heading(position, page, count)
              for small in _fitting(piece, most, count)]  # fmt: skip
    begins = _begins(by_position, pieces, apart)
    sections: list[list[_Piece]] = []
    for piece in pieces:
        if sections and piece not in begins and _joins(sections[-1], piece, most, bool(apart)):
            sections[-1].append(piece)
        else:
            sections.append([piece])
    return [_section(own, by_position) for own in sections]


def _begins(pages: Mapping[int, Page], pieces: Sequence[_Piece], apart: Apart) -> set[_Piece]:
    """The pieces that a section begins with in any case."""
    firsts = {piece for piece in pieces if piece.span.start == 0}
    if apart != "chapter":
        return firsts if apart == "page" else set()
    if any(page.unit == "chapter" for page in pages.values()):
        return {piece for piece in firsts if pages[piece.span.position].unit == "chapter"}
    counted = Counter(piece.level for piece in pieces if piece.title)
    highest = min((level for level, times in counted.items() if times > 1), default=0)
    return {piece for piece in pieces if piece.title and piece.level <= highest}


def _by_heading(position: int, page: Page, count: Count) -> list[_Piece]:
    """A page cut where its headings begin."""
    heads = sorted((heading for heading in page.headings if 0 <= heading.start < len(page.text)),
                   key=lambda heading: heading.start)  # fmt: skip
    borders = sorted({0, *(heading.start for heading in heads), len(page.text)})
    at = {heading.start: heading for heading in reversed(heads)}
    pieces = []
    for start, end in pairwise(borders):
        text = page.text[start:end]
        if text.strip():
            head = at.get(start)
            span = Span(position, start, end)
            pieces.append(
                _Piece(span, text, count(text), head.title if head else "", head.level if head else _NO_LEVEL)
            )
    return pieces


def _fitting(piece: _Piece, most: int, count: Count) -> list[_Piece]:
    """A piece that is too long, cut in halves at the paragraph, line, or space nearest to its middle, until all fit."""
    if piece.tokens <= most or len(piece.text) < 2:
        return [piece]
    middle = _border(piece.text)
    first, second = piece.text[:middle], piece.text[middle:]
    start = piece.span.start
    halves = (
        _Piece(Span(piece.span.position, start, start + middle), first, count(first), piece.title, piece.level),
        _Piece(Span(piece.span.position, start + middle, piece.span.end), second, count(second)),
    )
    return [small for half in halves for small in _fitting(half, most, count)]


def _border(text: str) -> int:
    middle = len(text) // 2
    for pattern in (r"\n\s*\n", r"\n", r"[.!?]\s+", r"\s+"):
        ends = [
            found.end() for found in re.finditer(pattern, text) if len(text) // 8 < found.end() < len(text) * 7 // 8
        ]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return middle


def _joins(section: Sequence[_Piece], piece: _Piece, most: int, always: bool) -> bool:
    """Whether a piece still belongs to the section before it: it fits, and begins nothing of the same rank."""
    tokens = sum(own.tokens for own in section)
    if tokens + piece.tokens > most:
        return False
    return always or piece.level > section[0].level or piece.level == _NO_LEVEL or 2 * tokens < most


def _section(pieces: Sequence[_Piece], pages: Mapping[int, Page]) -> Section:
    spans: list[Span] = []
    for piece in pieces:
        if spans and spans[-1].position == piece.span.position and spans[-1].end == piece.span.start:
            spans[-1] = Span(piece.span.position, spans[-1].start, piece.span.end)
        else:
            spans.append(piece.span)
    text = "\n\n".join(pages[span.position].text[span.start : span.end].strip() for span in spans)
    first = pages[spans[0].position]
    name = next((piece.title for piece in pieces if piece.title), "")
    if first.unit == "chapter" and spans[0].start == 0:
        name = first.label or name
    return Section(name, _place(pages[spans[0].position], pages[spans[-1].position]), tuple(spans), text,
                   sum(piece.tokens for piece in pieces))  # fmt: skip


def _place(first: Page, last: Page) -> str:
    begins, ends = (place(page.number, page.label, (), page.unit) for page in (first, last))
    return begins if begins == ends else f"{begins} to {ends}"
