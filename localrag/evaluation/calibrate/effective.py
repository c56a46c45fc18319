"""How much text a model can use: from answers right and wrong, by length, to one figure (pure).

The effective length is the longest measured text up to which the model still finds what it finds in the shortest: the
lower end of the 90 % interval of the share of right answers, over all depths, is at least 0.55 of the share at the
shortest length, and at least 0.5. With 24 questions a length passes that loses one answer in ten of a model that finds
all, and fails that loses one in five. Looking passages up loses about as many by leaving out the right one
(docs/decisions/0020-ranking.md), so up to that length reading the whole is no worse. A model that finds fewer than two
in three is not trusted with any length.

Nothing is read between or beyond the lengths that were measured. A longer text cannot be easier than a shorter one, so
a length that does better than a shorter one is taken together with it (pool adjacent violators; Ayer et al. 1955).
Intervals are Wilson's (1927), which hold for small samples and for shares near 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

KEEPS = 0.55
FLOOR = 0.5
_Z = 1.645  # of a two-sided 90 % interval
# With fewer questions a length says nothing, such as one that was broken off.
LEAST = 12


@dataclass(frozen=True, slots=True)
class Tally:
    """Of so many questions asked in a text of `length` tokens, so many were answered right."""

    length: int
    right: int
    asked: int

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else 0.0


@dataclass(frozen=True, slots=True)
class Effective:
    """The figure. `at_least`: it is the longest length tried. `enough`: the shortest text passes by itself.

    Where it does not, `tokens` is the shortest length all the same, since something has to be asked of some text.
    """

    tokens: int
    at_least: bool
    enough: bool


def interval(right: float, asked: float) -> tuple[float, float]:
    """Wilson's 90 % interval of a share."""
    if not asked:
        return 0.0, 1.0
    share, square = right / asked, _Z * _Z
    centre = share + square / (2 * asked)
    half = _Z * math.sqrt(share * (1 - share) / asked + square / (4 * asked * asked))
    return max(0.0, (centre - half) / (1 + square / asked)), min(1.0, (centre + half) / (1 + square / asked))


def pooled(tallies: Sequence[Tally]) -> list[Tally]:
    """The same lengths with shares that never rise: neighbours that would are summed and share their counts."""
    blocks: list[tuple[list[int], int, int]] = []
    for tally in sorted(tallies, key=lambda tally: tally.length):
        block = ([tally.length], tally.right, tally.asked)
        while blocks and block[1] * blocks[-1][2] > blocks[-1][1] * block[2]:
            lengths, right, asked = blocks.pop()
            block = (lengths + block[0], right + block[1], asked + block[2])
        blocks.append(block)
    return [Tally(length, right, asked) for lengths, right, asked in blocks for length in lengths]


def effective(tallies: Sequence[Tally]) -> Effective | None:
    """The effective length; None where no length has enough questions."""
    rows = pooled([tally for tally in tallies if tally.asked >= LEAST])
    if not rows:
        return None
    needed = max(FLOOR, KEEPS * rows[0].share)
    passed = 0
    while passed < len(rows) and interval(rows[passed].right, rows[passed].asked)[0] >= needed:
        passed += 1
    return Effective(rows[max(passed, 1) - 1].length, passed == len(rows), passed > 0)
