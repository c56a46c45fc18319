"""One process that is not confined, for the one thing that needs it: showing a file in the person's own viewer.

A viewer needs connections that a confined process is refused (to the desktop, to a browser that runs already), and what
is started inherits the confinement. So `start` forks a process before it, which waits; `show` asks it. It takes a file
and a page and nothing else, holds no documents and no keys, and leaves when the process that asks is gone.

Limits: it does what the viewer is asked to do, with any file; who has taken over the asking process may show files, and
what shows them may load what they name. Linux only; elsewhere nothing is inherited, and `show` calls the viewer itself.
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
from typing import Any

from localrag.errors import LocalragError

# Opens a file, at a page of it (1-based) if one is given; returns whether the viewer takes the page.
Opener = Callable[[Path, int | None], bool]

_pipes: tuple[int, int] | None = None
_one_at_a_time = threading.Lock()
_LONGEST = 100_000  # bytes of a request


def start(opener: Opener) -> None:
    """Fork the process that opens files by `opener`. Call it before threads start and before `offline.confine`."""
    global _pipes
    if sys.platform != "linux":
        return
    requests, replies = os.pipe(), os.pipe()
    try:
        forked = os.fork()
    except OSError:  # no process more may be started; files are then opened from within
        return
    if forked:
        os.close(requests[0])
        os.close(replies[1])
        _pipes = requests[1], replies[0]
        return
    try:
        os.close(requests[1])
        os.close(replies[0])
        _serve(requests[0], replies[1], opener)
    finally:
        os._exit(0)


def show(file: Path, page: int | None, opener: Opener) -> bool:
    """Open a file outside, or by `opener` where there is no such process; returns what `opener` does.

    Raises:
        LocalragError: it could not be opened, and why.
    """
    if _pipes is None:
        return opener(file, page)
    with _one_at_a_time:
        try:
            _write(_pipes[0], {"file": str(file), "page": page})
            told = json.loads(_line(_pipes[1]))
        except (OSError, ValueError):
            raise LocalragError("the process that opens files has ended", f"Open it yourself: {file}") from None
    if "error" in told:
        raise LocalragError(str(told["error"]), str(told["hint"]))
    return bool(told["at_page"])


def _serve(requests: int, replies: int, opener: Opener) -> None:
    """Answer requests until the asking process is gone; a wrong one ends it."""
    os.setsid()  # keys of the terminal are not for it
    for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    while line := _line(requests):
        asked = json.loads(line)
        file, page = Path(asked["file"]), asked["page"]
        if not (file.is_absolute() and (page is None or (isinstance(page, int) and page > 0))):
            return
        _write(replies, _answer(opener, file, page))


def _answer(opener: Opener, file: Path, page: int | None) -> dict[str, Any]:
    if not file.is_file():
        return {"error": f"there is no file {str(file)!r}", "hint": "It was moved or deleted."}
    try:
        return {"at_page": opener(file, page)}
    except LocalragError as error:
        return {"error": error.message, "hint": error.hint}
    except Exception as error:
        return {"error": f"it could not be opened ({type(error).__name__}: {error})", "hint": "Open it yourself."}


def _write(descriptor: int, told: dict[str, Any]) -> None:
    data = json.dumps(told).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _line(descriptor: int) -> bytes:
    """The next line, without its end; empty at the end."""
    line = bytearray()
    with suppress(OSError):
        while not line.endswith(b"\n"):
            got = os.read(descriptor, _LONGEST)
            if not got or len(line) > _LONGEST:
                return b""
            line += got
    return bytes(line)
