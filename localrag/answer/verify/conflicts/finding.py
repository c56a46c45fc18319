"""From the citations of an answer to where other documents say otherwise, each side with a quote of its own.

Looked at are the documents that the answer cites, their versions and amendments, and what they amend, as far as the
question lets them in. What the answer cites is looked up in those by its own words; nothing else of them is read but
what an amendment changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from localrag.answer.stages import Pair
from localrag.answer.verify.citations import MAX_QUOTE
from localrag.answer.verify.conflicts import amending, relating
from localrag.answer.verify.conflicts.amending import Spot
from localrag.answer.verify.conflicts.differing import Difference, difference, same
from localrag.answer.verify.conflicts.relating import Related
from localrag.answer.verify.locate import locate
from localrag.store import locations as places
from localrag.store import text_analysis
from localrag.store.library import Library
from localrag.store.sentences import sentences
from localrag.types import Answer, Citation, Conflict, Document, Page, Side, place

# Documents of an answer that are looked at, and passages of another version that may say the same.
_MOST_DOCUMENTS, _PASSAGES = 4, 6
_ABOUT = 80


@dataclass(frozen=True, slots=True)
class _Told:
    """What a document says, where, which words of it differ, and how late it is beside others of its kind."""

    document: Document
    spot: Spot
    words: tuple[int, int]
    date: str
    rank: int

    def when(self, dated: bool) -> tuple[str, int]:
        return (self.date if dated else "", self.rank)


def shown(answer: Answer, documents: Sequence[Pair]) -> Answer:
    """The answer with its conflicts, and with a citation for each side of them.

    Where it rests on the earlier alone, its text says so too.
    """
    if not answer.found or not answer.citations:
        return answer
    citations = list(answer.citations)
    conflicts: list[Conflict] = []
    seen: list[frozenset[tuple[int, Spot]]] = []
    of: dict[str, Related] = {}
    for library, document, own in _cited(documents, answer.citations):
        with library.snapshot():
            if library.name not in of:
                among = [other for where, other in documents if where is library]
                of[library.name] = Related(library, among)
            for sides in _conflicts(library, document, of[library.name], own):
                places = frozenset((side.document.id, side.spot) for side in sides)
                if places not in seen:
                    seen.append(places)
                    conflicts.append(_conflict(library, sides, citations))
    text = answer.answer
    for later in dict.fromkeys(conflict.sides[0] for conflict in conflicts if conflict.ordered):
        if later.marker > len(answer.citations):
            text += f" A later document says otherwise: “{later.says}” [{later.marker}]."
    return replace(answer, answer=text, citations=tuple(citations), conflicts=tuple(conflicts))


def _cited(
    documents: Sequence[Pair], citations: Sequence[Citation]
) -> Iterator[tuple[Library, Document, list[Citation]]]:
    """The documents that are cited, each with its citations."""
    named = {(library.name, document.path): (library, document) for library, document in documents}
    for key in list(dict.fromkeys((citation.library, citation.document) for citation in citations))[:_MOST_DOCUMENTS]:
        if key in named:
            yield *named[key], [item for item in citations if (item.library, item.document) == key]


def _conflicts(
    library: Library, document: Document, related: Related, own: Sequence[Citation]
) -> Iterator[list[_Told]]:
    spots = [spot for citation in own if (spot := _spot(library, document, citation)) is not None]
    bases = [document]
    if (base := related.amended(document)) is not None:
        bases.append(base)
    for one in bases:
        yield from _amended(library, one, related, document, spots)
    versions = related.versions(document)
    for spot in spots:
        found = [pair for other in versions if (pair := _otherwise(library, document, spot, other, related))]
        if found:
            told = [found[0][0], *(theirs for _, theirs in found)]
            dated = all(side.date for side in told)
            yield sorted(told, key=lambda side: side.when(dated), reverse=True)


def _spot(library: Library, document: Document, citation: Citation) -> Spot | None:
    for position, page in enumerate(library.pages(document.id)):
        if page.number == citation.page and page.text[citation.start : citation.end] == citation.quote:
            return Spot(position, citation.start, citation.end)
    return None


# --- amendments ---------------------------------------------------------------------------------------------


def _amended(
    library: Library, base: Document, related: Related, cited: Document, spots: Sequence[Spot]
) -> Iterator[list[_Told]]:
    """What amendments say in the place of sentences of a document, where a citation is on one of the sides."""
    amendments = related.amending(base)
    if not amendments:
        return
    pages = [page.text for page in library.pages(base.id)]
    date = related.dated(base).date
    found: dict[Spot, list[_Told]] = {}
    for rank, amendment in enumerate(sorted(amendments, key=lambda one: (one.date, one.document.path)), 1):
        told = [page.text for page in library.pages(amendment.document.id)]
        for change in amending.changes(told):
            new = told[change.told.position][change.told.start : change.told.end]
            old = amending.changed(change, new, pages)
            if old is None:
                continue
            words, before = _words(change, new, pages[old.position][old.start : old.end])
            sides = found.setdefault(old, [_Told(base, old, before, date, 0)])
            sides.append(_Told(amendment.document, change.told, words, amendment.date, rank))
    for sides in found.values():
        if any(
            side.document.id == cited.id and side.spot.overlaps(spot.position, spot.start, spot.end)
            for side in sides
            for spot in spots
        ):
            yield sorted(sides, key=lambda side: side.rank, reverse=True)


def _words(change: amending.Change, new: str, old: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Which words of the new sentence and of the old one differ."""
    if change.old and change.new:
        at, was = new.rfind(change.new), locate(change.old, old)
        if at >= 0 and was is not None:
            return (at, at + len(change.new)), was
    found = difference(new, old)
    return (found.one, found.other) if found else ((0, len(new)), (0, len(old)))


