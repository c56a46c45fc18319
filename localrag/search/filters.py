"""Narrow a question to some documents, and explain what a filter leaves out.

A filter applies to what the library knows of its documents (path, type, date, author, number of pages) before anything
is searched. It need match in only one of several libraries. Dates are compared as exactly as both sides are known: a
document of "2023" passes for June 2023, because it may be of that month; one without a date never passes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from localrag.errors import NotFoundError, UsageError
from localrag.quantities import load_words
from localrag.security.terminal import counted
from localrag.store import names
from localrag.types import Document, Filter, NotRead, Plan

if TYPE_CHECKING:
    from localrag.store.library import Library

    Pairs = list[tuple[Library, Document]]

FAMILIES = {name: frozenset(words.split()) for name, words in load_words("localrag.search", "types.toml").items()}
TYPES = tuple(sorted({*FAMILIES, *(suffix for suffixes in FAMILIES.values() for suffix in suffixes)}))
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_MAX_NAMED = 5


def checked(
    documents: Sequence[str] | None = None,
    folder: str | None = None,
    types: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    sender: str | None = None,
    pages: tuple[int | None, int | None] | None = None,
) -> Filter:
    """Return a filter of what a person gave; UsageError where a type, a date or a range is invalid."""
    named = [given.strip().lower().removeprefix("*").removeprefix(".") for given in types or ()]
    for unknown in set(named).difference(TYPES):
        raise UsageError(
            f"{unknown!r} is not a type of document", f"Types: {', '.join(FAMILIES)}, or a suffix such as docx."
        )
    since, until = _day(since), _day(until)
    if since and until and not within(since, "", until):
        raise UsageError(f"{since!r} is after {until!r}, so no date lies between", "Give the earlier date first.")
    return Filter(
        documents=tuple(documents or ()),
        folder=(folder or "").strip(),
        types=tuple(named),
        since=since,
        until=until,
        sender=(sender or "").strip(),
        pages=None if pages is None else _page_range(*pages),
    )


def _day(given: str | None) -> str:
    given = (given or "").strip()
    try:
        if given:
            date.fromisoformat((given + "-01-01")[:10] if _DAY.fullmatch(given) else "no date")
    except ValueError:
        raise UsageError(
            f"{given!r} is not a date", "Give a year, a month or a day: 2023, 2023-06 or 2023-06-30."
        ) from None
    return given


def _page_range(first: int | None, last: int | None) -> tuple[int, int | None]:
    if 0 in (first, last):
        raise UsageError("there is no page 0", "Pages count from 1, whatever is printed on them: 3-7.")
    first = first or 1
    if first < 1 or (last is not None and last < first):
        raise UsageError(f"{_span((first, last))} is no range of pages", "Give the first and the last page: 3-7.")
    return first, last


def of(documents: Filter | Sequence[str] | None) -> Filter:
    """Return a filter as it is, and globs as a filter."""
    return documents if isinstance(documents, Filter) else Filter(documents=tuple(documents or ()))


def described(only: Filter) -> str:
    """Describe the documents that a filter lets through: "matching 'leases/*', dated 2024 or later"; empty for all."""
    return ", ".join(condition.words for condition in _conditions(only))


def named_in(plan: Plan, only: Filter) -> Plan:
    """Return the plan with the filter among its signals, and a range of pages in its reason."""
    if not only:
        return plan
    reason = plan.reason
    if only.pages:
        reason += f" Only {_span(only.pages)} {'is' if only.pages[0] == only.pages[1] else 'are'} looked at."
    return replace(plan, reason=reason, signals={**plan.signals, "only": described(only)})


def has_page(only: Filter, number: int | None) -> bool:
    """Return whether a page is looked at; a page without a number never is, where a range is given."""
    if only.pages is None:
        return True
    first, last = only.pages
    return number is not None and first <= number and (last is None or number <= last)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The documents that pass, and notes on globs without any and on what is left out as something is unknown."""

    documents: Pairs
    left_out: tuple[NotRead, ...] = ()


@dataclass(frozen=True, slots=True)
class _Condition:
    """One part of a filter: in words ("matching 'a*'"), what passes, and a hint if nothing does."""

    words: str
    passing: Callable[[Pairs], Pairs]
    hint: Callable[[Pairs], str]


