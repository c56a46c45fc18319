"""Grade free text against the known answer by code, or compare ways of answering: a person prefers one of two, blind.

Code can tell where an answer's facts differ from the known ones: another number, date or unit, an extra "not", the
opposite direction. It cannot tell that other words mean the same, so a right answer in its own words or
in another language is graded too low. On the labelled answers of docs/decisions/0031-judge-and-arena.md it agrees with
people by a kappa of 0.71, which says little about other kinds of questions.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from localrag import quantities
from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question, Row, past
from localrag.quantities import QUANTITY, Quantity
from localrag.store import text_analysis
from localrag.store.text_analysis import sentences

Grade = Literal["right", "partly", "wrong", "declined"]
GRADES: tuple[Grade, ...] = ("right", "partly", "wrong", "declined")
# For a question with an answer; without one, declining is right.
WORTH: Mapping[Grade, float] = {"right": 1.0, "partly": 0.5, "wrong": 0.0, "declined": 0.0}


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to a question with a known answer: all that a judge sees.

    `known` is empty if the documents do not say; `found` is False if the answer declined.
    """

    id: str
    question: str
    known: str
    answer: str
    evidence: str = ""
    answerable: bool = True
    found: bool = True


def summarize(answers: Sequence[Given], seed: int = 0) -> dict[str, Any]:
    """Grade the answers of a run: the mean of what they are worth, from 0 to 1, and the count of each grade."""
    grades = [grade(given) for given in answers]
    counts = Counter(grades)
    worth = [
        WORTH[graded] if given.answerable else float(graded == "declined")
        for given, graded in zip(answers, grades, strict=True)
    ]
    grades_of = {name: counts[name] for name in GRADES}
    return {"answers": len(answers), "score": metrics.estimate(worth, seed), "grades": grades_of}


_WORDS = quantities.load_words("localrag.evaluation", "words.toml")["judge"]
# The share of the known answer's words that makes an answer right, and partly right.
_WHOLE, _PART = 0.5, 0.25
_MIN_PREFIX = 5  # words with this many first letters in common count as one ("Portugal", "Portuguese")

_NOT, _YES, _NO = (re.compile(_WORDS[name], re.I) for name in ("not", "yes", "no"))
_OPPOSITES = [[re.compile(rf"\b(?:{words})\b", re.I) for words in pair] for pair in _WORDS["opposites"]]
_BASE_UNITS = ("m", "sq m", "kg", "l", "second", "month")


@dataclass(frozen=True, slots=True)
class Fact:
    """A quantity: the day number of a date, or a number in the base unit of its kind.

    `written` is the number as it is written; for a date in slashes, its other reading.
    """

    value: Decimal
    unit: str = ""
    written: Decimal = Decimal(0)


def grade(given: Given) -> Grade:
    """Grade an answer by its quantities, words and negations."""
    text = metrics.MARKER.sub("", given.answer).strip()
    if not (given.found and text):
        return "declined"
    if not given.answerable or _contradicts(given, text):
        return "wrong"
    wanted, there, share = facts(given.known), facts(text), _share(given, text)
    missing = [fact for fact in wanted if not _among(fact, there)]
    extra = any(not _among(fact, wanted) for fact in there)
    same_start = any(one.match(given.known) and one.match(text) for one in (_YES, _NO))
    if not same_start and share < _PART and (not wanted or len(missing) == len(wanted)):
        return "wrong"
    if not same_start and wanted and len(missing) == len(wanted) and extra:
        return "wrong"
    return "partly" if missing or share < _WHOLE or _adds(given, wanted, there) else "right"


def _among(fact: Fact, others: Sequence[Fact]) -> bool:
    return any(same(fact, other) for other in others)


def _adds(given: Given, wanted: Sequence[Fact], there: Sequence[Fact]) -> bool:
    """Return whether an answer has a quantity of a wanted unit that neither question nor evidence has."""
    source = facts(f"{given.question} {given.known} {given.evidence}")
    units = {fact.unit for fact in wanted}
    return bool(given.evidence) and any(fact.unit in units and not _among(fact, source) for fact in there)


def facts(text: str) -> list[Fact]:
    """Return the dates and numbers of a text, also numbers in words; digits of a date are not numbers of their own."""
    found: list[Fact] = []
    for date in quantities.find_dates(text):
        days = [Decimal(day.toordinal()) for _, day in date.readings]
        found.append(Fact(days[0], "date", days[-1]))
        text = _blanked(text, date.start, date.end)
    for start, end, month, day in quantities.find_days(text):
        found.append(Fact(Decimal(100 * month + day), "day of the year"))
        text = _blanked(text, start, end)
    text = _with_digits(text)
    return [*found, *(_quantity(match) for match in QUANTITY.finditer(text))]