# --- versions -----------------------------------------------------------------------------------------------


def _otherwise(
    library: Library, document: Document, spot: Spot, other: Document, related: Related
) -> tuple[_Told, _Told] | None:
    """The sentences at a spot as another version has them, where it says them otherwise."""
    text = library.page_text(document.id, spot.position)
    for start, end in sentences(text):
        if not spot.overlaps(spot.position, start, end):
            continue
        sentence = text[start:end]
        best: tuple[Difference, Spot] | None = None
        for where, theirs in _likely(library, document, other, sentence):
            if same(sentence, theirs):
                best = None
                break
            found = difference(sentence, theirs)
            if found is not None and (best is None or found.shared > best[0].shared):
                best = found, where
        if best is not None:
            found, where = best
            return (
                _version(document, Spot(spot.position, start, end), found.one, related),
                _version(other, where, found.other, related),
            )
    return None


def _version(document: Document, spot: Spot, words: tuple[int, int], related: Related) -> _Told:
    return _Told(document, spot, words, related.dated(document).date, relating.order(document))


def _likely(library: Library, document: Document, other: Document, sentence: str) -> Iterator[tuple[Spot, str]]:
    """Sentences of another document that may say the same, by the words they share."""
    groups = [
        (token.term,) for token in dict.fromkeys(text_analysis.tokens(sentence, other.language or document.language))
    ]
    scores = library.text.scores(groups, library.generation).of
    allowed = [int(i) for i in library.passage_ids([other.id]) if i < len(scores)]
    best = sorted(allowed, key=lambda i: (-scores[i], i))[:_PASSAGES]
    seen: set[Spot] = set()
    for chunks in library.chunks_of_passages(best, [other.id]).values():
        for chunk in chunks:
            text = library.page_text(other.id, chunk.position)
            for start, end in sentences(text):
                spot = Spot(chunk.position, start, end)
                if spot not in seen and spot.overlaps(chunk.position, chunk.start, chunk.end):
                    seen.add(spot)
                    yield spot, text[start:end]


# --- told ---------------------------------------------------------------------------------------------------


def _conflict(library: Library, sides: Sequence[_Told], citations: list[Citation]) -> Conflict:
    """The sides as they are shown, the later first; citations that are not there yet are added."""
    shown = []
    for side in sides:
        page = library.page(side.document.id, side.spot.position)
        assert page is not None
        citation = _citation(library, side, page, citations)
        words = page.text[side.spot.start : side.spot.end][slice(*side.words)]
        said = " ".join((words if words in citation.quote else citation.quote).split())
        shown.append(Side(said, side.document.path, citation.place, side.date, citation.marker))
    oldest = sides[-1]
    text = library.page_text(oldest.document.id, oldest.spot.position)
    dated = all(side.date for side in sides)
    ordered = sides[0].rank > sides[1].rank or sides[0].when(dated) > sides[1].when(dated)
    return Conflict(_about(text[oldest.spot.start : oldest.spot.end], oldest.words), tuple(shown), ordered)


def _about(sentence: str, words: tuple[int, int]) -> str:
    """The words before those that differ, else the sentence, in a few words."""
    before = " ".join(sentence[: words[0]].split())
    text = before if len(before.split()) > 1 else " ".join(sentence.split())
    if len(text) <= _ABOUT:
        return text
    return f"… {text[-_ABOUT:].split(' ', 1)[-1]}" if before == text else f"{text[:_ABOUT].rsplit(' ', 1)[0]} …"


def _citation(library: Library, side: _Told, page: Page, citations: list[Citation]) -> Citation:
    """The citation of a side: one that is there and holds its words, else a new one of the sentence or a part of it."""
    start, end = side.spot.start, side.spot.end
    first, last = start + side.words[0], start + side.words[1]
    for known in citations:
        if (known.library, known.document, known.page) == (library.name, side.document.path, page.number) and (
            known.start <= first and last <= known.end
        ):
            return known
    if end - start > MAX_QUOTE:
        start = max(start, min(first, last - MAX_QUOTE // 2) - MAX_QUOTE // 2)
        while side.spot.start < start < first and not page.text[start - 1].isspace():
            start += 1
        end = min(end, start + MAX_QUOTE)
        while start < end < side.spot.end and not page.text[end].isspace():
            end -= 1
    where = place(page.number, page.label, (), page.unit, places.spot(page.text, page.anchors, start, end))
    made = Citation(
        library.name, side.document.path, page.number, page.label, where, page.text[start:end], start, end,
        len(citations) + 1, unit=page.unit,
    )  # fmt: skip
    citations.append(made)
    return made
