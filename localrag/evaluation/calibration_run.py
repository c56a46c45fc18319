"""Measure a model on this machine: in how long a text it finds facts, how fast it is, and when it should answer.

Each answer is on the disk before the next question, so an interrupted run continues; only figures are kept, never text.
Prompts are those of `read`, answers are greedy and short. Speeds come from the same readings, so other work on the
machine makes them worse; what is found stays the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from localrag.answer import prompts
from localrag.evaluation import needles
from localrag.evaluation.datasets import Question
from localrag.evaluation.needles import Filler
from localrag.evaluation.runs import Row, Run
from localrag.events import PromptRead
from localrag.llm import Completed, Generator, Weighed, calibration
from localrag.llm.calibration import Calibration
from localrag.quantities import load_words
from localrag.types import Message, Passage

_NAME = "papers.txt"
_MAX_ANSWER, _MAX_ANSWER_OF_TWO = 32, 56  # tokens
_MIN_SAMPLE = 128  # fewer tokens read at once say little about speed
ROOM = 400  # tokens of the window for rules, question and answer
Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked: lengths in tokens, parts of a text, facts in each, and pairs of facts."""

    lengths: tuple[int, ...]
    bins: int = 5
    each: int = 2
    together: int = 4
    seed: int = 7


class Step(NamedTuple):
    """Progress within one part."""

    done: int
    total: int
    about: str


def results_of(path: Path | None, weights: str, build: str, filler: Filler, scope: Scope) -> tuple[Run, Run, Run]:
    """Return the kept results of threshold, passages and needles; only the last depend on text and scope, too."""
    model = {"weights": weights, "build": build, "version": 2}
    return (
        Run(path, {**model, "part": "threshold"}),
        Run(path, {**model, "part": "passages"}),
        Run(path, {**model, "part": "needles", "filler": filler.digest, **asdict(scope)}),
    )


def _step(name: str) -> Question:
    return Question(name, "", "", "")


def ask_threshold(model: Generator, results: Run, stop: Stop) -> Iterator[Step]:
    """Weigh whether each text of `tasks` holds the answer."""
    asked = list(tasks())
    for number, task in enumerate(asked, 1):
        if results.done(_step(task.id)) is None:
            messages = prompts.check_prompt(prompts.documents_prompt(task.question, [task.document]))
            weighed = [event for event in model.weigh(messages, prompts.CHECK_OPTIONS, stop=stop)
                       if isinstance(event, Weighed) and event.shares]  # fmt: skip
            if not weighed:
                return
            results.add(_step(task.id), {"share": round(weighed[-1].shares[0], 3)})
        yield Step(number, len(asked), "whether a text holds the answer")


def ask_passages(model: Generator, results: Run, stop: Stop) -> Iterator[Step]:
    """Weigh whether the three texts as passages hold the answer, read together and each by itself."""
    asked = list(tasks())
    documents = dict(task.document for task in asked)
    passages = [
        Passage("", name, None, None, (), text, 0, len(text), 1.0, number)
        for number, (name, text) in enumerate(documents.items())
    ]
    for number, (way, task) in enumerate([(way, task) for way in _WAYS for task in asked], 1):
        step = _step(f"{task.id}/{way}")
        if results.done(step) is None:
            rules, user = prompts.passages_prompt(task.question, passages)
            if way == "together":
                user = Message("user", user.whole)
            messages = prompts.check_prompt([rules, user])
            weighed = [event for event in model.weigh(messages, prompts.CHECK_OPTIONS, stop=stop)
                       if isinstance(event, Weighed) and event.shares]  # fmt: skip
            if not weighed:
                return
            results.add(step, {"share": round(weighed[-1].shares[0], 3)})
        yield Step(number, 2 * len(asked), "passages together and apart")


