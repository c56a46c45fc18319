"""What can be told of documents as files: how many there are, the newest, the longest, their words and pages.

Dates are those that files give of themselves; a file that gives none is named as such, and never comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from localrag.answer import context
from localrag.answer.exact.scopes import scope
from localrag.answer.exact.tasks import Listing, Size
from localrag.errors import NotFoundError
from localrag.quantities import plural
from localrag.search import filters
from localrag.store import text_analysis
from localrag.store.library import Library
from localrag.types import Citation, Document, Filter

Pairs = Sequence[tuple[Library, Document]]
Row = Mapping[str, Any]

_MOST_LINES = 50
# Letters of a word that may be part of a longer one in a document's name.
_LEAST_PART = 4
_GENERAL = frozenset("document documents file files dokument dokumente dokumenten datei dateien unterlagen".split())


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What came out: the answer in words, its places, and the rows of its table; `stopped` where it is not all."""

    text: str
    found: bool
    citations: tuple[Citation, ...] = ()
    rows: tuple[Row, ...] = ()
    stopped: bool = False


def called(documents: Pairs, name: str) -> list[tuple[Library, Document]]:
    """The documents that are called so: by their file name, or by all words of the name in path or title.

    Where the name says that it is one of a document ("the Adams Golf agreement"), its words may also be parts of longer
    ones there ("ADAMSGOLFINC"), or stand in the first lines.
    """
    low = name.lower()
    exactly = [pair for pair in documents if low in (pair[1].path.lower(), PurePosixPath(pair[1].path).name.lower())]
    if exactly:
        return exactly
    found = [(library, document) for library, document in documents if _words(document, name) <= _words(document)]
    if found or scope(name, sure=True) is None:  # any text may begin with the words of what is no document
        return found
    inside = [pair for pair in documents if _stands_in(pair[1], name)]
    if inside:
        return inside
    libraries = {library.name: library for library, _ in documents}
    ids = {key: _by_first_lines(library, name) for key, library in libraries.items()}
    return [(library, document) for library, document in documents if document.id in ids[library.name]]


def _words(document: Document, name: str | None = None) -> frozenset[str]:
    """The terms of what a document is called, or of a name in its language."""
    said = f"{document.path}\n{document.title}" if name is None else name
    return _terms(said.replace("_", " "), document.language or text_analysis.FALLBACK)


@lru_cache(maxsize=100_000)
def _terms(text: str, spoken: str) -> frozenset[str]:
    return frozenset(token.term for token in text_analysis.tokens(text, spoken))


def _stands_in(document: Document, name: str) -> bool:
    """Whether the words of a name are parts of what a document is called; short ones must be whole words there."""
    own = _words(document)
    said = text_analysis.folded(f"{document.path} {document.title}")
    words = text_analysis.tokens(name, document.language or text_analysis.FALLBACK)
    return all(token.term in own or (len(token.word) >= _LEAST_PART and token.word in said) for token in words)


def _by_first_lines(library: Library, name: str) -> set[int]:
    languages = library.overview().languages or (text_analysis.FALLBACK,)
    both: set[int] | None = None
    for word in text_analysis.written(name):
        terms = {text_analysis.stem(word, spoken) for spoken in languages}
        own = {int(i) for term in terms for i in library.text.called(term)}
        both = own if both is None else both & own
    return both or set()


# --- how long they are --------------------------------------------------------------------------------------


def measured(task: Size, documents: Pairs, only: Filter, stop: Callable[[], bool]) -> Reckoned:
    """How many words, characters or pages documents have, each and together."""
    rows: list[Row] = []
    for library, document in documents:
        if stop():
            break
        size = _size(task.unit, library, document, only)
        rows.append({"library": library.name, "document": document.path, task.unit: size})
    known = [row[task.unit] for row in rows if row[task.unit] is not None]
    unit = task.unit[:-1]
    if len(rows) == 1:
        lines = [
            f"{rows[0]['document']} {f'has {plural(known[0], unit)}' if known else 'is of a kind that has no pages'}."
        ]
    else:
        name = f" that are called “{task.within}”" if task.within else ""
        lines = [f"{plural(len(rows), 'document')}{name} have {plural(sum(known), unit)} in all."]
        if len(known) < len(rows):
            lines[0] += f" {plural(len(rows) - len(known), 'document')} of a kind without pages count for none."
        rows.sort(key=lambda row: -(row[task.unit] or 0))
        lines += [f"- {row['document']}: {_or_none(row[task.unit])}" for row in rows[:_MOST_LINES]] + more(rows)
    if task.unit == "words":
        lines.append(
            "A word is what stands between spaces and has a letter or a digit. Pages that could not be read have none."
        )
    if len(rows) < len(documents):
        lines.append("It was stopped, so there are more.")
    return Reckoned("\n".join(lines), bool(known), (), tuple(rows), len(rows) < len(documents))


