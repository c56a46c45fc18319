"""Models installed by a process that was forked before the app was confined."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from localrag.cli import installer
from localrag.errors import Cancelled, LocalragError, UsageError
from localrag.tui.lanes import InstallProgress

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked there")

SCRIPT = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
try:
    print(json.dumps({"message": "trying " + sys.argv[1]}), flush=True)
    print(json.dumps({"what": sys.argv[1], "done": 5, "total": 10}), flush=True)
    print("not JSON", file=sys.stderr, flush=True)
    if sys.argv[1] == "slow":
        time.sleep(60)
except KeyboardInterrupt:  # it can come as soon as a line was printed
    print(json.dumps({"message": "taken away again"}), flush=True)
    sys.exit(130)
sys.exit(4 if sys.argv[1] == "broken" else 0)
"""


@pytest.fixture
def forked(monkeypatch):
    """An installer that runs a script in place of the command."""
    monkeypatch.setattr(installer, "_command", lambda id: [sys.executable, "-c", SCRIPT, id])
    return installer.fork()


def never() -> bool:
    return False


def test_models_are_installed_in_order_and_progress_is_reported(forked):
    progress = list(forked.install(["one", "two"], never))
    assert progress[:2] == [InstallProgress("trying one"), InstallProgress("one", 5, 10)]
    assert InstallProgress("not JSON") in progress and InstallProgress("trying two") in progress


def test_a_failure_ends_the_order_and_the_next_one_is_taken(forked):
    seen = []
    with pytest.raises(LocalragError, match="exit code 4"):
        seen.extend(forked.install(["broken", "two"], never))
    assert InstallProgress("trying two") not in seen
    assert list(forked.install(["two"], never))


def test_a_stop_lets_the_installation_clean_up(forked):
    seen = []
    with pytest.raises(Cancelled):
        for one in forked.install(["slow"], lambda: InstallProgress("slow", 5, 10) in seen):
            seen.append(one)
    assert list(forked.install(["two"], never))


@pytest.mark.parametrize("id", ["", "--yes", "one two", "one;rm", "../x", "One\n", "stop"])
def test_nothing_but_ids_is_ordered(forked, id):
    with pytest.raises(UsageError):
        list(forked.install([id], never))


def test_the_process_ends_with_the_app(forked):
    forked._orders.close()
    with pytest.raises(EOFError):
        forked._replies.recv_bytes()


@pytest.mark.parametrize(
    ("arguments", "terminal", "wanted", "forks"),
    [(["chat"], True, True, 1), (["chat", "--plain"], True, True, 0), ([], False, True, 0), ([], True, False, 0)],
)
def test_a_process_is_forked_only_for_the_app_without_a_model(monkeypatch, arguments, terminal, wanted, forks):
    asked = []
    monkeypatch.setattr(
        installer,
        "sys",
        SimpleNamespace(**dict.fromkeys(("stdin", "stdout"), SimpleNamespace(isatty=lambda: terminal))),
    )
    monkeypatch.setattr(installer, "is_wanted", lambda: wanted)
    monkeypatch.setattr(installer, "fork", lambda: asked.append(1))
    installer.prepare(arguments)
    assert len(asked) == forks


def test_a_model_is_wanted_until_one_that_answers_is_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path))
    for kind, wanted in (("embedder", True), ("generator", False)):
        assert installer.is_wanted()
        (tmp_path / "models" / kind).mkdir(parents=True)
        (tmp_path / "models" / kind / "model.json").write_text(f'{{"kind": "{kind}"}}')
        assert installer.is_wanted() is wanted
