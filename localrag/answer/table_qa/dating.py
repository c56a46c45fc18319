"""Durations and ends that are counted from dates of the text (pure): how long from one event to another, when a term
ends.

    "How many days passed between the signing and the handover?"  3 May 2024 -> 17 June 2024: 45 days
    "When does the lease end?"                                    1 May 2024 + 3 years: 1 May 2027

An event is found by its words in the sentence of a date; where two dates fit it alike, or none does, nothing is
counted. A term is added to its start only where one sentence gives both and no sentence states the end. The
first date is not counted, the last is; a month later is the same day of the next month.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from localrag.quantities import find_dates, find_number_words, format_date, parse_date, shift_date, time_between
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Passage

# Below this share of an event's words in the sentence of a date, the date is not its date.
ENOUGH = 0.6
_NEAR = 0.15  # how much nearness of the words to the date counts, beside their share
_UNIT = r"(?P<unit>(?:calendar |business |working )?(?:days?|weeks?|months?|years?))"
_PAST = r"(?:(?:are|were|is|was|lie|lay|passed|elapsed|went by|did it take|does it take|there|it|have|has) )*"
_HOW_LONG = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"^how many {_UNIT} {_PAST}(?:between|from) (?P<a>.+?) (?:and|to|until|till) (?P<b>.+)$",
        rf"^how (?:long|much time) {_PAST}(?:between|from) (?P<a>.+?) (?:and|to|until|till) (?P<b>.+)$",
        rf"^what (?:is|was) the (?:time|period|interval|number of {_UNIT}|time in {_UNIT.replace('unit', 'unit2')}) "
        r"(?:between|from) (?P<a>.+?) (?:and|to|until|till) (?P<b>.+)$",
        r"^wie viele (?P<unit>tage|wochen|monate|jahre) (?:(?:liegen|lagen|vergingen|sind es|waren es) )?zwischen "
        r"(?P<a>.+?) und (?P<b>.+)$",
    )
)
_AFTER = re.compile(rf"^how (?:long|many {_UNIT}) (?:after|before) (?P<rest>.+)$", re.I)
_VERB = re.compile(r" (?:did|does|do|was|is|were|are|will) ", re.I)
_GERMAN = {"tage": "days", "wochen": "weeks", "monate": "months", "jahre": "years"}
_ENDS = re.compile(
    r"^(?:when|until when|on (?:what|which) (?:date|day)) (?:does|do|did|will|is|was) (?P<what>.+?) "
    r"(?:end|expire|terminate|run out|lapse|due to end|set to expire)\b",
    re.I,
)
_STATED_END = re.compile(r"\b(?:end(?:s|ed|ing)?|expir\w+|terminat\w+|until|laps\w+|through)\b", re.I)
_COUNT = r"(?:(?P<word>[a-z]+(?:-[a-z]+)?)(?: ?\((?P<digits>\d{1,3})\))?|(?P<plain>\d{1,3}))"
_TERM = re.compile(
    rf"\b(?:term|period|duration) of {_COUNT}[ -](?P<unit>days?|weeks?|months?|years?)\b"
    rf"|\b(?P<count2>\d{{1,3}}|[a-z]+)[ -](?P<unit2>day|week|month|year)[ -](?:term|period)\b"
    rf"|\bfor {_COUNT.replace('word', 'word3').replace('digits', 'digits3').replace('plain', 'plain3')} "
    r"(?P<unit3>days?|weeks?|months?|years?)\b",
    re.I,
)
_STARTS = re.compile(r"\b(?:commenc\w*|start\w*|begin\w*|began|effective|from|dated|as of)\b[^.;]{0,40}$", re.I)


@dataclass(frozen=True, slots=True)
class Place:
    """A date in a passage: half-open offsets, those of its sentence, and what is written."""

    passage: int
    start: int
    end: int
    first: int
    stop: int
    text: str
    day: date


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted: where its dates stand, the expression, the result in short, in days, and as a sentence."""

    places: tuple[Place, ...]
    expression: str
    result: str
    days: int
    told: str


def counted(question: str, passages: Sequence[Passage], spoken: str) -> Counted | None:
    """What a question wants counted from dates of the passages; None where it wants none or the dates are in doubt."""
    text = " ".join(question.split()).rstrip("?.! ")
    for pattern in _HOW_LONG:
        if match := pattern.match(text):
            unit = match.groupdict().get("unit") or match.groupdict().get("unit2") or ""
            return _between((match["a"], match["b"]), unit, passages, spoken)
    if match := _AFTER.match(text):
        # "after the lease was signed were the premises": where the second event begins is tried.
        for verb in _VERB.finditer(match["rest"]):
            pair = (match["rest"][: verb.start()], match["rest"][verb.end() :])
            if found := _between(pair, match["unit"] or "", passages, spoken):
                return found
        return None
    if match := _ENDS.match(text):
        return _end(match["what"], passages, spoken)
    return None


def places(passages: Sequence[Passage]) -> Iterator[Place]:
    """The dates of all passages that can be read in one way only, with their sentences."""
    for at, passage in enumerate(passages):
        spans_of = sentences(passage.text)
        for found in find_dates(passage.text):
            if found.certain is None:
                continue
            first, stop = next(((a, b) for a, b in spans_of if a <= found.start < b), (found.start, found.end))
            yield Place(at, found.start, found.end, first, max(stop, found.end), found.text, found.certain)


