"""Align the words of two texts: what is the same, what changed, and what moved.

Runs of words that both texts have exactly once are anchors (Cohen's patience diff); between them the longest common
subsequence decides (Hyyrö's bit-parallel algorithm, in rapidfuzz). Common words between larger changes are no
agreement, so that a rewritten sentence is one change (semantic cleanup, Fraser 2006). Two hundred pages take seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

Keys = Sequence[str]

_RUN = 5  # words of an anchor
_MAX_CELLS = 60_000_000  # of one comparison: 8 MB


class Hunk(NamedTuple):
    """What differs between two equal runs: half-open spans of tokens, one of which may be empty."""

    a: int
    b: int
    c: int
    d: int


def hunks(old: Keys, new: Keys, starts: tuple[Collection[int], Collection[int]] = ((), ())) -> list[Hunk]:
    """Return what differs, in order; `starts` are tokens at which clauses begin, where a change would rather begin."""
    found = between([*pairs(old, new), (len(old), len(new))])
    slid: list[Hunk] = []
    joined = [*_merged(found), Hunk(len(old), len(old), len(new), len(new))]
    for one, after in pairwise(joined):
        before = slid[-1].b if slid else 0
        slid.append(_slid(one, (old, new), starts, one.a - before, after.a - one.b))
    return slid


def between(same: Sequence[tuple[int, int]]) -> list[Hunk]:
    """Return what lies between tokens that are the same; the last pair is the end of both."""
    found: list[Hunk] = []
    i = j = 0
    for a, c in same:
        if (i, j) != (a, c):
            found.append(Hunk(i, a, j, c))
        i, j = a + 1, c + 1
    return found


def pairs(old: Keys, new: Keys) -> Iterator[tuple[int, int]]:
    """Yield the tokens of both that are the same, in order."""
    i = j = 0
    for a, c in [*_anchors(old, new), (len(old), len(new))]:
        yield from _common(old, new, i, a, j, c)
        if a < len(old):
            yield a, c
        i, j = a + 1, c + 1


def _anchors(old: Keys, new: Keys) -> list[tuple[int, int]]:
    """Return the tokens of runs that both have once, as the longest sequence that ascends in both."""
    places: list[dict[tuple[str, ...], int]] = [{}, {}]
    for keys, once in zip((old, new), places, strict=True):
        for at in range(len(keys) - _RUN + 1):
            run = tuple(keys[at : at + _RUN])
            once[run] = -1 if run in once else at
    shared = sorted((at, places[1][run]) for run, at in places[0].items() if at >= 0 <= places[1].get(run, -1))
    words = {a + k: c + k for a, c in ascending(shared) for k in range(_RUN)}
    return ascending(sorted(words.items()))


def ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of pairs, which ascend in the first, that ascends in the second (Schensted 1961)."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, c) in enumerate(pairs):
        at = bisect_left(ends, c)
        before.append(last[at - 1] if at else -1)
        ends[at : at + 1], last[at : at + 1] = [c], [number]
    found: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def _common(old: Keys, new: Keys, i: int, i2: int, j: int, j2: int) -> Iterator[tuple[int, int]]:
    from rapidfuzz.distance import LCSseq

    if 0 < (i2 - i) * (j2 - j) <= _MAX_CELLS:  # more is another text
        for one in LCSseq.opcodes(list(old[i:i2]), list(new[j:j2])):
            if one.tag == "equal":
                yield from ((i + one.src_start + k, j + one.dest_start + k) for k in range(one.src_end - one.src_start))


def _merged(found: Sequence[Hunk]) -> list[Hunk]:
    """Join changes with little in common between them."""
    done: list[Hunk] = []
    for one in found:
        done.append(one)
        while len(done) > 1:
            left, right = done[-2:]
            common = right.a - left.b
            if common > 60 or common >= min(max(one.b - one.a, 0.8 * (one.d - one.c)) for one in (left, right)):
                break
            done[-2:] = [Hunk(left.a, right.b, left.c, right.d)]
    return done


def _slid(
    one: Hunk, texts: tuple[Keys, Keys], starts: tuple[Collection[int], Collection[int]], left: int, right: int
) -> Hunk:
    """Move what was only added or only deleted to where a clause or a sentence begins, by `left` or `right` at most."""
    if one.a != one.b and one.c != one.d:
        return one
    side = int(one.a == one.b)
    keys, begins = texts[side], starts[side]
    first, last = (one.c, one.d) if side else (one.a, one.b)
    fits = {0: _fit(keys, begins, first, last)}
    for step, most in ((-1, left), (1, right)):
        at = step
        while abs(at) <= most and keys[first + at - (step > 0)] == keys[last + at - (step > 0)]:
            fits[at] = _fit(keys, begins, first + at, last + at)
            at += step
    shift = max(fits, key=lambda at: (fits[at], at == 0))
    return Hunk(*(place + shift for place in one))


def _fit(keys: Keys, begins: Collection[int], first: int, last: int) -> int:
    if first in begins or last in begins:
        return 3 + (first in begins and last in begins)
    before, end = keys[first - 1] if first else ".", keys[last - 1]
    return 2 if before in ".;:" and end in ".;:" else int(before in ",)" and end in ",)")


def moves(gone: Sequence[Keys], come: Sequence[Keys], least: float) -> list[tuple[int, int]]:
    """Return the pairs of deleted and added runs that are alike, the most alike first; each run is in one pair."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    signs: dict[str, str] = {}  # a sign for each word: texts are compared ten times as fast as lists
    ours, theirs = (
        ["".join(signs.setdefault(key, chr(len(signs))) for key in keys) for keys in side] for side in (gone, come)
    )
    found: list[tuple[float, int, int]] = []
    for number, text in enumerate(ours):
        near = process.extract(text, theirs, scorer=Indel.normalized_similarity, score_cutoff=least, limit=4)
        found += [(-score, number, other) for _, score, other in near]
    paired: dict[int, int] = {}
    for _, number, other in sorted(found):
        if number not in paired and other not in paired.values():
            paired[number] = other
    return list(paired.items())
