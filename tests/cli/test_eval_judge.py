"""`localrag eval judge` and `localrag eval arena`: questions, grades, saved results and reports."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import ScriptedGenerator
from office import make_dataset, make_documents, make_model, make_settings  # noqa: F401

from localrag.cli.evaluate import eval_command
from localrag.errors import NotFoundError, UsageError

pytestmark = pytest.mark.usefixtures("settings")
KNOWN = {"rent": "EUR 2,450", "treasurer": "Ada Quill", "parking": ""}
GOOD = {"rent": "It is EUR 2,450 [1].", "treasurer": "Ada Quill was chosen [1].", "parking": ""}
BAD = {"rent": "It is EUR 90 [1].", "treasurer": "Ben Tarrow was chosen, as I believe.", "parking": "There are 12."}


def run(*args: object, keys: str | None = None) -> Result:
    result = CliRunner().invoke(eval_command, [str(arg) for arg in args], input=keys)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def answers(path: Path, message: dict[str, str]) -> Path:
    rows: list[dict[str, Any]] = [{"run": "r1", "settings": {"measure": "answers", "mode": "auto"}}]
    rows += [
        {"run": "r1", "id": name, "question": f"What of {name}?", "known": KNOWN[name], "answer": answer,
         "found": bool(answer), "answerable": bool(KNOWN[name])}
        for name, answer in message.items()
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- judge --------------------------------------------------------------------------------------------------


def test_a_score_is_shown_with_the_kappa_of_its_judge(tmp_path: Path) -> None:
    path = answers(tmp_path / "good.jsonl", GOOD)
    assert "kappa 0." in run("judge", path).stdout
    report = json.loads(run("judge", path, "--json").stdout)
    assert report["runs"][0]["score"]["mean"] == 1.0 and report["decides"] and report["agreement_on"] == "sample"


def test_a_model_that_agrees_with_nobody_decides_nothing(tmp_path: Path, model: ScriptedGenerator) -> None:
    path = answers(tmp_path / "bad.jsonl", BAD)
    report = json.loads(run("judge", path, "--judge", "scripted", "--json").stdout)
    assert report["runs"][0]["grades"]["right"] == 2, "it says right to everything"
    assert report["decides"] is False and report["agreement"]["kappa"] < 0.6 and report["agreement_on"] == "sample"


def test_the_sample_is_put_to_a_model_once(tmp_path: Path, model: ScriptedGenerator) -> None:
    path, out = answers(tmp_path / "bad.jsonl", BAD), tmp_path / "grades.jsonl"
    run("judge", path, "--judge", "scripted", "--out", out)
    model.prompts.clear()
    again = run("judge", path, "--judge", "scripted", "--out", out)
    assert model.prompts == [] and "bad" in again.stdout


def test_own_labels_decide_if_there_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, labels = answers(tmp_path / "good.jsonl", GOOD), tmp_path / "labels.jsonl"
    rows = [
        {"id": "rent", "label": "wrong"},
        {"id": "treasurer", "label": "wrong"},
        {"id": "parking", "label": "right"},
    ]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = json.loads(run("judge", path, "--labels", labels, "--json").stdout)
    assert few["agreement_on"] == "sample" and few["decides"]
    monkeypatch.setattr("localrag.cli.evaluate._MIN_LABELS", 3)
    many = json.loads(run("judge", path, "--labels", labels, "--json").stdout)
    assert many["agreement_on"] == "labels" and many["agreement"]["n"] == 3 and not many["decides"]


def test_a_file_without_answers_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError):
        run("judge", dataset)


# --- arena --------------------------------------------------------------------------------------------------


def test_two_files_of_answers_meet(tmp_path: Path) -> None:
    files = answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)
    report = json.loads(run("arena", *files, "--json").stdout)
    assert report["pairs"] == [{"first": "good", "second": "bad", "wins": 3, "ties": 0, "losses": 0}]
    assert [one["side"] for one in report["strengths"]] == ["good", "bad"]
    assert report["complete"] and report["decides"] and report["chosen"] == report["questions"] == 3
    assert "kappa 0." in run("arena", *files).stdout


def test_two_settings_are_asked_and_judged_and_nothing_twice(
    dataset: Path, tmp_path: Path, model: ScriptedGenerator
) -> None:
    out = tmp_path / "arena.jsonl"
    args = ("arena", "as-it-is", "plain,answer_tokens=100", dataset, "-l", "office", "--out", out)
    report = json.loads(run(*args, "--json").stdout)
    assert [one["side"] for one in report["sides"]] == ["as-it-is", "plain,answer_tokens=100"]
    assert report["questions"] == report["votes"] == report["pairs"][0]["ties"] == 4, "the fake says the same to both"
    model.prompts.clear()
    assert json.loads(run(*args, "--json").stdout)["pairs"] == report["pairs"] and model.prompts == []
    measures = [
        json.loads(line)["settings"]["measure"] for line in out.read_text().splitlines() if '"settings"' in line
    ]
    assert measures == ["answers", "answers"]


def test_settings_may_meet_a_file(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "before.jsonl"
    run("answers", dataset, "-l", "office", "--out", out)
    report = json.loads(run("arena", out, "closed-book", dataset, "-l", "office", "--json").stdout)
    assert [one["side"] for one in report["sides"]] == ["before", "closed-book"] and report["questions"] == 4


def test_a_person_sees_first_and_second_and_no_name(tmp_path: Path) -> None:
    files = answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)
    out = tmp_path / "votes.jsonl"
    result = run("arena", *files, "--person", "--out", out, "--json", keys="1=2")
    assert "good" not in result.stderr and "bad" not in result.stderr and "[1]" not in result.stderr
    assert "known: EUR 2,450" in result.stderr
    report = json.loads(result.stdout)
    assert report["votes"] == 3 and report["pairs"][0]["ties"] == 1 and report["agreement"] is None
    assert report["decides"] is True


def test_a_person_may_stop_and_go_on(tmp_path: Path) -> None:
    files = answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)
    out = tmp_path / "votes.jsonl"
    stopped = run("arena", *files, "--person", "--out", out, keys="1q")
    assert stopped.exit_code == 130 and "Stopped after 1 of 3 questions" in stopped.stderr
    rest = run("arena", *files, "--person", "--out", out, "--json", keys="x2s")
    report = json.loads(rest.stdout)
    assert rest.exit_code == 0 and report["votes"] == 2, "one of three was passed over"


def test_malformed_sides_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run("arena", "as-it-is", "plain")
    with pytest.raises(NotFoundError):
        run("arena", "as-it-is", "plane", dataset)
    with pytest.raises(UsageError):
        run("arena", dataset, "plain", dataset)
    with pytest.raises(UsageError):
        run("arena", answers(tmp_path / "good.jsonl", GOOD))
    with pytest.raises(UsageError):
        run("arena", "as-it-is", "plain", dataset, "--person")


def test_an_interrupt_keeps_what_was_answered(
    dataset: Path, tmp_path: Path, model: ScriptedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = ScriptedGenerator.generate

    def interrupted(self: ScriptedGenerator, *args: Any, **more: Any) -> Iterator[Any]:
        if len(model.prompts) > 3:
            os.kill(os.getpid(), signal.SIGINT)
        yield from generate(self, *args, **more)

    monkeypatch.setattr(ScriptedGenerator, "generate", interrupted)
    out = tmp_path / "arena.jsonl"
    args = ("arena", "as-it-is", "plain", dataset, "-l", "office", "--out", out)
    stopped = run(*args)
    assert stopped.exit_code == 130 and '"answer"' in out.read_text()
    monkeypatch.setattr(ScriptedGenerator, "generate", generate)
    assert json.loads(run(*args, "--json").stdout)["questions"] == 4
