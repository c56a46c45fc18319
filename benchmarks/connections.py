"""How long a client with the token waits at `localrag serve` while another process opens connections without it.

    python benchmarks/connections.py [--user UID] [--rate N] [--seconds N] [open|ask|page ...]

The other process, of another user where root gives one, holds what it opens until the server closes it. It sends
nothing (`open`), requests without the token (`ask`), or those of a browser, which get a page (`page`).
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from localrag.settings import load_settings

EXAMPLES = Path(__file__).parents[1] / "examples" / "board"
HOST = "127.0.0.1"
HELD = 2_000  # connections
SENT = {
    "open": "",
    "ask": "GET /api/libraries HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "page": "GET / HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n",
}


def attack(port: int, sent: bytes, rate: int, opened: int) -> None:
    """Open connections for ever, at most so many a second; write how many to a pipe."""
    held: deque[socket.socket] = deque()
    began, count = time.monotonic(), 0
    while True:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((HOST, port))
        if sent:
            with suppress(OSError):
                one.send(sent)
        held.append(one)
        if len(held) > HELD:
            held.popleft().close()
        count += 1
        if count % 100 == 0:
            os.write(opened, b"x")
            time.sleep(max(0.0, began + count / rate - time.monotonic()))


def asked(port: int, token: str, patience: float) -> float | None:
    """Return the seconds of a request on a new connection, or None where it gets no answer."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(HOST, port, timeout=patience)
    try:
        connection.request("GET", "/api/libraries", headers={"Authorization": f"Bearer {token}"})
        return time.monotonic() - began if connection.getresponse().status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def serving() -> Iterator[tuple[int, str]]:
    """Serve a library of examples; yield the port and the token."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "models").symlink_to(load_settings().models_dir, target_is_directory=True)
        environment = {**os.environ, "LOCALRAG_HOME": name}
        command = [sys.executable, "-m", "localrag"]
        subprocess.run([*command, "ingest", str(EXAMPLES), "--name", "board"], env=environment, check=True)
        words = [*command, "serve", "board", "--port", "0", "--token-file", str(home / "token")]
        with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            lines = "".join(iter(server.stderr.readline, "Ctrl-C ends it.\n"))
            yield int(lines.partition(f"http://{HOST}:")[2].partition("/")[0]), (home / "token").read_text().strip()
            server.terminate()


def measured(port: int, token: str, mode: str, user: int, rate: int, seconds: float) -> str:
    """Return what came of a client's requests in so many seconds, in words."""
    reading, opened = os.pipe()
    os.set_blocking(reading, False)
    if not (other := os.fork()):
        os.setuid(user or os.getuid())
        attack(port, SENT[mode].format(host=f"{HOST}:{port}").encode(), rate, opened)
    time.sleep(1)
    began, taken = time.monotonic(), list[float | None]()
    while time.monotonic() < began + seconds:
        taken.append(asked(port, token, patience=5))
        time.sleep(0.05)
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)
    reached = 100 * len(os.read(reading, 1 << 20)) / (time.monotonic() - began + 1)
    answered = sorted(one for one in taken if one is not None)
    times = f": median {statistics.median(answered):.3f} s, slowest {answered[-1]:.3f} s" if answered else ""
    return f"{reached:6.0f}/s  answered {len(answered)} of {len(taken)}{times}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--user", type=int, default=0, help="of the other process (root only)")
    parser.add_argument("--rate", type=int, default=3_000, help="connections a second (3000)")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("modes", nargs="*", default=list(SENT))
    given = parser.parse_args()
    with serving() as (port, token):
        for mode in given.modes:
            print(f"{mode:5} {measured(port, token, mode, given.user, given.rate, given.seconds)}", flush=True)
            time.sleep(3)


if __name__ == "__main__":
    main()
