"""How long a client with the token waits at `localrag serve` while another process opens connections without it.

    localrag serve -l NAME --port 8765 --token-file token
    python benchmarks/connections.py --port 8765 --token-file token [--user UID] [--rate N] [--seconds N]

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
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--user", type=int, default=0, help="of the other process (root only)")
    parser.add_argument("--rate", type=int, default=3_000, help="connections a second (3000)")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("modes", nargs="*", default=list(SENT))
    given = parser.parse_args()
    token = given.token_file.read_text("ascii").strip()
    for mode in given.modes:
        reading, opened = os.pipe()
        os.set_blocking(reading, False)
        if not (other := os.fork()):
            os.setuid(given.user or os.getuid())
            attack(given.port, SENT[mode].format(host=f"{HOST}:{given.port}").encode(), given.rate, opened)
        time.sleep(1)
        began, taken = time.monotonic(), list[float | None]()
        while time.monotonic() < began + given.seconds:
            taken.append(asked(given.port, token, patience=5))
            time.sleep(0.05)
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)
        rate = 100 * len(os.read(reading, 1 << 20)) / (time.monotonic() - began + 1)
        answered = sorted(one for one in taken if one is not None)
        middle = f"{statistics.median(answered):.3f}" if answered else "-"
        slowest = f"{answered[-1]:.3f}" if answered else "-"
        print(
            f"{mode:5} {rate:6.0f}/s  answered {len(answered)} of {len(taken)}, median {middle} s, slowest {slowest} s"
        )
        time.sleep(3)


if __name__ == "__main__":
    main()
