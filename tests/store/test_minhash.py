"""Signatures tell drafts from other texts, and estimate how similar two texts are."""

from __future__ import annotations

import random

import numpy as np
import pytest

from localrag.store import minhash


def words(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [f"word{chance.randrange(5_000)}" for _ in range(count)]


def alike(one: str, other: str) -> float:
    rows = np.frombuffer(minhash.signature(one), "<u4").reshape(1, -1)
    return float(minhash.similarities(rows, minhash.signature(other))[0])


def runs(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[first : first + 4]) for first in range(len(text) - 3)}


def test_a_text_is_wholly_like_itself_and_not_like_another() -> None:
    one, other = " ".join(words(1, 800)), " ".join(words(2, 800))
    assert alike(one, one) == 1.0 and alike(one, other) < 0.1
    assert alike(one, one.upper().replace(" ", " \n ")) == 1.0  # letters' size, lines and signs do not count


@pytest.mark.parametrize("changed", [20, 60, 150, 300])
def test_the_guess_is_near_the_truth(changed: int) -> None:
    misses = []
    for seed in range(20):
        one = words(seed, 1_000)
        other = [*words(seed + 1_000, changed), *one[changed:]]
        true = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
        misses.append(alike(" ".join(one), " ".join(other)) - true)
    # The standard error is at most 0.045 for one pair, and 0.01 for the mean of twenty.
    assert abs(float(np.mean(misses))) < 0.035 and float(np.max(np.abs(misses))) < 0.18


def test_a_text_too_short_to_tell_has_no_signature() -> None:
    assert minhash.signature("") == minhash.signature("A short note. " * 3) == b""
    assert len(minhash.signature(" ".join(words(5, 100)))) == 4 * minhash.BINS
