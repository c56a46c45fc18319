"""Threads that call the core, so that the screen never waits for it.

A `Lane` is one thread that runs its jobs in order. The app has three: "model" (loading and answering),
"pages" (what stands in a library) and "reading" (ingest). One thread each because SQLite connections stay
with the thread that opened them; own daemon threads instead of Textual's pool because leaving the app must
not wait for a model that is still loading. Limits: a job is not interrupted; it polls a stop flag or is
waited for. What may take hours (warming) runs `behind` the others, and gives way to each of them.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from textual._context import NoActiveAppError
from textual.message import Message
from textual.message_pump import MessagePump

from localrag.errors import LocalragError, internal

Result = TypeVar("Result")
Behind = Callable[[Callable[[], bool]], bool]
Failed = Callable[[LocalragError], None]


class Lane:
    """A thread that runs one job after the other; it starts with the first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._behind: list[Callable[[], object]] = []  # only the lane's thread changes it
        self._held_until = float("-inf")
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None], failed: Failed) -> None:
        """Run `job` after those before it; what it raises is handed to `failed`, in the lane's thread."""
        self._put(_guarded(job, failed))

    def behind(self, job: Behind, failed: Failed) -> None:
        """Run `job` while nothing else is to be done, until it returns True.

        It polls what it is given: True asks it to return soon, since a job was submitted or the lane is held. It is
        called again when that is over, and goes on where it was. One that fails is not called again.
        """
        run = _guarded(lambda: job(self._wanted), failed)
        self._put(lambda: self._behind.append(run))

    def hold(self, seconds: float) -> None:
        """Run nothing `behind` the others for so long: somebody is about to submit."""
        self._held_until = time.monotonic() + seconds

    def _wanted(self) -> bool:
        return not self._jobs.empty() or time.monotonic() < self._held_until

    def _put(self, job: Callable[[], object]) -> None:
        self._jobs.put(job)
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
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], object] | None:
        """What is to be run now, waited for; None to end."""
        while self._behind:
            held = self._held_until - time.monotonic()
            try:
                return self._jobs.get(timeout=held) if held > 0 else self._jobs.get_nowait()
            except Empty:
                if held <= 0:
                    return self._go_on
        return self._jobs.get()

    def _go_on(self) -> None:
        # None is called again that was finished or has failed.
        self._behind[:] = [job for job in self._behind[:1] if job() is False] + self._behind[1:]


def _guarded(job: Callable[[], object], failed: Failed) -> Callable[[], object]:
    """`job`, of which an error goes to `failed`; it then returns None."""

    def guarded() -> object:
        try:
            return job()
        except LocalragError as error:
            failed(error)
        except Exception as error:
            failed(internal(error))
        return None

    return guarded


def deliver(to: MessagePump, message: Message) -> None:
    """Post a message from a lane; one for a screen that is gone is dropped."""
    try:
        to.post_message(message)
    except NoActiveAppError:
        return
    except RuntimeError as error:
        if "loop is closed" not in str(error):
            raise
