"""`localrag eval judge` and `localrag eval arena`: questions, grades, saved results and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import command_line
import pytest
from click.testing import Result
from office import make_dataset, make_documents, make_model, make_settings  # noqa: F401

from localrag.errors import UsageError

pytestmark = pytest.mark.usefixtures("settings")
KNOWN = {"rent": "EUR 2,450", "treasurer": "Ada Quill", "parking": ""}
GOOD = {"rent": "It is EUR 2,450 [1].", "treasurer": "Ada Quill was chosen [1].", "parking": ""}
BAD = {"rent": "It is EUR 90 [1].", "treasurer": "Ben Tarrow was chosen, as I believe.", "parking": "There are 12."}


def run(*words: object, keys: str | None = None) -> Result:
    return command_line.run("eval", *words, typed=keys)


def answers(path: Path, message: dict[str, str]) -> Path:
    rows: list[dict[str, Any]] = [{"run": "r1", "settings": {"measure": "answers", "mode": "auto"}}]
    rows += [
        {
            "run": "r1",
            "id": name,
            "question": f"What of {name}?",
            "known": KNOWN[name],
            "answer": answer,
            "found": bool(answer),
            "answerable": bool(KNOWN[name]),
        }
        for name, answer in message.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- judge --------------------------------------------------------------------------------------------------


def test_each_run_is_graded(tmp_path: Path) -> None:
    assert "3" in run("judge", answers(tmp_path / "good.jsonl", GOOD)).stdout
    report = json.loads(run("judge", tmp_path / "good.jsonl", "--json").stdout)
    assert report["runs"][0]["score"]["mean"] == 1.0 and report["questions"] == 3
    report = json.loads(run("judge", answers(tmp_path / "bad.jsonl", BAD), "--json").stdout)
    assert report["runs"][0]["grades"]["wrong"] == 3


def test_a_file_without_answers_is_refused(dataset: Path) -> None:
    command_line.refused(UsageError, "eval", "judge", dataset)


# --- arena --------------------------------------------------------------------------------------------------


def test_a_person_sees_first_and_second_and_no_name(tmp_path: Path) -> None:
    files = answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)
    out = tmp_path / "votes.jsonl"
    result = run("arena", *files, "--out", out, "--json", keys="1=2")
    assert "good" not in result.stderr and "bad" not in result.stderr and "[1]" not in result.stderr
    assert "known: EUR 2,450" in result.stderr
    report = json.loads(result.stdout)
    assert report["votes"] == 3 and report["pairs"][0]["ties"] == 1 and report["complete"]


def test_a_person_may_stop_and_go_on(tmp_path: Path) -> None:
    files = answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)
    out = tmp_path / "votes.jsonl"
    stopped = run("arena", *files, "--out", out, keys="1q")
    assert stopped.exit_code == 130 and "Stopped after 1 of 3 questions" in stopped.stderr
    rest = run("arena", *files, "--out", out, "--json", keys="x2s")
    report = json.loads(rest.stdout)
    assert rest.exit_code == 0 and report["votes"] == 2, "one of three was passed over"


def test_one_side_is_refused(tmp_path: Path) -> None:
    file = answers(tmp_path / "good.jsonl", GOOD)
    command_line.refused(UsageError, "eval", "arena", file, "--out", tmp_path / "votes.jsonl")
