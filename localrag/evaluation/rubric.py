"""An answer graded by code: its quantities, its names and words, and its yes or no, against the known answer (pure).

What code can tell surely is where the answer's facts part from the known ones: another number or date, the same number
in another unit, a "not" too many, the opposite direction, a name that stands neither in the known answer nor in the
evidence. What it cannot tell is that other words mean the same: a right answer in words of its own, or in another
language, is graded too low. Dates and units are known as far as `exact/` knows them; negations and opposites in English
and German, negations also in French, Spanish and Portuguese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations

from localrag.evaluation.agreement import Given, Grade
from localrag.evaluation.baselines import declines
from localrag.quantities import (
    MONTHS,
    ONES,
    QUANTITY,
    TENS,
    Quantity,
    convert,
    find_dates,
    parse_quantity,
    unit_of,
)
from localrag.store import text_analysis
from localrag.store.sentences import sentences

# Changes when an answer may be graded otherwise.
VERSION = 3
MARKER = re.compile(r"\s*\[\d{1,3}\]")
# Of the known answer's words, the share that must be there for the whole of it, and for a part.
_WHOLE, _PART = 0.5, 0.25
_LEAST_PREFIX = 5  # letters that two words begin with alike to count as one ("Portugal", "Portuguese")

_NOT = re.compile(
    r"\b(?:(?:not|no)(?!\s+(?:more|less|fewer|later|earlier|farther|further|longer|higher|lower) than)|never|none|"
    r"nobody|nothing|neither|nor|cannot|without|refus(?:e[sd]?|ing)|den(?:y|ied|ies)|"
    r"nicht|kein\w*|nie|niemand|nichts|ohne|pas|jamais|aucune?|sans|nunca|ningun[ao]?|sin|não|nem|sem)\b|n['’]t\b|"
    r"\b(?:forbidden|prohibited|excluded|verboten|untersagt|interdit|prohibido|proibido)\b",
    re.I,
)
_YES, _NO = re.compile(r"\W*(?:yes|ja|oui|sí|sim)\b", re.I), re.compile(r"\W*(?:no|nein|non|não)\b", re.I)
_OPPOSITES = [
    (re.compile(rf"\b(?:{one})\b", re.I), re.compile(rf"\b(?:{other})\b", re.I))
    for one, other in (
        ("gr[eo]w\\w*|r[io]se\\w*|increas\\w*|up|higher|gestiegen|steigt|höher",
         "f[ae]ll\\w*|decreas\\w*|declin\\w*|shr[aiu]nk\\w*|down|lower|gesunken|sinkt|niedriger"),
        ("profits?|surplus|gain\\w*|Gewinn\\w*", "loss(?:es)?|deficit|Verlust\\w*"),
        ("open\\w*|öffne\\w*|geöffnet", "clos\\w*|shut|schließ\\w*|geschlossen"),
        ("before|until|at the latest|no later than|vor|bis|spätestens", "after|nach"),
        ("(?:switch|turn)\\w* on", "(?:switch|turn)\\w* off"),
        ("at least|minimum|mindestens|no (?:less|fewer) than", "at most|maximum|höchstens|no more than|up to"),
        ("buyer|purchaser|lessee|tenant|Käufer\\w*|Mieter\\w*",
         "seller|vendor|lessor|landlord|Verkäufer\\w*|Vermieter\\w*"),
    )
]  # fmt: skip
_IN_WORDS = {word: n for n, word in enumerate(ONES)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
_LARGE = {"hundred": 100, "thousand": 1000}
_WORD = "|".join([*_IN_WORDS, *_LARGE])
_WORDED = re.compile(rf"(?<!\d )\b(?:{_WORD})(?:[\s-]+(?:and\s+)?(?:{_WORD}))*\b(?:\s*\(\d+\))?", re.I)
_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
# "may" and "march" are months with a capital only.
_DAY_OR_MONTH = re.compile(
    rf"\b(?:(?P<d1>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+|de\s+)?)?(?P<month>{_MONTH})\b"
    r"(?:\s+(?P<d2>\d{1,2})(?:st|nd|rd|th)?\b)?",
    re.I,
)
# "Section 4.1" is a place, no number that is claimed.
_REFERENCE = re.compile(
    r"(?:\b(?:section|clause|article|chapter|page|pages|p|no|nr|paragraph|exhibit|annex)\b\.?|§)\s*[\d.]+", re.I
)
_RANGE = re.compile(r"\s*(?:and|to|or|und|bis|oder|et|à|y|a|[-–])\s*", re.I)
_DEGREES = re.compile(r"\s?°\s?([CF])\b")
_SPAN = re.compile(r"\b(?:second|minute|hour|day|week|month|quarter|year)(?=s\b|ly\b|\b)|\b(?:dai|annual)ly?\b", re.I)
_LEGAL = frozenset("llp llc ltd gmbh ag inc corp plc sa kg co dr mr mrs ms".split())
_PIECE = re.compile(r"[,;]\s|\s(?:and|und|et|y|while)\s")
_LATER = re.compile(r"(?<=[^.!?:\s])\s+([^\W\d_a-z][\w&'’-]*)")


@dataclass(frozen=True, slots=True)
class Fact:
    """A quantity as it can be compared: of a date its day, else a number in the first unit of its kind, if it has one.

    A day without a year is a number of the unit "day of", a month alone one of the unit "month of".

    `written` is the number as it stands there; of a date in slashes, what it is when read the other way.
    """

    value: Decimal
    unit: str = ""
    written: Decimal = Decimal(0)


def grade(given: Given) -> Grade:
    """The grade of an answer, from its words alone."""
    said = MARKER.sub("", given.answer).strip()
    if not given.found or declines(said):
        return "declined"
    if not given.answerable:
        return "wrong"
    if _contradicts(given, said):
        return "wrong"
    wanted, there, share = facts(given.known), facts(said), _share(given, said)
    missing = [fact for fact in wanted if not any(same(fact, other) for other in there)]
    strange = [fact for fact in there if not any(same(fact, other) for other in wanted)]
    begins_alike = bool(_YES.match(given.known) and _YES.match(said)) or bool(
        _NO.match(given.known) and _NO.match(said)
    )
    if wanted:
        replaced = any(_in_place_of(fact, one) for fact in strange for one in missing)
        replaced = replaced and not (_knows_names(given) and not _lacks_name(given, said))
        if len(missing) == len(wanted) and (replaced or share < _PART) and not begins_alike:
            return "wrong"
    elif (share < _PART or (_lacks_name(given, said) and _strange_name(given, said))) and not begins_alike:
        return "wrong"
    if missing or share < _WHOLE or _lacks_name(given, said) or _adds(given, said):
        return "partly"
    return "right"


# --- quantities ---------------------------------------------------------------------------------------------


def facts(text: str) -> list[Fact]:
    """The dates and numbers of a text; digits of a date are no numbers of their own."""
    found: list[Fact] = []
    for date in find_dates(text):
        days = [Decimal(day.toordinal()) for _, day in date.readings]
        found.append(Fact(days[0], "date", days[-1]))
        text = text[: date.start] + " " * (date.end - date.start) + text[date.end :]
    for match in reversed(list(_DAY_OR_MONTH.finditer(text))):
        if match["month"].islower() and match["month"] in ("may", "march", "mars") and not (match["d1"] or match["d2"]):
            continue
        month_of, day_of = MONTHS[match["month"].lower()], int(match["d1"] or match["d2"] or 0)
        value = Decimal(100 * month_of + day_of)
        found.append(Fact(value, "day of" if day_of else "month of", value))
        text = text[: match.start()] + " " * (match.end() - match.start()) + text[match.end() :]
    text = _WORDED.sub(_digits, text)
    matches = list(QUANTITY.finditer(text))
    plain = [_figure(match, text) for match in matches]
    for i in range(len(plain) - 1):
        between = text[matches[i].end() : matches[i + 1].start()]
        if not plain[i].unit and plain[i + 1].unit and _RANGE.fullmatch(between):
            # "2 to 8 °C": the unit of the second is that of both.
            scale = plain[i + 1].value / plain[i + 1].written if plain[i + 1].written else Decimal(1)
            plain[i] = Fact(plain[i].written * scale, plain[i + 1].unit, plain[i].written)
    return [*found, *plain]


def _figure(match: re.Match[str], text: str) -> Fact:
    one = parse_quantity(match, bool(re.search(r"\d,\d{1,2}(?!\d)", match[0])))
    value, unit = one.value, one.unit
    if (match["scale"] or "").strip(" .") == "m" and not one.is_money:
        value, unit = value.scaleb(-6), "m"  # "500 m" is a length; money alone is written in millions so
    if degrees := _DEGREES.match(text, match.end()):
        unit = f"°{degrees[1]}"
    before = text[: match.start()].rstrip(" ")
    if before[-1:] in ("-", "−", "–") and not before[-2:-1].isalnum():
        value = -value
    plain = next((made for base in _BASES if (made := convert(Quantity(value, unit), base)) is not None), None)
    return Fact(plain.value, plain.unit, value) if plain is not None else Fact(value, unit, value)


_BASES = ("m", "sq m", "kg", "l", "second", "month")
_TIMES = ("second", "month")
_DAYS = ("date", "day of", "month of")


def _digits(match: re.Match[str]) -> str:
    following = re.match(r"\s+(\w+)", match.string[match.end() :])
    if match[0].lower() == "one" and not (following and unit_of(following[1])):
        return match[0]  # "one of them"
    return str(_in_words(match[0]))


def _in_words(words: str) -> int:
    whole = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _IN_WORDS:
            part += _IN_WORDS[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word == "thousand":
            whole, part = whole + max(part, 1) * 1000, 0
    return whole + part


def same(one: Fact, other: Fact) -> bool:
    """Equal in value, and in unit where both have one."""
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if one.unit in _DAYS or other.unit in _DAYS:
        return one.unit == other.unit and bool({one.value, one.written} & {other.value, other.written})
    # A number without a unit is compared as it is written: "1,200" is "1,200 tonnes".
    first, second = (one.value, other.value) if bool(one.unit) == bool(other.unit) else (one.written, other.written)
    return abs(first - second) <= Decimal("0.0005") * abs(first)


def _in_place_of(fact: Fact, missing: Fact) -> bool:
    """Whether a number may stand where another should: of its kind, of none, or the same in another unit."""
    alike = fact.unit == missing.unit or (fact.unit in _TIMES and missing.unit in _TIMES)
    return alike or not fact.unit or not missing.unit or fact.written == missing.written


# --- words --------------------------------------------------------------------------------------------------


def _terms(text: str) -> list[str]:
    spoken = text_analysis.language(text)
    common = text_analysis.COMMON[spoken] | text_analysis.COMMON["english"]
    found = (word for word in text_analysis.written(text) if word not in common and word[0].isalpha() and len(word) > 1)
    return list(dict.fromkeys(text_analysis.stem(word, spoken) for word in found))


def _share(given: Given, said: str) -> float:
    """Of what the known answer says in words, and the question does not, the share that the answer has.

    A name counts as one, and is there when more than half of its words are.
    """
    asked, there = _terms(given.question), _terms(said)
    known = _without_quantities(given.known)
    names = [terms for name in _names(known, given.evidence) if (terms := _name_terms(name, asked))]
    named = {term for terms in names for term in terms}
    words = [term for term in _terms(known) if term not in named and term not in _LEGAL and not _there(term, asked)]
    if not names and not words:
        return _choice(given, said, asked)
    met = sum(_there(term, there) for term in words)
    met += sum(sum(_there(term, there) for term in terms) > len(terms) / 2 for terms in names)
    return met / (len(words) + len(names))


def _knows_names(given: Given) -> bool:
    asked = _terms(given.question)
    return any(_name_terms(name, asked) for name in _names(_without_quantities(given.known), given.evidence))


def _lacks_name(given: Given, said: str) -> bool:
    """Whether one of several names of the known answer is not there."""
    asked, there = _terms(given.question), _terms(said)
    names = [_name_terms(name, asked) for name in _names(_without_quantities(given.known), given.evidence)]
    return any(terms and sum(_there(term, there) for term in terms) <= len(terms) / 2 for terms in names)


def _choice(given: Given, said: str, asked: Sequence[str]) -> float:
    """Where the known answer is one of the things that the question names: whether the answer names it first."""
    known = [term for term in _terms(_without_quantities(given.known)) if term not in _LEGAL]
    if not known:
        return 1.0
    named = [term for name in _names(given.question, "") for term in _terms(name)]
    first = next((term for term in _terms(said) if term in named or _there(term, known)), None)
    return float(first is not None and _there(first, known))


def _there(term: str, terms: Sequence[str]) -> bool:
    return any(
        term == other or (min(len(term), len(other)) >= _LEAST_PREFIX and term[:_LEAST_PREFIX] == other[:_LEAST_PREFIX])
        for other in terms
    )


def _name_terms(name: str, asked: Sequence[str]) -> list[str]:
    return [term for term in _terms(name) if term not in _LEGAL and term not in asked]


def _names(text: str, evidence: str) -> Iterator[str]:
    """Words with a capital inside a sentence, in a row; of the first word the evidence tells. Not in German."""
    if text_analysis.language(text) == "german":
        return
    capitals = {match[1] for match in _LATER.finditer(evidence)}
    row: list[str] = []
    for match in re.finditer(r"[\w'’-]+|[^\w\s]", text):
        word = match[0]
        first = not text[: match.start()].rstrip() or text[: match.start()].rstrip()[-1] in ".!?:"
        if word[0].isupper() and (word in capitals or not first):
            row.append(word)
        elif row and word not in "&.":
            yield " ".join(row)
            row = []
    if row:
        yield " ".join(row)


def _without_quantities(text: str) -> str:
    for date in reversed(list(find_dates(text))):
        text = text[: date.start] + " " + text[date.end :]
    return _DEGREES.sub(" ", QUANTITY.sub(" ", _WORDED.sub("1", _DAY_OR_MONTH.sub(" ", text))))


# --- what parts them ----------------------------------------------------------------------------------------


def _contradicts(given: Given, said: str) -> bool:
    """A "not" that only one of them has, the opposite of a word of the known answer, or its parts joined otherwise."""
    start, end = next(iter(sentences(said)), (0, len(said)))
    first = said[start:end].split(";")[0]
    asked = {match[0].lower() for match in _NOT.finditer(given.question)}
    known, given_not = (
        any(match[0].lower() not in asked for match in _NOT.finditer(text)) for text in (given.known, first)
    )
    if (
        known != given_not
        or (_YES.match(given.known) and _NO.match(said))
        or (_NO.match(given.known) and _YES.match(said))
    ):
        return True
    if any(
        (one.search(given.known) and other.search(first) and not one.search(first))
        or (other.search(given.known) and one.search(first) and not other.search(first))
        for one, other in _OPPOSITES
    ):
        return True
    spans = [{match[0].lower() for match in _SPAN.finditer(text)} for text in (given.known, first)]
    if spans[0] and spans[1] and not spans[0] & spans[1] and not facts(given.known):
        return True
    return _exchanged(given.known, said)


def _exchanged(known: str, said: str) -> bool:
    """Whether a number stands with the words that belong to another ("60 % to A, 40 % to B")."""
    pieces = [(facts(piece), set(_terms(_without_quantities(piece)))) for piece in _PIECE.split(known)]
    whole = [piece for piece in pieces if piece[0]]
    if len(whole) < 2:
        return False
    for piece in _PIECE.split(said):
        there, terms = facts(piece), _terms(_without_quantities(piece))
        for fact in there:
            own = [words for numbers, words in whole if any(same(one, fact) for one in numbers)]
            others = [words for numbers, words in whole if not any(same(one, fact) for one in numbers)]
            if len(own) != 1:
                continue
            if not any(_there(t, terms) for t in own[0]) and any(
                _there(t, terms) for words in others for t in words - own[0]
            ):
                return True
    return False


def _adds(given: Given, said: str) -> bool:
    """Whether the answer has a number or a name more, of the kind that was asked for, which nothing known has.

    A number with the unit of one that is known, a name in a row with one that is known ("A and B"). Other detail that
    the evidence lacks may well stand in the document.
    """
    if not given.evidence:
        return False
    told = f"{given.question} {given.known} {given.evidence}"
    units = {fact.unit for fact in facts(given.known)}
    more = (fact for fact in facts(_REFERENCE.sub(" ", said)) if fact.unit in units)
    if any(not any(same(fact, other) for other in facts(told)) for fact in more):
        return True
    known = _terms(_without_quantities(given.known))
    names = list(_names(_without_quantities(said), f"{given.evidence} {said}"))
    for one, other in permutations(names, 2):
        row = re.search(rf"{re.escape(one)}(?:\W|\b(?:and|und|et|y|e|or|oder|as well as)\b)+{re.escape(other)}", said)
        if row and _held(one, known) and not _held(other, _terms(told)):
            return True
        if row and _held(other, known) and not _held(one, _terms(told)):
            return True
    return False


def _strange_name(given: Given, said: str) -> bool:
    """Whether the answer names what neither question, known answer nor evidence does."""
    told = _terms(f"{given.question} {given.known} {given.evidence}")
    return any(not _held(name, told) for name in _names(_without_quantities(said), ""))


def _held(name: str, terms: Sequence[str]) -> bool:
    return all(_there(term, terms) for term in _name_terms(name, ()))
