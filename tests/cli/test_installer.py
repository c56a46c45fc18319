"""Models installed for a process that may reach no network: by one that was forked before it was shut off."""

from __future__ import annotations

import os
import sys

import pytest

from localrag.cli import installer
from localrag.errors import UsageError
from localrag.tui.install import Ended, Fetched, Said

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked there")

SCRIPT = """
import json, sys, time
try:
    print(json.dumps({"message": "trying " + sys.argv[1]}), flush=True)
    print(json.dumps({"what": sys.argv[1], "done": 5, "total": 10}), flush=True)
    print("not JSON", file=sys.stderr, flush=True)
    if sys.argv[1] == "slow":
        time.sleep(60)
except KeyboardInterrupt:  # as soon as something was told, it can come
    print(json.dumps({"message": "taken away again"}), flush=True)
    sys.exit(130)
sys.exit(4 if sys.argv[1] == "broken" else 0)
"""


@pytest.fixture
def broker(monkeypatch):
    """A broker that runs a script in place of the command."""
    monkeypatch.setattr(installer, "_command", lambda words: [sys.executable, "-c", SCRIPT, words[2]])
    monkeypatch.setattr(installer, "wanted", lambda: True)
    found = installer.prepare()
    assert found is not None
    return found


def never() -> bool:
    return False


def test_models_are_installed_in_order_and_told_of(broker):
    told = list(broker.install(["one", "two"], never))
    assert told[:2] == [Said("trying one"), Fetched("one", 5, 10)]
    assert Said("not JSON") in told and told[-1] == Ended(0)
    assert Said("trying two") in told


def test_failure_of_one_ends_it_and_the_next_order_is_taken(broker):
    told = list(broker.install(["broken", "two"], never))
    assert told[-1] == Ended(4) and Said("trying two") not in told
    assert list(broker.install(["two"], never))[-1] == Ended(0)


def test_stop_lets_the_installation_take_away_what_it_had(broker):
    told = []
    for one in broker.install(["slow"], lambda: Fetched("slow", 5, 10) in told):
        told.append(one)
    assert Said("taken away again") in told and told[-1] == Ended(130)
    assert list(broker.install(["two"], never))[-1] == Ended(0)


@pytest.mark.parametrize("id", ["", "--yes", "one two", "one;rm", "../x", "One\n"])
def test_nothing_but_ids_is_ordered(broker, id):
    with pytest.raises(UsageError):
        broker.install([id], never)


def test_process_ends_with_the_app(broker, monkeypatch):
    before = broker._answers
    os.close(broker._orders)
    assert os.read(before.fileno(), 10) == b""  # its end of the pipe is closed, so it is gone


def test_none_is_forked_where_a_model_is_installed_or_the_app_is_not_opened(monkeypatch):
    monkeypatch.setattr(installer, "wanted", lambda: False)
    assert installer.prepare() is None
    monkeypatch.setattr(installer, "prepare", lambda: pytest.fail("forked"))
    installer.prepare_once(["chat", "--plain"])


def test_one_is_wanted_until_a_model_that_answers_is_there(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path))
    for kind, wanted in (("embedder", True), ("generator", False)):
        assert installer.wanted()
        (tmp_path / "models" / kind).mkdir(parents=True)
        (tmp_path / "models" / kind / "model.json").write_text(f'{{"kind": "{kind}"}}')
        assert installer.wanted() is wanted


def test_import_runs_without_a_broker(monkeypatch, tmp_path):
    monkeypatch.setattr(installer, "_command", lambda words: [sys.executable, "-c", SCRIPT, words[1]])
    told = list(installer.Starter().take_in(tmp_path / "m.gguf", never))
    assert told[0] == Said("trying import") and told[-1] == Ended(0)


def test_whatever_is_told_is_understood_or_shown():
    assert installer._parsed('{"ended": 3}') == Ended(3)
    assert installer._parsed('{"installed": "x"}') == Said("")
    assert installer._parsed("[1]") == Said("[1]")
