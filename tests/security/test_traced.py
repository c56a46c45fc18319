"""A whole session under strace: no process of localrag opens a socket but local ones, or asks for another.

strace sees every system call of every thread and process, so what passes localrag's own layers would show here. .ci/run
installs it; elsewhere the tests are skipped by that name, with CI set they fail.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from terminal import Terminal, require_tmux
from waiting import PATIENCE, wait_for

from localrag.proofs.evidence import calls, outward
from localrag.security.offline import kernel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        kernel.machine() is None or (shutil.which("strace") is None and not os.environ.get("CI")),
        reason="strace is not installed" if sys.platform == "linux" else "strace is Linux's",
    ),
]


def under_strace(trace):
    assert shutil.which("strace"), "CI needs strace: see .ci/run"
    return ["strace", "-f", "-qq", "-e", "trace=%network,io_uring_setup", "-e", "signal=none", "-o", str(trace)]


@pytest.fixture
def environment(home):
    small = {"LOCALRAG_GENERATOR": "smollm2-135m-instruct", "LOCALRAG_THREADS": "1", "LOCALRAG_ANSWER_TOKENS": "20"}
    return {**os.environ, **small, "TERM": "xterm-256color"}


def run(trace, environment, *words):
    command = [*under_strace(trace), sys.executable, "-m", "localrag", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return trace.read_text()


def in_a_terminal(trace, environment, question, kept):
    require_tmux()
    with Terminal(trace.parent, 100, 30) as terminal:
        terminal.run([*under_strace(trace), sys.executable, "-m", "localrag", "chat", "papers"], environment)
        terminal.see("2 documents")
        terminal.type(question)
        terminal.press("Enter")
        wait_for(lambda: any(b'"answer"' in path.read_bytes() for path in kept.glob("*.json")), "an answer")
        terminal.press("C-q")
        terminal.ended()
    return trace.read_text()


async def as_a_client(trace, environment, question):
    from mcp import Client, StdioServerParameters

    command = [*under_strace(trace), sys.executable, "-m", "localrag", "mcp", "papers"]
    started = StdioServerParameters(command=command[0], args=command[1:], env=environment)
    async with Client(started) as client:
        answer = await client.call_tool("ask", {"question": question})
        assert not answer.is_error, answer.content
        assert not (await client.call_tool("search", {"query": question})).is_error
        assert (await client.list_resources()).resources
    return trace.read_text()


@pytest.mark.model
@pytest.mark.proves("nothing-leaves")
def test_a_whole_session_opens_no_socket_but_local_ones(tmp_path, home, environment):
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "lease.txt").write_text("The lease of Harbour House ends on 14 March 2031.\n")
    (papers / "page.html").write_text("<p>See <img src='http://192.0.2.1/x.png'> the minutes.</p>")
    question = "When does the lease of Harbour House end?"
    traces = {
        "ingest": run(tmp_path / "1", environment, "ingest", str(papers), "--name", "papers"),
        "ask": run(tmp_path / "2", environment, "ask", question, "--library", "papers"),
        "chat": in_a_terminal(tmp_path / "3", environment, question, home / "indexes/papers/sessions"),
        "mcp": asyncio.run(as_a_client(tmp_path / "4", environment, question)),
    }
    for name, trace in traces.items():
        assert [*calls(trace)] != [], f"strace saw nothing of {name}"
        assert outward(trace) == [], name


@pytest.mark.model
def test_a_worker_that_stays_reaches_nobody_and_is_reached_by_the_next_ask(tmp_path, short, environment):
    (tmp_path / "lease.txt").write_text("The lease of Harbour House ends on 14 March 2031.\n")
    command = [sys.executable, "-m", "localrag"]
    subprocess.run([*command, "ingest", str(tmp_path / "lease.txt"), "--name", "papers"], check=True)
    environment |= {"LOCALRAG_KEEP_MODEL_MINUTES": "1", "LOCALRAG_HOME": str(short)}
    ask = ["ask", "When does the lease of Harbour House end?"]
    with subprocess.Popen([*under_strace(tmp_path / "1"), *command, *ask], env=environment) as first:
        wait_for(lambda: list((short / "running").glob("*.txt")))
        second = run(tmp_path / "2", environment, *ask)
        subprocess.run([*command, "models", "unload"], env=environment, check=True)
        assert first.wait(PATIENCE) == 0
    assert [line.partition("(")[0] for line in outward((tmp_path / "1").read_text())] == ["listen"]
    (connected,) = outward(second)
    assert connected.startswith("connect(") and f'sun_path="{short}/running/' in connected


@pytest.mark.model
@pytest.mark.proves("one-socket")
def test_a_server_has_one_socket_made_before_it_is_confined(tmp_path, home, environment):
    (tmp_path / "lease.txt").write_text("The lease of Harbour House ends on 14 March 2031.\n")
    command = [sys.executable, "-m", "localrag"]
    subprocess.run([*command, "ingest", str(tmp_path / "lease.txt"), "--name", "papers"], env=environment, check=True)
    strace = ["strace", "-f", "-qq", "-e", "trace=%network,io_uring_setup,seccomp", "-e", "signal=none"]
    words = ["serve", "papers", "--port", "0", "--token-file", str(tmp_path / "token")]
    with subprocess.Popen(
        [*strace, "-o", str(tmp_path / "trace"), *command, *words], env=environment, stderr=subprocess.PIPE, text=True
    ) as traced:
        assert traced.stderr is not None
        found = "".join(iter(traced.stderr.readline, "Ctrl-C ends it.\n"))
        address = re.search(r"http://\S+/v1", found)
        assert address is not None, found
        for path, body in (
            ("chat/completions", {"model": "localrag", "messages": [{"role": "user", "content": "Lease?"}]}),
            ("embeddings", {"model": "localrag-embedder", "input": "lease"}),
        ):
            headers = {"Authorization": f"Bearer {(tmp_path / 'token').read_text().strip()}"}
            asked = urllib.request.Request(f"{address[0]}/{path}", json.dumps(body).encode(), headers)
            with urllib.request.urlopen(asked, timeout=PATIENCE) as answered:
                assert answered.status == 200
        children = Path(f"/proc/{traced.pid}/task/{traced.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert traced.wait(PATIENCE) == 0
    before, filter_, after = (tmp_path / "trace").read_text().partition(" seccomp(")
    assert filter_ and [line.partition("(")[0] for line in outward(before)] == ["socket", "bind", "listen"]
    assert 'sin_addr=inet_addr("127.0.0.1")' in outward(before)[1]
    accepted = [line for line in outward(after) if not line.startswith("listen(")]  # again, as uvicorn does
    assert accepted and all(re.match(r"accept4?\(.*inet_addr\(\"127\.0\.0\.1\"\)", line) for line in accepted)


LOCAL = """12 socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [4, 5]) = 0
12 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, 0) = 7
12 connect(7, {sa_family=AF_UNIX, sun_path="/var/run/nscd/socket"}, 110) = -1 EACCES (Permission denied)
12 sendto(4, "x", 1, 0, NULL, 0) = 1
"""


@pytest.mark.parametrize(
    "line",
    [
        "socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = -1 EACCES (Permission denied)",
        "12 socket(AF_NETLINK, SOCK_RAW|SOCK_CLOEXEC, NETLINK_ROUTE) = 4",
        '12 connect(3, {sa_family=AF_UNIX, sun_path="/var/run/docker.sock"}, 22) = 0',
        "12 connect(3,  <unfinished ...>\n13 socket(AF_UNIX, SOCK_STREAM, 0) = 5\n"
        '12 <... connect resumed>{sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 0',
        '12 sendto(3, "x", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("192.0.2.1")}, 16) = 1',
    ],
)
def test_calls_that_lead_outside_are_reported_and_local_ones_not(line):
    assert len(outward(LOCAL + line)) == 1 and outward(LOCAL) == []


def test_an_unconfined_process_is_reported(tmp_path):
    code = "import socket; socket.socket().close()"
    subprocess.run([*under_strace(tmp_path / "t"), sys.executable, "-c", code], check=True)
    assert len(outward((tmp_path / "t").read_text())) == 1
