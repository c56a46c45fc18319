"""Read typed values from short texts, so that code can compare, sort and export them (pure).

`measure` reads whatever quantity a text states; `read` reads a value of one type and writes it for machines:

    date      ISO 8601, as exact as the text: "2024-03-03", "2024-03", "2024"
    duration  ISO 8601: "P60D", "P18M", "P2Y6M", "PT24H"; half a year is "P6M", a quarter "P3M"
    money     a decimal number, "12400.50", and the ISO 4217 code of its currency, "" where the words name none
    percent   a decimal number of hundredths: "12.5" for 12.5 %
    number    a decimal number, and what it counts if that is a known unit: "kg"
    yes/no    "true" or "false"
    choice    the choice as it is given
    party     the name without the bracket or legal form that describes it
    text      the words with single spaces

To be compared, a duration is in days (a month is 365.2425 / 12 of them) and a date in days since the year 1. Of several
quantities `measure` takes the first of the most telling kind: a date before a duration before money before a share.

03/04/2024 has two readings. It is read as 4 March, as in the United States, wherever both could be the month; 3.4.2024
as 3 April, as in Europe. Limits: number words are English, German, French, Spanish, Italian, Portuguese and Dutch as in
`quantities`; business days count as days; a range ("10-20") is no number.
"""

from __future__ import annotations

import json
import operator
import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from localrag.quantities import (
    CURRENCIES,
    QUANTITY,
    TIME_UNITS,
    Quantity,
    find_dates,
    find_months,
    find_number_words,
    lazy_re,
    load_words,
    parse_date,
    parse_number,
    parse_quantity,
)

Measure = Literal["date", "duration", "money", "percent", "number"]
Type = Literal["text", "date", "duration", "money", "percent", "number", "party", "choice", "yes/no"]
# Types whose values compare, each with a value.
MEASURED = {"date": "2026-01-31", "duration": "30 days", "money": "EUR 1,000", "percent": "5 %", "number": "12"}
How = Literal["more", "less", "at least", "at most"]
_COMPARE = {"more": operator.gt, "less": operator.lt, "at least": operator.ge, "at most": operator.le}

_MONTH_DAYS = 365.2425 / 12
# The spans of time, the longest first, in days.
DAYS = {
    "year": 12 * _MONTH_DAYS,
    "quarter": 3 * _MONTH_DAYS,
    "month": _MONTH_DAYS,
    "week": 7.0,
    "day": 1.0,
    "hour": 1 / 24,
    "minute": 1 / 1440,
    "second": 1 / 86400,
}
_ORDER: tuple[Measure, ...] = ("money", "percent", "number")
_WORDS = load_words("localrag.items", "words.toml")["values"]


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


def measure(text: str) -> Measured | None:
    """Return the quantity that a short text states, or None."""
    if day := _date(text):
        return day
    if span := _duration(text[:_MAX_WORDS]):
        return span.measured
    found = [_measured(parse_quantity(match)) for match in QUANTITY.finditer(in_digits(text))]
    return min(found, key=lambda one: _ORDER.index(one.measure), default=None)


def _measured(quantity: Quantity) -> Measured:
    value = float(quantity.value)
    if quantity.is_money:
        return Measured("money", value, quantity.unit)
    return Measured("percent", value) if quantity.unit == "%" else Measured("number", value, quantity.unit)


_DATE_WORDS = re.compile(r"^\W*(?:(?:in|from|since|until|by|before|after|of)\s+)?(?P<year>(?:19|20)\d\d)\W*$", re.I)

# A figure or month that is part of a code, a range or a date ("INV-2024-01") is no value.
_PART_BEFORE, _PART_AFTER = re.compile(r"(?:\w|\w[-–/.,]|[/#])$"), re.compile(r"\w|[-–/.,]\d")


def _date(text: str, *, last: bool = False) -> Measured | None:
    """Return the date in a text; of a year or a month alone its first day, or its last."""
    parts = _dated(text)
    if parts is None:
        return None
    year, month, day = (*parts, 0, 0)[:3]
    month = month or (12 if last else 1)
    day = day or (monthrange(year, month)[1] if last else 1)
    return Measured("date", float(date(year, month, day).toordinal()))


