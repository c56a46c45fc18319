"""Align the words of two texts: what is the same, what changed, and what moved.

Runs of words that both texts have exactly once are anchors (Cohen's patience diff); between them the longest common
subsequence decides (Hyyrö's bit-parallel algorithm, in rapidfuzz). Common words between larger changes are no
agreement, so that a rewritten sentence is one change (semantic cleanup, Fraser 2006). Two hundred pages take seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from math import log
from typing import NamedTuple

Keys = Sequence[str]

_RUNS = (5, 3, 2)  # words of an anchor, from the whole text to a part of it
_MAX_CELLS = 60_000_000  # of one comparison: 8 MB
_MAX_CANDIDATES = 4
_SMALL = frozenset(
    """. , ; : ( ) " ' - the of to and or in a an any for by be is are as on with such that this der die das und oder
    """.split()
)


class Hunk(NamedTuple):
    """What differs between two equal runs: half-open spans of tokens, one of which may be empty."""

    a: int
    b: int
    c: int
    d: int


def hunks(old: Keys, new: Keys, starts: tuple[Collection[int], Collection[int]] = ((), ())) -> list[Hunk]:
    """Return what differs, in order; `starts` are tokens at which clauses begin, where a change would rather begin."""
    found = between([*_pairs(old, new, 0, len(old), 0, len(new)), (len(old), len(new))])
    slid: list[Hunk] = []
    joined = [*_merged(found, old), Hunk(len(old), len(old), len(new), len(new))]
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


def _pairs(old: Keys, new: Keys, i: int, i2: int, j: int, j2: int, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the tokens that agree, in order."""
    while i < i2 and j < j2 and old[i] == new[j]:
        yield i, j
        i, j = i + 1, j + 1
    tail = 0
    while i < i2 - tail and j < j2 - tail and old[i2 - tail - 1] == new[j2 - tail - 1]:
        tail += 1
    i2, j2 = i2 - tail, j2 - tail
    if i < i2 and j < j2:
        anchors = _anchors(old, new, i, i2, j, j2, _RUNS[depth]) if depth < len(_RUNS) else []
        if depth == len(_RUNS):
            yield from _common(old, new, i, i2, j, j2)
        else:
            for a, c in [*anchors, (i2, j2)]:
                if (i, j) != (a, c):
                    yield from _pairs(old, new, i, a, j, c, depth + 1)
                if (a, c) != (i2, j2):
                    yield a, c
                i, j = a + 1, c + 1
    yield from ((i2 + k, j2 + k) for k in range(tail))


def _anchors(old: Keys, new: Keys, i: int, i2: int, j: int, j2: int, size: int) -> list[tuple[int, int]]:
    """Return the tokens of runs that both have once, as the longest sequence that ascends in both."""
    places = []
    for keys, first, last in ((old, i, i2), (new, j, j2)):
        once: dict[tuple[str, ...], int] = {}
        for at in range(first, last - size + 1):
            run = tuple(keys[at : at + size])
            once[run] = -1 if run in once else at
        places.append(once)
    ours, theirs = places
    shared = sorted((at, theirs[run]) for run, at in ours.items() if at >= 0 and theirs.get(run, -1) >= 0)
    found: list[tuple[int, int]] = []
    for a, c in ascending(shared):
        for k in range(size):
            if not found or (a + k > found[-1][0] and c + k > found[-1][1]):
                found.append((a + k, c + k))
    return [(a, c) for a, c in found if old[a] == new[c]]


def ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of pairs, which ascend in the first, that ascends in the second (Schensted 1961)."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for number, (_, c) in enumerate(pairs):
        at = bisect_left(ends, c)
        before.append(last[at - 1] if at else -1)
        if at == len(ends):
            ends.append(c)
            last.append(number)
        else:
            ends[at], last[at] = c, number
    found: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        found.append(pairs[number])
        number = before[number]
    return found[::-1]


