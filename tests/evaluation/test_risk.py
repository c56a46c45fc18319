from __future__ import annotations

from typing import Any

import pytest

from localrag.evaluation import risk


def row(sure: float | None, right: bool, found: bool = True, answerable: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "id": "1", "known": "x", "found": found, "answerable": answerable, "confidence": sure,
        "figures": {"right": float(right)}, **more,
    }  # fmt: skip


FOUR = [row(0.9, True), row(0.8, True), row(0.7, False), row(0.2, True)]


def test_risk_is_the_wrong_share_of_what_is_answered_from_the_surest_on() -> None:
    points = risk.curve(FOUR)
    assert [(point.coverage, point.risk) for point in points] == [(0.25, 0), (0.5, 0), (0.75, 1 / 3), (1.0, 0.25)]
    assert risk.area(points) == pytest.approx((0 + 0 + 1 / 3 + 0.25) / 4)


def test_declined_questions_are_not_covered_and_end_the_curve() -> None:
    points = risk.curve([*FOUR, row(0.1, False, found=False)])
    assert points[-1].coverage == 0.8 and points[-1].risk == 0.25


def test_answers_of_equal_confidence_come_together() -> None:
    one = risk.curve([row(0.5, True), row(0.5, False)])
    assert one == risk.curve([row(0.5, False), row(0.5, True)]) and len(one) == 1


def test_the_threshold_answers_the_most_with_at_most_that_risk() -> None:
    points = risk.curve(FOUR)
    assert risk.threshold(points, 0.3) == 0.2 and risk.threshold(points, 0.1) == 0.8
    assert risk.threshold(risk.curve([row(0.9, False)]), 0.5) is None


def test_a_threshold_fitted_elsewhere_is_measured_here() -> None:
    found = risk.at(FOUR, 0.75)
    assert (found.coverage, found.risk) == (0.5, 0.0)
    assert risk.at(FOUR, 0.95).coverage == 0.0


def test_confidence_falls_back_to_the_best_signal_there_is() -> None:
    signals = {"holds_answer": 0.6, "score": 0.4}
    passages = [{"score": 0.1}, {"score": 0.3}]
    assert risk.confidence(row(0.9, True, signals=signals)) == 0.9
    assert risk.confidence(row(None, True, signals=signals)) == 0.6
    assert risk.confidence(row(None, True, signals={"score": 0.4}, passages=passages)) == 0.4
    assert risk.confidence(row(None, True, passages=passages)) == 0.3
    assert risk.confidence(row(None, True)) is None


def test_separation_counts_how_often_a_present_answer_is_surer_than_an_absent_one() -> None:
    absent = row(0.5, False, answerable=False)
    assert risk.separation([row(0.9, True), row(0.5, True), absent]) == 0.75
    assert risk.separation([row(0.9, True)]) is None


def test_not_mentioned_is_no_answer_that_the_text_holds() -> None:
    assert not risk.present(row(0.9, True, known="Not mentioned") | {"label": "NotMentioned"})
    assert risk.present(row(0.9, True, known="Yes") | {"label": "Entailment"})
    assert risk.present(row(0.9, True, known="Not less than five"))


def test_rows_that_failed_or_have_no_confidence_are_on_no_curve() -> None:
    assert risk.curve([{"error": "too long"}, row(None, True)]) == []
    assert risk.summarize([]) == {"operating_point": None, "aurc": None, "separation": None, "curve": []}
