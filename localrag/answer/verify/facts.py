"""What a reader would look up in a text: numbers, amounts, dates and names, compared by what they are worth (pure).

"1,234.50", "1.234,50" and "1234.5" are one number, as are "twelve" and 12, "5 million" and 5,000,000, "3 May 2024" and
2024-05-03; "12 months" is "1 year". A number that counts days is none that counts months, and dollars are no euros.
Where something can be read in two ways, one that fits is enough: a false alarm costs more than a missed one, since a
reader who is warned for nothing stops looking.

Limits: names are told by their capitals, so none are found in scripts that have none, a name alone at the beginning of
a sentence only where it is the whole answer, and in German, which writes all nouns so, only names of several words or
all of capitals. Numbers in Chinese signs are passed over. A sign before a number, and which thing a number belongs to,
are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Literal

from localrag.quantities import (
    CURRENCIES,
    MONTHS,
    NUMBER_WORDS,
    QUANTITY,
    TIME_UNITS,
    NumberWords,
    Quantity,
    convert,
    find_dates,
    find_days,
    find_months,
    find_number_words,
    parse_number,
    parse_quantity,
)
from localrag.store import text_analysis
from localrag.store.sentences import sentences

Kind = Literal["number", "amount", "date", "name"]
# Units that are compared; the others ("in", "m", "t") are oftener something else.
_COUNTED = frozenset("day week month quarter year hour minute second % EUR USD GBP CHF JPY".split())
_MOST_DIGITS = 30


@dataclass(frozen=True, slots=True)
class Amount:
    """A number: what its digits may be worth, the power of ten of a word behind it ("million": 6), what it counts, and
    its digits as they stand there."""

    digits: frozenset[Decimal]
    scale: int
    unit: str
    written: str = ""

    @property
    def values(self) -> frozenset[Decimal]:
        return frozenset(value.scaleb(self.scale) for value in self.digits)

    def is_borne_by(self, other: Amount) -> bool:
        """Whether a text that has the other one may well be told with this one."""
        if self.unit and other.unit and self.unit != other.unit:
            same = (convert(Quantity(value, other.unit), self.unit) for value in other.values)
            return any(one is not None and one.value in self.values for one in same)
        # A table says once that it counts in thousands, so that one of the two may have no scale.
        loose = 0 in (self.scale, other.scale)
        alike = self.digits & other.digits or (self.written and self.written == other.written)
        return bool(self.values & other.values or (loose and alike))

    def rounds(self, other: Amount) -> bool:
        """Whether the other one, rounded to the digits of this one, is this one."""
        return any(abs(exact - own) <= _half_a_place(own) for own in self.values for exact in other.values)


def _half_a_place(value: Decimal) -> Decimal:
    exponent = value.normalize().as_tuple().exponent
    return Decimal(5).scaleb(exponent - 1) if isinstance(exponent, int) else Decimal(0)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to look up, as it stands in a text; half-open offsets. What is compared depends on the kind.

    `days` are what a date may mean; `month` (year, month) or `day` (month, day) what there is of an unfinished one.
    `near` is True for a number that is said to be rounded, `words` are those of a name.
    """

    kind: Kind
    text: str
    start: int
    end: int
    amount: Amount | None = None
    days: frozenset[date] = frozenset()
    month: tuple[int, int] | None = None
    day: tuple[int, int] | None = None
    near: bool = False
    words: tuple[str, ...] = ()


# --- numbers and dates --------------------------------------------------------------------------------------

_LIST_NUMBER = re.compile(r"^[ \t]*(?:[-*•][ \t]*)?\(?\d{1,3}[.)](?=\s)", re.M)
_ABOUT = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|nearly|almost|some|ca\.?|circa|etwa|rund|ungefähr|knapp|environ|"
    r"unos|unas|aproximadamente|circa|约|約|大约|大約|[~≈])\s*[$€£]?\s*$",
    re.I,
)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|te[nrs]?|er|e|ème|º|ª|o|a)(?![^\W_])", re.I)
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_OTHER_UNITS = {"percent": "%", "per cent": "%", "%": "%", "prozent": "%"} | {
    word: CURRENCIES[word] for word in ("dollar", "dollars", "euro", "euros", "pound", "pounds")
}
_UNIT_OF = {**TIME_UNITS, **_OTHER_UNITS}
_WORD_UNIT = re.compile(
    r"[ -]?(?:\(\d+\)[ ]?)?(?:(?:calendar|business|working|full|consecutive)[ ])?"
    rf"(?P<unit>{'|'.join(sorted(map(re.escape, _UNIT_OF), key=len, reverse=True))})(?!\w)",
    re.I,
)


