from __future__ import annotations

import random

import pytest

from localrag.evaluation import ranking
from localrag.evaluation.ranking import Ranked


def test_one_thing_wanted_is_found_at_its_rank() -> None:
    found = ranking.figures({"a": Ranked.at(1), "b": Ranked.at(4), "c": Ranked.at(None)}, (1, 5))
    assert list(found) == ["recall@1", "recall@5", "ndcg@10", "mrr"]
    assert found["recall@5"] == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert found["mrr"] == {"a": 1.0, "b": 0.25, "c": 0.0}
    assert found["ndcg@10"]["b"] == pytest.approx(0.4307, abs=1e-4)


def test_grades_count_in_ndcg_and_what_was_missed_in_recall() -> None:
    found = ranking.figures({"q": Ranked((0, 1, 2), (1, 2, 2, 0))}, (3,), mrr=10)
    assert found["recall@3"]["q"] == pytest.approx(2 / 3)
    assert found["ndcg@10"]["q"] == pytest.approx((1 / 1.58496 + 2 / 2) / (2 + 2 / 1.58496 + 1 / 2), abs=1e-4)


def test_a_first_hit_below_the_cut_counts_nothing() -> None:
    assert ranking.figures({"q": Ranked.at(11)}, (20,), mrr=10) == {
        "recall@20": {"q": 1.0}, "ndcg@10": {"q": 0.0}, "mrr@10": {"q": 0.0},
    }  # fmt: skip


def test_the_formulas_that_stand_in_for_trec_eval_give_its_figures() -> None:
    pytest.importorskip("pytrec_eval")
    chance = random.Random(4)
    rankings = {}
    for number in range(200):
        judged = [chance.choice([0, 1, 1, 2, 3]) for _ in range(chance.randint(1, 8))]
        found = [gain for gain in judged if chance.random() < 0.6] + [0] * chance.randint(0, 30)
        chance.shuffle(found)
        rankings[str(number)] = Ranked(tuple(found), tuple(judged))
    by_library, by_formula = ranking.figures(rankings, mrr=10), ranking.plain(rankings, mrr=10)
    assert list(by_library) == list(by_formula)
    for name, own in by_library.items():
        assert own == pytest.approx(by_formula[name]), name
