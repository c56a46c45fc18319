"""Read the periods of accounts: those that a question names, and those of a table's columns.

    "in the three months ended July 1, 2023"    -> Period(2023, 6, 3)
    "Q3 2023"                                   -> Period(2023, 0, 3, quarter=3), told by the document's own quarter
    "at December 31, 2019"                      -> Period(2019, 12)
    "fiscal 2012"                               -> Period(2012)

A day in the first week of a month belongs to the month before: fiscal quarters end on a weekday. Limits: English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from localrag.quantities import ENGLISH_MONTHS, MONTHS, YEAR, find_dates, find_days, find_months, lazy_re

_FIRST_WEEK = 7
_NUMBERS = {"three": 3, "six": 6, "nine": 9, "twelve": 12}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4}
_NAMES = "|".join(sorted(MONTHS, key=len, reverse=True))
_S = r"\s{1,9}"
_FISCAL = rf"(?:of{_S})?(?:(?:the|its){_S})?(?:fiscal{_S})?(?:year{_S})?(?:FY\s?|['’])?(?P<year>(?:20|19)\d\d|\d\d)"
# "Q3 2023", "3Q23", "the third quarter of fiscal 2023"
_QUARTER = lazy_re(
    rf"\b(?:f?q(?P<q1>[1-4])|(?P<q2>[1-4])q|(?P<q3>{'|'.join(_ORDINALS)}){_S}(?:fiscal{_S})?(?:quarter|qtr))"
    rf"(?:\s{{0,9}}|\b\W{{0,2}}){_FISCAL}\b",
    re.I,
)
# "the first half of 2023", "H1 2023", "9M FY23", "the first six months of 2023"
_FIRST_MONTHS = lazy_re(
    rf"\b(?:(?P<half>(?:first|1st){_S}half|1?H1?)|(?:(?:the{_S})?first{_S})?(?P<n>six|nine|6|9)[\s-]{{0,3}}(?:months?|mo?))"
    rf"(?:\s{{0,9}}|\b\W{{0,2}}){_FISCAL}\b",
    re.I,
)
_OWN_QUARTER = lazy_re(
    r"\b(?:(first|second|third|fourth) quarter (?:of )?(?:the )?(?:fiscal )?(?:year )?|Q([1-4]) )(20\d\d)\b", re.I
)
# "January to September 2022", "Jan-Sep 2022"
_MONTHS = lazy_re(rf"\b(?P<a>{_NAMES})\.?\s?(?:-|–|to|through|and)\s?(?P<b>{_NAMES})\.?{_S}(?P<year>20\d\d)\b", re.I)
# "the June 2023 quarter", "june qtr 2023", "apr 2023 qtr"
_MONTH_QUARTER = lazy_re(
    rf"\b(?P<m1>{_NAMES})\.?{_S}(?P<y1>20\d\d){_S}(?:quarter|qtr)\b"
    rf"|\b(?P<m2>{_NAMES})\.?{_S}(?:quarter|qtr)\.?{_S}(?:of{_S})?(?P<y2>20\d\d)\b",
    re.I,
)
_NOT = lazy_re(
    r"\(?\bnot\b(?=[^,.;?)]{0,60}\b(?:three|six|nine|twelve|months?|quarters?|years?|half|cumulative|ytd)\b)[^,.;?)]{0,80}\)?",
    re.I,
)
_LENGTH = lazy_re(
    r"\b(?:(?P<words>three|six|nine|twelve)|(?P<digits>3|6|9|12))[\s-]{0,3}(?:m\b|mo\b|months?\b)"
    r"|\b(?P<quarter>quarter(?:ly)?|qtr)\b|\b(?P<half>half)[\s-]year\b"
    r"|\b(?P<year>(?:fiscal|full|whole|the) year|years? ended|annual)\b",
    re.I,
)
# "since 2018", "the first half of 2019", "52 weeks", "late 2019", "FY2019/20"
_OPEN = lazy_re(
    rf"\b(?:since|until|till|before|after|late|early|mid){_S}(?:the{_S})?(?:fiscal{_S})?(?:year{_S})?(?:{_NAMES}|(?:19|20)\d\d)\b"
    r"|\b(?:second|last|latter)\s(?:half|six|two|nine|three)\b|\bfirst\stwo\b|\bH2\b|\b2H\b|\bweeks?\b|\bhalf[\s-]year|\b(?:two|three|five|\d)[\s-]years?\b"
    r"|(?<!\d)(?:19|20)\d\d/\d\d\b",
    re.I,
)
# "against the year before": the period that changes are told from anyway
_THAN = rf"(?:against|than|compared (?:to|with)|over|from){_S}"
_EARLIER = lazy_re(
    rf"\b{_THAN}(?:in{_S})?(?:the{_S})?(?:(?:same|prior|previous|year-ago){_S})?(?:year|quarter|period)"
    rf"(?:{_S}(?:of{_S}the{_S}year{_S})?(?:before|earlier|ago))?\b|\b(?:{_THAN})?(?:the|a){_S}year{_S}(?:before|earlier|ago)\b",
    re.I,
)
_START = lazy_re(rf"\b(?:beginning|start|opening){_S}(?:of{_S})?(?:the{_S})?(?:fiscal{_S})?(?:year{_S})?$", re.I)
_BEFORE = 40  # characters before a date that tell whether it is a day or the end of a period
_OFTEN = 0.3
_AT = lazy_re(
    rf"\b(?:at|as (?:of|at)|on){_S}(?:(?:the|fiscal|year|day){_S}){{0,3}}$"
    rf"|\b(?:at|as (?:of|at)|on){_S}(?:{_NAMES}){_S}\d{{1,2}},{_S}\d{{4}}{_S}and{_S}$"
    rf"|\b(?:end|close|last day){_S}(?:of{_S})?(?:the{_S})?(?:fiscal{_S})?(?:year{_S})?$",
    re.I,
)
_TO_END = lazy_re(rf"\bto{_S}the{_S}end{_S}of{_S}$", re.I)
_CLOSED = lazy_re(r"\b(?:end(?:ed|ing)|closed)\b", re.I)
_IN = lazy_re(rf"\b(?:in|during|for|over){_S}(?:the{_S})?(?:fiscal{_S})?(?:years?{_S})?$", re.I)
_ENDED = lazy_re(
    rf"\b(?:(?:in|for|during|over){_S})?(?:the{_S})?(?:(?:first|last){_S})?"
    r"(?:(?:three|six|nine|twelve|3|6|9|12)[\s-]{1,3})?(?:months?|quarter|qtr|year|period)"
    rf"{_S}(?:(?:that|which){_S})?(?:ended|ending|closed|to)\b(?:{_S}(?:on|at|in)\b)?(?:{_S}the end of)?",
    re.I,
)
_CALENDAR = lazy_re(r"\bcalendar\b", re.I)
_AS_OF = lazy_re(r"\b(?:as of|at|as at)\b", re.I)


class Period(NamedTuple):
    """A period, by the year and month of its end (month 0: not said) and its months (0: a day, None: not said).

    `quarter` is that of a fiscal year in which it ends, where the question names no month.
    """

    year: int
    month: int = 0
    months: int | None = None
    quarter: int = 0

    @property
    def before(self) -> Period:
        """The same period a year before."""
        return self._replace(year=self.year - 1)

    @property
    def start(self) -> Period:
        """The day on which it begins: the end of the one before."""
        end = 12 * self.year + self.month - 1 - (self.months or 12)
        return Period(end // 12, end % 12 + 1, 0) if self.month else Period(self.year - 1, 0, 0)

    def covers(self, column: Period) -> bool:
        """Return whether a column's figures are those of this period."""
        if self.year != column.year or (self.month and column.month and self.month != column.month):
            return False
        if self.months is None and not self.month:
            return column.months in (None, 0, 12)
        return None in (self.months, column.months) or self.months == column.months

    def __str__(self) -> str:
        """The period in words: "3 months to June 2023"."""
        end = f"{ENGLISH_MONTHS[self.month - 1]} {self.year}" if self.month else str(self.year)
        return f"{self.months} months to {end}" if self.months and self.months != 12 else end


