from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import pages, report, runs
from localrag.evaluation.pages import Table
from localrag.evaluation.reading import Labels
from localrag.evaluation.runs import Past


def row(run: str, id: str, right: float, found: bool = True, sure: float = 0.5, **more: Any) -> dict[str, Any]:
    return {
        "run": run, "id": id, "question": f"Question {id}?", "known": "k", "category": "c" + id[-1], "answerable": True,
        "documents": [f"{id}.txt"], "answer": f"answer {id} of {run}", "found": found,
        "figures": {"right": right, "f1": right}, "quotes": 1, "verbatim": 1, "dropped": 0, "unsupported": 0,
        "sentences": 1, "seconds": 2.0, "first_token": 1.0, "confidence": sure, "model": "small",
        "citations": [{"document": "d.txt", "page": 2, "start": 0, "end": 1, "quote": f"quote of {run}"}], **more,
    }  # fmt: skip


def past(run: str, rights: list[float], library: str = "set-0a1b2c3d", **settings: Any) -> Past:
    rows = tuple(row(run, str(i), right, sure=i / len(rights)) for i, right in enumerate(rights))
    return Past(run, {"measure": "answers", "library": library, "mode": "auto", **settings}, rows)


PLAIN = past("P", [0, 0, 1, 0, 0, 0], baseline="plain")
FULL = past("F", [1, 1, 1, 0, 1, 1])


def table(blocks: list[Any], first: str) -> dict[str, list[str]]:
    """The table that has a row of this name, by the names of its rows."""
    for block in blocks:
        if isinstance(block, Table) and first in [cells[0] for cells in block.rows]:
            return {cells[0]: list(cells[1:]) for cells in block.rows}
    raise AssertionError(first)


def test_the_baseline_stands_first_and_beside_it_what_is_compared() -> None:
    found = report.sides([FULL, PLAIN])
    assert [side.name for side in found] == ["small, plain", "small, auto"]
    assert [side.set for side in found] == ["set", "set"]
    right = table(report.page(found), "right, as far as code can tell")["right, as far as code can tell"]
    assert [cell.split()[0] for cell in right] == ["0.167", "0.833"]


def test_the_difference_to_the_baseline_is_taken_question_by_question() -> None:
    shorter = Past("P", PLAIN.settings, PLAIN.rows[:4])
    row = table(report.page(report.sides([FULL, shorter])), "f1")["f1"]
    assert row[0] == "4" and row[3].startswith("+0.500") and row[5] == "2/0/2"


def test_runs_of_one_model_and_way_are_told_apart_by_what_parts_them() -> None:
    names = [side.name for side in report.sides([FULL, past("G", [1.0], passages=3)])]
    assert names == ["small, auto, passages=None", "small, auto, passages=3"]


def test_a_run_that_two_files_hold_is_one_and_the_later_row_holds() -> None:
    newer = Past("F", FULL.settings, (row("F", "3", 1.0), row("F", "7", 1.0)))
    (side,) = report.sides([FULL, newer])
    assert len(side.rows) == 7 and side.totals["figures"]["right"]["mean"] == 1.0


def test_what_an_older_version_scored_is_left_out() -> None:
    old = row("F", "1", 1.0)
    del old["figures"]["right"]
    assert report.sides([Past("F", FULL.settings, (old,))]) == []
    assert report.sides([Past("F", {"measure": "routes"}, FULL.rows)]) == []


def test_the_surest_wrong_answers_are_shown_with_their_quotes() -> None:
    wrong = [row("F", "a", 0, sure=0.2), row("F", "b", 0, sure=0.9), row("F", "c", 0, found=False, sure=0.99),
             row("F", "d", 1)]  # fmt: skip
    page = pages.markdown(report.page(report.sides([Past("F", FULL.settings, tuple(wrong))])))
    worst = page.split("## Worst answers")[1]
    assert worst.index("b: Question") < worst.index("a: Question") < worst.index("c: Question")
    assert "quote of d.txt, p. 2: quote of F" in worst and "d: Question" not in worst


def test_what_a_person_says_goes_before_what_code_says(tmp_path: Path) -> None:
    said = [{"id": "0", "setting": "F", "label": "wrong"}, {"id": "3", "setting": "F", "label": "right"}]
    (tmp_path / "labels").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    blocks = report.page(report.sides([FULL]), Labels(tmp_path / "labels"))
    assert table(blocks, "questions")["read by a person: right, partly, wrong (unread)"] == ["1, 0, 1 (4)"]
    worst = pages.markdown(blocks).split("## Worst answers")[1]
    assert "0: Question" in worst and "3: Question" not in worst and "read as wrong" in worst


def test_a_threshold_is_fitted_on_the_other_sets_and_measured_on_this_one() -> None:
    first = past("F", [0, 0, 1, 1], library="one-00000000")
    second = past("G", [0, 1, 1, 1], library="two-00000000")
    rows = table(report.page(report.sides([first, second]), wanted=0.0), "one")
    assert rows["one"][1:] == ["0.250", "0.750", "0.333"]
    assert rows["two"][1:] == ["0.500", "0.500", "0.000"]


def test_quotes_that_stand_are_told_beside_what_that_says_nothing_without() -> None:
    said = table(report.page(report.sides([FULL])), "questions")["quotes that stand there as shown"]
    assert said == ["6 of 6 (100% answered)"]


def test_both_forms_of_the_page_are_made_of_every_part() -> None:
    labelled = tuple(
        {**one, "label": "L", "chose": "k", "figures": {**one["figures"], "choice": 1.0}} for one in FULL.rows
    )
    blocks = report.page(report.sides([PLAIN, Past("F", FULL.settings, labelled)]))
    for page in (pages.markdown(blocks), pages.html("Answers", blocks)):
        for part in (
            "Choices, small, auto",
            "Risk and coverage",
            "Sureness, small, auto",
            "By category",
            "Worst answers",
        ):
            assert part in page
    assert pages.html("Answers", blocks).count("<svg") == 3


# --- runs of before -----------------------------------------------------------------------------------------


def test_the_runs_of_a_file_have_their_settings_and_the_last_result_of_each_question(tmp_path: Path) -> None:
    lines = [{"run": "a", "settings": {"k": 1}}, {"run": "a", "id": "1", "x": 1}, {"run": "b", "settings": {}},
             {"run": "b", "id": "1", "x": 2}, {"run": "a", "id": "1", "x": 3}]  # fmt: skip
    (tmp_path / "out").write_text("\n".join(map(json.dumps, lines)) + '\n{"run": "a", "id"', encoding="utf-8")
    first, second = runs.past(tmp_path / "out")
    assert (first.id, first.settings, [one["x"] for one in first.rows]) == ("a", {"k": 1}, [3])
    assert [one["x"] for one in second.rows] == [2]


def test_files_without_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        runs.past(tmp_path / "none")
    (tmp_path / "notes").write_text("Dear diary\n", encoding="utf-8")
    with pytest.raises(UsageError, match="holds no results"):
        runs.past(tmp_path / "notes")
