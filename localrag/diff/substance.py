"""Tell what kind of change it is: substance (amounts, dates, duties, names), wording, or form.

A change is of a kind if what the two sides say of that kind differs, with the words around them: "30" is a duration in
"30 days", and 5,000 and 5000 are one amount. In a sentence that binds any other change is of substance, too, unless
only form or articles differ; elsewhere it is wording. Limits: English and German.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from localrag.diff.clauses import Text
from localrag.quantities import (
    CARDINALS,
    CURRENCIES,
    CURRENCY_CODE,
    CURRENCY_SIGN,
    DATE,
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
    parse_quantity,
    phrases,
)

# --- align the words of two texts: what is the same, what changed, and what moved --------------------------------
# Runs of words that both texts have exactly once are anchors (Cohen's patience diff); between them the longest common
# subsequence decides (Hyyrö's bit-parallel algorithm, in rapidfuzz). Common words between larger changes are no
# agreement, so that a rewritten sentence is one change (semantic cleanup, Fraser 2006). Two hundred pages take seconds.

Keys = Sequence[str]

_RUN = 5  # words of an anchor
_MAX_CELLS = 60_000_000  # of one comparison: 8 MB


class Hunk(NamedTuple):
    """What differs between two equal runs: half-open spans of tokens, one of which may be empty."""

    a: int
    b: int
    c: int
    d: int


def hunks(old: Keys, new: Keys, starts: tuple[Collection[int], Collection[int]] = ((), ())) -> list[Hunk]:
    """Return what differs, in order; `starts` are tokens at which clauses begin, where a change would rather begin."""
    found = between([*pairs(old, new), (len(old), len(new))])
    slid: list[Hunk] = []
    joined = [*_merged(found), Hunk(len(old), len(old), len(new), len(new))]
    for one, after in pairwise(joined):
        before = slid[-1].b if slid else 0
        slid.append(_slid(one, (old, new), starts, one.a - before, after.a - one.b))
    return slid


def between(same: Sequence[tuple[int, int]]) -> list[Hunk]:
    """Return what lies between tokens that are the same; the last pair is the end of both."""
    found: list[Hunk] = []
    i = j = 0
    for a, c in same:
        if (i, j) != (a, c):
            found.append(Hunk(i, a, j, c))
        i, j = a + 1, c + 1
    return found


def pairs(old: Keys, new: Keys) -> Iterator[tuple[int, int]]:
    """Yield the tokens of both that are the same, in order."""
    i = j = 0
    for a, c in [*_anchors(old, new), (len(old), len(new))]:
        yield from _common(old, new, i, a, j, c)
        if a < len(old):
            yield a, c
        i, j = a + 1, c + 1


def _anchors(old: Keys, new: Keys) -> list[tuple[int, int]]:
    """Return the tokens of runs that both have once, as the longest sequence that ascends in both."""
    places: list[dict[tuple[str, ...], int]] = [{}, {}]
    for keys, once in zip((old, new), places, strict=True):
        for at in range(len(keys) - _RUN + 1):
            run = tuple(keys[at : at + _RUN])
            once[run] = -1 if run in once else at
    shared = sorted((at, places[1][run]) for run, at in places[0].items() if at >= 0 <= places[1].get(run, -1))
    words = {a + k: c + k for a, c in ascending(shared) for k in range(_RUN)}
    return ascending(sorted(words.items()))


def ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of pairs, which ascend in the first, that ascends in the second (Schensted 1961)."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, c) in enumerate(pairs):
        at = bisect_left(ends, c)
        before.append(last[at - 1] if at else -1)
        ends[at : at + 1], last[at : at + 1] = [c], [number]
    found: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def _common(old: Keys, new: Keys, i: int, i2: int, j: int, j2: int) -> Iterator[tuple[int, int]]:
    from rapidfuzz.distance import LCSseq

    if 0 < (i2 - i) * (j2 - j) <= _MAX_CELLS:  # more is another text
        for one in LCSseq.opcodes(list(old[i:i2]), list(new[j:j2])):
            if one.tag == "equal":
                yield from ((i + one.src_start + k, j + one.dest_start + k) for k in range(one.src_end - one.src_start))


def _merged(found: Sequence[Hunk]) -> list[Hunk]:
    """Join changes with little in common between them."""
    done: list[Hunk] = []
    for one in found:
        done.append(one)
        while len(done) > 1:
            left, right = done[-2:]
            common = right.a - left.b
            if common > 60 or common >= min(max(one.b - one.a, 0.8 * (one.d - one.c)) for one in (left, right)):
                break
            done[-2:] = [Hunk(left.a, right.b, left.c, right.d)]
    return done


def _slid(
    one: Hunk, texts: tuple[Keys, Keys], starts: tuple[Collection[int], Collection[int]], left: int, right: int
) -> Hunk:
    """Move what was only added or only deleted to where a clause or a sentence begins, by `left` or `right` at most."""
    if one.a != one.b and one.c != one.d:
        return one
    side = int(one.a == one.b)
    keys, begins = texts[side], starts[side]
    first, last = (one.c, one.d) if side else (one.a, one.b)
    fits = {0: _fit(keys, begins, first, last)}
    for step, most in ((-1, left), (1, right)):
        at = step
        while abs(at) <= most and keys[first + at - (step > 0)] == keys[last + at - (step > 0)]:
            fits[at] = _fit(keys, begins, first + at, last + at)
            at += step
    shift = max(fits, key=lambda at: (fits[at], at == 0))
    return Hunk(*(place + shift for place in one))


def _fit(keys: Keys, begins: Collection[int], first: int, last: int) -> int:
    if first in begins or last in begins:
        return 3 + (first in begins and last in begins)
    before, end = keys[first - 1] if first else ".", keys[last - 1]
    return 2 if before in ".;:" and end in ".;:" else int(before in ",)" and end in ",)")


def moves(gone: Sequence[Keys], come: Sequence[Keys], least: float) -> list[tuple[int, int]]:
    """Return the pairs of deleted and added runs that are alike, the most alike first; each run is in one pair."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    signs: dict[str, str] = {}  # a sign for each word: texts are compared ten times as fast as lists
    ours, theirs = (
        ["".join(signs.setdefault(key, chr(len(signs))) for key in keys) for keys in side] for side in (gone, come)
    )
    found: list[tuple[float, int, int]] = []
    for number, text in enumerate(ours):
        near = process.extract(text, theirs, scorer=Indel.normalized_similarity, score_cutoff=least, limit=4)
        found += [(-score, number, other) for _, score, other in near]
    paired: dict[int, int] = {}
    for _, number, other in sorted(found):
        if number not in paired and other not in paired.values():
            paired[number] = other
    return list(paired.items())


