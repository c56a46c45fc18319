"""Numbers, dates, months, currencies, units and durations as people write them: one table for all rooms.

Months: English, German, French, Spanish, Italian, Portuguese, Dutch, the Nordic languages, Polish, Russian, Turkish and
Arabic; days in Chinese, Japanese and Korean. Units and scales: English and German; spans of
time also French and Spanish. Nothing is guessed: a date of slashes keeps both readings, a date without a year is none.
"""

from __future__ import annotations

import re
import tomllib
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple, cast


@cache
def load_words(package: str, name: str) -> dict[str, Any]:
    """Return the tables of words in a TOML file of a package."""
    return tomllib.loads(resources.files(package).joinpath(name).read_text(encoding="utf-8"))


@cache
def load_patterns(package: str, name: str, **named: str) -> Mapping[str, Sequence[str]]:
    """Return the regular expressions of a text file by name: `name = pattern`, or lines below a [name].

    {name} stands for one that is named before.
    """
    groups: dict[str, list[str]] = {}
    group: list[str] | None = None
    for line in resources.files(package).joinpath(name).read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[(\w+)\]", line):
            group = groups.setdefault(head[1], [])
        elif line and not line.startswith("#"):
            line = re.sub(r"\{([a-z]+)\}", lambda match: named[match[1]], line)
            if group is not None:
                group.append(line)
            else:
                known, _, pattern = line.partition(" = ")
                named[known] = pattern
                groups[known] = [pattern]
    return groups


class _LazyPattern:
    """See `lazy_re`."""

    def __init__(self, pattern: str, flags: int) -> None:
        self.pattern, self.flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self.pattern, self.flags), name)
        setattr(self, name, found)  # so that the next look-up does not come here
        return found


