"""The engine in worker processes, as the screen sees it.

A worker (`calls.Worker`) holds documents and models, so typing never waits for them, and a crash of native code costs
only the calls in progress: they raise, and the next call starts another worker. A worker reaches only the libraries
that it was started for: the front worker those that are asked (`use`), others the library of one call. A worker that
sends anything malformed is killed. `RemoteEngine` may be used from several threads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Any, cast

from localrag import protocol
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.security import offline, sandbox
from localrag.security.encryption import unlocked
from localrag.security.offline import remote
from localrag.store import names
from localrag.worker import calls
from localrag.worker.engine import Engine, Folder

if TYPE_CHECKING:
    from localrag.settings import Settings

WORKER = "localrag.worker"
_POLL = 0.02  # seconds between two calls of `stop`
_ASK_CALLS = ("ask", "read_ahead", "review")
_END_SECONDS = 0.5  # for a worker to end by itself; killing it leaves the library usable
_CRASH_SECONDS = 10.0  # between the end of its replies and its own, in which the system may write its memory to a file
_MAX_WAITING = 256 << 20  # bytes of replies that nobody takes
_MAX_STDERR = 4000  # bytes
_START_AGAIN = "The next question starts another."
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def remote_engine(
    settings: Settings, libraries: Sequence[str] | None = None, reads: Sequence[Path] | None = None
) -> Engine:
    """Return an engine in a worker process; the first call starts it, `close` ends it.

    It reaches only these libraries, by one worker; with None, those of the latest question. See `sandbox.restrict`.
    """
    return cast(Engine, RemoteEngine(settings, libraries, reads))


class RemoteEngine:
    """See `Engine`. Settings from `configure` also hold for later workers."""

    def __init__(
        self, settings: Settings, libraries: Sequence[str] | None = None, reads: Sequence[Path] | None = None
    ) -> None:
        self._settings, self._reads = settings, reads
        self._fixed = libraries is not None
        self._libraries = tuple(libraries or ())
        self._lock = threading.RLock()  # see `Process`
        self._front: Process | None = None
        self._others: list[Process] = []  # each ends with its last call
        self._closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if (call := calls.calls_of(Engine).get(name)) is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def method(*args: Any, **kwargs: Any) -> Any:
            arguments, stop = call.write(args, kwargs)
            try:
                protocol.decode(protocol.encode(calls.Begin(1 << 62, name, arguments)), calls.Begin)
            except ValueError as error:  # a worker would be ended by it, and other answers with it
                raise UsageError(f"the request cannot be sent ({error})", "Ask for less at once.") from None
            values = self._values(call, arguments, stop)
            return values if call.streams else next(values)

        return method

    def libraries(self) -> tuple[str, ...]:
        # Names of folders: the first screen needs them before there is a worker.
        return tuple(names.library_names(self._settings.indexes_dir))

    def look_at(self, folder: Path) -> Folder:
        # A worker cannot see other libraries, and nobody can type a key behind a screen.
        with unlocked.allow_prompt(False):
            known = names.library_of(folder, self._settings)
        if known:
            return Folder(known, True, 0)
        return cast(Folder, self.__getattr__("look_at")(folder))

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        from localrag.sessions import store_of

        # Conversations may be kept with other libraries. Before, in case it is killed; after, as one may have grown.
        store_of(self._settings).forget([(library, path) for path in documents])
        deleted: tuple[str, ...] = self.__getattr__("forget")(library, documents)
        store_of(self._settings).forget([(library, path) for path in deleted])
        return deleted

    def use(self, libraries: Sequence[str]) -> None:
        with self._lock:
            self._libraries = tuple(libraries)
            if self._front is not None and self._front.libraries != set(libraries):
                self._others.append(self._front)
                self._front = None
        self._end_idle()

    def configure(self, **options: Any) -> None:
        with self._lock:
            self._settings = self._settings.with_options(**options)
            running = self._front is not None and self._front.alive
        if running:
            self.__getattr__("configure")(**options)

    def pause(self, paused: bool) -> None:
        with self._lock:
            for process in self._all():
                process.pause(paused)

    def rest(self) -> None:
        with self._lock:
            if self._front is not None and not self._front.busy:
                self._others.append(self._front)
                self._front = None
        self._end_idle()

    def close(self) -> None:
        """End the workers within a second; calls in progress raise."""
        with self._lock:
            self._closed = True
            ended, self._front, self._others = self._all(), None, []
        for process in ended:
            process.end(_END_SECONDS)

    def _all(self) -> list[Process]:
        return [*filter(None, [self._front]), *self._others]

    def _process_for(self, call: calls.Call, arguments: dict[str, Any]) -> Process:
        """Return a worker that reaches the libraries of a call; start one if there is none. Hold the lock."""
        wanted = tuple(arguments["libraries"]) if "libraries" in arguments else ()
        wanted += (arguments["library"],) if "library" in arguments else ()
        if self._closed:
            raise LocalragError("the engine was closed")
        if self._fixed and not set(wanted) <= set(self._libraries):
            raise NotFoundError(f"{wanted!r} are not all among the libraries {self._libraries!r}")
        if call.name in _ASK_CALLS and not self._fixed:
            self.use(wanted)
        if call.name == "ingest":
            sandbox.make_library_folder(self._settings, names.check_name(arguments["library"]))
        any_worker = wanted and call.name not in _ASK_CALLS
        files = [Path(one).expanduser() for one in arguments.get("named", ())]
        files = [file for file in files if file.is_file()]
        for process in self._all() if any_worker else self._all()[: self._front is not None]:
            able = call.name != "ingest" or process.can_ingest(arguments["library"], Path(arguments["folder"]))
            if process.alive and process.libraries >= set(wanted) and able and all(map(process.can_read, files)):
                return process
        if files or (self._libraries and not set(wanted) <= set(self._libraries)):
            self._others.append(process := Process(self._settings, wanted, self._reads))
            return process
        self._others += filter(None, [self._front])
        self._libraries = self._libraries or wanted
        self._front = Process(self._settings, self._libraries, self._reads)
        return self._front

    def _end_idle(self) -> None:
        """End the workers behind the front that have no call in progress."""
        with self._lock:
            idle = [process for process in self._others if not (process.alive and process.busy)]
            self._others = [process for process in self._others if process not in idle]
        for process in idle:
            threading.Thread(target=process.end, args=(_END_SECONDS,), name="localrag-ending", daemon=True).start()

    def _values(self, call: calls.Call, arguments: dict[str, Any], stop: Callable[[], bool] | None) -> Generator[Any]:
        replies = None
        while replies is None:
            with self._lock:
                process = self._process_for(call, arguments)
                replies = process.expect()  # from here on it is busy and will not be ended as idle
        stopped = stop is None
        try:
            process.send(calls.Begin(replies.number, call.name, arguments))
            while True:
                if not stopped and stop is not None and stop():
                    process.send(calls.Stop(replies.number))
                    stopped = True
                match replies.get(None if stopped else _POLL):
                    case LocalragError() as lost:
                        raise lost
                    case calls.Failed(error=error):
                        raise error.error()
                    case calls.Item(value=value) if call.streams:
                        yield protocol.from_plain(value, call.result)
                    case calls.Done(value=value):
                        if not call.streams:
                            yield protocol.from_plain(value, call.result)
                        return
        except protocol.Malformed as error:
            process.distrust(error)
            raise process.lost() from error
        finally:
            process.drop(replies)
            self._end_idle()


class Replies:
    """What comes back for one call."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._queue: SimpleQueue[tuple[calls.Reply | LocalragError, int]] = SimpleQueue()
        self._put = self._got = 0  # bytes; each is changed by one thread

    def put(self, reply: calls.Reply | LocalragError, size: int = 0) -> None:
        self._put += size
        if size and self._put - self._got > _MAX_WAITING:  # the end of the worker has no size and always fits
            raise protocol.Malformed("more replies than anybody takes")
        self._queue.put((reply, size))

    def get(self, timeout: float | None) -> calls.Reply | LocalragError | None:
        """Return the next reply; None after the timeout."""
        try:
            reply, size = self._queue.get(timeout=timeout)
        except Empty:
            return None
        self._got += size
        return reply


