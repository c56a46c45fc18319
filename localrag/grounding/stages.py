"""The frozen values that the stages of an answer hand on.

Query -> Route -> Prompt -> Draft -> Findings -> Answer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from localrag.llm import Completed, PromptCache
from localrag.types import (
    Answer,
    Citation,
    Conflict,
    Document,
    Filter,
    Flag,
    FlagKind,
    Message,
    Mode,
    NotRead,
    Passage,
    Plan,
    Seconds,
    Turn,
    Usage,
    Working,
)

if TYPE_CHECKING:
    from localrag.embeddings.sentence_encoder import Text
    from localrag.question.question import Question
    from localrag.store.library import Library

Pair: TypeAlias = "tuple[Library, Document]"


@dataclass(frozen=True, slots=True)
class Query:
    """A question and what it is asked of."""

    question: Question
    libraries: Sequence[Library]
    only: Filter
    documents: Sequence[Pair]  # those that the filter lets through
    mode: Mode = "auto"
    instructions: str = ""  # how the libraries want their answers worded
    not_read: tuple[NotRead, ...] = ()  # what cannot be looked at, such as pages without text
    stop: Callable[[], bool] = lambda: False  # polled throughout; True ends the answer
    strict: bool = False  # answer only what is supported throughout
    # How near the sentences of texts come to a question by meaning, a number each; nothing where that is not known.
    similar: Callable[[str, Sequence[Text]], Sequence[Sequence[float]]] = lambda question, texts: ()
    started: float = field(default_factory=time.monotonic)

    @property
    def text(self) -> str:
        """The question as it was typed."""
        return self.question.text

    @property
    def search_text(self) -> str:
        """What passages are looked up by."""
        return self.question.search_text

    @property
    def history(self) -> Sequence[Turn]:
        """The turns before it, oldest first."""
        return self.question.history

    def nearness(self, texts: Sequence[Text]) -> Sequence[Sequence[float]]:
        """Return how near each sentence of texts comes to the question by meaning; nothing where that is not known."""
        return self.similar(self.question.complete, texts)

    def elapsed(self) -> float:
        return time.monotonic() - self.started


@dataclass(frozen=True, slots=True)
class Route:
    """How a query is answered: its plan, the documents to read whole, and the passages found while planning.

    `usage` and `seconds` are what planning took.
    """

    plan: Plan
    reading: tuple[Pair, ...] = ()
    hits: tuple[Passage, ...] = ()
    usage: Usage = field(default_factory=Usage)
    seconds: Seconds = field(default_factory=Seconds)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt and the passages in it.

    `cache` is the prompt cache of its documents, `examples` that of what comes before any of them, `context` its tokens
    by part, `looked_at` the share of the documents that it holds, as a sentence.
    """

    messages: Sequence[Message]
    passages: Sequence[Passage]
    cache: PromptCache | None = None
    context: Mapping[str, int] = field(default_factory=dict)
    looked_at: str = ""
    examples: PromptCache | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer as the model wrote it, before it is checked; `confidence`: how likely the text holds the answer."""

    done: Completed
    confidence: float | None = None


_NO_PLAN = Plan("retrieve", "")  # of words that are checked by themselves


@dataclass(frozen=True, slots=True)
class Findings:
    """What a way of answering found: words with their sources and marks.

    Each check makes other findings of these; an `Answer`, which describes the fields, is made of the last ones.
    """

    answer: str
    found: bool = True
    plan: Plan = _NO_PLAN
    citations: tuple[Citation, ...] = ()
    citations_dropped: int = 0
    unsupported: tuple[str, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    passages: tuple[Passage, ...] = ()
    table: tuple[Mapping[str, Any], ...] = ()
    tokens: Usage = field(default_factory=Usage)
    searching: float = 0.0  # seconds
    looked_for: str = ""
    model: str | None = None
    stopped: bool = False
    looked_at: str = ""
    context: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    workings: tuple[Working, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    confidence: float | None = None
    reasoning: str = ""
    nearest: tuple[Citation, ...] = ()
    withheld: str = ""
    sure: bool = True

    def flagged(self, *kinds: FlagKind) -> bool:
        """Return whether it has a flag of one of these kinds."""
        return any(flag.kind in kinds for flag in self.flags)


def answer_of(
    found: Findings, query: Query, route: Route | None = None, *, first_token: float | None = None, read_by: str = ""
) -> Answer:
    """Make the answer of findings, with what it took and what was not read. No other code makes one."""
    values = {name: getattr(found, name) for name in Findings.__slots__ if name not in ("searching", "sure")}
    values |= {
        "tokens": found.tokens + (route.usage if route else Usage()),
        "certainty": "absent" if not found.found else "sure" if found.sure else "unclear",
        "looked_for": found.looked_for or query.search_text,
        "not_read": tuple(dict.fromkeys((*found.not_read, *query.not_read))),
        "citations": _titled(found.citations, query.libraries),
        "nearest": _titled(found.nearest, query.libraries),
    }
    planned = route.seconds if route else Seconds()
    return Answer(
        query.text,
        **values,
        seconds=Seconds(planned.route, planned.retrieve + found.searching, first_token, query.elapsed()),
        embedder=", ".join(sorted({library.identity.model for library in query.libraries})),
        read_by=read_by,
    )


def titles(pairs: Iterable[tuple[str, str]], libraries: Sequence[Library]) -> dict[tuple[str, str], str]:
    """Return the titles of documents, given as library and path, by these; see `Library.titles`."""
    places = set(pairs)
    return {
        (library.name, path): title
        for library in libraries
        for path, title in library.titles({path for name, path in places if name == library.name}).items()
    }


def _titled(citations: Sequence[Citation], libraries: Sequence[Library]) -> tuple[Citation, ...]:
    known = titles(((one.library, one.document) for one in citations), libraries)
    return tuple(replace(one, title=known.get((one.library, one.document), "")) for one in citations)
