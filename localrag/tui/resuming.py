"""A conversation that was left, made ready to go on: what it asks and how, as far as that is still there.

`ready` looks up what is missing and belongs into a lane; `Resumed` is what the chat screen is opened with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrag.errors import LocalragError
from localrag.settings import Settings, as_text
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.preferences import Preferences
from localrag.tui.talk import Scope, Talk

if TYPE_CHECKING:
    from localrag.sessions.export import Form
    from localrag.sessions.session import Session, Value

# Settings that shape an answer, and so belong to a conversation; the others are the machine's or the person's.
SHAPING = (
    "generator", "passages", "prompt_tokens", "read_tokens", "answer_tokens", "answer_form", "context_tokens",
    "temperature", "seed", "min_confidence", "think", "think_tokens", "votes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resumed:
    """A conversation to go on with: what is asked from here on, what a person should know, and where to look first.

    `turn` counts from 1; 0 is the end. Settings named in `stay` are not set back.
    """

    session: Session
    scope: Scope
    notes: tuple[str, ...] = ()
    turn: int = 0
    stay: frozenset[str] = frozenset()

    def talk(self) -> Talk:
        """What was said, as the next question is asked with it."""
        answers = [turn.answer for turn in self.session.turns if turn.answer and turn.answer.citations]
        cited = answers[-1].citations if answers else ()
        last = tuple(dict.fromkeys((item.library, item.document) for item in cited))
        return Talk(list(self.session.history), self.session, last)


def ready(core: Core, session: Session, turn: int = 0) -> Resumed:
    """Find out which libraries of a conversation are still there, and whether its model is.

    Where no library is, it keeps their names, and a question is told by the core what to do.
    """
    return ready_with(core.engine.libraries(), core.engine.models(), session, turn)


def ready_with(there: Sequence[str], models: Sequence[str], session: Session, turn: int = 0) -> Resumed:
    """As `ready`, where it is known what is there."""
    present = tuple(name for name in session.libraries if name in there)
    notes = [
        f"The library {clean_line(name)} is no longer here; what was said from it stays. "
        "Its folder can be read again: localrag ingest FOLDER"
        for name in session.libraries
        if name not in there
    ]
    stay = set()
    if (model := session.settings.get("generator")) is not None and model not in models:
        notes.append(f"The model {clean_line(str(model))} is no longer installed; another one answers.")
        stay.add("generator")
    scope = Scope(present or session.libraries, session.only, session.mode)
    return Resumed(session, scope, tuple(notes), turn, frozenset(stay))


def wanted_form(name: str) -> Form:
    """The format of an export by its name or ending; Markdown, if it is neither."""
    from localrag.sessions.export import FORMS, NAMES

    return next((one for one in FORMS if name.lower() in (one, NAMES[one].lower())), FORMS[0])


def branched(core: Core, session_id: str, answered: int) -> Resumed:
    """A copy of a conversation that ends with its `answered`th answer, made ready to go on with."""
    turns = core.store.load(session_id).turns
    places = [at for at, turn in enumerate(turns, 1) if turn.answer is not None]
    return ready(core, core.store.branch(session_id, places[min(answered, len(places)) - 1]))


def shaping(settings: Settings, model: str) -> dict[str, Value]:
    """The settings that shape an answer, by name, as a conversation keeps them."""
    held = {name: getattr(settings, name) for name in SHAPING}
    if model:
        held["generator"] = model
    return {name: value for name, value in held.items() if isinstance(value, str | int | float)}


def set_back(preferences: Preferences, resumed: Resumed, model: str) -> tuple[list[str], list[str]]:
    """Have the settings hold that the conversation was left with, in this app and not in the person's file.

    Returns:
        The names of those that changed, and what could not be set back, in words.
    """
    changed, notes = [], []
    now = shaping(preferences.settings, model)
    for knob in preferences.knobs:
        saved = resumed.session.settings.get(knob.name)
        if knob.name not in SHAPING or knob.name in resumed.stay or saved is None or saved == now.get(knob.name):
            continue
        try:
            preferences.change(knob, "here", as_text(saved))
            changed.append(knob.name)
        except LocalragError as error:
            notes.append(f"{knob.name} was {clean_line(as_text(saved))} in this conversation: {error.message}.")
    return changed, notes
