"""Read what a question asks of the rows of a sheet: an operation, columns, values, and a period.

    "What is the sum of amount by client in 2024?"    sum of "amount", grouped by "client", 2024-01-01 <= "date" < 2025

No form of words is known but a closed list of operations: a question's words are names of columns, values of cells, a
period or an operation, and one that is none of these means that something else is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from localrag.quantities import CARDINALS, YEAR, add_months, find_dates, find_months, load_words
from localrag.store.data_sheets import Column
from localrag.store.text_analysis import FALLBACK, folded, stem

Operation = Literal["sum", "average", "smallest", "largest", "count", "rows"]
_WORDS = {
    name: frozenset(words.split()) for name, words in load_words("localrag.question", "words.toml")["sheets"].items()
}
_OPERATIONS: tuple[Operation, ...] = ("sum", "average", "smallest", "largest", "count")
_TOKEN = re.compile(r"[^\W_]+(?:[-'’./&+@_]{1,2}[^\W_]+){0,20}")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")
_BRACKETS = re.compile(r"\s?[(\[][^)\]]{0,60}[)\]]")
_MAX_VALUE, _MAX_TOKENS, _MAX_LIMIT = 8, 40, 1_000


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What is asked: an `operation` on a measure, by group, of the rows that have values and lie in a period.

    `limit` is how many groups or rows are asked for (0: all), from the greatest if `descending`; `after` is the first
    day behind the period. `named` counts what of the question the sheet knows: its columns, values and title.
    """

    operation: Operation
    measure: Column | None = None
    group: Column | None = None
    shown: tuple[Column, ...] = ()
    values: tuple[tuple[Column, tuple[Any, ...]], ...] = ()
    dated: Column | None = None
    since: str = ""
    after: str = ""
    limit: int = 0
    descending: bool = True
    named: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """A run of tokens and what it names: a column, a value of one, or a span of days."""

    first: int
    last: int
    column: Column | None = None
    value: Any = None
    days: tuple[date, date] | None = None


def mentions(text: str, names: Sequence[str]) -> bool:
    """Return whether a question has a word of a column's name, or asks for rows."""
    words = {_stem(match[0]) for match in _TOKEN.finditer(text)}
    return not words.isdisjoint({one for name in names for one in _name(name)} | set(map(_stem, _WORDS["rows"])))


def parse(
    text: str, columns: Sequence[Column], title: str, find: Callable[[Collection[str]], Sequence[tuple[Column, Any]]]
) -> TableQuery | None:
    """Return what a question asks of a sheet; None where one of its words is not explained, or may mean two things.

    `find` returns the cells that equal one of these texts in any case, each with its column.
    """
    tokens = list(_TOKEN.finditer(text))
    if not tokens or len(tokens) > _MAX_TOKENS:
        return None
    words = [match[0].lower() for match in tokens]
    found = _chosen([*_columns(words, columns), *_periods(text, tokens), *_values(text, tokens, find)])
    if found is None:
        return None
    found += _numbered(tokens, found)
    taken = {at for one in found for at in range(one.first, one.last + 1)}
    left = [at for at in range(len(words)) if at not in taken]
    kinds = {at: kind for at in left for kind in _OPERATIONS if words[at] in _WORDS[kind]}
    kinds |= {at: "count" for at in left if words[at : at + 2] == ["number", "of"]}
    limits = [
        int(words[at]) if words[at].isdigit() else CARDINALS[words[at]]
        for at in left
        if words[at].isdigit() or words[at] in CARDINALS
    ]
    titled = {_stem(part) for part in _PART.findall(title)}
    linking = _WORDS["group"] | _WORDS["from"] | _WORDS["after"] | _WORDS["until"] | _WORDS["before"] | _WORDS["light"]
    named = 0
    for at in left:
        if at in kinds or words[at].isdigit() or words[at] in CARDINALS or words[at] in _WORDS["rows"]:
            continue
        if _stem(words[at]) in titled:
            named += 1
        elif words[at] not in linking:
            return None
    return _query(words, found, kinds, limits, replace(TableQuery("rows"), named=named), columns)


