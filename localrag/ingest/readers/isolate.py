"""Read files in processes of their own, so a bad file costs one line of the report and nothing else.

A process reads many files, one at a time, and sends each document when it is read. It is killed, with the programs that
a reader started, when a document takes too long or too much memory, and replaced when it crashes: the documents that
came before are kept. A subverted process can send text (`wire`), not code. On Windows there is no memory limit, and
programs that a reader started are not killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from localrag import protocol
from localrag.errors import Cancelled, ReadError
from localrag.ingest.readers import reader_process, wire
from localrag.ingest.readers.source import Options, open_file
from localrag.ingest.source_files import PageCopy, PagePicture, PageRequest
from localrag.types import Part, Refused

Page = TypeVar("Page", PagePicture, PageCopy)
Reply = tuple[Path, Part | Refused | None]
_MAX_WAITING = 20_000_000  # characters of text that wait for the caller, about
_TICK = 0.1
_MAX_BEATS = 20_000  # pages of a scan
_SHARED = 200_000_000  # bytes of libraries' code, which are resident but no data
_BROKEN = "The file is damaged or hostile. Open it in its own program and save it again."


class ReaderPool(contextlib.AbstractContextManager["ReaderPool"]):
    """Reads files side by side; a context manager, so that no process is left behind."""

    def __init__(
        self,
        workers: int = 2,  # processes that read at once; they start when there is work for them
        seconds: float = 120,  # time limit of one document; restarts for each document in an archive
        options: Options | None = None,
        memory: int = 1_500_000_000,  # limit of a process, in bytes of data
        stop: Callable[[], bool] | None = None,  # called several times a second; True makes `read_all` raise Cancelled
    ) -> None:
        self._size = max(1, workers)
        self._limits = wire.Setup(seconds, memory, options or Options())
        self._stop = stop or (lambda: False)
        self._jobs: queue.SimpleQueue[tuple[Path, _Replies] | None] = queue.SimpleQueue()
        self._processes: list[_Process] = []
        self._threads: list[threading.Thread] = []
        self._open: list[_Replies] = []
        self._closed = threading.Event()
        self._starting = threading.Lock()  # `close` may be called by another thread than `read_all`

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read_all(self, paths: Iterable[Path], links: bool = True) -> Iterator[Reply]:
        """Yield each path with every document in it or why it was refused, then with None: the file is done.

        Documents of one file come in order, mixed with those of other files. `paths` is consumed in the caller's
        thread, a few files ahead. What is behind a link is refused unless `links`. Raises Cancelled if
        `stop` returned True, or the pool was closed.
        """
        if self._closed.is_set():
            raise ValueError("this ReaderPool is closed")
        replies = _Replies(links)
        self._open.append(replies)
        waiting, pending = iter(paths), 0
        try:
            while True:
                if self._stop() or self._closed.is_set():
                    raise Cancelled("reading was stopped", "Run the same command again to continue.")
                for path in itertools.islice(waiting, 2 * self._size + 2 - pending):
                    self._start_thread(pending)
                    self._jobs.put((Path(path), replies))
                    pending += 1
                if not pending:
                    return
                if (reply := replies.get(_TICK)) is not None:
                    pending -= reply[1] is None
                    yield reply
        finally:
            replies.close()
            self._open.remove(replies)

    def close(self) -> None:
        """Kill every process. Closing twice does nothing."""
        with self._starting:
            self._closed.set()
        for replies in list(self._open):
            replies.close()
        for _ in self._threads:
            self._jobs.put(None)
        for process in list(self._processes):
            process.kill()
        until = time.monotonic() + 1
        for thread in self._threads:
            thread.join(timeout=max(0, until - time.monotonic()))
        self._threads.clear()

    def _start_thread(self, pending: int) -> None:
        with self._starting:
            if pending >= len(self._threads) < self._size and not self._closed.is_set():
                # Daemon: an abandoned pool must not keep the program running; the processes see their pipes close.
                thread = threading.Thread(target=self._serve, name="localrag-reader", daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self) -> None:
        process = None
        while (job := self._jobs.get()) is not None and not self._closed.is_set():
            path, replies = job
            try:
                process = self._read(process, path, replies)
            except Exception as error:  # a bug must not leave the caller waiting
                process, what = None, f"{type(error).__name__}: {error}"
                replies.put(path, Refused("", f"cannot be read: {what}. Please report this."))
            replies.put(path, None)
        if process is not None:
            self._discard(process)

    def _read(self, process: _Process | None, path: Path, replies: _Replies) -> _Process | None:
        """Put the parts of one file; return the process, or None where it is gone.

        If one that served before dies, a new one tries: the cause may be what earlier files left in it.
        """
        while (process := process or self._start_process()) is not None:
            last: Part | Refused | None = None
            served, staying = process.served, False
            try:
                for item in process.do(path, links=replies.links):
                    if isinstance(item, PagePicture | PageCopy):
                        raise _Lost(f"made its reader send a picture instead of text. {_BROKEN}", again=False)
                    last = item
                    if not replies.put(path, item):
                        return None
                staying = not process.leaving
                return process if staying else None
            except _Lost as lost:
                if not (served and last is None and lost.again):
                    replies.put(path, Refused("", wire.cut_short(lost.reason, last.name if last else None)))
                    return None
            finally:
                if not staying:
                    self._discard(process)
            process = None
        return None

    def _start_process(self) -> _Process | None:
        """Return a new process; None once the pool is closed."""
        process = _Process(self._limits)
        with self._starting:
            if not self._closed.is_set():
                self._processes.append(process)
                return process
        process.end()
        return None

    def _discard(self, process: _Process) -> None:
        self._processes.remove(process)
        process.end()


class _Replies:
    """Parts that wait for the caller; holds a bounded amount of text, then `put` waits."""

    def __init__(self, links: bool = True) -> None:
        self.links = links
        self._weight = 0
        self._items: deque[tuple[int, Reply]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, path: Path, item: Part | Refused | None) -> bool:
        """Return False once closed."""
        weight = 1000
        if isinstance(item, Part):
            weight += sum(len(page.text) for page in item.reading.pages) + 100 * wire.count(item)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items or self._weight + weight <= _MAX_WAITING)
            if self._closed:
                return False
            self._items.append((weight, (path, item)))
            self._weight += weight
            self._changed.notify_all()
        return True

    def get(self, timeout: float) -> Reply | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout):
                return None
            weight, reply = self._items.popleft()
            self._weight -= weight
            self._changed.notify_all()
        return reply

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class Drawer(contextlib.AbstractContextManager["Drawer"]):
    """Draws or copies pages, one at a time; its process is kept for the next page of one file, which may be hostile."""

    def __init__(self, seconds: float = 60, options: Options | None = None, memory: int = 1_500_000_000) -> None:
        self._limits = wire.Setup(seconds, memory, options or Options())
        self._drawing = threading.Lock()
        self._kept: tuple[Path, _Process] | None = None

    def __exit__(self, *exc: object) -> None:
        self.close()

    def draw(self, path: Path, wanted: PageRequest) -> PagePicture:
        """Draw a page of a document, or raise ReadError."""
        return self._made(path, wanted, PagePicture)

    def copy(self, path: Path, wanted: PageRequest) -> PageCopy:
        """Copy a page of a document, or raise ReadError."""
        return self._made(path, wanted, PageCopy)

    def _made(self, path: Path, wanted: PageRequest, kind: type[Page]) -> Page:
        with self._drawing:
            kept, self._kept = self._kept, None
            if kept is not None and kept[0] == path:
                # That a kept process was killed says nothing about the file.
                with contextlib.suppress(_Lost):
                    return self._draw(kept[1], path, wanted, kind)
            elif kept is not None:
                kept[1].end()
            try:
                return self._draw(_Process(self._limits), path, wanted, kind)
            except _Lost as error:
                raise _not_drawn(path, error.reason) from error

    def _draw(self, process: _Process, path: Path, wanted: PageRequest, kind: type[Page]) -> Page:
        found, reason = None, "gave no picture. Open it in a viewer."
        try:
            for item in process.do(path, wanted):
                found = item if isinstance(item, kind) else found
                reason = item.reason if isinstance(item, Refused) else reason
        except protocol.TooLong as error:
            raise _not_drawn(path, "has too long a page to be drawn. Its text is shown instead.") from error
        finally:
            if found is None or process.leaving:
                process.end()
        if found is None:
            raise _not_drawn(path, reason)
        if not process.leaving:
            self._kept = path, process
        return found

    def close(self) -> None:
        """End the process; the next page starts another."""
        with self._drawing:
            kept, self._kept = self._kept, None
            if kept is not None:
                kept[1].end()


def _not_drawn(path: Path, reason: str) -> ReadError:
    what, _, hint = reason.partition(". ")
    return ReadError(f"{path.name} {what}", hint)


@dataclass(eq=False)
class _Lost(Exception):
    """The process is gone; `again` says that the file may not be the cause."""

    reason: str
    again: bool


class _Process:
    """A reader process, as seen from its parent."""

    def __init__(self, limits: wire.Setup) -> None:
        self.served = False
        self.leaving = False
        self._limits = limits
        pair = socket.socketpair() if sys.platform != "win32" else None
        theirs = pair[1] if pair is not None else None
        self._files = pair[0] if pair is not None else None
        self._popen = _spawn(theirs)
        if theirs is not None:
            theirs.close()
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._deadline = math.inf
        self._starved = 0.0
        self._resident = 0
        self._verdict = ""
        threading.Thread(target=self._watch, name="localrag-watching", daemon=True).start()

    def do(
        self, path: Path, draw: PageRequest | None = None, links: bool = True
    ) -> Iterator[Part | Refused | PagePicture | PageCopy]:
        """Yield the results of a job; raise _Lost if the process died, or had to be killed."""
        try:
            opened = open_file(path, links)
        except ReadError as error:
            yield Refused("", f"{error.message}. {error.hint}")
            return
        decoder = wire.Decoder(self._limits.options, os.fstat(opened).st_size)
        requests, replies = self._popen.stdin, self._popen.stdout
        assert requests is not None and replies is not None
        self._deadline = self._clock() + self._limits.seconds
        self._resident = 0
        try:
            if not self.served:
                protocol.send(requests, self._limits)
                self.served = True
            if sys.platform == "win32" or self._files is None:
                protocol.send(requests, wire.Job(path.absolute(), draw))
            else:
                protocol.send(requests, wire.Job(Path(path.name), draw))
                socket.send_fds(self._files, [b"f"], [opened])
            beats = 0
            while (message := protocol.receive(replies, wire.Reply)) is not None:
                if isinstance(message, wire.Beat) and (beats := beats + 1) <= _MAX_BEATS:
                    self._deadline = self._clock() + self._limits.seconds
                item = decoder.take(message)
                if isinstance(item, wire.Done):
                    self.leaving, self._deadline = item.leaving, math.inf
                    return
                if item is not None:
                    self._deadline = math.inf  # the caller's time does not count
                    _check_identity(item, opened)
                    yield item
                    self._deadline = self._clock() + self._limits.seconds
        except protocol.Malformed as error:
            self.end()
            raise _Lost(f"made its reader send a malformed message ({error}). {_BROKEN}", again=False) from error
        except OSError:  # the pipe broke
            pass
        finally:
            os.close(opened)
        raise self._lost(self.end())

    def _watch(self) -> None:
        """Kill the process if it exceeds its limits."""
        seconds, memory = self._limits.seconds, self._limits.memory
        while not self._verdict and not self._gone.wait(_TICK):
            self._resident = max(self._resident, reader_process.resident(self._popen.pid))
            if self._clock() > self._deadline:
                self._verdict = (
                    f"took longer than {seconds:g} s. Split the file, or raise read_seconds in localrag.toml."
                )
            elif self._resident > memory + _SHARED:
                self._verdict = reader_process.needs_more(memory)
        if self._verdict:
            self.kill()

    def _clock(self) -> float:
        """Return seconds, less those in which the process waited for a processor: readers have a low priority."""
        self._starved = max(self._starved, reader_process.starved(self._popen.pid))
        return time.monotonic() - self._starved

    def _lost(self, code: int) -> _Lost:
        if self._verdict:
            return _Lost(self._verdict, again="memory" in self._verdict)
        # Native code that gets no memory aborts without a reason.
        if code == reader_process.EXIT_MEMORY or (code < 0 and self._resident > self._limits.memory // 2):
            return _Lost(reader_process.needs_more(self._limits.memory), again=True)
        if code == -getattr(signal, "SIGKILL", 9):
            hint = "The system may be short of memory: free some, or read fewer files at once (workers)."
            return _Lost(f"was not read: its reader was killed from outside. {hint}", again=True)
        how = f"exit code {code}"
        if code < 0:
            with contextlib.suppress(ValueError):
                how = signal.Signals(-code).name
        return _Lost(f"made its reader crash ({how}). {_BROKEN}", again=True)

    def kill(self) -> None:
        with self._lock:
            if self._gone.is_set():  # its process id may belong to another process
                return
            if sys.platform != "win32":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.kill()

    def end(self) -> int:
        """Kill the process and everything it started; return its exit code."""
        self.kill()
        with self._lock:
            self._gone.set()
        code = self._popen.wait()
        for pipe in filter(None, (self._popen.stdin, self._popen.stdout)):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
        if self._files is not None:
            self._files.close()
        return code


def _check_identity(item: Part | Refused | PagePicture | PageCopy, opened: int) -> None:
    """Compute what identifies a document here: a reader that was taken over could name another."""
    if not isinstance(item, Part) or item.name:
        return
    with os.fdopen(os.dup(opened), "rb") as stream:
        stream.seek(0)
        if item.sha256 != hashlib.file_digest(stream, "sha256").hexdigest() or item.size != stream.tell():
            raise protocol.Malformed("another hash or size than the file's")


def _spawn(files: socket.socket | None) -> subprocess.Popen[bytes]:
    # One thread each: several processes read at once, and the embedder uses the rest of the machine.
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1", "PGPASSWORD": ""}
    number = [] if files is None else [files.fileno()]
    return protocol.start(
        "localrag.ingest.readers.reader_process", *map(str, number), environment=environment, files=number
    )
