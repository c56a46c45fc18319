"""A real `localrag serve` in a process of its own, and plain ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from waiting import PATIENCE

HERE = Path(__file__).parents[1]


def environment(home, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCALRAG_")}
    path = os.pathsep.join((str(HERE), str(HERE.parent)))
    own = {"LOCALRAG_HOME": str(home), "PYTHONPATH": path, "XDG_CONFIG_HOME": str(home / "config")}
    return kept | own | more


def command(*words, module="server.scripted"):
    return [sys.executable, "-P", "-m", module, *words]


@dataclass
class Server:
    """A server that runs; `token` is empty where there is none."""

    process: subprocess.Popen[str]
    said: str
    port: int
    token: str

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=None, *, token=True):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        given = {"Authorization": f"Bearer {self.token}"} if token else {}
        data = json.dumps(body) if isinstance(body, dict | list) else body
        try:
            connection.request(method, path, data, {**given, **(headers or {})})
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, **how):
        status, _, data = self.request(method, path, body, **how)
        assert status == 200, (status, data)
        return json.loads(data)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def raw(self, data, seconds=PATIENCE):
        """Send bytes and return the response, or what comes of it until the connection ends or for some seconds."""
        with self.connect() as client:
            client.settimeout(seconds)
            got = b""
            try:
                client.sendall(data)
                while not _is_whole(got) and (more := client.recv(65536)):
                    got += more
            except (TimeoutError, ConnectionError):
                pass
            return got

    def head(self, method, path, *lines):
        all_lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Authorization: Bearer {self.token}", *lines]
        return "\r\n".join([*all_lines, "", ""]).encode()

    def memory(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def _is_whole(response):
    head, end, body = response.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: (\d+)", head)
    return bool(end) and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))


def read_until(client, words):
    got, until = b"", time.monotonic() + PATIENCE
    while words not in got:
        more = client.recv(65536)
        assert more and time.monotonic() < until, got[-1000:]
        got += more
    return got


@contextmanager
def serving(home, *arguments, module="server.scripted", **more):
    """Start a server, at any free port unless the arguments name one or a socket, and end it."""
    words = ["serve", *arguments] if {"--port", "--socket"} & set(arguments) else ["serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command(*words, module=module),
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    try:
        while "Ctrl-C" not in said:
            line = process.stderr.readline()
            assert line, f"it ended ({process.wait()}): {said}"
            said += line
        port, token = re.search(r"http://127\.0\.0\.1:(\d+)/v1", said), re.search(r"Token: +(\S+)\n", said)
        yield Server(process, said, int(port[1]) if port else 0, token[1] if token else "")
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()


def ingest(home, folder, name, module="server.scripted"):
    words = command("ingest", str(folder), "--name", name, module=module)
    done = subprocess.run(words, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
