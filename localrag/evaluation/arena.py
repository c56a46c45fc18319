"""Compare ways of answering on the same questions: a person prefers one of two, blind."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question
from localrag.evaluation.judge import Given
from localrag.evaluation.runs import Row, past

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


def summarize(judged: Sequence[tuple[Match, str]], seed: int = 0) -> dict[str, Any]:
    """Return wins, ties and losses by pair of sides, and the first side's share of wins (a tie is half of one)."""
    scores: dict[tuple[str, str], list[float]] = {}
    for bout, verdict in judged:
        scores.setdefault(bout.sides, []).append(bout.score(verdict))
    pairs = []
    for (first, second), own in scores.items():
        share = metrics.estimate(own, seed)
        assert share is not None  # there is a score
        wins, ties, losses = (own.count(score) for score in (1.0, 0.5, 0.0))
        pairs.append(
            {"first": first, "second": second, "wins": wins, "ties": ties, "losses": losses, "share": share.to_dict()}
        )
    return {"questions": len({bout.question for bout, _ in judged}), "votes": len(judged), "pairs": pairs}
