from __future__ import annotations

import json
from pathlib import Path

import pytest

from localrag.errors import UsageError
from localrag.evaluation.datasets import Question
from localrag.evaluation.runs import Run

FIRST, SECOND = Question("1", "Why?", "So.", "a.txt"), Question("2", "Who?", "Ada.", "a.txt")


def test_a_result_is_found_again_by_a_run_of_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    Run(path, {"k": 5}).add(FIRST, {"rank": 1})
    again = Run(path, {"k": 5})
    assert again.done(FIRST) is not None and again.done(FIRST)["rank"] == 1  # type: ignore[index]
    assert again.done(SECOND) is None
    again.add(SECOND, {"rank": 2})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("id") for row in rows] == [None, "1", "2"] and rows[0]["settings"] == {"k": 5}
    other = Run(path, {"k": 10})
    assert other.done(FIRST) is None
    other.add(FIRST, {"rank": 3})
    assert [Run(path, {"k": k}).done(FIRST)["rank"] for k in (5, 10)] == [1, 3]  # type: ignore[index]


def test_a_changed_question_is_asked_again(tmp_path: Path) -> None:
    Run(tmp_path / "out.jsonl", {}).add(FIRST, {})
    assert Run(tmp_path / "out.jsonl", {}).done(Question("1", "Why?", "So it is.", "a.txt")) is None


def test_a_line_cut_off_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    run = Run(path, {})
    run.add(FIRST, {"rank": 1})
    run.add(SECOND, {"rank": 2})
    path.write_bytes(path.read_bytes()[:-9])
    again = Run(path, {})
    assert again.done(FIRST) is not None and again.done(SECOND) is None
    again.add(SECOND, {"rank": 2})
    assert Run(path, {}).done(SECOND) is not None


@pytest.mark.parametrize("content", ["Dear diary,\nno newline", '{"question": "Why?"}\n'])
def test_a_file_that_is_no_result_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(UsageError, match="no results"):
        Run(path, {})
    assert path.read_text() == content


def test_without_a_file_results_stay_in_memory(tmp_path: Path) -> None:
    run = Run(None, {})
    run.add(FIRST, {"rank": 1})
    assert run.done(FIRST) is not None and list(tmp_path.iterdir()) == []