def _query(
    words: Sequence[str],
    found: Sequence[_Found],
    kinds: Mapping[int, Operation],
    limits: Sequence[int],
    query: TableQuery,
    columns: Sequence[Column],
) -> TableQuery | None:
    """Put together what the words name; None where a part has no place."""
    values: dict[Column, list[Any]] = {}
    for one in found:
        if one.column is not None and one.value is not None:
            values.setdefault(one.column, []).append(one.value)
    given = [one for one in found if one.value is not None]
    held = {one.last + 1 for one in given} | {one.first - 1 - (words[one.first - 1] == "is") for one in given}
    names = [one for one in found if one.column is not None and one.value is None]
    names = [one for one in names if not (one.column in values and {one.first, one.last} & held)]
    superlatives = {kind for kind in kinds.values() if kind in ("smallest", "largest")}
    plain = {kind for kind in kinds.values() if kind not in superlatives}
    if len(superlatives) > 1 or len(plain) > 1 or len(limits) > 1 or (limits and not superlatives):
        return None
    if limits and not 0 < limits[0] <= _MAX_LIMIT:
        return None
    periods = _period(words, [one for one in found if one.days is not None])
    dates = [one for one in names if one.column and one.column.kind == "date"] or [
        _Found(0, 0, one) for one in columns if one.kind == "date"
    ]
    if periods is None or (any(periods) and len({one.column for one in dates}) != 1):
        return None
    if any(periods):
        query = replace(query, dated=dates[0].column, since=periods[0], after=periods[1])
        names = [one for one in names if one.column is not query.dated]
    groups = [one for one in names if _is_grouped(words, kinds, one.first)]
    others = [one for one in names if one not in groups]
    limit = limits[0] if limits else 0
    parted = tuple((column, tuple(dict.fromkeys(own))) for column, own in values.items())
    query = replace(query, values=parted, named=query.named + len(names) + len(values), limit=limit)
    operation: Operation = next(iter(plain or superlatives), "rows")
    if operation == "rows":
        shown = tuple(dict.fromkeys(one.column for one in others if one.column))
        return replace(query, shown=shown) if values and not groups else None
    if superlatives and (plain or limit or groups):
        return _ranking(words, query, groups, others, "" if not plain else operation, "largest" in superlatives)
    if len(groups) > 1 or len(others) > 1 or (operation != "count" and not others):
        return None
    measure = others[0].column if others else None
    return replace(query, operation=operation, measure=measure, group=groups[0].column if groups else None)


def _ranking(
    words: Sequence[str],
    query: TableQuery,
    groups: Sequence[_Found],
    others: Sequence[_Found],
    operation: Operation | Literal[""],
    descending: bool,
) -> TableQuery | None:
    """Return a query for the first groups, or rows, by a measure: "the five largest clients by amount"."""
    names = [*groups, *others]
    numbers = [one for one in names if one.column and one.column.kind == "number"]
    rest = [one for one in names if one not in numbers]
    measure = numbers[0].column if numbers else None
    if len(numbers) > 1 or len(rest) > 1 or (measure is None and operation != "count"):
        return None
    if not rest:
        found = replace(query, operation="rows", measure=measure, descending=descending)
        return found if query.limit and not operation else None
    group = rest[0].column
    # "The largest amount of a client" may be a row's or a client's.
    if group is None or (not operation and not (groups and groups[0].column is measure)):
        return None
    if not query.limit and words[rest[0].last].endswith("s") and not group.name.lower().endswith("s"):
        return None  # "the largest clients" are no number of them
    return replace(
        query,
        operation=operation or "sum",
        measure=measure,
        group=group,
        limit=query.limit or 1,
        descending=descending,
    )


def _is_grouped(words: Sequence[str], kinds: Mapping[int, Operation], at: int) -> bool:
    """Return whether a column stands behind "by" or "per", with nothing but light words and an operation between."""
    for before in range(at - 1, -1, -1):
        if words[before] in _WORDS["group"]:
            return True
        if before not in kinds and words[before] not in ("the", "a", "an", "of"):
            return False
    return False


# --- what runs of words name ------------------------------------------------------------------------------------


def _chosen(candidates: Sequence[_Found]) -> list[_Found] | None:
    """Return the longest candidates that do not overlap; None where two of one run name different things."""

    def rank(one: _Found) -> tuple[int, bool, bool]:
        return one.first - one.last, one.value is not None, one.days is not None

    chosen: list[_Found] = []
    for one in sorted(candidates, key=rank):
        over = [other for other in chosen if one.first <= other.last and other.first <= one.last]
        if any(rank(other) == rank(one) and other.first == one.first for other in over):
            return None
        chosen += [one] * (not over)
    return chosen


