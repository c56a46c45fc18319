"""A model that is asked nothing twice: the same prompt gets the continuation that it got before.

`eval routes` puts the same question in several ways. Where two ways come to the same prompt (the same messages, limits
and seed, or the same options to weigh), the second is answered from memory: any other prompt goes to the model, so a
remembered answer is the answer to just that prompt. What the first asking cost is kept with it and counted again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm.batching import Prefix
from localrag.llm.generation import Completed, Generator, Weighed
from localrag.types import Message, Usage

_NO_PART = ("stop", "states")  # they change when an answer is there, not which
_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Call:
    """One prompt of a question: what it cost when the model read it, and what came of it.

    `shared` is the share of its characters, from the first on, that an earlier prompt of the same question had too.
    """

    key: str
    prompt: int
    reused: int
    generated: int
    prompt_seconds: float
    answer_seconds: float = 0.0
    text: str = ""
    shares: tuple[float, ...] = ()
    ended: Literal["end", "length", "stopped"] = "end"
    shared: float = 0.0
    again: bool = False
    thought: str = ""

    @property
    def seconds(self) -> float:
        return self.prompt_seconds + self.answer_seconds

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt, self.reused, self.generated)

    @property
    def cold(self) -> int:
        """Tokens to read where nothing was kept before the question.

        What an earlier prompt of it has read is there, if that is most of this one: states serve whole parts of a
        prompt, so rules that begin alike do not help.
        """
        return self.prompt - min(self.reused, int(self.shared * self.prompt) if self.shared > _MOST else 0)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "shares": list(self.shares)}


def call_of(row: Mapping[str, Any]) -> Call:
    """What `to_dict` gave."""
    return Call(**{**row, "shares": tuple(row["shares"])})


class Remembering:
    """A Generator over another.

    Args:
        load: gives the model; called when there is something to ask it.

    Attributes:
        calls: the prompts of the question under way.
        owed: seconds that the remembered ones of them took when the model was asked.
        owed_first: those of them that came before the first word; None until there is one.
    """

    def __init__(self, load: Callable[[], Generator]) -> None:
        self._load = load
        self._inner: Generator | None = None
        self._known: dict[str, Call] = {}
        self._begun: list[str] = []
        self._anew = False
        self.calls: list[Call] = []
        self.owed = 0.0
        self.owed_first: float | None = None

    def begin(self, *, anew: bool = False) -> None:
        """A new question; `anew` asks the model also what it was asked before, and remembers that instead."""
        self.calls, self._begun, self._anew = [], [], anew
        self.owed, self.owed_first = 0.0, None

    def remember(self, calls: Iterable[Call]) -> None:
        """What an earlier run was answered."""
        self._known.update((call.key, call) for call in calls)

    # --- what a Generator does ------------------------------------------------------------------------------

    def generate(
        self, messages: Sequence[Message], **options: Any
    ) -> Iterator[PromptRead | Reasoning | Delta | Completed]:
        key = self._key(messages, options)
        known = self._recall(key, messages)
        if known is not None:
            self.owed += known.prompt_seconds
            if known.text:
                self._first_word()
                yield Delta(known.text)
            self.owed += known.answer_seconds
            yield Completed(
                known.text, known.usage, known.ended, known.prompt_seconds, known.answer_seconds, known.thought
            )
            return
        for event in self._model.generate(messages, **options):
            if isinstance(event, Delta):
                self._first_word()
            elif isinstance(event, Completed):
                self._keep(
                    messages,
                    Call(
                        key, event.usage.prompt, event.usage.reused, event.usage.generated, event.prompt_seconds,
                        event.answer_seconds, event.text, (), event.ended, thought=event.thought,
                    ),
                )  # fmt: skip
            yield event

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **more: Any) -> Iterator[PromptRead | Weighed]:
        key = self._key(messages, {"weigh": tuple(options), **more})
        known = self._recall(key, messages)
        if known is not None:
            self.owed += known.prompt_seconds
            yield Weighed(known.shares, known.usage, known.prompt_seconds)
            return
        for event in self._model.weigh(messages, options, **more):
            if isinstance(event, Weighed):
                usage = event.usage
                ended: Literal["end", "stopped"] = "end" if event.shares else "stopped"
                call = Call(key, usage.prompt, usage.reused, 0, event.prompt_seconds, shares=event.shares, ended=ended)
                self._keep(messages, call)
            yield event

    @property
    def model(self) -> str:
        return self._model.model

    @property
    def bytes_per_token(self) -> int:
        return self._model.bytes_per_token

    @property
    def window(self) -> int:
        return self._model.window

    @property
    def thinks(self) -> bool:
        return self._model.thinks

    def count(self, text: str) -> int:
        return self._model.count(text)

    def overhead(self, messages: int) -> int:
        return self._model.overhead(messages)

    def read(self, messages: Sequence[Message], **options: Any) -> Iterator[PromptRead]:
        yield from self._model.read(messages, **options)

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        return self._model.prefixes(messages)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    @property
    def _model(self) -> Generator:
        if self._inner is None:
            self._inner = self._load()
        return self._inner

    # --- memory ---------------------------------------------------------------------------------------------

    @staticmethod
    def _key(messages: Sequence[Message], options: Mapping[str, Any]) -> str:
        decides = sorted((name, value) for name, value in options.items() if name not in _NO_PART)
        return hashlib.blake2b(repr((list(messages), decides)).encode(), digest_size=16).hexdigest()

    def _recall(self, key: str, messages: Sequence[Message]) -> Call | None:
        known = None if self._anew else self._known.get(key)
        if known is not None:
            self.calls.append(replace(known, shared=self._shared(messages), again=True))
        return known

    def _keep(self, messages: Sequence[Message], call: Call) -> None:
        call = replace(call, shared=self._shared(messages))
        self.calls.append(call)
        if call.ended != "stopped":
            self._known[call.key] = call

    def _shared(self, messages: Sequence[Message]) -> float:
        text = "\n".join(f"{message.role} {message.whole}" for message in messages)
        most = max((_alike(text, other) for other in self._begun), default=0)
        self._begun.append(text)
        return most / max(1, len(text))

    def _first_word(self) -> None:
        if self.owed_first is None:
            self.owed_first = self.owed


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    parted = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(parted, min(len(one), len(other)))