# --- read the words and figures of a sentence, and tell whether two in one place contradict each other -----------
# Limits: English and German; other wording.

_NUMBERS = {word: n for word, n in CARDINALS.items() if n} | {"second": 2}
_ENGLISH = list(CARDINALS.items())  # the first ones: 0 to 19, then the tens
_NUMBERS |= {f"{tens}-{ones}": n + m for tens, n in _ENGLISH[20:28] for ones, m in _ENGLISH[1:10]}
_LISTS = load_words("localrag.diff", "words.toml")
_WORDS = {name: frozenset(words.split()) for name, words in _LISTS["substance"].items()}
_EMPTY, NAMING = (frozenset(_LISTS["sentences"][name].split()) for name in ("empty", "naming"))
_NOT = _WORDS["negation"]
(_LASTS,) = phrases("localrag.diff", "sentences", "lasts")
_SPELLED = "|".join(sorted(map(re.escape, _NUMBERS), key=len, reverse=True))
_PIECE = lazy_re(
    rf"(?P<date>{DATE.pattern})|(?P<spelled>\b(?:{_SPELLED})\b)(?:\s*\(\d+\))?|(?<!\w)(?P<figure>{QUANTITY.pattern})"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*\d*)",
    re.I | re.X,
)
_ITEM = re.compile(r"\s*+[\"“„]?\s*+(?:\(?[A-Za-z]?\d{1,3}(?:\.\d{1,3})*\)?[.)]?|\([a-z]{1,3}\))\s+(?=\D)")
_MAX_DIFFERING, _MAX_MORE = 2, 2  # figures that differ, and words that only one sentence has