def numbers(text: str, spoken: str) -> Iterator[Fact]:
    """The dates and numbers of an answer in a language, without those that number its own list; in no order."""
    taken: list[tuple[int, int]] = []
    for fact in _dates(text):
        if not _overlaps(fact.start, fact.end, taken):
            taken.append((fact.start, fact.end))
            yield fact
    taken += [match.span() for match in _LIST_NUMBER.finditer(text)]
    for match in QUANTITY.finditer(text):
        found = _number(match, text, spoken)
        if found is not None and not _overlaps(found.start, found.end, taken):
            yield found
    for numeral in find_number_words(text):
        unit = _WORD_UNIT.match(text, numeral.end)
        # "two parties" and "one of them" are counted by whoever answers; "two years" is a term of the contract.
        if numeral.value > 1 and (unit or numeral.value > 12) and not _overlaps(numeral.start, numeral.end, taken):
            end = unit.end() if unit else numeral.end
            yield Fact("number", text[numeral.start : end], numeral.start, end, _numeral(numeral, text))


def _overlaps(start: int, end: int, taken: list[tuple[int, int]]) -> bool:
    return any(start < stop and first < end for first, stop in taken)


def _dates(text: str) -> Iterator[Fact]:
    for written in find_dates(text):
        days = frozenset(day for _, day in written.readings)
        yield Fact("date", written.text, written.start, written.end, days=days)
    for start, end, month, day in find_days(text):
        yield Fact("date", text[start:end], start, end, day=(month, day))
    for start, end, year, month in find_months(text):
        yield Fact("date", text[start:end], start, end, month=(year, month))


def _number(match: re.Match[str], text: str, spoken: str) -> Fact | None:
    """A number of an answer; a code of letters and digits ("A4", "10b") as a whole."""
    if len(match["digits"]) > _MOST_DIGITS:
        return None
    start, end = match.span()
    amount = _amount(match, spoken)
    following = text[match.end("digits") : match.end("digits") + 1]
    if _LATIN.match(text[start - 1 : start] or " ") or (
        _LATIN.match(following) and match.end("digits") == end and not _ORDINAL.match(text, end)
    ):
        while start and (text[start - 1].isalnum()):
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        return Fact("number", text[start:end], start, end, amount, words=(text[start:end],))
    money = match["before"] or match["after"]
    near = bool(_ABOUT.search(text[max(0, start - 24) : start]))
    return Fact("amount" if money else "number", match[0].strip(), start, end, amount, near=near)


def _amount(match: re.Match[str], spoken: str) -> Amount:
    """What QUANTITY matched in a text of a language; "2.400" is one thing in English and may be another elsewhere."""
    found = parse_quantity(match)
    digits = match["digits"]
    plain = parse_number(digits, money=bool(match["before"] or match["after"]))
    readings = frozenset((plain,) if spoken == "english" else (plain, parse_number(digits, decimal_comma=True)))
    scale = (found.value / plain).adjusted() if match["scale"] and plain else 0
    unit = found.unit if found.unit in _COUNTED else ""
    if not unit and (counted := _WORD_UNIT.match(match.string, match.end() + (match.string[match.end() :][:1] == ")"))):
        unit = _unit(counted)  # "30 calendar days", "a 30-day period", "thirty (30) days"
    return Amount(readings, scale, unit, digits)


def _unit(match: re.Match[str]) -> str:
    """What a word of _WORD_UNIT counts."""
    return _UNIT_OF[match["unit"].lower()]


def _numeral(numeral: NumberWords, text: str) -> Amount:
    unit = _WORD_UNIT.match(text, numeral.end)
    return Amount(frozenset([Decimal(numeral.value)]), 0, _unit(unit) if unit else "")


# --- names --------------------------------------------------------------------------------------------------

_NAMED_WORD = re.compile(r"[^\W\d_]+(?:[’'&.-][^\W\d_]+)*\.?")
_FRAME = frozenset(
    """section sections article articles clause clauses exhibit schedule annex appendix page pages table figure note
    notes item items part chapter paragraph paragraphs number no nr passage passages document documents question answer
    yes mr mrs ms dr prof sir monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch
    donnerstag freitag samstag sonntag artikel abschnitt seite ziffer herr frau ja nein eur usd gbp chf i ii iii iv v vi
    vii viii ix x note however therefore according based total euro euros dollar dollars pound pounds yen""".split()
)
_OPENERS = text_analysis.COMMON["english"] | {"neither", "based", "according", "yes"}


def names(text: str, spoken: str) -> Iterator[Fact]:
    """The names of an answer, which is written in a language: runs of words with capitals that begin no sentence."""
    begins = {start for start, _ in sentences(text)} | {match.end() for match in re.finditer(r"[:\n“\"„«(•*]\s*", text)}
    run: list[tuple[re.Match[str], bool]] = []
    for match in _NAMED_WORD.finditer(text):
        first = match.start() in begins
        if run and (
            first or not re.fullmatch(r"[ ]|[ ]?&[ ]|, (?=Inc|Ltd|LLC|Corp)", text[run[-1][0].end() : match.start()])
        ):
            yield from _name(run, text, spoken)
            run = []
        if match[0][0].isupper():
            run.append((match, first))
        elif run:
            yield from _name(run, text, spoken)
            run = []
    yield from _name(run, text, spoken)


