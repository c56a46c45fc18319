"""`localrag eval`: what it prints and leaves out, and that it continues where it stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import command_line
import pytest
from command_line import run_json
from fakes import ScriptedGenerator
from office import (  # noqa: F401
    QUESTIONS,
    asked,
    make_dataset,
    make_documents,
    make_model,
    make_settings,
    write,
)

from localrag.api import Library, open_library
from localrag.cli import evaluate
from localrag.errors import Cancelled, NotFoundError, UsageError
from localrag.settings import Settings

LEASE_AT_LENGTH = (
    "The monthly rent of the harbour office is EUR 2,450 and is due on the first day of the month. Either party may "
    "end the lease with ninety days' written notice to the other party, sent by registered letter."
)

run = partial(command_line.run, "eval")
pytestmark = pytest.mark.usefixtures("settings")


def test_retrieval_prints_recall_by_level_and_category(dataset: Path) -> None:
    shown = run("retrieval", dataset, "-l", "office")
    assert "3 questions (1 without an answer left out)" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[2][:5] == ["found", "n", "recall@1", "recall@3", "recall@5"]
    assert [line[:2] for line in lines[3:7]] == [["document", "3"], ["page", "1"], ["evidence", "3"], ["answer", "3"]]
    assert "by category" in shown.stdout and "a search: " in shown.stdout


def test_retrieval_json_is_one_object_on_stdout(dataset: Path) -> None:
    report = run_json("eval", "retrieval", dataset, "-l", "office", "-k", 3, "--within-document")
    assert report["complete"] is True and report["left_out"]["unanswerable"] == 1
    assert list(report["levels"]["document"]) == ["recall@1", "recall@3", "ndcg@10", "mrr"]
    assert report["settings"]["within_document"] is True and report["settings"]["embedder"]["model"] == "hashing"


def test_no_question_about_the_library_is_an_error(documents: Path) -> None:
    path = write(documents / "qa.jsonl", [{**QUESTIONS[1], "doc": "elsewhere.txt"}])
    with pytest.raises(NotFoundError, match="none of the 1 documents"):
        run("retrieval", path, "-l", "office")


def test_answers_prints_what_was_answered_and_how_many_quotes_stand(dataset: Path) -> None:
    shown = run("answers", dataset, "-l", "office", "--mode", "retrieve")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["has", "an", "answer", "3", "0"] in lines and ["has", "none", "0", "1"] in lines


def test_answers_go_on_where_they_stopped(dataset: Path, tmp_path: Path, model: ScriptedGenerator) -> None:
    out = tmp_path / "out.jsonl"
    run("answers", dataset, "-l", "office", "--limit", 2, "--mode", "retrieve", "--out", out)
    assert len(asked(model)) == 2
    report = run_json("eval", "answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out)
    assert len(asked(model)) == 2 and report["questions"] == 4
    run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out)
    assert asked(model) == []
    run("answers", dataset, "-l", "office", "--mode", "read", "--limit", 1, "--out", out)
    assert len(asked(model)) == 1


def test_ctrl_c_keeps_what_is_done_and_ends_with_130(
    dataset: Path, tmp_path: Path, model: ScriptedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
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


# --- documents ----------------------------------------------------------------------------------------------


def test_the_documents_of_a_dataset_are_read_by_the_same_command(dataset: Path, documents: Path) -> None:
    shown = run("retrieval", dataset)
    assert shown.stdout.startswith("3 questions") and "localrag eval forget" in shown.stderr
    assert str(documents) in shown.stderr and "Read 3 documents" in shown.stderr
    again = run("retrieval", dataset, "--documents", documents, "--json")
    assert "Read " not in again.stderr and json.loads(again.stdout)["questions"] == 3
    assert Path(json.loads(again.stdout)["library_folder"]).parent.name == "evaluation"


def test_a_library_and_a_folder_are_not_taken_together(dataset: Path, documents: Path) -> None:
    with pytest.raises(UsageError, match="both given"):
        run("retrieval", dataset, "--documents", documents, "-l", "office")


def test_kept_libraries_are_listed_and_deleted(dataset: Path) -> None:
    assert run_json("eval", "forget")["libraries"] == []
    run("retrieval", dataset)
    (row,) = run_json("eval", "forget")["libraries"]
    assert row["documents"] == 3 and row["name"] in run("forget").stdout
    run("forget", row["name"])
    assert not Path(row["folder"]).exists()


def test_ctrl_c_while_documents_are_read_is_an_error_with_a_hint(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest = Library.ingest
    monkeypatch.setattr(
        Library, "ingest", lambda self, folder, **more: ingest(self, folder, **{**more, "stop": lambda: True})
    )
    with pytest.raises(Cancelled):
        run("retrieval", dataset)


def test_every_missing_document_is_named_up_to_five_and_listed_in_json(documents: Path) -> None:
    rows = [QUESTIONS[0], *({**QUESTIONS[1], "id": str(i), "doc": f"gone-{i}.txt"} for i in range(7))]
    path = write(documents / "qa.jsonl", rows)
    shown = run("retrieval", path, "-l", "office", "--json")
    assert "7 questions about 7 documents" in shown.stderr and "and 2 more" in shown.stderr
    left = json.loads(shown.stdout)["left_out"]
    assert left["questions_not_in_library"] == [str(i) for i in range(7)]
    assert len(left["documents_not_in_library"]) == 7


def test_a_setting_that_changes_the_search_has_results_of_its_own(settings: Settings) -> None:
    library = open_library("office", settings=settings)
    plain, threads, home, reranker = (
        evaluate.state(library, settings.with_options(**more))
        for more in ({}, {"threads": 2}, {"home": "/x"}, {"reranker": "/m"})
    )
    assert plain == threads == home != reranker
