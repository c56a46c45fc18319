"""Files are read in processes of their own, so that a bad file costs one line of the report and nothing else.

A process reads many files, one at a time, and sends what it finds document by document. It is killed when a document
takes too long or too much memory, and replaced when it crashes: what had come of the file by then stays, the rest is
one reason. What a reader had started (an office program) dies with it. Replies wait in a short queue, so that a slow
caller makes the processes wait, not the memory fill. A subverted process can send text (`wire`), not code.

Limits: a process has the rights of its user (`worker` says what it gives up). On Windows there is no memory limit, and
what a reader had started is not killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localrag.errors import Cancelled, ReadError
from localrag.ingest.readers import wire, worker
from localrag.ingest.readers.replies import Replies, Reply
from localrag.ingest.readers.source import Options, Pictured, Wanted
from localrag.types import Part, Refused

_WAITING = 20_000_000  # characters of text that wait for the caller, about
_TICK = 0.1
_MOST_BEATS = 20_000  # pages of a scan
_SHARED = 200_000_000  # the code of libraries, which is in memory but no data
_BROKEN = "The file is damaged or hostile. Open it in its own program and save it anew."


class ReaderPool:
    """Reads files side by side; a context manager, so that no process is left behind.

    Args:
        workers: how many processes read at once; they start when there is work for them.
        seconds: the longest time one document may take; inside an archive the clock starts anew with each.
        options: how files are read.
        memory: the most bytes that a process may take for its data.
        stop: asked several times a second; once it says True, `read_all` raises Cancelled.
    """

    def __init__(
        self,
        workers: int = 2,
        seconds: float = 120,
        options: Options | None = None,
        memory: int = 1_500_000_000,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._size = max(1, workers)
        self._limits = _Limits(seconds, memory, options or Options())
        self._stop = stop or (lambda: False)
        self._jobs: queue.SimpleQueue[tuple[Path, Replies] | None] = queue.SimpleQueue()
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._open: list[Replies] = []
        self._closed = threading.Event()
        self._starting = threading.Lock()  # `close` may be called by another thread than `read_all`

    def __enter__(self) -> ReaderPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read_all(self, paths: Iterable[Path]) -> Iterator[Reply]:
        """Each path with every document that is in it, or why not, one by one; then with None: the file is done.

        What is in one file comes in order, between that of others. `paths` is drawn from in the caller's thread, a few
        files ahead of what has been handed out. Passwords and the text of files pass through pipes only.

        Raises:
            Cancelled: `stop` returned True, or the pool was closed.
        """
        if self._closed.is_set():
            raise ValueError("this ReaderPool is closed")
        replies = Replies(_WAITING)
        self._open.append(replies)
        try:
            yield from self._read_all(iter(paths), replies)
        finally:
            replies.close()
            self._open.remove(replies)

    def _read_all(self, paths: Iterator[Path], replies: Replies) -> Iterator[Reply]:
        pending, ahead = 0, 2 * self._size + 2
        more = True
        while True:
            if self._stop() or self._closed.is_set():
                raise Cancelled("reading was stopped", "Run the same command again: it goes on where it stopped.")
            while more and pending < ahead:
                path = next(paths, None)
                if path is None:
                    more = False
                    break
                self._start_thread(pending)
                self._jobs.put((Path(path), replies))
                pending += 1
            if not pending:
                return
            if (reply := replies.get(_TICK)) is not None:
                pending -= reply[1] is None
                yield reply

    def close(self) -> None:
        """End every process, whatever it is doing. Closing twice does nothing."""
        with self._starting:
            self._closed.set()
        for replies in list(self._open):
            replies.close()
        for each in self._workers:
            self._jobs.put(None)
            each.end()
        until = time.monotonic() + 1
        for thread in self._threads:
            thread.join(timeout=max(0, until - time.monotonic()))
        self._threads.clear()

    def _start_thread(self, pending: int) -> None:
        with self._starting:
            if pending >= len(self._workers) < self._size and not self._closed.is_set():
                each = _Worker(self._limits)
                self._workers.append(each)
                if len(self._workers) == 1:
                    self._run(self._watch)
                self._run(self._serve, each)

    def _run(self, work: Callable[..., None], *args: object) -> None:
        # Daemon: an abandoned pool must not keep the program from ending; the processes see their pipes close.
        thread = threading.Thread(target=work, args=args, name="localrag-reader", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, each: _Worker) -> None:
        while (job := self._jobs.get()) is not None and not self._closed.is_set():
            path, replies = job
            try:
                with contextlib.closing(each.read(path)) as items:
                    for item in items:
                        if not replies.put(path, item):
                            break
            except Exception as error:  # a fault of ours must not leave the caller waiting
                what = f"{type(error).__name__}: {error}"
                replies.put(path, Refused("", f"cannot be read: {what}. Please report this."))
            replies.put(path, None)
        each.bury()

    def _watch(self) -> None:
        while not self._closed.wait(_TICK):
            for each in self._workers:
                each.look()


class Drawer:
    """Draws pages, one at a time, in a process that stays for a while, since starting it takes longest.

    It stays for pages of the same file only: what a hostile file did to it touches no other's pages. A context manager,
    so that no process is left behind.

    Args:
        seconds, memory, options: as for `ReaderPool`.
        idle: how many seconds a process waits for the next page.
    """

    def __init__(
        self, seconds: float = 60, options: Options | None = None, memory: int = 1_500_000_000, idle: float = 60
    ) -> None:  # fmt: skip
        self._limits = _Limits(seconds, memory, options or Options())
        self._idle = idle
        self._drawing = threading.Lock()
        self._kept: tuple[Path, _Process] | None = None
        self._leaving: threading.Timer | None = None

    def __enter__(self) -> Drawer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def draw(self, path: Path, wanted: Wanted) -> Pictured:
        """How a page of a document looks.

        Raises:
            ReadError: it cannot be drawn, and why.
        """
        with self._drawing:
            kept, self._kept = self._kept, None
            if self._leaving is not None:
                self._leaving.cancel()
            if kept is not None and kept[0] == path:
                # One that was killed while it waited says nothing about the file.
                with contextlib.suppress(_Lost):
                    return self._draw(kept[1], path, wanted)
            elif kept is not None:
                kept[1].end()
            try:
                return self._draw(_Process(self._limits), path, wanted)
            except _Lost as error:
                raise _not_drawn(path, error.reason) from error

    def _draw(self, process: _Process, path: Path, wanted: Wanted) -> Pictured:
        over, found, reason = threading.Event(), None, "gave no picture. Open it in a viewer."

        def watch() -> None:
            while not over.wait(_TICK):
                process.look()

        threading.Thread(target=watch, name="localrag-picture", daemon=True).start()
        try:
            for item in process.do({"path": os.fspath(path.absolute()), "picture": asdict(wanted)}):
                found = item if isinstance(item, Pictured) else found
                reason = item.reason if isinstance(item, Refused) else reason
        except ValueError as error:  # the page's text is too long to be sent
            raise _not_drawn(path, "has too long a page to be drawn. Its text is shown instead.") from error
        finally:
            over.set()
            if found is None or process.leaving:
                process.end()
        if found is None:
            raise _not_drawn(path, reason)
        if not process.leaving:
            self._keep(path, process)
        return found

    def _keep(self, path: Path, process: _Process) -> None:
        self._kept = path, process
        self._leaving = threading.Timer(self._idle, self.close)
        self._leaving.daemon = True
        self._leaving.start()

    def close(self) -> None:
        """End the process; the next page gets another."""
        with self._drawing:
            kept, self._kept = self._kept, None
            if kept is not None:
                kept[1].end()


def _not_drawn(path: Path, reason: str) -> ReadError:
    what, _, hint = reason.partition(". ")
    return ReadError(f"{path.name} {what}", hint)


@dataclass(frozen=True, slots=True)
class _Limits:
    seconds: float
    memory: int
    options: Options


class _Lost(Exception):
    """The process is gone, and why; `again` where the file may not be what it died of."""

    def __init__(self, reason: str, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


class _Worker:
    """One process after the other. `read` is called by one thread, `look` and `end` by any."""

    def __init__(self, limits: _Limits) -> None:
        self._limits = limits
        self._process: _Process | None = None
        self._lock = threading.Lock()
        self._ended = False

    def read(self, path: Path) -> Generator[Part | Refused]:
        """What one file gives; a process that had served before gets no second chance, but its file does.

        It may have died while it was idle, or of what earlier files left behind in it.
        """
        while (process := self._started()) is not None:
            last: Part | Refused | None = None
            served, staying = process.served, False
            try:
                for last in process.read(path):
                    yield last
                staying = not process.leaving
                return
            except _Lost as lost:
                if not (served and last is None and lost.again):
                    yield Refused("", wire.cut_short(lost.reason, last.name if last else None))
                    return
            finally:
                if not staying:
                    self._discard(process)

    def look(self) -> None:
        if (process := self._process) is not None:
            process.look()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            process = self._process
        if process is not None:
            process.kill()

    def bury(self) -> None:
        """Called by the thread of `read`, last of all: an idle process is waited for as well."""
        self.end()
        if self._process is not None:
            self._discard(self._process)

    def _started(self) -> _Process | None:
        with self._lock:
            if self._ended:
                return None
            if self._process is None:
                self._process = _Process(self._limits)
            return self._process

    def _discard(self, process: _Process) -> None:
        with self._lock:
            self._process = None
        process.end()


class _Process:
    """A process that reads, as seen from its parent."""

    def __init__(self, limits: _Limits) -> None:
        self.served = False
        self.leaving = False
        self._limits = limits
        self._popen = _spawn()
        self._lock = threading.Lock()
        self._gone = False
        self._deadline = math.inf
        self._starved = 0.0
        self._resident = 0
        self._verdict = ""

    def read(self, path: Path) -> Iterator[Part | Refused]:
        """What one file gives, as it comes.

        Raises:
            _Lost: the process died, or had to be killed.
        """
        for item in self.do({"path": os.fspath(path.absolute())}):
            if isinstance(item, Pictured):
                raise _Lost(f"made its reader send what was not asked for. {_BROKEN}", again=False)
            yield item

    def do(self, job: dict[str, Any]) -> Iterator[Part | Refused | Pictured]:
        """What comes of a job.

        Raises:
            _Lost: the process died, or had to be killed.
        """
        decoder = wire.Decoder(self._limits.options)
        requests, replies = self._popen.stdin, self._popen.stdout
        assert requests is not None and replies is not None
        self._deadline = self._clock() + self._limits.seconds
        self._resident = 0
        try:
            if not self.served:
                wire.send(requests, wire.setup_of(self._limits.seconds, self._limits.memory, self._limits.options))
                self.served = True
            wire.send(requests, job)
            beats = 0
            while (message := wire.receive(replies)) is not None:
                if message == [] and (beats := beats + 1) <= _MOST_BEATS:  # a page of a scan is done: see `pulse`
                    self._deadline = self._clock() + self._limits.seconds
                for item in decoder.take(message):
                    self._deadline = math.inf  # how long the caller takes is not the file's fault
                    if isinstance(item, wire.Done):
                        self.leaving = item.leaving
                        return
                    yield item
                    self._deadline = self._clock() + self._limits.seconds
        except wire.Malformed as error:
            raise _Lost(f"made its reader send what makes no sense ({error}). {_BROKEN}", again=False) from error
        except OSError:  # the pipe broke
            pass
        raise self._lost(self.end())

    def look(self) -> None:
        """Called several times a second: see to it that the process keeps to its limits."""
        limits = self._limits
        self._resident = max(self._resident, worker.resident(self._popen.pid))
        if self._clock() > self._deadline:
            self._verdict = (
                f"took longer than {limits.seconds:g} s. Split the file, or raise read_seconds in localrag.toml."
            )
        elif self._resident > limits.memory + _SHARED:
            self._verdict = worker.needs_more(limits.memory)
        else:
            return
        self.kill()

    def _clock(self) -> float:
        """Seconds, but not those for which it wanted a processor and others had it: they are not the file's fault.

        Readers come last on a busy machine, behind questions above all.
        """
        self._starved = max(self._starved, worker.starved(self._popen.pid))
        return time.monotonic() - self._starved

    def _lost(self, code: int) -> _Lost:
        if self._verdict:
            return _Lost(self._verdict, again="memory" in self._verdict)
        # Native code that gets no memory aborts, and does not say why.
        if code == worker.GREEDY or (code < 0 and self._resident > self._limits.memory // 2):
            return _Lost(worker.needs_more(self._limits.memory), again=True)
        if code == -getattr(signal, "SIGKILL", 9):
            hint = "The system may be short of memory: free some, or read fewer files at once (workers)."
            return _Lost(f"was not read: its reader was killed from outside. {hint}", again=True)
        return _Lost(f"made its reader crash ({_end_of(code)}). {_BROKEN}", again=True)

    def kill(self) -> None:
        with self._lock:
            if self._gone:  # and its number may be another's by now
                return
            if sys.platform != "win32":
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.kill()

    def end(self) -> int:
        """Kill the process and all that it started; returns its exit code, the one it had if it was dead."""
        self.kill()
        with self._lock:
            self._gone = True
        code = self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()
        return code


def _spawn() -> subprocess.Popen[bytes]:
    """A new process. It finds localrag where this one did, and nothing in the current folder.

    Without -P, `python -m` would import a `json.py` that lies among the person's documents.
    """
    here = str(Path(__file__).resolve().parents[3])
    inherited = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, inherited)))}
    # One thread each: several processes read at once, and the embedder wants the rest of the machine.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "localrag.ingest.readers.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _end_of(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
