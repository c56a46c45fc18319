"""`localrag eval routes`: what it prints, and that it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import ScriptedGenerator
from office import (  # noqa: F401
    QUESTIONS,
    asked,
    make_dataset,
    make_documents,
    make_model,
    make_settings,
    write,
)  # fmt: skip

from localrag.cli.evaluate import eval_command
from localrag.errors import UsageError

pytestmark = pytest.mark.usefixtures("settings")


def run(*args: object) -> Result:
    result = CliRunner().invoke(eval_command, ["routes", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_two_tables_goals_and_regret_are_printed(dataset: Path) -> None:
    shown = run(dataset, "-l", "office").stdout
    lines = [line.split()[:1] for line in shown.splitlines()]
    assert "4 questions about 4 documents" in shown
    assert lines.count(["retrieve"]) == lines.count(["read"]) == 2 and "Cold: " in shown and "Warm: " in shown
    assert "cold: tokens of auto to those of read" in shown and "at most 0.61" in shown
    assert "Regret cold: score" in shown and "Regret warm: score" in shown and "escalated" in shown


def test_json_has_the_tables_the_regret_and_the_goals(dataset: Path) -> None:
    report = json.loads(run(dataset, "-l", "office", "--json").stdout)
    assert report["complete"] is True and report["questions"] == 4
    assert set(report["fits"]) == {"questions", "documents", "cold", "warm", "regret", "goals"}
    assert report["settings"]["within_document"] is True and "calls" not in json.dumps(report)


def test_what_is_done_is_not_asked_again(dataset: Path, tmp_path: Path, model: ScriptedGenerator) -> None:
    out = tmp_path / "out.jsonl"
    first = json.loads(run(dataset, "-l", "office", "--out", out, "--json").stdout)
    assert asked(model)
    assert json.loads(run(dataset, "-l", "office", "--out", out, "--json").stdout) == first
    assert asked(model) == []


def test_only_the_plans_named_are_asked(dataset: Path) -> None:
    report = json.loads(run(dataset, "-l", "office", "--plans", "read", "--json").stdout)
    assert set(report["fits"]["warm"]) == {"read"} and "auto_took" not in report
    assert run(dataset, "-l", "office", "--plans", "guess").exit_code == 2


def test_documents_are_drawn_before_questions(dataset: Path) -> None:
    report = json.loads(
        run(dataset, "-l", "office", "--documents-limit", 2, "--limit", 5, "--plans", "retrieve", "--json").stdout
    )
    assert report["documents_chosen"] == report["chosen"] == 2


def test_two_settings_are_compared_by_what_auto_gave(dataset: Path) -> None:
    shown = run(dataset, "-l", "office", "--compare", "as-it-is", "read_tokens=128").stdout
    assert "auto on 4 questions by both" in shown and "b: read_tokens=128" in shown
    assert {"cold", "warm"} <= {line.split()[0] for line in shown.splitlines() if line.strip()}


def test_several_sets_are_asked_of_one_library_that_holds_all_their_documents(tmp_path: Path) -> None:
    for name, row, text in (("one", QUESTIONS[0], "The monthly rent is EUR 2,450."), ("two", QUESTIONS[2], "Taxis.")):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        (folder / "same.txt").write_text(f"{text}\n", encoding="utf-8")
        write(folder / "qa.jsonl", [{**row, "id": "1", "doc": "same.txt"}])
    result = run(tmp_path / "sets", "--within", "library", "--plans", "retrieve,auto", "--json")
    report = json.loads(result.stdout)
    assert report["questions"] == 2 and report["documents"] == 2
    assert report["settings"]["within_document"] is False
    assert list(report["fits"]["regret"]["cold"]["by_kind"]) in (["one", "two"], ["two", "one"])


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has a qa.jsonl"):
        run(tmp_path)
