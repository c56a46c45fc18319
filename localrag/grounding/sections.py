"""Cut a long document into sections that the model can read whole: along headings, then pages, then paragraphs.

The same document and limit give the same sections. They follow each other without a gap; none is longer than the limit,
as far as the text can be cut at white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from localrag.grounding import context
from localrag.grounding.context import Span, Unit
from localrag.grounding.stages import Pair
from localrag.llm import Generator, calibration
from localrag.settings import Settings
from localrag.types import Filter, Heading, Page, Passage, place

Count = Callable[[str], int]
# Tokens that a summary takes, and that a prompt needs beside the text: rules, question, template.
SUMMARY_TOKENS, _FRAME = 280, 256
_MIN_ROOM = 128
# The level of a piece without a heading, which joins whatever is before it.
_NO_LEVEL = 99


def room(model: Generator, settings: Settings) -> int:
    """Return the tokens of text that the model can use at once, by its size, its window and the settings."""
    fits = model.window - SUMMARY_TOKENS - _FRAME
    return max(_MIN_ROOM, min(calibration.read_limit(settings, model.model), fits))


def units_of(pair: Pair, only: Filter, model: Generator, limit: int) -> list[Unit]:
    """Return a document as one unit where it fits, else as sections."""
    whole = context.whole(pair, only)
    if not whole or model.count(whole[0].text) <= limit:
        return whole
    library, document = pair
    passages = {passage.position: passage for passage in whole[0].passages}
    # Two sections that just do not fit together are worse than three of one size.
    sections = cut(context.pages_of(library, document, only), max(_MIN_ROOM, limit // 2), model.count)
    return [
        Unit(
            pair,
            f"{document.path}, {section.name or section.place or f'part {n} of {len(sections)}'}",
            section.place,
            section.text,
            tuple(part(passages[span.position], span) for span in section.spans),
            section=True,
        )
        for n, section in enumerate(sections, 1)
    ]


def part(page: Passage, span: Span) -> Passage:
    """Return a span of a page as a passage."""
    return replace(page, text=page.text[span.start : span.end], start=span.start, end=span.end)


def headed(page: Passage, headings: Sequence[Heading]) -> list[Passage]:
    """Return a page in pieces that begin at its headings, each with its own as heading; the page if it has none."""
    return [
        replace(part(page, span), heading=(head.title,) if head else ())
        for span, head in _at_headings(page.position, page.text, headings)
    ]


def _at_headings(position: int, text: str, headings: Sequence[Heading]) -> Iterator[tuple[Span, Heading | None]]:
    """Yield the spans of a page that begin at its headings, and the text before the first, where there is any."""
    heads = {head.start: head for head in reversed(headings) if 0 <= head.start < len(text)}
    for start, end in pairwise(sorted({0, *heads, len(text)})):
        if text[start:end].strip():
            yield Span(position, start, end), heads.get(start)


@dataclass(frozen=True, slots=True)
class Section:
    """A run of text: its name (its first heading, or ""), its place, its spans, text and tokens."""

    name: str
    place: str
    spans: tuple[Span, ...]
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class _Piece:
    span: Span
    text: str
    tokens: int
    title: str = ""
    level: int = _NO_LEVEL


def cut(pages: Sequence[tuple[int, Page]], limit: int, count: Count) -> list[Section]:
    """Return the sections of a document, of at most `limit` tokens, from its (position, page) pairs in order."""
    pieces = [
        small
        for position, page in pages
        for piece in _by_heading(position, page, count)
        for small in _fitting(piece, limit, count)
    ]
    sections: list[list[_Piece]] = []
    for piece in pieces:
        if sections and _joins(sections[-1], piece, limit):
            sections[-1].append(piece)
        else:
            sections.append([piece])
    return [_section(own, dict(pages)) for own in sections]


def _by_heading(position: int, page: Page, count: Count) -> list[_Piece]:
    """Cut a page where its headings begin."""
    pieces = []
    for span, head in _at_headings(position, page.text, page.headings):
        text = page.text[span.start : span.end]
        title, level = (head.title, head.level) if head else ("", _NO_LEVEL)
        pieces.append(_Piece(span, text, count(text), title, level))
    return pieces


def _fitting(piece: _Piece, limit: int, count: Count) -> list[_Piece]:
    """Cut a piece that is too long in halves at the paragraph, line, or space nearest to its middle, until all fit."""
    if piece.tokens <= limit or len(piece.text) < 2:
        return [piece]
    middle = _border(piece.text)
    first, second = piece.text[:middle], piece.text[middle:]
    start = piece.span.start
    halves = (
        _Piece(Span(piece.span.position, start, start + middle), first, count(first), piece.title, piece.level),
        _Piece(Span(piece.span.position, start + middle, piece.span.end), second, count(second)),
    )
    return [small for half in halves for small in _fitting(half, limit, count)]


def _border(text: str) -> int:
    middle = len(text) // 2
    for pattern in (r"\n\s*\n", r"\n", r"[.!?]\s+", r"\s+"):
        ends = [
            found.end() for found in re.finditer(pattern, text) if len(text) // 8 < found.end() < len(text) * 7 // 8
        ]
        if ends:
            return min(ends, key=lambda end: abs(end - middle))
    return middle


def _joins(section: Sequence[_Piece], piece: _Piece, limit: int) -> bool:
    """Return whether a piece belongs to the section before it: it fits, and begins nothing of the same level."""
    tokens = sum(own.tokens for own in section)
    if tokens + piece.tokens > limit:
        return False
    return piece.level > section[0].level or piece.level == _NO_LEVEL or 2 * tokens < limit


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
    ends = [place(page.number, page.label, (), page.unit) for page in (first, pages[spans[-1].position])]
    where = ends[0] if ends[0] == ends[1] else " to ".join(ends)
    return Section(name, where, tuple(spans), text, sum(piece.tokens for piece in pieces))
