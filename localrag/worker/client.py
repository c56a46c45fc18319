"""The engine in processes of their own, as the screen sees it.

A worker (`worker.py`) holds documents and models, so that typing never waits for them, and a crash of native code costs
the calls under way and no more: they raise, and the next one starts another worker. Each worker reaches the libraries
it was started for and no other (`limits`): the one in front those that are asked (`use`); a call for another library
starts one for that, which ends when it is done. Every method of `Engine` is a call, without being named here. May be
used from several threads.

What a worker sends is data, checked by `wire`; a worker that sends anything else is ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from localrag.errors import LocalragError
from localrag.security import sandbox
from localrag.security.encryption import unlocked
from localrag.store import names
from localrag.worker import calls, wire
from localrag.worker.calls import Call
from localrag.worker.engine import Folder
from localrag.worker.process import Process

if TYPE_CHECKING:
    from localrag.settings import Settings
    from localrag.worker.engine import Engine

_LOOK = 0.02  # seconds between two looks at `stop`
_ASKING = ("ask", "read_ahead")
_PATIENCE = 0.5  # for a worker to leave by itself; what it is killed in the middle of stays usable


def remote_engine(settings: Settings) -> Engine:
    """An engine in a worker process; the first call starts it, `close` ends it."""
    return cast("Engine", RemoteEngine(settings))


class RemoteEngine:
    """See `Engine`. What is `configure`d also holds for the workers after this one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._libraries: tuple[str, ...] = ()
        self._lock = threading.RLock()  # see `Process`
        self._front: Process | None = None
        self._behind: list[Process] = []  # they end with their last call
        self._closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in calls.NAMES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

        def method(*given: Any, **named: Any) -> Any:
            call = calls.call(name)
            arguments, stop = call.write(given, named)
            values = self._values(call, arguments, stop)
            return values if call.streams else next(values)

        return method

    def libraries(self) -> tuple[str, ...]:
        # Names of folders: the first screen needs them before a worker is up.
        return tuple(names.library_names(self._settings.indexes_dir))

    def look_at(self, folder: Path) -> Folder:
        # A worker does not see to which other library a folder may belong; behind a screen nobody is asked for a key.
        with unlocked.asking(False):
            known = names.library_of(folder, self._settings)
        if known:
            return Folder(known, True, 0)
        found: Folder = self.__getattr__("look_at")(folder)
        return found

    def forget(self, library: str, documents: Sequence[str]) -> tuple[str, ...]:
        from localrag.sessions import store_of

        gone: tuple[str, ...] = self.__getattr__("forget")(library, documents)
        # Conversations with answers from them may lie with other libraries.
        store_of(self._settings).forget([(library, path) for path in gone])
        return gone

    def use(self, libraries: Sequence[str]) -> None:
        with self._lock:
            self._libraries = tuple(libraries)
            if self._front is not None and self._front.libraries != set(libraries):
                self._behind.append(self._front)
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

    def close(self) -> None:
        """End the workers, within a second; what is under way raises."""
        with self._lock:
            self._closed = True
            ended, self._front, self._behind = self._all(), None, []
        for process in ended:
            process.end(_PATIENCE)

    def _all(self) -> list[Process]:
        return [*([self._front] if self._front is not None else []), *self._behind]

    def _serving(self, call: Call, arguments: dict[str, Any]) -> Process:
        """The worker for a call: one that reaches its libraries, and is started where there is none. Call it locked."""
        wanted = tuple(arguments["libraries"]) if "libraries" in arguments else ()
        wanted += (arguments["library"],) if "library" in arguments else ()
        if self._closed:
            raise LocalragError("the engine was closed")
        if call.name in _ASKING:
            self.use(wanted)
        if call.name == "ingest":
            sandbox.make_room(self._settings, names.check_name(arguments["library"]))
        about_others = wanted and call.name not in _ASKING
        for process in self._all() if about_others else self._all()[: self._front is not None]:
            if process.alive and process.libraries >= set(wanted) and _can(process, call, arguments):
                return process
        if self._libraries and not set(wanted) <= set(self._libraries):
            self._behind.append(process := Process(self._settings, wanted))
            return process
        self._behind += [self._front] if self._front is not None else []
        self._libraries = self._libraries or wanted
        self._front = Process(self._settings, self._libraries)
        return self._front

    def _end_idle(self) -> None:
        """End the workers behind that have no call under way."""
        with self._lock:
            idle = [process for process in self._behind if not (process.alive and process.busy)]
            self._behind = [process for process in self._behind if process not in idle]
        for process in idle:
            threading.Thread(target=process.end, args=(_PATIENCE,), name="localrag-ending", daemon=True).start()

    def _values(self, call: Call, arguments: dict[str, Any], stop: Callable[[], bool] | None) -> Generator[Any]:
        reply = None
        while reply is None:
            with self._lock:
                process = self._serving(call, arguments)
                reply = process.expect()  # from here on it is busy, and not ended
        process.begin(reply, call.name, arguments)
        told = stop is None
        try:
            while True:
                if not told and stop is not None and stop():
                    process.send(["stop", reply.number])
                    told = True
                kind, data = reply.get(None if told else _LOOK)
                if kind == "error":
                    raise wire.read_error(data)
                if kind == ("item" if call.streams else "done"):
                    yield call.result.read(data)
                if kind == "done":
                    return
        except wire.Malformed as error:
            process.distrust(error)
            raise process.lost() from error
        finally:
            process.drop(reply)
            self._end_idle()


def _can(process: Process, call: Call, arguments: dict[str, Any]) -> bool:
    return call.name != "ingest" or process.takes_in(arguments["library"], Path(arguments["folder"]))
