import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting import PATIENCE

from localrag.cli import app
from localrag.errors import NotFoundError, PolicyRefused, UsageError

pytestmark = pytest.mark.slow

LOCALRAG = [sys.executable, "-m", "localrag"]
# Where .ci/run installs it.
INSPECTOR = Path.home() / ".cache/localrag-ci/inspector/node_modules/.bin/mcp-inspector"
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "pipes", "version": "3"}}
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def localrag(*words, **environment):
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": PATIENCE, "check": False}
    return subprocess.run([*LOCALRAG, *words], env={**os.environ, **environment}, **how)


class Pipes:
    def __init__(self, *words):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen([*LOCALRAG, "mcp", *words], **pipes)

    def send(self, *lines):
        self.process.stdin.write(b"".join(line + b"\n" for line in lines))
        self.process.stdin.flush()

    def ask(self, method, params):
        self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        while True:
            found = json.loads(self.process.stdout.readline())
            if found.get("id") == 1:
                return found

    def begin(self):
        assert self.ask("initialize", HELLO)["result"]["serverInfo"]["name"] == "localrag"
        self.send(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')

    def documents(self):
        found = self.ask("tools/call", {"name": "list_documents", "arguments": {}})
        return int(found["result"]["structuredContent"]["total"])

    def workers(self):
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


@pytest.fixture
def leases(shelf):
    shelf("leases", {"lease.pdf": ["Lease of Hall 3.", "It ends in May."], "rent.txt": "The rent is 100 euros."})


@pytest.fixture
def pipes(leases):
    one = Pipes("leases")
    yield one
    one.process.kill()
    one.process.wait()


@linux
@pytest.mark.smoke
def test_nonsense_harms_nothing_and_the_end_of_input_ends_it_and_its_worker(pipes):
    pipes.send(b"nonsense", b"{}", b"[]", b"\xff\xfe", b'{"jsonrpc": "2.0", "id": {}, "method": 7}', b"[" * 100_000)
    pipes.begin()
    pipes.send(b'{"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": ["search"]}}', b"x" * 5_000_000)
    pipes.send(b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77}}')
    assert pipes.documents() == 2
    (worker,) = pipes.workers()
    out, err = pipes.process.communicate(timeout=PATIENCE)
    assert pipes.process.returncode == 0 and out == b"" and not Path(f"/proc/{worker}").exists()
    first = err.decode().splitlines()[0]
    assert "model" in first and "leases" in first


@linux
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_and_its_worker_end_at_a_signal(pipes, sent, code):
    pipes.begin()
    assert pipes.documents() == 2
    (worker,) = pipes.workers()
    pipes.process.send_signal(sent)
    assert pipes.process.wait(PATIENCE) == code
    assert not Path(f"/proc/{worker}").exists()


@linux
def test_a_client_that_reads_nothing_more_ends_it(pipes):
    pipes.begin()
    pipes.process.stdout.close()
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_documents", "arguments": {}}}
    pipes.send(json.dumps(call).encode())
    pipes.process.stdin.close()
    assert pipes.process.wait(PATIENCE) == 0
    assert b"Traceback" not in pipes.process.stderr.read()


def test_a_policy_forbids_it_and_only_libraries_that_exist_are_served(leases, tmp_path, monkeypatch):
    def refused(*words):
        return CliRunner().invoke(app.localrag, ["mcp", *words]).exception

    assert isinstance(refused("leases", "other"), NotFoundError)
    assert isinstance(refused("../leases"), UsageError) and isinstance(refused(), SystemExit | UsageError)
    (tmp_path / "rules.toml").write_text("allow_mcp = false")
    monkeypatch.setenv("LOCALRAG_POLICY", str(tmp_path / "rules.toml"))
    error = refused("leases")
    assert isinstance(error, PolicyRefused) and "allow_mcp" in error.message


def test_an_encrypted_library_needs_its_key_at_the_start(leases, tmp_path):
    key = str(tmp_path / "safe.key")
    for words in (("key-file", "--out", key), ("encrypt", "leases", "--key-file", key)):
        assert CliRunner().invoke(app.localrag, ["vault", *words]).exit_code == 0
    done = localrag("mcp", "leases")
    assert (done.returncode, done.stdout) == (5, "") and "--key-file" in done.stderr
    opened = Pipes("leases", "--key-file", key)
    opened.begin()
    assert opened.documents() == 2
    opened.process.communicate(timeout=PATIENCE)


@pytest.mark.skipif(not INSPECTOR.exists() and not os.environ.get("CI"), reason="the MCP Inspector is not installed")
def test_the_inspector_calls_and_reads(leases):
    def inspect(*words):
        command = [shutil.which("node"), str(INSPECTOR), "--cli", *LOCALRAG, "mcp", "leases", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    page = ["library=leases", "document=lease.pdf", "page=2"]
    arguments = [word for one in page for word in ("--tool-arg", one)]
    called = inspect("--method", "tools/call", "--tool-name", "read_page", *arguments)
    assert called["structuredContent"]["text"] == "It ends in May."
    read = inspect("--method", "resources/read", "--uri", "localrag:///leases/rent.txt")
    assert read["contents"][0]["text"] == "The rent is 100 euros."
