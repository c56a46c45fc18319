"""`eval answers` beside its baselines, `eval report` and `eval read`: from questions to a page and to labels."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fakes import ScriptedGenerator
from office import asked, make_dataset, make_documents, make_model, make_settings  # noqa: F401

from localrag.cli.evaluate import eval_command
from localrag.errors import UsageError

pytestmark = pytest.mark.usefixtures("settings")


def run(*args: object, keys: str | None = None) -> Result:
    result = CliRunner().invoke(eval_command, [str(arg) for arg in args], input=keys, env=dict(os.environ))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def out(dataset: Path, tmp_path: Path) -> Path:
    """Three ways of answering the same questions, in one file."""
    file = tmp_path / "answers.jsonl"
    for way in ((), ("--plain",), ("--closed-book",)):
        given = way if way else ("--mode", "retrieve")
        assert run("answers", dataset, "-l", "office", *given, "--out", file).exit_code == 0
    return file


def test_the_baselines_are_runs_of_their_own_and_are_not_asked_twice(
    dataset: Path, out: Path, model: ScriptedGenerator
) -> None:
    heads = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines() if '"settings"' in line]
    assert [head["settings"].get("baseline") for head in heads] == [None, "plain", "closed-book"]
    asked(model)
    report = json.loads(run("answers", dataset, "-l", "office", "--plain", "--out", out, "--json").stdout)
    assert report["questions"] == 4 and report["settings"]["baseline"] == "plain" and not asked(model)
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3 * 5


def test_nothing_is_said_of_checks_that_a_baseline_does_not_have(dataset: Path) -> None:
    rates = lambda *way: json.loads(run("answers", dataset, "-l", "office", *way, "--json").stdout)["rates"]  # noqa: E731
    checks = {"unsupported_sentences", "flagged_answers"}
    assert checks <= set(rates("--mode", "retrieve")) and not checks & set(rates("--plain"))


def test_a_larger_sample_goes_on_from_a_smaller_one(dataset: Path, tmp_path: Path, model: ScriptedGenerator) -> None:
    file = tmp_path / "out.jsonl"
    run("answers", dataset, "-l", "office", "--plain", "--limit", 2, "--out", file)
    first = asked(model)
    run("answers", dataset, "-l", "office", "--plain", "--limit", 3, "--out", file)
    assert len(first) == 2 and len(asked(model)) == 1


def test_questions_are_chosen_by_what_their_lines_say(dataset: Path) -> None:
    report = json.loads(run("answers", dataset, "-l", "office", "--plain", "--where", "category=name", "--json").stdout)
    assert report["questions"] == 2 and report["chosen"] == 2
    with pytest.raises(UsageError, match="no question has the field 'colour'"):
        run("answers", dataset, "-l", "office", "--plain", "--where", "colour=red")
    assert "FIELD=VALUE" in run("answers", dataset, "-l", "office", "--plain", "--where", "red").output


def test_one_way_of_answering_is_asked_for_at_a_time(dataset: Path) -> None:
    with pytest.raises(UsageError, match="both given"):
        run("answers", dataset, "-l", "office", "--plain", "--closed-book")
    with pytest.raises(UsageError, match="--mode read was given with --plain"):
        run("answers", dataset, "-l", "office", "--plain", "--mode", "read")


def test_the_table_tells_declining_citations_and_risk(dataset: Path) -> None:
    shown = run("answers", dataset, "-l", "office", "--mode", "retrieve").stdout
    for part in (
        "declined_absent",
        "citation_recall",
        "risk and coverage: answers 0.750",
        "of the evidence's words quoted",
    ):
        assert part in shown


def test_the_page_sets_runs_side_by_side(out: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("report", out, "--out", page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and "scripted, plain" in text and "scripted, retrieve beside" in text
    run("report", out, "--out", tmp_path / "page.md")
    assert "| questions | 4 | 4 | 4 |" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_a_page_is_made_with_the_answers_and_only_in_a_form_that_is_known(
    dataset: Path, out: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    run("answers", dataset, "-l", "office", "--plain", "--out", out, "--report", page)
    assert "scripted, closed-book" in page.read_text(encoding="utf-8")
    assert "ends in none of" in run("report", out, "--out", tmp_path / "page.pdf").output
    with pytest.raises(UsageError, match="--report was given without --out"):
        run("answers", dataset, "-l", "office", "--plain", "--report", page)


def test_results_of_something_else_make_no_page(dataset: Path, tmp_path: Path) -> None:
    file = tmp_path / "retrieval.jsonl"
    run("retrieval", dataset, "-l", "office", "--out", file)
    with pytest.raises(UsageError, match="no answers with the figures of this version") as error:
        run("report", file, "--out", tmp_path / "page.md")
    assert "scored anew" in error.value.hint


def test_answers_are_read_without_the_setting_and_the_tally_names_it(out: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    first = run("read", out, "--labels", labels, keys="rxp\nq")
    assert "scripted" not in first.output and "[1]" not in first.output and "goes on" in first.output
    assert next(json.loads(line)["label"] for line in labels.read_text(encoding="utf-8").splitlines()) == "right"
    left = run("read", out, "--labels", labels, keys="w" * 20)
    assert "scripted, closed-book" in left.stdout
    tally = json.loads(run("read", out, "--labels", labels, "--tally", "--json").stdout)["runs"]
    assert len(tally) == 3 and sum(one["unread"] for one in tally) == 0
    assert sum(one["right"] + one["partly"] + one["wrong"] for one in tally) == 12


def test_what_is_skipped_is_shown_again(out: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    skipped = run("read", out, "--labels", labels, keys="s" * 20)
    assert not labels.exists() and "unread" in skipped.stdout
    again = run("read", out, "--labels", labels, keys="q")
    assert "--- 1 of " in again.output


def test_documents_that_were_only_touched_are_no_reason_to_ask_again(
    dataset: Path, documents: Path, tmp_path: Path, model: ScriptedGenerator
) -> None:
    args = ("answers", dataset, "--documents", documents, "--plain", "--out", tmp_path / "out.jsonl")
    run(*args)
    assert asked(model)
    for file in documents.rglob("*.txt"):
        os.utime(file, (1, 1))
    run(*args)
    assert not asked(model)
    (documents / "policy.txt").write_text("Travel policy.\n\nAll taxis are paid for.\n", encoding="utf-8")
    run(*args)
    assert asked(model)
