"""Files are read in worker processes, so that a bad file costs one line of the report and nothing else.

A worker reads many files, one at a time. It is killed and replaced when a file takes too long, and replaced when
it crashes; either way that file is one ReadError. A worker leaves as soon as its pipe closes, however its parent
ended. Requests and replies are length-prefixed JSON (no pickle: a subverted worker can send text, not code).

Limits: time only. Memory and output are not bounded yet, and a worker has the rights of its user; the audit hook
keeps Python code in it from the network, not native code.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import Cancelled, ReadError
from localrag.types import Heading, Page, Reading, SkippedPage

_LENGTH = struct.Struct(">Q")
_Reply = tuple[Path, Reading | ReadError]


class ReaderPool:
    """Reads files side by side; a context manager, so that no worker is left behind.

    Args:
        workers: how many processes read at once; they start when there is work for them.
        seconds: the longest time one file may take.
        passwords: tried in turn on encrypted files.
        stop: asked several times a second; once it says True, `read_all` raises Cancelled.
    """

    def __init__(
        self,
        workers: int = 2,
        seconds: float = 120,
        passwords: Sequence[str] = (),
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._size = max(1, workers)
        self._seconds = seconds
        self._passwords = tuple(passwords)
        self._stop = stop or (lambda: False)
        self._jobs: queue.SimpleQueue[tuple[Path, queue.SimpleQueue[_Reply]] | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> ReaderPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read_all(self, paths: Iterable[Path]) -> Iterator[_Reply]:
        """Each path with what was read or why not, in the order they finish.

        `paths` is drawn from in the caller's thread, a few files ahead of what has been handed out. Passwords
        and the text of files pass through pipes only.

        Raises:
            Cancelled: `stop` returned True.
        """
        if self._closed:
            raise ValueError("this ReaderPool is closed")
        replies: queue.SimpleQueue[_Reply] = queue.SimpleQueue()
        waiting, pending, ahead = iter(paths), 0, 2 * self._size + 2
        more = True
        while True:
            if self._stop():
                raise Cancelled("reading was stopped", "Run the same command again: it goes on where it stopped.")
            while more and pending < ahead:
                try:
                    path = next(waiting)
                except StopIteration:
                    more = False
                    break
                self._start_thread(pending)
                self._jobs.put((Path(path), replies))
                pending += 1
            if not pending:
                return
            try:
                reply = replies.get(timeout=0.1)
            except queue.Empty:
                continue
            pending -= 1
            yield reply

    def close(self) -> None:
        """End every worker, whatever it is doing. Closing twice does nothing."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for worker in self._workers:
            worker.end()
        for thread in self._threads:
            thread.join(timeout=5)
        self._threads.clear()

    def _start_thread(self, pending: int) -> None:
        if pending >= len(self._threads) < self._size:
            worker = _Worker(self._seconds, self._passwords)
            # Daemon: an abandoned pool must not keep the program from ending; the workers see their pipes close.
            thread = threading.Thread(target=self._serve, args=(worker,), name="localrag-reader", daemon=True)
            self._workers.append(worker)
            self._threads.append(thread)
            thread.start()

    def _serve(self, worker: _Worker) -> None:
        while (job := self._jobs.get()) is not None and not self._closed:
            path, replies = job
            result: Reading | ReadError
            try:
                result = worker.read(path)
            except ReadError as error:
                result = error
            except Exception as error:  # a fault of ours must not leave the caller waiting
                result = ReadError(f"cannot be read: {type(error).__name__}: {error}", "Please report this.")
            replies.put((path, result))


class _Crashed(ReadError):
    """The worker died over a file."""


