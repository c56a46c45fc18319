"""Threads that call the engine, so that the screen never waits for it.

A `JobThread` runs its jobs in order. The app has four: "model" (loading and answering), "pages" (what libraries and
conversations hold), "reading" (ingest, install) and "viewing" (page images, the system's viewer). They are daemons,
unlike Textual's pool, because leaving the app must not wait for a model that is still loading. Limit: a job is not
interrupted; it polls a stop flag.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from textual._context import NoActiveAppError
from textual.message import Message
from textual.message_pump import MessagePump

from localrag.errors import LocalragError, internal
from localrag.store import names

if TYPE_CHECKING:
    from localrag.sessions import SessionStore
    from localrag.worker.engine import Engine

Result = TypeVar("Result")
Stop = Callable[[], bool]
Failed = Callable[[LocalragError], None]
THREADS = ("model", "pages", "reading", "viewing")


@dataclass(frozen=True, slots=True)
class Core:
    """All that the app can call: documents and models, and the store of conversations."""

    engine: Engine
    store: SessionStore

    def check_spared(self, path: Path, libraries: Iterable[str]) -> Path:
        """Refuse to replace a file that was read into one of these libraries."""
        for library in libraries if path.exists() else ():
            files = [one.document for one in self.engine.contents(library).documents]
            names.check_spared(path, [str(Path(one.root, one.file or one.path)) for one in files])
        return path

    def originals(self, library: str) -> dict[str, Path]:
        """Return the files of a library's documents that were read on this machine, for links in exports."""
        held = self.engine.contents(library)
        files = [
            (one.document.path, one.document.root, one.document.file or one.document.path) for one in held.documents
        ]
        return names.files_by_path(files, set(held.roots) - set(held.elsewhere))


class JobThread:
    """A thread that runs one job after the other; it starts with the first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._behind: list[Callable[[], object]] = []  # only the thread itself changes it
        self._held_until = float("-inf")
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], object], failed: Failed = lambda error: None) -> None:
        """Run `job` after those before it; an error is handed to `failed`, in this thread."""
        self._put(_guarded(job, failed))

    async def result(self, job: Callable[[], Result]) -> Result:
        """Run `job` after those before it and return its result."""
        future: Future[Result] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(job())

        self.submit(run, future.set_exception)
        return await asyncio.wrap_future(future)

    def behind(self, job: Callable[[Stop], bool], failed: Failed) -> None:
        """Run `job` while there is nothing else to do, until it returns True.

        Its argument turns true, and stays so, when a job was submitted or the thread is held; it should then return
        soon, and is called again later. A job that fails is not called again.
        """

        def run() -> bool:
            gave_way = threading.Event()

            def wanted() -> bool:
                if not self._jobs.empty() or time.monotonic() < self._held_until:
                    gave_way.set()
                return gave_way.is_set()

            return job(wanted)

        guarded = _guarded(run, failed)
        self._put(lambda: self._behind.append(guarded))

    def hold(self, seconds: float) -> None:
        """Run no job of `behind` for so long, because a submit is likely."""
        self._held_until = time.monotonic() + seconds

    def close(self, seconds: float) -> bool:
        """Take no more jobs and wait for those taken; False if one still runs after `seconds`."""
        if self._thread is None:
            return True
        self._jobs.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _put(self, job: Callable[[], object]) -> None:
        self._jobs.put(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"localrag-{self.name}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Callable[[], object] | None:
        """Wait for the next job; None to end."""
        while self._behind:
            held = self._held_until - time.monotonic()
            try:
                return self._jobs.get(timeout=held) if held > 0 else self._jobs.get_nowait()
            except Empty:
                if held <= 0:  # a job that is finished returns True, one that failed None
                    return lambda: self._behind[0]() is False or self._behind.pop(0)
        return self._jobs.get()


def _guarded(job: Callable[[], object], failed: Failed) -> Callable[[], object]:
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
    """Post a message from a thread; one for a screen that is gone is dropped."""
    try:
        to.post_message(message)
    except NoActiveAppError:
        return
    except RuntimeError as error:
        if "loop is closed" not in str(error):
            raise
