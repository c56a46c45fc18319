"""The libraries that a server offers, awaited from asyncio, and the queue of questions for its one model.

The server's process draws pages and speaks protocols; documents and models are in a worker process (`worker/`), which
reaches the libraries named at the start and no others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from localrag.errors import LocalragError, NotFoundError, StorageError, UsageError
from localrag.events import Event
from localrag.security import audit
from localrag.settings import Settings
from localrag.worker.calls import calls_of
from localrag.worker.engine import Engine

# Apart from asyncio's own few threads, so that calls which wait for their turn in the worker hold up nothing else.
_calls = ThreadPoolExecutor(64, "localrag-call")
_BATCH = 16  # texts; a search waits for one batch
_MAX_AHEAD = 4000  # values of a stream that wait for a slow client
MAX_QUESTION = 4000  # characters
MAX_PAGE = 1_000_000_000


def check_length(question: str) -> None:
    if len(question) > MAX_QUESTION:
        raise UsageError(f"a question has at most {MAX_QUESTION:,} characters", "Ask a shorter one.")


def hint_for_programs(error: LocalragError, listing: str) -> str:
    """Return an error's hint; `listing`, how a program lists documents, in place of a command that does."""
    return listing if isinstance(error, NotFoundError) and "localrag " in error.hint else error.hint