def _columns(words: Sequence[str], columns: Sequence[Column]) -> list[_Found]:
    """Return the columns that are named, wholly or by words that only one of them has."""
    stems = [_stem(word) for word in words]
    named = {one: _name(one.name) for one in columns}
    found = []
    for first in range(len(words)):
        for last in range(first, min(len(words), first + 6)):
            own = stems[first : last + 1]
            whole = [one for one, name in named.items() if name == own]
            part = [
                one for one, name in named.items() if any(name[at : at + len(own)] == own for at in range(len(name)))
            ]
            part = [] if words[first] in _WORDS["light"] or words[last] in _WORDS["light"] else part
            fitting = whole or part
            if len(fitting) == 1 or (whole and len(fitting) == 1):
                found.append(_Found(first, last, fitting[0]))
    return found


def _values(
    text: str, tokens: Sequence[re.Match[str]], find: Callable[[Collection[str]], Sequence[tuple[Column, Any]]]
) -> list[_Found]:
    runs: dict[str, tuple[int, int]] = {}
    for first in range(len(tokens)):
        for last in range(first, min(len(tokens), first + _MAX_VALUE)):
            own = text[tokens[first].start() : tokens[last].end()]
            for form in (own, f"{own}."):
                if own.lower() not in _WORDS["light"] | _WORDS["group"] and text.startswith(
                    form, tokens[first].start()
                ):
                    runs[form.lower()] = (first, last)
    return [
        _Found(*runs[str(value).lower()], column, value) for column, value in find(runs) if str(value).lower() in runs
    ]


def _numbered(tokens: Sequence[re.Match[str]], found: Sequence[_Found]) -> list[_Found]:
    """Return the numbers that stand behind the name of their column: "invoice 4711", "invoice number 4711"."""
    taken = {at for one in found for at in range(one.first, one.last + 1)}
    own = []
    for one in found:
        if one.column is not None and one.value is None and one.column.kind == "number":
            at = one.last + 1
            at += at < len(tokens) and tokens[at][0].lower() in ("number", "no", "is")
            if at < len(tokens) and at not in taken and re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", tokens[at][0]):
                own.append(_Found(one.last + 1, at, one.column, float(tokens[at][0])))
    return own


def _periods(text: str, tokens: Sequence[re.Match[str]]) -> list[_Found]:
    spans: list[tuple[int, int, date, date]] = []
    for one in find_dates(text):
        if one.certain:
            spans.append((one.start, one.end, one.certain, one.certain + timedelta(days=1)))
    for start, end, year, month in find_months(text):
        spans.append((start, end, date(year, month, 1), add_months(date(year, month, 1), 1)))
    for match in YEAR.finditer(text):
        year = int(match["year"] or 0)
        if year:
            spans.append((match.start(), match.end(), date(year, 1, 1), date(year + 1, 1, 1)))
    starts, ends = ({getattr(token, side)(): at for at, token in enumerate(tokens)} for side in ("start", "end"))
    return [
        _Found(starts[start], ends[end], days=(first, after))
        for start, end, first, after in spans
        if start in starts and end in ends
    ]


def _period(words: Sequence[str], found: Sequence[_Found]) -> tuple[str, str] | None:
    """Return the first day of a period and the day behind it, "" where it is open; None where it is not understood."""
    since, after = "", ""
    found = sorted(found, key=lambda one: one.first)
    for number, one in enumerate(found):
        assert one.days is not None
        before = words[one.first - 1] if one.first else ""
        first, behind = (day.isoformat() for day in one.days)
        follows = number > 0 and one.first - found[number - 1].last == 2
        opens = number + 1 < len(found) and found[number + 1].first - one.last == 2
        if follows and words[found[0].first - 1 if found[0].first else 0] in ("between", "from", "since"):
            if before not in _WORDS["until"] or len(found) > 2:
                return None
            after = behind
        elif follows or (opens and before not in ("between", "from", "since")) or (len(found) > 1 and not opens):
            return None
        elif before in _WORDS["from"] or before == "between":
            since = first
        elif before in _WORDS["after"]:
            since = behind
        elif before in _WORDS["before"]:
            after = first
        elif before in _WORDS["until"] - {"and"}:
            after = behind
        else:
            since, after = first, behind
        if before == "between" and not opens:
            return None
    return since, after


def _name(name: str) -> list[str]:
    plain = _BRACKETS.sub("", name) or name
    return [_stem(part) for part in _PART.findall(plain)]


def _stem(word: str) -> str:
    return stem(folded(word), FALLBACK)
