"""A conversation as the "model" lane keeps it: asks, passes the events on, remembers and saves what was
answered.

Everything below runs in a lane's thread and touches no widget; it only posts messages to the screen.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

from localrag.errors import LocalragError
from localrag.events import Answered, Event
from localrag.tui.core import Core
from localrag.tui.jobs import deliver
from localrag.types import EVERYTHING, Answer, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.sessions import Session
    from localrag.tui.widgets.turn import TurnView


@dataclass(frozen=True, slots=True)
class Scope:
    """What the questions are asked of, and how."""

    libraries: tuple[str, ...]
    only: Filter = EVERYTHING
    mode: Mode = "auto"


@dataclass(slots=True)
class Talk:
    """What was said so far, where it is saved, and which documents the last answer cites; only the lane writes here."""

    history: list[Turn] = field(default_factory=list)
    session: Session | None = None
    cited: tuple[tuple[str, str], ...] = ()


@dataclass(eq=False, slots=True)
class Asked:
    """One question on its way: its view, and the flag that stops it."""

    question: str
    view: TurnView
    talk: Talk
    stop: threading.Event = field(default_factory=threading.Event)


class Told(Message):
    """The core has reported something about a question."""

    def __init__(self, asked: Asked, event: Event) -> None:
        super().__init__()
        self.asked = asked
        self.event = event


class Ended(Message):
    """The core is done with a question; `error` is what ended it, where it was not the answer."""

    def __init__(self, asked: Asked, error: LocalragError | None = None) -> None:
        super().__init__()
        self.asked = asked
        self.error = error


class Trouble(Message):
    """An error that belongs to no answer, such as a full disk while saving."""

    def __init__(self, error: LocalragError) -> None:
        super().__init__()
        self.error = error


def answer(core: Core, scope: Scope, asked: Asked, screen: MessagePump) -> None:
    """Ask, tell the screen every event, then remember and save the answer.

    Raises:
        LocalragError: as the core does.
    """
    final: Answer | None = None
    if not asked.stop.is_set():
        for event in core.engine.ask(
            asked.question,
            libraries=scope.libraries,
            documents=scope.only,
            mode=scope.mode,
            history=tuple(asked.talk.history),
            stop=asked.stop.is_set,
        ):
            deliver(screen, Told(asked, event))
            if isinstance(event, Answered):
                final = event.answer
    deliver(screen, Ended(asked))
    if final is not None:
        _remember(core, scope, asked.talk, final, screen)


def read_ahead(core: Core, scope: Scope, talk: Talk, stop: threading.Event) -> None:
    """Have the document read that the next question is likely to be about, until `stop` is set."""
    if not stop.is_set():
        for _ in core.engine.read_ahead(
            libraries=scope.libraries, documents=scope.only, likely=talk.cited, stop=stop.is_set
        ):
            pass


def _remember(core: Core, scope: Scope, talk: Talk, final: Answer, screen: MessagePump) -> None:
    if final.answer.strip():
        talk.history.append(Turn(final.question, final.answer, final.sources))
    talk.cited = tuple(dict.fromkeys((item.library, item.document) for item in final.citations)) or talk.cited
    try:
        if talk.session is None:
            talk.session = core.store.new(scope.libraries)
        talk.session = core.store.append(talk.session, final)
    except LocalragError as error:
        deliver(screen, Trouble(error))


def look_at(core: Core, libraries: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """How many documents the libraries hold together, and how answers from each shall be worded, where it is said."""
    total, told = 0, list[str]()
    for name in libraries:
        shelf = core.engine.shelf(name)
        total += len(shelf.documents)
        if shelf.instructions:
            told.append(shelf.instructions)
    return total, tuple(dict.fromkeys(told))