class Process:
    """One worker process, from start to end; it gets the keys of its libraries only. Usable from several threads."""

    def __init__(self, settings: Settings, libraries: Sequence[str] = (), reads: Sequence[Path] | None = None) -> None:
        self.alive = True
        self.libraries = frozenset(libraries)
        confined = offline.hook_installed()
        self._settings, self._readable = settings, sandbox.readable(settings) if confined else {}
        self._existing = {name for name in libraries if not confined or (settings.indexes_dir / name).is_dir()}
        folders = {settings.library_dir(name).absolute() for name in libraries}
        keys = tuple((str(folder), key.secret) for folder, key in unlocked.keys().items() if folder in folders)
        read = None if reads is None else tuple(reads)
        self._setup = calls.Setup(settings, confined, os.getpid(), tuple(libraries), keys, read)
        self._numbers = count(1)
        self._replies: dict[int, Replies] = {}
        self._popen: subprocess.Popen[bytes] | None = None
        # Reentrant: a signal handler calls `pause`, in the middle of anything.
        self._lock, self._sending = threading.RLock(), threading.Lock()
        self._ready, self._gone = threading.Event(), threading.Event()
        self._verdict, self._stderr, self._code = "", b"", 0
        # The system kills the worker with the thread that started it, so this thread stays.
        threading.Thread(target=self._run, name="localrag-worker", daemon=True).start()

    def can_read(self, path: Path) -> bool:
        """Whether it may read a file, or all of a folder: it existed when the worker confined itself."""
        return not self._setup.confined or sandbox.still_covers(self._readable, path, self._settings)

    def can_ingest(self, library: str, folder: Path) -> bool:
        """Whether it may read all of a folder into a library, which existed, too."""
        return (not self._setup.confined or library in self._existing) and self.can_read(folder)

    @property
    def busy(self) -> bool:
        return bool(self._replies)

    def expect(self) -> Replies | None:
        """Return the replies of the next call; None where the worker has ended."""
        replies = Replies(next(self._numbers))
        with self._lock:
            if not self.alive:
                return None
            self._replies[replies.number] = replies
        return replies

    def send(self, request: calls.Request | calls.Setup) -> None:
        line = protocol.encode(request)
        self._ready.wait()
        # Where the worker is gone, its thread tells every call.
        with suppress(OSError, ValueError), self._sending:
            if self._popen is not None and self._popen.stdin is not None:
                self._popen.stdin.write(line)
                self._popen.stdin.flush()

    def drop(self, replies: Replies) -> None:
        """Forget a call that nobody listens to."""
        with self._lock:
            known = self._replies.pop(replies.number, None)
        if known is not None:
            self.send(calls.Stop(replies.number, drop=True))

    def pause(self, paused: bool) -> None:
        if sys.platform != "win32":
            self._signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def distrust(self, error: protocol.Malformed) -> None:
        """Kill a worker that sent nonsense."""
        self._verdict = self._verdict or f"it sent a malformed message ({error})"
        self._signal(_KILL)
        self.alive = False

    def end(self, seconds: float) -> None:
        """Ask the worker to end, and kill it after some seconds."""
        self.pause(False)
        with self._lock:
            numbers = list(self._replies)
        for number in numbers:
            self.send(calls.Stop(number, drop=True))
        self.send(calls.Close())
        if not self._gone.wait(seconds):
            self._signal(_KILL)
            self._gone.wait(seconds)

    def lost(self) -> LocalragError:
        """Return why its calls failed."""
        if self._verdict:
            return LocalragError(f"the model's process was ended: {self._verdict}", _START_AGAIN)
        how, hint = f"exit code {self._code}", f"{_START_AGAIN} `localrag doctor` may say more."
        if self._code < 0:
            with suppress(ValueError):
                how = f"signal {-self._code}, {signal.Signals(-self._code).name}"
        if -self._code == _KILL:
            memory = "The system may be short of memory: choose a smaller model, or set context_tokens lower."
            hint = f"{memory} {_START_AGAIN}"
        # Python's report of a crash follows the message of native code, which says more.
        lines = self._stderr.decode("utf-8", "replace").partition("Fatal Python error")[0].splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return LocalragError(f"the model's process ended ({how})" + f": {last[:200]}" * bool(last), hint)

    def _signal(self, number: int) -> None:
        self._ready.wait()
        with self._lock:
            if self.alive and self._popen is not None:
                with suppress(OSError):
                    self._popen.send_signal(number)

    def _run(self) -> None:
        try:
            try:
                with remote.lent(self._settings, self.libraries) as channel:
                    self._setup.channel = channel
                    files = [] if channel is None else [channel]
                    self._popen = protocol.start(WORKER, stderr=subprocess.PIPE, files=files)
                assert self._popen.stdin is not None
                with suppress(BrokenPipeError):  # it has ended already
                    protocol.send(self._popen.stdin, self._setup)
            except OSError as error:
                self._verdict = f"it cannot be started ({error})"
            finally:
                self._ready.set()
            if self._popen is not None:
                self._listen(self._popen)
        finally:
            if self._popen is not None and self._popen.poll() is None:
                self._popen.kill()
                self._popen.wait()
            with self._lock:
                self.alive = False
                left, self._replies = list(self._replies.values()), {}
            for replies in left:
                replies.put(self.lost())
            self._gone.set()

    def _listen(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdin is not None and popen.stdout is not None and popen.stderr is not None
        drain = threading.Thread(target=self._keep_stderr, args=(popen.stderr,), daemon=True)
        drain.start()
        try:
            while (line := protocol.read_line(popen.stdout)) is not None:
                reply = protocol.decode(line, calls.Reply)
                with self._lock:
                    take = self._replies.get if isinstance(reply, calls.Item) else self._replies.pop
                    replies = take(reply.number, None)
                if replies is not None:  # else the call was dropped
                    replies.put(reply, len(line))
        except protocol.Malformed as error:
            self.distrust(error)
        self.alive = False
        try:
            self._code = popen.wait(_CRASH_SECONDS)
        except subprocess.TimeoutExpired:  # it closed its pipe and still runs
            popen.kill()
            self._code = popen.wait()
        drain.join(_CRASH_SECONDS)
        for stream in (popen.stdin, popen.stdout, popen.stderr):
            with suppress(OSError, ValueError):
                stream.close()

    def _keep_stderr(self, stderr: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while data := os.read(stderr.fileno(), _MAX_STDERR):
                self._stderr = (self._stderr + data)[-_MAX_STDERR:]
