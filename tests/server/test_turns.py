"""The model's turns: fair among clients, bounded, and given up by those who leave."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import PATIENCE

from localrag.server.served import Served
from localrag.server.turns import Busy, FairQueue, answer_events
from localrag.settings import Settings


class Asking:
    """Questions of a queue, and the names of those that had their turn."""

    def __init__(self, **limits: int) -> None:
        self.turns, self.done, self.tasks = FairQueue(**limits), [], []

    async def begin(self, client: str, name: str, user: str = "", positions: list[int] | None = None) -> asyncio.Task:
        async def ask() -> None:
            async with self.turns.turn(client, (positions if positions is not None else []).append, user):
                self.done.append(name)
                await asyncio.sleep(0)

        self.tasks.append(asyncio.create_task(ask()))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def end(self) -> list[str]:
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), PATIENCE)
        return self.done


async def test_clients_take_turns_and_the_users_of_one_within_its_own() -> None:
    one, two = Asking(), Asking()
    async with one.turns.turn("first"), two.turns.turn("first"):
        for client, name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            await one.begin(client, name)
        for client, user in [("p", "a"), ("p", "a"), ("p", "b"), ("p", "c"), ("browser", ""), ("browser", "")]:
            await two.begin(client, client + user, user)
    assert await one.end() == ["1", "1", "1", "2", "2", "3"]
    assert await two.end() == ["pa", "browser", "pb", "browser", "pc", "pa"]


async def test_who_waits_learns_how_many_are_before_them() -> None:
    asking, positions = Asking(), []
    async with asking.turns.turn("first"):
        await asking.begin("a", "1")
        two = await asking.begin("a", "2")
        await asking.begin("a", "3", positions=positions)
        assert positions == [3]
        two.cancel()
        await asking.begin("b", "other")
        await asyncio.sleep(0)
        assert positions == [3, 2, 3]
    assert await asking.end() == ["1", "other", "3"]


async def test_the_queue_is_bounded_for_all_and_for_each() -> None:
    asking = Asking(most=3, each=2)
    async with asking.turns.turn("first"):
        for number in range(2):
            await asking.begin("a", "a", user=str(number))
        for client in ("a", "b", "c"):
            if client == "b":  # the others leave it a place
                await asking.begin("b", "b")
                continue
            with pytest.raises(Busy):
                async with asking.turns.turn(client):
                    pass
    assert await asking.end() == ["a", "b", "a"]


async def test_a_turn_of_one_who_leaves_goes_to_the_next() -> None:
    asking = Asking()
    async with asking.turns.turn("first"):
        leaving = await asking.begin("a", "gone")
        await asking.begin("b", "b")
        leaving.cancel()
    assert await asking.end() == ["b"]
    async with asking.turns.turn("c"):  # it is free again
        pass


async def test_a_turn_that_came_while_it_was_left_goes_on() -> None:
    asking = Asking()
    holder = asking.turns.turn("first")
    await holder.__aenter__()
    leaving = await asking.begin("a", "gone")
    await asking.begin("b", "b")
    await holder.__aexit__(None, None, None)  # its turn is set, and it has not run yet
    leaving.cancel()
    assert await asking.end() == ["b"]


async def test_an_answer_that_nobody_takes_holds_no_turn(settings: Settings) -> None:
    class Engine:
        def ask(self, question: str, **how: Any) -> Iterator[int]:
            yield from range(50)

    turns = FairQueue()
    events = answer_events(Served(settings, Engine(), ()), turns, "slow", "", "?")  # type: ignore[arg-type]
    assert await anext(events) == 0
    async with asyncio.timeout(PATIENCE), turns.turn("other"):
        pass
    assert [event async for event in events] == list(range(1, 50))


async def test_many_come_and_go_and_one_at_a_time_is_inside() -> None:
    chance, turns, inside = random.Random(5), FairQueue(most=1000, each=1000), []

    async def ask(number: int) -> None:
        async with turns.turn(f"c{number % 7}"):
            inside.append(number)
            assert len(inside) == 1
            try:
                await asyncio.sleep(0)
            finally:
                inside.remove(number)

    async def with_luck(number: int) -> None:
        task = asyncio.create_task(ask(number))
        if chance.random() < 0.5:
            for _ in range(chance.randrange(200)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None

    await asyncio.wait_for(asyncio.gather(*map(with_luck, range(300))), PATIENCE)
    async with asyncio.timeout(PATIENCE), turns.turn("last"):
        assert not inside