def find_needles(
    model: Generator, filler: Filler, scope: Scope, results: Run, stop: Stop,
    seconds_left: Callable[[], float] = lambda: float("inf"),
) -> Iterator[Step]:  # fmt: skip
    """Ask for the hidden facts, from the shortest length to the longest that can be read in the time left."""
    hay = needles.haystack(
        filler.sentences, scope.lengths, model.count, bins=scope.bins, each=scope.each, seed=scope.seed
    )
    asked = {length: hay.questions(length, scope.together) for length in scope.lengths}
    done, total = 0, sum(map(len, asked.values()))
    for length in scope.lengths:
        missing = [one for one in asked[length] if results.done(_step(one.id)) is None]
        done += len(asked[length]) - len(missing)
        if not missing:
            yield Step(done, total, f"{length:,} tokens")
        speed = calibration.fit(_readings(results))
        known = Calibration() if speed is None else Calibration(speed[0], read_slowing=speed[1])
        if missing and (known.seconds_to_read(length) or 0.0) > seconds_left():
            return
        for one in missing:
            limit = _MAX_ANSWER_OF_TWO if one.way == "two facts" else _MAX_ANSWER
            messages = prompts.documents_prompt(one.question, [(_NAME, hay.beginning(length))])
            answer = _answer(model, messages, limit, stop)
            if answer is None:
                return
            text, times = answer
            results.add(_step(one.id), {
                "length": length, "depth": one.depth, "way": one.way, "verdict": needles.judge(text, one), **times,
            })  # fmt: skip
            done += 1
            yield Step(done, total, f"{length:,} tokens")


def _answer(
    model: Generator, messages: Sequence[Message], limit: int, stop: Stop
) -> tuple[str, dict[str, list[Any]]] | None:  # fmt: skip
    """Return the answer, and its times as a row has them; None if it was stopped.

    `read` has (tokens before, tokens, seconds); a reading lasts from one progress event to the next.
    """
    read: list[list[float]] = []
    after, before, began = 0, None, 0.0
    for event in model.generate(messages, max_tokens=limit, stop=stop):
        now = time.monotonic()
        if isinstance(event, PromptRead):
            if before is not None and event.done - before >= _MIN_SAMPLE:
                read.append([before, event.done - before, round(now - began, 3)])
            before, began, after = event.done, now, event.total
        elif isinstance(event, Completed) and event.ended != "stopped":
            return event.text, {"read": read, "write": [after, event.usage.generated, round(event.answer_seconds, 3)]}
    return None


def warm_up(model: Generator, stop: Stop = lambda: False) -> None:
    """Load the weights into memory before anything is timed: their first use reads them from the disk."""
    _answer(model, [Message("user", "Say yes.")], 2, stop)


def tally(rows: Sequence[Row], length: int, *, depth: int | None = None, way: str | None = None) -> Tally:
    """Count right answers at a length, in one part of the text or of one kind of question."""
    own = [
        row for row in rows
        if row["length"] == length and (depth is None or row["depth"] == depth) and (way is None or row["way"] == way)
    ]  # fmt: skip
    return Tally(length, sum(row["verdict"] == "right" for row in own), len(own))


def effective_of(results: Run, scope: Scope) -> Effective | None:
    """Return the effective length measured so far, or None if that is too little."""
    return effective([tally(results.rows, length) for length in scope.lengths])


def measured(
    threshold: Run, passages: Run, found: Run, scope: Scope, known: Calibration, weights: str, build: str
) -> Calibration:
    """Return what was measured, and for the rest what was known before."""
    values: dict[str, Any] = asdict(known)
    about = {"weights": weights, "build": build, "measured": date.today().isoformat()}
    answer_from = answer_threshold({str(row["id"]): float(row["share"]) for row in threshold.rows})
    if answer_from is not None:
        values |= {"answer_from": answer_from, **about}
    gaps = {way: _gap({str(row["id"]).removesuffix(f"/{way}"): float(row["share"]) for row in passages.rows})
            for way in _WAYS}  # fmt: skip
    if gaps["together"] is not None and gaps["apart"] is not None:
        values |= {"apart": gaps["apart"] >= max(_MIN_GAP, _KEEPS_GAP * gaps["together"]), **about}
    writings = [
        calibration.writing_sample(after, tokens, seconds)
        for after, tokens, seconds in (row["write"] for row in found.rows)
        if tokens >= 4
    ]
    for name, speed in (("read", calibration.fit(_readings(found))), ("write", calibration.fit(writings))):
        if speed is not None:
            values[f"{name}_speed"], values[f"{name}_slowing"] = speed
    if (length := effective_of(found, scope)) is not None:
        values |= {"effective_tokens": length.tokens, "at_least": length.at_least, "calibrated": True, **about}
    return Calibration(**values)


