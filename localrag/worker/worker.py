"""What runs in the worker process: documents and models, for a screen that only draws.

`client` starts it and talks to it through pipes (`calls` says what is said). Calls that share the model come one after
the other in one thread, each other one has a thread of its own; `stop` is heard at any time, since the main thread only
listens. It leaves at once, in the middle of whatever it does, when the screen's process is gone, also when that was
killed or this one hangs in native code (on Linux; elsewhere it must come back from there first).

It confines itself as the command line does, before it imports what is confined. It opens no viewer and writes no
exports. Ctrl-C is the screen's to handle. It comes after the screen where both want the processor, and its own readers
after it (`readers/isolate.py`).
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

from localrag.errors import LibraryError, LocalragError
from localrag.security import offline, sandbox
from localrag.security.encryption import unlocked
from localrag.security.encryption.keys import Key
from localrag.worker import calls, wire
from localrag.worker.calls import Setup
from localrag.worker.engine import MODEL_CALLS

if TYPE_CHECKING:
    from localrag.worker.engine import Engine

_NICE = 2  # measured alike with 0 and 5, and each level costs a fifth of the model's share beside other programs
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main() -> None:
    requests, replies = _own_pipes()
    said = next(wire.messages(requests), None)
    if said is None:
        return
    setup: Setup = wire.coder(Setup).read(said[1])
    _settle(setup)
    for folder, secret in setup.keys:
        with suppress(LibraryError):  # it was deleted, or has another key, since its parent opened it
            unlocked.hold(Path(folder), Key(secret))
    from localrag.worker.local import LocalEngine

    Worker(LocalEngine(setup.settings), requests, replies).serve()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes for ourselves, so that what a library prints goes nowhere; errors go where they went."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, replies


def _settle(setup: Setup) -> None:
    faulthandler.enable()  # the last words of a crash
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if setup.confined:
        offline.confine()
        sandbox.hold(setup.settings, setup.libraries)
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold text of documents
    with suppress(OSError):
        os.nice(_NICE)
    if sys.platform == "linux":
        import ctypes

        # It is sent when the thread that started this process ends, so `client` starts it from one that stays.
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != setup.parent:
        os._exit(0)


class _Call:
    """A call under way: told to `stop`, it comes to its end; `dropped`, nobody takes what it still gives."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.dropped = threading.Event()


class Worker:
    """Answers the calls that come in from `requests`, until they end."""

    def __init__(self, engine: Engine, requests: BinaryIO, replies: BinaryIO) -> None:
        self._engine = engine
        self._requests, self._replies = requests, replies
        self._sending = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._model: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()

    def serve(self) -> None:
        threading.Thread(target=self._run_model, name="localrag-model", daemon=True).start()
        for message in wire.messages(self._requests):
            match message:
                case ["call", int(number), str(name), data]:
                    self._begin(number, name, data)
                case ["stop", int(number)] if number in self._calls:
                    self._calls[number].stop.set()
                case ["drop", int(number)] if number in self._calls:
                    self._calls[number].dropped.set()
                    self._calls[number].stop.set()
                case ["close"]:
                    self._model.put(None)
                case ["stop" | "drop", int()]:
                    pass  # it is done already
                case _:
                    raise wire.Malformed("an unknown message")
        os._exit(0)

    def _begin(self, number: int, name: str, data: Any) -> None:
        call = calls.call(name)
        begun = self._calls[number] = _Call()
        job = (number, call, call.read(data), begun)
        if name in MODEL_CALLS:
            self._model.put(job)
        else:
            threading.Thread(target=self._run, args=job, name=f"localrag-{name}", daemon=True).start()

    def _run_model(self) -> None:
        while (job := self._model.get()) is not None:
            self._run(*job)
        self._engine.close()
        os._exit(0)

    def _run(self, number: int, call: calls.Call, arguments: dict[str, Any], begun: _Call) -> None:
        try:
            if call.stoppable:
                arguments["stop"] = begun.stop.is_set
            value = getattr(self._engine, call.name)(**arguments)
            if call.streams:
                for item in value:
                    if begun.dropped.is_set():
                        break
                    self._send(["item", number, call.result.write(item)])
                value.close()
            self._send(["done", number, None if call.streams else call.result.write(value)])
        except wire.TooLong as error:
            self._send(["error", number, wire.write_error(_too_long(call.name, error))])
        except BaseException as error:
            self._send(["error", number, wire.write_error(error)])
        finally:
            del self._calls[number]

    def _send(self, message: list[Any]) -> None:
        data = wire.line(message)
        try:
            with self._sending:
                self._replies.write(data)
                self._replies.flush()
        except OSError:  # nobody is there any more
            os._exit(0)


def _too_long(name: str, error: wire.TooLong) -> LocalragError:
    return LocalragError(
        f"there is more to show than fits ({name}: {error})", "Narrow it to fewer documents, or use the command line."
    )


if __name__ == "__main__":
    main()
