"""A conversation: its turns, how its questions are asked, its JSON, and its removal of forgotten documents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from localrag import protocol
from localrag.settings import Settings
from localrag.types import EVERYTHING, Answer, Filter, Mode, Plan, Turn

SCHEMA = 1
GONE = "[This answer was deleted with a document that it was made from.]"
# Settings that shape an answer and are saved with a conversation; the others belong to the machine or the person.
ANSWER_SETTINGS = frozenset(
    "generator passages prompt_tokens read_tokens answer_tokens answer_form context_tokens temperature seed "
    "min_confidence strict think think_tokens".split()
)
# What a setting can be after a round trip through JSON.
Value = str | int | float | bool
Place = tuple[str, str]  # library and path of a document


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """One question, when it was asked (UTC), and its whole answer, None if there is none."""

    question: str
    time: str
    answer: Answer | None = None
    partial: str = ""  # the unchecked beginning of an answer whose process ended


@dataclass(frozen=True, slots=True)
class Origin:
    """The conversation that this one was branched from: its id, its title then, and how many turns were taken."""

    id: str
    title: str
    turns: int


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation; `id` sorts by the time it began, `created` is that time in UTC.

    `libraries`, `only`, `mode` and `settings` (the model's id as "generator" among them) say how its last question was
    asked, so that it can be resumed. `draft` is a question that was typed and not asked.
    """

    id: str
    title: str
    libraries: tuple[str, ...]
    created: str
    turns: tuple[SavedTurn, ...] = ()
    only: Filter = EVERYTHING
    mode: Mode = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)
    origin: Origin | None = None
    draft: str = ""

    @property
    def history(self) -> tuple[Turn, ...]:
        """The answered turns, which the next question is asked with."""
        answers = (saved.answer for saved in self.turns)
        return tuple(Turn(one.question, one.answer, one.sources) for one in answers if one and one.answer.strip())


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; `changed` is the time of the last turn. If `problem` is set, the file cannot be read."""

    id: str
    title: str = ""
    libraries: tuple[str, ...] = ()
    created: str = ""
    turns: int = 0
    changed: str = ""
    problem: str = ""


def listed(session: Session) -> Listed:
    last = session.turns[-1].time if session.turns else session.created
    return Listed(session.id, session.title, session.libraries, session.created, len(session.turns), last)


def answer_settings(settings: Settings, model: str) -> dict[str, Value]:
    """Return the settings that are saved with a conversation, by name."""
    values = {name: getattr(settings, name, None) for name in ANSWER_SETTINGS}
    if model:
        values["generator"] = model
    # A conversation can be resumed more strictly than it was left, not less.
    return {
        name: value for name, value in values.items() if isinstance(value, str | int | float) and value is not False
    }


# --- JSON ----------------------------------------------------------------------------------------------------


def to_json(session: Session) -> dict[str, Any]:
    values = asdict(replace(session, turns=()))
    del values["draft"]  # it is in a file of its own
    turns = [
        {"question": one.question, "time": one.time, "answer": one.answer.to_dict() if one.answer else None}
        for one in session.turns
    ]
    return {"schema": SCHEMA, **values, "turns": turns}


def from_json(data: bytes) -> Session:
    """Read back a conversation, or raise ValueError; missing fields take their defaults, unknown ones are ignored."""
    value = protocol.decode(data, dict[str, Any])
    if value.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {value.get('schema')!r:.40}, this version reads {SCHEMA}")
    session: Session = protocol.from_plain(value, Session)
    return session


# --- forgetting ----------------------------------------------------------------------------------------------


def redacted(session: Session, gone: Collection[Place]) -> Session:
    """The conversation without the answers made from these documents, and the same object if there are none.

    An answer is removed whole, since its parts cannot be traced to documents. So are all answers after it, which were
    written with it in view. Questions stay.
    """
    marked = set(gone)
    touched = [bool(turn.answer and places(turn.answer, session.libraries) & marked) for turn in session.turns]
    if not any(touched):
        return session
    first = touched.index(True)
    turns = (*session.turns[:first], *map(without_answer, session.turns[first:]))
    return replace(session, turns=turns)


def without_answer(turn: SavedTurn) -> SavedTurn:
    """The turn with a note instead of its answer."""
    answer = turn.answer
    if answer is not None:  # without the plan's reason and signals, which may name the document
        answer = Answer(turn.question, GONE, False, Plan(answer.plan.kind, ""), stopped=answer.stopped)
    return replace(turn, partial="", answer=answer)


def places(answer: Answer, libraries: Sequence[str]) -> set[Place]:
    """The documents that anything of an answer came from, or that it names."""
    # A document that was read whole need not be cited, and its library is not recorded.
    pointed = answer.plan.signals.get("pointed")
    names = pointed if isinstance(pointed, list | tuple) else ()
    found = {(library, str(name)) for library in libraries for name in names}
    for parts in (answer.citations, answer.nearest, answer.passages, answer.not_read):
        found |= {(one.library, one.document) for one in parts}
    return found | {(str(row.get("library", "")), str(row.get("document", ""))) for row in answer.table}
