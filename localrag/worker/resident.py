"""A worker that stays after an answer, so that the next `localrag ask` loads nothing. Linux only.

`ask` forks it. The child confines itself as `ask` does, answers, and listens on a Unix socket in a folder of the user
alone, where no confined process writes or connects: `ask` connects before it is confined. The socket's name is a hash
of all that must be the same for another question (`_fit`). A worker ends when nobody asked for `keep_model_minutes`,
when any of that changes, or when its socket is deleted, as by a new worker. Where it fails, `ask` answers by itself.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import socket
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from localrag import events, policy, protocol
from localrag.errors import LocalragError
from localrag.events import Answered, Event, Replaced
from localrag.llm import calibration
from localrag.llm.loading import generator_name
from localrag.security import sandbox, storage
from localrag.security.encryption import keyring, unlocked
from localrag.security.offline import broker, remote
from localrag.security.terminal import size
from localrag.settings import Settings, load_settings
from localrag.store.names import DATABASE, check_name, check_trusted, database_of
from localrag.worker import calls
from localrag.worker.calls import Asker, Worker

if TYPE_CHECKING:
    from localrag.types import Filter

# Settings that travel with a question; a worker is for one value of each other.
_OF_A_QUESTION = ("generator", "answer_tokens", "answer_form", "strict", "think")
# What libraries heed of the environment, before they change it.
_HEEDED = ("TZ", "LANG", "LC_", "LD_", "PYTHON", "OMP_", "GOMP_", "GGML_", "LLAMA_", "CUDA_", "HIP_", "VK_")
_ENVIRONMENT = sorted((name, value) for name, value in os.environ.items() if name.startswith(_HEEDED))
_LOOK_SECONDS = 2.0  # between two looks whether a worker that stays has to end
_PATIENCE = 20.0  # seconds until the first reply of a worker that answers somebody else, or hangs

# The workers that run, connected to before this process was confined; None where none may be used.
_connections: dict[Path, socket.socket] | None = None


def connect() -> None:
    """Connect to the workers that run. Call it before this process is confined, which refuses connections for good."""
    global _connections
    with suppress(LocalragError):  # settings that cannot be read are reported by the command
        settings = load_settings()
        served = settings.generator_server or settings.embedder_server  # which keeps its model itself
        if sys.platform != "linux" or not settings.keep_model_minutes or served:
            return
        _connections = {}
        for path in _sockets(settings):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(1)
            with suppress(OSError):  # left behind by a worker that was killed
                connection.connect(str(path))
                if protocol.user_of(connection) == os.getuid():
                    _connections[path] = connection


def connection_for(
    settings: Settings, libraries: Sequence[str], only: Filter, reads: Sequence[Path]
) -> socket.socket | None:
    """Return a connection to the worker for a question, which is started if there is none; None: answer it here.

    Call it before threads start and before `sandbox.restrict`. A key that a person types is not given to a worker.
    """
    global _connections
    found, _connections = _connections, None
    if found is None:
        return None
    try:
        with unlocked.allow_prompt(False):
            for database in (database_of(settings.library_dir(check_name(name))) for name in libraries):
                unlocked.keys_for(database)
                database.stat()
        fit = _fit(settings, libraries)
    except (LocalragError, OSError):  # answering reports what is wrong
        return None
    # A filter may name a folder below the current one.
    key = hashlib.sha256(repr((fit, only.folder and Path.cwd())).encode()).hexdigest()[:16]
    mine = next((path for path in found if path.name.startswith(key)), None)
    for path in found.keys() - {mine}:
        found[path].close()
    if mine is None:
        return _start(settings, libraries, reads, key, fit)
    with suppress(OSError):
        os.utime(mine)  # when it was last asked
    found[mine].settimeout(_PATIENCE)
    return found[mine]


class Asking(events.Asking):
    """A question to a worker, with the arguments of `Engine.ask`; where the worker fails, `otherwise` answers."""

    def __init__(
        self, connection: socket.socket, otherwise: Callable[[], events.Asking], settings: Settings, **question: Any
    ) -> None:
        super().__init__(lambda _: self._all())
        self._connection, self._otherwise = connection, otherwise
        self._here: events.Asking | None = None
        options = {name: getattr(settings, name) for name in _OF_A_QUESTION}
        question["options"] = {name: "" if value is None else value for name, value in options.items()}  # "" unsets
        try:
            self._send(calls.Begin(1, "ask", calls.calls_of(Asker)["ask"].write((), question)[0]))
        except protocol.TooLong:  # it cannot be sent
            connection.close()

    def stop(self) -> None:
        super().stop()
        self._send(calls.Stop(1))
        if self._here is not None:
            self._here.stop()

    def _send(self, request: calls.Request) -> None:
        with suppress(OSError):  # reading fails too
            self._connection.sendall(protocol.encode(request))

    def _all(self) -> Iterator[Event]:
        begun = False
        # The worker was killed, or answers somebody else. With both closed, it no longer answers this.
        with suppress(OSError, protocol.Malformed), self._connection, self._connection.makefile("rb") as replies:
            while isinstance(reply := protocol.receive(replies, calls.Reply), calls.Item):
                event, begun = protocol.from_plain(reply.value, Event), True
                self._connection.settimeout(None)
                yield event
                if isinstance(event, Answered):  # it is recorded
                    return
            if isinstance(reply, calls.Done):  # stopped before there was an answer
                return
            if isinstance(reply, calls.Failed) and reply.error.kind != LocalragError.__name__:  # else unexpected
                raise reply.error.error()
        if begun:
            yield Replaced("the process that wrote it ended")
        self._here = self._otherwise()
        if self._stopped:
            self._here.stop()
        yield from self._here


def running(settings: Settings) -> list[str]:
    """Describe each worker that stays: its process, libraries and memory, and until when if nobody asks."""
    found = []
    for path in _sockets(settings):
        with suppress(OSError, ValueError):  # it ended meanwhile
            if str(path) in Path("/proc/net/unix").read_text("utf-8", "replace"):
                minutes, names = path.with_suffix(".txt").read_text("utf-8").split(" ", 1)
                until = time.strftime("%H:%M", time.localtime(path.stat().st_mtime + 60 * int(minutes)))
                process = path.stem.partition("-")[2]
                pages = Path(f"/proc/{process}/statm").read_text("ascii").split()[1]
                memory = size(int(pages) * mmap.PAGESIZE)
                found.append(f"process {process}, for {names}, {memory} of memory, until {until} or later")
    return found


def end(settings: Settings, but: Path | None = None) -> None:
    """Have the workers end when nobody asks them, within seconds, and delete what killed ones left."""
    for path in _sockets(settings):
        if path != but:
            storage.remove(path.with_suffix(".txt"))
            storage.remove(path)


def _sockets(settings: Settings) -> list[Path]:
    return sorted(settings.running_dir.glob("*-*.socket")) if _is_own(settings.running_dir) else []


def _is_own(folder: Path) -> bool:
    """Whether a folder is the user's, and nobody else can look into it."""
    if sys.platform != "linux":
        return False
    with suppress(OSError):
        facts = folder.lstat()
        return facts.st_uid == os.getuid() and not facts.st_mode & 0o077
    return False


