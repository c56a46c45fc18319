import json
import os
import signal
from functools import partial
from pathlib import Path

import command_line
import pytest
from command_line import refused, run_json
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
from localrag.cli.doctor import _calibration
from localrag.errors import Cancelled, NotFoundError, UsageError
from localrag.llm import calibration, loading
from localrag.models.records import InstalledModel, ModelStore

run = partial(command_line.run, "eval")
pytestmark = pytest.mark.usefixtures("settings")


def test_retrieval_prints_recall_by_level_and_category(dataset):
    shown = run("retrieval", dataset, "-l", "office")
    assert "3 questions (1 without an answer left out)" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[2][:5] == ["found", "n", "recall@1", "recall@3", "recall@5"]
    assert [line[:2] for line in lines[3:7]] == [["document", "3"], ["page", "1"], ["evidence", "3"], ["answer", "3"]]
    assert "by category" in shown.stdout and "a search: " in shown.stdout


def test_answers_go_on_where_they_stopped(dataset, tmp_path, model):
    out = tmp_path / "out.jsonl"
    run("answers", dataset, "-l", "office", "--limit", 2, "--mode", "retrieve", "--out", out)
    assert len(asked(model)) == 2
    report = run_json("eval", "answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out)
    assert len(asked(model)) == 2 and report["questions"] == 4
    lines = run("answers", dataset, "-l", "office", "--mode", "retrieve", "--out", out).stdout.splitlines()
    assert asked(model) == []
    assert {"has an answer 3 0", "has none 0 1"} <= {" ".join(line.split()) for line in lines}
    run("answers", dataset, "-l", "office", "--mode", "read", "--limit", 1, "--out", out)
    assert len(asked(model)) == 1


def test_ctrl_c_keeps_what_is_done_and_ends_with_130(dataset, tmp_path, model, monkeypatch):
    generate = ScriptedGenerator.generate

    def interrupted(self, *args, **more):
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


def test_the_documents_of_a_dataset_are_read_by_the_same_command(dataset, documents):
    shown = run("retrieval", dataset)
    assert shown.stdout.startswith("3 questions") and "localrag eval forget" in shown.stderr
    assert str(documents) in shown.stderr and "Read 3 documents" in shown.stderr
    again = run("retrieval", dataset, "--documents", documents, "--json")
    assert "Read " not in again.stderr and json.loads(again.stdout)["questions"] == 3
    assert Path(json.loads(again.stdout)["library_folder"]).parent.name == "evaluation"


def test_kept_libraries_are_listed_and_deleted(dataset):
    assert run_json("eval", "forget")["libraries"] == []
    run("retrieval", dataset)
    (row,) = run_json("eval", "forget")["libraries"]
    assert row["documents"] == 3 and row["name"] in run("forget").stdout
    refused(NotFoundError, "eval", "forget", "another")
    run("forget", row["name"])
    assert not Path(row["folder"]).exists()


def test_ctrl_c_while_documents_are_read_is_an_error_with_a_hint(dataset, monkeypatch):
    ingest = Library.ingest
    monkeypatch.setattr(Library, "ingest", lambda *given, **more: ingest(*given, **{**more, "stop": lambda: True}))
    with pytest.raises(Cancelled):
        run("retrieval", dataset)


def test_missing_documents_are_named_up_to_five_and_without_any_question_refused(documents):
    path = write(documents / "qa.jsonl", [{**QUESTIONS[1], "doc": "elsewhere.txt"}])
    refused(NotFoundError, "eval", "retrieval", path, "-l", "office")
    with pytest.raises(UsageError, match="both given"):
        run("retrieval", path, "--documents", documents, "-l", "office")
    rows = [QUESTIONS[0], *({**QUESTIONS[1], "id": str(i), "doc": f"gone-{i}.txt"} for i in range(7))]
    path = write(documents / "qa.jsonl", rows)
    shown = run("retrieval", path, "-l", "office", "--json")
    assert "7 questions about 7 documents" in shown.stderr and "and 2 more" in shown.stderr
    left = json.loads(shown.stdout)["left_out"]
    assert left["questions_not_in_library"] == [str(i) for i in range(7)]
    assert len(left["documents_not_in_library"]) == 7


def test_a_setting_that_changes_the_search_has_results_of_its_own(settings):
    library = open_library("office", settings=settings)
    plain, threads, home, reranker = (
        evaluate.state(library, settings.with_options(**more))
        for more in ({}, {"threads": 2}, {"home": "/x"}, {"reranker": "/m"})
    )
    assert plain == threads == home != reranker


KNOWN = {"rent": "EUR 2,450", "treasurer": "Ada Quill", "parking": ""}
GOOD = {"rent": "It is EUR 2,450 [1].", "treasurer": "Ada Quill was chosen [1].", "parking": ""}
BAD = {"rent": "It is EUR 90 [1].", "treasurer": "Ben Tarrow was chosen, as I believe.", "parking": "There are 12."}


def answers(path, message):
    rows = [{"run": "r1", "settings": {"measure": "answers", "mode": "auto"}}]
    for name, answer in message.items():
        given = {"question": f"What of {name}?", "known": KNOWN[name], "answerable": bool(KNOWN[name])}
        rows.append({"run": "r1", "id": name, **given, "answer": answer, "found": bool(answer)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def sides(tmp_path):
    return answers(tmp_path / "good.jsonl", GOOD), answers(tmp_path / "bad.jsonl", BAD)


def test_a_person_sees_first_and_second_and_no_name(tmp_path, sides):
    out, *files = tmp_path / "votes.jsonl", *sides
    result = run("arena", *files, "--out", out, "--json", typed="1=2")
    assert "good" not in result.stderr and "bad" not in result.stderr and "[1]" not in result.stderr
    assert "known: EUR 2,450" in result.stderr
    report = json.loads(result.stdout)
    assert report["votes"] == 3 and report["pairs"][0]["ties"] == 1 and report["complete"]


def test_each_run_is_graded(sides):
    good, bad = sides
    assert "3" in run("judge", good).stdout
    report = run_json("eval", "judge", good)
    assert report["runs"][0]["score"]["mean"] == 1.0 and report["questions"] == 3
    assert run_json("eval", "judge", bad)["runs"][0]["grades"]["wrong"] == 3


def test_a_person_may_stop_and_go_on(tmp_path, sides):
    out, *files = tmp_path / "votes.jsonl", *sides
    assert run("arena", *files, "--out", out, typed="q").exit_code == 130, "a table of no votes is none"
    stopped = run("arena", *files, "--out", out, typed="1q")
    assert stopped.exit_code == 130 and "Stopped after 1 of 3 questions" in stopped.stderr
    rest = run("arena", *files, "--out", out, "--json", typed="x2s")
    report = json.loads(rest.stdout)
    assert rest.exit_code == 0 and report["votes"] == 2, "one of three was passed over"


@pytest.fixture
def running(monkeypatch, tmp_path):
    model = ScriptedGenerator()
    installed = InstalledModel("scripted", "generator", tmp_path, "abc", "MIT", "a test", 1)
    monkeypatch.setattr(loading, "load_generator", lambda settings, **options: model)
    monkeypatch.setattr(ModelStore, "default", lambda self, kind: installed)
    monkeypatch.setattr(ModelStore, "preferred", lambda self, kind: installed)
    return model


def test_what_is_measured_is_kept_and_shown_unless_it_is_stopped(running, settings, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ScriptedGenerator, "weigh", lambda *args, **options: iter(()))
        assert command_line.run("calibrate").exit_code == 130 and not settings.calibration_file.exists()
    value = run_json("calibrate")
    known = calibration.load(settings.calibration_file, "scripted", "abc")
    assert value["answer_from"] == known.answer_from != calibration.Calibration().answer_from
    assert (value["apart"], known.weights) == (known.apart, "abc") and known.measured
    assert str(known.answer_from) in command_line.run("calibrate").stdout


def test_doctor_reports_whether_the_model_was_measured(running, settings):
    ((state, message),) = _calibration(settings)
    assert state == "info" and "localrag calibrate scripted" in message
    entry = calibration.Calibration(50.0, weights="abc", measured="2027-01-02")
    calibration.save(settings.calibration_file, "scripted", entry)
    ((state, message),) = _calibration(settings)
    assert state == "ok" and "2027-01-02" in message
    calibration.save(settings.calibration_file, "scripted", calibration.replace(entry, weights="def"))
    ((state, *_),) = _calibration(settings)
    assert state == "warning"
