"""The answer threshold of a model: how sure it must be that a text holds the answer before it gives one.

Eighteen questions about three short invented texts, half of which the texts answer. The model weighs "yes, the text
holds the answer"; models differ in how readily they say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from localrag.quantities import load_words

# Models say "yes" less readily to real questions about passages of 1,000 tokens than to these, by this much in log
# odds: measured on the models of docs/decisions/0046-answer-from.md.
_HARDER = 0.7


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


def threshold(shares: Mapping[str, float]) -> float | None:
    """Return the share of "yes" from which to answer real questions, or None until all tasks have a share.

    Halfway, in log odds, between the means of the texts that hold the answer and of those that do not (linear
    discriminant analysis of one variable), corrected because real questions are harder.
    """
    sides: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks():
        if task.id not in shares:
            return None
        share = min(max(shares[task.id], 0.005), 0.995)  # one certain answer must not outweigh all others
        sides[task.holds].append(math.log(share / (1 - share)))
    halfway = sum(sum(side) / len(side) for side in sides.values()) / 2
    return round(1 / (1 + math.exp(_HARDER - halfway)), 2)
