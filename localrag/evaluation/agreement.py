"""Does a judge agree with people? Cohen's kappa against answers that somebody has labelled by hand.

Kappa (Cohen 1960) is the share of agreement beyond what chance would bring: 0 for a judge that says what fits how often
each label occurs and no more, 1 for one that always says the same as the person. The weighted one (Cohen 1968) forgives
a near miss: a confusion costs the difference between the worth of its two grades. A judge below DECIDES may be shown,
and decides nothing.

The sample that the project ships (judged.jsonl) has invented questions and answers, a few of each question, made to be
told apart with care: right in other words, a digit wrong, the right name negated, a false claim beside. It is harder
than most runs are, and agreement on it says little of questions of another kind: label answers of your own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from localrag.errors import NotFoundError, UsageError

Grade = Literal["right", "partly", "wrong", "declined"]
GRADES: tuple[Grade, ...] = ("right", "partly", "wrong", "declined")
# What a grade is worth where there is an answer; where there is none, declining is what is right.
WORTH: Mapping[str, float] = {"right": 1.0, "partly": 0.5, "wrong": 0.0, "declined": 0.0}
DECIDES = 0.6
RESAMPLES = 2000
_FORM = 'Each line is a JSON object such as {"id": "q1", "label": "right"}; or partly, wrong, declined.'


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that was given to a question whose answer is known; all that a judge is told of it.

    `known` is empty where the documents do not say; `found` is False where the answer itself declined.
    """

    id: str
    question: str
    known: str
    answer: str
    evidence: str = ""
    answerable: bool = True
    found: bool = True

    @property
    def digest(self) -> str:
        """Changes when the answer does, so that a label of one is not taken for a label of another."""
        text = f"{self.found} {self.answer}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:12]


def worth(grade: Grade, answerable: bool) -> float:
    """From 0 to 1; an answer where there is none is worth nothing, whatever it says."""
    return WORTH[grade] if answerable else float(grade == "declined")


# --- agreement ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a judge agrees with labels on `n` answers (or pairs of them); `table` counts (label, grade)."""

    kappa: float
    low: float
    high: float
    weighted: float
    agreed: float
    n: int
    table: Mapping[tuple[str, str], int]

    @property
    def decides(self) -> bool:
        return self.kappa >= DECIDES

    def to_dict(self) -> dict[str, Any]:
        names = list(dict.fromkeys(label for label, _ in self.table))
        return {
            "kappa": round(self.kappa, 4), "low": round(self.low, 4), "high": round(self.high, 4),
            "weighted": round(self.weighted, 4), "agreed": round(self.agreed, 4), "n": self.n, "decides": self.decides,
            "table": {label: {grade: self.table[label, grade] for grade in names} for label in names},
        }  # fmt: skip


def agreement(
    pairs: Sequence[tuple[str, str]], seed: int = 0, scale: Mapping[str, float] = WORTH
) -> Agreement | None:  # fmt: skip
    """Of pairs (label by hand, grade by the judge); the interval is a bootstrap over them. None of no pairs.

    Args:
        pairs: both of each in `scale`.
        seed: of the bootstrap.
        scale: the labels there are, and what each is worth.
    """
    if not pairs:
        return None
    at = {grade: i for i, grade in enumerate(scale)}
    size = len(at)
    cells = np.array([at[label] * size + at[grade] for label, grade in pairs])
    table = np.bincount(cells, minlength=size**2).astype(float).reshape(size, size)
    drawn = np.random.default_rng(seed).multinomial(len(pairs), table.ravel() / len(pairs), RESAMPLES)
    values = np.array(list(scale.values()))
    plain, near = 1.0 - np.eye(size), np.abs(values[:, None] - values[None, :])
    low, high = np.percentile([kappa(row.reshape(size, size), plain) for row in drawn], (2.5, 97.5))
    return Agreement(
        kappa(table, plain), float(low), float(high), kappa(table, near), float(np.trace(table) / len(pairs)),
        len(pairs), {(label, grade): int(table[at[label], at[grade]]) for label in at for grade in at},
    )  # fmt: skip


def kappa(table: Any, costs: Any) -> float:
    """Of a square table of counts, with what each confusion costs; 1 where both say but one and the same."""
    counts = np.asarray(table, np.float64)
    chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    expected = float((costs * chance).sum())
    return 1.0 - float((costs * counts).sum()) / expected if expected else 1.0


# --- labels -------------------------------------------------------------------------------------------------


def shipped() -> list[tuple[Given, Grade]]:
    """The labelled sample that comes with localrag."""
    text = resources.files("localrag.evaluation").joinpath("judged.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [
        (
            Given(row["id"], row["question"], row["known"], row["answer"], row["evidence"], row["answerable"]),
            cast(Grade, row["label"]),
        )
        for row in rows
    ]


def labels(path: Path) -> dict[tuple[str, str, str], Grade]:
    """Labels that a person has given to answers, as `eval read` writes them.

    By the question's id, by who answered and by the digest of the answer, "" for whoever and whatever. The last label
    of an answer holds. Lines without a label (an answer passed over) are left out.

    Raises:
        NotFoundError: there is no such file.
        UsageError: a line is no label.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file of labels {str(path)!r}", _FORM) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the labels {str(path)!r}: {error}", _FORM) from None
    found: dict[tuple[str, str, str], Grade] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, label = str(row["id"]), row.get("label")
            setting, answer = str(row.get("setting") or ""), str(row.get("answer") or "")
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UsageError(f"line {number} of {str(path)!r} is no label", _FORM) from None
        if label is None:
            continue
        if label not in GRADES:
            raise UsageError(f"line {number} of {str(path)!r} has the label {label!r}", _FORM)
        found[name, setting, answer] = cast(Grade, label)
    return found


def label_of(given: Given, known: Mapping[tuple[str, str, str], Grade], settings: Sequence[str]) -> Grade | None:
    """The label of an answer that one of these settings gave; an answer that declines needs none."""
    keys = [(given.id, setting, answer) for setting in (*settings, "") for answer in (given.digest, "")]
    label = next((known[key] for key in keys if key in known), None)
    return "declined" if label is not None and not given.found else label
