"""An engine awaited from asyncio: values in order, errors, and calls that stop with their task."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from waiting import PATIENCE

from localrag.errors import ModelError, NotFoundError
from localrag.server.served import Served
from localrag.settings import Settings


class Counting:
    """Yields numbers until it is stopped; `ended` is set then, and `began` when it compares."""

    def __init__(self, most: int = 10**9, error: Exception | None = None, last: Any = None, deaf: bool = False) -> None:
        self.most, self.error, self.last, self.deaf = most, error, last, deaf
        self.began, self.ended = threading.Event(), threading.Event()

    def ask(self, question: str, *, stop, **how):
        try:
            for number in range(self.most):
                if stop() and not self.deaf:
                    break
                time.sleep(0.001)
                yield number
            if self.error:
                raise self.error
            if self.last:
                yield self.last
        finally:
            self.ended.set()

    def compare(self, named, *, libraries, stop):
        self.began.set()
        while not stop():
            time.sleep(0.001)
        self.ended.set()
        return {}


@pytest.fixture
def over(settings: Settings) -> Callable[..., Served]:
    return lambda engine: Served(settings, engine, ("one", "two"))


async def test_values_come_in_order_and_an_error_after_those_before_it(over) -> None:
    stopped = threading.Event()
    assert [value async for value in over(Counting(3)).stream("ask", "?", stopped=stopped)] == [0, 1, 2]
    assert not stopped.is_set()
    got = []
    with pytest.raises(ModelError):
        async for value in over(Counting(2, ModelError("none", ""))).stream("ask", "?"):
            got.append(value)
    assert got == [0, 1]


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_client_that_leaves_ends_the_call_however_much_it_still_yields(over, monkeypatch, deaf) -> None:
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)
    engine = Counting(100 if deaf else 10**9, deaf=deaf)
    values = over(engine).stream("ask", "?")
    assert await anext(values) == 0
    await values.aclose()
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


async def test_a_client_that_takes_nothing_holds_the_call_back(over, monkeypatch) -> None:
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)
    engine = Counting(100)
    values = over(engine).stream("ask", "?")
    assert await anext(values) == 0
    assert not await asyncio.to_thread(engine.ended.wait, 0.3)
    assert [value async for value in values] == list(range(1, 100))


async def test_a_cancelled_call_stops(over) -> None:
    engine = Counting()
    task = asyncio.create_task(over(engine).call("compare", ("a", "b"), libraries=("one",)))
    assert await asyncio.to_thread(engine.began.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


def test_only_the_named_libraries_are_served(over) -> None:
    here = over(Counting())
    assert here.check(()) == ("one", "two") and here.check(("two", "two")) == ("two",)
    with pytest.raises(NotFoundError):
        here.check(("three",))


async def test_what_a_stopped_call_still_yields_comes(over) -> None:
    stopped, got = threading.Event(), []
    async for value in over(Counting(last="the rest")).stream("ask", "?", stopped=stopped):
        got.append(value)
        stopped.set()
    assert got[-1] == "the rest"


async def test_the_end_of_a_call_is_known_before_its_values_are_taken(over) -> None:
    ended = asyncio.Event()
    values = over(Counting(50)).stream("ask", "?", on_end=ended.set)
    assert await anext(values) == 0
    await asyncio.wait_for(ended.wait(), PATIENCE)
    assert [value async for value in values] == list(range(1, 50))


async def test_one_batch_of_texts_is_embedded_at_a_time(over) -> None:
    inside, most = [], []

    class Embedding:
        def embed(self, texts, *, library: str, question: bool):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.001)
            inside.pop()
            return tuple((float(len(text)),) for text in texts)

    here = over(Embedding())
    texts = ["x" * number for number in range(100)]
    both = await asyncio.gather(*(here.embed(texts, "one", False) for _ in range(3)))
    assert both[0] == both[2] == [(float(number),) for number in range(100)] and set(most) == {1}