def _readings(results: Run) -> list[tuple[float, float, float]]:
    return [
        calibration.reading_sample(int(after), int(tokens), seconds)
        for row in results.rows
        for after, tokens, seconds in row["read"]
    ]


def report(found: Run, scope: Scope, known: Calibration) -> dict[str, Any]:
    """Return everything as plain values, for `--json` and the tables."""
    rows, effective_length = found.rows, effective_of(found, scope)
    verdicts = [row["verdict"] for row in rows]
    return {
        "lengths": [_length(rows, scope, length) for length in scope.lengths if tally(rows, length).asked],
        "near_misses": verdicts.count("near miss"), "wrong": len(verdicts) - verdicts.count("right"),
        "effective": None if effective_length is None else asdict(effective_length),
        "speed": _speed(known, scope), "answer_from": known.answer_from, "apart": known.apart,
    }  # fmt: skip


def _length(rows: Sequence[Row], scope: Scope, length: int) -> dict[str, Any]:
    whole = tally(rows, length)
    low, high = interval(whole.right, whole.asked)

    def counts(**where: Any) -> dict[str, int]:
        one = tally(rows, length, **where)
        return {"right": one.right, "asked": one.asked}

    return {
        **counts(), "length": length, "low": round(low, 3), "high": round(high, 3),
        "depths": [counts(depth=depth) for depth in range(scope.bins)],
        "questions": {way: counts(way=way) for way in needles.WAYS},
    }  # fmt: skip


def _speed(known: Calibration, scope: Scope) -> dict[str, Any] | None:
    if not known.read_speed or not known.write_speed:
        return None
    return {
        "read_speed": known.read_speed, "read_slowing": known.read_slowing,
        "write_speed": known.write_speed, "write_slowing": known.write_slowing,
        "lengths": [
            {
                "length": length, "seconds_to_read": round(known.seconds_to_read(length) or 0.0, 1),
                "written_per_second": round(1 / (known.seconds_to_write(1, length) or 1.0), 1),
            }
            for length in scope.lengths
        ],
    }  # fmt: skip


# --- the answer threshold -----------------------------------------------------------------------------------
#
# Eighteen questions about three short invented texts, half of which the texts answer. The model weighs "yes, the text
# holds the answer"; models differ in how readily they say so.

# Models say "yes" less readily to real questions about passages of 1,000 tokens than to these, by this much in log
# odds: measured on the models of docs/decisions/0046-answer-from.md.
_HARDER = 0.7
# Passages are read apart if that keeps most of the distance, in log odds, between texts with and without the answer,
# and there is one.
_WAYS, _KEEPS_GAP, _MIN_GAP = ("together", "apart"), 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """A question about a text, and whether the text answers it."""

    id: str
    document: tuple[str, str]
    question: str
    holds: bool


def tasks() -> Iterator[Task]:
    """Yield the questions, those about one text together, so that a model reads it once."""
    for number, text in enumerate(load_words("localrag.evaluation", "calibration.toml")["text"]):
        for kind in ("held", "absent"):
            for place, question in enumerate(text[kind]):
                yield Task(f"{number}/{kind}/{place}", (text["title"], text["text"]), question, kind == "held")


