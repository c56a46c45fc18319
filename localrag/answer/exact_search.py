"""Count and find words, phrases, identifiers and comments in documents, with every place, without a model.

Words match whole, in any case, with any quotes, dashes and line breaks; nothing is stemmed. The full text only says
which pages can hold a term. Limit: a run of letters that is longer than a whole passage is not found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from localrag.errors import NotFoundError
from localrag.grounding import context, stages
from localrag.grounding.annotations import laid_out
from localrag.grounding.locate import comments
from localrag.quantities import lazy_re, plural
from localrag.question.exact import CommentSearch, DocumentList, Task, TermSearch
from localrag.question.kinds import SINGULAR
from localrag.search import filters
from localrag.store import text_analysis
from localrag.store.library import Library
from localrag.store.text_analysis import folded
from localrag.types import Citation, Document, Filter, Page, place

_MAX_CITED = 20
_MAX_PAGES_NAMED = 12
_MARKS = ("Highlight", "Underlined")  # without a word on them


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
    if isinstance(task, CommentSearch):
        return _comments(task, chosen, only, stop)
    search = _Search(chosen, only, stop, named=bool(task.within))
    if _is_code(task.term):
        search.run(lambda text: find_identifier(text, task.term))
    else:
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
_MIN_GROUPED = 6


def _is_code(term: str) -> bool:
    """Return whether a term is a number or code that may be grouped in other ways: "DE44 5001 0517", "INV-77-123"."""
    signs = _SEPARATORS.sub("", term)
    digits = sum(sign.isdigit() for sign in signs)
    written = re.fullmatch(r"[\d.,]+", term) or re.search(r"\d[-/.]\d\d?[-/.]\d", term)  # as numbers and dates are
    return len(signs) >= _MIN_GROUPED and digits >= 3 and not written and not re.search(r"[a-zß-ÿ]{2,}", term)


def find_identifier(text: str, identifier: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of an identifier, however it is grouped: "DE44 5001 0517" is "DE4450010517"."""
    signs = _SEPARATORS.sub("", identifier).upper()
    closed = text
    for sign in _SEPARATING:
        closed = closed.replace(sign, "")  # much quicker than the pattern below
    if not signs or signs not in closed.upper():
        return
    grouped = len(signs) >= _MIN_GROUPED and any(sign.isdigit() for sign in signs)
    between = f"[{re.escape(_SEPARATING)}]{{0,2}}"
    shown = between.join(map(re.escape, signs)) if grouped else r"\s+".join(map(re.escape, identifier.split()))
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
        sheets = {name: library.sheets() for name, library in libraries.items()}
        for library, document in self.documents:
            fitting = candidates[library.name]
            own = [position for id, position in sheets[library.name] if id == document.id]  # not all rows are passages
            there = range(document.pages) if fitting is None else {*fitting.get(document.id, ()), *own}
            for position in sorted({*there} - {at + 1 for at in own}):
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
        rows: list[Row] = [
            {"library": library.name, "document": document.path, "count": own.total(), "places": _pages(own)}
            for library, document in self.documents
            if (own := self.places.get((library.name, document.id)))
        ]
        return _with_titles(rows, self.documents)

    def scope(self) -> str:
        """Return what was looked through: "14 documents", "lease.pdf"."""
        scope = _scope(self.documents) if self._named else plural(len(self.documents), "document")
        scope += " of that name" if self._named and len(self.documents) > 1 else ""
        return f"{scope} (only on the pages asked for)" if self._only.pages else scope

    def answer(self, lines: list[str], rows: Sequence[Row]) -> ExactAnswer:
        total = self.forms.total()
        if total > len(self.citations):
            lines.append(f"{plural(len(self.citations), 'place')} of {total:,} are cited.")
        if self.stopped:
            lines.append("It was stopped, so there may be more.")
        return ExactAnswer(laid_out(lines), total > 0, tuple(self.citations), tuple(rows), self.stopped)


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
        lines = [f"“{task.term}” occurs {times} in {_name(rows[0])}{_bracketed(rows[0]['places'])}."]
    else:
        where = f"in {len(rows):,} of {search.scope()}"
        line = f"{where}, {times} in all" if task.kind == "documents" else f"{times} {where}"
        shown = [f"- {_name(row)}: {row['count']:,}{_bracketed(row['places'])}" for row in rows[:_MAX_LINES]]
        lines = [f"“{task.term}” occurs {line}.", *shown, *more(rows)]
    if _is_code(task.term) and (other := [form for form in search.forms if form.upper() != task.term.upper()]):
        lines.append(f"It is also written {', '.join(f'“{form}”' for form in other[:5])}.")
    return search.answer(lines, rows)


