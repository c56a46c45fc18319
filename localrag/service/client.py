"""The engine in a process of its own, as the screen sees it.

A worker (`worker.py`) holds documents and models, so that typing never waits for them, and a crash of native code costs
the calls under way and no more: they raise, and the next one starts another worker. Every method of `Engine` is a call
to it, without being named here. May be used from several threads.

What the worker sends is data, checked by `wire`; a worker that sends anything else is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

from localrag import names
from localrag.errors import LocalragError
from localrag.service import calls, wire
from localrag.service.calls import Call
from localrag.service.process import Process

if TYPE_CHECKING:
    from localrag.service.engine import Engine
    from localrag.settings import Settings

_LOOK = 0.02  # seconds between two looks at `stop`
_PATIENCE = 0.5  # for a worker to leave by itself; what it is killed in the middle of stays usable


def remote_engine(settings: Settings) -> Engine:
    """An engine in a worker process; the first call starts it, `close` ends it."""
    return cast("Engine", RemoteEngine(settings))


class RemoteEngine:
    """See `Engine`. What is `configure`d also holds for the workers after this one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = RLock()  # see `Process`
        self._process: Process | None = None
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

    def configure(self, **options: Any) -> None:
        with self._lock:
            self._settings = self._settings.with_options(**options)
            running = self._process is not None and self._process.alive
        if running:
            self.__getattr__("configure")(**options)

    def pause(self, paused: bool) -> None:
        with self._lock:
            if self._process is not None:
                self._process.pause(paused)

    def close(self) -> None:
        """End the worker, within a second; what is under way raises."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.end(_PATIENCE)

    def _running(self) -> Process:
        with self._lock:
            if self._closed:
                raise LocalragError("the engine was closed")
            if self._process is None or not self._process.alive:
                self._process = Process(self._settings)
            return self._process

    def _values(self, call: Call, arguments: dict[str, Any], stop: Callable[[], bool] | None) -> Generator[Any]:
        reply = None
        while reply is None:
            process = self._running()
            reply = process.begin(call.name, arguments)
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