@dataclass(frozen=True, slots=True)
class Piece:
    """A word or a value of a sentence: "amount", "percent", "duration", "date", "year" or "number"."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.value if self.kind == "word" else "#"


def pieces(sentence: str) -> Iterator[Piece]:
    """Yield the words and values of a sentence; numbers that name something, such as a clause, are words."""
    lead = _ITEM.match(sentence)
    before = ""
    held: Piece | None = None  # a number, until what follows says whether it counts days
    for match in _PIECE.finditer(sentence, lead.end() if lead else 0):
        piece = _piece(match, before)
        before = piece.value if piece.kind == "word" else ""
        unit = TIME_UNITS.get(before)
        if held is not None and unit:
            yield Piece("duration", f"{held.value} {unit}", held.start, piece.end)
            held = None
            continue
        if held is not None:
            yield held
        held = piece if piece.kind == "number" else None
        if held is None:
            yield piece
    if held is not None:
        yield held


def _piece(match: re.Match[str], before: str) -> Piece:
    start, end = match.span()
    if match["word"]:
        return Piece("word", _folded(match["word"]), start, end)
    if match["spelled"]:
        return Piece("number", str(_NUMBERS[match["spelled"].lower()]), start, end)
    if match["date"] and (written := parse_date(match[0])) is not None:
        return Piece("date", written.readings[0][1].isoformat(), start, end)
    text = match[0].strip().rstrip(".")
    start += len(match[0]) - len(match[0].lstrip())
    end = start + len(text)
    found = QUANTITY.match(text)
    if found is None or before in NAMING:
        return Piece("word", text.casefold(), start, end)
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return Piece("year", text, start, end)
    quantity = parse_quantity(found)
    if quantity.is_money or quantity.unit == "%":
        return Piece("amount" if quantity.is_money else "percent", str(quantity), start, end)
    kind = "duration" if quantity.unit else "number"
    return Piece(kind, f"{quantity.value.normalize():f} {quantity.unit}".rstrip(), start, end)


def _folded(word: str) -> str:
    word = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in TIME_UNITS:
        return TIME_UNITS[word]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def contradiction(one: str, other: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return where two sentences in one place of two texts contradict each other, as half-open offsets into each.

    One or two figures of one kind differ, and hardly another word, or one sentence has a "not". Dates and years count
    only where something lasts to them, since others are mostly those of another period.
    """
    ours, theirs = list(pieces(one)), list(pieces(other))
    same = list(pairs([piece.key for piece in ours], [piece.key for piece in theirs]))
    apart = between([*same, (len(ours), len(theirs))])
    left = [piece for hunk in apart for piece in (*ours[hunk.a : hunk.b], *theirs[hunk.c : hunk.d])]
    left = [piece for piece in left if piece.value not in _EMPTY]
    differing = [(ours[a], theirs[c]) for a, c in same if ours[a].value != theirs[c].value]
    if not differing:
        negated = len(left) == 1 and left[0].value in _NOT
        return ((0, len(one)), (0, len(other))) if negated else None
    if len(differing) > _MAX_DIFFERING or len(left) > _MAX_MORE:
        return None
    if any(piece.kind != "word" or piece.value in _NOT for piece in left):
        return None
    for mine, yours in differing:
        dated = mine.kind in ("date", "year")
        if mine.kind != yours.kind or (dated and not (len(differing) == 1 and _LASTS.search(one[: mine.start]))):
            return None
    first, last = differing[0], differing[-1]
    return (first[0].start, last[0].end), (first[1].start, last[1].end)


# The kinds of a change, the weightiest first.
SUBSTANCE = tuple(
    "amount date duration percent number party modal negation term name reference qualifier binding".split()
)
KINDS = (*SUBSTANCE, "wording", "form")

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
_AROUND = 4  # words in which a figure may be written twice
_FIGURE_WORD = re.compile(r"\d[\d.,]*|[()%-]|percent|per|cent|and|hundred|thousand|prozent", re.I)
_MARKER = re.compile(r"\((?:[ivxl]{1,6}|[a-z]|\d{1,2})\)")  # of an item in a sentence
_STOPS = frozenset(".;:!?")
_SENTENCE = 5  # words; fewer are a heading or a cell
_OPENING = 8000  # characters in which the parties are named
_QUOTED = re.compile(r"\(([^()“”\"]{0,60})[“\"]([^“”\"\n]{2,60})[”\"][^()]{0,80}\)")
_MEANS = re.compile(
    r"[“\"]([^“”\"\n]{2,60})[”\"],?\s{1,9}(?:shall\s{1,9}|will\s{1,9})?"
    r"(?:means?|ha(?:s|ve)\s{1,9}the\s{1,9}meanings?|refers?\s{1,9}to|includes?|bedeutet)\b"
)
_STATED = re.compile(
    r"(?:^|[.;:]\s(?:\d[\d.]{0,9}\s)?)([A-Z][\w’'-]{1,30}(?:\s[A-Z][\w’'-]{1,30}){0,3})\s(?:means|shall\smean)\s"
)
# Who does something is a party, however the text defines it; what is done ("Fees shall be paid") is not.
_ACTS = lazy_re(
    rf"\b(?!(?i:{'|'.join(sorted(_WORDS['things']))})\b)([A-Z][A-Za-z]+)\s(?:shall|will|must|may|agrees)\s(?!be\b|have\b)[a-z]"
)
_MIN_ACTS = 2  # in one text
_COMPANY = lazy_re(
    rf"\b[A-Z][\w&’'-]{{0,40}}(?:,?\s(?:&\s|of\s|and\s)?[A-Z][\w&’'.-]{{0,40}}){{0,6}}?,?\s"
    rf"(?i:(?:{'|'.join(sorted(_WORDS['company'] - {'company', 'as', 'se', 'co', 'ab', 'sa', 'ag'}))}))\b"
)