def _without_answer(task: TermSearch, search: _Search) -> ExactAnswer:
    if search.stopped:
        return ExactAnswer("It was stopped before all documents were looked through.", False, stopped=True)
    lacking = [
        (one.name, document) for one, document in search.documents if (one.name, document.id) not in search.places
    ]
    rows = _with_titles([{"library": name, "document": document.path} for name, document in lacking], search.documents)
    line = f"“{task.term}” does not occur in {len(rows):,} of {search.scope()}{':' if rows else '.'}"
    shown = [f"- {_name(row)}" for row in rows[:_MAX_LINES]]
    return ExactAnswer(laid_out([line, *shown, *more(rows)]), bool(rows), (), tuple(rows))


# --- documents by name, and lists of them -------------------------------------------------------------------

Pairs = Sequence[tuple[Library, Document]]
Row = Mapping[str, Any]

_MAX_LINES = 50
# A word of at least so many letters may be part of a longer one in a document's name.
_MIN_PART = 4
_GENERAL = frozenset("document documents file files dokument dokumente dokumenten datei dateien unterlagen".split())


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """The answer in words, its places, and the rows of its table; `stopped` if it is not complete."""

    text: str
    found: bool
    citations: tuple[Citation, ...] = ()
    rows: tuple[Row, ...] = ()
    stopped: bool = False


def named(documents: Pairs, name: str) -> list[tuple[Library, Document]]:
    """Return the documents of a name: by file name, or by all words of the name in path or title.

    If it is called a document ("the Adams Golf agreement"), its words may be parts of longer ones ("ADAMSGOLFINC"), or
    come from the document's first lines.
    """
    lower = name.lower()
    exactly = [pair for pair in documents if lower in (pair[1].path.lower(), PurePosixPath(pair[1].path).name.lower())]
    if exactly:
        return exactly
    found = [(library, document) for library, document in documents if _words(document, name) <= _words(document)]
    if found or not re.search(rf"(?:\.\w{{1,5}}|\b(?:{'|'.join(SINGULAR)}))$", name, re.I):
        return found
    inside: list[tuple[Library, Document]] = []
    for library, document in documents:
        own, called = _words(document), text_analysis.folded(f"{document.path} {document.title}")
        parts = text_analysis.tokens(name, document.language or text_analysis.FALLBACK)
        if all(one.term in own or (len(one.word) >= _MIN_PART and one.word in called) for one in parts):
            inside.append((library, document))
    if inside:
        return inside
    ids: dict[str, set[int]] = {}
    for library in {library.name: library for library, _ in documents}.values():
        languages = library.overview().languages or (text_analysis.FALLBACK,)
        terms = [{text_analysis.stem(word, one) for one in languages} for word in text_analysis.written(name)]
        sets = [set(own.tolist()) for own in library.text.documents_named(terms)]
        ids[library.name] = set.intersection(*sets) if sets else set()
    return [(library, document) for library, document in documents if document.id in ids[library.name]]


def _words(document: Document, name: str | None = None) -> frozenset[str]:
    """Return the terms of a document's path and title, or of a name in its language."""
    text = f"{document.path}\n{document.title}" if name is None else name
    return _terms(text.replace("_", " "), document.language or text_analysis.FALLBACK)


@lru_cache(maxsize=100_000)
def _terms(text: str, language: str) -> frozenset[str]:
    return frozenset(token.term for token in text_analysis.tokens(text, language))


def _with_titles(rows: Sequence[Row], documents: Pairs) -> list[Row]:
    """Return rows with the titles of those documents that have one."""
    libraries = list({library.name: library for library, _ in documents}.values())
    titles = stages.titles(((row["library"], row["document"]) for row in rows), libraries)
    named = [titles.get((row["library"], row["document"])) for row in rows]
    return [{**row, "document_title": title} if title else row for row, title in zip(rows, named, strict=True)]


