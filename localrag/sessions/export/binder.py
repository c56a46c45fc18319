"""A binder: one PDF with an index and every quoted page, its quotes highlighted.

Pages of PDFs are copies of the originals, as long as they are those that were read; all others are laid out as text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from localrag.answer.checks import cited_page
from localrag.errors import KeyRequired, LocalragError, ReadError, UsageError
from localrag.grounding.annotations import NEAREST
from localrag.ingest.source_files import PageCopy
from localrag.quantities import plural
from localrag.sessions.export.contents import clean, contents, line
from localrag.sessions.session_store import Session
from localrag.types import Citation

if TYPE_CHECKING:
    from localrag.sessions.export.binder_pages import Pages, Row, Spans
    from localrag.worker.engine import Engine, Opened

shorten = partial(textwrap.shorten, placeholder="…")
_MAX_CELL, _MAX_NAME, _MAX_QUESTION = 240, 100, 90
_MAX_WHOLE, _AROUND = 12_000, 2_000  # characters of a text shown whole, and around a quote of a longer one


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote, and what it stands for."""

    at: Citation
    says: str


@dataclass(frozen=True, slots=True)
class Binder:
    """What is bound: a title, lines about it, and quotes in any order."""

    title: str
    about: tuple[str, ...]
    quotes: tuple[Quoted, ...]


Bind = Callable[[Binder], bytes]


def of_session(session: Session) -> Binder:
    """Return the quotes of a conversation, each with its question and the sentence that rests on it."""
    made, quotes = contents(session), list[Quoted]()
    for number, turn in enumerate(session.turns, 1):
        if turn.answer is None:
            continue
        asked = f"{number}. {shorten(turn.question, _MAX_QUESTION)}"
        sentences = re.split(r"(?<=[.!?\]])\s+(?=[^\[\s])", turn.answer.answer)
        for one in turn.answer.citations:
            rests = next((text for text in sentences if f"[{one.marker}]" in text), sentences[0])
            quotes.append(Quoted(one, f"{asked}: {rests}"))
        quotes += [Quoted(one, f"{asked}: {NEAREST.rstrip(':')}") for one in turn.answer.nearest]
    listed = (f"{number}. {turn.question}" for number, turn in enumerate(made.turns, 1))
    return Binder(made.title, (*made.about, *listed), tuple(quotes))


@dataclass(frozen=True, slots=True)
class _Source:
    """A quoted page: its quotes by number, the page as stored, and a copy of the original where there is one."""

    quotes: dict[int, Quoted]
    opened: Opened | None
    spans: Spans
    copy: PageCopy | None
    notes: tuple[str, ...]

    @property
    def at(self) -> Citation:
        return next(iter(self.quotes.values())).at


def pdf(binder: Binder, engine: Engine, progress: Callable[[int, int | None, str], None] = lambda *_: None) -> bytes:
    """Return the binder; `progress` takes the pages that are done, all pages and a document. Needs one quote."""
    from localrag.sessions.export import binding

    if not binder.quotes:
        raise UsageError("there is no quote to bind", "Export it in another format, or ask what the documents say.")
    found, pages = [], _by_page(binder.quotes)
    for done, quotes in enumerate(pages):
        progress(done, len(pages), f"page of {next(iter(quotes.values())).at.document}")
        found.append(_read(quotes, engine))
    first = _laid_out(binder, found)
    first.finished()
    laid = _laid_out(binder, found, first)
    return binding.bind(laid.finished(), laid.placed, laid.marks)


def _by_page(quotes: Sequence[Quoted]) -> list[dict[int, Quoted]]:
    """Number the quotes in the order of documents and pages; one that is there twice stands for both."""
    pages: dict[tuple[str, str, int], dict[tuple[int, int, str], list[Quoted]]] = {}
    for one in quotes:
        page = pages.setdefault((one.at.library, one.at.document, one.at.page or 0), {})
        page.setdefault((one.at.start, one.at.end, one.at.quote), []).append(one)
    numbers = count(1)
    return [
        {
            next(numbers): Quoted(same[0].at, "; ".join(dict.fromkeys(one.says for one in same)))
            for _, same in sorted(page.items())
        }
        for _, page in sorted(pages.items())
    ]


