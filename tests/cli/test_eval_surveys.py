"""`localrag eval surveys`: what it prints and writes, and that it goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import ScriptedGenerator
from office import make_dataset, make_documents, make_model, make_settings, write  # noqa: F401

from localrag.cli.evaluate import eval_command
from localrag.errors import UsageError

pytestmark = pytest.mark.usefixtures("settings")
RENT = ("--ask", "Which documents have a rent clause?", "--category", "Rent")
LABELS = {"contracts/lease.txt": "EUR 2,450", "policy.txt": "", "minutes.txt": "EUR 1"}


@pytest.fixture(name="model")
def make_yes_to_rent() -> ScriptedGenerator:
    reply = json.dumps({"found": True, "answer": "yes", "quote": "The monthly rent is EUR 2,450"})
    return ScriptedGenerator([("", reply)], weights=[("monthly rent", "yes"), ("", "no")])


@pytest.fixture(name="labelled")
def make_labelled(documents: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": doc, "question": "Rent?", "answer": answer, "answerable": bool(answer), "doc": doc, "category": "Rent"}
        for doc, answer in LABELS.items()
    ]
    return write(documents / "qa.jsonl", rows)


def run(*args: object) -> Result:
    result = CliRunner().invoke(eval_command, ["surveys", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_counts_figures_costs_and_wrong_documents_are_printed(labelled: Path) -> None:
    shown = run(labelled, "-l", "office", *RENT).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert {"documents 3", "right yes 1", "wrong yes 0", "missed 1"} <= set(lines)
    assert any(line.startswith("f1 0.667 [0.000, 1.000] saying yes to all has 0.800") for line in lines)
    assert "quotes: 1 of 1 stand in the document" in shown and "missed: minutes.txt" in shown


def test_json_has_the_labels_asked_for_and_the_figures(labelled: Path) -> None:
    report = json.loads(run(labelled, "-l", "office", *RENT, "--holds", "2,450", "--json").stdout)
    [survey] = report["surveys"]
    assert (report["complete"], report["questions"], report["chosen"]) == (True, 1, 1)
    assert survey["holds"] == "2,450" and survey["f1"]["mean"] == 1.0 and survey["wrong"] == []


def test_what_is_kept_is_not_asked_again_and_may_have_other_labels(
    labelled: Path, tmp_path: Path, model: ScriptedGenerator
) -> None:
    out = tmp_path / "out.jsonl"
    run(labelled, "-l", "office", *RENT, "--out", out)
    model.prompts.clear()
    again = json.loads(run(labelled, "-l", "office", *RENT, *RENT, "--holds", "", "--holds", "2,450",
                           "--out", out, "--json").stdout)  # fmt: skip
    assert [one["missed"] for one in again["surveys"]] == [1, 0] and model.prompts == []


def test_wrong_documents_are_written_down(labelled: Path, tmp_path: Path) -> None:
    page = tmp_path / "misses.md"
    assert "1 documents wrong" in run(labelled, "-l", "office", *RENT, "--misses", page).stderr
    assert "## minutes.txt" in page.read_text(encoding="utf-8")


def test_documents_may_be_read_for_it(labelled: Path) -> None:
    [survey] = json.loads(run(labelled, *RENT, "--json").stdout)["surveys"]
    assert survey["documents"] == 3 and survey["without_label"] == 0


def test_each_question_needs_a_category_and_may_have_what_its_label_holds(labelled: Path) -> None:
    with pytest.raises(UsageError, match="--category 1 times"):
        run(labelled, "-l", "office", *RENT, "--ask", "Which leases allow pets?")
    with pytest.raises(UsageError, match="--holds 1 times"):
        run(labelled, "-l", "office", *RENT, *RENT, "--holds", "x")
