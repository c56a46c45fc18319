"""A worker process as its parent sees it: started, talked to, listened to, ended, and what it said last.

A thread of its own starts it and listens for as long as it lives. Of what it writes to stderr (a failed assertion of
native code) a few lines are kept, and the last is shown where it crashed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any

from localrag.errors import LocalragError
from localrag.security import offline, sandbox
from localrag.security.encryption import unlocked
from localrag.settings import Settings
from localrag.worker import wire
from localrag.worker.calls import Setup

_WAITING = 256 << 20  # bytes of replies that nobody takes
_LAST_WORDS = 4000  # bytes
WORKER = "localrag.worker.worker"
_MEMORY = "The system may have been short of memory: choose a smaller model, or set context_tokens lower."


class Reply:
    """What comes back for one call: ("item", value) ... ("done", value), or ("error", ...) in place of either."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._queue: SimpleQueue[tuple[str, Any, int]] = SimpleQueue()
        self._put = self._got = 0  # bytes; each is changed by one thread

    def put(self, kind: str, data: Any, size: int = 0) -> None:
        self._put += size
        if size and self._put - self._got > _WAITING:  # that the worker is gone, which has no size, is always told
            raise wire.Malformed("more than anybody takes")
        self._queue.put((kind, data, size))

    def get(self, timeout: float | None) -> tuple[str, Any]:
        """The next one; ("", None) where none comes in time."""
        try:
            kind, data, size = self._queue.get(timeout=timeout)
        except Empty:
            return "", None
        self._got += size
        return kind, data


