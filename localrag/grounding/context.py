"""The text of documents as a prompt and an answer use it: whole documents, pages, citations, and what was not read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from localrag.grounding import prompt_injection
from localrag.grounding.stages import Pair
from localrag.quantities import plural
from localrag.search import filters
from localrag.store import locations
from localrag.store.library import Library
from localrag.types import Citation, Document, Filter, NotRead, Page, Passage

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
        own = (citation.library, citation.document, citation.page)
        for passage in passages:
            inside = (passage.library, passage.document, passage.page) == own
            inside = inside and passage.start <= citation.start < passage.end
            if inside and (passage.spot or passage.page is None):
                page = page_of(passage.library, passage.document_id, passage.position)
                if page is not None:
                    citation = replace(citation, place=locations.place_at(page, citation.start, citation.end))
                    break
        found.append(citation)
    return tuple(found)
