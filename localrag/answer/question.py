"""One question on its way to its answer: what it is asked of, its plan, what was spent on it so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localrag.llm.generation import StateStore
from localrag.store.library import Library
from localrag.types import (
    Answer,
    Citation,
    Document,
    Filter,
    Message,
    Mode,
    NotRead,
    Passage,
    Plan,
    Seconds,
    Split,
    Turn,
    Usage,
)  # fmt: skip

_NOTHING = Usage()


@dataclass(slots=True)
class Question:
    """A question under way; `looked_for` is what is looked up, `spent` what it took to find that out and to plan.

    `reading` are the documents to read whole, if it comes to that; `hits` the passages found while planning, the best
    first; `instructions` how the answer shall be worded, `split` how several tries at it were divided, `thought` what
    the model thought before it, `confidence` how likely the text holds the answer.
    """

    text: str
    libraries: list[Library]
    only: Filter
    documents: list[tuple[Library, Document]]
    history: Sequence[Turn]
    stop: Callable[[], bool]
    mode: Mode = "auto"
    looked_for: str = ""
    looked_at: str = ""
    reading: list[tuple[Library, Document]] = field(default_factory=list)
    hits: list[Passage] = field(default_factory=list)
    instructions: str = ""
    spent: Usage = _NOTHING
    began: float = field(default_factory=time.monotonic)
    plan: Plan = field(default_factory=lambda: Plan("retrieve", ""))
    not_read: list[NotRead] = field(default_factory=list)
    route_seconds: float = 0.0
    retrieve_seconds: float = 0.0
    first_token: float | None = None
    split: Split | None = None
    thought: str = ""
    confidence: float | None = None

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def seconds(self) -> Seconds:
        return Seconds(self.route_seconds, self.retrieve_seconds, self.first_token, self.elapsed())

    def answer(
        self, text: str, found: bool, *, model: str | None, citations: tuple[Citation, ...] = (),
        citations_dropped: int = 0, unsupported: tuple[str, ...] = (), passages: tuple[Passage, ...] = (),
        table: tuple[Mapping[str, Any], ...] = (), tokens: Usage = _NOTHING, stopped: bool = False,
        context: Mapping[str, int] | None = None, **checked: Any,
    ) -> Answer:  # fmt: skip
        """The answer to it, with all that is known of how it came about; `checked` are the findings of checking it."""
        return Answer(
            question=self.text, answer=text, found=found, plan=self.plan, citations=citations,
            citations_dropped=citations_dropped, unsupported=unsupported, not_read=tuple(self.not_read),
            passages=passages, table=table, tokens=tokens + self.spent, seconds=self.seconds(), model=model,
            embedder=", ".join(sorted({library.identity.model for library in self.libraries})), stopped=stopped,
            looked_for=self.looked_for, looked_at=self.looked_at, context=context or {}, split=self.split,
            reasoning=self.thought, confidence=self.confidence, **checked,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt, the passages that stand in it, where its states are kept, and of how many tokens it consists."""

    messages: Sequence[Message]
    passages: Sequence[Passage]
    states: StateStore | None = None
    context: Mapping[str, int] | None = None
