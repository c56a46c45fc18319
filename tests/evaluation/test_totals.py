from __future__ import annotations

from typing import Any

import pytest

from localrag.evaluation import totals


def row(id: str, found: bool, answerable: bool, figures: dict[str, float], **more: Any) -> dict[str, Any]:
    return {
        "id": id, "question": "?", "known": "x", "category": "", "answerable": answerable, "documents": [f"{id}.txt"],
        "found": found, "figures": {"right": 0.0, **figures}, "quotes": 0, "verbatim": 0, "dropped": 0, "unsupported": 0,
        "sentences": 1, "seconds": 1.0, "first_token": None, **more,
    }  # fmt: skip


def mean(report: dict[str, Any], name: str) -> float:
    return float(report["rates"][name]["mean"])


def with_evidence(quoted: float, given: float, touching: int = 0) -> dict[str, float]:
    return {"evidence": quoted, "evidence_given": given, "quotes_touching": touching}


def test_declining_has_a_precision_and_a_recall() -> None:
    rows = [
        row("1", False, False, {"right": 1.0}), row("2", False, False, {"right": 1.0}), row("3", True, False, {}),
        row("4", False, True, {}), row("5", True, True, {"right": 1.0}),
    ]  # fmt: skip
    report = totals.summarize(rows)
    assert mean(report, "declined_absent") == pytest.approx(2 / 3, abs=1e-4)
    assert mean(report, "declined_rightly") == pytest.approx(2 / 3, abs=1e-4)
    assert mean(report, "answered_present") == 0.5 and mean(report, "wrong_when_answered") == 0.5


def test_an_answer_beside_the_evidence_is_answered_and_no_more() -> None:
    rows = [row("1", True, True, with_evidence(0.0, 0.0)), row("2", True, True, with_evidence(0.0, 0.3)),
            row("3", False, True, with_evidence(0.0, 0.0))]  # fmt: skip
    report = totals.summarize(rows)
    assert mean(report, "answered_present") == pytest.approx(2 / 3, abs=1e-4)
    assert mean(report, "answered_with_evidence") == pytest.approx(1 / 3, abs=1e-4)


def test_an_answer_rests_on_the_evidence_only_where_the_model_was_shown_some() -> None:
    shown = [row("1", True, True, {**with_evidence(0.0, 0.0), "evidence_shown": 0.4}),
             row("2", True, True, {**with_evidence(0.0, 0.0), "evidence_shown": 0.0}),
             row("3", False, True, {**with_evidence(0.0, 0.0), "evidence_shown": 1.0}),
             row("4", True, True, with_evidence(0.0, 0.0))]  # fmt: skip
    assert mean(totals.summarize(shown), "answered_from_evidence") == pytest.approx(1 / 3, abs=1e-4)


def test_citations_have_precision_over_quotes_and_recall_over_evidence() -> None:
    rows = [row("1", True, True, with_evidence(1.0, 1.0, 1), quotes=3, verbatim=3),
            row("2", True, True, with_evidence(0.5, 0.5, 1), quotes=1, verbatim=1),
            row("3", True, False, {}, quotes=4, verbatim=4)]  # fmt: skip
    report = totals.summarize(rows)
    assert mean(report, "citation_precision") == 0.5
    assert mean(report, "citation_recall") == 0.75
    assert mean(report, "quotes_verbatim") == 1.0


def test_no_quotes_have_no_share_of_verbatim_ones() -> None:
    report = totals.summarize([row("1", True, True, with_evidence(0.0, 0.0))])
    assert "quotes_verbatim" not in report["rates"] and "citation_precision" not in report["rates"]


def test_unsupported_sentences_are_counted_among_those_written() -> None:
    rows = [row("1", True, True, {}, sentences=3, unsupported=1), row("2", True, True, {}, sentences=1)]
    assert mean(totals.summarize(rows), "unsupported_sentences") == 0.25


def test_questions_about_one_document_are_drawn_together() -> None:
    alike = [row(str(i), True, True, {"right": float(i < 10)}) for i in range(20)]
    apart = totals.summarize(alike)["figures"]["right"]
    for one in alike:
        one["documents"] = ["a.txt" if int(one["id"]) < 10 else "b.txt"]
    together = totals.summarize(alike)["figures"]["right"]
    assert apart["mean"] == together["mean"] == 0.5
    assert together["high"] - together["low"] > apart["high"] - apart["low"]


def labelled(id: str, known: str, chose: str | None, **more: Any) -> dict[str, Any]:
    return row(
        id, True, True, {"choice": float(chose == known)}, label="L", **more, chose=chose
    ) | {"known": known}  # fmt: skip


def test_choices_stand_beside_the_commonest_one() -> None:
    rows = [labelled("1", "Yes", "Yes"), labelled("2", "Yes", "Not mentioned"), labelled("3", "No", "Yes"),
            labelled("4", "Yes", "Yes"), labelled("5", "No", None)]  # fmt: skip
    found = totals.choices(rows)
    assert found is not None
    assert found["table"] == {"No": {"Yes": 1, "none": 1}, "Yes": {"Yes": 2, "Not mentioned": 1}}
    assert found["accuracy"]["mean"] == 0.4 and found["majority"] == {"choice": "Yes", "accuracy": 0.6}
    assert found["above_majority"]["mean"] == -0.2
    assert found["macro_f1"] == pytest.approx((2 * 2 / 6 + 0) / 2, abs=1e-4)
    assert totals.choices([row("1", True, True, {})]) is None


def test_declining_is_right_where_nothing_is_mentioned() -> None:
    rows = [labelled("1", "Not mentioned", "Not mentioned") | {"found": False}, labelled("2", "Yes", "Yes")]
    report = totals.summarize(rows)
    assert report["abstention"]["declined_absent"] == report["abstention"]["answered_present"] == 1
    assert mean(report, "declined_rightly") == 1.0


def test_old_rows_without_the_newer_counts_are_summarized_too() -> None:
    old = row("1", True, True, {}, unsupported=2)
    del old["sentences"], old["documents"]
    assert mean(totals.summarize([old]), "unsupported_sentences") == 1.0
