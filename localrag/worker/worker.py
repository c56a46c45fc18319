"""Answers the calls of other processes: of the screen that started this one, or of `localrag ask`, turn by turn.

Calls that share the model run one after the other in one thread, every other call has its own thread. The main thread
only listens, so `stop` works at any time.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, BinaryIO

from localrag import protocol
from localrag.errors import Cancelled, LocalragError
from localrag.worker import calls
from localrag.worker.calls import Asker

_LOOK_SECONDS = 2.0  # between two looks whether a worker that stays has to end

Jobs = SimpleQueue[Callable[[], None] | None]


class _Running:
    """A call in progress; once `dropped`, nobody takes its values."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.dropped = threading.Event()


class Worker:
    """Answers the calls from `requests` until they end."""

    def __init__(
        self, engine: Asker, offered: Mapping[str, calls.Call], requests: BinaryIO, replies: BinaryIO, model: Jobs
    ) -> None:
        self._engine, self._offered = engine, offered
        self._requests, self._replies = requests, replies
        self._sending = threading.Lock()
        self._running: dict[int, _Running] = {}
        self._model = model

    def serve(self) -> None:
        threading.Thread(target=self._run_model, name="localrag-model", daemon=True).start()
        self._listen()
        os._exit(0)

    def visit(self) -> None:
        """Answer one client of a worker that stays, which can only ask; its questions end when it leaves."""
        with suppress(OSError, protocol.Malformed):
            self._listen(calls.Begin | calls.Stop)
        for running in list(self._running.values()):
            running.dropped.set()
            running.stop.set()

    def _listen(self, kind: Any = calls.Request) -> None:
        while (request := protocol.receive(self._requests, kind)) is not None:
            match request:
                case calls.Begin() if request.name not in self._offered:
                    raise protocol.Malformed(f"no call is named {request.name!r:.80} here")
                case calls.Begin():
                    self._begin(request)
                case calls.Close():
                    self._model.put(None)
                case calls.Stop() if (running := self._running.get(request.number)) is not None:  # else it has ended
                    if request.drop:
                        running.dropped.set()
                    running.stop.set()

    def _begin(self, request: calls.Begin) -> None:
        call = self._offered[request.name]
        running = self._running[request.number] = _Running()
        job = partial(self._run, request.number, call, call.read(request.arguments), running)
        if call.name in calls.MODEL_CALLS:
            self._model.put(job)
        else:
            threading.Thread(target=job, name=f"localrag-{call.name}", daemon=True).start()

    def _run_model(self) -> None:
        while (job := self._model.get()) is not None:
            job()
        self._engine.close()
        os._exit(0)

    def _run(self, number: int, call: calls.Call, arguments: dict[str, Any], running: _Running) -> None:
        try:
            if running.dropped.is_set():
                raise Cancelled("nobody waits for it")
            if call.stoppable:
                arguments["stop"] = running.stop.is_set
            value = getattr(self._engine, call.name)(**arguments)
            if call.streams:
                for item in value:
                    if running.dropped.is_set():
                        break
                    self._send(calls.Item(number, protocol.to_plain(item, call.result)))
                value.close()
            self._send(calls.Done(number, None if call.streams else protocol.to_plain(value, call.result)))
        except BaseException as error:
            if isinstance(error, protocol.TooLong):
                what = f"the result is too large to show ({call.name}: {error})"
                error = LocalragError(what, "Narrow it to fewer documents, or use the command line.")
            self._send(calls.Failed(number, protocol.ErrorMessage.of(error)))
        finally:
            self._running.pop(number, None)

    def _send(self, message: calls.Item | calls.Done | calls.Failed) -> None:
        line = protocol.encode(message)
        with suppress(OSError), self._sending:  # if the other side is gone, its requests end too
            self._replies.write(line)
            self._replies.flush()


def stay(
    engine: Asker, first: socket.socket, listener: socket.socket, seconds: float, outdated: Callable[[], bool]
) -> None:
    """Answer clients in their turn until none was there for so many seconds, or none is and this is `outdated`."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    jobs: Jobs = SimpleQueue()
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