def scopes(libraries: Sequence[Library], only: Filter) -> list[tuple[Library, list[int] | None]]:
    """Return each library with the ids of the documents to look in; None is all."""
    if not only:
        return [(library, None) for library in libraries]
    allowed: dict[str, list[int]] = {}
    for library, document in chosen(libraries, only).documents:
        allowed.setdefault(library.name, []).append(document.id)
    return [(library, allowed[library.name]) for library in libraries if library.name in allowed]


def chosen(libraries: Sequence[Library], only: Filter) -> Chosen:
    """Return the documents of these libraries that pass; NotFoundError where none does, with the part that failed."""
    left = [(library, document) for library in libraries for document in library.documents()]
    where = ", ".join(repr(library.name) for library in libraries)
    if not left:
        raise NotFoundError(f"there are no documents in {where}", "Bring some in: localrag ingest FOLDER --name NAME")
    passed: list[str] = []
    unmatched = [glob for glob in only.documents if not _named(left, [glob])]
    left_out = [NotRead(left[0][0].name, "", f"no document matches {glob!r}") for glob in unmatched]
    for condition in _conditions(only):
        passing = condition.passing(left)
        if not passing:
            count = (
                f"{counted(len(left), 'document')} {' and '.join(passed)}, but none {condition.words}. "
                if passed
                else ""
            )
            what = "passes the whole filter" if passed else condition.words
            raise NotFoundError(f"no document in {where} {what}", f"{count}{condition.hint(left)}".strip())
        left_out += _unknown(left, condition)
        left = passing
        passed.append(condition.words)
    return Chosen(left, tuple(left_out))


def _conditions(only: Filter) -> Iterator[_Condition]:
    """Yield the parts of a filter in the order in which they apply: what everyone can see first."""
    if these := frozenset(only.these):
        words = ", ".join(repr(path) for _, path in only.these[:_MAX_NAMED])
        if len(these) > _MAX_NAMED:
            words += f" and {len(these) - _MAX_NAMED:,} more"
        yield _Condition(
            f"among {words}",
            lambda left: [pair for pair in left if (pair[0].name, pair[1].path) in these],
            lambda left: "They are no longer there, under these names: choose again.",
        )
    if globs := only.documents:
        yield _Condition(
            f"matching {', '.join(map(repr, globs))}",
            lambda left: _named(left, globs),
            lambda left: names.did_you_mean(globs[0], [doc.path for _, doc in left], left[0][0].name),
        )
    if folder := only.folder:
        yield _Condition(
            f"in the folder {folder!r}",  # which is looked up when documents are chosen, not to be described
            lambda left: [each for inside in (_inside(folder),) for each in left if inside(each[1].root, each[1].path)],
            lambda left: names.did_you_mean(folder, _folders(left), left[0][0].name),
        )
    if types := only.types:
        suffixes = _suffixes(types)
        yield _Condition(
            f"of the type {' or '.join(types)}", _each(lambda doc: _suffix(doc.path) in suffixes), _types_there
        )
    if sender := only.sender.casefold():
        yield _Condition(f"from {only.sender!r}", _each(lambda doc: sender in doc.author.casefold()), _authors)
    if only.since or only.until:
        yield _Condition(
            f"dated {_period(only.since, only.until)}",
            _each(lambda doc: bool(doc.date) and within(only.since, doc.date, only.until)),
            _dates_there,
        )
    if only.pages:
        first = only.pages[0]
        yield _Condition(f"with {_span(only.pages)}", _each(lambda doc: doc.paged and doc.pages >= first), _longest)


def _each(passes: Callable[[Document], bool]) -> Callable[[Pairs], Pairs]:
    return lambda left: [pair for pair in left if passes(pair[1])]


def _named(left: Pairs, globs: Sequence[str]) -> Pairs:
    paths: dict[str, set[str]] = {}
    for library, document in left:
        paths.setdefault(library.name, set()).add(document.path)
    fitting = {name: names.named(there, globs, any_case=True) for name, there in paths.items()}
    return [(library, document) for library, document in left if document.path in fitting[library.name]]


def may_hold(only: Filter, library: str, root: str, path: str) -> bool:
    """Return whether a file that could not be read might have passed: only its path is known."""
    if only.these and not any(
        path == one or path.startswith(f"{one}/") for name, one in only.these if name == library
    ):  # an attachment lies in its mail
        return False
    if only.documents and not names.named({path}, only.documents, any_case=True):
        return False
    if only.folder and not _inside(only.folder)(root, path):
        return False
    return not only.types or _suffix(path) in _suffixes(only.types)