def _read(quotes: dict[int, Quoted], engine: Engine) -> _Source:
    """Open the page of some quotes, and copy the original where it is a PDF that has not changed."""
    at = next(iter(quotes.values())).at
    try:
        opened = engine.page(at.library, at.document, at.page, exact=True)
    except KeyRequired:
        raise
    except LocalragError as error:
        return _Source(quotes, None, (), None, (f"This page cannot be opened: {error.message}. These are the quotes.",))
    places = {number: cited_page.locate(one.at, opened.page) for number, one in quotes.items()}
    about = (opened.document, opened.page, opened.state)
    said = [cited_page.notes(*about, one.at, places[number]) for number, one in quotes.items()]
    notes = list(dict.fromkeys(text.removeprefix("! ") for texts in said for text in texts))
    spans = [(one.start, one.end, number) for number, one in places.items() if one is not None]
    copy = None
    if PurePosixPath(at.document).suffix.lower() == ".pdf" and opened.state == "same":
        try:
            copy = engine.page_copy(at.library, at.document, at.page, tuple((one[0], one[1]) for one in spans))
        except ReadError as error:
            notes.append(f"The original page is not shown: {error.message}. This is the text that was read.")
    if copy is not None:
        lost = [str(one[2]) for one, boxes in zip(spans, copy.boxes, strict=False) if not boxes]
        notes += [f"The page draws the words of quote {', '.join(lost)} in another way."] if lost else []
    return _Source(quotes, opened, spans, copy, tuple(notes))


def _laid_out(binder: Binder, found: Sequence[_Source], before: Pages | None = None) -> Pages:
    """Lay out all pages; `before` is the same layout, made to know where each quote comes to stand."""
    from localrag.sessions.export.binder_pages import Pages

    pages = Pages(line(binder.title), *((before.where, before.total) if before else ()))
    pages.add_index([*map(line, (*binder.about, _counted(found)))], [row for one in found for row in _rows(one)])
    last = ("", "")
    for one in found:
        own = {number: line(f"{number} · {shorten(of.says, _MAX_NAME)}") for number, of in one.quotes.items()}
        pages.begin("" if last == (one.at.library, one.at.document) else line(one.at.name), own)
        last = (one.at.library, one.at.document)
        where, notes = line(_where(one)), [*map(line, one.notes)]
        if one.copy is not None:
            pages.add_copy(one.copy, [number for _, _, number in one.spans], notes, f"{where} · {_named(one.at)}")
        else:
            about = line(f"{one.at.document} · {where} · text as it was read")
            pages.add_text(line(one.at.name), [about, *notes], _parts(one), f"{where} · {_named(one.at)}")
    return pages


def _counted(found: Sequence[_Source]) -> str:
    quotes, documents = sum(len(one.quotes) for one in found), {(one.at.library, one.at.document) for one in found}
    today = date.today()
    counted = f"{plural(quotes, 'quote')} on {plural(len(found), 'page')} of {plural(len(documents), 'document')}"
    return f"{counted}. Made {today.day} {today:%B %Y}. Each line leads to its page; pages are those of this binder."


def _named(at: Citation) -> str:
    return line(f"{at.title} ({at.document})" if at.title else at.document)


def _rows(one: _Source) -> Iterator[Row]:
    for number, quoted in one.quotes.items():
        quote, says = (shorten(text, _MAX_CELL) for text in (quoted.at.quote, quoted.says))
        yield number, _named(quoted.at), (line(quoted.at.place), f"“{line(quote)}”", line(says))


def _where(one: _Source) -> str:
    """Return which page of its source a page is."""
    if one.opened is None:
        return one.at.place or "the source"
    page = one.opened.page
    if page.number is None:
        return "source without pages"
    named = f" ({page.label})" if page.label and page.label != str(page.number) else ""
    return f"{page.unit} {page.number} of {one.opened.count} of the source{named}"


def _parts(one: _Source) -> list[tuple[str, Spans]]:
    """Return the text of a page with its quotes; of a long one what is around them."""
    if one.opened is None:
        return [(clean(quoted.at.quote), [(0, len(quoted.at.quote), number)]) for number, quoted in one.quotes.items()]
    text, last = clean(one.opened.page.text), 0
    parts: list[tuple[str, Spans]] = []
    for start, end in _around(text, one.spans):
        if start > last:
            parts.append((f"\n[… {start - last:,} characters left out …]\n", ()))
        spans = [(first - start, stop - start, number) for first, stop, number in one.spans if start <= first < end]
        parts.append((text[start:end], spans))
        last = end
    return [*parts, (f"\n[… {len(text) - last:,} characters left out …]", ())] if last < len(text) else parts


def _around(text: str, spans: Spans) -> list[tuple[int, int]]:
    """Return the parts of a text to show, in order and apart from each other."""
    if len(text) <= _MAX_WHOLE:
        return [(0, len(text))]
    found: list[tuple[int, int]] = []
    for start, end, _ in sorted(spans) or [(0, 0, 0)]:
        first = max(text.rfind("\n", 0, max(0, start - _AROUND)) + 1, start - 2 * _AROUND, 0)
        line_end = text.find("\n", end + _AROUND)
        last = min(line_end if line_end >= 0 else len(text), end + 2 * _AROUND, len(text))
        if found and first <= found[-1][1]:
            first, last = found[-1][0], max(last, found.pop()[1])
        found.append((first, last))
    return found
