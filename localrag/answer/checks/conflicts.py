"""Find where other documents contradict what an answer cites, each side with a quote of its own.

Compared are the documents cited with their versions and amendments and with what they amend. A false conflict is worse
than a missed one, so each step says no in doubt (docs/decisions/0033-instructions-and-conflicts.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from localrag.diff.amendments import Change, Related, changes, find_changed, order
from localrag.diff.changes import Version, compare
from localrag.diff.substance import contradiction
from localrag.grounding.citations import clip
from localrag.grounding.context import Span
from localrag.grounding.locate import locate
from localrag.grounding.stages import Findings, Pair
from localrag.store import locations as places
from localrag.store import text_analysis
from localrag.store.library import Library
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Conflict, Document, Side

# Documents of an answer, and passages of another version, that are compared.
_MAX_DOCUMENTS, _MAX_PASSAGES = 4, 6
_MAX_ABOUT = 80


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a document says: the span, the words in it that differ, and how late it is among its kind."""

    document: Document
    span: Span
    words: tuple[int, int]
    date: str
    rank: int

    def age(self, dated: bool) -> tuple[str, int]:
        return (self.date if dated else "", self.rank)


def check(findings: Findings, documents: Sequence[Pair]) -> Findings:
    """Return findings with their conflicts and a citation for each side.

    If it relies on the earlier document alone, its text says so too.
    """
    if not findings.found or not findings.citations:
        return findings
    citations = list(findings.citations)
    conflicts: list[Conflict] = []
    seen: list[frozenset[tuple[int, Span]]] = []
    related: dict[str, Related] = {}
    named = {(library.name, document.path): (library, document) for library, document in documents}
    for key in list(dict.fromkeys((one.library, one.document) for one in findings.citations))[:_MAX_DOCUMENTS]:
        if key not in named:
            continue
        library, document = named[key]
        own = [one for one in findings.citations if (one.library, one.document) == key]
        with library.snapshot():
            if library.name not in related:
                related[library.name] = Related(library, [other for where, other in documents if where is library])
            for sides in _conflicts(library, document, related[library.name], own):
                spans = frozenset((side.document.id, side.span) for side in sides)
                if spans not in seen:
                    seen.append(spans)
                    conflicts.append(_conflict(library, sides, citations))
    text = findings.answer
    for later in dict.fromkeys(conflict.sides[0] for conflict in conflicts if conflict.ordered and findings.sure):
        if later.marker > len(findings.citations):
            text += f" A later document says otherwise: “{later.says}” [{later.marker}]."
    return replace(findings, answer=text, citations=tuple(citations), conflicts=tuple(conflicts))


def _conflicts(
    library: Library, document: Document, related: Related, own: Sequence[Citation]
) -> Iterator[list[_Statement]]:
    pages = list(enumerate(library.pages(document.id)))
    spans = [
        Span(position, one.start, one.end)
        for one in own
        for position, page in pages
        if page.number == one.page and page.text[one.start : one.end] == one.quote
    ]
    for base in filter(None, (document, related.amended(document))):
        for sides in _replaced(library, base, related).values():
            if any(side.span.overlaps(span) for side in sides if side.document.id == document.id for span in spans):
                yield sorted(sides, key=lambda side: side.rank, reverse=True)
    differing = [_differing(library, document, spans, other, related) for other in related.versions(document)]
    for span in spans:
        if found := [pairs[span] for pairs in differing if span in pairs]:
            sides = [found[0][0], *(theirs for _, theirs in found)]
            dated = all(side.date for side in sides)
            yield sorted(sides, key=lambda side: side.age(dated), reverse=True)


def amended(library: Library, document: Document, related: Related) -> Iterator[tuple[Citation, Citation]]:
    """Yield what amendments replace in a document, each with the words of the last of these."""
    for base in filter(None, (document, related.amended(document))):
        for *replaced, last in _replaced(library, base, related).values():
            own = (one for one in replaced if one.document.id == document.id)
            yield from ((_citation(library, one, []), _citation(library, last, [])) for one in own)


def _replaced(library: Library, base: Document, related: Related) -> dict[Span, list[_Statement]]:
    """Return the sentences of a document that amendments replace, each with itself and what they put in its place."""
    amendments = related.amending(base)
    if not amendments:
        return {}
    pages = [page.text for page in library.pages(base.id)]
    date = related.dated(base).date
    found: dict[Span, list[_Statement]] = {}
    for rank, amendment in enumerate(sorted(amendments, key=lambda one: (one.date, one.document.path)), 1):
        texts = [page.text for page in library.pages(amendment.document.id)]
        for change in changes(texts):
            new = texts[change.replacement.position][change.replacement.start : change.replacement.end]
            old = find_changed(change, new, pages)
            if old is None:
                continue
            words, before = _words(change, new, pages[old.position][old.start : old.end])
            sides = found.setdefault(old, [_Statement(base, old, before, date, 0)])
            sides.append(_Statement(amendment.document, change.replacement, words, amendment.date, rank))
    return found


