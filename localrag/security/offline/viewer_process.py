"""One unconfined process that opens files in the person's viewer, for the confined terminal app.

A viewer needs connections, and what a process starts inherits its confinement. So `start` forks a process beforehand,
which takes a file and a page from `show` and nothing else, and ends with the app. Limits: somebody who has taken over
the app can show files, and a viewer may load what they name. Linux only; elsewhere `show` calls the viewer itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag.errors import LocalragError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Opens a file, at a page of it (1-based) if one is given; returns whether the viewer takes the page.
Opener = Callable[[Path, int | None], bool]

_pipes: tuple[Connection, Connection] | None = None
_lock = threading.Lock()
_MAX_MESSAGE = 100_000  # bytes


def start(opener: Opener) -> None:
    """Fork the process that opens files with `opener`. Call it before threads start and before `offline.confine`."""
    global _pipes
    if sys.platform == "linux":
        _pipes = _fork(opener)


def _fork(opener: Opener) -> tuple[Connection, Connection] | None:
    """Fork a process without a terminal that answers requests; return the pipes to and from it, None if it cannot be.

    One-way pipes, because a two-way one is a socket, and those are closed when this process is confined.
    """
    from multiprocessing import Pipe

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
        ask.close()
        answers.close()
        os.setsid()  # keys of the terminal are not meant for it
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        _serve(requests, reply, opener)
    finally:
        os._exit(0)


def show(file: Path, page: int | None, opener: Opener) -> bool:
    """Open a file outside, or with `opener` if there is no such process. Raises LocalragError if it fails."""
    if _pipes is None:
        return opener(file, page)
    with _lock:
        try:
            _pipes[0].send_bytes(json.dumps({"file": str(file), "page": page}).encode())
            answer = json.loads(_pipes[1].recv_bytes())
        except (OSError, EOFError, ValueError):
            raise LocalragError("the process that opens files has ended", f"Open it yourself: {file}") from None
    if "error" in answer:
        raise LocalragError(str(answer["error"]), str(answer["hint"]))
    return bool(answer["at_page"])


def _serve(requests: Connection, reply: Connection, opener: Opener) -> None:
    """Answer requests until the asking process ends; an invalid one ends it."""
    for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(requests.recv_bytes(_MAX_MESSAGE))  # JSON: a pickle could run code here
            file, page = Path(request["file"]), request["page"]
            if not (file.is_absolute() and (page is None or (isinstance(page, int) and page > 0))):
                return
            try:
                if not file.is_file():
                    raise LocalragError(f"there is no file {str(file)!r}", "It was moved or deleted.")
                answer: dict[str, Any] = {"at_page": opener(file, page)}
            except LocalragError as error:
                answer = {"error": error.message, "hint": error.hint}
            except Exception as error:
                message = f"it could not be opened ({type(error).__name__}: {error})"
                answer = {"error": message, "hint": "Open it yourself."}
            reply.send_bytes(json.dumps(answer).encode())
