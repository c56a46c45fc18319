"""A conversation as frozen values: its turns, what it asks and how, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localrag.types import EVERYTHING, Answer, Filter, Mode, Turn

# What a setting can be once it has been through JSON.
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """One question, when it was asked (UTC), and its whole answer; None where none has come.

    `said` is how far the answer had got when nobody was left to write it down; it was never checked.
    """

    question: str
    time: str
    answer: Answer | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """The conversation that this one was branched from: its id, its title then, and how many turns were taken along."""

    id: str
    title: str
    turns: int


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation; `id` sorts by the time it was begun, `created` is that time in UTC.

    `libraries`, `only`, `mode` and `settings` (by name, the model's id as "generator" among them) are what its last
    question was asked of and how, so that it can be resumed as it was left. `draft` is a question typed and not asked.
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
        """The turns that something was said in, as the next question is asked with them."""
        answers = (saved.answer for saved in self.turns)
        return tuple(Turn(one.question, one.answer, one.sources) for one in answers if one and one.answer.strip())


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; where `problem` is not empty, the file cannot be opened and the rest is unknown.

    `changed` is the time of the last turn.
    """

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