def ended(year: int, month: int, day: int) -> tuple[int, int]:
    """Return the year and month that a period with this last day belongs to."""
    if day > _FIRST_WEEK:
        return year, month
    return (year, month - 1) if month > 1 else (year - 1, 12)


def length(text: str) -> int | None:
    """Return the months of a period that words name, the first of several; None where they name none."""
    for match in _LENGTH.finditer(text):
        if match["words"] or match["digits"]:
            return _NUMBERS[match["words"].lower()] if match["words"] else int(match["digits"])
        return 3 if match["quarter"] else 6 if match["half"] else 12
    return None


class Asked(NamedTuple):
    """The periods that a question names, in the order of their ends, and its text with only their years.

    `earlier` says whether it names the period a year before in words.
    """

    periods: tuple[Period, ...]
    text: str
    earlier: bool = False

    @property
    def rest(self) -> str:
        """The text without years."""
        return " ".join(YEAR.sub(" ", self.text).split())


def without(text: str) -> str:
    """Return a text without the periods that it names."""
    return _read(text).rest


def asked(text: str) -> Asked:
    """Return the periods that a question names; none where it bounds one in a way that no column has."""
    return Asked((), text) if _OPEN.search(text) else _read(text)


def _read(text: str) -> Asked:
    earlier = _EARLIER.search(text) is not None
    text = _EARLIER.sub(" ", _NOT.sub(" ", text))
    months = length(text)
    found: list[Period] = []

    def taken(period: Period) -> str:
        found.append(period)
        return f" {period.year} "

    forms = (_MONTHS, _of_months), (_MONTH_QUARTER, _of_month_quarter), (_QUARTER, _of_quarter)
    for pattern, read in (*forms, (_FIRST_MONTHS, _of_first_months)):
        for match in reversed(list(pattern.finditer(text))):
            text = text[: match.start()] + taken(read(match)) + text[match.end() :]
    for mention in reversed(list(find_dates(text))):
        if day := mention.certain:
            period = Period(*ended(day.year, day.month, day.day), _months(text, mention.start, months))
            text = text[: mention.start] + taken(period) + text[mention.end :]
    for start, end, year, month in reversed(list(find_months(text))):
        text = text[:start] + taken(Period(year, month, _months(text, start, months))) + text[end:]
    for match in YEAR.finditer(text):
        year = int(match["year"] or f"20{match['short']}")
        if _START.search(text[max(0, match.start() - _BEFORE) : match.start()]):
            found.append(Period(year - 1, 0, 0))  # the start of a year is the end of the one before
        elif not any(one.year == year for one in found):
            found.append(Period(year, 0, _months(text, match.start(), 12 if months == 3 else months)))
    if _CALENDAR.search(text):  # its quarters end in March, June, September and December, whatever the fiscal year
        found = [one if one.month else _in_calendar(one) for one in found]
    dated = {one.year for one in found if one.month}
    # "the quarter that ended in April 2023, the first of fiscal 2024"
    own = {
        one
        for one in found
        if one.month
        or one.months == 0
        or (one.quarter and (one.year not in dated or not any(d.month and d.months == one.months for d in found)))
        or not (dated or one.quarter)
    }
    # "as of June 30, 2023, due in 2026": of another year; a fiscal year may be called by the one after.
    if own and any(all(abs(one.year - kept.year) > 1 for kept in own) for one in found):
        own, found = set(), []
    text = YEAR.sub(lambda match: match["year"] or f"20{match['short']}", text)
    text = _ENDED.sub(" in ", text)
    ordered = sorted(own or set(found), key=lambda one: (one.year, one.month, one.quarter))
    return Asked(tuple(ordered), " ".join(text.split()), earlier)


