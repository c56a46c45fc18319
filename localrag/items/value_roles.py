"""Tell the role of a day or a span of time in a contract by the words around it: a linear classifier, without a model.

It reads the words before and behind the value, by distance and in pairs, those that begin its sentence, where in the
document it stands, and how likely its sentence is each of CLAUSES (search/clauses.py). It is a second reader beside the
rules of items/facts.py, which say "signed" of fewer openings and "renewal" of fewer sentences. Trained on 220 contracts
with labels of experts by benchmarks/facts/roles.py, which prints its figures. Limits: English contracts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = NDArray[np.float32]

DAYS = ("signed", "effective", "end")
SPANS = ("term", "renewal", "non-renewal notice", "termination notice")
ROLES = (*DAYS, *SPANS)
CLAUSES = (
    *("agreement-date", "effective-date", "expiration-date", "renewal-term", "notice-to-terminate-renewal"),
    *("termination-for-convenience", "warranty-duration", "post-termination-services", "audit-rights"),
)
_TOKEN = re.compile(r"[^\W\d_]+|\d+|[()\[\]“”\",.;:$%]")
_BEFORE, _AFTER, _FIRST = 220, 160, 90  # characters that are read
_POSITIONS = (300, 1000, 3000, 8000)  # characters from the beginning of a document
_ENDING = 4000  # and before its end


class Mention(NamedTuple):
    """A day or a span of time in a sentence: half-open offsets, the sentence before it, its place in the document.

    `likely` has the probability of each of CLAUSES for the sentence, `among` how many such values it has.
    """

    sentence: str
    start: int
    end: int
    previous: str
    at: int
    length: int
    among: int
    likely: Sequence[float]


def shares(mentions: Sequence[Mention]) -> Weights:
    """Return the probability of each role for values; of shape (values, roles)."""
    import numpy as np

    rows, weights = _load()
    scores = np.tile(weights[-1], (len(mentions), 1))
    for score, mention in zip(scores, mentions, strict=True):
        for name, value in features(mention).items():
            if (row := rows.get(name)) is not None:
                score += weights[row] * value
    return cast("Weights", 1 / (1 + np.exp(-np.clip(scores, -30, 30))))


@cache
def _load() -> tuple[Mapping[str, int], Weights]:
    """Return the row of each feature, and the weights, of shape (features + 1, roles); the last row is the bias."""
    import numpy as np

    with resources.files("localrag.items").joinpath("value_roles.npz").open("rb") as stream:
        data = np.load(stream, allow_pickle=False)
        names = bytes(data["features"]).decode().split("\n")
        return {name: row for row, name in enumerate(names)}, data["weights"].astype(np.float32) * data["scale"]


def features(one: Mention) -> dict[str, float]:
    """Return the features of a value that are not 0."""
    return dict(_features(one))


def _features(one: Mention) -> Iterator[tuple[str, float]]:
    before = _tokens(one.sentence[max(0, one.start - _BEFORE) : one.start])[:-25:-1]
    after = _tokens(one.sentence[one.end : one.end + _AFTER])[:16]
    for side, near, words in (("<", 8, before), (">", 16, after)):
        for distance, word in enumerate(words):
            yield f"{side}{word}", 1.0
            if distance < near:
                yield f"{side}near {word}", 1.0
            if distance < 3:
                yield f"{side}{distance} {word}", 1.0
        for pair in pairwise(words[:12]):
            yield f"{side}{' '.join(pair)}", 1.0
    for kind, words, value in (
        ("^", _tokens(one.sentence[:_FIRST])[:12], 1.0),
        ("before ", _tokens(one.previous)[-8:], 0.5),
        ("in ", _tokens(one.sentence[one.start : one.end]), 0.5),
    ):
        yield from ((f"{kind}{word}", value) for word in words)
    yield from ((f"at {place}", 1.0) for place in _POSITIONS if one.at < place)
    yield "ending", float(one.length - one.at < _ENDING)
    yield f"among {min(one.among, 3)}", 1.0
    for name, share in zip(CLAUSES, one.likely, strict=True):
        yield f"clause {name}", 2.0 * share
        yield f"odds {name}", math.log(max(share, 1e-9) / max(1 - share, 1e-9)) / 4


def _tokens(text: str) -> list[str]:
    return ["#" if word[0].isdigit() else word.lower() for word in _TOKEN.findall(text)]