class _Worker:
    """One process at a time, as seen from the parent. `read` is called by one thread, `end` by any."""

    def __init__(self, seconds: float, passwords: tuple[str, ...]) -> None:
        self._seconds = seconds
        self._passwords = passwords
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ended = False

    def read(self, path: Path) -> Reading:
        """Read one file; a worker that had served before gets no second chance, but its file does.

        It may have died while it was idle, and not be seen to be dead yet.
        """
        served = self._process is not None
        try:
            return self._read(path)
        except _Crashed:
            if not served:
                raise
            return self._read(path)

    def _read(self, path: Path) -> Reading:
        process = self._started()
        late = threading.Event()

        def expire() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None
            _send(process.stdin, {"path": os.fspath(path.absolute())})
            reply = _receive(process.stdout)
        except OSError:
            reply = None
        finally:
            timer.cancel()
        if reply is None or late.is_set():
            code = self._discard(process)
            if late.is_set():
                raise ReadError(
                    f"took longer than {self._seconds:g} s",
                    "Split the file, or raise read_seconds in localrag.toml.",
                )
            raise _Crashed(
                f"made its reader crash ({_end_of(code)})",
                "The file is damaged or hostile. Open it in its own program and save it anew.",
            )
        if reply.get("leaving"):
            self._discard(process)
        if "error" in reply:
            raise ReadError(reply["error"], reply["hint"])
        return _reading(reply)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            self._discard(process)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ended:
                raise ReadError("was not read: reading was stopped", "Run the same command again.")
            # One that died while it had nothing to do must not take the next file with it.
            if self._process is None or self._process.poll() is not None:
                self._process = _spawn(self._seconds, self._passwords)
            return self._process

    def _discard(self, process: subprocess.Popen[bytes]) -> int:
        with self._lock:
            if self._process is process:
                self._process = None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        return code


def _spawn(seconds: float, passwords: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A new worker. It finds localrag where this process did, and nothing in the current folder.

    Without -P, `python -m` would import a `json.py` that lies among the person's documents.
    """
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "localrag.readers.isolate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, inherited)))},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # a worker that died at once is noticed at its first file
        _send(process.stdin, {"seconds": seconds, "passwords": passwords})
    return process


def _end_of(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


# --- messages ------------------------------------------------------------------------------------------------


def _send(stream: BinaryIO | Any, message: dict[str, Any]) -> None:
    # File names may hold halves of characters (undecodable bytes); they must come back as they went.
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _receive(stream: BinaryIO | Any) -> dict[str, Any] | None:
    """The next message, or None where the other side is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = stream.read(size)
    if len(data) < size:
        return None
    message: dict[str, Any] = json.loads(data.decode("utf-8", "surrogatepass"))
    return message


def _message(reading: Reading) -> dict[str, Any]:
    return {
        "title": reading.title,
        "pages": [
            (
                page.text,
                page.number,
                page.label,
                [(item.start, item.level, item.title) for item in page.headings],
            )
            for page in reading.pages
        ],
        "skipped": [(item.number, item.reason) for item in reading.skipped],
    }


def _reading(message: dict[str, Any]) -> Reading:
    return Reading(
        tuple(
            Page(text, number, label, tuple(Heading(*item) for item in headings))
            for text, number, label, headings in message["pages"]
        ),
        message["title"],
        tuple(SkippedPage(*item) for item in message["skipped"]),
    )


# --- in the worker -------------------------------------------------------------------------------------------


def _work() -> None:
    """Read files until the parent closes the pipe."""
    requests, replies = _own_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    from localrag import offline
    from localrag.readers import base
    from localrag.readers.cleaning import clean

    offline.confine()
    setup = _receive(requests)
    if setup is None:
        return
    paths: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, paths), daemon=True).start()
    while True:
        path = Path(paths.get())
        _set_alarm(setup["seconds"] + 10)
        try:
            reply = _message(base.read_file(path, setup["passwords"]))
        except ReadError as error:
            reply = {"error": error.message, "hint": error.hint}
        except MemoryError:
            reply = {
                "error": "needs more memory than there is",
                "hint": "Split the file, or free some memory.",
                "leaving": True,  # what else broke in this process is not known
            }
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            reply = {
                "error": f"is damaged, or of a kind that is not understood ({clean(reason)})",
                "hint": "Open it in its own program and save it anew.",
            }
        _set_alarm(0)
        _send(replies, reply)
        if "leaving" in reply:
            return


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes for ourselves, so that what a library prints goes nowhere."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, replies


def _listen(requests: BinaryIO, paths: queue.SimpleQueue[str]) -> None:
    """Hand on requests; leave at once when the parent is gone, even in the middle of a file."""
    try:
        while (request := _receive(requests)) is not None:
            paths.put(request["path"])
    finally:
        os._exit(0)


def _set_alarm(seconds: float) -> None:
    """A last resort where the system has it: native code that holds the interpreter would not hear the parent."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        _work()
