"""How the calls of an engine travel to a worker and are answered: typed messages, one a line (`protocol`).

Arguments and results are frozen dataclasses, scalars, paths, tuples and mappings; `stop` stays on its side.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, get_args, get_origin, get_type_hints

from localrag import protocol
from localrag.errors import Cancelled, LocalragError, UsageError
from localrag.events import Event
from localrag.protocol import Message
from localrag.settings import Settings
from localrag.types import EVERYTHING, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant

# Calls that share the model: one runs at a time.
MODEL_CALLS = frozenset({"load", "ask", "read_ahead", "review", "warm", "configure"})


class Setup(Message):
    """The first message to a worker."""

    settings: Settings
    confined: bool  # whether the worker confines itself
    parent: int  # the process that started it
    libraries: tuple[str, ...] = ()  # the only ones that it can reach
    keys: tuple[tuple[str, bytes], ...] = ()  # of encrypted folders that the parent has open; it cannot ask for any
    reads: tuple[Path, ...] | None = None  # see `sandbox.restrict`
    channel: int | None = None  # the open file by which addresses in the house are reached

    def __repr__(self) -> str:
        return f"Setup(libraries={self.libraries})"  # keys stay out of logs


class Begin(Message, tag="call"):
    number: int
    name: str
    arguments: dict[str, Any]


class Stop(Message, tag="stop"):
    """Make `stop` return True in a call; `drop` says that nobody takes its values either."""

    number: int
    drop: bool = False


class Close(Message, tag="close"):
    """End the worker when the model is idle."""


class Item(Message, tag="item"):
    """The next value of a call that streams."""

    number: int
    value: Any


class Done(Message, tag="done"):
    """The end of a call, with its value if it does not stream."""

    number: int
    value: Any = None


class Failed(Message, tag="error"):
    number: int
    error: protocol.ErrorMessage


Request = Begin | Stop | Close
Reply = Item | Done | Failed


@dataclass(frozen=True, slots=True)
class Call:
    """One method of an engine: the types of its parameters (`stop` is left out) and of its result."""

    name: str
    signature: inspect.Signature
    parameters: dict[str, Any]
    result: Any
    streams: bool
    stoppable: bool

    def write(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], bool] | None]:
        """Return the arguments of a call as they travel, and its `stop`. Raises TypeError for wrong arguments."""
        arguments = self.signature.bind(None, *args, **kwargs).arguments
        stop = arguments.pop("stop", None)
        del arguments["self"]
        plain = {name: protocol.to_plain(value) for name, value in arguments.items()}
        try:
            self.read(plain)
        except protocol.Malformed as error:
            raise TypeError(f"{self.name}: {error}") from error
        return plain, stop

    def read(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name. Raises Malformed for wrong arguments."""
        if not plain.keys() <= self.parameters.keys():
            raise protocol.Malformed(f"unknown arguments of {self.name}")
        arguments = {name: protocol.from_plain(value, self.parameters[name]) for name, value in plain.items()}
        for name in plain:
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name)
        return arguments


@cache
def calls_of(engine: type) -> Mapping[str, Call]:
    """Return the public methods of an engine's class by their names."""
    public = {name: value for name, value in inspect.getmembers(engine, inspect.isfunction) if name[0] != "_"}
    return {name: _call(name, method) for name, method in public.items()}


def _call(name: str, method: Callable[..., Any]) -> Call:
    signature, hints = inspect.signature(method), get_type_hints(method)
    result = hints.pop("return")
    streams = get_origin(result) is Iterator
    parameters = {
        each: dict[str, Any] if parameter.kind is inspect.Parameter.VAR_KEYWORD else hints[each]
        for each, parameter in signature.parameters.items()
        if each not in ("self", "stop")
    }
    result = get_args(result)[0] if streams else result
    return Call(name, signature, parameters, result, streams, "stop" in signature.parameters)


# --- what answers questions in the process that `localrag ask` forks, and in a worker; it imports nothing else ----