def _words(change: Change, new: str, old: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the words of the new and of the old sentence that differ."""
    if change.old and change.new:
        at, was = new.rfind(change.new), locate(change.old, old)
        if at >= 0 and was is not None:
            return (at, at + len(change.new)), was
    return contradiction(new, old) or ((0, len(new)), (0, len(old)))


def _differing(
    library: Library, document: Document, spans: Sequence[Span], other: Document, related: Related
) -> dict[Span, tuple[_Statement, _Statement]]:
    """Return, by span, its sentence and that of another version, if their figures differ, or one has a "not"."""
    likely = {at for span in spans for at in _likely_pages(library, document, span, other)}
    own = sorted({span.position for span in spans})
    ours = [(at, page) for at in own if (page := library.page(document.id, at)) is not None]
    theirs = [(at, page) for at in sorted(likely) if (page := library.page(other.id, at)) is not None]
    if not ours or not theirs:
        return {}
    base = Version(document.path, tuple(page for _, page in ours))
    compared = compare(base, Version(other.path, tuple(page for _, page in theirs)))
    dates = related.dated(document).date, related.dated(other).date
    found: dict[Span, tuple[_Statement, _Statement]] = {}
    for change in compared.changes:
        for (one, start, end), (two, first, last) in zip(change.old.spans, change.new.spans, strict=False):
            (at, page), (beside, other_page) = ours[one], theirs[two]
            mine, yours = _sentence(page.text, at, start, end), _sentence(other_page.text, beside, first, last)
            cited = [span for span in spans if span not in found and mine is not None and mine.overlaps(span)]
            if not cited or mine is None or yours is None:
                continue
            differ = contradiction(page.text[mine.start : mine.end], other_page.text[yours.start : yours.end])
            if differ is not None:
                left = _Statement(document, mine, differ[0], dates[0], order(document))
                right = _Statement(other, yours, differ[1], dates[1], order(other))
                found |= dict.fromkeys(cited, (left, right))
    return found


def _sentence(text: str, position: int, start: int, end: int) -> Span | None:
    """Return the sentence that a change is in; None where it is in several."""
    spans = (Span(position, first, last) for first, last in sentences(text))
    return next((span for span in spans if span.start <= start and end <= span.end), None)


def _likely_pages(library: Library, document: Document, span: Span, other: Document) -> list[int]:
    """Return the positions of the pages of another document that share the most words with a span."""
    text = library.page_text(document.id, span.position)[span.start : span.end]
    tokens = text_analysis.tokens(text, other.language or document.language)
    scores = library.text.scores([(token.term,) for token in dict.fromkeys(tokens)], library.generation)
    allowed = [int(i) for i in library.passage_ids([other.id]) if i < len(scores)]
    best = sorted(allowed, key=lambda i: (-scores[i], i))[:_MAX_PASSAGES]
    return sorted({one.position for one in chain.from_iterable(library.chunks_of_passages(best, [other.id]).values())})


def _conflict(library: Library, sides: Sequence[_Statement], citations: list[Citation]) -> Conflict:
    """Return the sides with their citations, the later first; new citations are added."""
    shown = []
    for side in sides:
        citation = _citation(library, side, citations)
        text = library.page_text(side.document.id, side.span.position)
        words = text[side.span.start : side.span.end][slice(*side.words)]
        text = " ".join((words if words in citation.quote else citation.quote).split())
        shown.append(Side(text, side.document.path, citation.place, side.date, citation.marker))
    oldest = sides[-1]
    text = library.page_text(oldest.document.id, oldest.span.position)
    dated = all(side.date for side in sides)
    ordered = sides[0].rank > sides[1].rank or sides[0].age(dated) > sides[1].age(dated)
    return Conflict(_about(text[oldest.span.start : oldest.span.end], oldest.words), tuple(shown), ordered)


def _about(sentence: str, words: tuple[int, int]) -> str:
    """Return the words before those that differ, else the sentence, shortened."""
    before = " ".join(sentence[: words[0]].split())
    text = before if len(before.split()) > 1 else " ".join(sentence.split())
    if len(text) <= _MAX_ABOUT:
        return text
    return f"… {text[-_MAX_ABOUT:].split(' ', 1)[-1]}" if before == text else f"{text[:_MAX_ABOUT].rsplit(' ', 1)[0]} …"


def _citation(library: Library, side: _Statement, citations: list[Citation]) -> Citation:
    """Return the citation that has the words of a side, or a new one of its sentence or a part of it."""
    page = library.page(side.document.id, side.span.position)
    assert page is not None
    start, end = side.span.start, side.span.end
    first, last = start + side.words[0], start + side.words[1]
    for known in citations:
        if (known.library, known.document, known.page) == (library.name, side.document.path, page.number) and (
            known.start <= first and last <= known.end
        ):
            return known
    start, end = clip(page.text, (start, end), (first, last))
    where = places.place_at(page, start, end)
    made = Citation(
        library.name,
        side.document.path,
        page.number,
        page.label,
        where,
        page.text[start:end],
        start,
        end,
        len(citations) + 1,
        unit=page.unit,
    )
    citations.append(made)
    return made
