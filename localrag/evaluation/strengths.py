"""How strong are the sides of an arena, from who won against whom? Pure: votes in, numbers out.

The model is that of Bradley and Terry (1952, "Rank analysis of incomplete block designs"): side i is preferred to j
with the odds exp(s_i - s_j). It is fitted as a logistic regression without intercept, a tie as half a win each way
(Chiang et al. 2024, "Chatbot Arena"). So that a side which won everything has a finite strength, each pair of sides
that met begins with one tie. Intervals are a bootstrap over questions, since the votes on one question stand or fall
together.

Length: people and models prefer longer answers as such. Beside the plain strengths stand those with the difference in
length as one more term, (a - b) / (a + b) over its deviation, as in the arena's style control (Li et al. 2024, "Does
style matter?"): what is left to a side once length has taken its share. Where one side is always the longer, the votes
cannot tell the two apart, and a weak prior on the term (deviation 1) decides: the interval is wide then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 1000
_STEPS = 50
_ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Vote:
    """What was preferred on a question: `score` is 1 for `first`, 0 for `second`, 0.5 for a tie; lengths in words."""

    question: str
    first: str
    second: str
    score: float
    lengths: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Strength:
    """The strength of a side in log odds (of all sides they sum to 0), with its interval of 95 %.

    `beats` is the share of questions on which it is expected to be preferred to another side, ties halved.
    """

    side: str
    value: float
    low: float
    high: float
    beats: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "side": self.side, "strength": round(self.value, 4), "low": round(self.low, 4),
            "high": round(self.high, 4), "beats": round(self.beats, 4),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fit:
    """Strengths, strongest first; where length was controlled for, what it is worth in log odds a deviation."""

    strengths: tuple[Strength, ...]
    length: tuple[float, float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"strengths": [one.to_dict() for one in self.strengths]}
        if self.length is not None:
            found["length"] = dict(
                zip(("effect", "low", "high"), (round(value, 4) for value in self.length), strict=True)
            )
        return found


def counts(votes: Sequence[Vote]) -> list[dict[str, Any]]:
    """Of each pair that met: how often either won, and ties."""
    found: dict[tuple[str, str], list[int]] = {}
    for vote in votes:
        turned = (vote.second, vote.first) in found
        pair = (vote.second, vote.first) if turned else (vote.first, vote.second)
        score = 1 - vote.score if turned else vote.score
        row = found.setdefault(pair, [0, 0, 0])
        row[0 if score > 0.5 else 2 if score < 0.5 else 1] += 1
    return [
        {"first": first, "second": second, "wins": wins, "ties": ties, "losses": losses}
        for (first, second), (wins, ties, losses) in found.items()
    ]


def fit(votes: Sequence[Vote], seed: int = 0, *, length: bool = False, resamples: int = RESAMPLES) -> Fit:
    """Strengths of all sides that the votes name, the same for the same seed.

    Args:
        votes: at least one.
        length: take the difference in length into account.
    """
    sides = list(dict.fromkeys(side for vote in votes for side in (vote.first, vote.second)))
    rows, wins, style = _design(votes, sides)
    if length:
        rows = np.column_stack([rows, style])
    pairs = np.unique(np.sort(np.array([(sides.index(v.first), sides.index(v.second)) for v in votes]), axis=1), axis=0)
    prior = np.zeros((len(pairs), rows.shape[1]))
    for number, (one, two) in enumerate(pairs):
        prior[number, one], prior[number, two] = 1.0, -1.0
    names = {name: number for number, name in enumerate(dict.fromkeys(vote.question for vote in votes))}
    own = np.array([names[vote.question] for vote in votes])
    ridge = np.zeros(rows.shape[1])
    ridge[len(sides) :] = 1.0

    def solved(weights: Any) -> Any:
        return _newton(
            np.vstack([rows, prior]), np.concatenate([wins, np.full(len(pairs), 0.5)]),
            np.concatenate([weights, np.ones(len(pairs))]), ridge, len(sides),
        )  # fmt: skip

    whole = solved(np.ones(len(votes)))
    chance = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        picked = np.bincount(chance.integers(0, len(names), len(names)), minlength=len(names))
        drawn.append(solved(picked[own].astype(float)))
    low, high = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    found = [
        Strength(side, float(whole[i]), float(low[i]), float(high[i]), _beats(whole[: len(sides)], i))
        for i, side in enumerate(sides)
    ]
    found.sort(key=lambda one: -one.value)
    effect = (float(whole[-1]), float(low[-1]), float(high[-1])) if length else None
    return Fit(tuple(found), effect)


def _design(votes: Sequence[Vote], sides: Sequence[str]) -> tuple[Any, Any, Any]:
    """A row for each vote: +1 for its first side, -1 for its second; who won; the difference in length, scaled."""
    rows = np.zeros((len(votes), len(sides)))
    for number, vote in enumerate(votes):
        rows[number, sides.index(vote.first)] += 1.0
        rows[number, sides.index(vote.second)] -= 1.0
    apart = np.array([(a - b) / (a + b) if a + b else 0.0 for a, b in (vote.lengths for vote in votes)])
    # Not centred: where one side is always the longer, that is what is to be controlled for.
    scale = float(np.sqrt(np.mean(apart**2))) or 1.0
    return rows, np.array([vote.score for vote in votes]), apart / scale


def _newton(rows: Any, wins: Any, weights: Any, ridge: Any, sides: int) -> Any:
    """Maximum likelihood by Newton's method; strengths are made to sum to 0, which the likelihood leaves open."""
    found = np.zeros(rows.shape[1])
    centre = np.zeros((rows.shape[1], rows.shape[1]))
    centre[:sides, :sides] = 1.0 / sides
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope = rows.T @ (weights * (wins - chance)) - ridge * found
        bend = (rows * (weights * chance * (1 - chance))[:, None]).T @ rows + np.diag(ridge) + centre
        step = np.linalg.solve(bend + 1e-9 * np.eye(len(found)), slope)
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < _ENOUGH:
            break
    found[:sides] -= found[:sides].mean()
    return found


def _beats(values: Any, side: int) -> float:
    others = np.delete(values, side)
    return float(np.mean(1.0 / (1.0 + np.exp(others - values[side])))) if len(others) else 0.5
