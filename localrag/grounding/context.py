"""The text of documents as a prompt and an answer use it: whole documents, pages, citations, and what was not read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from localrag.grounding import prompt_injection
from localrag.grounding.stages import Pair
from localrag.llm import Generator, calibration
from localrag.quantities import plural
from localrag.search import filters
from localrag.settings import Settings
from localrag.store import locations
from localrag.store.library import Library
from localrag.types import Citation, Document, Filter, Heading, NotRead, Page, Passage, place

_MAX_NOT_READ = 50
# Characters shown of a prompt injection, and on each side of a term that was searched for.
_INJECTION_SHOWN, _AROUND = 80, 80


@dataclass(frozen=True, slots=True)
class Span:
    """A span of a document: the 0-based position of the page, and half-open offsets there."""

    position: int
    start: int
    end: int

    def overlaps(self, other: Span) -> bool:
        return self.position == other.position and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Unit:
    """What the model reads at once: a document, or a section of one."""

    pair: Pair
    name: str
    place: str
    text: str
    passages: tuple[Passage, ...]
    section: bool = False

    def holds(self, passage: Passage) -> bool:
        """Return whether a passage of the same document overlaps it."""
        span, *own = (Span(one.position, one.start, one.end) for one in (passage, *self.passages))
        return any(map(span.overlaps, own))


def whole(pair: Pair, only: Filter) -> list[Unit]:
    """Return a document as one unit, however long; none where it has no text."""
    library, document = pair
    pages = pages_of(library, document, only)
    text = whole_text([page for _, page in pages])
    passages = tuple(page_passages(library.name, document, pages))
    return [Unit(pair, document.path, "", text, passages)] if text.strip() else []


def pages_of(library: Library, document: Document, only: Filter) -> list[tuple[int, Page]]:
    """Return the pages of a document that are looked at, each with its position."""
    pages = enumerate(library.pages(document.id))
    return [(position, page) for position, page in pages if filters.has_page(only, page.number)]


def whole_text(pages: Sequence[Page]) -> str:
    """Return a document as one text, with its pages marked where it has several."""
    if len(pages) == 1:
        return pages[0].text
    named = [(page.unit in ("sheet", "chapter") and page.label) or page.number for page in pages]
    return "\n\n".join(
        f"[{page.unit} {name}]\n{page.text}" for name, page in zip(named, pages, strict=True) if page.text.strip()
    )


def page_passages(library: str, document: Document, pages: Sequence[tuple[int, Page]]) -> list[Passage]:
    """Return whole pages as passages, so that an answer from a whole text is cited like any other."""
    return [
        Passage(
            library=library,
            document=document.path,
            page=page.number,
            label=page.label,
            heading=(),
            text=page.text,
            start=0,
            end=len(page.text),
            score=1.0,
            document_id=document.id,
            position=position,
            unit=page.unit,
            spot=locations.spot(page.text, page.anchors, 0, len(page.text)),
        )
        for position, page in pages
        if page.text.strip()
    ]


def characters(document: Document, only: Filter) -> int:
    """Estimate how many characters of a document are looked at, where only some of its pages are."""
    if only.pages is None:
        return document.characters
    first, last = only.pages
    pages = min(last or document.pages, document.pages) - first + 1
    return document.characters * pages // max(1, document.pages)


def not_read(documents: Sequence[Pair], libraries: Sequence[Library], only: Filter) -> tuple[NotRead, ...]:
    """Return what cannot be looked at: pages without text, and failed files that the filter might let through."""
    missing = [
        NotRead(library.name, document.path, skipped.reason, skipped.number)
        for library, document in documents
        for skipped in document.skipped
        if filters.has_page(only, skipped.number)
    ]
    missing += [
        NotRead(library.name, failure.document, failure.reason)
        for library in libraries
        for root in library.roots()
        for failure in library.failures(root)
        if filters.may_hold(only, library.name, root, failure.document)
    ]
    if len(missing) > _MAX_NOT_READ:
        name = missing[_MAX_NOT_READ].library
        more = f"and {len(missing) - _MAX_NOT_READ} more: see `localrag status {name}`"
        missing = [*missing[:_MAX_NOT_READ], NotRead(name, "", more)]
    return tuple(missing)


def injections_in(passages: Sequence[Passage]) -> tuple[NotRead, ...]:
    """Return the prompt injections in these passages, which are kept from the model; one line for each page."""
    found: dict[NotRead, list[str]] = {}
    for passage in passages:
        texts = [passage.text[start:end] for start, end in prompt_injection.find(passage.text)]
        texts += [part for part in (passage.document, *passage.heading[-2:]) if prompt_injection.in_name(part)]
        if texts:
            found.setdefault(NotRead(passage.library, passage.document, "", passage.page), []).extend(texts)
    lines = []
    for where, texts in found.items():
        first, places = " ".join(texts[0].split()), plural(len(dict.fromkeys(texts)), "place")
        first = first if len(first) <= _INJECTION_SHOWN else f"{first[:_INJECTION_SHOWN]}…"
        reason = f"speaks to the assistant, so it was left out of the prompt ({places}): “{first}”"
        lines.append(replace(where, reason=reason))
    return tuple(lines)


def share_read(passages: Sequence[Passage], documents: Sequence[Pair], only: Filter) -> str:
    """Say how much of the documents these passages are."""
    of = len({(passage.library, passage.document_id) for passage in passages})
    everything = sum(characters(document, only) for _, document in documents)
    share = 100 * sum(len(passage.text) for passage in passages) / max(1, everything)
    some = f"about {share:.0f} %" if share >= 1 else "less than 1 %"
    return (
        f"{plural(len(passages), 'passage')} of {of} of {plural(len(documents), 'document')}, {some} of the text; "
        "all of it was searched, the rest was not read."
    )


def whole_read(units: Sequence[Unit], documents: Sequence[Pair], only: Filter) -> str:
    """Say which documents, or which part of one, were read whole, and how many were not."""
    read = {unit.pair[1].id for unit in units}
    named = f"“{units[0].pair[1].path}”" if len(read) == 1 else plural(len(read), "document")
    what = "All of the text" if only.pages is None else "The pages asked about"
    if units[0].section:
        what = f"About {100 * sum(len(unit.text) for unit in units) / max(1, units[0].pair[1].characters):.0f} %"
    rest = len(documents) - len(read)
    left = f"; {plural(rest, 'other document')} {'was' if rest == 1 else 'were'} not read" if rest else ""
    return f"{what} of {named}{left}."


def history_read(shortened: int, left_out: int) -> str:
    """Say what of the conversation a prompt leaves out, as the end of a sentence; empty where nothing."""
    counts = ((shortened, "shortened"), (left_out, "left out"))
    parts = [f"{plural(count, 'earlier turn')} {what}" for count, what in counts if count]
    return f" Of the conversation: {', '.join(parts)}." if parts else ""


def pages_named(only: Filter) -> str:
    """Name the pages that a question is narrowed to, in the prompt cache; empty without."""
    return "" if only.pages is None else f"pages {only.pages[0]}-{only.pages[1] or ''}"


def cited_only(passages: Sequence[Passage], citations: Sequence[Citation]) -> list[Passage]:
    """Return the passages that hold a citation, since whole documents are too long to repeat."""
    cited = {(citation.library, citation.document, citation.page) for citation in citations}
    return [passage for passage in passages if (passage.library, passage.document, passage.page) in cited]


def around(library: str, document: Document, page: Page, start: int, end: int, marker: int) -> Citation:
    """Cite a span with some of its line on both sides, cut between words."""
    text = page.text
    first = max(text.rfind("\n", 0, start) + 1, start - _AROUND)
    stop = text.find("\n", end)
    last = min(len(text) if stop < 0 else stop, end + _AROUND)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while end < last < len(text) and not text[last].isspace():
        last -= 1
    where = locations.place_at(page, start, end)
    return Citation(
        library, document.path, page.number, page.label, where, text[first:last], first, last, marker, unit=page.unit
    )


def placed(
    citations: Sequence[Citation], passages: Sequence[Passage], libraries: Sequence[Library]
) -> tuple[Citation, ...]:
    """Return citations with the place of just their words: their cells, time or heading, not those of the passage."""
    stores = {library.name: library for library in libraries}
    page_of = cache(lambda library, document_id, position: stores[library].page(document_id, position))
    found = []
    for citation in citations:
        for passage in passages:
            if passage.holds(citation) and (passage.spot or passage.page is None):
                page = page_of(passage.library, passage.document_id, passage.position)
                if page is not None:
                    citation = replace(citation, place=locations.place_at(page, citation.start, citation.end))
                    break
        found.append(citation)
    return tuple(found)


# --- cut a long document into sections that the model can read whole: along headings, then pages, then paragraphs
# The same document and limit give the same sections. They follow each other without a gap; none is longer than the
# limit, as far as the text can be cut at white space.

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
    units = whole(pair, only)
    if not units or model.count(units[0].text) <= limit:
        return units
    library, document = pair
    passages = {passage.position: passage for passage in units[0].passages}
    # Two sections that just do not fit together are worse than three of one size.
    sections = cut(pages_of(library, document, only), max(_MIN_ROOM, limit // 2), model.count)
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
