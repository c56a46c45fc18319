"""Dates as people write them (pure): "3 March 2024", "March 3rd, 2024", "2024-03-03", "03.03.2024", "3. März 2024".

A date of slashes may be read in two ways ("03/04/2024"); both are given, and whoever asks says which was taken. A date
without a year is none. Years of two digits are of 1970 to 2069.

Limits: months are known in English and German.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

Order = Literal["day/month", "month/day"]

_NAMES = (
    "january jan januar jänner", "february feb februar", "march mar märz mrz", "april apr", "may mai", "june jun juni",
    "july jul juli", "august aug", "september sep sept", "october oct oktober okt", "november nov",
    "december dec dezember dez",
)  # fmt: skip
_MONTHS = {name: number for number, own in enumerate(_NAMES, 1) for name in own.split()}
_MONTH = rf"(?:{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY, _YEAR = r"(?:3[01]|[12]\d|0?[1-9])", r"(?:1[0-9]|20|21)\d\d"
_NTH = rf"{_DAY}(?:st|nd|rd|th|\.)?"
DATE = re.compile(
    rf"""(?<![\w/.-])(?:
        (?P<iso>{_YEAR}[-/]\d{{1,2}}[-/]\d{{1,2}})
      | (?:the\s+)?(?P<d1>{_NTH})(?:\s+(?:day\s+)?of)?[\s-]+(?P<m1>{_MONTH})(?:[\s,-]+)(?P<y1>{_YEAR})
      | (?P<m2>{_MONTH})[\s-]+(?:the\s+)?(?P<d2>{_NTH})(?:\s*,\s*|\s+|-)(?:of\s+)?(?P<y2>{_YEAR})
      | (?P<dots>\d{{1,2}}\.\s?\d{{1,2}}\.\s?(?:{_YEAR}|\d\d))
      | (?P<slashes>\d{{1,2}}/\d{{1,2}}/(?:{_YEAR}|\d\d)|\d{{1,2}}-\d{{1,2}}-{_YEAR})
    )(?![\w/]|[.-]\d)""",
    re.I | re.X,
)
MONTH = re.compile(rf"(?:(?P<month>{_MONTH})\s+(?P<year>{_YEAR})|(?P<iso>{_YEAR})-(?P<number>0[1-9]|1[0-2]))", re.I)

_DAY_OF_YEAR = re.compile(
    rf"(?<![\w/.-])(?:(?P<d1>{_NTH})(?:\s+(?:day\s+)?of)?[\s-]+(?P<m1>{_MONTH})(?!\w)|(?P<m2>{_MONTH})\s+(?P<d2>{_NTH})(?!\w|[.,]\d))",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Written:
    """A date where it stands: half-open offsets, and what it may mean, by the order in which it is read.

    `readings` has one entry (order "") where there is no doubt.
    """

    start: int
    end: int
    text: str
    readings: tuple[tuple[Order | Literal[""], date], ...]

    @property
    def certain(self) -> date | None:
        return self.readings[0][1] if len(self.readings) == 1 else None


def find(text: str) -> Iterator[Written]:
    """The dates of a text, in its order; what is no day of the calendar ("31 June 2024") is none."""
    for match in DATE.finditer(text):
        readings = tuple(_readings(match))
        if readings:
            yield Written(match.start(), match.end(), match[0], readings)


def days_of_year(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Days with a month and whether or not with a year ("3 May", "May 3rd, 2024"): where, the month and the day."""
    for match in _DAY_OF_YEAR.finditer(text):
        month = _MONTHS[(match["m1"] or match["m2"]).lower().rstrip(".")]
        yield match.start(), match.end(), month, int(re.sub(r"\D", "", match["d1"] or match["d2"]))


def months(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Months of a year ("May 2025", "2025-05"): where, the year and the month."""
    for match in MONTH.finditer(text):
        whole = (match.start() == 0 or not text[match.start() - 1].isalnum()) and not text[match.end() :][:1].isalnum()
        if whole and (found := month(match[0])) is not None:
            yield match.start(), match.end(), *found


def read(text: str) -> Written | None:
    """What a text that is nothing but a date means."""
    text = text.strip()
    found = next(find(text), None)
    return found if found is not None and (found.start, found.end) == (0, len(text)) else None


def _readings(match: re.Match[str]) -> Iterator[tuple[Order | Literal[""], date]]:
    if iso := match["iso"]:
        year, month, day = map(int, re.split("[-/]", iso))
        yield from _day("", year, month, day)
    elif match["m1"] or match["m2"]:
        month = _MONTHS[(match["m1"] or match["m2"]).lower().rstrip(".")]
        day = int(re.sub(r"\D", "", match["d1"] or match["d2"]))
        yield from _day("", int(match["y1"] or match["y2"]), month, day)
    elif dots := match["dots"]:
        day, month, year = (int(part) for part in dots.replace(" ", "").split("."))
        yield from _day("", _full(year), month, day)
    else:
        first, second, year = (int(part) for part in re.split("[-/]", match["slashes"]))
        if first == second:  # 04/04/2024 is the same either way
            yield from _day("", _full(year), second, first)
            return
        yield from _day("day/month", _full(year), second, first)
        yield from _day("month/day", _full(year), first, second)


def _full(year: int) -> int:
    return year if year > 99 else year + (2000 if year < 70 else 1900)


def _day(order: Order | Literal[""], year: int, month: int, day: int) -> Iterator[tuple[Order | Literal[""], date]]:
    if 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]:
        yield order, date(year, month, day)


def month(text: str) -> tuple[int, int] | None:
    """The year and the month that a text names ("May 2025", "2025-05"), if it is nothing else."""
    found = MONTH.fullmatch(text.strip())
    if found is None:
        return None
    if found["iso"]:
        return int(found["iso"]), int(found["number"])
    return int(found["year"]), _MONTHS[found["month"].lower().rstrip(".")]


def said(day: date) -> str:
    """A date in words that no one reads otherwise: "3 March 2024"."""
    return f"{day.day} {_NAMES[day.month - 1].split()[0].capitalize()} {day.year}"