def _dated(text: str) -> tuple[int, ...] | None:
    """Return the year of the date in a text, and its month and day if it has them."""
    if found := next(find_dates(text), None):
        readings = dict(found.readings)
        day = readings.get("month/day") or found.readings[0][1]
        return day.year, day.month, day.day
    for start, end, year, month in find_months(text):
        if not (_PART_BEFORE.search(text[:start]) or _PART_AFTER.match(text[end:])):
            return year, month
    return (int(alone["year"]),) if (alone := _DATE_WORDS.match(text)) else None


# Adjectives between a number and its unit, and the unit behind an article, which is "per" in "1.5% a month".
_BETWEEN = re.compile(r"\b(?:calendar|business|working|full|consecutive|additional)[\s-]+|\bU\.?S\.? (?=dollar)", re.I)
_SPANS = "|".join(sorted(TIME_UNITS, key=len, reverse=True))
_UNIT = rf"(?=(?:{_SPANS})\b)"
_ARTICLE = r"(?<![%\d]\s)(?<!percent\s)\b(?:an?|eine?[mnrs]?|une?)"


# "1 1/2 %", "1½", "1 and 1-half"; no date ("1 1/2/2024").
_FRACTIONS = {"1/2": ".5", "½": ".5", "1-half": ".5", "1/4": ".25", "¼": ".25", "3/4": ".75", "¾": ".75"}
_MIXED = re.compile(
    rf"(?<![\d.,/-])(\d{{1,3}})(?:(?:\s|-|\s+and\s+)(?=\d)|\s?(?=[½¼¾]))({'|'.join(_FRACTIONS)})(?![\d/-])"
)


def in_digits(text: str) -> str:
    """Return a text with its number words in digits: "thirty (30) days" and "half a year" are "30 days", "0.5 year"."""
    text = re.sub(r"\bper cent\b", "percent", text, flags=re.I)  # in French "cent" is a hundred
    for number in reversed(list(find_number_words(text))):
        text = f"{text[: number.start]}{number.value}{text[number.end :]}"
    text = _MIXED.sub(lambda found: f"{found[1]}{_FRACTIONS[found[2]]}", text)
    text = re.sub(r"(?<!\d)\d+\s{0,9}\(\s{0,9}(\d[\d,.]{0,30})\s{0,9}\)", r"\1", _BETWEEN.sub("", text))
    text = re.sub(rf"\bhalf(?:\s+an?)?\s+{_UNIT}", "0.5 ", text, flags=re.I)
    text = re.sub(rf"{_ARTICLE}\s+{_UNIT}", "1 ", text, flags=re.I)
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
        limit = limit or measure(after)
        if limit is not None:
            words = re.sub(r"^(?:of|that (?:is|are))\s+", "", text[found.start() :].strip(" .?"), flags=re.I)
            return found.start(), Comparison(how, limit, words)
    return None


