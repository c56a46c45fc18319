"""Threads that call the core, so that the screen never waits for it.

A `Lane` is one thread that runs its jobs in order. The app has three: "model" (loading and answering),
"pages" (what stands in a library) and "reading" (ingest). One thread each because SQLite connections stay
with the thread that opened them; own daemon threads instead of Textual's pool because leaving the app must
not wait for a model that is still loading. Limits: a job is not interrupted; it polls a stop flag or is
waited for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

from textual._context import NoActiveAppError
from textual.message import Message
from textual.message_pump import MessagePump

from localrag.errors import LocalragError, internal

Result = TypeVar("Result")


class Lane:
    """A thread that runs one job after the other; it starts with the first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None], failed: Callable[[LocalragError], None]) -> None:
        """Run `job` after those before it; what it raises is handed to `failed`, in the lane's thread."""

        def guarded() -> None:
            try:
                job()
            except LocalragError as error:
                failed(error)
            except Exception as error:
                failed(internal(error))

        self._jobs.put(guarded)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"localrag-{self.name}", daemon=True)
            self._thread.start()

    async def result(self, job: Callable[[], Result]) -> Result:
        """What `job` returns, run after those before it; what it raises is raised.

        Raises:
            LocalragError: as the job does.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def settle(put: Callable[[], None]) -> None:
            # Whoever waited may be gone, and the loop with it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: None if future.done() else put())

        def run() -> None:
            value = job()
            settle(lambda: future.set_result(value))

        self.submit(run, lambda error: settle(lambda: future.set_exception(error)))
        return await future

    def close(self, seconds: float) -> bool:
        """Take no more jobs and wait for those taken; False if one is still running after `seconds`."""
        if self._thread is None:
            return True
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def deliver(to: MessagePump, message: Message) -> None:
    """Post a message from a lane; one for a screen that is gone is dropped."""
    try:
        to.post_message(message)
    except NoActiveAppError:
        return
    except RuntimeError as error:
        if "loop is closed" not in str(error):
            raise
