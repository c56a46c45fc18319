"""Find documents by the name that a question gives them, and list them by date, size or type.

Dates are those that files give of themselves; a file without one is reported and never comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from localrag.answer.exact.parsing import DocumentList, document_name
from localrag.errors import NotFoundError
from localrag.quantities import plural
from localrag.search import filters
from localrag.store import text_analysis
from localrag.store.library import Library
from localrag.types import Citation, Document, Filter

Pairs = Sequence[tuple[Library, Document]]
Row = Mapping[str, Any]

MAX_LINES = 50
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

    If the name says that it is one of a document ("the Adams Golf agreement"), its words may also be parts of longer
    ones ("ADAMSGOLFINC"), or come from the document's first lines.
    """
    lower = name.lower()
    exactly = [pair for pair in documents if lower in (pair[1].path.lower(), PurePosixPath(pair[1].path).name.lower())]
    if exactly:
        return exactly
    found = [(library, document) for library, document in documents if _words(document, name) <= _words(document)]
    if found or document_name(name, sure=True) is None:
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
        sets = [{int(i) for term in several for i in library.text.documents_named(term)} for several in terms]
        ids[library.name] = set.intersection(*sets) if sets else set()
    return [(library, document) for library, document in documents if document.id in ids[library.name]]


def _words(document: Document, name: str | None = None) -> frozenset[str]:
    """Return the terms of a document's path and title, or of a name in its language."""
    text = f"{document.path}\n{document.title}" if name is None else name
    return _terms(text.replace("_", " "), document.language or text_analysis.FALLBACK)


@lru_cache(maxsize=100_000)
def _terms(text: str, language: str) -> frozenset[str]:
    return frozenset(token.term for token in text_analysis.tokens(text, language))


def listing(task: DocumentList, documents: Pairs) -> ExactAnswer:
    """Count the documents, or list them in an order, all or the first of them."""
    chosen, left_out = _narrow(task, documents)
    dated = [pair for pair in chosen if pair[1].date or task.order != "date"]
    ordered = sorted(dated, key=lambda pair: _key(task.order, pair[1]), reverse=task.descending)
    undated = [pair for pair in chosen if pair not in dated]
    lines = [_heading(task, len(chosen), len(documents)), *_notes(task, chosen, len(undated), left_out)]
    rows: list[Row] = [
        {
            "library": library.name, "document": document.path, "title": document.title, "date": document.date,
            "type": PurePosixPath(document.path).suffix.lower().lstrip("."), "bytes": document.size,
            "pages": document.pages if document.paged else None, "characters": document.characters,
        }
        for library, document in (ordered[: task.limit] if task.limit else (*ordered, *undated))
    ]  # fmt: skip
    if task.limit and not ordered:
        lines[0] = f"None of {plural(len(chosen), 'document')} has a known date."
    elif task.limit:
        last = _key(task.order, ordered[: task.limit][-1][1])
        if ties := sum(_key(task.order, document) == last for _, document in ordered[task.limit :]):
            same = f"{'is' if ties == 1 else 'are'} of the same {task.order}."
            lines.insert(1, f"{plural(ties, 'more document')} {same}")
    if task.kind == "list":
        lines += [f"- {row['document']}{_facts(row)}" for row in rows[:MAX_LINES]] + more(rows)
    return ExactAnswer("\n".join(lines), bool(rows), (), tuple(rows))


def more(rows: Sequence[Row]) -> list[str]:
    """Return the line about rows that an answer has no room for."""
    left = len(rows) - MAX_LINES
    return [f"and {left:,} more (all: --table FILE)."] if left > 0 else []


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
