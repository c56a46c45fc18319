"""A conversation as the "model" lane keeps it: asks, passes the events on, remembers and saves what was
asked and answered. A question is saved before it is asked, and the words of its answer every few seconds while they
come, so that whatever ends the app leaves both.

Everything below runs in a lane's thread and touches no widget; it only posts messages to the screen.
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

from localrag.errors import LocalragError
from localrag.events import Answered, Delta, Event, Replaced
from localrag.tui.completing import Known
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.jobs import deliver
from localrag.types import EVERYTHING, Answer, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.sessions.session import Session, Value
    from localrag.tui.widgets.turn import TurnView
    from localrag.worker.engine import Shelf

# Questions of earlier conversations that can be brought back.
EARLIER = 100
# Words from which on a draft is looked up.
DRAFT = 3

# How often the words of an answer that is coming are kept, in seconds.
KEEP = 2.0


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
    """One question on its way: its view, the settings that shape its answer, and the flag that stops it.

    `standing` is what later questions are asked of, where this one is narrowed by itself; `again` says that it was
    answered before, so that the answer takes that one's place in what the next question is asked with.
    """

    question: str
    view: TurnView
    talk: Talk
    settings: Mapping[str, Value] = field(default_factory=dict)
    standing: Scope | None = None
    again: bool = False
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


class Shelves(Message):
    """What there is to choose from while a question is typed, and the questions of earlier conversations."""

    def __init__(self, known: Known, earlier: tuple[str, ...]) -> None:
        super().__init__()
        self.known = known
        self.earlier = earlier


def answer(core: Core, scope: Scope, asked: Asked, screen: MessagePump) -> None:
    """Save the question and ask it, tell the screen every event, then remember and save the answer.

    Raises:
        LocalragError: as the core does.
    """
    final: Answer | None = None
    if not asked.stop.is_set():
        with suppress(LocalragError):  # if the disk is full, saving the answer will say so
            _save(core, scope, asked, lambda session: core.store.ask(session, asked.question))
        words = _Words(core, asked)
        for event in core.engine.ask(
            asked.question,
            libraries=scope.libraries,
            documents=scope.only,
            mode=scope.mode,
            history=_before(asked),
            stop=asked.stop.is_set,
        ):
            deliver(screen, Told(asked, event))
            words.hear(event)
            if isinstance(event, Answered):
                final = event.answer
    deliver(screen, Ended(asked))
    if final is not None:
        _remember(core, scope, asked, final, screen)


def read_ahead(core: Core, scope: Scope, talk: Talk, draft: str, stop: threading.Event) -> None:
    """Have what the unfinished question is likely to be answered from read, until `stop` is set.

    So few words find nothing in particular: then it is the document that the last answer cites.
    """
    if not stop.is_set():
        for _ in core.engine.read_ahead(
            libraries=scope.libraries, documents=scope.only, likely=talk.cited,
            draft=draft if len(draft.split()) >= DRAFT else "", mode=scope.mode, history=tuple(talk.history),
            stop=stop.is_set,
        ):  # fmt: skip
            pass


def _before(asked: Asked) -> tuple[Turn, ...]:
    """The turns that a question is asked with: of one that is answered again, without its answer so far."""
    history = asked.talk.history
    if asked.again and history and history[-1].question == asked.question:
        return tuple(history[:-1])
    return tuple(history)


class _Words:
    """Keeps how far an answer has got on the disk, now and then."""

    def __init__(self, core: Core, asked: Asked) -> None:
        self._core = core
        self._asked = asked
        self._said = ""
        self._kept = time.monotonic()

    def hear(self, event: Event) -> None:
        if isinstance(event, Replaced):
            self._said = ""
        if not isinstance(event, Delta):
            return
        self._said += event.text
        if time.monotonic() - self._kept >= KEEP and (session := self._asked.talk.session) is not None:
            with suppress(LocalragError):
                self._core.store.keep_partial(session.id, self._asked.question, self._said)
            self._kept = time.monotonic()


def _remember(core: Core, scope: Scope, asked: Asked, final: Answer, screen: MessagePump) -> None:
    talk = asked.talk
    if final.answer.strip():
        talk.history[:] = _before(asked)
        talk.history.append(Turn(final.question, final.answer, final.sources))
    talk.cited = tuple(dict.fromkeys((item.library, item.document) for item in final.citations)) or talk.cited
    try:
        _save(core, scope, asked, lambda session: core.store.append(session, final), final.model)
    except LocalragError as error:
        deliver(screen, Trouble(error))


def _save(
    core: Core, scope: Scope, asked: Asked, save: Callable[[Session], Session], model: str | None = None
) -> None:  # fmt: skip
    """Save something of a conversation, with what its questions are asked of and how now."""
    session = asked.talk.session or core.store.new(scope.libraries)
    kept = asked.standing or scope
    how: dict[str, Any] = {"libraries": kept.libraries, "only": kept.only, "mode": kept.mode}
    # Which model answered is known once it has; one that is still loading has no name.
    settings = {**asked.settings, **({"generator": model} if model else {})}
    asked.talk.session = save(replace(session, settings=settings, **how))


@dataclass(frozen=True, slots=True)
class Held:
    """What libraries hold together, and how answers from each shall be worded, where it is said.

    `warm` documents are kept ready, `most` is the most tokens read at once; `encrypted` if all of it is.
    """

    documents: int
    instructions: tuple[str, ...]
    warm: int
    most: int
    encrypted: bool


def look_at(core: Core, libraries: Sequence[str]) -> Held:
    return counted([core.engine.shelf(name) for name in libraries])


def counted(shelves: Sequence[Shelf]) -> Held:
    """What `look_at` says of libraries that were looked at already."""
    told = [shelf.instructions for shelf in shelves if shelf.instructions]
    held = [one for shelf in shelves for one in shelf.documents]
    return Held(
        len(held), tuple(dict.fromkeys(told)), sum(one.warm > 0 for one in held),
        min((shelf.most for shelf in shelves), default=0), all(shelf.encrypted for shelf in shelves),
    )  # fmt: skip


def shelves(core: Core, libraries: Sequence[str]) -> tuple[Known, tuple[str, ...]]:
    """What can be completed, and the last questions about just these libraries, oldest first."""
    held = [core.engine.shelf(name) for name in libraries]
    paths = (one.document.path for shelf in held for one in shelf.documents)
    # A name that cannot be typed as it stands cannot be mentioned either.
    names = tuple(dict.fromkeys(path for path in paths if clean_line(path) == path and '"' not in path))
    most = min((shelf.most for shelf in held), default=0)
    return Known(names, core.engine.models(), core.engine.libraries(), most=most), _earlier(core, tuple(libraries))


def _earlier(core: Core, libraries: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for listed in core.store.list():
        if listed.libraries == libraries and not listed.problem:
            found += [turn.question for turn in reversed(core.store.load(listed.id).turns)]
        if len(found) >= EARLIER:
            break
    return tuple(reversed(found[:EARLIER]))
