from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import agreement
from localrag.evaluation.agreement import GRADES, Given, worth

EITHER = {"yes": 1.0, "no": 0.0}


def pairs(*counts: tuple[str, str, int]) -> list[tuple[str, str]]:
    return [(label, grade) for label, grade, number in counts for _ in range(number)]


def test_kappa_of_a_known_table() -> None:
    """The example of Cohen's kappa with 50 grants: 20 and 15 the same, 5 and 10 not; 0.7 agreed, 0.5 by chance."""
    found = agreement.agreement(
        pairs(("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)), 0, EITHER
    )
    assert found is not None
    assert found.kappa == pytest.approx(0.4) and found.agreed == pytest.approx(0.7) and found.n == 50
    assert found.low < 0.4 < found.high and not found.decides


def test_kappa_is_1_where_all_agree_and_0_for_a_judge_that_always_says_the_same() -> None:
    same = agreement.agreement([("right", "right"), ("wrong", "wrong"), ("partly", "partly")])
    blind = agreement.agreement(pairs(("right", "right", 5), ("wrong", "right", 5)))
    assert same is not None and same.kappa == 1.0 and same.decides
    assert blind is not None and blind.kappa == 0.0
    assert agreement.agreement([]) is None


def test_a_near_miss_costs_less_where_it_is_weighted() -> None:
    near = agreement.agreement(pairs(("right", "partly", 5), ("right", "right", 5), ("wrong", "wrong", 10)))
    far = agreement.agreement(pairs(("right", "wrong", 5), ("right", "right", 5), ("wrong", "wrong", 10)))
    assert near is not None and far is not None
    assert near.weighted > far.weighted and near.agreed == far.agreed


def test_weighted_kappa_of_a_table_by_hand() -> None:
    table = np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    costs = np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 2
    rows = table.sum(axis=1)
    expected = sum(costs[i, j] * rows[i] * rows[j] / 12 for i in range(3) for j in range(3))
    assert agreement.kappa(table, costs) == pytest.approx(1 - 2.0 / expected)


def test_declining_is_right_only_where_there_is_no_answer() -> None:
    assert worth("declined", False) == 1.0 and worth("declined", True) == 0.0
    assert worth("right", True) == 1.0 and worth("wrong", False) == 0.0 and worth("partly", True) == 0.5


def test_the_sample_has_enough_of_every_label_and_no_answer_twice() -> None:
    sample = agreement.shipped()
    counts = Counter(label for _, label in sample)
    assert len(sample) >= 80 and set(counts) == set(GRADES) and min(counts.values()) >= 10
    assert len({given.id for given, _ in sample}) == len(sample) == len({(g.question, g.answer) for g, _ in sample})
    for given, label in sample:
        assert given.answerable == bool(given.known)
        assert label in ("declined", "wrong") or given.answerable, given.id


def test_labels_are_read_and_the_last_of_an_answer_holds(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "1", "label": "right"}\n\n{"id": "1", "label": "wrong"}\n{"id": "2", "setting": "x", "label": null}\n'
                    '{"id": "2", "setting": "y", "label": "partly"}\n')  # fmt: skip
    assert agreement.labels(path) == {("1", "", ""): "wrong", ("2", "y", ""): "partly"}


def test_a_label_is_of_one_answer_where_it_says_so_and_declining_needs_none(tmp_path: Path) -> None:
    given = Given("1", "Rent?", "EUR 1", "EUR 1")
    other, declined = replace(given, answer="EUR 2"), replace(given, answer="None.", found=False)
    known = {("1", "r1", given.digest): "right", ("1", "", ""): "wrong"}
    assert agreement.label_of(given, known, ("r1",)) == "right"
    assert agreement.label_of(given, known, ("r2",)) == agreement.label_of(other, known, ("r1",)) == "wrong"
    assert agreement.label_of(declined, known, ("r1",)) == "declined"
    assert agreement.label_of(replace(given, id="2"), known, ("r1",)) is None


def test_what_is_no_label_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    with pytest.raises(NotFoundError):
        agreement.labels(path)
    for text, said in (('{"id": "1", "label": "good"}\n', "'good'"), ("right\n", "line 1"), ('["1"]\n', "line 1")):
        path.write_text(text)
        with pytest.raises(UsageError, match=said) as error:
            agreement.labels(path)
        assert '"label": "right"' in (error.value.hint or "")


def test_what_a_judge_is_told_names_nobody() -> None:
    assert set(Given.__slots__) == {"id", "question", "known", "answer", "evidence", "answerable", "found"}
