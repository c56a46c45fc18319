"""Answer a question for a list with the whole list of the text, counted, without the model.

    The plan covers a variety of drug classes, including but not limited to (8 items) [1]:
    - Antibiotics ...

A small model names two or three of eight items. Only a list that says what it lists is taken: its lead, with the
headings above it and the name of its document, has every content word of the question, and the lead names what is asked
for. A list whose end is in doubt is left to the model: one that is cut is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from string import ascii_lowercase

from localrag.grounding import context, prompt_injection
from localrag.grounding.citations import cite_span, terms, without_markup
from localrag.grounding.stages import Findings, Prompt, Query, Route
from localrag.quantities import phrases, plural
from localrag.question.question import negated
from localrag.store import locations, text_analysis
from localrag.store.text_analysis import sentences
from localrag.types import Passage

_LEADS, _GENERAL, _BEFORE, _INCLUDES = phrases("localrag.answer", "lists", "leads", "general", "before", "includes")
_END = re.compile(r"[;,](?: (?:and|or|and/or))?$|\.$")
_MARK = re.compile(r"(?P<bullet>[-*+•●○◦▪■□►➢✓–—·‣⁃])\s+|\(?(?P<label>[a-z]{1,4}|\d{1,2})[.)]\s+", re.I)
_ROMAN = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx"
_COUNTED = (_ROMAN.split(), ascii_lowercase, [str(number) for number in range(1, 100)])
Span = tuple[int, int]
Mark = re.Match[str]
_MIN_ITEMS, _MAX_ITEMS, _MAX_ITEM = 3, 25, 400
_MAX_LEAD_LINE, _BARE = 40, 2  # characters of a lead that shares a span, content words of one that says little
_STOP = re.compile(r"[^\w\s)\]%”'\"](?:\s+(?:and|or|and/or))?$")  # contracts also have U+037E for a semicolon
_SEMICOLON, _COLUMNS = re.compile(r"[;\u037e](?:\s+(?:and|or|and/or))?$"), re.compile(r"(?<=\S) [•●○◦▪■□►➢✓‣⁃] ")
_JOINED, _INNER = re.compile(r"\n\s{0,80}[A-Z]"), re.compile(r"\n\s{0,80}\(?(?:[a-z]{1,4}|\d{1,2})[.)]\s", re.I)
_LOOK_AHEAD = 2  # sentences of an item on lines of their own, at most
_FOOTER = 3  # lines between the parts of a list that the end of a page cuts in two, at most


def find(text: str) -> list[list[Span]]:
    """Return the lists of a text whose end is clear: the span of the lead, and of each item without its mark."""
    spans = [part for span in sentences(text) for part in _parted(text, *span)]
    marks = [
        mark if mark and (mark["bullet"] or _values(mark["label"])) else None
        for mark in (_MARK.match(text, *span) for span in spans)
    ]
    found: list[list[Span]] = []
    at = 1
    while at < len(spans):
        begins = _follows(None, marks[at]) and _LEADS.search(text[slice(*spans[at - 1])])
        items, end = _items(text, spans, marks, at) if begins else ([], at + 1)
        if _MIN_ITEMS <= len(items) <= _MAX_ITEMS and _whole(text, items) and _apart(text, spans, marks, at, end):
            found.append([spans[at - 1], *items])
        at = end
    return found


def _parted(text: str, start: int, end: int) -> list[Span]:
    """Return a span, a bullet apart from a last line that introduces a list: "• ... best practices | Duties:"."""
    last, mark = text.rfind("\n", start, end), _MARK.match(text, start, end)
    alone = mark and mark["bullet"] and text[end - 1] == ":" and start < last and end - last < _MAX_LEAD_LINE
    return [(start, last), (last + 1, end)] if alone else [(start, end)]


def _items(text: str, spans: Sequence[Span], marks: Sequence[Mark | None], at: int) -> tuple[list[Span], int]:
    """Return the items of the list that begins at a span, and the number of the span behind it."""
    items: list[Span] = []
    last: Mark | None = None
    while at < len(spans):
        mark, gap = marks[at], text[spans[at - 1][1] : spans[at][0]]
        if mark and _follows(last, mark):
            items.append((mark.end(), spans[at][1]))
            last = mark
        elif _style(mark) == _style(last) or not (mark or "\n" not in gap or _goes_on(text, spans, marks, at, last)):
            break
        else:
            items[-1] = (items[-1][0], spans[at][1])  # the rest of the item, or a list inside it
        at += 1
    return items, at


def _goes_on(text: str, spans: Sequence[Span], marks: Sequence[Mark | None], at: int, last: Mark | None) -> bool:
    """Whether sentences on lines of their own belong to an item, since the next one follows them."""
    ahead = next((n for n, mark in enumerate(marks[at : at + 1 + _LOOK_AHEAD], at) if mark), at)
    return ahead > at and _follows(last, marks[ahead]) and all(text[end - 1] in ".;" for _, end in spans[at:ahead])


def _apart(text: str, spans: Sequence[Span], marks: Sequence[Mark | None], at: int, end: int) -> bool:
    """Whether the list of spans `at` to `end` neither goes on below a footer nor holds lists with the same bullet."""
    own = [mark for mark in marks[at:end] if mark and _style(mark) == _style(marks[at])]
    below = next((n for n in range(end, min(end + _FOOTER + 1, len(spans))) if _follows(own[-1], marks[n])), None)
    before = [text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()] for mark in own if mark["bullet"]]
    level = len({indent for indent in before if not indent.strip()}) < 2
    return level and (below is None or bool(_LEADS.search(text[slice(*spans[below - 1])])))


def _style(mark: Mark | None) -> str:
    return "" if mark is None else mark["bullet"] or re.sub("[a-z]+", "a", re.sub(r"\d+", "1", mark[0].strip().lower()))


def _follows(last: Mark | None, mark: Mark | None) -> bool:
    """Whether a mark begins a list (`last` is None), or is the next one of it."""
    if mark is None or (last is not None and _style(last) != _style(mark)):
        return False
    before = [0] if last is None else _values(last["label"] or "")
    return bool(mark["bullet"]) or any(value - 1 in before for value in _values(mark["label"]))


def _values(label: str) -> list[int]:
    return [n for counted in _COUNTED for n, own in enumerate(counted, 1) if own == label.lower()]


def _whole(text: str, items: Sequence[Span]) -> bool:
    """Whether the last item ends as the others do, and no item is joined to what is behind or beside it."""
    *others, last = [text[start:end] for start, end in items]
    stops = [bool(_STOP.search(one)) for one in others]
    ends = last.endswith((".", "!", "?")) if any(stops) else not last.endswith((":", ";", ",", "-"))
    columns = any(map(_COLUMNS.search, (*others, last))) or (any(map(_SEMICOLON.search, others)) and not all(stops))
    joined = bool(_INNER.search(last)) or (bool(_JOINED.search(last)) and not any(map(_JOINED.search, others)))
    flat = not any(one.endswith(":") for one in others)  # else items of a list inside would count as its own
    return ends and flat and not joined and not columns and all(len(one) <= _MAX_ITEM for one in (*others, last))


# --- the list that answers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """A list in the text of a page and the next; `above` are the headings, `document` the names of its document."""

    pages: tuple[Passage, ...]
    text: str
    spans: list[Span]
    lead: str
    above: tuple[str, ...]
    document: str


def answer(query: Query, route: Route, prompt: Prompt, *, short: bool = False) -> Findings | None:
    """Return the list that answers a question for one; None if it asks for none, or no list is surely the one."""
    question = " ".join(query.text.split())
    listed = query.question.listed
    if not listed or query.instructions:
        return None
    language = text_analysis.language(question)
    wanted, noun = _content(question, language), _content(listed.split()[-1], language)
    found = [
        place
        for place in (_places(query, prompt.passages) if noun else ())
        if noun <= _enumerated(place.lead, language)
        and _fits(place, wanted, language)
        and query.question.negated == negated(" ".join((place.lead, *place.above[-1:])))
    ]
    same = {place.text[place.spans[0][0] : place.spans[-1][1]] for place in found}
    return _answer(query, route, prompt, found[0], short) if len(same) == 1 else None


def _fits(place: _Place, wanted: frozenset[str], language: str) -> bool:
    """Whether a list is about all that is asked; where its lead says little ("Duties:"), its heading about no more."""
    own, nearest = _content(place.document, language), _content(" ".join(place.above[-1:]), language)
    telling = len(_content(place.lead, language)) > _BARE or nearest <= wanted | own
    return telling and wanted <= _content(" ".join((place.lead, *place.above)), language) | own


def _content(text: str, language: str) -> frozenset[str]:
    return terms(_GENERAL.sub(" ", text), language)


def _enumerated(lead: str, language: str) -> frozenset[str]:
    """Return the words that may name what a list lists: "the following foot care services:", "Exceptions include:"."""
    short = _INCLUDES.sub("", lead).rstrip(" :—–")
    parts = _BEFORE.split(re.split(r"[,;:.]\s", short)[-1])
    words = [next(iter(own)) for word in parts[-1].split() if (own := _content(word, language))]
    begins = len(parts) > 1 or len(short) < len(lead.rstrip(" :—–"))
    return frozenset([*words[-2:], *words[: int(begins)]])


def _places(query: Query, passages: Sequence[Passage]) -> list[_Place]:
    """Return the lists that these passages hold, whole or in part."""
    pairs = {(library.name, document.id): (library, document) for library, document in query.documents}
    found: dict[tuple[str, int, int, int], _Place] = {}
    for passage in passages:
        library, document = pairs[passage.library, passage.document_id]
        both = [(at, library.page(document.id, at)) for at in (passage.position, passage.position + 1)]
        pages = context.page_passages(library.name, document, [(at, page) for at, page in both if page is not None])
        name = re.sub(r"[_\-.]", " ", f"{PurePosixPath(document.path).stem} {document.title}")
        text = "\n".join(page.text for page in pages)
        for spans in find(text):
            start, lead = spans[0][0], " ".join(text[slice(*spans[0])].split())
            if start < min(passage.end, pages[0].end) and passage.start < spans[-1][1]:
                page = both[0][1]
                path = locations.above(page, start) if page is not None else ()
                above = tuple(one.title for one in path) or passage.heading[-2:]
                place = _Place(tuple(pages), text, spans, lead, above, name)
                found.setdefault((library.name, document.id, passage.position, start), place)
    return list(found.values())


def _answer(query: Query, route: Route, prompt: Prompt, place: _Place, short: bool) -> Findings | None:
    """Return the list in the words of the text, with a citation for each of its pages."""
    text, start, end = place.text, place.spans[0][0], place.spans[-1][1]
    if prompt_injection.removed(text[start:end]) != text[start:end]:
        return None
    items = [_END.sub("", without_markup(" ".join(text[slice(*span)].split()))) for span in place.spans[1:]]
    one, *two = place.pages
    citations = [replace(cite_span(one, start, min(end, len(one.text))), marker=1)]
    if end > len(one.text):
        citations.append(replace(cite_span(two[0], 0, end - len(one.text) - 1), marker=2))
    marks = "".join(f"[{citation.marker}]" for citation in citations)
    lead = without_markup(place.lead).rstrip(" :—–")
    whole = f"{lead} ({plural(len(items), 'item')}) {marks}:\n" + "\n".join(f"- {item}" for item in items)
    return Findings(
        f"{'; '.join(items)} {marks}" if short else whole,
        True,
        route.plan.with_signals(listed=len(items)),
        citations=context.placed(citations, place.pages, query.libraries),
        context=prompt.context,
        looked_at=prompt.looked_at,
        passages=tuple(prompt.passages),
    )
