"""From answers right and wrong to one length: careful with few, never beyond what was measured."""

from __future__ import annotations

import pytest

from localrag.evaluation.calibration_run import MIN_ASKED, Effective, Tally, effective, interval, pooled


def _tallies(*rights: int, asked: int = 24) -> list[Tally]:
    return [Tally(1000 << n, right, asked) for n, right in enumerate(rights)]


@pytest.mark.parametrize(
    ("rights", "tokens", "at_least"),
    [
        ((24, 24, 24, 24), 8000, True),
        ((24, 23, 22, 21), 8000, True),  # loses one in eight
        ((24, 23, 22, 15), 4000, False),  # loses three in eight
        ((24, 24, 12, 6), 2000, False),
        ((24, 10, 10, 10), 1000, False),
        ((20, 20, 20, 20), 8000, True),  # as good as in the shortest, though not perfect
        ((20, 20, 20, 12), 4000, False),
    ],
)
def test_the_longest_length_that_keeps_what_the_shortest_finds(
    rights: tuple[int, ...], tokens: int, at_least: bool
) -> None:
    assert effective(_tallies(*rights)) == Effective(tokens, at_least, True)


def test_luck_at_a_longer_length_does_not_undo_a_failure_before_it() -> None:
    assert effective(_tallies(24, 24, 10, 16)) == Effective(2000, False, True)


def test_bad_luck_at_one_length_is_weighed_with_the_next() -> None:
    assert [tally.right / tally.asked for tally in pooled(_tallies(24, 18, 24))] == [1, 42 / 48, 42 / 48]
    assert effective(_tallies(24, 18, 24)) == Effective(4000, True, True)


def test_shares_never_rise_with_length() -> None:
    shares = [tally.right / tally.asked for tally in pooled(_tallies(12, 20, 15, 18, 3))]
    assert shares == sorted(shares, reverse=True)


def test_a_model_that_misses_too_much_of_the_shortest_text_is_not_trusted() -> None:
    found = effective(_tallies(8, 8, 8, 8, asked=24))
    assert found is not None and not found.enough
    assert effective(_tallies(0, 0)) == Effective(1000, False, False)


def test_few_questions_say_nothing() -> None:
    assert effective([Tally(1000, MIN_ASKED - 1, MIN_ASKED - 1)]) is None
    broken_off = [*_tallies(24, 24), Tally(4000, 3, 3)]
    assert effective(broken_off) == Effective(2000, True, True)
    assert effective([]) is None


def test_more_questions_make_the_same_share_pass() -> None:
    assert effective([Tally(1000, 12, 12), Tally(2000, 8, 12)]) == Effective(1000, False, True)
    assert effective([Tally(1000, 72, 72), Tally(2000, 48, 72)]) == Effective(2000, True, True)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"), [(10, 10, 0.787, 1.0), (0, 10, 0.0, 0.213), (5, 10, 0.270, 0.730)]
)
def test_intervals_are_wilsons(right: int, asked: int, low: float, high: float) -> None:
    assert interval(right, asked) == (pytest.approx(low, abs=0.001), pytest.approx(high, abs=0.001))
    assert interval(0, 0) == (0, 1)
