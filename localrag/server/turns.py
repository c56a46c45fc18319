"""A fair queue for the one model: clients take turns, so that one with many questions does not hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
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


class FairQueue:
    """Turns of the model: one at a time, `most` waiting, `each` of them of one client.

    Clients take turns, and the users of one client take turns within its own.
    """

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
