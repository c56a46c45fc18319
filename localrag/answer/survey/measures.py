"""Read dates, durations, amounts, shares and numbers from short answers, so that code can compare them (pure).

Durations are in days (a month is 365.2425 / 12 of them), dates in days since the year 1. Of several quantities the
first of the most telling kind counts: a date before a duration before money before a share. Limits: number words
are English; 3/4/2024 is read as in the United States where both could be the month, 3.4.2024 as in Europe.
"""

from __future__ import annotations

import operator
import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Literal

from localrag.quantities import MONTH, QUANTITY, find_dates, find_number_words, parse_month, parse_quantity

Measure = Literal["date", "duration", "money", "percent", "number"]
How = Literal["more", "less", "at least", "at most"]
_COMPARE = {"more": operator.gt, "less": operator.lt, "at least": operator.ge, "at most": operator.le}

_MONTH_DAYS = 365.2425 / 12
_DAYS = {
    "second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1.0, "week": 7.0, "month": _MONTH_DAYS,
    "quarter": 3 * _MONTH_DAYS, "year": 12 * _MONTH_DAYS,
}  # fmt: skip
_ORDER: tuple[Measure, ...] = ("duration", "money", "percent", "number")


@dataclass(frozen=True, slots=True)
class Measured:
    """A value that compares with others of its measure and unit (a currency, or what is counted)."""

    measure: Measure
    value: float
    unit: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        return self.measure, self.unit


@dataclass(frozen=True, slots=True)
class Comparison:
    """A limit that a question sets: "more than 60 days", "at least 10 %", "before 2024"."""

    how: How
    limit: Measured
    words: str = ""

    def passes(self, value: Measured) -> bool:
        """Return whether a value of the same kind is within the limit."""
        return value.kind == self.limit.kind and _COMPARE[self.how](value.value, self.limit.value)


def read(text: str) -> Measured | None:
    """Return the quantity that a short text states, or None."""
    if day := _date(text):
        return day
    found = [_measured(match) for match in QUANTITY.finditer(_in_digits(text))]
    return min(found, key=lambda one: _ORDER.index(one.measure), default=None)


def _measured(match: re.Match[str]) -> Measured:
    quantity = parse_quantity(match)
    value = float(quantity.value)
    if quantity.unit in _DAYS:
        return Measured("duration", value * _DAYS[quantity.unit])
    if quantity.is_money:
        return Measured("money", value, quantity.unit)
    return Measured("percent", value) if quantity.unit == "%" else Measured("number", value, quantity.unit)


_DATE_WORDS = re.compile(r"^\W*(?:(?:in|from|since|until|by|before|after|of)\s+)?(?P<year>(?:19|20)\d\d)\W*$", re.I)


def _date(text: str, *, last: bool = False) -> Measured | None:
    """Return the date in a text; of a year or a month alone its first day, or its last."""
    if found := next(find_dates(text), None):
        readings = dict(found.readings)
        return _day(readings.get("month/day") or found.readings[0][1])
    if month := MONTH.search(text):
        year, number = parse_month(month[0]) or (0, 0)
        return _day(date(year, number, monthrange(year, number)[1] if last else 1))
    if alone := _DATE_WORDS.match(text):
        year = int(alone["year"])
        return _day(date(year, 12, 31) if last else date(year, 1, 1))
    return None


def _day(day: date) -> Measured:
    return Measured("date", float(day.toordinal()))


# Adjectives between a number and its unit, and the unit behind an article.
_BETWEEN = re.compile(r"\b(?:calendar|business|working|full|consecutive|additional)[\s-]+|\bU\.?S\.? (?=dollar)", re.I)
_UNIT = rf"(?=(?:{'|'.join(_DAYS)})s?\b)"


def _in_digits(text: str) -> str:
    """Return a text with its number words in digits: "thirty (30) days" and "half a year" are "30 days", "0.5 year"."""
    for number in reversed(list(find_number_words(text))):
        text = f"{text[: number.start]}{number.value}{text[number.end :]}"
    text = re.sub(r"(?<!\d)\d+\s{0,9}\(\s{0,9}(\d[\d,.]{0,30})\s{0,9}\)", r"\1", _BETWEEN.sub("", text))
    text = re.sub(rf"\bhalf(?:\s+an?)?\s+{_UNIT}", "0.5 ", text, flags=re.I)
    text = re.sub(rf"\ban?\s+{_UNIT}", "1 ", text, flags=re.I)
    return re.sub(rf"(?<=\d)-{_UNIT}", " ", text, flags=re.I)


_LIMITS: tuple[tuple[How, str], ...] = (
    ("at least", r"at least|no less than|not less than|minimum of|since|on or after"),
    ("at most", r"at most|no more than|not more than|up to|maximum of|within|on or before"),
    ("more", r"(?:more|longer|greater|higher|later|larger|bigger|older) than|over|above|exceeding|after|beyond"),
    ("less", r"(?:less|shorter|lower|fewer|earlier|smaller|younger) than|under|below|before"),
)
_LIMIT = re.compile(
    "|".join(rf"(?P<l{n}>\b(?:of\s+)?(?:that\s+(?:is|are)\s+)?(?:{words})\b)" for n, (_, words) in enumerate(_LIMITS)),
    re.I,
)


def comparison(text: str) -> tuple[int, Comparison] | None:
    """Return the limit that a text sets, and where its words begin; None where it sets none."""
    for found in _LIMIT.finditer(text):
        after = text[found.end() :].strip(" .?")
        how = next(how for n, (how, _) in enumerate(_LIMITS) if found[f"l{n}"])
        # Later than 2020 begins when that year has ended.
        limit = _date(after, last=True) if how in ("more", "at most") else None
        limit = limit or read(after)
        if limit is not None:
            words = re.sub(r"^(?:of|that (?:is|are))\s+", "", text[found.start() :].strip(" .?"), flags=re.I)
            return found.start(), Comparison(how, limit, words)
    return None