def _fit(settings: Settings, libraries: Sequence[str]) -> tuple[Any, ...]:
    """What must stay the same for a worker to answer as this process would. Raises OSError or LocalragError.

    Any change to a library is one, so that nothing that was forgotten stays in memory.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    watched = [settings.models_dir / "choice.json", *settings.models_dir.glob("*/"), *policy.files(), policy.SYSTEM]
    watched.append(Path(sysconfig.get_path("purelib")))  # where a package is exchanged
    code = os.walk(Path(__file__).parents[1])
    watched += [Path(folder, name) for folder, _, names in code for name in names if name.endswith(".py")]
    for name in libraries:
        check_trusted(settings, name)
        folder = settings.library_dir(name)
        watched += [database_of(folder), folder / f"{DATABASE}-wal", folder / keyring.FILE]
    return (
        sys.prefix,
        os.getpriority(os.PRIO_PROCESS, 0),
        os.sched_getaffinity(0),
        _ENVIRONMENT,
        settings.indexes_dir.absolute(),
        *libraries,
        *map(_facts, watched),
        _apart(settings),
        *(getattr(settings, item.name) for item in fields(Settings) if item.name not in _OF_A_QUESTION),
    )


def _apart(settings: Settings) -> bool | None:
    with suppress(LocalragError):
        return calibration.load(settings.calibration_file, generator_name(settings)).apart
    return None


def _facts(path: Path) -> tuple[Any, ...]:
    with suppress(FileNotFoundError):
        facts = path.stat()
        if facts.st_size:  # a reader makes an empty log of changes
            return str(path), facts.st_ino, facts.st_mtime_ns, facts.st_size, facts.st_mode, facts.st_uid
    return (str(path),)


def _start(
    settings: Settings, libraries: Sequence[str], reads: Sequence[Path], key: str, fit: tuple[Any, ...]
) -> socket.socket | None:
    """Fork a worker, which ends if it cannot open its socket; return the connection to it, None if there is none."""
    if sys.platform != "linux":
        return None
    ours, theirs = socket.socketpair()
    try:
        if os.fork():
            theirs.close()
            return ours
    except OSError:
        return None
    try:
        broker.detach({theirs.fileno(), *remote.channel()})
        path = settings.running_dir / f"{key}-{os.getpid()}.socket"
        listener = _listen(settings, libraries, path)
        sandbox.restrict(settings, libraries, reads=reads)
        keyring.no_dumps()

        def outdated() -> bool:
            try:
                return not (_is_own(path.parent) and path.exists()) or _fit(settings, libraries) != fit
            except (OSError, LocalragError):
                return True

        stay(Asker(settings, settable=_OF_A_QUESTION), theirs, listener, 60 * settings.keep_model_minutes, outdated)
    finally:
        os._exit(0)


def _listen(settings: Settings, libraries: Sequence[str], path: Path) -> socket.socket:
    """Open the socket of this worker and delete those of others. Raises OSError or StorageError."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    end(settings)
    if not _is_own(storage.make_dir(path.parent)):
        raise PermissionError(f"others may look into {str(path.parent)!r}")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    storage.write_bytes(path.with_suffix(".txt"), f"{settings.keep_model_minutes} {', '.join(libraries)}".encode())
    end(settings, but=path)  # of one that started meanwhile
    return listener


