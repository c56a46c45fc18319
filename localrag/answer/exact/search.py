"""Count and find words, phrases and identifiers in documents, with every place, without a model.

Words match whole, in any case, with any quotes, dashes and line breaks; nothing is stemmed. The full text only says
which pages can hold a term. Limit: a run of letters that is longer than a whole passage is not found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from localrag.answer import context
from localrag.answer.exact.documents import MAX_LINES, ExactAnswer, Pairs, Row, listing, more, named
from localrag.answer.exact.parsing import DocumentList, IdentifierSearch, Task, TermSearch
from localrag.quantities import plural
from localrag.search import filters
from localrag.store.library import Library
from localrag.store.text_analysis import folded
from localrag.types import Citation, Document, Filter, Page, place

_MAX_CITED = 20
_MAX_PAGES_NAMED = 12


def applicable(task: Task, documents: Pairs) -> bool:
    """Whether a task can run on these documents: the document that it names is among them."""
    return isinstance(task, DocumentList) or not task.within or bool(named(documents, task.within))


def run(task: Task, documents: Pairs, only: Filter, stop: Callable[[], bool] = lambda: False) -> ExactAnswer:
    """Run a task over documents, on the pages that a filter lets through.

    `stop` is polled at every page; True ends the run with what was found.
    """
    if isinstance(task, DocumentList):
        return listing(task, documents)
    chosen = named(documents, task.within) if task.within else list(documents)
    if not chosen:
        hint = "Ask “list the documents” to see which there are."
        return ExactAnswer(f"No document is called “{task.within}”. {hint}", False)
    search = _Search(chosen, only, stop, named=bool(task.within))
    if isinstance(task, IdentifierSearch):
        search.run(lambda text: find_identifier(text, task.value))
        return _identifier_answer(task, search)
    search.run(lambda text: find_term(text, task.term), letter_runs(task.term))
    return _without_answer(task, search) if task.kind == "without" else _term_answer(task, search)


_VARIANTS = ("'’‘ʼ´`", '"“”„«»', "-‐‑‒–—−")
_ANCHOR = re.compile("[0-9A-Za-z]+")
# Letters that a pattern matches as s or i and `lower` does not change so.
_OTHER_CASES = "\u017f\u0131\u0130"
# Shorter runs of letters are part of too many words to narrow a search.
_MIN_RUN = 3
# Scripts whose words end where patterns end words: Latin, Greek, Cyrillic.
_LETTERS = re.compile("[0-9a-z\u00df-\u024f\u0370-\u052f]+")


def find_term(text: str, term: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a whole word or phrase in a text."""
    if (pattern := _pattern(term)) is None:
        return
    anchor = _ANCHOR.search(term.split()[0])
    if anchor is None or any(sign in text for sign in _OTHER_CASES):
        yield from (match.span() for match in pattern.finditer(text))
        return
    # The pattern is tried only where its first letters are: 200 MB a second instead of 4.
    lower, letters, at, end = text.lower(), anchor[0].lower(), 0, 0
    while (at := lower.find(letters, at)) >= 0:
        begin = at - anchor.start()
        match = pattern.match(text, begin) if begin >= end else None
        if match:
            yield match.span()
            end = match.end()
        at += 1


@lru_cache(maxsize=16)
def _pattern(term: str) -> re.Pattern[str] | None:
    plain = "".join(term.split())
    if not plain:
        return None
    variants = {sign: f"[{re.escape(signs)}]" for signs in _VARIANTS for sign in signs}
    words = ["".join(variants.get(sign) or re.escape(sign) for sign in word) for word in term.split()]
    before, after = (r"(?<!\w)" if plain[0].isalnum() else ""), (r"(?!\w)" if plain[-1].isalnum() else "")
    return re.compile(before + r"\s+".join(words) + after, re.I)


