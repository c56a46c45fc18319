"""The model hub, played by a server on the loopback interface; the hub's own library speaks to it."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tiny_models import gguf, sha256

REVISION = "0123456789abcdef0123456789abcdef01234567"
DATA = gguf(filling=b"from the hub" * 1000)

RUN = """
import json, sys
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
bench = Bench(__import__("pathlib").Path(sys.argv[2]), sources=("hub",))
try:
    model = bench.install("hubbed", **options)
    answer = {"sha256": model.sha256, "bytes": model.bytes, "source": model.source}
except LocalragError as error:
    answer = {"error": error.message, "hint": error.hint, "unreachable": getattr(error, "unreachable", None)}
import os
from huggingface_hub import constants
answer |= {"said": bench.said, "asked": bench.asked, "done": bench.done, "names": sorted(bench.names()),
           "offline": [constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")]}
print(json.dumps(answer))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
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

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def install(endpoint: str, home: Path, **options: Any) -> dict[str, Any]:
    given = {"revision": REVISION, "file": "m.gguf", "sha256": sha256(DATA), "bytes": len(DATA), **options}
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    environment = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf"), "HF_TOKEN": "hf_geheim"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(given), str(home)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer | {"stderr": done.stderr}


@pytest.mark.parametrize("early", [False, True], ids=["library imported late", "library imported while offline"])
def test_a_hub_file_is_installed_with_progress_and_without_a_token(hub: str, tmp_path: Path, early: bool) -> None:
    answer = install(hub, tmp_path, early=early)
    assert answer["sha256"] == sha256(DATA)
    assert answer["done"][-1] == len(DATA) and len(answer["done"]) >= 2
    assert answer["names"] == ["hubbed"] and answer["asked"] == []
    assert answer["offline"] == [True, "1"], "the switch must be back"
    assert Hub.seen and all("authorization" not in {name.lower() for name in headers} for _, headers in Hub.seen)
    assert all("/resolve/" in path for path, _ in Hub.seen), "nothing but the file is asked for"


def test_a_hub_file_with_a_wrong_hash_is_refused(hub: str, tmp_path: Path) -> None:
    answer = install(hub, tmp_path, sha256="0" * 64)
    assert "expected 000" in answer["error"]
    assert answer["names"] == []


def test_a_file_that_the_hub_lacks_is_named(hub: str, tmp_path: Path) -> None:
    answer = install(hub, tmp_path, file="gone.gguf")
    assert "no gone.gguf in some/model" in answer["error"]
    assert answer["unreachable"] is False and answer["names"] == []


def test_a_hub_without_an_address_is_unreachable_at_once_and_in_one_line(tmp_path: Path) -> None:
    answer = install("http://no-such-host.invalid", tmp_path)
    assert answer["error"] == "the model hub cannot be reached"
    assert answer["unreachable"] is True and answer["names"] == []
    assert "invalid" not in answer["stderr"] and "Retrying" not in answer["stderr"]