def stay(
    engine: Asker, first: socket.socket, listener: socket.socket, seconds: float, outdated: Callable[[], bool]
) -> None:
    """Answer clients in their turn until none was there for so many seconds, or none is and this is `outdated`."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    jobs: calls.Jobs = SimpleQueue()
    offered = {"ask": calls.calls_of(Asker)["ask"]}
    visits: list[threading.Thread] = []

    def welcome(client: socket.socket) -> Worker:
        worker = Worker(engine, offered, client.makefile("rb"), client.makefile("wb"), jobs)
        visits.append(threading.Thread(target=worker.visit, daemon=True))
        visits[-1].start()
        return worker

    threading.Thread(target=welcome(first)._run_model, name="localrag-model", daemon=True).start()
    listener.settimeout(_LOOK_SECONDS)
    now = partial(time.clock_gettime, time.CLOCK_BOOTTIME)  # time asleep counts, for keys are in memory
    last = now()
    while visits or not (outdated() or now() - last > seconds):
        with suppress(TimeoutError):
            client, _ = listener.accept()
            client.settimeout(None)
            if protocol.user_of(client) == os.getuid() and not outdated():
                welcome(client)
            del client  # closed with its files
        visits = [visit for visit in visits if visit.is_alive()]
        last = now() if visits else last
