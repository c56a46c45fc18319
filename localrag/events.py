"""What happens while a question is answered, in the order it comes: frozen values that the faces draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localrag.types import Answer, Passage, Plan


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan; it comes again where it changed, and with `looked_for` where a follow-up was made self-standing."""

    plan: Plan
    looked_for: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """Passages that the answer will be built on (retrieve), in document order."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know while waiting, such as a document left out."""

    text: str


@dataclass(frozen=True, slots=True)
class PromptRead:
    """Progress of the model through its prompt, in tokens."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Progress of a survey: documents asked so far, and the row just finished."""

    done: int
    total: int
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer as the model writes it. The final Answer replaces what was streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """The next piece of what a model thinks before it answers; no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Again:
    """The answer is written once more, and why; what was streamed of it so far no longer counts."""

    why: str


@dataclass(frozen=True, slots=True)
class Tried:
    """Progress of a vote: how many tries at the answer are done, of how many at most."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Answered:
    answer: Answer


Event = Planned | Found | Notice | PromptRead | Surveyed | Delta | Thought | Again | Tried | Answered
