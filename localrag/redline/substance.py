"""Tell what kind of change it is: substance (amounts, dates, duties, names), wording, or form.

A change is of a kind if what the two sides say of that kind differs, with the words around them: "30" is a duration in
"30 days", and 5,000 and 5000 are one amount. Limits: English and German; what changes the sense by other words is
wording.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from localrag.answer.verify.differences import pieces
from localrag.quantities import CURRENCIES, NUMBER_WORDS, TIME_UNITS, find_days, find_months, lazy_re, load_words
from localrag.redline.alignment import Hunk, Keys
from localrag.redline.clauses import Text, is_label

# The kinds of a change, the weightiest first.
SUBSTANCE = (
    "amount",
    "date",
    "duration",
    "percent",
    "number",
    "party",
    "modal",
    "negation",
    "term",
    "name",
    "reference",
)
KINDS = (*SUBSTANCE, "wording", "form")

_WORDS = {name: frozenset(words.split()) for name, words in load_words("localrag.redline", "words.toml").items()}
_NAMING = load_words("localrag.answer", "words.toml")["differences"]["naming"].split()
_OF = {"date": "date", "year": "date", "money": "amount", "share": "percent", "term": "duration"}
_REFERENCE = lazy_re(
    rf"(?:\b(?:{'|'.join(_NAMING)})\.?|§)\s+(?P<id>(?:\d{{1,3}}(?:\.\d{{1,3}}){{0,4}}|[IVXL]{{1,6}}\b|[A-Z]\b)"
    r"(?:\s?\([\w]{1,5}\)){0,4})", re.I,
)  # fmt: skip
_CONTEXT = 14  # words before and after a change that can say what it is of
_SIGNS = "$€£¥₹%§"  # as good as words
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


@dataclass(frozen=True)
class Names:
    """The parties and the defined terms of two versions: by their first word, all of their words.

    `common` are the words that are written small somewhere, and so are no names.
    """

    parties: Mapping[str, frozenset[tuple[str, ...]]]
    terms: Mapping[str, frozenset[tuple[str, ...]]]
    common: frozenset[str]

    @classmethod
    def of(cls, *texts: Text) -> Names:
        parties, terms = set[tuple[str, ...]](), set[tuple[str, ...]]()
        for text in texts:
            whole = "\n".join(" ".join(page.text.split()) for page in text.pages)
            terms |= {_keys(found[1]) for found in _MEANS.finditer(whole)}
            for found in _QUOTED.finditer(whole):
                term = _keys(found[2])
                subject = rf"(?<!this )\b{re.escape(found[2])}(?:,? (?:shall|will|may|must|agrees|has)\b)"
                opening = found.start() < _OPENING and not _WORDS["things"] & set(term)
                (parties if opening and re.search(subject, whole) else terms).add(term)
            parties |= {_keys(found[0]) for found in _COMPANY.finditer(whole)}
        common = frozenset(token.key for text in texts for token in text.tokens if token.text.islower())
        return cls(_by_first(parties), _by_first(terms - parties), common)


def _keys(name: str) -> tuple[str, ...]:
    return tuple(
        word.replace("’", "").replace("'", "").replace("-", "") for word in re.findall(r"[\w’'-]+", name.casefold())
    )


def _by_first(names: set[tuple[str, ...]]) -> dict[str, frozenset[tuple[str, ...]]]:
    found: dict[str, set[tuple[str, ...]]] = {}
    for name in names - {()}:
        found.setdefault(name[0], set()).add(name)
    return {first: frozenset(group) for first, group in found.items()}


@dataclass(frozen=True)
class _Window:
    """The words of a change with those around them in their clause."""

    text: Text
    first: int
    last: int

    @cached_property
    def around(self) -> tuple[int, int]:
        text = self.text
        if not text.tokens:
            return 0, 0
        low = text.clauses[text.at(min(self.first, len(text.tokens) - 1))]
        high = text.clauses[text.at(max(self.last - 1, low.first))]
        return max(low.first, self.first - _CONTEXT), min(max(high.last, self.last), self.last + _CONTEXT)

    @cached_property
    def line(self) -> tuple[str, int, int]:
        """The words on one line, and where the change is in it."""
        low, high = self.around
        line = self.text.written(low, high)
        return line, len(self.text.written(low, self.first)), len(line) - len(self.text.written(self.last, high))

    @property
    def keys(self) -> Keys:
        return self.text.keys[self.first : self.last]

    def overlaps(self, start: int, end: int) -> bool:
        _, first, last = self.line
        return start < last and end > first

    @cached_property
    def references(self) -> list[tuple[int, int, str]]:
        found = _REFERENCE.finditer(self.line[0])
        return [(*one.span("id"), "".join(one["id"].split())) for one in found if self.overlaps(*one.span("id"))]

    @cached_property
    def facts(self) -> Counter[tuple[str, str]]:
        """The amounts, dates and other figures of the change, by kind and value."""
        line = self.line[0]
        days = [(a, b) for a, b, *_ in (*find_days(line), *find_months(line)) if line[a].isupper() or line[a].isdigit()]
        found = Counter(("date", " ".join(line[a:b].lower().split())) for a, b in days if self.overlaps(a, b))
        apart = [*days, *((a, b) for a, b, _ in self.references)]
        for one in pieces(line):
            inside = any(a <= one.start < b for a, b in apart)
            if one.kind != "word" and (one.kind == "date" or not inside) and self.overlaps(one.start, one.end):
                found[_OF.get(one.kind) or _counted(line, one.end), one.value] += 1
        return found

    @cached_property
    def dated(self) -> bool:
        return any(kind == "date" for kind, _ in self.facts)

    def words(self, kind: str) -> Counter[str]:
        may = self.dated and kind == "modal"  # the month
        return Counter(
            token.key for token in self.text.tokens[self.first : self.last]
            if token.key in _WORDS[kind] and not (may and token.text == "May")
        )  # fmt: skip

    def proper(self, common: frozenset[str]) -> Counter[str]:
        """The words of the change that are written as names are, but for those that begin a sentence."""
        tokens = self.text.tokens
        return Counter(
            tokens[at].key
            for at in range(self.first, self.last)
            if tokens[at].text.istitle() and tokens[at].key not in common and at not in self.text.starts
            and tokens[at - 1].text not in ".;:"
        )  # fmt: skip

    def named(self, names: Mapping[str, frozenset[tuple[str, ...]]]) -> Counter[tuple[str, ...]]:
        """The names that the change is in or around."""
        low, high = self.around
        tokens = self.text.tokens
        places = [at for at in range(low, high) if tokens[at].text[0].isalnum() or tokens[at].text[0] == "&"]
        keys = [tokens[at].key for at in places]
        found: Counter[tuple[str, ...]] = Counter()
        for number, at in enumerate(places):
            if self.text.tokens[at].text[0].islower():
                continue
            for name in names.get(keys[number], ()):
                last = number + len(name)
                if tuple(keys[number:last]) == name and at < self.last and places[last - 1] >= self.first:
                    found[name] += 1
        return found


def _counted(line: str, at: int) -> str:
    """Return what a number that ends at an offset counts: an amount, a duration, a percentage, or just a number."""
    for match in re.compile(r"[^\W\d_]+|[%.;:]|\d+").finditer(line, at, at + 60):
        word = match[0].lower()
        if word in TIME_UNITS:
            return "duration"
        if word in ("%", "percent", "percentage", "prozent"):
            return "percent"
        if word in CURRENCIES:
            return "amount"
        if word not in _WORDS["between"] and word not in NUMBER_WORDS and word != "and" and not word.isdigit():
            break
    return "number"


def kinds(old: Text, new: Text, one: Hunk, names: Names, renumbered: Mapping[str, str]) -> tuple[str, ...]:
    """Return the kinds of a change, the weightiest first; `renumbered` maps numbers of clauses to their new ones."""
    ours, theirs = _Window(old, one.a, one.b), _Window(new, one.c, one.d)
    found = {kind for kind, _ in (ours.facts - theirs.facts) + (theirs.facts - ours.facts)}
    figures = [_figures(window.keys) for window in (ours, theirs)]
    if not found and figures[0] != figures[1]:
        found |= {kind for kind, _ in ours.facts + theirs.facts}
    found |= {kind for kind in ("modal", "negation") if ours.words(kind) != theirs.words(kind)}
    found |= _references(ours, theirs, renumbered)
    short = max(len(ours.keys), len(theirs.keys)) <= (_SHORT if ours.keys and theirs.keys else _SHORT // 2)
    if short and ours.named(names.parties) != theirs.named(names.parties):
        found.add("party")
    if (short and ours.named(names.terms) != theirs.named(names.terms)) or _defines(old, one.a) or _defines(new, one.c):
        found.add("term")
    if short and not found and ours.proper(names.common) != theirs.proper(names.common):
        found.add("name")
    letters = [
        "".join(sign for sign in "".join(window.keys) if sign.isalnum() or sign in _SIGNS) for window in (ours, theirs)
    ]
    if letters[0] == letters[1]:
        found &= {"term", "party"}  # only case, spaces and signs differ
        case = [
            [token.text[0].isupper() for token in window.text.tokens[window.first : window.last]]
            for window in (ours, theirs)
        ]
        if case[0] == case[1] or not short:
            found = set()
    if found:
        return tuple(kind for kind in KINDS if kind in found)
    label = all(
        not window.keys or is_label(window.line[0][window.line[1] :].lstrip()[:12]) for window in (ours, theirs)
    )
    is_form = letters[0] == letters[1] or (figures[0] and figures[0] == figures[1] and _plain(ours) == _plain(theirs))
    following = bool(ours.references) and bool(theirs.references)
    return ("form",) if is_form or following or (label and max(len(ours.keys), len(theirs.keys)) < 6) else ("wording",)


def _references(ours: _Window, theirs: _Window, renumbered: Mapping[str, str]) -> set[str]:
    """Return "reference" if the numbers of clauses differ by more than that the clauses were renumbered."""
    was = [number for *_, number in ours.references]
    now = [number for *_, number in theirs.references]
    return set() if was == now or [renumbered.get(number, number) for number in was] == now else {"reference"}


def _figures(keys: Keys) -> list[str]:
    return [key.replace(",", "") for key in keys if key[0].isdigit() or key in NUMBER_WORDS]


def _plain(window: _Window) -> list[str]:
    return [key for key in window.keys if key.isalpha()]


def _defines(text: Text, token: int) -> bool:
    """Whether a token is in a clause that says what a term means."""
    if token >= len(text.tokens):
        return False
    clause = text.clauses[text.at(token)]
    return _MEANS.match(text.written(clause.first, min(clause.last, clause.first + 20))) is not None
