"""Compare what a document says with the position of a playbook, by code (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from localrag.grounding.locate import locate
from localrag.items import values
from localrag.items.playbook import Expect, PlaybookItem
from localrag.items.values import MEASURED, Value
from localrag.quantities import format_number, plural
from localrag.types import Looked, ReviewState

_ISO = re.compile(r"(?<!\d)(\d{1,9}(?:\.\d{1,9})?)([YMWDHS])")
_DATE_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}
_CLOCK_UNITS = {"H": "hour", "M": "minute", "S": "second"}


@dataclass(frozen=True, slots=True)
class Compared:
    """The state of an item, its value as code reads it, and how it differs from the position, in words."""

    state: ReviewState
    value: str = ""
    as_expected: bool | None = None
    problem: str = ""


def compare(item: PlaybookItem, looked: Looked, clause: str) -> Compared:
    """Compare what was found with the position; `clause` is the text around the quote."""
    position = item.position
    if looked.found is None:
        return Compared("unsure", problem=looked.doubt)
    if not looked.found:
        value = "no" if item.type == "yes/no" else ""
        if position is None:
            return Compared("absent", value)
        wanted = position.present is not False and position != Expect(must_not_say=position.must_not_say)
        problem = "the clause says the opposite" if looked.citation else "the clause is not there"
        return Compared("absent", value, not wanted, problem if wanted else "")
    found = _value(item, looked)
    value = "yes" if item.type == "yes/no" else shown(found) if found else looked.answer
    if position is None:
        return Compared("found", value)
    unread = found is None and item.type in MEASURED and (position.at_least or position.at_most or position.one_of)
    if unread:
        return Compared("unsure", value, None, f"no {item.type} could be read in its words")
    problems = list(_deviations(item, position, found, f"{value} {looked.answer}", clause))
    return Compared("deviates" if problems else "found", value, not problems, "; ".join(problems))


def shown(value: Value) -> str:
    """Return a value as people read it: "60 days", "12,400.50 EUR", "2024-03-03"."""
    if value.type == "duration":
        days, _, clock = value.form.removeprefix("P").partition("T")
        parts = [(n, _DATE_UNITS[unit]) for n, unit in _ISO.findall(days)]
        parts += [(n, _CLOCK_UNITS[unit]) for n, unit in _ISO.findall(clock)]
        return " ".join(plural(int(n), unit) if n.isdigit() else f"{n} {unit}s" for n, unit in parts)
    if value.type in ("money", "number", "percent") and value.measured is not None:
        from decimal import Decimal

        unit = "%" if value.type == "percent" else value.unit
        return f"{format_number(Decimal(value.form))} {unit}".strip()
    return value.form


def _value(item: PlaybookItem, looked: Looked) -> Value | None:
    """Return the value of the answer, else of the words that were quoted."""
    quote = looked.citation.quote if looked.citation else ""
    if looked.model and not looked.answer and (item.type == "party" or values.distinct(item.type, quote) > 1):
        quote = ""  # the model took none of several
    said = (values.read(item.type, words, item.choices) for words in (looked.answer, quote) if words)
    return next(filter(None, said), None)


def _deviations(item: PlaybookItem, position: Expect, found: Value | None, said: str, clause: str) -> Iterable[str]:
    if position.present is False:
        yield "the clause is there"
    if position.one_of and not any(_same(item, option, found, f"{said} {clause}") for option in position.one_of):
        yield f"not {' or '.join(position.one_of)}"
    for limit, least in ((position.at_least, True), (position.at_most, False)):
        wanted = values.read(item.type, limit) if limit else None
        if wanted and wanted.measured and found and found.measured:
            one, other = found.measured, wanted.measured
            if one.unit != other.unit:
                yield f"{shown(found)} cannot be compared with {limit}"
            elif one.value < other.value if least else one.value > other.value:
                yield f"{shown(found)} is {'less' if least else 'more'} than {limit}"
    yield from (f"does not say “{words}”" for words in position.must_say if not locate(words, clause))
    yield from (f"says “{words}”" for words in position.must_not_say if locate(words, clause))


def _same(item: PlaybookItem, option: str, found: Value | None, text: str) -> bool:
    """Return whether the value is this option: measured values by size, others by words."""
    if item.type not in MEASURED:
        return found.form == option if item.type == "choice" and found else locate(option, text) is not None
    wanted = values.read(item.type, option)
    return bool(wanted and found and wanted.measured == found.measured)
