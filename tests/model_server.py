"""llama-cpp-python's own server in a process of its own, as somebody in the house would run it.

Run as a program with the settings of the model as JSON and the descriptor of a listening socket. It prints a line for
each client that leaves before its answer is complete.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def running(log: Path, listener: socket.socket, **settings: Any) -> Iterator[Path]:
    """Serve a model at a listening socket; yields the log, once the model is loaded."""
    with listener, log.open("wb") as out:
        served = subprocess.Popen(
            [sys.executable, "-P", __file__, json.dumps(settings, default=str), str(listener.fileno())],
            pass_fds=[listener.fileno()], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield log
        finally:
            served.kill()
            served.wait()


def at_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def at_tcp() -> tuple[socket.socket, int]:
    """A listening socket on a free port of loopback, and the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


def main(settings: str, descriptor: str) -> None:
    import uvicorn
    from llama_cpp.server.app import create_app
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    app: Any = create_app(server_settings=ServerSettings(), model_settings=[ModelSettings(**json.loads(settings))])

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        complete = False

        async def sending(message: Any) -> None:
            nonlocal complete
            await send(message)
            complete = complete or (message["type"] == "http.response.body" and not message.get("more_body"))

        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect" and not complete:
                print("a client left", flush=True)
            return message

        await app(scope, receiving, sending)

    server = uvicorn.Server(uvicorn.Config(watched, log_level="info"))
    server.run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(*sys.argv[1:])
