"""Compare two or more ways of answering on the same questions, without showing who wrote what.

A judge (code or a model) grades each answer alone and prefers the better grade; a person sees both answers in a seeded
order. Strengths follow Bradley and Terry (1952, "Rank analysis of incomplete block designs"): side i beats side j with
the odds exp(s_i - s_j); a tie is half a win each way. Intervals resample questions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from localrag.errors import UsageError
from localrag.evaluation import judge as judging
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question
from localrag.evaluation.judge import Given, Grade, Judge
from localrag.evaluation.runs import Row, Run, past

RESAMPLES = 1000
_STEPS = 500
_REQUIRED = frozenset(("question", "known", "answer", "found"))
# Settings of a run that do not tell two sides apart for a reader.
_UNNAMED = frozenset(("measure", "library", "contents", "generation", "version", "embedder"))
# Better grades are higher: a wrong answer is worse than none.
_ORDER: Mapping[Grade, int] = {"right": 3, "partly": 2, "declined": 1, "wrong": 0}
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
            id=f"{self.question} | {self.sides[0]} | {self.sides[1]}", question=self.first.question,
            answer=self.first.known, doc="", evidence=f"{self.first.answer}\n{self.second.answer}",
        )  # fmt: skip


def side_of(name: str, rows: Sequence[Row], run: str = "") -> Side:
    """Return the last results of one run of `eval answers` as a side, without failed questions."""
    return Side(name, {
        str(row["id"]): Given(
            str(row["id"]), str(row["question"]), str(row["known"]), str(row["answer"]), str(row.get("evidence") or ""),
            bool(row.get("answerable", True)), bool(row["found"]),
        )
        for row in {row["id"]: row for row in rows}.values()
        if row.keys() >= _REQUIRED
    }, run)  # fmt: skip


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
        found.append(side_of(name, run.rows, run.id))
    return found


def with_distinct_names(sides: Sequence[Side]) -> list[Side]:
    """Number sides with the same name."""
    if len(sides) < 2:
        hint = "Give two settings and a dataset, or files of answers: localrag eval arena a.jsonl b.jsonl"
        raise UsageError(f"there is {len(sides)} side, and an arena needs two", hint)
    names = [side.name for side in sides]
    return [
        side if side.name not in names[:i] else replace(side, name=f"{side.name} ({names[: i + 1].count(side.name)})")
        for i, side in enumerate(sides)
    ]


def matches(sides: Sequence[Side], seed: int, limit: int | None = None) -> list[Match]:
    """Return every pair of sides on every question that both answered, in a seeded order."""
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


def by_grades(
    bouts: Sequence[Match], judge: Judge, results: Run, *, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Match, str]]:
    """Yield the verdict of each match from the grades of its two answers."""
    for bout in bouts:
        if _text(bout.first) == _text(bout.second):
            yield bout, "tie"
            continue
        graded = list(judging.run([bout.first, bout.second], judge, results, stop=stop))
        if len(graded) < 2:
            return
        first, second = (_ORDER[row["grade"]] for _, row in graded)
        yield bout, "tie" if first == second else "first" if first > second else "second"


def _text(given: Given) -> str:
    return metrics.normalized(metrics.MARKER.sub("", given.answer)) if given.found else ""


def summarize(judged: Sequence[tuple[Match, str]], sides: Sequence[Side], seed: int = 0) -> dict[str, Any]:
    """Return votes by pair of sides, and the strength of each side in log odds, as plain values."""
    pairs: dict[tuple[str, str], list[int]] = {}
    for bout, verdict in judged:
        pairs.setdefault(bout.sides, [0, 0, 0])[int(2 - 2 * bout.score(verdict))] += 1
    shown = []
    for side in sides:
        lengths = [len(_text(given).split()) for given in side.answers.values() if given.found]
        words = round(float(np.mean(lengths)), 1) if lengths else 0.0
        shown.append({"side": side.name, "answers": len(side.answers), "words": words})
    return {
        "questions": len({bout.question for bout, _ in judged}), "votes": len(judged), "sides": shown,
        "pairs": [
            {"first": first, "second": second, "wins": wins, "ties": ties, "losses": losses}
            for (first, second), (wins, ties, losses) in pairs.items()
        ],
        "strengths": strengths([(bout.question, *bout.sides, bout.score(verdict)) for bout, verdict in judged], seed),
    }  # fmt: skip


def strengths(votes: Sequence[tuple[str, str, str, float]], seed: int = 0) -> list[dict[str, Any]]:
    """Fit strengths to votes (question, first side, second side, score of the first), strongest first.

    Strengths are log odds that sum to 0. `beats` is the expected share of questions won against another side.
    """
    names = list(dict.fromkeys(side for vote in votes for side in vote[1:3]))
    questions = {name: i for i, name in enumerate(dict.fromkeys(vote[0] for vote in votes))}
    wins = np.zeros((len(questions), len(names), len(names)))
    for question, first, second, score in votes:
        i, j = names.index(first), names.index(second)
        wins[questions[question], i, j] += score
        wins[questions[question], j, i] += 1 - score
    if not len(wins):
        return []
    # One tie for each pair that met, so that a side that won everything has a finite strength.
    prior = 0.5 * (wins.sum(axis=0) + wins.sum(axis=0).T > 0)
    draws = np.random.default_rng(seed).multinomial(len(wins), [1 / len(wins)] * len(wins), RESAMPLES)
    fitted = _fit(wins.sum(axis=0) + prior)
    low, high = np.percentile(_fit(np.einsum("dq,qij->dij", draws, wins) + prior), (2.5, 97.5), axis=0)
    odds = 1 / (1 + np.exp(fitted[None, :] - fitted[:, None]))
    beats = (odds.sum(axis=1) - 0.5) / max(1, len(names) - 1)
    figures = {"strength": fitted, "low": low, "high": high, "beats": beats}
    found: list[dict[str, Any]] = [
        {"side": name, **{key: round(float(values[i]), 4) for key, values in figures.items()}}
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: -one["strength"])


def _fit(wins: Any) -> Any:
    """Maximise the likelihood by minorization (Hunter 2004), for a stack of win tables (..., sides, sides)."""
    total = wins + np.swapaxes(wins, -1, -2)
    odds = np.ones(wins.shape[:-1])
    for _ in range(_STEPS):
        odds = wins.sum(axis=-1) / (total / (odds[..., :, None] + odds[..., None, :])).sum(axis=-1)
        odds /= np.exp(np.log(odds).mean(axis=-1, keepdims=True))
    return np.log(odds)
