"""One unconfined process that opens files in the person's viewer, for the confined terminal app.

A viewer needs connections, and what a process starts inherits its confinement. So `start` forks a process beforehand,
which takes a file and a page from `show` and nothing else, and ends with the app. For `localrag serve` it opens the
address of this one server instead. Limits: somebody who has taken over the app can show files, and a viewer may load
what they name. Linux only; elsewhere `show` calls the viewer itself.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag.errors import LocalragError
from localrag.security.offline import broker

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Opens a file, at a page of it (1-based) if one is given; returns whether the viewer takes the page.
Opener = Callable[[Path, int | None], bool]
# Answers one request.
_Answering = Callable[[dict[str, Any]], dict[str, Any]]

_pipes: tuple[Connection, Connection] | None = None
_lock = threading.Lock()
_MAX_MESSAGE = 100_000  # bytes


def start(opener: Opener) -> None:
    """Fork the process that opens files with `opener`. Call it before threads start and before `offline.confine`."""
    global _pipes
    _pipes = _fork(lambda request: {"at_page": _open_file(request, opener)})


def start_for_address(address: str, opener: Callable[[str], None]) -> None:
    """Fork the process that opens pages of one server; see `start`."""
    global _pipes

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        opener(_with_code(address, str(request["code"])))
        return {"at_page": True}

    _pipes = _fork(answer)


def _fork(answer: _Answering) -> tuple[Connection, Connection] | None:
    """Fork a process without a terminal that answers requests; return the pipes to and from it, None if it cannot be.

    One-way pipes, because a two-way one is a socket, and those are closed when this process is confined.
    """
    from multiprocessing import Pipe

    if sys.platform != "linux":
        return None
    (requests, ask), (answers, reply) = Pipe(duplex=False), Pipe(duplex=False)
    try:
        forked = os.fork()
    except OSError:  # no more processes are allowed
        return None
    if forked:
        requests.close()
        reply.close()
        return ask, answers
    try:
        broker.detach({requests.fileno(), reply.fileno()})
        _serve(requests, reply, answer)
    finally:
        os._exit(0)


def show(file: Path, page: int | None, opener: Opener) -> bool:
    """Open a file outside, or with `opener` if there is no such process. Raises LocalragError if it fails."""
    if _pipes is None:
        return opener(file, page)
    return bool(_asked({"file": str(file), "page": page}, str(file))["at_page"])


def show_address(address: str, code: str, opener: Callable[[str], None]) -> None:
    """Open the page of a server with a code that lets a browser in; see `show`."""
    if _pipes is None:
        opener(_with_code(address, code))
    else:
        _asked({"code": code}, address)


def _with_code(address: str, code: str) -> str:
    if not re.fullmatch(r"[\w-]{20,100}", code, re.ASCII):
        raise ValueError("no code")
    return f"{address}/?code={code}"


def _asked(request: dict[str, Any], what: str) -> dict[str, Any]:
    assert _pipes is not None
    with _lock:
        try:
            _pipes[0].send_bytes(json.dumps(request).encode())
            answer: dict[str, Any] = json.loads(_pipes[1].recv_bytes())
        except (OSError, EOFError, ValueError):
            raise LocalragError("the process that opens files has ended", f"Open it yourself: {what}") from None
    if "error" in answer:
        raise LocalragError(str(answer["error"]), str(answer["hint"]))
    return answer


def _open_file(request: dict[str, Any], opener: Opener) -> bool:
    file, page = Path(request["file"]), request["page"]
    if not (file.is_absolute() and (page is None or (isinstance(page, int) and page > 0))):
        os._exit(0)
    if not file.is_file():
        raise LocalragError(f"there is no file {str(file)!r}", "It was moved or deleted.")
    return opener(file, page)


def _serve(requests: Connection, reply: Connection, respond: _Answering) -> None:
    """Answer requests until the asking process ends; an invalid one ends it."""
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(requests.recv_bytes(_MAX_MESSAGE))  # JSON: a pickle could run code here
            try:
                answer = respond(request)
            except LocalragError as error:
                answer = {"error": error.message, "hint": error.hint}
            except Exception as error:
                message = f"it could not be opened ({type(error).__name__}: {error})"
                answer = {"error": message, "hint": "Open it yourself."}
            reply.send_bytes(json.dumps(answer).encode())