def answer_threshold(shares: Mapping[str, float]) -> float | None:
    """Return the share of "yes" from which to answer real questions, or None until all tasks have a share.

    Halfway, in log odds, between the means of the texts that hold the answer and of those that do not (linear
    discriminant analysis of one variable), corrected because real questions are harder.
    """
    means = _means(shares)
    return None if means is None else round(1 / (1 + math.exp(_HARDER - sum(means) / 2)), 2)


def _means(shares: Mapping[str, float]) -> tuple[float, float] | None:
    """Return the mean log odds of "yes" of the texts that hold the answer, and of the others."""
    sides: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks():
        if task.id not in shares:
            return None
        share = min(max(shares[task.id], 0.005), 0.995)  # one certain answer must not outweigh all others
        sides[task.holds].append(math.log(share / (1 - share)))
    return fmean(sides[True]), fmean(sides[False])


def _gap(shares: Mapping[str, float]) -> float | None:
    means = _means(shares)
    return None if means is None else means[0] - means[1]


# --- the effective length -----------------------------------------------------------------------------------
#
# The effective length is the longest text in which the model still finds what it finds in the shortest: the lower end
# of the 90 % interval of the share of right answers is at least 0.55 of the share at the shortest length, and at least
# 0.5. With 24 questions a length passes if it loses one answer in ten of a model that finds all, and fails if it loses
# one in five. A search loses about as many (docs/decisions/0020-ranking.md), so up to that length reading the whole
# document is no worse. Intervals are Wilson's (1927), which hold for small samples and shares near 0 and 1.
#
# A longer text cannot be easier, so a length that does better than a shorter one is pooled with it (pool adjacent
# violators; Ayer et al. 1955).

KEEPS = 0.55
FLOOR = 0.5
_Z = 1.645  # of a two-sided 90 % interval
# With fewer questions, such as after an interruption, a length says nothing.
MIN_ASKED = 12


@dataclass(frozen=True, slots=True)
class Tally:
    """The right answers among the questions asked in a text of `length` tokens."""

    length: int
    right: int
    asked: int


@dataclass(frozen=True, slots=True)
class Effective:
    """The figure. `at_least`: it is the longest length tried. `enough`: the shortest length passes.

    If it does not, `tokens` is the shortest length all the same, because something must be asked of some text.
    """

    tokens: int
    at_least: bool
    enough: bool


def interval(right: float, asked: float) -> tuple[float, float]:
    """Return Wilson's 90 % interval of a share."""
    if not asked:
        return 0.0, 1.0
    share, square = right / asked, _Z * _Z
    centre, whole = share + square / (2 * asked), 1 + square / asked
    half = _Z * math.sqrt(share * (1 - share) / asked + square / (4 * asked * asked))
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def pooled(tallies: Sequence[Tally]) -> list[Tally]:
    """Return the lengths with shares that never rise: neighbours that would are pooled."""
    blocks: list[tuple[list[int], int, int]] = []
    for tally in sorted(tallies, key=lambda tally: tally.length):
        block = ([tally.length], tally.right, tally.asked)
        while blocks and block[1] * blocks[-1][2] > blocks[-1][1] * block[2]:
            lengths, right, asked = blocks.pop()
            block = (lengths + block[0], right + block[1], asked + block[2])
        blocks.append(block)
    return [Tally(length, right, asked) for lengths, right, asked in blocks for length in lengths]


def effective(tallies: Sequence[Tally]) -> Effective | None:
    """Return the effective length, or None if no length has enough questions."""
    rows = pooled([tally for tally in tallies if tally.asked >= MIN_ASKED])
    if not rows:
        return None
    needed = max(FLOOR, KEEPS * rows[0].right / rows[0].asked)
    passed = 0
    while passed < len(rows) and interval(rows[passed].right, rows[passed].asked)[0] >= needed:
        passed += 1
    return Effective(rows[max(passed, 1) - 1].length, passed == len(rows), passed > 0)