def _name(row: Row) -> str:
    return str(row.get("document_title") or row["document"])


def _scope(documents: Pairs) -> str:
    """Return what a document is called, or how many there are."""
    if len(documents) > 1:
        return plural(len(documents), "document")
    library, document = documents[0]
    return library.titles([document.path]).get(document.path, document.path)


def listing(task: DocumentList, documents: Pairs) -> ExactAnswer:
    """Count the documents, or list them in an order, all or the first of them."""
    chosen, left_out = _narrow(task, documents)
    dated = [pair for pair in chosen if pair[1].date or task.order != "date"]
    ordered = sorted(dated, key=lambda pair: _key(task.order, pair[1]), reverse=task.descending)
    undated = [pair for pair in chosen if pair not in dated]
    lines = [_heading(task, len(chosen), len(documents)), *_notes(task, chosen, len(undated), left_out)]
    rows: list[Row] = [
        {
            "library": library.name,
            "document": document.path,
            "title": document.title,
            "date": document.date,
            "type": PurePosixPath(document.path).suffix.lower().lstrip("."),
            "bytes": document.size,
            "pages": document.pages if document.paged else None,
            "characters": document.characters,
        }
        for library, document in (ordered[: task.limit] if task.limit else (*ordered, *undated))
    ]
    rows = _with_titles(rows, chosen)
    if task.limit and not ordered:
        lines[0] = f"None of {plural(len(chosen), 'document')} has a known date."
    elif task.limit:
        last = _key(task.order, ordered[: task.limit][-1][1])
        if ties := sum(_key(task.order, document) == last for _, document in ordered[task.limit :]):
            same = f"{'is' if ties == 1 else 'are'} of the same {task.order}."
            lines.insert(1, f"{plural(ties, 'more document')} {same}")
    if task.kind == "list":
        lines += [f"- {_name(row)}{_facts(row)}" for row in rows[:_MAX_LINES]] + more(rows)
    return ExactAnswer(laid_out(lines), bool(rows), (), tuple(rows))


def more(rows: Sequence[Row]) -> list[str]:
    """Return the line about rows that an answer has no room for."""
    left = len(rows) - _MAX_LINES
    return [f"and {left:,} more (all: --out FILE)."] if left > 0 else []


def _narrow(task: DocumentList, documents: Pairs) -> tuple[list[tuple[Library, Document]], str]:
    """Return the documents of the types and dates asked for, and a remark about those without a date."""
    if not (task.types or task.since or task.until):
        return list(documents), ""
    libraries = list({library.name: library for library, _ in documents}.values())
    try:
        passed = filters.chosen(libraries, Filter(types=task.types, since=task.since, until=task.until))
    except NotFoundError as error:
        return [], error.hint
    there = {(library.name, document.id) for library, document in passed.documents}
    notes = " ".join(f"{left.reason[0].upper()}{left.reason[1:]}." for left in passed.left_out)
    return [(library, document) for library, document in documents if (library.name, document.id) in there], notes


def _key(order: str, document: Document) -> Any:
    if order == "type":
        return PurePosixPath(document.path).suffix.lower(), document.path
    return {"date": document.date[:10], "size": document.size}.get(order, document.path)


def _heading(task: DocumentList, count: int, total: int) -> str:
    if task.limit:
        ends = {"date": ("oldest", "newest"), "size": ("smallest", "largest")}[task.order]
        kind = filters.described(Filter(types=task.types))
        return f"The {ends[task.descending]} of {plural(count, 'document')}{f' {kind}' if kind else ''}:"
    if narrowed := filters.described(Filter(types=task.types, since=task.since, until=task.until)):
        return f"Documents {narrowed}: {f'{count:,}' if count else 'none'} of {total:,}."
    return f"There {'is' if count == 1 else 'are'} {plural(count, 'document')}."


