"""The same questions under always-retrieve, always-read and auto, with nothing kept and with everything kept.

A document is read once, not once for each question: an answer is the same token for token whether the state of the
document was kept or not, so what a question costs cold is known from its prompt. Questions go document by document, the
ways one after the other: passages for all its questions, then the whole document for all of them, then auto twice.

- **cold**: auto as it decides where nothing has been read before (`reproducible`). Tokens are those that each way has
  to read where nothing was kept before the question. Seconds are measured for the question that did read the document,
  and predicted for the others from the speed seen here.
- **warm**: auto as it decides with the document's state kept. Seconds are measured with it kept.

Where auto comes to a prompt that another way has asked already, the answer is taken from there (`remembering.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from localrag.answer.assistant import Assistant
from localrag.api import Library
from localrag.errors import ModelDamaged, ModelError, ModelMissing, UsageError
from localrag.evaluation import answers
from localrag.evaluation.answers import Asker
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.remembering import Call, Remembering, call_of
from localrag.evaluation.runs import Row, Run
from localrag.evaluation.worth import worth
from localrag.events import Answered, Event, Planned
from localrag.types import Answer, Mode, Plan

Way = Literal["retrieve", "read", "auto cold", "auto warm"]
PLANS = ("retrieve", "read", "auto")
_WAYS: dict[str, tuple[Way, ...]] = {
    "retrieve": ("retrieve",), "read": ("read",), "auto": ("auto cold", "auto warm"),
}  # fmt: skip
# A reading that found less than this share of its prompt kept has read the document.
_KEPT = 0.5


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked: an assistant as it is, and as it is where nothing has been read before, over one model.

    `seconds_to_read` tells how long so many tokens take here, or None where that is not known. `get_ready` is called
    before the first question, so that no question pays for loading.
    """

    warm: Asker
    cold: Asker
    model: Remembering
    seconds_to_read: Callable[[int], float | None]
    get_ready: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Afresh:
    """An assistant that chooses its way as if nothing had been read before."""

    assistant: Assistant

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Sequence[str] | None, mode: Mode,
        stop: Callable[[], bool],
    ) -> Iterator[Event]:  # fmt: skip
        return self.assistant.ask(
            question, libraries=libraries, documents=documents, mode=mode, reproducible=True, stop=stop
        )


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of which library, and within what."""

    matched: Matched
    library: Library
    choices: Sequence[str]
    within_document: bool
    read_most: int | None = None

    def globs(self, question: Question) -> list[str] | None:
        return (self.matched.documents(question) or None) if self.within_document else None


@dataclass(frozen=True, slots=True)
class _Reply:
    answer: Answer
    plans: tuple[str, ...]
    calls: tuple[Call, ...]
    seconds: float
    first_token: float

    @property
    def evaluated(self) -> int:
        return sum(call.prompt - call.reused for call in self.calls)

    @property
    def read_anew(self) -> bool:
        """True where it had to read what it might have found kept."""
        return bool(self.calls) and self.calls[0].reused < _KEPT * self.calls[0].prompt


class _Stopped(Exception):
    pass


class _Unavailable(Exception):
    """This way cannot answer this question; the message says why."""


def step(question: Question, way: Way) -> Question:
    """A question asked in one way, as a result of it is kept."""
    return replace(question, id=f"{question.id} ({way})")


def run(
    questions: Sequence[Question], task: Task, asking: Asking, results: Run, *, plans: Sequence[str] = PLANS,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Row]]:  # fmt: skip
    """Ask each question in each way; what `results` holds already is not asked again.

    Yields:
        Questions with their results, a result for each way, grouped by document.

    Raises:
        ModelMissing, ModelDamaged: no question could be answered.
    """
    groups: dict[tuple[str, ...], list[Question]] = {}
    for question in questions:
        groups.setdefault(question.documents, []).append(question)
    ways = [way for plan in PLANS if plan in plans for way in _WAYS[plan]]
    for question in questions:
        for way in ways:
            asking.model.remember(map(call_of, (results.done(step(question, way)) or {}).get("calls", ())))
    ready = False
    for group in groups.values():
        asker = _Group(group, task, asking, stop)
        for way in ways:
            for question in group:
                row = results.done(step(question, way))
                if row is None:
                    if not ready:
                        asking.get_ready()
                        ready = True
                    try:
                        found = asker.ask(question, way)
                    except _Stopped:
                        return
                    row = results.add(step(question, way), found)
                yield question, row


def steps(questions: Sequence[Question], plans: Sequence[str]) -> int:
    """How many results `run` gives."""
    return len(questions) * sum(len(_WAYS[plan]) for plan in plans)


class _Group:
    """The questions about one document."""

    def __init__(self, questions: Sequence[Question], task: Task, asking: Asking, stop: Callable[[], bool]) -> None:
        self._questions, self._task, self._asking, self._stop = questions, task, asking, stop
        self._kept = False

    def ask(self, question: Question, way: Way) -> dict[str, Any]:
        about = {**answers.about(question), "way": way, "cluster": ", ".join(question.documents) or "(library)"}
        try:
            if way == "read":
                return {**about, **self._read(question)}
            if way == "auto warm":
                self._keep()
            assistant = self._asking.cold if way == "auto cold" else self._asking.warm
            mode: Mode = "retrieve" if way == "retrieve" else "auto"
            return {**about, **self._result(question, self._reply(assistant, question, mode))}
        except _Unavailable as error:
            return {**about, "unavailable": str(error)}
        except (ModelMissing, ModelDamaged):
            raise
        except (ModelError, UsageError) as error:
            return {**about, "unavailable" if way == "read" else "error": error.message}

    def _read(self, question: Question) -> dict[str, Any]:
        first = self._reply(self._asking.warm, question, "read")
        self._kept = self._kept or self._task.within_document
        if not first.read_anew:
            return self._result(question, first)
        again = self._reply(self._asking.warm, question, "read", anew=True)
        measured = {"cold_seconds": round(first.seconds, 3), "cold_first_token": round(first.first_token, 3)}
        same = {"same_when_kept": first.answer.answer == again.answer.answer}
        return {**self._result(question, again), **measured, **same, "cold_measured": True}

    def _keep(self) -> None:
        """Have the document's state kept, where it can be read whole."""
        if self._kept:
            return
        self._kept = True
        question = self._questions[0]
        within = _Group([question], replace(self._task, within_document=True), self._asking, self._stop)
        # What is remembered of an earlier run was not read in this one, and its state may be gone.
        if question.documents and within.ask(question, "read").get("remembered"):
            within._reply(self._asking.warm, question, "read", anew=True)

    def _reply(self, assistant: Asker, question: Question, mode: Mode, *, anew: bool = False) -> _Reply:
        model, stop = self._asking.model, self._stop
        model.begin(anew=anew)
        plans: list[str] = []
        answer: Answer | None = None
        events = assistant.ask(
            question.question, libraries=[self._task.library.name], documents=self._task.globs(question), mode=mode,
            stop=stop,
        )  # fmt: skip
        with closing(cast(Any, events)):
            for event in events:
                if isinstance(event, Planned):
                    if mode == "read":
                        self._readable(event.plan)
                    plans += [event.plan.kind] if plans[-1:] != [event.plan.kind] else []
                elif isinstance(event, Answered):
                    answer = event.answer
        if answer is None or stop():
            raise _Stopped
        seconds = answer.seconds.total + model.owed
        first = answer.seconds.first_token
        # Where nothing was written, what the person sees first is the whole reply.
        first_token = seconds if first is None else first + (model.owed_first or 0.0)
        return _Reply(answer, tuple(plans), tuple(model.calls), seconds, first_token)

    def _readable(self, plan: Plan) -> None:
        """Refuse a reading that is none, or too long; the model has not been asked yet."""
        if plan.kind != "read":
            raise _Unavailable("it does not fit the model's window")
        tokens, most = plan.signals.get("pointed_tokens", plan.signals.get("tokens", 0)), self._task.read_most
        if most is not None and tokens > most:
            raise _Unavailable(f"it is longer than {most:,} tokens")

    def _result(self, question: Question, reply: _Reply) -> dict[str, Any]:
        documents, answer = self._task.matched.documents(question), reply.answer
        figures = answers.score(question, documents, answer, self._task.choices)
        tokens = sum(call.cold for call in reply.calls)
        more = self._asking.seconds_to_read(tokens - reply.evaluated) if tokens > reply.evaluated else 0.0
        return {
            "answer": answer.answer,
            "found": answer.found,
            "score": round(worth(question, documents, answer, figures), 4),
            "figures": figures,
            "plans": list(reply.plans),
            "reason": answer.plan.reason,
            "signals": dict(answer.plan.signals),
            "tokens": tokens,
            "evaluated": reply.evaluated,
            "generated": sum(call.generated for call in reply.calls),
            "seconds": round(reply.seconds, 3),
            "first_token": round(reply.first_token, 3),
            "cold_seconds": None if more is None else round(reply.seconds + more, 3),
            "cold_first_token": None if more is None else round(reply.first_token + more, 3),
            "cold_measured": more == 0.0,
            "remembered": sum(call.again for call in reply.calls),
            "cut": answer.stopped,
            "calls": [call.to_dict() for call in reply.calls],
        }