def letter_runs(term: str) -> tuple[str, ...]:
    """Return the runs of letters (folded, longest first) that are inside a word of every text that has the term."""
    folds = {folded(run) for run in re.findall(r"[^\W_]+", term)}
    runs = [run for run in folds if len(run) >= _MIN_RUN and _LETTERS.fullmatch(run)]
    return tuple(sorted(runs, key=lambda run: (-len(run), run)))


def pages_with(library: Library, runs: Sequence[str]) -> dict[int, list[int]] | None:
    """Return the pages, by document, that can hold all these runs of letters; None if the full text cannot tell."""
    common: set[tuple[int, int]] | None = None
    for run in runs:
        passages = library.text.with_part(run)
        if passages is None:
            continue
        spans = library.spans_of_passages(passages.tolist()) if len(passages) else ()
        own = {(at.document_id, at.position) for at in spans}
        common = own if common is None else common & own
        if not common:
            return {}
    if common is None:
        return None
    pages: dict[int, list[int]] = {}
    for document, position in sorted(common):
        pages.setdefault(document, []).append(position)
    return pages


_SEPARATING = " \n\t\r\u00a0\u2007\u2009\u202f-\u2010\u2011\u2012\u2013\u2014\u2212/"
_SEPARATORS = re.compile(f"[{re.escape(_SEPARATING)}]+")
# Fewer signs are found anywhere by chance if separators do not count.
_MIN_LOOSE = 6