def _notes(task: DocumentList, chosen: Pairs, undated: int, left_out: str) -> list[str]:
    """Return what a person should know about how the question was understood."""
    notes = []
    if task.noun not in _GENERAL and not task.types and chosen:
        count = sum(bool(_words(document, task.noun) & _words(document)) for _, document in chosen)
        own = f" {count:,} of them {'has' if count == 1 else 'have'} the word in path or title." if count else ""
        notes.append(f"“{task.noun}” is taken to mean all documents.{own}")
    if undated:
        place = "not compared" if task.limit else "listed last"
        notes.append(
            f"{plural(undated, 'document')} {'has' if undated == 1 else 'have'} no known date and "
            f"{'is' if undated == 1 else 'are'} {place}."
        )
    if task.order == "date" or task.since or task.until:
        notes.append("Dates are those that the files give of themselves.")
    return [*notes, left_out] if left_out else notes


def _facts(row: Row) -> str:
    size = row["bytes"]
    shown = plural(size, "byte") if size < 1000 else f"{size / 1000:,.0f} kB"
    shown = shown if size < 1_000_000 else f"{size / 1_000_000:,.1f} MB"
    pages = "" if row["pages"] is None else plural(row["pages"], "page")
    facts = [row["date"][:10] or "no date", pages, shown, f"{row['characters']:,} characters"]
    return f" ({', '.join(fact for fact in facts if fact)})"


# --- comments -----------------------------------------------------------------------------------------------

_NUMBER = lazy_re(
    r"^[ \t#*|“\"]*(?:(?:(?:clause|section|article|paragraph)\s|§\s?)(?P<named>\d{1,3}(?:\.\d{1,3})*)"
    r"|(?P<id>\d{1,3}(?:\.\d{1,3})+|\d{1,3}(?=[.)])))[.):]?(?=\s)",
    re.I | re.M,
)


def _comments(task: CommentSearch, chosen: Pairs, only: Filter, stop: Callable[[], bool]) -> ExactAnswer:
    """List comments by place, each quoted beside what it is about."""
    rows, cited, others, stopped = list[Row](), list[Citation](), set[str](), False
    for library, document in chosen:
        clause = ""
        for page in library.pages(document.id):
            stopped = stopped or stop()
            begun = [(one.start(), one["named"] or one["id"]) for one in _NUMBER.finditer(page.text)]
            if stopped or not filters.has_page(only, page.number):
                continue
            for one, about in comments(page.text, document.paged):
                if one["kind"] in _MARKS:
                    continue
                number = next((name for at, name in reversed(begun) if at < about[1]), clause) if about else ""
                by = one["by"] or "an unknown author"
                if f"{number}.".startswith(task.clause and f"{task.clause}.") and task.by.casefold() in by.casefold():
                    spans = filter(None, (one.span(), about))
                    new = [
                        context.around(library.name, document, page, *span, len(cited) + at)
                        for at, span in enumerate(spans, 1)
                    ]
                    cited += new
                    rows.append(
                        {
                            "library": library.name,
                            "document": document.path,
                            "place": new[0].place,
                            "clause": number,
                            "author": by,
                            "date": one["date"] or "",
                            "comment": one["said"],
                            "about": " ".join(new[1].quote.split()) if about else "",
                            "marker": new[0].marker,
                        }
                    )
                else:
                    others.add(f"{by}{number and f' (clause {number})'}")
            clause = begun[-1][1] if begun else clause
    wanted = f"{task.clause and f' on clause {task.clause}'}{task.by and f' by {task.by}'}"
    rows = _with_titles(rows, chosen)
    count = plural(len(rows), "comment") if rows else "No comment"
    lines = [f"{count}{wanted} in {_scope(chosen)}{':' if rows else '.'}"]
    lines += [*map(_comment_line, rows[:_MAX_LINES]), *more(rows)]
    if others and not rows:
        lines.append(f"There are comments by {', '.join(sorted(others)[:_MAX_LINES])}.")
    lines += ["Which side an author is on is not in the comments."] * bool(task.side and rows)
    return ExactAnswer(laid_out(lines), bool(rows), tuple(cited), tuple(rows), stopped)


def _comment_line(row: Row) -> str:
    where = (row["clause"] and f"clause {row['clause']}", _name(row), row["place"])
    about = f", on “{row['about']}” [{row['marker'] + 1}]" if row["about"] else ""
    who = ", ".join(filter(None, (row["author"], row["date"])))
    return f"- {who} ({', '.join(filter(None, where))}): “{row['comment']}” [{row['marker']}]{about}"
