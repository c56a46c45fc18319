"""Calculate with the dates of passages: the time between two events, or the end of a term.

An event is found by its words in the sentence of a date; if two dates fit it alike, nothing is calculated. A term is
added to its start only if one sentence gives both and no sentence states the end.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from localrag import quantities
from localrag.quantities import TIME_UNITS, format_date, lazy_re, load_patterns, parse_date
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Passage

# Share of an event's words that a date's sentence must have, and what a word beside the date adds.
_ENOUGH, _NEAR = 0.6, 0.15
_PATTERNS = {
    name: tuple(lazy_re(line, re.I) for line in lines)
    for name, lines in load_patterns("localrag.answer.table_qa", "dates.txt").items()
}
_BETWEEN, _TERMS = _PATTERNS["between"], _PATTERNS["terms"]
_AFTER, _VERB, _END, _STATED_END, _STARTS = (
    _PATTERNS[name][0] for name in ("after", "verb", "end", "stated_end", "starts")
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A date in a passage with one reading: half-open offsets, and those of its sentence (`first`, `stop`)."""

    passage: int
    start: int
    end: int
    first: int
    stop: int
    text: str
    day: date


@dataclass(frozen=True, slots=True)
class DateResult:
    """The dates used, the expression, the result in short, in days, and as a sentence without its full stop."""

    mentions: tuple[Mention, ...]
    expression: str
    result: str
    days: int
    sentence: str


def calculate(question: str, passages: Sequence[Passage], language: str) -> DateResult | None:
    """Return what a question asks to be calculated from dates, or None if it asks for none or they are in doubt."""
    text = " ".join(question.split()).rstrip("?.! ")
    for pattern in _BETWEEN:
        if match := pattern.match(text):
            return _between((match["a"], match["b"]), match.groupdict().get("unit"), passages, language)
    if match := _AFTER.match(text):
        # "after the lease was signed were the premises": each verb may begin the second event.
        for verb in _VERB.finditer(match["rest"]):
            pair = (match["rest"][: verb.start()], match["rest"][verb.end() :])
            if found := _between(pair, match["unit"], passages, language):
                return found
        return None
    match = _END.match(text)
    return _end(match["what"], passages, language) if match else None


def _between(
    events: tuple[str, str], unit: str | None, passages: Sequence[Passage], language: str
) -> DateResult | None:
    known = _Events(passages, language)
    days: list[date] = []
    found: list[Mention] = []
    for words in events:
        if (written := parse_date(words)) is not None and written.certain is not None:
            days.append(written.certain)
        elif (mention := known.find(words)) is not None:
            days.append(mention.day)
            found.append(mention)
        else:
            return None
    if not found or days[0] == days[1]:
        return None
    first, last = sorted(days)
    result = quantities.time_between(first, last, TIME_UNITS[unit.lower().split()[-1]] if unit else "day")
    return DateResult(
        tuple(sorted(found, key=lambda mention: mention.day)), f"{format_date(first)} → {format_date(last)}", result,
        (last - first).days,
        f"From {format_date(first)} to {format_date(last)}: {result} (the first date is not counted, the last is)",
    )  # fmt: skip


class _Events:
    """Finds the date of an event by its words."""

    def __init__(self, passages: Sequence[Passage], language: str) -> None:
        self.mentions: list[Mention] = []
        self._passages, self._language = passages, language
        common = text_analysis.COMMON.get(language, text_analysis.COMMON["english"])
        self._common = common | {"date", "day", "took", "place"}
        for at, passage in enumerate(passages):
            spans = sentences(passage.text)
            for found in quantities.find_dates(passage.text):
                if found.certain is not None:
                    first, stop = next(((a, b) for a, b in spans if a <= found.start < b), (found.start, found.end))
                    span = found.start, found.end, first, max(stop, found.end)
                    self.mentions.append(Mention(at, *span, found.text, found.certain))
        self._terms_of = [self.terms(passages[at.passage].text[at.first : at.stop]) for at in self.mentions]
        self._counts = Counter(term for terms in self._terms_of for term in terms)

    def find(self, words: str) -> Mention | None:
        """Return the date whose sentence has most of the words; None if they are too few, or another fits alike."""
        wanted = self.terms(words)
        if not wanted:
            return None
        whole = sum(map(self._weight, wanted))
        scored = []
        for mention, terms in zip(self.mentions, self._terms_of, strict=True):
            share = sum(map(self._weight, wanted & terms)) / whole
            if share >= _ENOUGH:
                text = self._passages[mention.passage].text
                words_beside = re.compile(r"[^\W\d_]+").finditer(text, mention.first, mention.stop)
                beside = [match.span() for match in words_beside if self.terms(match[0]) & wanted]
                gaps = (mention.start - b if b <= mention.start else a - mention.end for a, b in beside)
                gap = min(gaps, default=1000)
                scored.append((share + _NEAR / (1 + gap / 40), mention))
        scored.sort(key=lambda pair: -pair[0])
        if not scored or any(
            score > scored[0][0] - 0.03 and mention.day != scored[0][1].day for score, mention in scored[1:]
        ):
            return None
        return scored[0][1]

    def terms(self, text: str) -> frozenset[str]:
        tokens = text_analysis.tokens(text, self._language)
        return frozenset(token.term for token in tokens if token.word not in self._common and token.word.isalpha())

    def _weight(self, term: str) -> float:
        return math.log(2 + len(self.mentions)) - math.log(1 + self._counts.get(term, 0))


def _end(what: str, passages: Sequence[Passage], language: str) -> DateResult | None:
    known = _Events(passages, language)
    wanted = known.terms(what)
    found: list[tuple[Mention, int, str]] = []
    for mention in known.mentions:
        passage = passages[mention.passage]
        before, sentence = passage.text[mention.first : mention.start], passage.text[mention.first : mention.stop]
        term = next((match for pattern in _TERMS if (match := pattern.search(sentence))), None)
        if term is None:
            if _STATED_END.search(sentence) and wanted & known.terms(sentence):
                return None  # the end itself seems to be stated
            continue
        about = known.terms(f"{sentence} {re.sub(r'[_.-]', ' ', passage.document)}")
        if not wanted or len(wanted & about) < _ENOUGH * len(wanted):
            continue
        if _STARTS.search(before) and (count := _count(term)):
            found.append((mention, count, term["unit"].lower()))
        elif _STATED_END.search(before):
            return None
    if len({(mention.day, count, unit) for mention, count, unit in found}) != 1:
        return None
    mention, count, unit = found[0]
    last, length = quantities.shift_date(mention.day, count, unit), quantities.plural(count, unit)
    start = format_date(mention.day)
    return DateResult(
        (mention,), f"{start} + {length}", format_date(last), (last - mention.day).days,
        f"{length} after {start} is {format_date(last)}",
    )  # fmt: skip


def _count(term: re.Match[str]) -> int:
    groups = term.groupdict()
    if digits := groups.get("digits") or groups["plain"]:
        return int(digits)
    found = next(quantities.find_number_words(term["word"]), None)
    return found.value if found is not None and found.end - found.start == len(term["word"]) else 0
