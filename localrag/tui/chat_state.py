"""A conversation as the app keeps it: its history, the question being answered, and resuming a saved conversation.

`answer`, `read_ahead` and `read_on` run in the "model" thread and touch no widget; they only post messages. A question
is saved before it is asked, and the words of its answer every few seconds, so that both outlive the app.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.message_pump import MessagePump

from localrag.errors import LocalragError, NotFoundError
from localrag.events import Answered, Delta, Event, Replaced
from localrag.sessions.session_store import ANSWER_SETTINGS, answer_settings
from localrag.settings import as_text
from localrag.tui.text import clean_line
from localrag.tui.threads import Core, deliver
from localrag.types import EVERYTHING, Answer, Cost, Filter, Mode, Plan, PlanKind, Turn

if TYPE_CHECKING:
    from localrag.sessions.session_store import Session, Value
    from localrag.tui.preferences import Preferences

MIN_DRAFT_WORDS = 3  # shorter drafts find nothing in particular
MAX_EARLIER_QUESTIONS = 100
SAVE_EVERY = 2.0  # seconds between two saves of an answer that is being written


@dataclass(frozen=True, slots=True)
class Scope:
    """What questions are asked of, and how."""

    libraries: tuple[str, ...]
    only: Filter = EVERYTHING
    mode: Mode = "auto"


@dataclass(slots=True)
class ChatState:
    """A conversation; only the "model" thread changes it."""

    history: list[Turn] = field(default_factory=list)
    session: Session | None = None
    cited: tuple[tuple[str, str], ...] = ()  # documents of the last answer

    @classmethod
    def of(cls, session: Session) -> ChatState:
        """The state of a saved conversation."""
        answers = [turn.answer for turn in session.turns if turn.answer and turn.answer.citations]
        return cls(list(session.history), session, _documents(answers[-1]) if answers else ())


@dataclass(eq=False, slots=True)
class PendingQuestion:
    """A question on its way, the settings that shape its answer, and the flag that stops it."""

    text: str
    state: ChatState
    scope: Scope
    saved_scope: Scope  # of later questions
    settings: Mapping[str, Value] = field(default_factory=dict)
    before: PendingQuestion | None = None  # the same with another plan; this answer replaces its in the history
    plan: Plan | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def history(self) -> tuple[Turn, ...]:
        turns = self.state.history
        return tuple(turns[:-1] if self.before and turns and turns[-1].question == self.text else turns)

    @property
    def tried(self) -> frozenset[PlanKind]:
        """The plans with which it was asked."""
        here = frozenset() if self.plan is None else frozenset({self.plan.kind})
        return here | self.before.tried if self.before is not None else here

    @property
    def next_plan(self) -> Cost | None:
        return None if self.plan is None else self.plan.another(self.tried)


@dataclass
class QuestionEvent(Message):
    """The engine reports something about a question."""

    question: PendingQuestion
    event: Event


@dataclass
class QuestionEnded(Message):
    """The engine is done with a question; `error` is what ended it, if not an answer."""

    question: PendingQuestion
    error: LocalragError | None = None


@dataclass
class Trouble(Message):
    """An error that belongs to no answer, such as a full disk while saving."""

    error: LocalragError


def answer(core: Core, question: PendingQuestion, screen: MessagePump) -> None:
    """Save the question, ask it, post every event, then remember and save the answer."""
    final: Answer | None = None
    if not question.stop.is_set():
        with suppress(LocalragError):  # if the disk is full, saving the answer reports it
            _begin(core, question)
        written, saved_at = "", time.monotonic()
        for event in core.engine.ask(
            question.text,
            libraries=question.scope.libraries,
            documents=question.scope.only,
            mode=question.scope.mode,
            history=question.history,
            stop=question.stop.is_set,
        ):
            deliver(screen, QuestionEvent(question, event))
            if isinstance(event, Replaced):
                written = ""
            elif isinstance(event, Delta):
                written += event.text
                if time.monotonic() - saved_at >= SAVE_EVERY and question.state.session is not None:
                    saved_at = time.monotonic()
                    with suppress(LocalragError):
                        core.store.keep_partial(question.state.session.id, question.text, written)
            elif isinstance(event, Answered):
                final = event.answer
    deliver(screen, QuestionEnded(question))
    if final is not None:
        _remember(core, question, final, screen)


def _begin(core: Core, question: PendingQuestion) -> None:
    """Save the question, and drop answers from the history that were removed meanwhile, with a document or all."""
    state = question.state
    try:
        session = _save(core, question, lambda session: core.store.ask(session, question.text))
    except NotFoundError:  # the conversation was deleted
        state.session = None
        session = _save(core, question, lambda session: core.store.ask(session, question.text))
    saved = {(turn.question, turn.answer) for turn in session.history}
    state.history[:] = [turn for turn in state.history if (turn.question, turn.answer) in saved]


def _remember(core: Core, question: PendingQuestion, final: Answer, screen: MessagePump) -> None:
    state = question.state
    if final.answer.strip():
        state.history[:] = [*question.history, Turn(final.question, final.answer, final.sources)]
    state.cited = _documents(final) or state.cited
    try:
        _save(core, question, lambda session: core.store.append(session, final), final.model)
    except LocalragError as error:
        deliver(screen, Trouble(error))


def _save(
    core: Core, question: PendingQuestion, save: Callable[[Session], Session], model: str | None = None
) -> Session:
    """Save a change to the conversation together with its scope and settings."""
    scope = question.saved_scope
    session = question.state.session or core.store.new(question.scope.libraries)
    how: dict[str, Any] = {"libraries": scope.libraries, "only": scope.only, "mode": scope.mode}
    settings = {**question.settings, **({"generator": model} if model else {})}
    question.state.session = save(replace(session, settings=settings, **how))
    return question.state.session


def _documents(answered: Answer) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys((item.library, item.document) for item in answered.citations))


def read_ahead(core: Core, scope: Scope, state: ChatState, draft: str, stop: threading.Event) -> None:
    """Let the model read what an unfinished question is likely about, until `stop` is set.

    A short draft finds nothing in particular; then it reads the documents that the last answer cites.
    """
    if not stop.is_set():
        for _ in core.engine.read_ahead(
            libraries=scope.libraries,
            documents=scope.only,
            likely=state.cited,
            draft=draft if len(draft.split()) >= MIN_DRAFT_WORDS else "",
            mode=scope.mode,
            history=tuple(state.history),
            stop=stop.is_set,
        ):
            pass


def read_on(core: Core, question: PendingQuestion, wanted: Callable[[], bool]) -> bool:
    """Let the model read what the question after this one is likely to need, until it is `wanted`; True if done."""
    turns = question.state.history
    for _ in core.engine.read_ahead(
        libraries=question.scope.libraries,
        documents=question.scope.only,
        draft=question.text,
        mode="retrieve",
        history=tuple(turns[:-1] if turns and turns[-1].question == question.text else turns),
        stop=wanted,
    ):
        pass
    return not wanted()


def earlier_questions(core: Core, libraries: Sequence[str]) -> tuple[str, ...]:
    """The last questions asked of these libraries, oldest first."""
    found: list[str] = []
    for listed in core.store.list():
        if listed.libraries == tuple(libraries) and not listed.problem:
            found += [turn.question for turn in reversed(core.store.load(listed.id).turns)]
        if len(found) >= MAX_EARLIER_QUESTIONS:
            break
    return tuple(reversed(found[:MAX_EARLIER_QUESTIONS]))


@dataclass(frozen=True, slots=True)
class Resumed:
    """A saved conversation to continue: its scope as far as it still exists, and notes for the person."""

    session: Session
    scope: Scope
    notes: tuple[str, ...] = ()
    turn: int = 0  # to show, counted from 1; 0 is the end
    keep: frozenset[str] = frozenset()  # settings that must not be restored


def resume(session: Session, libraries: Sequence[str], models: Sequence[str], turn: int = 0) -> Resumed:
    """Prepare a conversation to be continued with the libraries and models that exist."""
    present = tuple(name for name in session.libraries if name in libraries)
    notes = [
        f"The library {clean_line(name)} no longer exists; its answers are kept. To read its folder again: "
        "localrag ingest FOLDER"
        for name in session.libraries
        if name not in libraries
    ]
    keep = frozenset[str]()
    model = session.settings.get("generator")
    if model is not None and model not in models:
        notes.append(f"The model {clean_line(str(model))} is no longer installed; another one answers.")
        keep = frozenset({"generator"})
    return Resumed(session, Scope(present or session.libraries, session.only, session.mode), tuple(notes), turn, keep)


def load_resumed(core: Core, session_id: str, turn: int = 0) -> Resumed:
    return resume(core.store.load(session_id), core.engine.libraries(), core.engine.models(), turn)


def restore_settings(preferences: Preferences, resumed: Resumed, model: str) -> tuple[list[str], list[str]]:
    """Set the settings that a conversation was left with; return the names of those set, and notes on the others."""
    changed, notes = [], []
    now = answer_settings(preferences.settings, model)
    for name in sorted(ANSWER_SETTINGS & resumed.session.settings.keys() - resumed.keep):
        saved = resumed.session.settings[name]
        if saved == now.get(name) or not any(knob.name == name for knob in preferences.knobs):
            continue
        try:
            preferences.change(preferences.knob(name), "conversation", as_text(saved))
            changed.append(name)
        except LocalragError as error:
            notes.append(f"{name} was {clean_line(as_text(saved))} in this conversation: {error.message}.")
    return changed, notes