def _months(text: str, start: int, said: int | None) -> int | None:
    """Return the months of a period by the words before its end: "at" and "as of" name a day, "in" a period."""
    before = text[max(0, start - _BEFORE) : start]
    if said and _TO_END.search(before):
        return said
    if _AT.search(before) and not _CLOSED.search(before):
        return 0
    return 12 if said is None and _IN.search(before) else said


def _of_months(match: re.Match[str]) -> Period:
    first, last = (MONTHS[match[name].lower().rstrip(".")] for name in ("a", "b"))
    return Period(int(match["year"]), last, (last - first) % 12 + 1)


def _of_month_quarter(match: re.Match[str]) -> Period:
    month, year = match["m1"] or match["m2"], match["y1"] or match["y2"]
    return Period(int(year), MONTHS[month.lower().rstrip(".")], 3)


def _of_quarter(match: re.Match[str]) -> Period:
    quarter = match["q1"] or match["q2"] or str(_ORDINALS[match["q3"].lower()])
    return Period(_whole(match["year"]), 0, 3, int(quarter))


def _of_first_months(match: re.Match[str]) -> Period:
    months = 6 if match["half"] else _NUMBERS.get(match["n"].lower(), 0) or int(match["n"])
    return Period(_whole(match["year"]), 0, months, months // 3)


def _in_calendar(one: Period) -> Period:
    if one.quarter:
        return Period(one.year, 3 * one.quarter, one.months)
    return one if one.months == 0 else Period(one.year, 12, one.months or 12)


def _whole(year: str) -> int:
    """Return a year with its century."""
    return int(year) + (0 if len(year) > 2 else 2000 if int(year) < 70 else 1900)


def of_column(label: str, around: Iterable[str], own: Period | None) -> Period | None:
    """Return the period of a column or row by its label, else by what stands around; None where none has a year.

    `own` is the period of the document: a year alone ends in its month, and lasts a year in an annual report.
    """
    texts = [label, *around]
    months = next((found for text in texts if (found := length(text)) is not None), None)
    if months is None and any(_AS_OF.search(text) for text in texts):
        months = 0
    for text in texts:
        ends = [ended(day.year, day.month, day.day) for one in find_dates(text) if (day := one.certain)]
        ends += [(year, month) for _, _, year, month in find_months(text)] if not ends else []
        if ends and length(text) is None and _AS_OF.search(text):
            months = 0
        if ends:
            return Period(*ends[0], months) if len(set(ends)) == 1 or text is label else None
        years = {int(match["year"] or f"20{match['short']}") for match in YEAR.finditer(text)}
        if years:
            if len(years) > 1:
                return None
            month = next((month for day in texts for month in _months_of(day)), 0)
            year = years.pop()
            if own is not None and own.months == 12:
                return Period(year, month or own.month, months)
            return Period(year, month, months)
    return None


def _months_of(text: str) -> Iterator[int]:
    """Yield the months of the days in a heading: "For the years ended December 31, 2019 and 2018"."""
    for _, _, month, day in find_days(text):
        yield ended(2000, month, day)[1]


def fiscal_quarter(own: Period, balances: Iterable[Period], texts: Iterable[str]) -> tuple[int, int]:
    """Return the quarter and the fiscal year of a quarterly report, or zeros.

    Beside its own day, its balance sheet shows the last one of the fiscal year before. A fiscal year is called by the
    year in which it ends, unless the report calls it otherwise.
    """
    end = 12 * own.year + own.month
    passed = Counter(end - 12 * one.year - one.month for one in balances if one.month)
    before = [months for months, _ in passed.most_common() if 0 < months < 12]
    if not before or (months := before[0]) % 3:
        return 0, 0
    quarter, year = months // 3, (end - months + 11) // 12
    said = Counter(
        int(match[3])
        for text in texts
        for match in _OWN_QUARTER.finditer(text)
        if int(match[2] or _ORDINALS[match[1].lower()]) == quarter
    )
    # Beside its own quarter a report speaks of the same one a year before.
    often = [one for one, count in said.items() if count >= _OFTEN * max(said.values())]
    return quarter, max(often) if often and abs(max(often) - year) < 2 else year
