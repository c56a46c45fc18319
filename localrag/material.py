"""The documents that a question is about, as material: which they are, what of them cannot be read, their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from localrag import places
from localrag.errors import NotFoundError
from localrag.library import Library
from localrag.types import Citation, Document, NotRead, Page, Passage, place

_MOST_NOT_READ = 50
# Characters shown on each side of a term that was searched for.
_AROUND = 80


def chosen(libraries: Sequence[Library], globs: Sequence[str] | None) -> list[tuple[Library, Document]]:
    """The documents in these libraries that match the globs (all without).

    Raises:
        NotFoundError: the libraries are empty, or the globs match nothing in any of them.
    """
    found: list[tuple[Library, Document]] = []
    missing: NotFoundError | None = None
    for library in libraries:
        try:
            found += [(library, document) for document in library.documents(globs)]
        except NotFoundError as error:
            missing = error
    if not found:
        names = ", ".join(repr(library.name) for library in libraries)
        raise missing or NotFoundError(
            f"there are no documents in {names}", "Bring some in: localrag ingest FOLDER --name NAME"
        )
    return found


def not_read(documents: Sequence[tuple[Library, Document]], failures_of: Sequence[Library]) -> list[NotRead]:
    """What could not be looked at: pages without text, and the files of whole libraries that failed."""
    missing = [
        NotRead(library.name, document.path, skipped.reason, skipped.number)
        for library, document in documents
        for skipped in document.skipped
    ]
    missing += [
        NotRead(library.name, failure.document, failure.reason)
        for library in failures_of
        for failure in library.failures()
    ]
    if len(missing) > _MOST_NOT_READ:
        name = missing[_MOST_NOT_READ].library
        more = f"and {len(missing) - _MOST_NOT_READ} more: see `localrag status {name}`"
        return [*missing[:_MOST_NOT_READ], NotRead(name, "", more)]
    return missing


def whole_text(pages: Sequence[Page]) -> str:
    """A document as one text, its pages marked where it has several."""
    if len(pages) == 1:
        return pages[0].text
    return "\n\n".join(f"[{_name(page)}]\n{page.text}" for page in pages if page.text.strip())


def _name(page: Page) -> str:
    named = page.label if page.unit in ("sheet", "chapter") and page.label else page.number
    return f"{page.unit} {named}"


def page_passages(library: str, document: Document, pages: Sequence[Page]) -> list[Passage]:
    """Whole pages as passages, so that an answer from a whole text is cited like any other."""
    return [
        Passage(
            library=library, document=document.path, page=page.number, label=page.label, heading=(), text=page.text,
            start=0, end=len(page.text), score=1.0, document_id=document.id, position=position, unit=page.unit,
            spot=places.spot(page.text, page.anchors, 0, len(page.text)),
        )
        for position, page in enumerate(pages)
        if page.text.strip()
    ]  # fmt: skip


def cited_only(passages: Sequence[Passage], citations: Sequence[Citation]) -> list[Passage]:
    """The passages that hold a citation, since whole documents are too long to repeat."""
    places = {(citation.library, citation.document, citation.page) for citation in citations}
    return [passage for passage in passages if (passage.library, passage.document, passage.page) in places]


def around(library: str, document: Document, page: Page, start: int, end: int, marker: int) -> Citation:
    """A place as a citation: its words with some of their line on both sides, from word to word."""
    text = page.text
    first = max(text.rfind("\n", 0, start) + 1, start - _AROUND)
    stop = text.find("\n", end)
    last = min(len(text) if stop < 0 else stop, end + _AROUND)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while end < last < len(text) and not text[last].isspace():
        last -= 1
    spot = places.spot(text, page.anchors, start, end)
    where = place(page.number, page.label, (), page.unit, spot)
    return Citation(
        library, document.path, page.number, page.label, where, text[first:last], first, last, marker, unit=page.unit
    )


def placed(
    citations: Sequence[Citation], passages: Sequence[Passage], libraries: Sequence[Library]
) -> tuple[Citation, ...]:
    """Citations with the cells, or the time, of just their words, where their page knows of such places."""
    stores = {library.name: library for library in libraries}
    return tuple(_placed(citation, passages, stores) for citation in citations)


def _placed(citation: Citation, passages: Sequence[Passage], stores: Mapping[str, Library]) -> Citation:
    for passage in passages:
        if (
            passage.spot
            and (passage.library, passage.document) == (citation.library, citation.document)
            and passage.page == citation.page
            and passage.start <= citation.start < passage.end
        ):
            page = stores[passage.library].page(passage.document_id, passage.position)
            if page is not None:
                spot = places.spot(page.text, page.anchors, citation.start, citation.end)
                return replace(
                    citation, place=place(citation.page, citation.label, passage.heading, citation.unit, spot)
                )
    return citation
