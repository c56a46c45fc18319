"""Tell what kind of change it is: substance (amounts, dates, duties, names), wording, or form.

A change is of a kind if what the two sides say of that kind differs, with the words around them: "30" is a duration in
"30 days", and 5,000 and 5000 are one amount. Limits: English and German; what changes the sense by other words is
wording.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from localrag.diff.alignment import Hunk
from localrag.diff.clauses import Text
from localrag.diff.sentences import NAMING, pieces
from localrag.quantities import (
    CURRENCIES,
    CURRENCY_CODE,
    CURRENCY_SIGN,
    NUMBER_WORDS,
    QUANTITY,
    TIME_UNITS,
    find_dates,
    find_days,
    find_months,
    find_number_words,
    lazy_re,
    load_words,
    parse_date,
)

# The kinds of a change, the weightiest first.
SUBSTANCE = tuple("amount date duration percent number party modal negation term name reference qualifier".split())
KINDS = (*SUBSTANCE, "wording", "form")

_LISTS = load_words("localrag.diff", "words.toml")
_WORDS = {name: frozenset(words.split()) for name, words in _LISTS["substance"].items()}
_REFERENCE = lazy_re(
    rf"(?:\b(?:{'|'.join(sorted(NAMING))})\.?|§)\s+(?P<id>(?:\d{{1,3}}(?:\.\d{{1,3}}){{0,4}}|[IVXL]{{1,6}}\b|[A-Z]\b)"
    r"(?:\s?\([\w]{1,5}\)){0,4})",
    re.I,
)
_PROPER = re.compile(r"(?<=[^.;:\s] )[A-Z]\w*[a-z]\w*")  # and does not begin a sentence
_CONTEXT = 14  # words before and after a change that can say what it is of
_SIGNS = "$€£¥₹%§"  # as good as words
_MINUS = lazy_re(rf"(?:(?P<currency>{CURRENCY_CODE}\s?|{CURRENCY_SIGN}\s?)|(?<![^\s(]))[-–−]$")
_MAX_MINUS = 8  # characters of a currency and a minus
_EXCHANGED = 3  # words on both sides, where one took the place of another
_SHORT = 12  # words of a change that a name in it can be the point of
_OPENING = 8000  # characters in which the parties are named
_QUOTED = re.compile(r"\(([^()“”\"]{0,60})[“\"]([^“”\"\n]{2,60})[”\"][^()]{0,80}\)")
_MEANS = re.compile(
    r"[“\"]([^“”\"\n]{2,60})[”\"],?\s{1,9}(?:shall\s{1,9}|will\s{1,9})?"
    r"(?:means?|ha(?:s|ve)\s{1,9}the\s{1,9}meanings?|refers?\s{1,9}to|includes?|bedeutet)\b"
)
_COMPANY = lazy_re(
    rf"\b[A-Z][\w&’'-]{{0,40}}(?:,?\s(?:&\s|of\s|and\s)?[A-Z][\w&’'.-]{{0,40}}){{0,6}}?,?\s"
    rf"(?i:(?:{'|'.join(sorted(_WORDS['company'] - {'company', 'as', 'se', 'co', 'ab', 'sa', 'ag'}))}))\b"
)


@dataclass(frozen=True, slots=True)
class Names:
    """What finds the parties and the defined terms of two versions, and the words that are written small somewhere."""

    parties: re.Pattern[str]
    terms: re.Pattern[str]
    common: frozenset[str]

    @classmethod
    def of(cls, *texts: Text) -> Names:
        parties, terms = set[str](), set[str]()
        for text in texts:
            whole = "\n".join(" ".join(page.text.split()) for page in text.pages)
            terms |= {found[1] for found in _MEANS.finditer(whole)}
            for found in _QUOTED.finditer(whole):
                subject = rf"(?<!this )\b{re.escape(found[2])}(?:,? (?:shall|will|may|must|agrees|has)\b)"
                opening = found.start() < _OPENING and not _WORDS["things"] & set(found[2].casefold().split())
                (parties if opening and re.search(subject, whole) else terms).add(found[2])
            parties |= {found[0] for found in _COMPANY.finditer(whole)}
        common = frozenset(token.key for text in texts for token in text.tokens if token.text.islower())
        return cls(_any_of(parties), _any_of(terms - parties), common)


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    longest_first = sorted(map(re.escape, names), key=lambda name: (-len(name), name))
    return re.compile(rf"\b(?:{'|'.join(longest_first) or '(?!)'})(?!\w)", re.I)


class _Window:
    """The words of a change, and a line of them with those around them in their clause."""

    def __init__(self, text: Text, first: int, last: int) -> None:
        low = high = 0
        if text.tokens:
            begin = text.clauses[text.at(min(first, len(text.tokens) - 1))]
            end = text.clauses[text.at(max(last - 1, begin.first))]
            low, high = max(begin.first, first - _CONTEXT), min(max(end.last, last), last + _CONTEXT)
        self.line = text.written(low, high)
        self.start, self.end = len(text.written(low, first)), len(self.line) - len(text.written(last, high))
        self.tokens = text.tokens[first:last]
        self.keys = [token.key.casefold() for token in self.tokens]
        self.letters = "".join(sign for sign in "".join(self.keys) if sign.isalnum() or sign in _SIGNS)
        digits = (key for key in self.keys if key[0].isdigit() and parse_date(key) is None)
        spelled = find_number_words(self.line[self.start : self.end])
        self.figures = {key.replace(",", "") for key in digits} | {str(one.value) for one in spelled}
        self.references = [
            (one.span("id"), "".join(one["id"].casefold().split())) for one in self.found(_REFERENCE, "id")
        ]
        self.facts, self.plain = self._values()

    def inside(self, start: int, end: int) -> bool:
        return start < self.end and end > self.start

    def found(self, pattern: re.Pattern[str], group: str | int = 0) -> list[re.Match[str]]:
        """Return the matches of a pattern in the line that the change is in."""
        return [one for one in pattern.finditer(self.line) if self.inside(*one.span(group))]

    def _values(self) -> tuple[Counter[tuple[str, str]], list[str]]:
        """Return the amounts, dates and other figures of the change by kind and value, and the other words."""
        line, plain = self.line, list[str]()
        dates = {(one.start, one.end): str(one.certain or one.text) for one in find_dates(line)}
        for a, b, *day in (*find_days(line), *find_months(line)):
            if (line[a].isupper() or line[a].isdigit()) and not any(first <= a < last for first, last in dates):
                dates[a, b] = " ".join(map(str, day))
        found = Counter(("date", said) for span, said in dates.items() if self.inside(*span))
        apart = [*dates, *(span for span, _ in self.references)]
        first = QUANTITY.match(line)
        lead = ";" if first and first.lastgroup != "digits" else ""  # "30 days" at the start is no number of an item
        for one in pieces(lead + line):
            start, end = one.start - len(lead), one.end - len(lead)
            minus = _MINUS.search(line, max(0, start - _MAX_MINUS), start) if one.kind != "word" else None
            if one.kind == "date" or not self.inside(start - bool(minus), end) or any(a <= start < b for a, b in apart):
                continue
            if one.kind == "word":
                plain.append(line[start:end].casefold())
            else:
                kind = "date" if one.kind == "year" else one.kind
                kind = _counted(line, end) if kind == "number" else kind
                kind = "amount" if minus and minus["currency"] else kind
                found[kind, "-" * bool(minus) + one.value] += 1
        return found, plain

    def words(self, kind: str) -> Counter[str]:
        """The words of the change that are of a kind; "May" is the month."""
        pairs = zip(self.keys, self.tokens, strict=True)
        return Counter(key for key, one in pairs if key in _WORDS[kind] and one.key != "May")

    def named(self, names: re.Pattern[str], common: Collection[str] = ()) -> Counter[str]:
        """The names that the change is in or around."""
        found = (one[0] for one in self.found(names))
        return Counter(name.casefold() for name in found if name[0].isupper() and name.casefold() not in common)


def _counted(line: str, at: int) -> str:
    """Return what a number that ends at an offset counts: an amount, a duration, a percentage, or just a number."""
    words = re.findall(r"[^\W\d_]+|[%.;:]", line[at : at + 60].lower())
    word = next((one for one in words if one not in _WORDS["between"] and one not in NUMBER_WORDS and one != "and"), "")
    known = {
        "duration": word in TIME_UNITS,
        "percent": word[:7] in ("%", "percent", "prozent"),
        "amount": word in CURRENCIES,
    }
    return next((kind for kind, is_it in known.items() if is_it), "number")


def kinds(old: Text, new: Text, one: Hunk, names: Names, renumbered: Mapping[str, str]) -> tuple[str, ...]:
    """Return the kinds of a change, the weightiest first; `renumbered` maps numbers of clauses to their new ones."""
    both = ours, theirs = _Window(old, one.a, one.b), _Window(new, one.c, one.d)
    facts = (ours.facts - theirs.facts) + (theirs.facts - ours.facts)
    found = {kind for kind, _ in facts}
    if not found and ours.figures != theirs.figures:
        found |= {kind for kind, _ in ours.facts + theirs.facts}
    found |= {kind for kind in ("modal", "negation") if ours.words(kind) != theirs.words(kind)}
    exchanged = all(0 < len(one.keys) <= _EXCHANGED for one in both)
    if exchanged and ours.words("qualifier") != theirs.words("qualifier"):
        found.add("qualifier")
    was, now = ([number for _, number in window.references] for window in both)
    if was != now and [renumbered.get(number, number) for number in was] != now:
        found.add("reference")
    short = max(len(ours.keys), len(theirs.keys)) <= (_SHORT if ours.keys and theirs.keys else _SHORT // 2)
    if short and ours.named(names.parties) != theirs.named(names.parties):
        found.add("party")
    if (short and ours.named(names.terms) != theirs.named(names.terms)) or _defines(old, one.a) or _defines(new, one.c):
        found.add("term")
    figured = (ours.facts or ours.figures) and (ours.figures, ours.plain) == (theirs.figures, theirs.plain)
    if short and not found and not figured and ours.named(_PROPER, names.common) != theirs.named(_PROPER, names.common):
        found.add("name")
    if same := ours.letters == theirs.letters:  # only case, spaces and signs differ: 1.5 and 15 are two figures
        case = [[token.text[0].isupper() for token in one.tokens] for one in both]
        digits = [[key for key in one.keys if key[0].isdigit()] for one in both]
        told = {kind for kind, value in facts if digits[0] != digits[1] or value[0] == "-"}
        found &= {*told, "reference", *(("term", "party") if short and case[0] != case[1] else ())}
    if found:
        return tuple(kind for kind in KINDS if kind in found)
    form = same or figured or (was and now)
    return ("form",) if form else ("wording",)


def _defines(text: Text, token: int) -> bool:
    """Whether a token is in a clause that says what a term means."""
    if token >= len(text.tokens):
        return False
    clause = text.clauses[text.at(token)]
    return _MEANS.match(text.written(clause.first, min(clause.last, clause.first + 20))) is not None