def _name(run: list[tuple[re.Match[str], bool]], text: str, spoken: str) -> Iterator[Fact]:
    while run and _opens(run[0]):
        run = run[1:]
    if not run:
        return
    start, end = run[0][0].start(), run[-1][0].end()
    alone = len(run) == 1
    whole = not re.search(r"\w", text[:start] + text[end:])
    if alone and run[0][1] and not whole:
        return  # every sentence begins with a capital
    words = tuple(match[0].rstrip(".") for match, _ in run)
    if spoken == "german" and alone and not words[0][1:2].isupper() and not whole:
        return
    yield Fact("name", text[start:end].rstrip("."), start, end, words=words)


def _opens(word: tuple[re.Match[str], bool]) -> bool:
    """Whether a word with a capital only begins a sentence, in whatever language."""
    plain = word[0][0].lower().rstrip(".")
    return plain in _OPENERS or (word[1] and any(plain in common for common in text_analysis.COMMON.values()))


# --- what bears them ----------------------------------------------------------------------------------------


class Evidence:
    """Texts that may bear facts. What is asked of it is worked out once, when it is first asked."""

    def __init__(self, *texts: str, spoken: str = "") -> None:
        """The language of the texts is found out where it is not given."""
        self.text = "\n".join(text for text in texts if text)
        self._spoken = spoken

    def bears(self, fact: Fact, spoken: str) -> bool:
        if fact.kind == "name":
            return self._names(fact, spoken)
        if fact.kind == "date":
            return self._bears_date(fact)
        if fact.words and fact.words[0].lower() in self._compact:
            return True
        assert fact.amount is not None
        if any(fact.amount.is_borne_by(other) for other in self._amounts):
            return True
        return fact.near and any(fact.amount.rounds(other) for other in self._amounts)

    def _bears_date(self, fact: Fact) -> bool:
        if fact.days:
            parts = ((day.month, day.day) in self._days_of_year and self._has(day.year) for day in fact.days)
            return bool(fact.days & self._days) or any(parts)
        if fact.month:
            named = any(month == fact.month[1] for month, _ in self._days_of_year)
            return fact.month in self._months or (named and self._has(fact.month[0]))
        return fact.day in self._days_of_year

    def _has(self, value: int) -> bool:
        return any(Decimal(value) in other.digits for other in self._amounts)

    @cached_property
    def _amounts(self) -> frozenset[Amount]:
        spoken = self._spoken or text_analysis.language(self.text)
        figures = [match for match in QUANTITY.finditer(self.text) if len(match["digits"]) <= _MOST_DIGITS]
        found = {_amount(match, spoken) for match in figures}
        # Figures side by side in a table look like one with its thousands parted by spaces.
        parts = {part for match in figures if re.search(r"\s", match["digits"]) for part in match["digits"].split()}
        found |= {Amount(frozenset([parse_number(part)]), 0, "", part) for part in parts}
        return frozenset(found | {_numeral(numeral, self.text) for numeral in find_number_words(self.text)})

    @cached_property
    def _days(self) -> frozenset[date]:
        return frozenset(day for written in find_dates(self.text) for _, day in written.readings)

    @cached_property
    def _days_of_year(self) -> frozenset[tuple[int, int]]:
        unfinished = {(month, day) for _, _, month, day in find_days(self.text)}
        return frozenset(unfinished | {(day.month, day.day) for day in self._days})

    @cached_property
    def _months(self) -> frozenset[tuple[int, int]]:
        named = {(year, month) for _, _, year, month in find_months(self.text)}
        return frozenset(named | {(day.year, day.month) for day in self._days})

    @cached_property
    def _compact(self) -> str:
        return re.sub(r"[\s\u00ad-]+", "", self.text.lower())

    @cached_property
    def _words(self) -> frozenset[str]:
        dotted = (re.sub(r"\.", "", match[0]).lower() for match in re.finditer(r"\b(?:[A-Za-z]\.){2,6}", self.text))
        return frozenset([*text_analysis.written(self.text), *dotted])

    @cached_property
    def _initials(self) -> str:
        return "".join(word[0] for word in text_analysis.written(self.text) if word[0].isalpha())

    def _stems(self, spoken: str) -> frozenset[str]:
        return frozenset(token.term for token in text_analysis.tokens(self.text, spoken))

    def _names(self, fact: Fact, spoken: str) -> bool:
        """Whether each word of a name is there, in some form."""
        unknown = [word for word in fact.words if not self._has_word(word)]
        if not unknown:
            return True
        compact = re.sub(r"[\s\u00ad.&’'-]+", "", "".join(fact.words).lower())
        initials = "".join(word[0] for word in fact.words).lower()
        if compact in re.sub(r"[.&’']+", "", self._compact) or (len(initials) > 1 and initials in self._words):
            return True
        stems = self._stems(spoken)
        return all(text_analysis.stem(word.lower(), spoken) in stems for word in unknown)

    def _has_word(self, word: str) -> bool:
        for part in text_analysis.written(word.removesuffix("’s").removesuffix("'s")):
            if part in self._words or part in _FRAME or part in MONTHS or part in NUMBER_WORDS or len(part) == 1:
                continue
            if len(part) >= 5 and any(
                known.startswith(part) or part.startswith(known) for known in self._words if len(known) >= 5
            ):
                continue  # "European" and "Europe"
            if word.isupper() and 2 <= len(part) <= 6 and part in self._initials:
                continue  # the initials of words that stand there
            return False
        return True