def _common(old: Keys, new: Keys, i: int, i2: int, j: int, j2: int) -> Iterator[tuple[int, int]]:
    from rapidfuzz.distance import LCSseq

    if (i2 - i) * (j2 - j) > _MAX_CELLS:
        return  # another text
    for one in LCSseq.opcodes(list(old[i:i2]), list(new[j:j2])):
        if one.tag == "equal":
            yield from ((i + one.src_start + k, j + one.dest_start + k) for k in range(one.src_end - one.src_start))


def _weight(keys: Keys) -> float:
    return sum(0.4 if key in _SMALL else 1.0 for key in keys)


def _merged(found: Sequence[Hunk], old: Keys) -> list[Hunk]:
    """Join changes with little in common between them."""
    done: list[Hunk] = []
    for one in found:
        done.append(one)
        while len(done) > 1:
            left, right = done[-2:]
            common = _weight(old[left.b : right.a])
            if right.a - left.b > 60 or common >= min(_size(left, old), _size(right, old)):
                break
            done[-2:] = [Hunk(left.a, right.b, left.c, right.d)]
    return done


def _size(one: Hunk, old: Keys) -> float:
    return max(_weight(old[one.a : one.b]), 0.8 * (one.d - one.c))


def _slid(
    one: Hunk, texts: tuple[Keys, Keys], starts: tuple[Collection[int], Collection[int]], left: int, right: int
) -> Hunk:
    """Move what was only added or only deleted to where a clause, or else a sentence, begins, if the words allow it.

    `left` and `right` are the equal tokens on both sides.
    """
    if one.a != one.b and one.c != one.d:
        return one
    side = int(one.a == one.b)
    keys, begins = texts[side], starts[side]
    first, last = (one.c, one.d) if side else (one.a, one.b)
    best, shift = _fit(keys, begins, first, last), 0
    for step, most in ((-1, left), (1, right)):
        for at in range(step, step * (most + 1), step):
            if keys[first + at - (step > 0)] != keys[last + at - (step > 0)]:
                break
            if (fit := _fit(keys, begins, first + at, last + at)) > best:
                best, shift = fit, at
    return Hunk(*(place + shift for place in one))


def _fit(keys: Keys, begins: Collection[int], first: int, last: int) -> int:
    if first in begins and last in begins:
        return 4
    if first in begins or last in begins:
        return 3
    before, end = keys[first - 1] if first else ".", keys[last - 1]
    return 2 if before in ".;:" and end in ".;:" else int(before in ",)" and end in ",)")


def likeness(one: Keys, other: Keys) -> float:
    """Return how alike two runs of words are, 0 to 1: twice the common subsequence by the length of both."""
    from rapidfuzz.distance import Indel

    return float(Indel.normalized_similarity(list(one), list(other)))


def moves(gone: Sequence[Keys], come: Sequence[Keys], least: float) -> list[tuple[int, int]]:
    """Return the pairs of deleted and added runs that are alike, the most alike first; each run is in one pair.

    Only runs that share words that few runs have are compared.
    """
    having: dict[str, list[int]] = {}
    for number, keys in enumerate(come):
        for key in set(keys) - _SMALL:
            having.setdefault(key, []).append(number)
    found: list[tuple[float, int, int]] = []
    for number, keys in enumerate(gone):
        score: dict[int, float] = {}
        for key in set(keys) & having.keys():
            if len(having[key]) <= 50:
                for other in having[key]:
                    score[other] = score.get(other, 0.0) + log(1 + len(come) / len(having[key]))
        for other in sorted(score, key=lambda one: -score[one])[:_MAX_CANDIDATES]:
            if (alike := likeness(keys, come[other])) >= least:
                found.append((-alike, number, other))
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for _, number, other in sorted(found):
        if number not in taken[0] and other not in taken[1]:
            taken[0].add(number)
            taken[1].add(other)
            pairs.append((number, other))
    return pairs
