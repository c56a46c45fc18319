"""The first start asks for a folder, a model and a yes, and goes on where it was stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from terminal import Terminal, require_tmux

from localrag.cli import app, first_start
from localrag.models import catalog, speed
from localrag.settings import Settings


@pytest.fixture
def start(home, tmp_path, monkeypatch):
    """Run the first start with typed lines; commands of localrag are recorded, and end with the given codes."""
    monkeypatch.setattr(catalog, "total_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(catalog, "physical_cores", lambda: 4)
    monkeypatch.chdir(tmp_path)

    def run(typed, codes=()):
        started, ends = [], list(codes)

        def command(words, **how):
            started.append(" ".join(words[4:]))
            return SimpleNamespace(returncode=ends.pop(0) if ends else 0)

        def replaced(program, words):
            started.append(" ".join(words[4:]))
            raise click.exceptions.Exit(0)

        monkeypatch.setattr(subprocess, "run", command)
        monkeypatch.setattr(os, "execv", replaced)
        with CliRunner().isolation(input=typed) as (_, _, out):
            try:
                first_start.run(Settings(home=home))
            except (click.exceptions.Exit, click.Abort) as stop:
                return started, out.getvalue().decode(), getattr(stop, "exit_code", 130)

    return run


BEST = "qwen3.5-4b"


def test_three_answers_install_read_and_open(start, folder, home):
    root = folder({"a.txt": "Alpha.", "b.txt": "Beta."})
    started, shown, code = start(f"{root}\n\n\n")
    assert started == [
        "models install all-minilm-l6-v2",
        f"models install {BEST}",
        f"models use {BEST}",
        f"ingest {root}",
        f"chat {root}",
    ]
    seconds = round(speed.look_up(catalog.card(BEST), Settings(home=home)).first)
    assert f"{BEST}" in shown and f"~{seconds} s" in shown and "2 files" in shown and code == 0


def test_what_cannot_be_read_is_said_and_asked_again(start, folder, tmp_path, monkeypatch):
    root, empty = folder({"a.txt": "Alpha."}), folder({}, "empty")
    monkeypatch.setenv("HOME", str(tmp_path))
    wrong = (
        tmp_path / "gone",
        tmp_path / ("x" * 300),
        root / "a.txt",
        empty,
        "~nobody-here",
        "a\0b",
        f"/\nn\n{tmp_path}\n",
    )
    typed = "".join(f"{one}\n" for one in wrong)
    started, shown, _ = start(f"{typed}{root}\nno such model\n9\nall-minilm-l6-v2\n\n\n")
    assert shown.count("error: ") == shown.count("hint: ") == 11
    assert "the whole disk" in shown and "your home folder" in shown
    assert started[-1] == f"chat {root}"


def test_a_model_that_cannot_be_fetched_is_asked_for_again_without_those_of_its_source(start, folder):
    root = folder({"a.txt": "Alpha."})
    started, shown, _ = start(f"{root}\n\n\n\n", codes=[0, 1])
    tried = [words.split()[-1] for words in started if words.startswith("models install")]
    assert tried[:2] == ["all-minilm-l6-v2", BEST]
    assert all({source.kind for source in catalog.card(id).sources} - {"hub"} for id in tried[2:]) and len(tried) == 3
    assert shown.count("2 of 3") == 2 and started[-1] == f"chat {root}"


def test_a_weak_model_is_called_so_where_it_is_named(start, folder):
    _, shown, _ = start(f"{folder({'a.txt': 'Alpha.'})}\nsmollm2-135m-instruct\n\n")
    assert "smollm2-135m-instruct is a weak model" in " ".join(shown.split())


def test_without_the_embedder_the_start_ends_and_blames_no_model(start, folder, home):
    root = folder({"a.txt": "Alpha."})
    started, shown, code = start(f"{root}\n\n\n", codes=[1])
    assert started == ["models install all-minilm-l6-v2"] and code == 1 and shown.count("2 of 3") == 1
    assert (home / "first-start.json").exists()


def test_no_to_what_was_stopped_is_remembered(start, home, tmp_path):
    home.mkdir(exist_ok=True)
    (home / "first-start.json").write_text(json.dumps({"folder": str(tmp_path), "model": BEST}))
    _, _, code = start("n\n")
    assert code == 130 and not (home / "first-start.json").exists()


def test_a_stopped_start_goes_on_with_its_answers(start, folder, home):
    root = folder({"a.txt": "Alpha."})
    started, shown, code = start(f"{root}\n\n\n", codes=[0, 128 + signal.SIGINT])
    assert code == 130 and started[-1] == f"models install {BEST}" and "goes on from here" in shown
    assert json.loads((home / "first-start.json").read_text()) == {"folder": str(root), "model": BEST}
    started, shown, code = start("\n")
    assert f"ingest {root}" in started and "2 of 3" not in shown and code == 0
    assert not (home / "first-start.json").exists()


@pytest.mark.parametrize("kept", ["", "[]", '{"folder": 5, "model": ""}', '{"folder": "/gone/for/good", "model": "x"}'])
def test_a_record_that_makes_no_sense_begins_anew(start, folder, home, kept):
    home.mkdir(exist_ok=True)
    (home / "first-start.json").write_text(kept)
    started, shown, _ = start(f"{folder({'a.txt': 'Alpha.'})}\n\n\n")
    assert "1 of 3" in shown and started[-1].startswith("chat ")


def test_a_weak_model_that_is_there_is_named_with_a_better_one(start, folder, home):
    weak = "qwen2.5-coder-1.5b-instruct"
    record = {"id": weak, "kind": "generator", "title": "", "licence": "", "source": "", "main": "m", "weights": "m"}
    record["files"] = {"m": {"sha256": "0" * 64, "size": 5, "stamp": [1, 1]}}
    there = home / "models" / weak
    there.mkdir(parents=True)
    (there / "model.json").write_text(json.dumps(record))
    _, shown, _ = start(f"{folder({'a.txt': 'Alpha.'})}\n")
    assert f"{weak} is a weak model" in shown and f"{BEST} answers better: about" in shown
    assert "is here" in shown


@pytest.fixture
def begun(home, monkeypatch):
    """Whether `localrag` with these words begins the first start."""
    calls = []
    monkeypatch.setattr(first_start, "run", calls.append)
    monkeypatch.setattr(app.offline, "confine_python", lambda: None)
    monkeypatch.setattr(app, "hide_arguments", lambda words: None)
    monkeypatch.setattr(app, "_confine", lambda words: 9)

    def run(*words, terminal=True):
        calls.clear()
        monkeypatch.setattr(sys, "argv", ["localrag", *words])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        for stream in ("stdin", "stdout", "stderr"):
            monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: terminal, raising=False)
        with pytest.raises(SystemExit):
            app.main()
        return bool(calls)

    return run


def test_it_begins_on_a_terminal_alone_and_with_nothing_set_up(begun, home):
    assert begun() and not begun(terminal=False) and not begun("chat")
    library = home / "indexes" / "papers"
    library.mkdir(parents=True)
    (library / "library.db").touch()
    assert not begun()
    (home / "first-start.json").touch()
    assert begun(), "the start before was stopped"


def test_ctrl_c_at_a_question_ends_with_130(monkeypatch, capsys):
    def stopped(settings):
        raise click.Abort

    monkeypatch.setattr(first_start, "run", stopped)
    monkeypatch.setattr(app.offline, "confine_python", lambda: None)
    with pytest.raises(SystemExit) as ended:
        app._first_start()
    assert ended.value.code == 130 and "Stopped." in capsys.readouterr().err


@pytest.mark.model
@pytest.mark.slow
def test_on_a_terminal_it_ends_in_the_first_page_of_the_library(tmp_path, installed, home):
    require_tmux()
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "lease.txt").write_text("Lease between Ada Ltd and Bo Ltd. The lease ends on 14 March 2031.\n\n" * 3)
    environ = {"LOCALRAG_HOME": str(home), "PYTHONPATH": str(Path(app.__file__).parents[2])}
    with Terminal(tmp_path) as terminal:
        terminal.run([sys.executable, "-m", "localrag"], environ | {"LOCALRAG_GENERATOR": "smollm2-135m-instruct"})
        terminal.see("1 of 3")
        terminal.type("pap\t\n")
        terminal.see("3 of 3")
        terminal.press("Enter")
        terminal.see("1 document")
        terminal.see("Who are the parties to")
        terminal.press("C-q")
        assert terminal.ended() == 0
