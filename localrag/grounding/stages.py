"""The frozen values that the stages of an answer hand on.

Query -> Route -> Prompt -> Draft -> Answer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from localrag.llm import Completed, PromptCache
from localrag.store.library import Library
from localrag.types import Document, Filter, Message, Mode, NotRead, Passage, Plan, Seconds, Turn, Usage

Pair = tuple[Library, Document]


@dataclass(frozen=True, slots=True)
class Query:
    """A question and what it is asked of."""

    text: str  # as it was typed
    libraries: Sequence[Library]
    only: Filter
    documents: Sequence[Pair]  # those that the filter lets through
    history: Sequence[Turn] = ()  # oldest first
    mode: Mode = "auto"
    search_text: str = ""  # what passages are looked up by: completed from the history and spelled right
    instructions: str = ""  # how the libraries want their answers worded
    not_read: tuple[NotRead, ...] = ()  # what cannot be looked at, such as pages without text
    stop: Callable[[], bool] = lambda: False  # polled throughout; True ends the answer
    strict: bool = False  # answer only what is supported throughout
    started: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its name, what it is asked, and its documents; without any (a year) all are asked."""

    name: str
    question: str
    documents: tuple[Pair, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """How a query is answered: its plan, the documents to read whole, and the passages found while planning.

    `sides` are what is compared, where each is asked by itself. `usage` and `seconds` are what planning took.
    """

    plan: Plan
    reading: tuple[Pair, ...] = ()
    hits: tuple[Passage, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: Seconds = field(default_factory=Seconds)
    sides: tuple[Side, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and the passages in it.

    `cache` is the prompt cache of its documents, `context` its tokens by part, `looked_at` the share of the documents
    that it holds, as a sentence.
    """

    messages: Sequence[Message]
    passages: Sequence[Passage]
    cache: PromptCache | None = None
    context: Mapping[str, int] = field(default_factory=dict)
    looked_at: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as the model wrote it, before it is checked; `confidence`: how likely the text holds the answer."""

    done: Completed
    confidence: float | None = None
