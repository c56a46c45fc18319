"""Answers and reviews under way for a browser: they outlive the page that began them, and stop when nobody looks.

A page can be loaded again, or close its connection, in the middle of an answer. So a job keeps what there is so far,
pages follow it, and it ends itself `GRACE` seconds after the last of them has gone.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from localrag import events
from localrag.answer.progress import Progress, Step
from localrag.answer.survey_table import Results
from localrag.errors import Cancelled, LocalragError, internal
from localrag.items.playbook import Playbook, to_yaml
from localrag.security.terminal import counted
from localrag.server.served import FairQueue, Served
from localrag.sessions.session_store import ANSWER_SETTINGS, Session, SessionStore
from localrag.types import Answer, Checked, Filter, Passage, Plan

GRACE = 30.0  # seconds without a page that follows
SAVE_EVERY = 2.0  # seconds between two saves of an answer that is being written
_MAX_KEPT = 50  # jobs; of those that have ended the oldest go first, answers (which are saved) before reviews
_MAX_NAMED = 3  # documents of a review


class Job:
    """Work that waits for its turn of the model. `changes` counts what happened, `error` is what ended it."""

    def __init__(self, libraries: tuple[str, ...]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.libraries = libraries
        self.step = Step("Waiting for the model …")
        self.notes: list[str] = []
        self.error: LocalragError | None = None
        self.ended = False
        self.began = datetime.now(UTC)
        self.stopped = threading.Event()
        self.changes = 0
        self._news = asyncio.Event()
        self._lookers = 0
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    def start(self, turns: FairQueue, client: str) -> None:
        def end(task: asyncio.Task[None]) -> None:
            self.ended = True
            self.changed()

        self._task = asyncio.create_task(self._run(turns, client))
        self._task.add_done_callback(end)  # also where it was cancelled before it ran
        self._leave_alone()

    async def _run(self, turns: FairQueue, client: str) -> None:
        try:
            async with turns.turn(client, self._wait):
                self._begun = True
                await self.work()
        except Cancelled:
            pass
        except LocalragError as error:
            self.error = error
        except asyncio.CancelledError:
            if not self.stopped.is_set():
                raise
        except Exception as error:
            self.error = internal(error)

    async def work(self) -> None:
        """Do it; the model is this job's until it returns."""
        raise NotImplementedError

    def _wait(self, ahead: int) -> None:
        self.step = Step(f"Waiting: {counted(ahead, 'question')} before this one.")
        self.changed()

    def stop(self) -> None:
        """Stop; what there is comes as the end."""
        if not self.stopped.is_set():
            self.stopped.set()
            self.step = Step("Stopping …")
            if not self._begun and self._task is not None:
                self._task.cancel()
            self.changed()

    def changed(self) -> None:
        self.changes += 1
        self._news.set()
        self._news = asyncio.Event()

    async def newer(self, seen: int, seconds: float) -> bool:
        """Wait until something happens that was not `seen`, or it has ended; False after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.changes <= seen and not self.ended:
                    await self._news.wait()
                return True
        return False

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """Hold a page that follows."""
        self._lookers += 1
        try:
            yield
        finally:
            self._lookers -= 1
            self._leave_alone()

    def _leave_alone(self) -> None:
        if not self._lookers and not self.ended:
            asyncio.get_running_loop().call_later(GRACE, lambda: None if self._lookers else self.stop())


class Asked(Job):
    """A question of a conversation; `number` is its turn, from 1. `era` counts drafts that were thrown away."""

    def __init__(
        self, served: Served, store: SessionStore, session: Session, question: str, only: Filter, again: bool
    ) -> None:
        super().__init__(session.libraries)
        self.session, self.question, self.number = session, question, len(session.turns)
        self.plan: Plan | None = None
        self.looked_for = ""
        self.found: tuple[Passage, ...] = ()
        self.draft, self.era = "", 0
        self.results = Results(question)
        self.progress = Progress()
        self.answer: Answer | None = None
        self._served, self._store, self._only = served, store, only
        turns = session.history
        # Asked again with another plan: the first answer does not count.
        self._history = turns[:-1] if again and turns and turns[-1].question == question else turns

    async def work(self) -> None:
        saved_at, session = time.monotonic(), self.session
        async for event in self._served.stream(
            "ask",
            self.question,
            libraries=session.libraries,
            documents=self._only,
            mode=session.mode,
            history=self._history,
            options=options_of(session, self._served),
            stopped=self.stopped,
        ):
            self._take(event)
            if isinstance(event, events.Delta) and time.monotonic() - saved_at >= SAVE_EVERY:
                saved_at = time.monotonic()
                with suppress(LocalragError):
                    await asyncio.to_thread(self._store.keep_partial, session.id, self.question, self.draft)
        if self.answer is not None:
            if self.answer.model:
                session = replace(session, settings={**session.settings, "generator": self.answer.model})
            try:
                self.session = await asyncio.to_thread(self._store.append, session, self.answer)
            except LocalragError as error:
                self.notes.append(f"This answer was not saved: {error.message}. {error.hint}")

    def _take(self, event: events.Event) -> None:
        if (step := self.progress.after(event)) is not None and not self.stopped.is_set():
            self.step = step
        match event:
            case events.Planned(plan, looked_for):
                self.plan, self.looked_for = plan, looked_for
            case events.Found(passages):
                self.found = passages
            case events.Notice(text):
                self.notes.append(text)
            case events.Surveyed(row=row):
                self.results.add(row)
            case events.Delta(text):
                self.draft += text
            case events.Replaced():
                self.draft, self.era = "", self.era + 1
            case events.Answered(answer):
                self.answer = answer
        self.changed()


class Reviewing(Job):
    """A review; `findings` in the order in which they came, of which one is replaced when it is decided on."""

    def __init__(
        self, served: Served, named: str, playbook: Playbook, libraries: tuple[str, ...], only: Filter
    ) -> None:
        super().__init__(libraries)
        self.named, self.playbook, self.yaml, self.only = named, playbook, to_yaml(playbook), only
        self.findings: list[Checked] = []
        several = len(libraries) > 1
        names = [": ".join(one) if several else one[1] for one in only.these]
        more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
        self.of = ", ".join(names[:_MAX_NAMED] or libraries) + more
        self._served = served

    @property
    def state(self) -> str:
        """How far it is: "under way", "done", "stopped" or "failed"."""
        ended = "failed" if self.error is not None else "stopped" if self.stopped.is_set() else "done"
        return ended if self.ended else "under way"

    async def work(self) -> None:
        self.step = Step("Looking …")
        self.changed()
        async for event in self._served.stream(
            "review", self.yaml, libraries=self.libraries, documents=self.only, stopped=self.stopped
        ):
            if isinstance(event, events.Reviewed):
                self.findings.append(event.finding)
                if not self.stopped.is_set():
                    self.step = Step("Checking", event.done, event.total, "items")
            else:
                self.notes += [f"Not read: {one.document or one.library}: {one.reason}" for one in event.not_read]
            self.changed()
        if self.stopped.is_set():
            self.notes.append("Stopped. What was found is kept; the same review goes on from there.")


class Jobs:
    """The jobs of this server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        self._jobs[job.id] = job
        ended = sorted((one for one in self._jobs.values() if one.ended), key=lambda one: isinstance(one, Reviewing))
        for old in ended[: max(0, len(self._jobs) - _MAX_KEPT)]:
            del self._jobs[old.id]

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def reviews(self) -> list[Reviewing]:
        """Return the reviews, the newest first."""
        return [one for one in reversed(self._jobs.values()) if isinstance(one, Reviewing)]

    def of(self, session_id: str) -> Asked | None:
        """Return the question of a conversation that is being answered."""
        asked = (one for one in self._jobs.values() if isinstance(one, Asked) and not one.ended)
        return next((one for one in asked if one.session.id == session_id), None)


def options_of(session: Session, served: Served) -> dict[str, Any]:
    """Return the settings that a conversation was left with, but those that load another model: it is shared."""
    kept: dict[str, Any] = {}
    for name in ANSWER_SETTINGS & session.settings.keys() - {"generator", "context_tokens"}:
        with suppress(LocalragError):  # a policy, or another version, allows it no more
            served.settings.with_options(**{name: session.settings[name]})
            kept[name] = session.settings[name]
    return kept


async def news(job: Job, pause: float, wait: float) -> AsyncGenerator[bool]:
    """Yield whenever a job has changed, at most once in `pause` seconds, and False after `wait` seconds without."""
    seen = -1
    with job.looked_at():
        while True:
            changed = await job.newer(seen, wait)
            seen = job.changes
            yield changed
            if job.ended:
                return
            await asyncio.sleep(pause if changed else 0)
