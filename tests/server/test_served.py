import asyncio
import threading
import time

import pytest
from waiting import PATIENCE

from localrag.errors import ModelError
from localrag.server.served import Busy, FairQueue, Served, answer_events


class Counting:
    """Yields numbers until it is stopped; `ended` is set then, and `began` when it compares."""

    def __init__(self, most=10**9, error=None, deaf=False):
        self.most, self.error, self.deaf = most, error, deaf
        self.began, self.ended = threading.Event(), threading.Event()

    def ask(self, question, *, stop, **how):
        try:
            for number in range(self.most):
                if stop() and not self.deaf:
                    break
                time.sleep(0.001)
                yield number
            if self.error:
                raise self.error
        finally:
            self.ended.set()

    def compare(self, named, *, libraries, stop):
        self.began.set()
        while not stop():
            time.sleep(0.001)
        self.ended.set()
        return {}


@pytest.fixture
def over(settings):
    return lambda engine: Served(settings, engine, ("one", "two"))


async def test_values_come_in_order_and_an_error_after_those_before_it(over):
    stopped = threading.Event()
    assert [value async for value in over(Counting(3)).stream("ask", "?", stopped=stopped)] == [0, 1, 2]
    assert not stopped.is_set()
    got = []
    with pytest.raises(ModelError):
        async for value in over(Counting(2, ModelError("none", ""))).stream("ask", "?"):
            got.append(value)
    assert got == [0, 1]


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_client_that_leaves_ends_the_call_however_much_it_still_yields(over, monkeypatch, deaf):
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)
    engine = Counting(100 if deaf else 10**9, deaf=deaf)
    values = over(engine).stream("ask", "?")
    assert await anext(values) == 0
    await values.aclose()
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


async def test_a_client_that_takes_nothing_holds_the_call_back(over, monkeypatch):
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)
    engine = Counting(100)
    values = over(engine).stream("ask", "?")
    assert await anext(values) == 0
    assert not await asyncio.to_thread(engine.ended.wait, 0.3)
    assert [value async for value in values] == list(range(1, 100))


async def test_a_cancelled_call_stops(over):
    engine = Counting()
    task = asyncio.create_task(over(engine).call("compare", ("a", "b"), libraries=("one",)))
    assert await asyncio.to_thread(engine.began.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


async def test_one_batch_of_texts_is_embedded_at_a_time(over):
    inside, most = [], []

    class Embedding:
        def embed(self, texts, *, library, question):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()
            return tuple((float(len(text)),) for text in texts)

    here = over(Embedding())
    texts = ["x" * number for number in range(100)]
    both = await asyncio.gather(*(here.embed(texts, "one", False) for _ in range(3)))
    assert both[0] == both[2] == [(float(number),) for number in range(100)] and set(most) == {1}


class Asking:
    def __init__(self, **limits):
        self.turns, self.done, self.tasks = FairQueue(**limits), [], []

    async def begin(self, client, name, user="", positions=None):
        async def ask():
            async with self.turns.turn(client, (positions if positions is not None else []).append, user):
                self.done.append(name)
                await asyncio.sleep(0)

        self.tasks.append(asyncio.create_task(ask()))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def end(self):
        await asyncio.wait_for(asyncio.gather(*self.tasks, return_exceptions=True), PATIENCE)
        return self.done


async def test_clients_take_turns_and_the_users_of_one_within_its_own():
    one, two = Asking(), Asking()
    async with one.turns.turn("first"), two.turns.turn("first"):
        for client, name in ("a1", "a2", "a3", "b1", "c1", "b2"):
            await one.begin(client, name)
        for client, user in [("p", "a"), ("p", "a"), ("p", "b"), ("p", "c"), ("browser", ""), ("browser", "")]:
            await two.begin(client, client + user, user)
    assert await one.end() == ["1", "1", "1", "2", "2", "3"]
    assert await two.end() == ["pa", "browser", "pb", "browser", "pc", "pa"]


async def test_the_queue_is_bounded_for_all_and_for_each():
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


@pytest.mark.parametrize("set_already", [False, True])  # its turn is set, and it has not run yet
async def test_a_turn_of_one_who_leaves_goes_to_the_next(set_already):
    asking = Asking()
    holder = asking.turns.turn("first")
    await holder.__aenter__()
    leaving = await asking.begin("a", "gone")
    await asking.begin("b", "b")
    if not set_already:
        leaving.cancel()
    await holder.__aexit__(None, None, None)
    leaving.cancel()
    assert await asking.end() == ["b"]


async def test_an_answer_that_nobody_takes_holds_no_turn(settings):
    class Engine:
        def ask(self, question, **how):
            yield from range(50)

    turns = FairQueue()
    events = answer_events(Served(settings, Engine(), ()), turns, "slow", "", "?")
    assert await anext(events) == 0
    async with asyncio.timeout(PATIENCE), turns.turn("other"):
        pass
    assert [event async for event in events] == list(range(1, 50))
