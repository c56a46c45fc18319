"""How often is it wrong when it answers, if only the surest answers are given? Pure: rows in, numbers out.

Answers are put in the order of their confidence. At each threshold, coverage is the share of all questions answered
with at least that confidence, and risk the share of wrong ones among these (El-Yaniv and Wiener 2010).
The area under the curve (AURC) is the mean of the risk over the coverage reached
(Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks"); an order that tells nothing has the
risk of all answers as its area.

Of a declined question nobody knows what the answer would have been, so the curve ends where the run declined: the
operating point. Right and wrong are those of `worth.judged`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localrag.evaluation.runs import Row


@dataclass(frozen=True, slots=True)
class Point:
    """Answering what is at least as sure as `threshold` answers this share, of which this share is wrong."""

    threshold: float
    coverage: float
    risk: float

    def to_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in self.__slots__}


def confidence(row: Row) -> float | None:
    """How sure it was that the text holds the answer, by the best signal that the row has; None where it has none.

    What was measured for it, else the model's own weighing, else how well the best passage fits.
    """
    signals = row.get("signals", {})
    best = max((passage["score"] for passage in row.get("passages", ())), default=None)
    for value in (row.get("confidence"), signals.get("holds_answer"), signals.get("score"), best):
        if value is not None:
            return float(value)
    return None


def curve(rows: Sequence[Row]) -> list[Point]:
    """From the surest answers to all of them; equal ones come together. Empty where nothing was answered."""
    done = [row for row in rows if "error" not in row]
    answered = sorted(
        ((sure, row["figures"]["right"]) for row in done if row["found"] and (sure := confidence(row)) is not None),
        key=lambda pair: -pair[0],
    )
    points: list[Point] = []
    wrong = 0.0
    for count, (sure, right) in enumerate(answered, 1):
        wrong += 1 - right
        if count == len(answered) or answered[count][0] != sure:
            points.append(Point(sure, count / len(done), wrong / count))
    return points


def area(points: Sequence[Point]) -> float | None:
    """The mean of the risk over the coverage that the points reach."""
    if not points:
        return None
    total, before = 0.0, 0.0
    for point in points:
        total += (point.coverage - before) * point.risk
        before = point.coverage
    return total / before


def threshold(points: Sequence[Point], wanted: float) -> float | None:
    """The threshold that answers the most with at most the wanted risk; None where none does.

    It holds for the rows that it was fitted on: measure it on others.
    """
    fitting = [point for point in points if point.risk <= wanted]
    return max(fitting, key=lambda point: point.coverage).threshold if fitting else None


def at(rows: Sequence[Row], least: float) -> Point:
    """Coverage and risk of these rows with a threshold that was fitted elsewhere."""
    reached = [point for point in curve(rows) if point.threshold >= least]
    return Point(least, reached[-1].coverage, reached[-1].risk) if reached else Point(least, 0.0, 0.0)


def separation(rows: Sequence[Row]) -> float | None:
    """How well confidence tells the questions that the text answers from the others, answered or declined.

    The area under the ROC curve: how often one of the former is surer than one of the latter, ties counting half.
    None where there are not both.
    """
    pairs = [(sure, present(row)) for row in rows if "error" not in row and (sure := confidence(row)) is not None]
    there = [sure for sure, here in pairs if here]
    absent = [sure for sure, here in pairs if not here]
    if not there or not absent:
        return None
    above = sum((one > other) + (one == other) / 2 for one in there for other in absent)
    return above / (len(there) * len(absent))


def present(row: Row) -> bool:
    """True where the text holds an answer: of a question with a label another choice than "Not mentioned"."""
    return bool(row["answerable"]) and not (row.get("label") and str(row["known"]).lower().startswith("not "))


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """The curve, its area and its end, as plain values."""
    points = curve(rows)
    surface, apart = area(points), separation(rows)
    return {
        "operating_point": points[-1].to_dict() if points else None,
        "aurc": None if surface is None else round(surface, 4),
        "separation": None if apart is None else round(apart, 4),
        "curve": [point.to_dict() for point in points],
    }