# --- values of a type ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a type: the words that state it, its form for machines (see above), and how it compares.

    `unit` is the ISO 4217 code of a currency, or what a number counts; `measured` is None for types without an order.
    """

    type: Type
    words: str
    form: str
    unit: str = ""
    measured: Measured | None = None


def read(type: Type, words: str, choices: Sequence[str] = ()) -> Value | None:
    """Return the value of a type that these words hold, the first of several; None where they hold none.

    Amounts and shares may lack their sign where the words are nothing but a figure, as in the cell of a table. Text is
    read whole, other types from the first 300 characters.
    """
    words = " ".join(words.split())
    words = words if type == "text" else words[:_MAX_WORDS]
    if not words or words.casefold().strip(" .") in _NOTHING:
        return None
    if type == "date":
        parts = _dated(words)
        return (
            Value(type, words, "-".join(f"{n:0{w}}" for n, w in zip(parts, (4, 2, 2), strict=False)), "", _date(words))
            if parts
            else None
        )
    if type == "duration":
        return _duration(words)
    if type == "money" or type == "percent" or type == "number":
        found = next(_figures(type, words), None)
        return None if found is None else of_figure(type, words, found)
    form = {"yes/no": _yes_or_no, "party": _name}[type](words) if type in ("yes/no", "party") else words
    form = _chosen(words, choices) if type == "choice" else form
    return Value(type, words, form) if form else None


def of_figure(type: Literal["money", "percent", "number"], words: str, figure: Quantity) -> Value:
    """Return the value of a figure that was read before, such as that of a cell."""
    unit = "" if figure.unit == "%" else figure.unit
    return Value(type, words, f"{figure.value:f}", unit, Measured(type, float(figure.value), unit))


# "40 hours a week" is one duration.
_RATE = re.compile(
    r"(?<=\w)(?<!half)\s(?:an?|per|each|every)\s(?:calendar\s)?(?:hour|day|week|month|quarter|year)\b", re.I
)


def distinct(type: Type, text: str) -> int:
    """Count the different values of a measured type that a text states."""
    if type == "date":
        return len({frozenset(found.days) for found in find_dates(text)})
    text = _RATE.sub("", text)
    units = {"duration": DAYS.keys(), "percent": {"%"}}.get(type)
    found = {parse_quantity(match) for match in QUANTITY.finditer(in_digits(text))}
    return sum(one.is_money if type == "money" else units is None or one.unit in units for one in found)


_MAX_WORDS = 300
_NOTHING = frozenset(_WORDS["nothing"])


def states(type: Type, words: str, text: str) -> bool:
    """Return whether a text has a date, span of time, share or number that these words write in another way."""
    value, text = read(type, words), text[:_MAX_SENTENCE]
    if type == "date" and value is not None:
        return any(day.isoformat() == value.form for found in find_dates(text) if (day := found.certain))
    plain = (in_digits(one).replace(" %", "%") for one in (words, text))
    said, there = (re.sub(r"[^\w.,%]+|[.,](?!\d)", " ", f" {one} ").lower() for one in plain)
    return value is not None and type in ("duration", "percent", "number") and said in there


_MAX_SENTENCE = 1000
_YES, _NO = (frozenset(_WORDS[name].split()) for name in ("yes", "no"))
_SPAN = re.compile(rf"(?<![\w.,])(\d(?:[\d.,]{{0,20}}\d)?)[\s-]{{0,9}}({_SPANS})\b", re.I)
_AND = re.compile(r"\s{0,9}(?:,|\+)?\s{0,9}(?:and|und|et|y)?\s{0,9}", re.I)
_ISO_LETTERS = {"year": "Y", "month": "M", "week": "W", "day": "D", "hour": "H", "minute": "M", "second": "S"}


def _duration(words: str) -> Value | None:
    """Return the first span of time, with the shorter ones that follow it: "two years and six months"."""
    spans: dict[str, Decimal] = {}
    text, end = in_digits(words), 0
    for found in _SPAN.finditer(text):
        unit, value = TIME_UNITS[found[2].lower()], parse_number(found[1])
        if spans and not (_AND.fullmatch(text[end : found.start()]) and DAYS[unit] < min(DAYS[one] for one in spans)):
            break
        spans[unit], end = value, found.end()
    if not spans:
        return None
    days = sum(float(value) * DAYS[unit] for unit, value in spans.items())
    if quarters := spans.pop("quarter", None):
        spans["month"] = spans.get("month", Decimal(0)) + 3 * quarters
    if len(spans) > 1 and "week" in spans:  # weeks are written alone
        spans["day"] = spans.get("day", Decimal(0)) + 7 * spans.pop("week")
    if spans.get("year", Decimal(0)) % 1 and spans["year"] * 12 % 1 == 0:
        spans["month"] = spans.get("month", Decimal(0)) + spans.pop("year") * 12
    parts = {unit: f"{spans[unit].normalize():f}{letter}" for unit, letter in _ISO_LETTERS.items() if unit in spans}
    clock = "".join(part for unit, part in parts.items() if DAYS[unit] < 1)
    form = "P" + "".join(part for unit, part in parts.items() if DAYS[unit] >= 1) + (f"T{clock}" if clock else "")
    return Value("duration", words, form, "", Measured("duration", days))


_MINUS = re.compile(r"(?:^|[\s(:$€£¥₹])[-−–]$")
_CURRENCIES = "|".join(re.escape(name) for name in sorted(CURRENCIES, key=len, reverse=True))
_CURRENCY = lazy_re(rf"(?<!\w)(?:{_CURRENCIES})(?!\w)", re.I)


def _figures(type: Literal["money", "percent", "number"], words: str) -> Iterator[Quantity]:
    """Yield the figures that can be of a type, with their sign: "(1,234)" and "-5 %" are below zero."""
    text = re.sub(r"(?<=\d)[.,]\s?[-–—]+(?!\d)", "", in_digits(words))  # "1.200,- EUR"
    for day in reversed(list(find_dates(text))):
        text = f"{text[: day.start]} {text[day.end :]}"
    named = {CURRENCIES[found[0].lower()] for found in _CURRENCY.finditer(text)}
    for match in QUANTITY.finditer(text):
        before, after = text[: match.start()], text[match.end() :]
        quantity = parse_quantity(match, money=type == "money")
        value, unit = quantity.value, quantity.unit
        alone = not re.search(r"[^\W_]", _CURRENCY.sub("", before + after))
        if alone and unit in ("", "%") and not match["percent"]:
            unit = "%" if "%" in after else next(iter(named)) if len(named) == 1 else ""
        if _PART_AFTER.match(after) or (match["before"] is None and _PART_BEFORE.search(before)):
            continue
        if _MINUS.search(before) or (alone and before.rstrip().endswith("(") and after.lstrip().startswith(")")):
            value = -value
        if unit == "cents":
            value, unit = value / 100, ""
        money = unit in CURRENCIES.values()
        fits = {
            "money": money or quantity.unit == "cents" or (alone and not unit),
            "number": True,
            "percent": unit == "%" or (alone and not unit),
        }
        if fits[type]:
            yield Quantity(value, unit)


def _yes_or_no(words: str) -> str:
    first = re.match(r"[\s\[(]*([^\W_]+|[^\w\s\[\]()]|(?=[\])]))", words.casefold())
    said = first[1] if first else ""
    return "true" if said in _YES else "false" if said in _NO or words.replace(" ", "") == "[]" else ""


def _chosen(words: str, choices: Sequence[str]) -> str:
    """Return the choice that the words are, or the only one that they name; "" where it is open."""
    plain = {choice: re.sub(r"[\W_]+", " ", f" {choice.casefold()} ") for choice in choices}
    said = re.sub(r"[\W_]+", " ", f" {words.casefold()} ")
    named = [choice for choice, form in plain.items() if form.strip() and form in said]
    longest = [one for one in named if not any(one != two and plain[one] in plain[two] for two in named)]
    return next((one for one in named if plain[one] == said), longest[0] if len(longest) == 1 else "")


def _name(words: str) -> str:
    """Return a name without what a contract adds: 'Orlo Ltd, a Delaware corporation (the "Tenant")' is "Orlo Ltd"."""
    name = re.sub(r"\s{0,9}\([^()]{0,200}\)|,\s(?:an?|eine?)\s.*$", "", words).strip(" ,;:\"'“”„«»")
    figure = QUANTITY.fullmatch(in_digits(name))
    counts = parse_date(name) is not None or bool(figure and parse_quantity(figure).unit)
    return name if re.search(r"[^\W\d_]", name) and not counts else ""


# --- values while they are written --------------------------------------------------------------------------

_CHARACTER = r"[^\"\\\x00-\x1F]"
_SHORT = 40


def grammar(type: Type, choices: Sequence[str] = ()) -> str:
    """Return the right side of a GBNF rule for a JSON string with a value of this type, or "" for none.

    Words are as the text has them, so that they can be looked up there; yes or no and a choice are not.
    """
    if type in ("yes/no", "choice"):
        options = ("yes", "no", "") if type == "yes/no" else (*choices, "")
        written = [json.dumps(option, ensure_ascii=False) for option in options]  # as JSON, and that as a GBNF literal
        return f"({' | '.join(json.dumps(option, ensure_ascii=False) for option in written)})"
    if type in ("text", "party"):
        return rf'"\"" ({_CHARACTER} | "\\" ["\\/nt]){{0,300}} "\""'
    if type in ("date", "money"):  # which are hardly ever without a digit
        return rf'"\"" ({_CHARACTER[:-1]}0-9]{{0,{_SHORT}}} [0-9] {_CHARACTER}{{0,{_SHORT}}})? "\""'
    return rf'"\"" {_CHARACTER}{{0,{_SHORT}}} "\""'
