"""What a question is narrowed to: which documents pass, and what to say where some cannot pass, or none does.

Applied to what the library knows of its documents (path, type, date, author, number of pages) before anything is
searched. A filter need only match in one of several libraries. Dates are compared as exactly as both sides are known:
a document of "2023" passes for June 2023, because it may be of that month; one without a date never passes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from localrag.errors import NotFoundError, UsageError
from localrag.store import names
from localrag.types import Document, Filter, NotRead, Plan

if TYPE_CHECKING:
    from localrag.store.library import Library

    Pairs = list[tuple[Library, Document]]

# Words for kinds of documents. Every suffix, without its dot, is the name of a type as well.
FAMILIES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        family: frozenset(suffixes.split())
        for family, suffixes in {
            "book": "epub",
            "calendar": "ics",
            "code": "bat c cfg conf cpp cs go h hpp ini java js php ps1 py r rb rs sh sql tex toml ts",
            "data": "json jsonl ndjson xml yaml yml",
            "image": "bmp gif jpeg jpg png tif tiff webp",
            "mail": "eml mbox msg",
            "pdf": "pdf",
            "sheet": "csv ods ots tsv xls xlsb xlsm xlsx xltm xltx",
            "slides": "odp otp pot potm potx pps ppsm ppsx ppt pptm pptx",
            "text": "log markdown md org rst text txt",
            "transcript": "srt vtt",
            "web": "htm html mht mhtml xhtml",
            "word": "doc docm docx dot dotm dotx odt ott rtf",
        }.items()
    }
)
TYPES = tuple(sorted({*FAMILIES, *(suffix for suffixes in FAMILIES.values() for suffix in suffixes)}))
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Chosen:
    """The documents that pass, and what a person should know of those left out."""

    documents: Pairs
    left_out: tuple[NotRead, ...] = ()


@dataclass(frozen=True, slots=True)
class _Condition:
    """One part of a filter: in words ("match 'a*'", "matches 'a*'"), what passes, and what helps if nothing does."""

    they: str
    it: str
    passing: Callable[[Pairs], Pairs]
    help: Callable[[Pairs], str]


def checked(
    documents: Sequence[str] | None = None, folder: str | None = None, types: Sequence[str] | None = None,
    since: str | None = None, until: str | None = None, sender: str | None = None,
    pages: tuple[int | None, int | None] | None = None,
) -> Filter:  # fmt: skip
    """A filter of what a person gave.

    Raises:
        UsageError: an unknown type, a date that is none, or a range that ends before it begins.
    """
    since, until = _day("since", since), _day("until", until)
    if since and until and not _within(since, "", until):
        raise UsageError(f"{since!r} is after {until!r}, so no date lies between", "Give the earlier date to since.")
    return Filter(
        documents=tuple(documents or ()), folder=(folder or "").strip(), types=tuple(map(_type, types or ())),
        since=since, until=until, sender=(sender or "").strip(), pages=_page_range(pages),
    )  # fmt: skip


def _day(which: str, given: str | None) -> str:
    given = (given or "").strip()
    try:
        if given:
            date.fromisoformat((given + "-01-01")[:10] if _DAY.fullmatch(given) else "no date")
    except ValueError:
        raise UsageError(
            f"{which} = {given!r} is not a date", "Give a year, a month or a day: 2023, 2023-06 or 2023-06-30."
        ) from None
    return given


def _type(given: str) -> str:
    name = given.strip().lower().removeprefix("*").removeprefix(".")
    if name not in TYPES:
        raise UsageError(
            f"{given!r} is not a type of document", f"Types: {', '.join(FAMILIES)}, or a suffix such as docx."
        )
    return name


def _page_range(given: tuple[int | None, int | None] | None) -> tuple[int, int | None] | None:
    if given is None:
        return None
    first, last = given[0] or 1, given[1]
    if 0 in given:
        raise UsageError("there is no page 0", "Pages count from 1, whatever is printed on them: 3-7.")
    if first < 1 or (last is not None and last < first):
        raise UsageError(f"{_span((first, last))} is no range of pages", "Give the first and the last page: 3-7.")
    return first, last


def of(documents: Filter | Sequence[str] | None) -> Filter:
    """A filter as it is, globs as a filter of just them."""
    return documents if isinstance(documents, Filter) else Filter(documents=tuple(documents or ()))


def described(only: Filter) -> str:
    """The filter in words: "match 'leases/*', are dated 2024 or later"; empty where it narrows nothing."""
    return ", ".join(condition.they for condition in _conditions(only))


def named_in(plan: Plan, only: Filter) -> Plan:
    """The plan with what it was narrowed to among its signals, and pages that were passed over in its reason."""
    if not only:
        return plan
    reason = plan.reason
    if only.pages:
        reason += f" Only {_span(only.pages)} {'is' if only.pages[0] == only.pages[1] else 'are'} looked at."
    return replace(plan, reason=reason, signals={**plan.signals, "only": described(only)})


def has_page(only: Filter, number: int | None) -> bool:
    """Whether a page is to be looked at; what has no number is not, where a range of pages is given."""
    if only.pages is None:
        return True
    first, last = only.pages
    return number is not None and first <= number and (last is None or number <= last)


# --- which documents ----------------------------------------------------------------------------------------


def scopes(libraries: Sequence[Library], only: Filter) -> list[tuple[Library, list[int] | None]]:
    """Each library with the ids of the documents to look in; None stands for all.

    Raises:
        NotFoundError: nothing passes in any of the libraries.
    """
    if not only:
        return [(library, None) for library in libraries]
    allowed: dict[str, list[int]] = {}
    for library, document in chosen(libraries, only).documents:
        allowed.setdefault(library.name, []).append(document.id)
    return [(library, allowed[library.name]) for library in libraries if library.name in allowed]


def chosen(libraries: Sequence[Library], only: Filter) -> Chosen:
    """The documents of these libraries that pass, and how many could not since their date or pages are not known.

    Raises:
        NotFoundError: the libraries are empty, or nothing passes; the hint says which part of the filter it was.
    """
    left = [(library, document) for library in libraries for document in library.documents()]
    where = ", ".join(repr(library.name) for library in libraries)
    if not left:
        raise NotFoundError(f"there are no documents in {where}", "Bring some in: localrag ingest FOLDER --name NAME")
    passed: list[_Condition] = []
    left_out: list[NotRead] = []
    for condition in _conditions(only):
        passing = condition.passing(left)
        if not passing:
            raise _nothing(where, left, passed, condition)
        left_out += _unknown(left, only, condition)
        left = passing
        passed.append(condition)
    return Chosen(left, tuple(left_out))


def _conditions(only: Filter) -> Iterator[_Condition]:
    """The parts of a filter, in the order in which they are applied: what everyone can see first."""
    if these := frozenset(only.these):
        words = _listed([path for _, path in only.these[:_MOST_NAMED]])
        if len(these) > _MOST_NAMED:
            words += f" and {len(these) - _MOST_NAMED:,} more"
        yield _Condition(
            f"are among {words}",
            f"is among {words}",
            lambda left: [pair for pair in left if (pair[0].name, pair[1].path) in these],
            lambda left: "They are no longer there, under these names: choose again.",
        )
    if globs := only.documents:
        words = _listed(globs)
        yield _Condition(f"match {words}", f"matches {words}", lambda left: _named(left, globs), _near_path(globs))
    if folder := only.folder:
        words, inside = f"in the folder {folder!r}", _inside(folder)
        yield _Condition(
            f"lie {words}",
            f"lies {words}",
            _each(lambda doc: inside(doc.root, doc.path)),
            _near_folder(folder),
        )
    if types := only.types:
        words = f"of the type {' or '.join(types)}"
        suffixes = _suffixes(types)
        yield _Condition(f"are {words}", f"is {words}", _each(lambda doc: _suffix(doc.path) in suffixes), _types_there)
    if sender := only.sender:
        words = f"from {sender!r}"
        folded = sender.casefold()
        yield _Condition(f"are {words}", f"is {words}", _each(lambda doc: folded in doc.author.casefold()), _authors)
    if only.since or only.until:
        words = f"dated {_period(only.since, only.until)}"
        passing = _each(lambda doc: bool(doc.date) and _within(only.since, doc.date, only.until))
        yield _Condition(f"are {words}", f"is {words}", passing, _dates_there)
    if only.pages:
        first, words = only.pages[0], f"something on {_span(only.pages)}"
        yield _Condition(f"have {words}", f"has {words}", _each(lambda d: d.paged and d.pages >= first), _longest)


def _each(passes: Callable[[Document], bool]) -> Callable[[Pairs], Pairs]:
    return lambda left: [pair for pair in left if passes(pair[1])]


def _named(left: Pairs, globs: Sequence[str]) -> Pairs:
    paths: dict[str, set[str]] = {}
    for library, document in left:
        paths.setdefault(library.name, set()).add(document.path)
    fitting = {name: names.named(there, globs) for name, there in paths.items()}
    return [(library, document) for library, document in left if document.path in fitting[library.name]]


def may_hold(only: Filter, library: str, root: str, path: str) -> bool:
    """Whether a file that could not be read might have passed: nothing is known of it but its path."""
    if only.these and not any(_at_or_in(path, one) for name, one in only.these if name == library):
        return False
    if only.documents and not names.named({path}, only.documents):
        return False
    if only.folder and not _inside(only.folder)(root, path):
        return False
    return not only.types or _suffix(path) in _suffixes(only.types)


def _at_or_in(path: str, document: str) -> bool:
    """Whether a path is a document's, or of what lies inside it, such as a mail's attachment."""
    return path == document or path.startswith(f"{document}/")


def _inside(folder: str) -> Callable[[str, str], bool]:
    """A folder is named as the library names it ("leases"), or as it lies on the disk ("./papers/leases")."""
    inner, place = f"{PurePosixPath(folder)}/", f"{str(Path(folder).expanduser().resolve()).rstrip('/')}/"
    return lambda root, path: path.startswith(inner) or f"{root}/{path}".startswith(place)


def _suffixes(types: Sequence[str]) -> frozenset[str]:
    return frozenset[str]().union(*(FAMILIES.get(name, frozenset({name})) for name in types))


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().removeprefix(".")


def _within(since: str, day: str, until: str) -> bool:
    """Whether a date may lie between two: each pair is compared as far as both go, and an hour counts for nothing."""
    day = day or since
    return day[: len(since)] >= since[: len(day)] and day[: len(until)] <= until[: len(day)]


# --- what is said -------------------------------------------------------------------------------------------


def _nothing(where: str, left: Pairs, passed: Sequence[_Condition], failed: _Condition) -> NotFoundError:
    if not passed:
        return NotFoundError(f"no document in {where} {failed.it}", failed.help(left))
    count = len(left)
    so_far = " and ".join(condition.they if count > 1 else condition.it for condition in passed)
    said = f"{_documents(count)} {so_far}, {'none of them' if count > 1 else 'of which none'} {failed.it}."
    return NotFoundError(f"no document in {where} passes the whole filter", f"{said} {failed.help(left)}".strip())


def _unknown(left: Pairs, only: Filter, condition: _Condition) -> Iterator[NotRead]:
    """How many of those left could not pass only because nothing is known of them, a line for each library."""
    if condition.help is _dates_there:
        blind = Counter(library.name for library, document in left if not document.date)
        why = "{}, of which no date is known: left out by the date that was asked for"
    elif condition.help is _longest:
        blind = Counter(library.name for library, document in left if not document.paged)
        why = "{} without pages: left out by the range of pages that was asked for"
    else:
        return
    for name, count in sorted(blind.items()):
        yield NotRead(name, "", why.format(_documents(count)))


def _near_path(globs: Sequence[str]) -> Callable[[Pairs], str]:
    return lambda left: names.did_you_mean(globs[0], [doc.path for _, doc in left], left[0][0].name)


def _near_folder(folder: str) -> Callable[[Pairs], str]:
    def near(left: Pairs) -> str:
        there = {str(parent) for _, doc in left for parent in PurePosixPath(doc.path).parents} - {"."}
        return names.did_you_mean(folder, sorted(there), left[0][0].name)

    return near


def _types_there(left: Pairs) -> str:
    there = Counter(_suffix(document.path) for _, document in left).most_common(_MOST_NAMED)
    return f"Types that are there: {', '.join(f'{suffix} ({count})' for suffix, count in there)}."


def _authors(left: Pairs) -> str:
    there = Counter(document.author for _, document in left if document.author).most_common(_MOST_NAMED)
    if not there:
        return "Of none of them an author or sender is known."
    return f"Authors and senders that are there: {', '.join(name for name, _ in there)}."


def _dates_there(left: Pairs) -> str:
    dates = sorted(document.date[:10] for _, document in left if document.date)
    if not dates:
        return "Of none of them a date is known."
    unknown = len(left) - len(dates)
    return f"Their dates run from {dates[0]} to {dates[-1]}" + (f"; of {unknown} none is known." if unknown else ".")


def _longest(left: Pairs) -> str:
    pages = max((document.pages for _, document in left if document.paged), default=0)
    return f"The longest has {pages} page{'s' if pages > 1 else ''}." if pages else "None of them has pages."


def _period(since: str, until: str) -> str:
    if since and until:
        return since if since == until else f"{since} to {until}"
    return f"{since} or later" if since else f"{until} or earlier"


def _span(pages: tuple[int, int | None]) -> str:
    first, last = pages
    if last == first:
        return f"page {first}"
    return f"pages {first}-{last}" if last is not None else f"pages from {first} on"


def _documents(count: int) -> str:
    return f"{count:,} document{'' if count == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words))