class Asker:
    """A model, and the documents that it answers from; `settable` are the only settings that a question may bring."""

    def __init__(
        self, settings: Settings, assistant: Assistant | None = None, settable: Collection[str] | None = None
    ) -> None:
        from localrag.answer.assistant import Assistant

        self._settings, self._settable = settings, settable
        self._assistant = assistant or Assistant(settings)

    def load(self) -> str:
        """Load the model (takes seconds) and return its id."""
        return self._assistant.load()

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        reproducible: bool = False,
        options: Mapping[str, Any] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """See `Assistant.ask`; `options` are settings by name for this question, beside those of the engine.

        With the mode "extract" the question is a schema, which only the whole engine fills.
        """
        options = options or {}
        if self._settable is not None and (other := sorted(options.keys() - self._settable)):
            raise UsageError(f"no question may set {', '.join(other)!r:.200}", "Set it in your settings file.")
        self._assistant.configure(self._settings.with_options(**options))  # without those of the question before
        if mode == "extract":
            return self._extract(question, libraries, documents, stop)
        return self._assistant.ask(
            question,
            libraries=libraries,
            documents=documents,
            mode=mode,
            history=history,
            reproducible=reproducible,
            stop=stop,
        )

    def _extract(
        self, schema: str, libraries: Sequence[str], documents: Filter, stop: Callable[[], bool]
    ) -> Iterator[Event]:
        raise UsageError("this process only answers questions", "Use `localrag extract` for a schema.")

    def close(self) -> None:
        """Release memory and files."""
        self._assistant.close()


# --- a worker answers calls: those that share the model one after the other in one thread, others each in its own ----
# The thread that made it only listens, so `stop` works at any time.

Jobs = SimpleQueue[Callable[[], None] | None]


class _Running:
    """A call in progress; once `dropped`, nobody takes its values."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.dropped = threading.Event()


class Worker:
    """Answers the calls from `requests` until they end."""

    def __init__(
        self, engine: Asker, offered: Mapping[str, Call], requests: BinaryIO, replies: BinaryIO, model: Jobs
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
            self._listen(Begin | Stop)
        for running in list(self._running.values()):
            running.dropped.set()
            running.stop.set()

    def _listen(self, kind: Any = Request) -> None:
        while (request := protocol.receive(self._requests, kind)) is not None:
            match request:
                case Begin() if request.name not in self._offered:
                    raise protocol.Malformed(f"no call is named {request.name!r:.80} here")
                case Begin():
                    self._begin(request)
                case Close():
                    self._model.put(None)
                case Stop() if (running := self._running.get(request.number)) is not None:  # else it has ended
                    if request.drop:
                        running.dropped.set()
                    running.stop.set()

    def _begin(self, request: Begin) -> None:
        call = self._offered[request.name]
        running = self._running[request.number] = _Running()
        job = partial(self._run, request.number, call, call.read(request.arguments), running)
        if call.name in MODEL_CALLS:
            self._model.put(job)
        else:
            threading.Thread(target=job, name=f"localrag-{call.name}", daemon=True).start()

    def _run_model(self) -> None:
        while (job := self._model.get()) is not None:
            job()
        self._engine.close()
        os._exit(0)

    def _run(self, number: int, call: Call, arguments: dict[str, Any], running: _Running) -> None:
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
                    self._send(Item(number, protocol.to_plain(item, call.result)))
                value.close()
            self._send(Done(number, None if call.streams else protocol.to_plain(value, call.result)))
        except BaseException as error:
            if isinstance(error, protocol.TooLong):
                what = f"the result is too large to show ({call.name}: {error})"
                error = LocalragError(what, "Narrow it to fewer documents, or use the command line.")
            self._send(Failed(number, protocol.ErrorMessage.of(error)))
        finally:
            self._running.pop(number, None)

    def _send(self, message: Item | Done | Failed) -> None:
        line = protocol.encode(message)
        with suppress(OSError), self._sending:  # if the other side is gone, its requests end too
            self._replies.write(line)
            self._replies.flush()