@dataclass(frozen=True, slots=True)
class Names:
    """What finds the parties and the defined terms of two versions, and the words that are written small somewhere.

    What says what a term means, or names parties that act, binds throughout; a report may shorten a name.
    """

    parties: re.Pattern[str]
    terms: re.Pattern[str]
    common: frozenset[str]
    binds: bool

    @classmethod
    def of(cls, *texts: Text) -> Names:
        parties, terms, binds = set[str](), set[str](), False
        for text in texts:
            whole = "\n".join(" ".join(page.text.split()) for page in text.pages)
            means = {found[1] for found in _MEANS.finditer(whole)} | {found[1] for found in _STATED.finditer(whole)}
            terms |= means
            binds = binds or bool(means)
            for found in _QUOTED.finditer(whole):
                subject = rf"(?<!this )\b{re.escape(found[2])}(?:,? (?:shall|will|may|must|agrees|has)\b)"
                opening = found.start() < _OPENING and not _WORDS["things"] & set(found[2].casefold().split())
                acts = opening and re.search(subject, whole) is not None
                binds = binds or acts
                (parties if acts else terms).add(found[2])
            parties |= {found[0] for found in _COMPANY.finditer(whole)}
            acting = Counter(found[1] for found in _ACTS.finditer(whole))
            parties |= {name for name, times in acting.items() if times >= _MIN_ACTS} - means
        common = frozenset(token.key for text in texts for token in text.tokens if token.text.islower())
        return cls(_any_of(parties), _any_of(terms - parties), common, binds)


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
        self.marked = "".join(text.keys[max(0, first - 1) : last + 1])
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
    if _is_rewritten(old, new, one) or all(_MARKER.fullmatch(one.marked) and not one.references for one in both):
        return ("form",)
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
    if same or figured or (was and now):
        return ("form",)
    spoken = [[key for key in window.keys if key not in _WORDS["articles"] and key.isalnum()] for window in both]
    alike = spoken[0] == spoken[1]
    binds = _binds(old, one.a, one.b, names) or _binds(new, one.c, one.d, names)
    return ("binding",) if binds and not alike else ("wording",)


def _is_rewritten(old: Text, new: Text, one: Hunk) -> bool:
    """Return whether figures are only written otherwise: "60 days" and "sixty (60) days"."""
    wide = []
    for text, first, last in ((old, one.a, one.b), (new, one.c, one.d)):
        if not all(_FIGURE_WORD.fullmatch(key) or key.casefold() in NUMBER_WORDS for key in text.keys[first:last]):
            return False
        found = _Window(text, max(0, first - _AROUND), min(len(text.keys), last + _AROUND)).facts
        wide.append({(kind, re.sub(r"[^\d.-]", "", value)) for kind, value in found})
    return bool(wide[0]) and wide[0] == wide[1]


def _binds(text: Text, first: int, last: int, names: Names) -> bool:
    """Return whether tokens are in a sentence that binds: it says who shall or may, or is in what defines its terms."""
    if not text.tokens:
        return False
    clause = text.clauses[text.at(min(first, len(text.tokens) - 1))]
    begin = next((at + 1 for at in range(first - 1, clause.first - 1, -1) if text.keys[at] in _STOPS), clause.first)
    end = next((at for at in range(max(first, last), clause.last) if text.keys[at] in _STOPS), clause.last)
    keys = {key.casefold() for key in text.keys[begin:end]}
    if end - begin < _SENTENCE or text.keys[begin].casefold() in _WORDS["recital"]:
        return False
    return names.binds or not keys.isdisjoint(_WORDS["modal"])


def _defines(text: Text, token: int) -> bool:
    """Whether a token is in a clause that says what a term means."""
    if token >= len(text.tokens):
        return False
    clause = text.clauses[text.at(token)]
    return _MEANS.match(text.written(clause.first, min(clause.last, clause.first + 20))) is not None
