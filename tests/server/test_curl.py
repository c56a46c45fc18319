"""What people type: curl against a real server, a stream of events included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest
from waiting import PATIENCE

from server.running import Server

pytestmark = [
    pytest.mark.slow,  # processes
    pytest.mark.skipif(shutil.which("curl") is None and not os.environ.get("CI"), reason="curl is not installed"),
]


def curl(server: Server, *words: str) -> str:
    command = ["curl", "-sS", "-H", f"Authorization: Bearer {server.token}", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def test_a_search(server: Server) -> None:
    got = json.loads(curl(server, f"http://{server.host}/api/search", "-d", '{"query": "Harbour House"}'))
    assert "2031" in got["passages"][0]["text"]


def test_a_stream_of_events_ends_with_the_answer(server: Server) -> None:
    order = json.dumps({"question": "When does the lease of Harbour House end?", "stream": True})
    got = curl(server, "-N", f"http://localhost:{server.port}/api/ask", "-d", order)
    events = [part.partition("\ndata: ") for part in got.strip().split("\n\n")]
    assert [events[0][0], events[-1][0]] == ["event: planned", "event: answered"]
    assert json.loads(events[-1][2])["answer"].endswith("2031 [1].")


def test_a_stream_of_openai_ends_as_its_clients_expect(server: Server) -> None:
    order = json.dumps({"model": "localrag", "stream": True, "messages": [{"role": "user", "content": "When?"}]})
    lines = curl(server, "-N", f"http://{server.host}/v1/chat/completions", "-d", order).split("\n\n")
    assert all(line.startswith("data: ") for line in lines[:-1]) and lines[-2:] == ["data: [DONE]", ""]


def test_a_file_that_is_too_large(server: Server, tmp_path) -> None:
    (tmp_path / "large").write_bytes(b"a" * 5_000_000)
    url, data = f"http://{server.host}/api/search", f"@{tmp_path / 'large'}"
    assert curl(server, url, "--data-binary", data, "-o", os.devnull, "-w", "%{http_code}") == "413"
    chunked = ["-H", "Transfer-Encoding: chunked", "-X", "POST"]
    assert curl(server, url, *chunked, "--data-binary", data, "-o", os.devnull, "-w", "%{http_code}") == "413"
