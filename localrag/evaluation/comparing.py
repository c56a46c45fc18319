"""Two settings on the same questions: by how much they differ, and whether chance alone would do that.

The difference is taken question by question. Its interval is a bootstrap over the questions; its p-value is of a paired
randomization test (Fisher 1935; Smucker, Allan and Carterette 2007): if the settings did not matter, the two figures of
a question might as well be swapped, so how often do random swaps give a mean difference as large, either way? Every
measure is tested for itself: among twenty, one is below 0.05 by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.evaluation.ranking import Figures
from localrag.settings import Settings

SWAPS = 10_000
AS_IT_IS = "as-it-is"
# Differences below this are rounding: both settings found the same.
_SAME = 1e-9
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_EXAMPLE = 'Such as: --compare as-it-is "fusion=rrf,within_document=yes"'


@dataclass(frozen=True, slots=True)
class Variant:
    """One side of a comparison: settings, and what the evaluation itself is told."""

    name: str
    settings: Settings
    k: int
    within_document: bool
    changed: tuple[str, ...] = ()


def variant(text: str, settings: Settings, k: int, within_document: bool) -> Variant:
    """What `setting=value,setting=value` says, over what holds otherwise; "as-it-is" changes nothing.

    A value may hold commas itself: what has no "=" belongs to the setting before it.

    Raises:
        UsageError: it is not of this form, or there is no such setting or value.
    """
    given: dict[str, str] = {}
    last = ""
    for part in [] if text.strip() in ("", AS_IT_IS) else text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if sign:
            last = name.replace("-", "_")
            given[last] = value
        elif last:
            given[last] += f",{name}"
        else:
            raise UsageError(f"{part!r} in {text!r} is no setting with a value", _EXAMPLE)
    changed = tuple(given)
    k = _number(given.pop("k"), text) if "k" in given else k
    within_document = _yes(given.pop("within_document"), text) if "within_document" in given else within_document
    return Variant(text.strip() or AS_IT_IS, settings.with_options(**given), k, within_document, changed)


def _number(value: str, text: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 1000:
        raise UsageError(f"k is {value!r} in {text!r}, not a number from 1 to 1000", _EXAMPLE)
    return int(value)


def _yes(value: str, text: str) -> bool:
    if value.lower() not in (*_YES, *_NO):
        raise UsageError(f"within_document is {value!r} in {text!r}, not yes or no", _EXAMPLE)
    return value.lower() in _YES


@dataclass(frozen=True, slots=True)
class Difference:
    """How the second differs from the first in one measure; a win is a question that the second does better."""

    first: float
    second: float
    low: float
    high: float
    p: float
    wins: int
    losses: int
    ties: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": round(self.first, 4), "b": round(self.second, 4), "difference": round(self.second - self.first, 4),
            "low": round(self.low, 4), "high": round(self.high, 4), "p": round(self.p, 5),
            "wins": self.wins, "losses": self.losses, "ties": self.ties, "n": self.wins + self.losses + self.ties,
        }  # fmt: skip


def difference(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Difference:
    """Compare the figures of the same questions, in the same order."""
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    apart = two - one
    apart[np.abs(apart) < _SAME] = 0.0
    estimate = metrics.estimate(apart.tolist(), seed)
    assert estimate is not None, "there is no question to compare"
    return Difference(
        float(one.mean()), float(two.mean()), estimate.low, estimate.high, _p_value(apart, seed),
        int((apart > 0).sum()), int((apart < 0).sum()), int((apart == 0).sum()),
    )  # fmt: skip


def _p_value(apart: Any, seed: int) -> float:
    """Two-sided; the arrangement that was observed counts among the random ones, so that it is never 0."""
    moved = apart[apart != 0]  # swapping equal figures changes nothing
    if not len(moved):
        return 1.0
    chance = np.random.default_rng(seed)
    observed = abs(moved.sum())
    reached = 0
    # Some at a time: all signs of ten thousand swaps of many questions would take a gigabyte.
    for first in range(0, SWAPS, 1000):
        signs = chance.integers(0, 2, (min(1000, SWAPS - first), len(moved)), np.int8) * 2.0 - 1.0
        reached += int((np.abs(signs @ moved) >= observed - _SAME).sum())
    return (reached + 1) / (SWAPS + 1)


def compare(
    first: Mapping[str, Figures], second: Mapping[str, Figures], seed: int = 0
) -> dict[str, dict[str, dict[str, Any]]]:
    """By level and measure, over the questions that both have; measures that only one has are left out."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for level in first:
        for name, own in first[level].items():
            other = second.get(level, {}).get(name, {})
            shared = [question for question in own if question in other]
            if shared:
                values = [own[question] for question in shared], [other[question] for question in shared]
                found.setdefault(level, {})[name] = difference(*values, seed).to_dict()
    return found
