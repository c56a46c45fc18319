"""From a prompt to the text that the model writes to it.

Yields events and prints nothing. What is written is not checked here (`checking.py`).
"""

from __future__ import annotations

from collections.abc import Generator

from localrag.events import Delta, Event
from localrag.generation import Completed
from localrag.generation import Generator as Model
from localrag.question import Prompted, Question
from localrag.settings import Settings
from localrag.types import Usage


def write(asked: Question, prompted: Prompted, model: Model, settings: Settings) -> Generator[Event, None, Completed]:
    """Have the answer written; returns the whole of it."""
    done = Completed("", Usage(), "stopped")
    for event in model.generate(
        prompted.messages, max_tokens=settings.answer_tokens, temperature=settings.temperature, seed=settings.seed,
        stop=asked.stop, states=prompted.states,
    ):  # fmt: skip
        if isinstance(event, Completed):
            done = event
            continue
        if isinstance(event, Delta) and asked.first_token is None:
            asked.first_token = asked.elapsed()
        yield event
    return done