# --- from one event to another ------------------------------------------------------------------------------


def _between(events: tuple[str, str], unit: str, passages: Sequence[Passage], spoken: str) -> Counted | None:
    unit = _GERMAN.get(unit.lower(), unit.lower())
    known = _Events(list(places(passages)), passages, spoken)
    days: list[date] = []
    found: list[Place] = []
    for words in events:
        said = parse_date(words)
        if said is not None and said.certain is not None:
            days.append(said.certain)
            continue
        place = known.of(words)
        if place is None:
            return None
        days.append(place.day)
        found.append(place)
    if not found or days[0] == days[1]:
        return None
    first, second = sorted(days)
    result = time_between(first, second, unit.removesuffix("s") or "day")
    told = f"From {format_date(first)} to {format_date(second)}: {result} (the first date is not counted, the last is)"
    ordered = tuple(sorted(found, key=lambda place: place.day))
    return Counted(ordered, f"{format_date(first)} → {format_date(second)}", result, (second - first).days, told)


class _Events:
    """Finds the date of an event by its words."""

    def __init__(self, known: Sequence[Place], passages: Sequence[Passage], spoken: str) -> None:
        self._known, self._passages, self._spoken = known, passages, spoken
        self._held = [self.terms(passages[place.passage].text[place.first : place.stop]) for place in known]
        self._counts = Counter(term for held in self._held for term in held)

    def of(self, words: str) -> Place | None:
        """The date whose sentence has most of the words; None where that is not enough, or another date fits alike."""
        asked = self.terms(words)
        if not asked:
            return None
        whole = sum(map(self._weight, asked))
        scored = []
        for place, held in zip(self._known, self._held, strict=True):
            share = sum(map(self._weight, asked & held)) / whole
            if share >= ENOUGH:
                scored.append((share + _NEAR * self._nearness(place, asked), place))
        scored.sort(key=lambda pair: -pair[0])
        if not scored or any(
            score > scored[0][0] - 0.03 and place.day != scored[0][1].day for score, place in scored[1:]
        ):
            return None
        return scored[0][1]

    def _nearness(self, place: Place, asked: frozenset[str]) -> float:
        """1 where a word of the event stands beside the date, towards 0 for one far off."""
        text = self._passages[place.passage].text
        gaps = []
        for match in re.finditer(r"[^\W\d_]+", text[place.first : place.stop]):
            if self.terms(match[0]) & asked:
                start, end = place.first + match.start(), place.first + match.end()
                gaps.append(place.start - end if end <= place.start else start - place.end)
        return 1 / (1 + min(gaps, default=1000) / 40)

    def terms(self, text: str) -> frozenset[str]:
        common = text_analysis.COMMON.get(self._spoken, text_analysis.COMMON["english"]) | {
            "date",
            "day",
            "took",
            "place",
        }
        return frozenset(
            token.term
            for token in text_analysis.tokens(text, self._spoken)
            if token.word not in common and token.word.isalpha()
        )

    def _weight(self, term: str) -> float:
        return math.log(2 + len(self._known)) - math.log(1 + self._counts.get(term, 0))


# --- the end of a term --------------------------------------------------------------------------------------


def _end(what: str, passages: Sequence[Passage], spoken: str) -> Counted | None:
    known = list(places(passages))
    terms = _Events(known, passages, spoken).terms
    asked = terms(what)
    found: list[tuple[Place, int, str]] = []
    for place in known:
        text = passages[place.passage].text
        before, sentence = text[place.first : place.start], text[place.first : place.stop]
        term = _TERM.search(sentence)
        if term is None:
            if _STATED_END.search(sentence) and asked & terms(sentence):
                return None  # the end itself seems to be stated
            continue
        about = terms(f"{sentence} {re.sub(r'[_.-]', ' ', passages[place.passage].document)}")
        if not asked or len(asked & about) < ENOUGH * len(asked):
            continue
        if _STARTS.search(before) and (length := _length(term)) is not None:
            found.append((place, *length))
        elif _STATED_END.search(before):
            return None
    if len({(place.day, count, unit) for place, count, unit in found}) != 1:
        return None
    place, count, unit = found[0]
    last = shift_date(place.day, count, unit.removesuffix("s"))
    told = f"{count} {unit} after {format_date(place.day)} is {format_date(last)}"
    days = (last - place.day).days
    return Counted((place,), f"{format_date(place.day)} + {count} {unit}", format_date(last), days, told)


def _length(term: re.Match[str]) -> tuple[int, str] | None:
    unit = (term["unit"] or term["unit2"] or term["unit3"]).lower()
    names = ("digits", "plain", "word", "count2", "digits3", "plain3", "word3")
    written = next(term[name] for name in names if term[name])
    count = int(written) if written.isdigit() else _count(written)
    unit = f"{unit.rstrip('s')}s" if count != 1 else unit.rstrip("s")
    return (count, unit) if count else None


def _count(words: str) -> int:
    found = next(find_number_words(words), None)
    return found.value if found is not None and found.end - found.start == len(words) else 0
