"""Read dates, durations, amounts, shares and numbers from short answers, so that code can compare them (pure).

Durations are in days (a month is 365.2425 / 12 of them), dates in days since the year 1. Of several quantities the
first of the most telling kind counts: a date before a duration before money before a share. Limits: number words
are English; 3/4/2024 is read as in the United States where both could be the month, 3.4.2024 as in Europe.
"""

from __future__ import annotations

import operator
import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from localrag import quantities
from localrag.answer import cells
from localrag.answer.cells import Cell
from localrag.quantities import (
    CURRENCY_SIGNS,
    MONTH,
    QUANTITY,
    SCALES,
    Quantity,
    find_dates,
    find_number_words,
    parse_month,
    parse_quantity,
)  # fmt: skip
from localrag.types import Answer, Citation, Figure, Passage, Working

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


# --- two answers --------------------------------------------------------------------------------------------

_YEAR = re.compile(r"(?:19|20)\d\d")
_COUNTED = re.compile(r"\b(?:how many|number of)\b", re.I)
_MARKER = re.compile(r"\s*\[\d{1,3}\]")
_RATES = quantities.by_word(quantities.load_words("localrag.answer", "words.toml")["rates"])
_RATE = re.compile(
    rf"\s{{0,9}}\(?(?:(?:\bper\s|(?<!and)/\s?)(?!the\b|cent\b)((?:(?:square|cubic)\s)?[^\W\d]\w{{0,40}})"
    rf"|\b(?:1|an?|each|every)\s({'|'.join(_DAYS)})\b|\b({'|'.join(map(re.escape, _RATES))})(?!\w))",
    re.I,
)
_SENTENCE = re.compile(r"[.;!?]\s|[\n|]")
_LARGE = ((9, " billion"), (6, " million"))


def difference(sides: Sequence[tuple[str, str, Answer]]) -> tuple[Working, str] | None:
    """Return how far the figures of two sides (name, question, answer) are apart, and that in words.

    None unless each gives one figure that its citations have, both in units that convert and for the same.
    """
    found = [figure for name, question, one in sides if (figure := _figure(name, question, one)) is not None]
    if len(sides) != 2 or len(found) != 2:
        return None
    (one, rate, first), (two, other, second) = found
    same = two if two.unit == one.unit else quantities.convert(two, one.unit)
    if same is None or rate != other:
        return None
    value = one.value - same.value
    result = _shown(Quantity(abs(value), "percentage points" if one.unit == "%" else one.unit))
    words = f"{sides[0 if value > 0 else 1][0]} has the greater figure, by {result}."
    shown = [_shown(one), _shown(two)] if value >= 0 else [_shown(two), _shown(one)]
    working = Working(" − ".join(shown), result, float(abs(value)), (first, second))
    return working, words if value else "Both figures are the same."


def _figure(name: str, question: str, answer: Answer) -> tuple[Quantity, frozenset[str], Figure] | None:
    """Return the one figure of an answer and what it is for ("month", "loss"), as a citation has it.

    That of a side that is a year must be in a text or cell of that year.
    """
    asked, told = _quantities(question), _quantities(_MARKER.sub("", answer.answer))
    said = [one for one in told if one not in asked]
    said = [one for one in said if one.unit] or (said if _COUNTED.search(question) else [])
    if not answer.found or len(said) != 1:
        return None
    (figure,) = said
    for at in answer.citations:
        table = [cell for cell in cells.find(answer.passages) if _holds(at, answer.passages[cell.passage], cell)]
        there = _quantities(at.quote)
        alone = "|" not in at.quote or [one.unit for one in there].count(figure.unit) == 1
        if not table and figure in there and alone and (not _YEAR.fullmatch(name) or name in at.quote):
            return figure, there[figure] | told[figure], Figure(_shown(figure), at.place, at.marker)
        for cell in table:
            whole = Quantity(cell.value.scaleb(SCALES.get(cell.scale, 0)), cell.unit)
            of_year = not _YEAR.fullmatch(name) or int(name) in cell.years
            if of_year and figure.unit == whole.unit and figure.value in (cell.value, whole.value):
                return whole, told[figure] | _rates(cell.name), Figure(cell.text, at.place, at.marker)
    return None


def _holds(at: Citation, passage: Passage, cell: Cell) -> bool:
    same = (at.library, at.document, at.page) == (passage.library, passage.document, passage.page)
    return same and at.start <= passage.start + cell.start < at.end


def _quantities(text: str) -> dict[Quantity, frozenset[str]]:
    """Return the quantities of a text, each with what its sentence says it is for: of "EUR 500 a month" the "month"."""
    text, end, found = _in_digits(text), 0, dict[Quantity, frozenset[str]]()
    matches: list[re.Match[str]] = []
    for match in QUANTITY.finditer(text):
        if match.start() >= end:
            rate = _RATE.match(text, match.end())
            end = rate.end() if rate else match.end()
            matches.append(match)
    last = 0
    for match, following in zip(matches, [*(one.start() for one in matches[1:]), len(text)], strict=False):
        quantity, rate = parse_quantity(match), _RATE.match(text, match.end())
        before, after = _SENTENCE.split(text[last : match.start()])[-1], _SENTENCE.split(text[match.end() : following])
        found[quantity] = _rates(before) | _rates(after[0])
        last = (rate.end() if rate else match.end()) if quantity.unit else last
    return found


def _rates(text: str) -> frozenset[str]:
    words = (next(filter(None, found.groups())).lower() for found in _RATE.finditer(text))
    return frozenset(_RATES.get(word, word) for word in words)


def _shown(quantity: Quantity) -> str:
    """Format a quantity as people write it: "$2.5 million", "30 days"."""
    if not quantity.is_money:
        return str(quantity)
    power, scale = next(((n, word) for n, word in _LARGE if abs(quantity.value) >= 10**n), (0, ""))
    sign = CURRENCY_SIGNS.get(quantity.unit, f"{quantity.unit} ")
    return f"{sign}{quantities.format_number(quantity.value.scaleb(-power))}{scale}"
