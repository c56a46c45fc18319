"""llama-cpp-python's own server in a process of its own, as somebody in the house would run it.

Run as a program with the settings of the model as JSON, the descriptor of a listening socket and a path. It prints a
line for each answer that begins and for each client that leaves before the end. While there is a file at the path,
answers stay where they began.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGAN, LEFT = "an answer began", "a client left"
_WAIT = 300  # seconds until something that must happen is given up


@dataclass(frozen=True)
class House:
    """A server that runs: its address as a setting and as it is shown, what it prints, and the path that holds it."""

    url: str
    shown: str
    log: Path
    hold: Path

    def wait(self, line: str, times: int = 1) -> None:
        """Wait until it has printed a line so often."""
        wait(lambda: self.log.read_text().count(line) >= times, self.log.read_text)


def wait(done: Callable[[], bool], why: Callable[[], str] = str) -> None:
    until = time.monotonic() + _WAIT
    while not done():
        assert time.monotonic() < until, why()
        time.sleep(0.05)


@contextmanager
def running(**settings: Any) -> Iterator[House]:
    """Serve a model at a Unix socket, with these settings of the server."""
    with tempfile.TemporaryDirectory(prefix="lr") as name:  # short enough for the path of a socket
        folder = Path(name)
        path, log, hold = folder / "socket", folder / "log", folder / "hold"
        with socket.socket(socket.AF_UNIX) as listener, log.open("wb") as out:
            listener.bind(str(path))
            listener.listen()
            served = subprocess.Popen(
                [sys.executable, "-P", __file__, json.dumps(settings, default=str), str(listener.fileno()), str(hold)],
                pass_fds=[listener.fileno()],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        try:
            with socket.socket(socket.AF_UNIX) as asked:  # until the model is loaded
                asked.settimeout(_WAIT)
                asked.connect(str(path))
                asked.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert asked.recv(100).startswith(b"HTTP/1.1 200"), log.read_text()
            yield House(f"unix://{path}", str(path), log, hold)
        finally:
            served.kill()
            served.wait()


def main(settings: str, descriptor: str, hold: str) -> None:
    import uvicorn
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    app: Any = create_app(server_settings=ServerSettings(), model_settings=[ModelSettings(**json.loads(settings))])

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        began = complete = gone = False

        async def sending(message: Any) -> None:
            nonlocal began, complete
            await send(message)
            if message["type"] != "http.response.body":
                return
            complete = complete or not message.get("more_body")
            if not began and not complete:
                began = True
                print(BEGAN, flush=True)
                while Path(hold).exists() and not gone:
                    await asyncio.sleep(0.05)

        async def receiving() -> Any:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
                if not complete:
                    print(LEFT, flush=True)
            return message

        await app(scope, receiving, sending)

    server = uvicorn.Server(uvicorn.Config(watched, log_level="info"))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(*sys.argv[1:])