def _blanked(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


def _with_digits(text: str) -> str:
    """Write numbers in words as digits; not "one of them", "per cent", nor a number that is repeated in digits."""
    for number in reversed(list(quantities.find_number_words(text))):
        before, after = text[: number.start], text[number.end :]
        unit = re.match(r"\s+(\w+)", after)
        if before.endswith("per ") or (number.value == 1 and not (unit and quantities.unit_of(unit[1]))):
            continue
        text = before + ("" if re.match(r"\s*\(\d", after) else str(number.value)) + after
    return text


def _quantity(match: re.Match[str]) -> Fact:
    one = quantities.parse_quantity(match, bool(re.search(r"\d,\d{1,2}(?!\d)", match[0])))
    value, unit = one.value, one.unit
    if (match["scale"] or "").strip(" .") == "m" and not one.is_money:
        value, unit = value.scaleb(-6), "m"  # "500 m" is a length; only money is written in millions like that
    if metrics.is_negative(match):
        value = -value
    converted = (made for base in _BASE_UNITS if (made := quantities.convert(Quantity(value, unit), base)) is not None)
    plain = next(converted, Quantity(value, unit))
    return Fact(plain.value, plain.unit, value)


def same(one: Fact, other: Fact) -> bool:
    """Return whether two facts are equal in value, and in unit if both have one."""
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if "date" in (one.unit, other.unit):
        return one.unit == other.unit and bool({one.value, one.written} & {other.value, other.written})
    # Compare a number without a unit as written: "1,200" equals "1,200 tonnes".
    first, second = (one.value, other.value) if bool(one.unit) == bool(other.unit) else (one.written, other.written)
    return abs(first - second) <= Decimal("0.0005") * abs(first)


def _terms(text: str) -> list[str]:
    """Return the stems of a text's content words."""
    language = text_analysis.language(text)
    common = text_analysis.COMMON[language] | text_analysis.COMMON["english"]
    found = (word for word in text_analysis.written(text) if word not in common and word[0].isalpha() and len(word) > 1)
    return list(dict.fromkeys(text_analysis.stem(word, language) for word in found))


def _has(terms: Sequence[str], term: str) -> bool:
    """Return whether terms contain a term, or one with the same first letters."""
    start = term[:_MIN_PREFIX]
    return any(
        term == other or (min(len(term), len(other)) >= _MIN_PREFIX and start == other[:_MIN_PREFIX]) for other in terms
    )


def _share(given: Given, text: str) -> float:
    """Return the share of the known answer's words that the answer has, ignoring words of the question."""
    question, there, known = _terms(given.question), _terms(text), _terms(_without_quantities(given.known))
    words = [term for term in known if not _has(question, term)]
    if words:
        return sum(_has(there, term) for term in words) / len(words)
    if not known:
        return 1.0
    # The known answer is one of the things that the question names: does the answer name it first?
    first = next((term for term in there if _has(question, term) or _has(known, term)), None)
    return float(first is not None and _has(known, first))


def _without_quantities(text: str) -> str:
    for date in quantities.find_dates(text):
        text = _blanked(text, date.start, date.end)
    return QUANTITY.sub(" ", _with_digits(text))


def _contradicts(given: Given, text: str) -> bool:
    """Return whether only one of the two negates, or one says the opposite."""
    start, end = next(iter(sentences(text)), (0, len(text)))
    first = text[start:end].split(";")[0]
    asked = {match[0].lower() for match in _NOT.finditer(given.question)}
    negated = [any(match[0].lower() not in asked for match in _NOT.finditer(one)) for one in (given.known, first)]
    if negated[0] != negated[1] or any(a.match(given.known) and b.match(text) for a, b in ((_YES, _NO), (_NO, _YES))):
        return True
    return any(
        one.search(given.known) and other.search(first) and not one.search(first)
        for pair in _OPPOSITES
        for one, other in (pair, pair[::-1])
    )


# --- the arena ----------------------------------------------------------------------------------------------

_REQUIRED = frozenset(("question", "known", "answer", "found"))
# Settings of a run that do not tell two sides apart for a reader.
_UNNAMED = frozenset(("measure", "library", "contents", "generation", "version", "embedder"))
# What a verdict on the shown order is worth to the answer shown first.
VERDICTS: Mapping[str, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True, slots=True)
class Side:
    """One way of answering, with its answers by question id."""

    name: str
    answers: Mapping[str, Given]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Two answers to one question as shown; `swapped`: the second side's answer is first."""

    question: str
    first: Given
    second: Given
    sides: tuple[str, str]
    swapped: bool

    def score(self, verdict: str) -> float:
        """Return what a verdict on the shown order is worth to the first side."""
        return 1 - VERDICTS[verdict] if self.swapped else VERDICTS[verdict]

    @property
    def step(self) -> Question:
        """The key of a person's vote; another answer gets another key."""
        return Question(
            id=f"{self.question} | {self.sides[0]} | {self.sides[1]}",
            question=self.first.question,
            answer=self.first.known,
            doc="",
            evidence=f"{self.first.answer}\n{self.second.answer}",
        )


def read(path: Path) -> list[Side]:
    """Read the runs of `eval answers` in a file, each as a side."""
    runs = [run for run in past(path) if run.settings.get("measure") == "answers"]
    runs = [run for run in runs if any(row.keys() >= _REQUIRED for row in run.rows)]
    if not runs:
        raise UsageError(
            f"{str(path)!r} holds no answers", "It is written by: localrag eval answers DATASET --out FILE.jsonl"
        )
    keys = sorted({key for run in runs for key in run.settings} - _UNNAMED)
    differing = [key for key in keys if len({str(run.settings.get(key)) for run in runs}) > 1]
    found = []
    for run in runs:
        words = ", ".join(f"{key}={str(run.settings[key])[:24]}" for key in differing if run.settings.get(key))
        name = path.stem if len(runs) == 1 else f"{path.stem}: {words or run.id}".replace("\n", " ")
        found.append(Side(name, _answers(run.rows), run.id))
    return found


def _answers(rows: Sequence[Row]) -> dict[str, Given]:
    """Return the last result of each question, without failed questions."""
    return {
        str(row["id"]): Given(
            str(row["id"]),
            str(row["question"]),
            str(row["known"]),
            str(row["answer"]),
            str(row.get("evidence") or ""),
            bool(row.get("answerable", True)),
            bool(row["found"]),
        )
        for row in {row["id"]: row for row in rows}.values()
        if row.keys() >= _REQUIRED
    }


def matches(sides: Sequence[Side], seed: int, limit: int | None = None) -> list[Match]:
    """Return every pair of sides on every question that both answered, in a seeded order. Equal names get a number."""
    if len(sides) < 2:
        hint = "Give files of answers: localrag eval arena a.jsonl b.jsonl"
        raise UsageError(f"there is {len(sides)} side, and an arena needs two", hint)
    names = [side.name for side in sides]
    sides = [
        side
        if names.index(side.name) == at
        else replace(side, name=f"{side.name} ({names[: at + 1].count(side.name)})")
        for at, side in enumerate(sides)
    ]
    questions = list(dict.fromkeys(name for side in sides for name in side.answers))
    shared = [name for name in questions if sum(name in side.answers for side in sides) > 1]
    if not shared:
        raise UsageError("no two of these sides have answered the same question", "Ask them the same dataset.")
    random.Random(seed).shuffle(shared)
    found = []
    for name in shared[:limit]:
        for one, two in combinations([side for side in sides if name in side.answers], 2):
            # Each match draws its own order, so that a further side changes no other match.
            swapped = random.Random(f"{seed} {name} {one.name} {two.name}").random() < 0.5
            first, second = (two, one) if swapped else (one, two)
            found.append(Match(name, first.answers[name], second.answers[name], (one.name, two.name), swapped))
    return found


def sum_up(judged: Sequence[tuple[Match, str]], seed: int = 0) -> dict[str, Any]:
    """Return wins, ties and losses by pair of sides, and the first side's share of wins (a tie is half of one)."""
    scores: dict[tuple[str, str], list[float]] = {}
    for bout, verdict in judged:
        scores.setdefault(bout.sides, []).append(bout.score(verdict))
    pairs = []
    for (first, second), own in scores.items():
        counts = {name: own.count(score) for name, score in (("wins", 1.0), ("ties", 0.5), ("losses", 0.0))}
        pairs.append({"first": first, "second": second, **counts, "share": metrics.estimate(own, seed)})
    return {"questions": len({bout.question for bout, _ in judged}), "votes": len(judged), "pairs": pairs}
