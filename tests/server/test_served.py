"""An engine awaited from asyncio: values in order, errors, and calls that stop with their task."""

import asyncio
import threading
import time

import pytest
from waiting import PATIENCE

from localrag.errors import ModelError, NotFoundError
from localrag.server.served import Served
from localrag.settings import Settings


class Counting:
    """Yields numbers until it is stopped; `ended` is set then, and `began` when it compares."""

    def __init__(self, most: int = 10**9, error: Exception | None = None) -> None:
        self.most, self.error, self.began, self.ended = most, error, threading.Event(), threading.Event()

    def ask(self, question: str, *, stop, **how):
        try:
            for number in range(self.most):
                if stop():
                    return
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


def served(engine, settings: Settings) -> Served:
    return Served(settings, engine, ("one", "two"))


async def test_values_come_in_order(settings: Settings) -> None:
    here = served(Counting(3), settings)
    assert [value async for value in here.stream("ask", "?")] == [0, 1, 2]


async def test_an_error_comes_after_the_values_before_it(settings: Settings) -> None:
    got = []
    with pytest.raises(ModelError):
        async for value in served(Counting(2, ModelError("none", "")), settings).stream("ask", "?"):
            got.append(value)
    assert got == [0, 1]


async def test_a_client_that_leaves_stops_the_call(settings: Settings) -> None:
    engine = Counting()
    values = served(engine, settings).stream("ask", "?")
    assert await anext(values) == 0
    await values.aclose()
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


async def test_a_client_that_takes_nothing_holds_the_call_back(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)
    engine = Counting(100)
    values = served(engine, settings).stream("ask", "?")
    assert await anext(values) == 0
    assert not await asyncio.to_thread(engine.ended.wait, 0.5)
    assert [value async for value in values] == list(range(1, 100))


async def test_a_cancelled_call_stops(settings: Settings) -> None:
    engine = Counting()
    task = asyncio.create_task(served(engine, settings).call("compare", ("a", "b"), libraries=("one",)))
    assert await asyncio.to_thread(engine.began.wait, PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


def test_only_the_named_libraries_are_served(settings: Settings) -> None:
    here = served(Counting(), settings)
    assert here.check(()) == ("one", "two") and here.check(("two", "two")) == ("two",)
    with pytest.raises(NotFoundError):
        here.check(("three",))


async def test_what_a_stopped_call_still_yields_comes(settings: Settings) -> None:
    class Partly(Counting):
        def ask(self, question: str, *, stop, **how):
            yield from super().ask(question, stop=stop, **how)
            yield "the rest"

    stopped, got = threading.Event(), []
    async for value in served(Partly(), settings).stream("ask", "?", stopped=stopped):
        got.append(value)
        stopped.set()
    assert got[-1] == "the rest"


async def test_a_call_that_ends_by_itself_was_not_stopped(settings: Settings) -> None:
    stopped = threading.Event()
    assert len([value async for value in served(Counting(3), settings).stream("ask", "?", stopped=stopped)]) == 3
    assert not stopped.is_set()


async def test_the_end_of_a_call_is_told_before_its_values_are_taken(settings: Settings) -> None:
    ended = asyncio.Event()
    values = served(Counting(50), settings).stream("ask", "?", on_end=ended.set)
    assert await anext(values) == 0
    await asyncio.wait_for(ended.wait(), PATIENCE)
    assert [value async for value in values] == list(range(1, 50))


async def test_a_call_that_is_left_ends_however_much_it_still_yields(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr("localrag.server.served._MAX_AHEAD", 5)

    class Deaf(Counting):
        def ask(self, question: str, *, stop, **how):
            return super().ask(question, stop=lambda: False, **how)

    engine = Deaf(100)
    values = served(engine, settings).stream("ask", "?")
    assert await anext(values) == 0
    await asyncio.sleep(0.1)  # it waits now
    await values.aclose()
    assert await asyncio.to_thread(engine.ended.wait, PATIENCE)


async def test_one_batch_of_texts_is_embedded_at_a_time(settings: Settings) -> None:
    inside, most = [], []

    class Embedding:
        def embed(self, texts, *, library: str, question: bool):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()
            return tuple((float(len(text)),) for text in texts)

    here = served(Embedding(), settings)
    texts = ["x" * number for number in range(100)]
    both = await asyncio.gather(*(here.embed(texts, "one", False) for _ in range(3)))
    assert both[0] == both[2] == [(float(number),) for number in range(100)] and set(most) == {1}