class _End:
    """The end of a stream, or the error that ended it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@dataclass(frozen=True, slots=True)
class Served:
    """Libraries, by name, and the engine that reaches them; `uploads` are the folders to which files may be added."""

    settings: Settings
    engine: Engine
    libraries: tuple[str, ...]
    embedding: asyncio.Lock = field(default_factory=asyncio.Lock)
    uploads: Mapping[str, Path] = field(default_factory=dict)

    def check(self, libraries: Sequence[str]) -> tuple[str, ...]:
        """Return these libraries, or all of them if none are named. Raises NotFoundError for one that is not served."""
        for name in libraries:
            if name not in self.libraries:
                raise NotFoundError(f"there is no library {name!r} here", f"Libraries: {', '.join(self.libraries)}.")
        return tuple(dict.fromkeys(libraries)) or self.libraries

    def record(self, client: str, call: str, libraries: Sequence[str]) -> None:
        """Record in the audit log of each library that a client made a call; make it before the call."""
        for name in libraries:
            file = self.settings.library_audit_file(name)
            try:
                audit.record(file, "call", name, client=client, call=call)
            except StorageError:
                if file.parent.is_dir():
                    raise
                raise NotFoundError(
                    f"the library {name!r} is not there any more", "It may have been forgotten."
                ) from None

    async def embed(self, texts: Sequence[str], library: str, question: bool) -> list[tuple[float, ...]]:
        """Return a vector of each text. One batch at a time is made, so that searches get their turn between them."""
        vectors: list[tuple[float, ...]] = []
        for start in range(0, len(texts), _BATCH):
            async with self.embedding:
                vectors += await self.call("embed", texts[start : start + _BATCH], library=library, question=question)
        return vectors

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Return what a call of the engine returns. If the task is cancelled, a call that can stop is stopped."""
        stopped = threading.Event()
        if calls_of(Engine)[name].stoppable:
            kwargs["stop"] = stopped.is_set
        try:
            made = partial(getattr(self.engine, name), *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(_calls, made)
        finally:
            stopped.set()

    async def stream(
        self,
        name: str,
        *args: Any,
        stopped: threading.Event | None = None,
        on_end: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> AsyncGenerator[Any]:
        """Yield what a call of the engine yields; leaving the loop or cancelling the task stops the call.

        Setting `stopped` stops it, too; what the call still yields then, such as the part of an answer, comes.
        `on_end` is called when the call has ended, which may be long before its last value is taken.
        """
        loop, left = asyncio.get_running_loop(), threading.Event()
        values: asyncio.Queue[Any] = asyncio.Queue()
        room = threading.Semaphore(_MAX_AHEAD)

        def stop() -> bool:
            return left.is_set() or (stopped is not None and stopped.is_set())

        def soon(do: Callable[..., None], *given: Any) -> None:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(do, *given)

        def run() -> None:
            end = _End()
            try:
                for value in getattr(self.engine, name)(*args, stop=stop, **kwargs):
                    if not left.is_set():
                        room.acquire()
                        soon(values.put_nowait, value)
            except BaseException as error:
                end = _End(error)
            soon(values.put_nowait, end)
            soon(on_end)

        threading.Thread(target=run, name=f"localrag-{name}", daemon=True).start()
        try:
            while not isinstance(value := await values.get(), _End):
                yield value
                room.release()
            if value.error is not None:
                raise value.error
        finally:
            left.set()
            room.release()  # for the one value that may wait


class Busy(LocalragError):
    """Too many questions wait; `seconds` is when to try again."""

    seconds = 10

    def __init__(self) -> None:
        super().__init__("too many questions are waiting", f"Try again in {self.seconds} seconds.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many questions are answered before this one."""

    ahead: int


class FairQueue:
    """Turns of the model: clients take turns, their users within them; `most` wait, `each` of them of one client."""

    def __init__(self, most: int = 64, each: int = 48) -> None:
        self._most, self._each = most, each
        # Places by client and user, each in the order of their next turns.
        self._waiting: dict[str, dict[str, list[_Place]]] = {}
        self._taken = False

    @asynccontextmanager
    async def turn(
        self, client: str, on_wait: Callable[[int], None] = lambda ahead: None, user: str = ""
    ) -> AsyncIterator[None]:
        """Wait for a turn and hold it. `on_wait` gets how many are before it, again when that changes. Raises Busy."""
        if self._taken:
            await self._wait(_Place(client, user, on_wait))
        self._taken = True
        try:
            yield
        finally:
            self._next()

    async def _wait(self, place: _Place) -> None:
        users = self._waiting.get(place.client, {})
        if len(self._ordered()) >= self._most or sum(map(len, users.values())) >= self._each:
            raise Busy
        self._waiting.setdefault(place.client, {}).setdefault(place.user, []).append(place)
        self._say()
        try:
            await place.come
        except asyncio.CancelledError:
            if place.come.done() and not place.come.cancelled():  # the turn came in the same moment
                self._next()
            else:
                self._leave(place)
            raise

    def _leave(self, place: _Place) -> None:
        users = self._waiting.get(place.client, {})
        if place in (places := users.get(place.user, [])):
            places.remove(place)
            if not places:
                del users[place.user]
            if not users:
                del self._waiting[place.client]
        self._say()

    def _next(self) -> None:
        """Give the turn to the first question of the next client, which then waits behind all others."""
        self._taken = False
        while not self._taken and (ordered := self._ordered()):
            place = ordered[0]
            users = self._waiting.pop(place.client)
            places = users.pop(place.user)
            places.remove(place)
            if places:
                users[place.user] = places
            if users:
                self._waiting[place.client] = users
            if not place.come.done():  # else it is about to leave
                place.come.set_result(None)
                self._taken = True
        self._say()

    def _ordered(self) -> list[_Place]:
        return _in_turns([_in_turns(users.values()) for users in self._waiting.values()])

    def _say(self) -> None:
        for ahead, place in enumerate(self._ordered(), 1):
            if place.ahead != ahead:
                place.ahead = ahead
                place.on_wait(ahead)


class _Place:
    """One question that waits."""

    def __init__(self, client: str, user: str, on_wait: Callable[[int], None]) -> None:
        self.come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.client, self.user, self.on_wait = client, user, on_wait
        self.ahead = 0


def _in_turns(queues: Iterable[Sequence[_Place]]) -> list[_Place]:
    """Return the first of each queue, then the second of each, and so on."""
    return [place for each in zip_longest(*queues) for place in each if place is not None]


async def answer_events(
    served: Served, queue: FairQueue, client: str, user: str, question: str, **how: Any
) -> AsyncGenerator[Waiting | Event]:
    """Yield `Waiting` until the client's turn, then the events of the answer; see `Engine.ask` for `how`.

    Leaving the loop or cancelling the task gives up the place, or stops the answer. The turn ends with the answer, even
    if nobody takes its events. Raises Busy.
    """
    waits: asyncio.Queue[int | None] = asyncio.Queue()

    async def hold() -> None:
        async with queue.turn(client, waits.put_nowait, user):
            waits.put_nowait(None)
            await over.wait()

    over = asyncio.Event()
    holding = asyncio.create_task(hold())
    holding.add_done_callback(lambda _: waits.put_nowait(None))
    try:
        while (ahead := await waits.get()) is not None:
            yield Waiting(ahead)
        if holding.done():
            holding.result()
        async with aclosing(served.stream("ask", question, on_end=over.set, **how)) as events:
            async for event in events:
                yield event
    finally:
        over.set()
        holding.cancel()