def _inside(folder: str) -> Callable[[str, str], bool]:
    """Match a folder as the library names it ("leases"), or as it is on the disk ("./papers/leases")."""
    inner, place = f"{PurePosixPath(folder)}/", "\0"
    with suppress(ValueError, RuntimeError):  # no folder can have this name
        place = f"{os.path.realpath(Path(folder).expanduser()).rstrip('/')}/"
    return lambda root, path: path.startswith(inner) or f"{root}/{path}".startswith(place)


def _suffixes(types: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*(FAMILIES.get(name, frozenset({name})) for name in types))


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def within(since: str, day: str, until: str) -> bool:
    """Return whether a date may lie between two: each pair is compared as far as both go; hours count for nothing."""
    day = day or since
    return day[: len(since)] >= since[: len(day)] and day[: len(until)] <= until[: len(day)]


def _unknown(left: Pairs, condition: _Condition) -> Iterator[NotRead]:
    """Count those left that cannot pass only because something of them is unknown, one line for each library."""
    if condition.hint is _dates_there:
        blind = Counter(library.name for library, document in left if not document.date)
        why = "{} without a known date: left out by the date that was asked for"
    elif condition.hint is _longest:
        blind = Counter(library.name for library, document in left if not document.paged)
        why = "{} without pages: left out by the range of pages that was asked for"
    else:
        return
    for name, count in sorted(blind.items()):
        yield NotRead(name, "", why.format(counted(count, "document")))


def _folders(left: Pairs) -> list[str]:
    return sorted({str(parent) for _, doc in left for parent in PurePosixPath(doc.path).parents} - {"."})


def _types_there(left: Pairs) -> str:
    there = Counter(_suffix(document.path) for _, document in left).most_common(_MAX_NAMED)
    return f"Types that are there: {', '.join(f'{suffix} ({count})' for suffix, count in there)}."


def _authors(left: Pairs) -> str:
    there = Counter(document.author for _, document in left if document.author).most_common(_MAX_NAMED)
    if not there:
        return "None of them has a known author or sender."
    return f"Authors and senders that are there: {', '.join(name for name, _ in there)}."


def _dates_there(left: Pairs) -> str:
    dates = sorted(document.date[:10] for _, document in left if document.date)
    if not dates:
        return "None of them has a known date."
    unknown = len(left) - len(dates)
    return f"Their dates run from {dates[0]} to {dates[-1]}" + (f"; {unknown} have none." if unknown else ".")


def _longest(left: Pairs) -> str:
    pages = max((document.pages for _, document in left if document.paged), default=0)
    return f"The longest has {counted(pages, 'page')}." if pages else "None of them has pages."


def _period(since: str, until: str) -> str:
    if since and until:
        return since if since == until else f"{since} to {until}"
    return f"{since} or later" if since else f"{until} or earlier"


def _span(pages: tuple[int, int | None]) -> str:
    first, last = pages
    if last == first:
        return f"page {first}"
    return f"pages {first}-{last}" if last is not None else f"pages from {first} on"


# --- documents that a question names with an `@`, which narrow it to them (pure) ---------------------------------

_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]+)"|([^\s"@]+))')
PUNCTUATION = ".,;:!?)"  # may follow a name without being part of it


def mention(name: str) -> str:
    """A document's name as it is typed after an `@`."""
    return f'@"{name}"' if re.search(r"[\s@]|[.,;:!?)]\Z", name) else f"@{name}"


def mentioned(
    question: str, documents: Iterable[tuple[str, str]], *, drop: bool = False
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Replace @mentions by the paths of documents, or drop them; return the question and the documents mentioned.

    Documents are libraries and paths; a mention is a path, or library/path. Where no documents are known, nothing is
    replaced. Raises UsageError for a mention that fits none of them.
    """
    known, found = dict[str, list[tuple[str, str]]](), dict[tuple[str, str], None]()
    for one in documents:
        known.setdefault(one[1], []).append(one)
        known.setdefault("/".join(one), []).append(one)

    def named(match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], ""
        while match[2] and name not in known and name[-1:] in PUNCTUATION and name:
            name, rest = name[:-1], name[-1] + rest
        if not known or not name:
            return match[0]
        if name not in known:
            hint = "Name one as the library lists it, or leave out the @."
            raise UsageError(f"no document here is named {match[1] or match[2].rstrip(PUNCTUATION)!r}", hint)
        found.update(dict.fromkeys(known[name]))
        name = known[name][0][1]
        if drop:
            return rest
        return f"“{name}”{rest}" if match[1] else name + rest

    return _MENTION.sub(named, question), tuple(found)
