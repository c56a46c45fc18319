"""From answers by length to one figure: how much text a model can use (pure).

The effective length is the longest measured text in which the model still finds what it finds in the shortest: the
lower end of the 90 % interval of the share of right answers is at least 0.55 of the share at the shortest length, and
at least 0.5. With 24 questions a length passes if it loses one answer in ten of a model that finds all, and fails if it
loses one in five. A search loses about as many by missing the right passage (docs/decisions/0020-ranking.md), so up to
that length reading the whole document is no worse.

A longer text cannot be easier, so a length that does better than a shorter one is pooled with it (pool adjacent
violators; Ayer et al. 1955). Intervals are Wilson's (1927), which hold for small samples and shares near 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else 0.0


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
    needed = max(FLOOR, KEEPS * rows[0].share)
    passed = 0
    while passed < len(rows) and interval(rows[passed].right, rows[passed].asked)[0] >= needed:
        passed += 1
    return Effective(rows[max(passed, 1) - 1].length, passed == len(rows), passed > 0)
