"""Numbers with what they count, as people write them (pure): "$1.25 million", "2.400 €", "12,5 %", "350 EUR", "40 km".

Thousands are told by commas or by dots. Where a number could be either ("2.400"), money is taken to have thousands,
since it has no thousandths, and any other number as it is written in English, or in German where the text is German.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

Language = Literal["english", "german"]

_CURRENCIES = {
    "€": "EUR", "euro": "EUR", "euros": "EUR", "eur": "EUR", "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD",
    "dollars": "USD", "£": "GBP", "gbp": "GBP", "pound sterling": "GBP", "pounds": "GBP", "pound": "GBP", "¥": "JPY",
    "yen": "JPY", "jpy": "JPY", "chf": "CHF", "franken": "CHF", "sek": "SEK", "nok": "NOK", "dkk": "DKK", "pln": "PLN",
    "cad": "CAD", "c$": "CAD", "aud": "AUD", "a$": "AUD", "inr": "INR", "₹": "INR", "rupees": "INR", "cny": "CNY",
    "cent": "cents", "cents": "cents",
}  # fmt: skip
_SCALES = {
    "thousand": 3, "tausend": 3, "tsd": 3, "k": 3, "million": 6, "millions": 6, "mn": 6, "mio": 6, "m": 6,
    "millionen": 6, "billion": 9, "billions": 9, "bn": 9, "mrd": 9, "milliarde": 9, "milliarden": 9,
    "trillion": 12,
}  # fmt: skip
# How many of the first of its kind one of these is; exact by definition (international yard and pound, 1959).
_MEASURES: dict[str, tuple[str, str]] = {
    "mm": ("length", "0.001"), "cm": ("length", "0.01"), "m": ("length", "1"), "km": ("length", "1000"),
    "in": ("length", "0.0254"), "ft": ("length", "0.3048"), "yd": ("length", "0.9144"), "mi": ("length", "1609.344"),
    "sq m": ("area", "1"), "ha": ("area", "10000"), "sq km": ("area", "1000000"), "sq ft": ("area", "0.09290304"),
    "acre": ("area", "4046.8564224"), "g": ("mass", "0.001"), "kg": ("mass", "1"), "t": ("mass", "1000"),
    "lb": ("mass", "0.45359237"), "oz": ("mass", "0.028349523125"), "ml": ("volume", "0.001"), "l": ("volume", "1"),
    "US gal": ("volume", "3.785411784"), "second": ("time", "1"), "minute": ("time", "60"), "hour": ("time", "3600"),
    "day": ("time", "86400"), "week": ("time", "604800"), "month": ("months", "1"), "quarter": ("months", "3"),
    "year": ("months", "12"),
}  # fmt: skip
_NAMES = {
    "mm": "mm millimetre millimeter",
    "cm": "cm centimetre centimeter",
    "m": "metre meter",
    "km": "km kilometre kilometer",
    "in": "inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard",
    "mi": "mile",
    "sq m": "m² m2 sqm",
    "ha": "ha hectare",
    "sq km": "km² km2",
    "sq ft": "ft² ft2 sqft",
    "acre": "acre",
    "g": "gram gramme",
    "kg": "kg kilogram kilo",
    "t": "tonne ton",
    "lb": "lb lbs",
    "oz": "oz ounce",
    "ml": "ml millilitre milliliter",
    "l": "litre liter",
    "US gal": "gallon",
    "second": "second sec",
    "minute": "minute min minuten",
    "hour": "hour hr h stunde stunden",
    "day": "day tag tage tagen",
    "week": "week woche wochen",
    "month": "month monat monate monaten",
    "quarter": "quarter",
    "year": "year jahr jahre jahren",
}
_UNITS = {name: unit for unit, names in _NAMES.items() for one in names.split() for name in (one, f"{one}s")} | {
    "sq m": "sq m", "sq ft": "sq ft", "square metres": "sq m", "square meters": "sq m", "square feet": "sq ft",
    "square kilometres": "sq km", "square kilometers": "sq km", "square metre": "sq m", "square foot": "sq ft",
}  # fmt: skip


def _either(names: object) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))  # type: ignore[call-overload]


_DIGITS = r"\d{1,3}(?:[,.’' \u00a0\u202f]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)?"
_SIGNS = _either(name for name in _CURRENCIES if not name.isalpha())
_CODES = _either(name for name in _CURRENCIES if name.isalpha() or " " in name)
FIGURE = re.compile(
    rf"""(?P<before>(?:{_SIGNS})\s?|(?:eur|usd|gbp|chf|jpy|cad|aud)\s)?
    (?P<digits>{_DIGITS})
    (?P<scale>\s?(?:{_either(_SCALES)})\b\.?(?!²))?
    (?:(?P<percent>\s?(?:%(?!\s*[\d(])|percent\b|per\ cent\b|prozent\b))
      |(?P<after>(?:\s?(?:{_SIGNS})|\s?(?:{_CODES})\b))
      |(?P<unit>\s?(?:{_either(_UNITS)})(?!\w)))?""",
    re.I | re.X,
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and what it counts: "" for nothing, "%", a currency's code, or a unit of measure."""

    value: Decimal
    unit: str = ""

    @property
    def is_money(self) -> bool:
        return self.unit in _CURRENCIES.values()

    def __str__(self) -> str:
        if self.unit == "%":
            return f"{written(self.value)} %"
        if self.is_money:
            return f"{_money(self.value)} {self.unit}"
        plural = "s" if len(self.unit) > 2 and " " not in self.unit and abs(self.value) != 1 else ""
        return f"{written(self.value)} {self.unit}{plural}".strip()


def figure(match: re.Match[str], language: Language = "english") -> Figure:
    """The figure that FIGURE matched."""
    sign = (match["before"] or match["after"] or "").strip().lower()
    unit = _CURRENCIES.get(sign, "")
    if match["percent"]:
        unit = "%"
    elif match["unit"]:
        unit = _UNITS[match["unit"].strip().lower()]
    value = number(match["digits"], bool(sign), language)
    if match["scale"]:
        value = value.scaleb(_SCALES[match["scale"].strip().lower().rstrip(".")])
    return Figure(value, unit)


def number(digits: str, money: bool = False, language: Language = "english") -> Decimal:
    """The value of digits with separators; see the rules at the top."""
    plain = re.sub(r"[’' \u00a0\u202f]", "", digits)
    dots, commas = plain.count("."), plain.count(",")
    if dots and commas:
        decimal = max(".", ",", key=plain.rfind)
    elif dots + commas == 1:
        mark = "." if dots else ","
        thousands = len(plain.partition(mark)[2]) == 3 and plain[0] != "0"
        if not thousands:
            decimal = mark
        elif money:
            decimal = ""
        else:
            decimal = mark if mark == ("." if language == "english" else ",") else ""
    else:
        decimal = ""
    kept = "".join(c for c in plain if c.isdigit() or c == decimal)
    return Decimal(kept.replace(decimal, ".") if decimal else kept)


def is_year(match: re.Match[str]) -> bool:
    """Whether a number may be a year: nothing is known of it but four digits."""
    return re.fullmatch(r"(?:1[5-9]|20)\d\d", match[0].strip()) is not None


def converted(given: Figure, unit: str) -> Figure | None:
    """The same in another unit of its kind; None where there is no such fixed ratio."""
    if given.unit not in _MEASURES or unit not in _MEASURES or _MEASURES[given.unit][0] != _MEASURES[unit][0]:
        return None
    return Figure(given.value * Decimal(_MEASURES[given.unit][1]) / Decimal(_MEASURES[unit][1]), unit)


def unit_named(text: str) -> str | None:
    """The unit of measure that a word stands for."""
    return _UNITS.get(text.strip().lower())


def written(value: Decimal) -> str:
    """A number as people write it: thousands separated, no trailing zeros."""
    if not value:
        return "0"
    if abs(value.adjusted()) >= 28:  # more digits than are calculated with
        return str(value)
    rounded = value.quantize(Decimal(1)) if value == value.to_integral() else value.normalize()
    return f"{rounded:,f}"


def rounded(given: Figure) -> Figure:
    """Money to cents, anything else to six decimals or digits: what more there is nobody reads."""
    value = given.value
    if abs(value.adjusted()) >= 28 or not value:
        return given
    if given.is_money and abs(value) >= Decimal("0.01"):
        return Figure(_cents(value), given.unit)
    exponent = value.normalize().as_tuple().exponent
    long = not isinstance(exponent, int) or exponent < -8
    return Figure(round(value, max(6, 5 - value.adjusted())), given.unit) if long else given


def counted(count: int, thing: str) -> str:
    """So many of a thing: "1 page", "1,204 pages"."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def percent(value: Decimal) -> str:
    """A share in percent, two decimals at most, with its sign: "+27.62 %"."""
    rounded = round(value, 2) if abs(value) >= 1 or not value else round(value, 1 - value.adjusted())
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{written(abs(rounded))} %"


def _money(value: Decimal) -> str:
    if value.adjusted() >= 24 or (value and abs(value) < Decimal("0.01")):
        return written(value)
    cents = _cents(value)
    return f"{cents:,.2f}" if cents != cents.to_integral() else written(cents)


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)
