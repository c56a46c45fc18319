from __future__ import annotations

import numpy as np
import pytest

from localrag.evaluation import strengths
from localrag.evaluation.strengths import Vote

TRUE = {"a": 1.0, "b": 0.0, "c": -1.0}


def drawn(questions: int, seed: int = 1) -> list[Vote]:
    """Votes as sides of these strengths would win them."""
    chance = np.random.default_rng(seed)
    return [
        Vote(str(number), one, two, float(chance.random() < 1 / (1 + np.exp(TRUE[two] - TRUE[one]))), (10, 10))
        for number in range(questions)
        for one, two in (("a", "b"), ("b", "c"), ("c", "a"))
    ]


def of(found: strengths.Fit) -> dict[str, strengths.Strength]:
    return {one.side: one for one in found.strengths}


def test_known_strengths_are_recovered_and_lie_in_their_intervals() -> None:
    found = strengths.fit(drawn(800), resamples=200)
    assert [one.side for one in found.strengths] == ["a", "b", "c"]
    for one in found.strengths:
        assert one.value == pytest.approx(TRUE[one.side], abs=0.15) and one.low < TRUE[one.side] < one.high
    assert sum(one.value for one in found.strengths) == pytest.approx(0, abs=1e-9)


def test_two_sides_have_the_odds_of_their_wins_with_one_tie_before() -> None:
    votes = [Vote(str(n), "x", "y", 1.0 if n < 30 else 0.0) for n in range(40)]
    found = of(strengths.fit(votes, resamples=50))
    assert found["x"].value - found["y"].value == pytest.approx(np.log(30.5 / 10.5), abs=1e-6)
    assert found["x"].beats == pytest.approx(30.5 / 41, abs=1e-6)


def test_ties_are_half_a_win_each_way() -> None:
    ties = [Vote(str(n), "x", "y", 0.5) for n in range(40)]
    halves = [Vote(str(n), "x", "y", float(n % 2)) for n in range(40)]
    assert strengths.fit(ties, resamples=10).strengths[0].value == pytest.approx(0, abs=1e-9)
    assert strengths.fit(halves, resamples=10).strengths[0].value == pytest.approx(0, abs=1e-9)
    mixed = [*ties, *(Vote(f"w{n}", "x", "y", 1.0) for n in range(20))]
    assert of(strengths.fit(mixed, resamples=10))["x"].value > 0.3


def test_a_side_that_won_everything_has_a_finite_strength() -> None:
    found = of(strengths.fit([Vote(str(n), "x", "y", 1.0) for n in range(20)], length=True, resamples=20))
    assert 1 < found["x"].value < 5 and np.isfinite(found["x"].high)


def test_controlling_for_length_takes_away_what_is_only_length() -> None:
    chance = np.random.default_rng(3)
    votes = []
    for number in range(400):
        one, two = int(chance.integers(20, 60)), int(chance.integers(10, 40))
        longer = 1 / (1 + np.exp(-4 * (one - two) / (one + two)))
        votes.append(Vote(str(number), "long", "short", float(chance.random() < longer), (one, two)))
    plain, level = of(strengths.fit(votes, resamples=200)), strengths.fit(votes, length=True, resamples=200)
    assert plain["long"].low > 0.2, "it wins, being longer"
    assert abs(of(level)["long"].value) < 0.15 and of(level)["long"].low < 0 < of(level)["long"].high
    assert level.length is not None and level.length[1] > 0.5


def test_controlling_for_length_leaves_what_is_better() -> None:
    chance = np.random.default_rng(4)
    votes = [
        Vote(
            str(n), "x", "y", float(chance.random() < 0.8), (int(chance.integers(10, 50)), int(chance.integers(10, 50)))
        )
        for n in range(300)
    ]
    level = of(strengths.fit(votes, length=True, resamples=200))
    assert level["x"].low > 0.3


def test_intervals_are_over_questions_not_over_votes() -> None:
    """Ten votes on each of ten questions, all alike within a question, tell as much as ten votes."""
    votes = [Vote(str(n), "x", "y", float(n < 6)) for n in range(10)]
    often = [vote for vote in votes for _ in range(10)]
    once, many = (of(strengths.fit(some, resamples=500))["x"] for some in (votes, often))
    assert many.high - many.low > 0.9 * (once.high - once.low)


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert strengths.fit(drawn(30), 5, resamples=50) == strengths.fit(drawn(30), 5, resamples=50)
    assert strengths.fit(drawn(30), 5, resamples=50) != strengths.fit(drawn(30), 6, resamples=50)


def test_counts_are_by_pair_whichever_stood_first() -> None:
    votes = [Vote("1", "x", "y", 1.0), Vote("2", "y", "x", 1.0), Vote("3", "y", "x", 0.5), Vote("4", "y", "x", 0.0)]
    assert strengths.counts(votes) == [{"first": "x", "second": "y", "wins": 2, "ties": 1, "losses": 1}]