def _size(unit: str, library: Library, document: Document, only: Filter) -> int | None:
    if unit == "pages":
        if not document.paged:
            return None
        return document.pages if only.pages is None else len(context.pages_of(library, document, only))
    texts = [page.text for _, page in context.pages_of(library, document, only)]
    if unit == "characters":
        return sum(map(len, texts))
    return sum(any(map(str.isalnum, word)) for text in texts for word in text.split())


def _or_none(count: int | None) -> str:
    return "no pages" if count is None else f"{count:,}"


def more(rows: Sequence[Row]) -> list[str]:
    """What is said of rows that an answer has no room for."""
    left = len(rows) - _MOST_LINES
    return [f"and {left:,} more, which the table has."] if left > 0 else []


# --- which there are ----------------------------------------------------------------------------------------


def listed(task: Listing, documents: Pairs) -> Reckoned:
    """The documents counted, in an order, or the first of them."""
    chosen, left_out = _narrowed(task, documents)
    undated = [pair for pair in chosen if not pair[1].date] if task.order == "date" else []
    sorted_ = sorted(
        (pair for pair in chosen if pair not in undated),
        key=lambda pair: _key(task.order, pair[1]),
        reverse=task.backwards,
    )
    rows = [_row(library, document) for library, document in (sorted_ if task.most else [*sorted_, *undated])]
    lines = [_how_many(task, len(chosen), len(documents)), *_notes(task, chosen, len(undated), left_out)]
    if task.most:
        first = sorted_[: task.most]
        rows = rows[: task.most]
        lines[0] = (
            _superlative(task, len(chosen))
            if first
            else f"Of none of {plural(len(chosen), 'document')} a date is known."
        )
        ties = (
            sum(_key(task.order, pair[1]) == _key(task.order, first[-1][1]) for pair in sorted_[task.most :])
            if first
            else 0
        )
        if ties:
            what = {"date": "of the same date", "size": "of the same size"}.get(task.order, "as long")
            lines.insert(1, f"{plural(ties, 'more document')} {'is' if ties == 1 else 'are'} {what}.")
    if task.kind == "list documents":
        lines += [f"- {row['document']}{_told(row)}" for row in rows[:_MOST_LINES]] + more(rows)
    return Reckoned("\n".join(lines), bool(rows), (), tuple(rows))


def _narrowed(task: Listing, documents: Pairs) -> tuple[list[tuple[Library, Document]], str]:
    """Those of the types and dates that the question says; and what to say of those without a date."""
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
    pages = document.pages if document.paged else 0
    own = {"date": document.date[:10], "size": document.size, "pages": pages, "length": document.characters}
    return own.get(order, document.path)


def _how_many(task: Listing, count: int, of: int) -> str:
    narrowed = filters.described(Filter(types=task.types, since=task.since, until=task.until))
    if narrowed:
        return f"Documents that {narrowed}: {f'{count:,}' if count else 'none'} of {of:,}."
    return f"There {'is' if count == 1 else 'are'} {plural(count, 'document')}."


def _superlative(task: Listing, count: int) -> str:
    which = {
        ("date", True): "newest", ("date", False): "oldest", ("size", True): "largest", ("size", False): "smallest",
        ("length", True): "longest", ("length", False): "shortest",
    }[task.order, task.backwards]  # fmt: skip
    kind = filters.described(Filter(types=task.types))
    by = ", by characters" if task.order == "length" else ""
    return f"The {which} of {plural(count, 'document')}{f' that {kind}' if kind else ''}{by}:"


def _notes(task: Listing, chosen: Pairs, undated: int, left_out: str) -> list[str]:
    """What a person should know of how the question was read."""
    notes = []
    if task.noun not in _GENERAL and not task.types and chosen:
        named = sum(bool(_words(document, task.noun) & _words(document)) for _, document in chosen)
        own = f"{named:,} of them {'has' if named == 1 else 'have'} the word in path or title." if named else ""
        notes.append(
            f"“{task.noun}” is read as all documents, since code cannot tell what each of them is. {own}".strip()
        )
    if undated:
        they = "it stands last" if undated == 1 else "they stand last"
        aside = "it is not compared" if undated == 1 else "they are not compared"
        notes.append(f"Of {plural(undated, 'document')} no date is known; {aside if task.most else they}.")
    if task.order == "date" or task.since or task.until:
        notes.append("Dates are those that the files give of themselves.")
    return [*notes, left_out] if left_out else notes


def _row(library: Library, document: Document) -> Row:
    return {
        "library": library.name, "document": document.path, "title": document.title, "date": document.date,
        "type": PurePosixPath(document.path).suffix.lower().lstrip("."), "bytes": document.size,
        "pages": document.pages if document.paged else None, "characters": document.characters,
    }  # fmt: skip


def _told(row: Row) -> str:
    pages = "" if row["pages"] is None else plural(row["pages"], "page")
    facts = [row["date"][:10] or "no date", pages, _bytes(row["bytes"]), f"{row['characters']:,} characters"]
    return f" ({', '.join(fact for fact in facts if fact)})"


def _bytes(size: int) -> str:
    if size < 1000:
        return plural(size, "byte")
    return f"{size / 1000:,.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:,.1f} MB"
