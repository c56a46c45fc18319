"""`localrag eval`: what it prints, what it leaves out, and that it goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from evaluation.office import (  # noqa: F401
    QUESTIONS,
    asked,
    make_dataset,
    make_documents,
    make_model,
    make_settings,
    write,
)  # fmt: skip

from localrag.cli.evaluate import eval_command
from localrag.errors import NotFoundError
from localrag.generation import ScriptedGenerator

pytestmark = pytest.mark.usefixtures("settings")


def run(*args: object) -> Result:
    result = CliRunner().invoke(eval_command, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_retrieval_prints_recall_by_level_and_category(dataset: Path) -> None:
    shown = run("retrieval", dataset, "-l", "office")
    assert "3 questions (1 that the documents do not answer left out)" in shown.stdout
    assert [line.split()[:2] for line in shown.stdout.splitlines()[3:7]] == [
        ["document", "3"], ["page", "1"], ["evidence", "3"], ["answer", "3"],
    ]  # fmt: skip
    assert "recall@5 by category" in shown.stdout and "a search: " in shown.stdout


def test_retrieval_json_is_one_object_on_stdout(dataset: Path) -> None:
    report = json.loads(run("retrieval", dataset, "-l", "office", "-k", 3, "--within-document", "--json").stdout)
    assert report["complete"] is True and report["left_out"]["unanswerable"] == 1
    assert list(report["levels"]["document"]) == ["recall@1", "recall@3", "mrr"]
    assert report["settings"]["within_document"] is True and report["settings"]["embedder"]["model"] == "hashing"


def test_a_missing_library_says_how_to_make_it(dataset: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        run("retrieval", dataset, "-l", "nowhere")
    assert "localrag ingest FOLDER --name 'nowhere'" in caught.value.hint


def test_questions_about_documents_elsewhere_are_left_out_and_said(documents: Path) -> None:
    path = write(documents / "qa.jsonl", [QUESTIONS[0], {**QUESTIONS[1], "doc": "elsewhere.txt"}])
    shown = run("retrieval", path, "-l", "office")
    assert "Left out: 1 questions about 1 documents that are not in 'office'" in shown.stderr
    assert shown.stdout.startswith("1 questions")


def test_no_question_about_the_library_is_an_error(documents: Path) -> None:
    path = write(documents / "qa.jsonl", [{**QUESTIONS[1], "doc": "elsewhere.txt"}])
    with pytest.raises(NotFoundError, match="none of the 1 documents"):
        run("retrieval", path, "-l", "office")


def test_answers_prints_what_was_answered_and_how_many_quotes_stand(dataset: Path) -> None:
    shown = run("answers", dataset, "-l", "office", "--mode", "retrieve")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["has", "an", "answer", "3", "0"] in lines and ["has", "none", "0", "1"] in lines
    assert "stand in the document as shown" in shown.stdout


def test_answers_go_on_where_they_stopped(
    dataset: Path, tmp_path: Path, model: ScriptedGenerator
) -> None:  # fmt: skip
    out = tmp_path / "out.jsonl"
    run("answers", dataset, "-l", "office", "--limit", 2, "--mode", "retrieve", "--out", out)
    assert len(asked(model)) == 2
    report = json.loads(run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out, "--json").stdout)
    assert len(asked(model)) == 2 and report["questions"] == 4
    run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out)
    assert asked(model) == []
    run("answers", dataset, "-l", "office", "--mode", "read", "--limit", 1, "--out", out)
    assert len(asked(model)) == 1


def test_ctrl_c_keeps_what_is_done_and_ends_with_130(
    dataset: Path, tmp_path: Path, model: ScriptedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    generate = ScriptedGenerator.generate

    def interrupted(self: ScriptedGenerator, *args: Any, **more: Any) -> Any:
        if "treasurer" in args[0][-1].text.rsplit("Question:", 1)[-1]:
            os.kill(os.getpid(), signal.SIGINT)
        return generate(self, *args, **more)

    monkeypatch.setattr(ScriptedGenerator, "generate", interrupted)
    out = tmp_path / "out.jsonl"
    stopped = run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out)
    assert stopped.exit_code == 130 and "Stopped after 1 of 4 questions." in stopped.stderr
    assert len(out.read_text().splitlines()) == 2
    monkeypatch.setattr(ScriptedGenerator, "generate", generate)
    assert run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out).exit_code == 0


def test_the_module_loads_nothing_heavy() -> None:
    import subprocess

    code = "import sys, localrag.cli.evaluate; print(sorted({'numpy', 'torch', 'faiss', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_says_that_documents_are_read_in_beforehand() -> None:
    assert "localrag ingest" in run("--help").stdout