def lazy_re(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a regular expression that is compiled at its first use: compiling them all would slow every start."""
    return cast("re.Pattern[str]", _LazyPattern(pattern, flags))


def phrases(package: str, module: str, *names: str) -> list[re.Pattern[str]]:
    """Return the patterns of these names of a module in phrases.txt of a package; they match in any case."""
    groups = load_patterns(package, "phrases.txt")
    return [lazy_re("|".join(groups[f"{module}_{name}"]), re.I) for name in names]


def by_word(words: Mapping[str, str]) -> dict[str, str]:
    """Map each word of a value ("eur euro €") to its key; "_" stands for a space."""
    return {word.replace("_", " "): key for key, listed in words.items() for word in listed.split()}


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_WORDS = load_words("localrag", "quantities.toml")


# --- dates --------------------------------------------------------------------------------------------------

MONTHS: Mapping[str, int] = {name: number for number, own in enumerate(_WORDS["months"], 1) for name in own.split()}
ENGLISH_MONTHS = tuple(own.split()[0].capitalize() for own in _WORDS["months"])
_MONTH = rf"(?:{_any_of(MONTHS)})\b\.?"
_DAY, _YEAR = r"(?:3[01]|[12]\d|0?[1-9])", r"(?:1[0-9]|20|21)\d\d"
# A scanned page may part the letters of an ordinal: "20t h".
_NTH = rf"{_DAY}(?:\s?(?:s\s?t|n\s?d|r\s?d|t\s?h)|er|\.)?"
_GAP = r"\s{1,9}"
_OF = rf"(?:{_GAP}(?:(?:day{_GAP})?of|de))?[\s-]{{1,9}}"
DATE = lazy_re(
    rf"""(?<!\d)(?P<signs>{_YEAR}\s?[年년]\s?\d{{1,2}}\s?[月월]\s?\d{{1,2}}\s?[日号號일])
      | (?<![\w/.-])(?:
        (?P<iso>{_YEAR}[-/]\d{{1,2}}[-/]\d{{1,2}})
      | (?:the{_GAP})?(?P<d1>{_NTH}){_OF}(?P<m1>{_MONTH})[\s,-]{{1,9}}(?:de{_GAP})?(?P<y1>{_YEAR})
      | (?P<m2>{_MONTH})[\s-]{{1,9}}(?:the{_GAP})?(?P<d2>{_NTH})
        (?:\s{{0,9}},\s{{0,9}}|{_GAP}|-)(?:of{_GAP})?(?P<y2>{_YEAR})
      | (?P<dots>\d{{1,2}}\.\s?\d{{1,2}}\.\s?(?:{_YEAR}|\d\d))
      | (?P<slashes>\d{{1,2}}/\d{{1,2}}/(?:{_YEAR}|\d\d)|\d{{1,2}}-\d{{1,2}}-{_YEAR})
    )(?![\w/]|[.-]\d)""",
    re.I | re.X,
)
MONTH = lazy_re(
    rf"(?:(?P<month>{_MONTH}){_GAP}(?:de{_GAP})?(?P<year>{_YEAR})|(?P<iso>{_YEAR})-(?P<number>0[1-9]|1[0-2]))", re.I
)
_DAY_OF_YEAR = lazy_re(
    rf"(?<![\w/.-])(?:(?P<d1>{_NTH}){_OF}(?P<m1>{_MONTH})(?!\w)|(?P<m2>{_MONTH}){_GAP}(?P<d2>{_NTH})(?!\w|[.,]\d))",
    re.I,
)

_TWO_FIGURES = re.compile(r"\d\d")  # the least that a year has: most sentences of most texts have none

Order = Literal["", "day/month", "month/day"]


@dataclass(frozen=True, slots=True)
class DateMention:
    """A date in a text: half-open offsets, and its readings by order; a single one, of order "", if it is clear."""

    start: int
    end: int
    text: str
    readings: tuple[tuple[Order, date], ...]

    @property
    def certain(self) -> date | None:
        return self.readings[0][1] if len(self.readings) == 1 else None

    @property
    def days(self) -> frozenset[date]:
        return frozenset(day for _, day in self.readings)


def find_dates(text: str) -> Iterator[DateMention]:
    """Yield the dates of a text in order, skipping those that no calendar has ("31 June 2024")."""
    for match in DATE.finditer(text) if _TWO_FIGURES.search(text) else ():
        if readings := tuple(_readings(match)):
            yield DateMention(match.start(), match.end(), match[0], readings)


def parse_date(text: str) -> DateMention | None:
    """Parse a text that is a date and nothing else."""
    text = text.strip()
    found = next(find_dates(text), None)
    return found if found is not None and (found.start, found.end) == (0, len(text)) else None


def find_days(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield days of a month, with or without a year ("3 May"), as start, end, month and day."""
    for match in _DAY_OF_YEAR.finditer(text):
        yield match.start(), match.end(), *_day_and_month(match)[::-1]


def find_months(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield months of a year ("May 2025", "2025-05") as start, end, year and month."""
    for match in MONTH.finditer(text):
        whole = (match.start() == 0 or not text[match.start() - 1].isalnum()) and not text[match.end() :][:1].isalnum()
        if whole and (found := parse_month(match[0])) is not None:
            yield match.start(), match.end(), *found


def parse_month(text: str) -> tuple[int, int] | None:
    """Parse a text that is a month of a year and nothing else into year and month."""
    match = MONTH.fullmatch(text.strip())
    if match is None:
        return None
    if match["iso"]:
        return int(match["iso"]), int(match["number"])
    return int(match["year"]), MONTHS[match["month"].lower().rstrip(".")]


def _day_and_month(match: re.Match[str]) -> tuple[int, int]:
    month = MONTHS[(match["m1"] or match["m2"]).lower().rstrip(".")]
    return int(re.sub(r"\D", "", match["d1"] or match["d2"])), month


def _readings(match: re.Match[str]) -> Iterator[tuple[Order, date]]:
    if written := match["iso"] or match["signs"]:
        year, month, day = map(int, re.findall(r"\d+", written))
    elif match["m1"] or match["m2"]:
        day, month = _day_and_month(match)
        year = int(match["y1"] or match["y2"])
    elif match["dots"]:
        day, month, year = (int(part) for part in match["dots"].replace(" ", "").split("."))
    else:
        day, month, year = (int(part) for part in re.split("[-/]", match["slashes"]))
        if day != month:
            yield from _day("day/month", year, month, day)
            yield from _day("month/day", year, day, month)
            return
    yield from _day("", year, month, day)


def _day(order: Order, year: int, month: int, day: int) -> Iterator[tuple[Order, date]]:
    if year < 100:  # 1970 to 2069
        year += 2000 if year < 70 else 1900
    if 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]:
        yield order, date(year, month, day)


# A year as accounts name it: "2019", "FY19", "F19".
YEAR = re.compile(
    r"(?<![\d.])(?:(?P<year>(?:19|20)\d\d)|(?:FY|F|fiscal |['’])(?P<short>\d\d))(?![\d%]|\.\d|,\d{3}(?!\d))", re.I
)


def years(text: str) -> frozenset[int]:
    """Return the years that a text names: "2019", "FY19", "F19"."""
    return frozenset(int(m["year"] or f"20{m['short']}") for m in YEAR.finditer(text))


def format_date(day: date) -> str:
    """Format a date in words that read the same everywhere: "3 March 2024"."""
    return f"{day.day} {ENGLISH_MONTHS[day.month - 1]} {day.year}"


def add_months(day: date, months: int) -> date:
    """Return the same day so many months later, or the last of the month; OverflowError if the calendar ends before."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError(f"the year {year} is outside the calendar")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def shift_date(day: date, count: int, unit: str) -> date:
    """Return the date so many days, weeks, months or years later; OverflowError if the calendar ends before."""
    if unit in ("month", "year"):
        return add_months(day, count * (12 if unit == "year" else 1))
    return day + timedelta(days=count * (7 if unit == "week" else 1))


# --- currencies, scales, units ------------------------------------------------------------------------------

CURRENCIES: Mapping[str, str] = by_word(_WORDS["currencies"])
CURRENCY_SIGNS: Mapping[str, str] = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
# Patterns: the signs (none inside a word), and the codes that are written before and after amounts.
CURRENCY_SIGN = r"(?:US\$|C\$|A\$|[$€£¥₹])"
CURRENCY_CODE = r"(?:EUR|USD|GBP|CHF|JPY|CAD|AUD)"
# Powers of ten.
SCALES: Mapping[str, int] = {word: int(power) for word, power in by_word(_WORDS["scales"]).items()}
# Words for spans of time in all languages.
TIME_UNITS: Mapping[str, str] = by_word(_WORDS["time"]) | by_word(_WORDS["time_romance"])
_UNITS: Mapping[str, str] = by_word(_WORDS["units"]) | by_word(_WORDS["time"])
# The kind of a unit, and how many base units it is.
_MEASURES = {unit: (kind, Decimal(size)) for kind, own in _WORDS["measures"].items() for unit, size in own.items()}

_DIGITS = r"\d{1,3}(?:[,.’' \u00a0\u202f]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_SIGNS = _any_of(name for name in CURRENCIES if not name.replace(" ", "").isalpha())
_CODES = _any_of(name for name in CURRENCIES if name.replace(" ", "").isalpha())
QUANTITY = lazy_re(
    rf"""(?P<before>(?:{_SIGNS})\s?|{CURRENCY_CODE}\s)?
    (?P<digits>{_DIGITS})
    (?P<scale>\s?(?:{_any_of(SCALES)})\b\.?(?!²))?
    (?:(?P<percent>\s?(?:%(?!\s{{0,9}}[\d(])|percent\b|per\ cent\b|prozent\b))
      |(?P<after>(?:\s?(?:{_SIGNS})|\s?(?:{_CODES})\b))
      |(?P<unit>\s?(?:{_any_of(_UNITS)})(?!\w)))?""",
    re.I | re.X,
)
_MAX_DIGITS = 28  # more are not calculated with


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and what it counts: "" for nothing, "%", a currency's code, or a unit."""

    value: Decimal
    unit: str = ""

    @property
    def is_money(self) -> bool:
        return self.unit in CURRENCIES.values()

    def __str__(self) -> str:
        if self.unit == "%":
            return f"{format_number(self.value)} %"
        if self.is_money and self.value.adjusted() < 24 and (not self.value or abs(self.value) >= Decimal("0.01")):
            cents = self.value.quantize(Decimal("0.01"), ROUND_HALF_UP)
            number = f"{cents:,.2f}" if cents != cents.to_integral() else format_number(cents)
            return f"{number} {self.unit}"
        many = len(self.unit) > 2 and " " not in self.unit and abs(self.value) != 1 and not self.is_money
        plural = "s" if many else ""
        return f"{format_number(self.value)} {self.unit}{plural}".strip()


def parse_quantity(match: re.Match[str], decimal_comma: bool = False, money: bool = False) -> Quantity:
    """Return the quantity that QUANTITY matched, which is `money` even without a sign; see `parse_number`."""
    sign = (match["before"] or match["after"] or "").strip().lower()
    unit = CURRENCIES.get(sign, "")
    if match["percent"]:
        unit = "%"
    elif match["unit"]:
        unit = _UNITS[match["unit"].strip().lower()]
    value = parse_number(match["digits"], money=money or bool(sign), decimal_comma=decimal_comma)
    if match["scale"]:
        value = value.scaleb(SCALES[match["scale"].strip().lower().rstrip(".")])
    return Quantity(value, unit)


def parse_number(digits: str, *, money: bool = False, decimal_comma: bool = False) -> Decimal:
    """Return the value of digits with separators.

    A lone separator before three digits ("2.400") marks thousands in money, which has no thousandths; in other numbers
    it marks decimals if it is a dot, or a comma where `decimal_comma` says that the text writes them so.
    """
    plain = re.sub(r"[’' \u00a0\u202f]", "", digits)
    dots, commas = plain.count("."), plain.count(",")
    decimal = ""
    if dots and commas:
        decimal = max(".", ",", key=plain.rfind)
    elif dots + commas == 1:
        mark = "." if dots else ","
        ambiguous = len(plain.partition(mark)[2]) == 3 and plain[0] != "0"
        if not ambiguous or (not money and mark == ("," if decimal_comma else ".")):
            decimal = mark
    kept = "".join(sign for sign in plain if sign.isdigit() or sign == decimal)
    return Decimal(kept.replace(decimal, ".") if decimal else kept)


def unit_of(word: str) -> str | None:
    """Return the unit of measure that a word means."""
    return _UNITS.get(word.strip().lower())


def convert(quantity: Quantity, unit: str) -> Quantity | None:
    """Convert to another unit of the same kind; None if there is no fixed ratio."""
    if quantity.unit == unit:
        return quantity
    if quantity.unit not in _MEASURES or unit not in _MEASURES or _MEASURES[quantity.unit][0] != _MEASURES[unit][0]:
        return None
    return Quantity(quantity.value * _MEASURES[quantity.unit][1] / _MEASURES[unit][1], unit)


def format_number(value: Decimal) -> str:
    """Format a number with commas between thousands and no trailing zeros."""
    if not value:
        return "0"
    if abs(value.adjusted()) >= _MAX_DIGITS:
        return str(value)
    plain = value.quantize(Decimal(1)) if value == value.to_integral() else value.normalize()
    return f"{plain:,f}"


def plural(count: int, noun: str) -> str:
    """Format a count of something: "1 page", "1,204 pages", "2 policies"."""
    many = re.sub("[^aeiou]y$", lambda match: f"{match[0][0]}ie", noun) + "s"
    return f"{count:,} {noun if count == 1 else many}"


# --- numbers in words ---------------------------------------------------------------------------------------

_HUNDREDS = frozenset(_WORDS["hundreds"].split())
_LARGE = {word: 10 ** int(power) for word, power in by_word(_WORDS["large"]).items()}


def _cardinals() -> dict[str, int]:
    words: dict[str, int] = {}
    for listed in _WORDS["numbers"]:
        small, tens, ordinals = (listed.get(name, "").split() for name in ("small", "tens", "ordinals"))
        own = [*enumerate(small), *((10 * n, word) for n, word in enumerate(tens, 2)), *enumerate(ordinals, 1)]
        if "eins" in small:
            own += [(n, f"{word}{ending}") for n, word in enumerate(ordinals, 1) for ending in "nrs"]
            own += [
                (10 * ten + n, f"{'ein' if n == 1 else small[n]}und{word}")
                for ten, word in enumerate(tens, 2)
                for n in range(1, 10)
            ]
        words |= {word: n for n, word in own if word != "-" and word not in words}
    return words


CARDINALS: Mapping[str, int] = _cardinals()
NUMBER_WORDS = frozenset(CARDINALS) | _HUNDREDS | frozenset(_LARGE)
_WORD = re.compile(r"[^\W\d_]+")


class NumberWords(NamedTuple):
    """A number in words in a text; half-open offsets."""

    start: int
    end: int
    value: int


def find_number_words(text: str) -> Iterator[NumberWords]:
    """Yield the numbers written in words ("two hundred and fifty"); an article or a scale alone is none."""
    run: list[tuple[int, int, str]] = []
    for match in _WORD.finditer(text):
        word = match[0].lower()
        apart = bool(run) and text[run[-1][1] : match.start()] not in (" ", "-")
        if run and (apart or (word not in NUMBER_WORDS and word != "and")):
            yield from _numbers(run)
            run = []
        if word in NUMBER_WORDS or (word == "and" and run):
            run.append((match.start(), match.end(), word))
    yield from _numbers(run)


def _numbers(words: list[tuple[int, int, str]]) -> Iterator[NumberWords]:
    at = 0
    while at < len(words):
        end, value = _read_number(words, at)
        if value is not None:
            yield NumberWords(words[at][0], words[end - 1][1], value)
        at = max(end, at + 1)


def _read_number(words: list[tuple[int, int, str]], at: int) -> tuple[int, int | None]:
    """Return where the number that begins at a word ends, and its value."""
    total, current, last, begun = 0, 0, 10**12, False
    while at < len(words):
        word = words[at][2]
        if word == "and":
            if not begun or last not in (100, 1000):
                break
        elif word in _HUNDREDS:
            if begun and not 0 < current < 100:
                break
            current, last, begun = max(1, current) * 100, 100, True
        elif word in _LARGE:
            if not begun:
                return at + 1, None
            total, current, last = total + max(1, current) * _LARGE[word], 0, 1000
        else:
            value = CARDINALS[word]
            # "twenty five" is one number, "three five" and "ten thirty" are two.
            if begun and not (last >= 100 if value >= 10 else last >= 20):
                break
            current, last, begun = current + value, value if value >= 20 else 1, True
        at += 1
    if at and words[at - 1][2] == "and":
        at -= 1
    return at, (total + current) if begun else None
