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


async def begun(
    turns: FairQueue, done: list[str], client: str, name: str, positions: list[int] | None = None, user: str = ""
):
    async def ask() -> None:
        async with turns.turn(client, (positions if positions is not None else []).append, user):
            done.append(name)
            await asyncio.sleep(0)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    return task


async def test_clients_take_turns() -> None:
    turns, done = FairQueue(), []
    async with turns.turn("first"):
        tasks = [await begun(turns, done, client, name) for client, name in ["a1", "a2", "a3", "b1", "c1", "b2"]]
    await asyncio.gather(*tasks)
    assert done == ["1", "1", "1", "2", "2", "3"]


async def test_the_users_of_one_client_take_turns_within_its_own() -> None:
    turns, done = FairQueue(), []
    async with turns.turn("first"):
        came = [
            ("programs", "a"),
            ("programs", "a"),
            ("programs", "b"),
            ("programs", "c"),
            ("browser", ""),
            ("browser", ""),
        ]
        tasks = [await begun(turns, done, one, one + user, user=user) for one, user in came]
    await asyncio.gather(*tasks)
    assert done == ["programsa", "browser", "programsb", "browser", "programsc", "programsa"]


async def test_one_client_leaves_places_to_others() -> None:
    turns, done = FairQueue(), []
    async with turns.turn("first"):
        tasks = []
        with pytest.raises(Busy):
            for number in range(64):
                tasks.append(await begun(turns, done, "programs", "p", user=str(number)))
                if tasks[-1].done():
                    await tasks[-1]
        other = await begun(turns, done, "browser", "b")
        assert not other.done()
    await asyncio.gather(*tasks, other, return_exceptions=True)
    assert done[:2] == ["p", "b"]


async def test_who_waits_learns_how_many_are_before_them() -> None:
    turns, done, positions = FairQueue(), [], []
    async with turns.turn("first"):
        one = await begun(turns, done, "a", "1")
        two = await begun(turns, done, "a", "2")
        three = await begun(turns, done, "a", "3", positions)
        assert positions == [3]
        two.cancel()
        other = await begun(turns, done, "b", "other")
        await asyncio.sleep(0)
        assert positions == [3, 2, 3]
    await asyncio.gather(one, three, other)
    assert done == ["1", "other", "3"]


async def test_the_queue_is_bounded_for_all_and_for_each() -> None:
    turns, done = FairQueue(most=3, each=2), []
    async with turns.turn("first"):
        tasks = [await begun(turns, done, "a", str(number)) for number in range(2)]
        with pytest.raises(Busy):
            async with turns.turn("a"):
                pass
        tasks.append(await begun(turns, done, "b", "b"))
        with pytest.raises(Busy):
            async with turns.turn("c"):
                pass
    await asyncio.gather(*tasks)
    assert len(done) == 3


async def test_a_turn_given_to_one_who_leaves_goes_to_the_next() -> None:
    turns, done = FairQueue(), []
    async with turns.turn("first"):
        leaving = await begun(turns, done, "a", "gone")
        staying = await begun(turns, done, "b", "b")
        leaving.cancel()
    await asyncio.gather(leaving, staying, return_exceptions=True)
    assert done == ["b"]
    async with turns.turn("c"):  # it is free again
        pass


async def test_a_turn_that_came_while_it_was_left_goes_on() -> None:
    turns, done = FairQueue(), []
    holder = turns.turn("first")
    await holder.__aenter__()
    leaving = await begun(turns, done, "a", "gone")
    staying = await begun(turns, done, "b", "b")
    await holder.__aexit__(None, None, None)  # its turn is set, and it has not run yet
    leaving.cancel()
    await asyncio.wait_for(asyncio.gather(leaving, staying, return_exceptions=True), PATIENCE)
    assert done == ["b"]


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
                await asyncio.sleep(chance.choice((0, 0, 0.001)))
            finally:
                inside.remove(number)

    async def with_luck(number: int) -> None:
        task = asyncio.create_task(ask(number))
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.05)
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None

    await asyncio.wait_for(asyncio.gather(*map(with_luck, range(300))), PATIENCE)
    async with asyncio.timeout(PATIENCE), turns.turn("last"):
        assert not inside
