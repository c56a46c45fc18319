"""A fair queue for the one model: clients take turns, so that one with many questions does not hold up the others."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localrag.errors import LocalragError

if TYPE_CHECKING:
    from localrag.events import Event
    from localrag.server.served import Served


class Busy(LocalragError):
    """Too many questions wait; `seconds` is when to try again."""

    seconds = 10

    def __init__(self) -> None:
        super().__init__("too many questions are waiting", f"Try again in {self.seconds} seconds.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many questions are answered before this one."""

    ahead: int


class Turns:
    """Turns of the model: one at a time, `most` waiting, `each` of them of one client."""

    def __init__(self, most: int = 64, each: int = 16) -> None:
        self._most, self._each = most, each
        # Clients in the order of their next turns, each with its questions.
        self._clients: OrderedDict[str, deque[_Place]] = OrderedDict()
        self._taken = False

    @asynccontextmanager
    async def turn(self, client: str, on_wait: Callable[[int], None] | None = None) -> AsyncIterator[None]:
        """Wait for a turn and hold it. `on_wait` gets how many are before it, again when that changes. Raises Busy."""
        place = _Place(on_wait or (lambda ahead: None))
        if self._taken:
            await self._wait(client, place)
        self._taken = True
        try:
            yield
        finally:
            self._next()

    async def _wait(self, client: str, place: _Place) -> None:
        own = self._clients.get(client, ())
        if sum(map(len, self._clients.values())) >= self._most or len(own) >= self._each:
            raise Busy
        self._clients.setdefault(client, deque()).append(place)
        self._say()
        try:
            await place.come
        except asyncio.CancelledError:
            if place.come.done() and not place.come.cancelled():  # the turn came in the same moment
                self._next()
            else:
                self._leave(client, place)
            raise

    def _leave(self, client: str, place: _Place) -> None:
        places = self._clients.get(client, deque())
        if place in places:
            places.remove(place)
        if not places:
            self._clients.pop(client, None)
        self._say()

    def _next(self) -> None:
        """Give the turn to the first question of the next client, which then waits behind all others."""
        self._taken = False
        while self._clients and not self._taken:
            client, places = self._clients.popitem(last=False)
            place = places.popleft()
            if places:
                self._clients[client] = places
            if not place.come.done():  # else it is about to leave
                place.come.set_result(None)
                self._taken = True
        self._say()

    def _say(self) -> None:
        rounds = max(map(len, self._clients.values()), default=0)
        ordered = [places[turn] for turn in range(rounds) for places in self._clients.values() if turn < len(places)]
        for ahead, place in enumerate(ordered, 1):
            if place.ahead != ahead:
                place.ahead = ahead
                place.on_wait(ahead)


class _Place:
    """One question that waits."""

    def __init__(self, on_wait: Callable[[int], None]) -> None:
        self.come: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_wait = on_wait
        self.ahead = 0


async def asked(
    served: Served, turns: Turns, client: str, question: str, **how: Any
) -> AsyncGenerator[Waiting | Event]:  # fmt: skip
    """Yield `Waiting` until the client's turn, then the events of the answer; see `Engine.ask` for `how`.

    Leaving the loop or cancelling the task gives up the place, or stops the answer. Raises Busy.
    """
    waits: asyncio.Queue[int | None] = asyncio.Queue()

    async def hold() -> None:
        async with turns.turn(client, waits.put_nowait):
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
        events = served.stream("ask", question, **how)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()
    finally:
        over.set()
        holding.cancel()
