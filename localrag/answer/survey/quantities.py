"""Dates, durations, amounts of money, shares and numbers read from short answers, so that code compares them (pure).

Durations are in days (a month is 365.2425 / 12 of them), dates in days since the year 1; "thirty (30) days" is 30.
Of several quantities in a text the first of the most telling kind is taken: a date before a duration before money.

Limits: words of numbers are English. 3/4/2024 is read as in the United States where both could be the month, 3.4.2024
as in Europe.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from localrag.quantities import CURRENCIES, MONTH, ONES, SCALES, TENS, find_dates, parse_month

Measure = Literal["date", "duration", "money", "percent", "number"]
_MONTH_DAYS = 365.2425 / 12


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value that can be compared with others of its measure and unit (a currency; empty for the rest)."""

    measure: Measure
    value: float
    unit: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        return self.measure, self.unit


@dataclass(frozen=True, slots=True)
class Comparison:
    """A limit that a question sets: "more than 60 days", "at least 10 %", "before 2024"."""

    how: Literal["more", "less", "at least", "at most"]
    limit: Quantity
    words: str = ""

    def passes(self, value: Quantity) -> bool | None:
        """Whether a value is within the limit; None where the two cannot be compared."""
        if value.kind != self.limit.kind:
            return None
        if self.how == "more":
            return value.value > self.limit.value
        if self.how == "less":
            return value.value < self.limit.value
        return value.value >= self.limit.value if self.how == "at least" else value.value <= self.limit.value


# --- numbers ------------------------------------------------------------------------------------------------

_WORDS: Mapping[str, float] = {
    **{word: float(n) for n, word in enumerate(ONES)},
    **{word: 10.0 * n for n, word in enumerate(TENS, 2)},
    **{f"{tens}{join}{one}": 10.0 * t + n
       for t, tens in enumerate(TENS, 2) for n, one in enumerate(ONES[1:10], 1) for join in "- "},
    "hundred": 100.0, "a hundred": 100.0, "one hundred": 100.0, "one hundred twenty": 120.0,
    "one hundred and twenty": 120.0, "one hundred eighty": 180.0, "one hundred and eighty": 180.0, "half": 0.5,
    "a": 1.0, "an": 1.0,
}  # fmt: skip
_WORD = "|".join(sorted((re.escape(word) for word in _WORDS if len(word) > 2), key=len, reverse=True))
_DIGITS = r"\d{1,3}(?:[,'’]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALED = rf"(?P<number>{_DIGITS})(?:\s*(?P<scale>thousand|million|billion|bn|mn|[km](?![a-z])))?"
_COUNTED = rf"(?:(?:\b(?:{_WORD})\s*\(\s*)?(?P<digits>{_DIGITS})\s*\)?|\b(?P<word>{_WORD}|an?))"


def _number(text: str) -> float:
    return float(re.sub("[,'’]", "", text))


def _scale(found: re.Match[str]) -> float:
    return 10.0 ** SCALES.get((found["scale"] or "").lower(), 0)


# --- dates --------------------------------------------------------------------------------------------------

_YEAR = re.compile(r"^\W*(?:(?:in|from|since|until|by|before|after|of)\s+)?(?P<year>(?:19|20)\d\d)\W*$", re.I)


def _date(text: str, *, last: bool = False) -> Quantity | None:
    """The date that stands in a text; of a year or month alone its first day, or its last."""
    # "this 1st day of September 2004", as contracts say it
    text = re.sub(r"\bday of\b", "of", text, flags=re.I)
    if found := next(find_dates(text), None):
        readings = dict(found.readings)
        return _day(readings.get("month/day") or found.readings[0][1])
    if month := MONTH.search(text):
        year, number = parse_month(month[0]) or (0, 0)
        return _day(date(year, number, monthrange(year, number)[1] if last else 1))
    if alone := _YEAR.match(text):
        year = int(alone["year"])
        return _day(date(year, 12, 31) if last else date(year, 1, 1))
    return None


def _day(day: date) -> Quantity:
    return Quantity("date", float(day.toordinal()))


# --- durations, money, shares -------------------------------------------------------------------------------

_DAYS = {
    "day": 1.0, "week": 7.0, "fortnight": 14.0, "month": _MONTH_DAYS, "quarter": 3 * _MONTH_DAYS,
    "year": 12 * _MONTH_DAYS, "annum": 12 * _MONTH_DAYS, "hour": 1 / 24, "minute": 1 / 1440,
}  # fmt: skip
_DURATION = re.compile(
    rf"{_COUNTED}[\s-]*(?:an?\s+)?(?:(?:calendar|business|working|full|consecutive|additional)[\s-]+)?"
    rf"(?P<unit>{'|'.join(_DAYS)})s?\b",
    re.I,
)
_BEFORE = r"(?P<before>US\$|\$|€|£|¥|\b(?:USD|EUR|GBP|CHF|JPY|RMB|CNY)\b)"
_AFTER = r"(?P<after>€|£|\b(?:USD|EUR|GBP|CHF|JPY|RMB|CNY|(?:U\.?S\.? )?dollars?|euros?|pounds|francs|yen)\b)"
_MONEY = (re.compile(rf"{_BEFORE}\s*{_SCALED}", re.I), re.compile(rf"{_SCALED}\s*{_AFTER}", re.I))
_PERCENT = re.compile(rf"{_COUNTED}\s*(?:%|per\s?cent\b)", re.I)
_PLAIN = re.compile(rf"(?<![\w.]){_SCALED}(?![\w])", re.I)


def _counted(found: re.Match[str]) -> float:
    return _number(found["digits"]) if found["digits"] else _WORDS[found["word"].lower()]


def _money(text: str) -> Quantity | None:
    for pattern in _MONEY:
        if found := pattern.search(text):
            said = found.groupdict().get("before") or found.groupdict().get("after") or ""
            unit = CURRENCIES.get(said.lower(), CURRENCIES.get(said.lower().split()[-1], said))
            return Quantity("money", _number(found["number"]) * _scale(found), unit)
    return None


def read(text: str) -> Quantity | None:
    """The quantity that a short text states, or None."""
    if quantity := _date(text):
        return quantity
    if found := _DURATION.search(text):
        return Quantity("duration", _counted(found) * _DAYS[found["unit"].lower()])
    if quantity := _money(text):
        return quantity
    if found := _PERCENT.search(text):
        return Quantity("percent", _counted(found))
    if found := _PLAIN.search(text):
        return Quantity("number", _number(found["number"]) * _scale(found))
    word = re.search(rf"\b(?:{_WORD})\b", text, re.I)
    return Quantity("number", _WORDS[word[0].lower()]) if word else None


# --- limits -------------------------------------------------------------------------------------------------

_LIMITS: tuple[tuple[Literal["more", "less", "at least", "at most"], str], ...] = (
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
    """The limit that a text sets, and where its words begin; None where it sets none."""
    for found in _LIMIT.finditer(text):
        after = text[found.end() :].strip(" .?")
        how = next(_LIMITS[n][0] for n in range(len(_LIMITS)) if found[f"l{n}"])
        # Later than 2020 begins when that year has ended.
        limit = _date(after, last=True) if how in ("more", "at most") else None
        limit = limit or read(after)
        if limit is not None:
            words = re.sub(r"^(?:of|that (?:is|are))\s+", "", text[found.start() :].strip(" .?"), flags=re.I)
            return found.start(), Comparison(how, limit, words)
    return None
