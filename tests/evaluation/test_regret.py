from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from localrag.evaluation import regret
from localrag.evaluation.datasets import Question

PLANS = ("retrieve", "read", "auto")


def row(way: str, score: float, tokens: int, seconds: float, *plans: str) -> dict[str, Any]:
    return {
        "way": way, "score": score, "tokens": tokens, "evaluated": tokens, "seconds": seconds, "first_token": seconds,
        "cold_seconds": seconds, "plans": list(plans or (way,)),
    }  # fmt: skip


def asked(
    name: str, doc: str, retrieve: Any, read: Any, cold: Any, warm: Any, **more: Any
) -> list[tuple[Question, Mapping[str, Any]]]:
    question = Question(name, "Why?", "So.", doc, **more)
    ways = {"retrieve": retrieve, "read": read, "auto cold": cold, "auto warm": warm}
    return [(question, value if isinstance(value, dict) else row(way, *value)) for way, value in ways.items()]


# Auto takes passages where reading is right, reads where passages are as good, and escalates where it must.
MISSED = asked(
    "1", "a", (0.0, 1000, 9), (1.0, 8000, 4), (0.0, 1000, 9, "retrieve"), (1.0, 8000, 4, "read"), category="x"
)
WASTED = asked("2", "a", (1.0, 1000, 9), (1.0, 8000, 4), (1.0, 8000, 4, "read"), (1.0, 8000, 4, "read"), category="y")
RAISED = asked(
    "3", "b", (0.0, 1000, 9), (1.0, 6000, 3), (1.0, 7000, 12, "retrieve", "read"), (1.0, 6000, 3, "read"),
    category="y", answerable=False,
)  # fmt: skip
LONG = asked(
    "4", "c", (0.5, 1000, 9), {"way": "read", "unavailable": "too long"}, (0.5, 1000, 9, "retrieve"),
    (0.5, 1000, 9, "retrieve"),
)  # fmt: skip


def report(*groups: list[Any], plans: tuple[str, ...] = PLANS) -> dict[str, Any]:
    return regret.summarize(regret.gathered(pair for group in groups for pair in group), plans)


def test_each_table_is_of_the_same_questions_and_auto_has_a_line_for_itself_in_each() -> None:
    fits = report(MISSED, WASTED, RAISED, LONG)["fits"]
    assert fits["questions"] == 3 and fits["documents"] == 2
    assert {plan: line["score"]["n"] for plan, line in fits["cold"].items()} == dict.fromkeys(PLANS, 3)
    assert fits["cold"]["auto"]["tokens"]["mean"] == pytest.approx(16000 / 3, abs=0.01)
    assert fits["warm"]["auto"]["score"]["mean"] == 1.0


def test_what_cannot_be_read_stands_apart_with_its_reason() -> None:
    apart = report(MISSED, LONG)["too_long"]
    assert apart["questions"] == 1 and apart["why"] == {"too long": 1}
    assert set(apart["cold"]) == {"retrieve", "auto"}
    assert report(MISSED)["too_long"] is None


def test_regret_is_against_the_better_plan_and_of_equal_ones_the_cheaper() -> None:
    cold = report(MISSED, WASTED, RAISED)["fits"]["regret"]["cold"]
    assert cold["score"]["mean"] == pytest.approx(1 / 3, abs=1e-3)
    assert cold["best"] == {"read": 2, "retrieve": 1}
    assert cold["by_choice"]["retrieve, best read"] == {
        "questions": 1, "score": 1.0, "cost": -7000, "of_the_mean": pytest.approx(1 / 3, abs=1e-3),
    }  # fmt: skip
    assert cold["by_choice"]["read, best retrieve"]["cost"] == 7000
    assert cold["by_choice"]["retrieve+read, best read"]["score"] == 0.0
    assert list(cold["by_kind"]) == ["x", "y"], "what lost most comes first"
    assert cold["by_answerable"]["has none"]["questions"] == 1


def test_with_everything_kept_the_cost_is_seconds() -> None:
    warm = report(MISSED, WASTED, RAISED)["fits"]["regret"]["warm"]
    assert warm["best"] == {"read": 3}
    assert (warm["score"]["mean"], warm["seconds"]["mean"]) == (0.0, 0.0)


def test_goals_stand_beside_what_was_found() -> None:
    goals = report(MISSED, WASTED, RAISED)["fits"]["goals"]
    tokens = goals["cold: tokens of auto to those of read"]
    assert tokens["mean"] == pytest.approx(16 / 22, abs=1e-3) and tokens["met"] is False
    seconds = goals["warm: seconds of auto to those of retrieve"]
    assert seconds["mean"] == pytest.approx(11 / 27, abs=1e-3) and seconds["met"] is True
    assert goals["cold: score of auto less that of retrieve"]["met"] is True
    assert goals["cold: score of auto less that of read"]["met"] is False


def test_what_auto_chose_and_its_escalations_are_counted() -> None:
    chosen = report(MISSED, WASTED, RAISED, LONG)["auto_took"]
    assert chosen["cold"] == {"plans": {"retrieve": 2, "read": 1, "retrieve+read": 1}, "escalations": 1}
    assert chosen["warm"]["plans"] == {"read": 3, "retrieve": 1}


def test_a_question_that_failed_or_was_not_finished_is_counted_apart() -> None:
    failed = [*MISSED[:3], (MISSED[3][0], {"way": "auto warm", "error": "too long"})]
    assert report(failed, WASTED[:2], RAISED)["unfinished_or_failed"] == 2
    nothing = report(WASTED[:2])
    assert nothing["questions"] == 0 and nothing["fits"] is None


def test_one_plan_alone_has_a_table_and_no_regret() -> None:
    fits = report(MISSED[:1], WASTED[:1], plans=("retrieve",))["fits"]
    assert set(fits["cold"]) == {"retrieve"} and "regret" not in fits


def test_intervals_are_over_documents() -> None:
    one = report(MISSED, WASTED)["fits"]["cold"]["retrieve"]["score"]
    assert (one["mean"], one["low"], one["high"]) == (0.5, 0.5, 0.5), "one document says nothing of others"
    two = report(MISSED, WASTED, RAISED)["fits"]["cold"]["retrieve"]["score"]
    assert two["low"] < two["mean"] < two["high"]