def find_identifier(text: str, identifier: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of an identifier, however it is grouped: "DE44 5001 0517" is "DE4450010517"."""
    signs = _SEPARATORS.sub("", identifier).upper()
    closed = text
    for sign in _SEPARATING:
        closed = closed.replace(sign, "")  # much quicker than the pattern below
    if not signs or signs not in closed.upper():
        return
    loose = len(signs) >= _MIN_LOOSE and any(sign.isdigit() for sign in signs)
    between = f"[{re.escape(_SEPARATING)}]{{0,2}}"
    shown = between.join(map(re.escape, signs)) if loose else r"\s+".join(map(re.escape, identifier.split()))
    before, after = (r"(?<!\w)" if signs[0].isalnum() else ""), (r"(?!\w)" if signs[-1].isalnum() else "")
    before += r"(?<!\d\.)" if signs[0].isdigit() else ""
    after += r"(?!\.\d)" if signs[-1].isdigit() else ""  # "4.1" is not "4.1.2"
    yield from (match.span() for match in re.finditer(f"{before}{shown}{after}", text, re.I))


class _Search:
    """One run over the pages of documents: the places by document, the forms found, and the first places cited."""

    def __init__(self, documents: Pairs, only: Filter, stop: Callable[[], bool], named: bool) -> None:
        self.documents = documents
        self.stopped = False
        self.citations: list[Citation] = []
        self.places: dict[tuple[str, int], Counter[str]] = {}
        self.forms: Counter[str] = Counter()
        self._only, self._stop, self._named = only, stop, named

    def run(self, find: Callable[[str], Iterable[tuple[int, int]]], runs: Sequence[str] = ()) -> None:
        """Look through all pages, or through those that can hold all of these runs of letters."""
        libraries = {library.name: library for library, _ in self.documents}
        candidates = {name: pages_with(library, runs) for name, library in libraries.items()}
        for library, document in self.documents:
            fitting = candidates[library.name]
            for position in range(document.pages) if fitting is None else fitting.get(document.id, ()):
                if self._stop():
                    self.stopped = True
                    return
                text = library.page_text(document.id, position)
                spans = list(find(text))
                page = library.page(document.id, position) if spans else None
                if page is not None and filters.has_page(self._only, page.number):
                    self._add(library, document, page, spans)

    def _add(self, library: Library, document: Document, page: Page, spans: Sequence[tuple[int, int]]) -> None:
        where = place(page.number, page.label, (), page.unit)
        self.places.setdefault((library.name, document.id), Counter())[where] += len(spans)
        for start, end in spans:
            self.forms[" ".join(page.text[start:end].split())] += 1
            if len(self.citations) < _MAX_CITED:
                marker = len(self.citations) + 1
                self.citations.append(context.around(library.name, document, page, start, end, marker))

    def rows(self) -> list[Row]:
        """Return a row for each document with a place, in the order of the documents."""
        return [
            {"library": library.name, "document": document.path, "count": own.total(), "places": _pages(own)}
            for library, document in self.documents
            if (own := self.places.get((library.name, document.id)))
        ]

    def lines(self) -> list[str]:
        rows = self.rows()
        return [f"- {one['document']}: {one['count']:,}{_bracketed(one['places'])}" for one in rows[:MAX_LINES]] + more(
            rows
        )

    def scope(self) -> str:
        """Return what was looked through: "14 documents", "lease.pdf"."""
        scope = plural(len(self.documents), "document")
        if self._named:
            scope = self.documents[0][1].path if len(self.documents) == 1 else f"{scope} of that name"
        return f"{scope} (only on the pages asked for)" if self._only.pages else scope

    def answer(self, lines: list[str], rows: Sequence[Row]) -> ExactAnswer:
        total = self.forms.total()
        if total > len(self.citations):
            lines.append(f"{plural(len(self.citations), 'place')} of {total:,} are cited.")
        if self.stopped:
            lines.append("It was stopped, so there may be more.")
        return ExactAnswer("\n".join(lines), total > 0, tuple(self.citations), tuple(rows), self.stopped)


def _pages(pages: Counter[str]) -> str:
    """Name the pages that hold something: "p. 1 (2), p. 3"; empty in a document without pages."""
    names = [name if count == 1 else f"{name} ({count})" for name, count in pages.items() if name]
    left = len(names) - _MAX_PAGES_NAMED
    return ", ".join(names[:_MAX_PAGES_NAMED]) + (f" and {left} more" if left > 0 else "")


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""


def _term_answer(task: TermSearch, search: _Search) -> ExactAnswer:
    rows, times = search.rows(), plural(search.forms.total(), "time")
    if not rows:
        return search.answer([f"“{task.term}” does not occur in {search.scope()}. Only whole words count."], rows)
    if task.kind != "documents" and len(search.documents) == 1:
        line = f"“{task.term}” occurs {times} in {rows[0]['document']}{_bracketed(rows[0]['places'])}."
        return search.answer([line], rows)
    where = f"in {len(rows):,} of {search.scope()}"
    line = f"{where}, {times} in all" if task.kind == "documents" else f"{times} {where}"
    return search.answer([f"“{task.term}” occurs {line}.", *search.lines()], rows)


def _without_answer(task: TermSearch, search: _Search) -> ExactAnswer:
    if search.stopped:
        return ExactAnswer("It was stopped before all documents were looked through.", False, stopped=True)
    lacking = [
        (one.name, document) for one, document in search.documents if (one.name, document.id) not in search.places
    ]
    rows: list[Row] = [{"library": name, "document": document.path} for name, document in lacking]
    line = f"“{task.term}” does not occur in {len(rows):,} of {search.scope()}{':' if rows else '.'}"
    shown = [f"- {row['document']}" for row in rows[:MAX_LINES]]
    return ExactAnswer("\n".join([line, *shown, *more(rows)]), bool(rows), (), tuple(rows))


def _identifier_answer(task: IdentifierSearch, search: _Search) -> ExactAnswer:
    rows, name = search.rows(), f"{task.label} “{task.value}”".strip()
    name = name[0].upper() + name[1:]
    if not rows:
        return search.answer([f"{name} does not occur in {search.scope()}, however it is grouped."], rows)
    line = f"{name} occurs {plural(search.forms.total(), 'time')} in {len(rows):,} of {search.scope()}."
    if other := [form for form in search.forms if form.upper() != task.value.upper()]:
        line += f" It is also written {', '.join(f'“{form}”' for form in other[:5])}."
    return search.answer([line, *search.lines()], rows)