class Process:
    """One worker, from its start to its end. May be used from several threads.

    Args:
        libraries: those that it reaches; it is given the keys of these alone.
    """

    def __init__(self, settings: Settings, libraries: Sequence[str] = ()) -> None:
        self.alive = True
        self.libraries = frozenset(libraries)
        confined = offline.confined()
        self._settings, self._readable = settings, sandbox.readable(settings) if confined else {}
        self._there = {name for name in libraries if (settings.indexes_dir / name).is_dir()} if confined else libraries
        folders = {settings.library_dir(name).absolute() for name in libraries}
        keys = tuple((str(folder), key.secret) for folder, key in unlocked.keys().items() if folder in folders)
        self._setup = Setup(settings, confined, os.getpid(), keys, tuple(libraries))
        self._numbers = count(1)
        self._replies: dict[int, Reply] = {}
        self._popen: subprocess.Popen[bytes] | None = None
        # Reentrant: `pause` is also called by a handler of signals, in the middle of anything.
        self._lock, self._sending = threading.RLock(), threading.Lock()
        self._ready, self._gone = threading.Event(), threading.Event()
        self._verdict, self._words, self._code = "", b"", 0
        # The system ends the worker with the thread that started it, so that is one that stays (see `worker`).
        threading.Thread(target=self._run, name="localrag-worker", daemon=True).start()

    def takes_in(self, library: str, folder: Path) -> bool:
        """Whether it may read all of a folder into a library: both were there when it confined itself."""
        if not self._setup.confined:
            return True
        return library in self._there and sandbox.still_covers(self._readable, folder, self._settings)

    @property
    def busy(self) -> bool:
        with self._lock:
            return bool(self._replies)

    # --- talking --------------------------------------------------------------------------------------------

    def expect(self) -> Reply | None:
        """What comes back for a call that is made with it (`begin`); None where the worker has ended."""
        reply = Reply(next(self._numbers))
        with self._lock:
            if not self.alive:
                return None
            self._replies[reply.number] = reply
        return reply

    def begin(self, reply: Reply, name: str, arguments: dict[str, Any]) -> None:
        """Call a method."""
        self.send(["call", reply.number, name, arguments])

    def send(self, said: list[Any]) -> None:
        data = wire.line(said)
        self._ready.wait()
        # Where it is gone, its thread says so to every call.
        with suppress(OSError, ValueError), self._sending:
            if self._popen is not None and self._popen.stdin is not None:
                self._popen.stdin.write(data)
                self._popen.stdin.flush()

    def drop(self, reply: Reply) -> None:
        """Nobody takes anything more of it."""
        with self._lock:
            known = self._replies.pop(reply.number, None)
        if known is not None:
            self.send(["drop", reply.number])

    def pause(self, paused: bool) -> None:
        if sys.platform != "win32":
            self._signal(signal.SIGSTOP if paused else signal.SIGCONT)

    # --- its end --------------------------------------------------------------------------------------------

    def distrust(self, error: wire.Malformed) -> None:
        """It sent what makes no sense: end it."""
        self._verdict = self._verdict or f"it sent what makes no sense ({error})"
        self._kill()
        self.alive = False

    def end(self, patience: float) -> None:
        """Have it leave, and kill it where it does not."""
        self.pause(False)
        with self._lock:
            numbers = list(self._replies)
        for number in numbers:
            self.send(["drop", number])
        self.send(["close"])
        if not self._gone.wait(patience):
            self._kill()
            self._gone.wait(patience)

    def lost(self) -> LocalragError:
        """Why its calls come to nothing, for a person."""
        if self._verdict:
            return LocalragError(f"the model's process was ended: {self._verdict}", "What you ask next starts another.")
        how, hint = f"exit code {self._code}", "What you ask next starts another. `localrag doctor` may say more."
        if self._code < 0:
            with suppress(ValueError):
                how = f"signal {-self._code}, {signal.Signals(-self._code).name}"
        if -self._code == getattr(signal, "SIGKILL", 9):
            hint = f"{_MEMORY} What you ask next starts another."
        # What Python says of a crash stands behind what native code said of it.
        words = self._words.decode("utf-8", "replace").partition("Fatal Python error")[0].splitlines()
        last = next((line.strip() for line in reversed(words) if line.strip()), "")
        return LocalragError(f"the model's process ended ({how})" + f": {last[:200]}" * bool(last), hint)

    def _kill(self) -> None:
        self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _signal(self, number: int) -> None:
        self._ready.wait()
        with self._lock:
            if self.alive and self._popen is not None:
                with suppress(OSError):
                    self._popen.send_signal(number)

    # --- its thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            try:
                self._popen = _spawn(self._setup)
            except OSError as error:
                self._verdict = f"it cannot be started ({error})"
            finally:
                self._ready.set()
            if self._popen is not None:
                self._listen(self._popen)
        finally:
            with self._lock:
                self.alive = False
                left, self._replies = list(self._replies.values()), {}
            for reply in left:
                reply.put("error", wire.write_error(self.lost()))
            self._gone.set()

    def _listen(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdin is not None and popen.stdout is not None and popen.stderr is not None
        drain = threading.Thread(target=self._keep_words, args=(popen.stderr,), daemon=True)
        drain.start()
        try:
            while (data := wire.read_line(popen.stdout)) is not None:
                self._take(wire.message(data), len(data))
        except wire.Malformed as error:
            self.distrust(error)
        self.alive = False
        try:
            self._code = popen.wait(1)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            popen.kill()
            self._code = popen.wait()
        drain.join(1)
        for stream in (popen.stdin, popen.stdout, popen.stderr):
            with suppress(OSError, ValueError):
                stream.close()

    def _take(self, said: list[Any], size: int) -> None:
        match said:
            case ["item" | "done" | "error" as kind, int(number), data]:
                with self._lock:
                    reply = self._replies.get(number) if kind == "item" else self._replies.pop(number, None)
                if reply is not None:  # else nobody takes it any more
                    reply.put(kind, data, size)
            case _:
                raise wire.Malformed("an unknown message")

    def _keep_words(self, stderr: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while data := os.read(stderr.fileno(), _LAST_WORDS):
                self._words = (self._words + data)[-_LAST_WORDS:]


def _spawn(setup: Setup) -> subprocess.Popen[bytes]:
    """A new worker, told its setup.

    It finds localrag where this process did, and nothing in the current folder (see `readers/isolate.py`).
    """
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    # Its own group of processes: Ctrl-C and Ctrl-Z go to the screen, which passes on what it should hear.
    group: dict[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    popen = subprocess.Popen(
        [sys.executable, "-P", "-m", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, inherited)))},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        **group,
    )
    assert popen.stdin is not None
    with suppress(OSError):  # it is gone already
        popen.stdin.write(wire.line(["setup", wire.coder(Setup).write(setup)]))
        popen.stdin.flush()
    return popen
