"""What code finds out from the documents: the tasks of `exact`, run. No model, and every place can be looked up.

A word is looked for in the full text first, so that only pages that can hold it are read; where that cannot tell
(`occurrences.parts`), all pages are. What is found is the same either way. Limit: a run of letters without any
break that is longer than a whole passage is cut by passages, and not looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from localrag.answer import context
from localrag.answer.exact import identifiers, shelving
from localrag.answer.exact.identifiers import KINDS, Mark
from localrag.answer.exact.occurrences import occurrences, parts
from localrag.answer.exact.shelving import Pairs, Reckoned, Row
from localrag.answer.exact.tasks import Every, Identifier, Listing, Size, Task, Term, Worked
from localrag.quantities import plural
from localrag.search import filters
from localrag.store.library import Library
from localrag.types import Citation, Document, Filter, Page, place

_MOST_CITED = 20
_MOST_LINES = 50
_MOST_PAGES_NAMED = 12

# What is easier to read as it is written, in groups.
_GROUPED = ("IBAN", "ISBN", "card number", "telephone number")

# A place on a page, with the value of what stands there ("" for a term, which has one form).
Found = tuple[int, int, str]
# A document of one of several libraries.
Key = tuple[str, int]


def settled(task: Task, documents: Pairs) -> Task | None:
    """The task if it can be done with these documents, None where it names one that is not among them."""
    if isinstance(task, Worked | Listing) or not task.within or shelving.called(documents, task.within):
        return task
    return None


def answer(task: Task, documents: Pairs, only: Filter, stop: Callable[[], bool] = lambda: False) -> Reckoned:
    """Run a task over documents, on the pages that the filter lets through.

    Args:
        task: made by `exact.parse`.
        documents: those that the question was narrowed to.
        only: the filter they passed; its pages are kept to.
        stop: polled at every page; True ends the run with what there is.
    """
    if isinstance(task, Worked):
        return Reckoned(task.text, True)
    if isinstance(task, Listing):
        return shelving.listed(task, documents)
    chosen = shelving.called(documents, task.within) if task.within else list(documents)
    if not chosen:
        return Reckoned(
            f"No document is called “{task.within}”. Ask “list the documents” to see which there are.", False
        )
    if isinstance(task, Size):
        return shelving.measured(task, chosen, only, stop)
    search = _Search(chosen, only, stop, named=bool(task.within))
    if isinstance(task, Term):
        search.run(lambda text: ((hit.start, hit.end, "") for hit in occurrences(text, task.term)), parts(task.term))
        return _told_term(task, search)
    if isinstance(task, Identifier):
        search.run(lambda text: _identified(text, task.value))
        return _told_identifier(task, search)
    search.run(lambda text: _found(KINDS[task.sort](text)))
    return _told_every(task, search)


def _found(marks: Iterable[Mark]) -> Iterator[Found]:
    return ((mark.start, mark.end, mark.value) for mark in marks)


def _identified(text: str, value: str) -> Iterable[Found]:
    return _found(identifiers.written(text, value)) if identifiers.may_hold(text, value) else ()


# --- reading pages ------------------------------------------------------------------------------------------


class _Search:
    """A run over the pages of documents: where each value stands, how it is written, and the first places, cited."""

    def __init__(self, documents: Pairs, only: Filter, stop: Callable[[], bool], named: bool) -> None:
        self.documents = documents
        self.stopped = False
        self.citations: list[Citation] = []
        # For each value and document, how many places there are on each page, by the page's name.
        self.places: dict[str, dict[Key, Counter[str]]] = {}
        self.forms: dict[str, Counter[str]] = {}
        self._only, self._stop, self._named = only, stop, named

    @property
    def total(self) -> int:
        return sum(forms.total() for forms in self.forms.values())

    def run(self, find: Callable[[str], Iterable[Found]], runs: Sequence[str] = ()) -> None:
        """Look through the pages, or through those that hold all of these runs of letters."""
        libraries = {library.name: library for library, _ in self.documents}
        candidates = {name: pages_with(library, runs) for name, library in libraries.items()}
        for library, document in self.documents:
            fitting = candidates[library.name]
            for position in range(document.pages) if fitting is None else fitting.get(document.id, ()):
                if self._stop():
                    self.stopped = True
                    return
                self._look(library, document, position, find)

    def _look(
        self, library: Library, document: Document, position: int, find: Callable[[str], Iterable[Found]]
    ) -> None:
        text = library.page_text(document.id, position)
        page: Page | None = None
        where = ""
        for start, end, value in find(text):
            # What else is known of a page is only read where something was found.
            page = page or library.page(document.id, position)
            if page is None or not filters.has_page(self._only, page.number):
                return
            where = where or place(page.number, page.label, (), page.unit)
            places = self.places.setdefault(value, {}).setdefault((library.name, document.id), Counter())
            forms = self.forms.setdefault(value, Counter())
            # Of several values each is shown once before any is shown again.
            if len(self.citations) < _MOST_CITED and (not forms or len(self.forms) == 1):
                marker = len(self.citations) + 1
                self.citations.append(context.around(library.name, document, page, start, end, marker))
            forms[" ".join(text[start:end].split())] += 1
            places[where] += 1

    def rows(self) -> list[Row]:
        """A row for each document that has any, in the order of the documents."""
        of: dict[Key, Counter[str]] = {}
        for key, pages in chain.from_iterable(own.items() for own in self.places.values()):
            of.setdefault(key, Counter()).update(pages)
        return [
            {
                "library": library.name, "document": document.path, "count": of[key].total(), "places": _named(of[key]),
            }
            for library, document in self.documents
            if (key := (library.name, document.id)) in of
        ]  # fmt: skip

    def looked_at(self) -> str:
        """What was looked through: "14 documents", "lease.pdf"."""
        said = plural(len(self.documents), "document")
        if self._named:
            said = self.documents[0][1].path if len(self.documents) == 1 else f"{said} of that name"
        return f"{said} (only on the pages asked for)" if self._only.pages else said


def pages_with(library: Library, runs: Sequence[str]) -> dict[int, list[int]] | None:
    """The pages, by document, that can hold all these runs of letters; None where the full text cannot tell."""
    both: set[tuple[int, int]] | None = None
    for run in runs:
        passages = library.text.containing(run)
        if passages is None:
            continue
        own = {(at.document_id, at.position) for at in library.standing(passages.tolist())} if len(passages) else set()
        both = own if both is None else both & own
        if not both:
            return {}
    if both is None:
        return None
    pages: dict[int, list[int]] = {}
    for document, position in sorted(both):
        pages.setdefault(document, []).append(position)
    return pages


def _named(pages: Counter[str]) -> str:
    """The pages that hold something: "p. 1 (2), p. 3"; empty in a document without pages."""
    names = [name if count == 1 else f"{name} ({count})" for name, count in pages.items() if name]
    left = len(names) - _MOST_PAGES_NAMED
    return ", ".join(names[:_MOST_PAGES_NAMED]) + (f" and {left} more" if left > 0 else "")


# --- what is told -------------------------------------------------------------------------------------------


def _told_term(task: Term, search: _Search) -> Reckoned:
    rows, said = search.rows(), f"“{task.term}”"
    if task.kind == "without":
        return _without(task, search)
    if not rows:
        nowhere = f"{said} stands nowhere in {search.looked_at()}. Only whole words were looked for."
        return _reckoned(search, [nowhere], rows)
    times, only = _times(search.total), len(search.documents) == 1
    if task.kind == "documents":
        lines = [f"{said} stands in {len(rows):,} of {search.looked_at()}, {times} in all."]
    elif only:
        lines = [f"{said} occurs {times} in {rows[0]['document']}{_in_brackets(rows[0]['places'])}."]
    else:
        lines = [f"{said} occurs {times} in {len(rows):,} of {search.looked_at()}."]
    return _reckoned(search, [*lines, *([] if only else _document_lines(rows))], rows)


def _without(task: Term, search: _Search) -> Reckoned:
    there = search.places.get("", {})
    rows: list[Row] = [
        {"library": library.name, "document": document.path}
        for library, document in search.documents
        if (library.name, document.id) not in there
    ]
    lines = [f"“{task.term}” does not stand in {len(rows):,} of {search.looked_at()}{':' if rows else '.'}"]
    lines += [f"- {row['document']}" for row in rows[:_MOST_LINES]] + shelving.more(rows)
    if search.stopped:
        return Reckoned("It was stopped before all documents were looked through.", False, stopped=True)
    return Reckoned("\n".join(lines), bool(rows), (), tuple(rows))


def _told_identifier(task: Identifier, search: _Search) -> Reckoned:
    rows = search.rows()
    said = f"{task.label} “{task.value}”".strip()
    said = said[0].upper() + said[1:]
    if not rows:
        return _reckoned(search, [f"{said} stands nowhere in {search.looked_at()}, however it is grouped."], rows)
    lines = [f"{said} stands {_times(search.total)} in {len(rows):,} of {search.looked_at()}."]
    forms = chain.from_iterable(forms for forms in search.forms.values())
    if other := [form for form in forms if form.upper() != task.value.upper()]:
        lines[0] += f" It is also written {', '.join(f'“{form}”' for form in other[:5])}."
    return _reckoned(search, [*lines, *_document_lines(rows)], rows)


def _told_every(task: Every, search: _Search) -> Reckoned:
    paths = {(library.name, document.id): document.path for library, document in search.documents}
    many = f"{task.sort}es" if task.sort.endswith("s") else f"{task.sort}s"
    if not search.total:
        return _reckoned(search, [f"There are no {many} in {search.looked_at()}."], [])
    values = sorted(search.places, key=lambda value: _in_order(task.sort, value, search.forms[value].total()))
    rows: list[Row] = [
        {
            "value": value, "count": search.forms[value].total(), "written": ", ".join(search.forms[value]),
            "library": ", ".join(dict.fromkeys(name for name, _ in search.places[value])),
            "document": ", ".join(paths[key] for key in search.places[value]),
            "places": "; ".join(f"{paths[key]} {_named(own)}".strip() for key, own in search.places[value].items()),
        }
        for value in values
    ]  # fmt: skip
    kinds = f"{len(rows):,} different {task.sort if len(rows) == 1 else many}"
    lines = [f"{kinds} in {search.looked_at()}, at {plural(search.total, 'place')}."]
    if task.sort in ("IBAN", "ISIN", "LEI", "ISBN", "card number"):
        lines[0] += " Only those with right check digits are listed."
    for row in rows[:_MOST_LINES]:
        times = f"{row['count']:,} times: " if row["count"] > 1 else ""
        shown = row["value"] if task.sort not in _GROUPED else search.forms[row["value"]].most_common(1)[0][0]
        lines.append(f"- {shown} ({times}{_cut(row['places'])})")
    return _reckoned(search, [*lines, *shelving.more(rows)], rows)


def _in_order(sort: str, value: str, count: int) -> Any:
    """Dates by the calendar, amounts by their size, all else the most frequent first."""
    if sort in ("amount", "percentage"):
        number, _, unit = value.partition(" ")
        return unit, Decimal(number.replace(",", ""))
    return (0, value) if sort == "date" else (-count, value)


def _reckoned(search: _Search, lines: list[str], rows: Sequence[Row]) -> Reckoned:
    if search.total > len(search.citations):
        lines.append(f"{plural(len(search.citations), 'place')} of {search.total:,} are cited.")
    if search.stopped:
        lines.append("It was stopped, so there may be more.")
    return Reckoned("\n".join(lines), search.total > 0, tuple(search.citations), tuple(rows), search.stopped)


def _document_lines(rows: Sequence[Row]) -> list[str]:
    lines = [f"- {row['document']}: {row['count']:,}{_in_brackets(row['places'])}" for row in rows[:_MOST_LINES]]
    return lines + shelving.more(rows)


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _times(count: int) -> str:
    return plural(count, "time")


def _cut(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:157]}…"
