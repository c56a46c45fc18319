"""Run LibreOffice and Tesseract for a reader process, which may start no program itself.

The reader starts a helper process before it is confined; that one runs a program for each order, in a private folder
that is deleted afterwards, and kills it when time is up or the reader is gone. On Linux the helper is confined as well:
no network, and no files but the system's and its folders. If the helper is killed, its folder stays.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec

from localrag import protocol
from localrag.errors import LocalragError, ReadError

Status = Literal["done", "failed", "late", "large"]
_HOMES = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")
_KEPT = ("PATH", "SYSTEMROOT", "WINDIR", "TESSDATA_PREFIX")  # no proxies, display and session bus
# A path inside a folder; `\Z`, because `$` also matches before a line end.
_Name = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!.*\.\.)[\w./-]*\Z")]
_helper: subprocess.Popen[bytes] | None = None
_calling = threading.Lock()


class Order(protocol.Message):
    """A program to run; "{folder}" in its arguments is the private folder. `size` bytes of input follow."""

    command: tuple[str, ...]
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
    seconds: float
    most: int = 1 << 30  # bytes of the result
    document: _Name = ""  # the file in the folder for the input; empty for standard input
    result: _Name = ""  # the file in the folder that holds the result; empty for standard output
    settings: Mapping[_Name, str] = {}  # other files of the folder, by name


class _Result(protocol.Message):
    status: Status
    size: int


def start(*programs: str) -> None:
    """Start the helper process, unless it runs, for these programs. A reader does so before it is confined."""
    global _helper
    if _helper is None:
        _helper = protocol.start(__name__, *programs)


def run(order: Order, data: bytes) -> tuple[Status, bytes]:
    """Run a program on some input. Raises ReadError if the helper process has ended."""
    with _calling:
        start(order.command[0])
        assert _helper is not None and _helper.stdin is not None and _helper.stdout is not None
        with contextlib.suppress(OSError):
            protocol.send(_helper.stdin, order)
            _helper.stdin.write(data)
            _helper.stdin.flush()
            reply: _Result | None = protocol.receive(_helper.stdout, _Result)
            if reply is not None:
                return reply.status, _helper.stdout.read(reply.size)
    raise ReadError(f"was not read: the process that runs {Path(order.command[0]).name} has ended", "Read it again.")


def main() -> None:
    from localrag.security import offline, sandbox

    requests, replies = protocol.own_pipes()
    offline.confine()
    sandbox.restrict_programs(sys.argv[1:])
    orders: queue.SimpleQueue[tuple[Order, bytes] | None] = queue.SimpleQueue()
    gone = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def leave(*_: object) -> None:
        gone.set()
        orders.put(None)

    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=_listen, args=(requests, orders, leave), daemon=True).start()
    while (item := orders.get()) is not None:
        try:
            status, data = _carry_out(*item, gone)
        except (OSError, ValueError, LocalragError):  # the disk is full, or the program cannot be started
            status, data = "failed", b""
        protocol.send(replies, _Result(status, len(data)))
        replies.write(data)
        replies.flush()


def _listen(
    requests: BinaryIO, orders: queue.SimpleQueue[tuple[Order, bytes] | None], leave: Callable[[], None]
) -> None:
    try:
        while (order := protocol.receive(requests, Order)) is not None:
            orders.put((order, requests.read(order.size)))
    finally:  # a reader that was taken over may send anything
        leave()


def _carry_out(order: Order, data: bytes, gone: threading.Event) -> tuple[Status, bytes]:
    from localrag.security import storage

    folder = Path(tempfile.gettempdir()) / f"localrag-{os.getppid()}-{uuid.uuid4().hex}"
    end = time.monotonic() + order.seconds
    process = None
    try:
        for name, text in order.settings.items():
            storage.write_bytes(folder / name, text.encode())
        storage.write_bytes(folder / "input", b"" if order.document else data)
        if order.document:
            storage.write_bytes(folder / order.document, data)
        storage.make_dir((folder / order.result).parent)
        with (folder / "input").open("rb") as given, storage.create(folder / "output", durable=False) as output:
            process = subprocess.Popen(
                [part.replace("{folder}", str(folder)) for part in order.command],
                cwd=folder, stdin=given, stdout=output, stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _KEPT if name in os.environ}
                | dict.fromkeys(_HOMES, str(folder))
                | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "SAL_USE_VCLPLUGIN": "svp", "OMP_THREAD_LIMIT": "1"},
                start_new_session=True, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
            while process.poll() is None and not gone.wait(0.02):
                if time.monotonic() > end:
                    return "late", b""
        made = folder / (order.result or "output")
        if gone.is_set() or not made.is_file():
            return "failed", b""
        return ("large", b"") if made.stat().st_size > order.most else ("done", made.read_bytes())
    finally:
        if process is not None:
            _kill(process)
        for _ in range(20):  # a late write may create a folder again
            with contextlib.suppress(OSError, LocalragError):
                storage.remove(folder)
            if not folder.exists():
                break


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything it started."""
    if sys.platform == "win32":
        taskkill = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(taskkill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the reader is gone
        main()
    os._exit(0)  # a thread still waits for the pipe
