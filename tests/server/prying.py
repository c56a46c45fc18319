"""`server.scripted`, taken over: its server opens any file that is asked for, /pry?MODE=PATH, and says how that went."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from localrag.cli import app as command
from localrag.server import listening
from server import scripted

assert scripted
run = listening.run


def pry(app: Any, listener: listening.Listener) -> None:
    async def prying(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/pry":
            await app(scope, receive, send)
            return
        ((mode, path),) = parse_qsl(scope["query_string"].decode())
        try:
            Path(path).open(mode).close()
            said = b"done"
        except OSError as error:
            said = str(error.strerror).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    run(prying, listener)


listening.run = pry
if __name__ == "__main__":
    command.main()
