"""Calculate the end of a term from the dates of passages.

A term is added to its start only if one sentence gives both and no sentence states the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from localrag import quantities
from localrag.quantities import format_date, lazy_re, load_patterns
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Passage

_ENOUGH = 0.6  # the share of the words for a thing that the sentence of its term must have
_PATTERNS = {
    name: tuple(lazy_re(line, re.I) for line in lines)
    for name, lines in load_patterns("localrag.answer.table_qa", "dates.txt").items()
}
_TERMS = _PATTERNS["terms"]
_END, _STATED_END, _STARTS = (_PATTERNS[name][0] for name in ("end", "stated_end", "starts"))


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
    """Return the end of what a question names, or None if it asks for none or its dates are in doubt."""
    match = _END.match(" ".join(question.split()).rstrip("?.! "))
    if match is None:
        return None
    common = text_analysis.COMMON.get(language, text_analysis.COMMON["english"]) | {"date", "day"}

    def terms(text: str) -> frozenset[str]:
        tokens = text_analysis.tokens(text, language)
        return frozenset(token.term for token in tokens if token.word not in common and token.word.isalpha())

    wanted = terms(match["what"])
    found: list[tuple[Mention, int, str]] = []
    for mention in _mentions(passages):
        passage = passages[mention.passage]
        before, sentence = passage.text[mention.first : mention.start], passage.text[mention.first : mention.stop]
        term = next((match for pattern in _TERMS if (match := pattern.search(sentence))), None)
        if term is None:
            if _STATED_END.search(sentence) and wanted & terms(sentence):
                return None  # the end itself seems to be stated
            continue
        about = terms(f"{sentence} {re.sub(r'[_.-]', ' ', passage.document)}")
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


def _mentions(passages: Sequence[Passage]) -> Iterator[Mention]:
    for at, passage in enumerate(passages):
        spans = sentences(passage.text)
        for found in quantities.find_dates(passage.text):
            if found.certain is not None:
                first, stop = next(((a, b) for a, b in spans if a <= found.start < b), (found.start, found.end))
                span = found.start, found.end, first, max(stop, found.end)
                yield Mention(at, *span, found.text, found.certain)


def _count(term: re.Match[str]) -> int:
    groups = term.groupdict()
    if digits := groups.get("digits") or groups["plain"]:
        return int(digits)
    found = next(quantities.find_number_words(term["word"]), None)
    return found.value if found is not None and found.end - found.start == len(term["word"]) else 0
