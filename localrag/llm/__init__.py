"""The language model: what every generator does. `llama.py` runs one here, `server.py` asks one in the house.

A generator remembers the tokens it has read, so it reads a prompt from where it differs from the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm.batching import Prefix
from localrag.types import Message, Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a generation: the whole text, usage and times, why it ended, and the reasoning before the answer."""

    text: str
    usage: Usage
    ended: Literal["end", "length", "stopped", "repeated"]
    prompt_seconds: float = 0.0
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """How likely each option is, relative to the others (they sum to 1); empty if it was stopped.

    Not `measured` by a server that gives no likelihoods: the shares only tell the option that the model wrote.
    """

    shares: tuple[float, ...]
    usage: Usage
    prompt_seconds: float = 0.0
    measured: bool = True


class PromptCache(Protocol):
    """Keeps states of the model between questions and runs (`prompt_cache.py`)."""

    def has(self, prefix: Prefix) -> bool:
        """Return whether there seems to be an entry; only `get` checks that it is whole."""

    def get(self, prefix: Prefix, stop: Callable[[], bool] | None = None) -> bytearray | None:
        """Return the state of exactly this prefix in these batches, or None; also if `stop` ends the loading."""

    def put(self, prefix: Prefix, state: memoryview, stop: Callable[[], bool] | None = None) -> None:
        """Keep a state, unless `stop` ends the writing."""


class Generator(Protocol):
    """A model that continues a conversation."""

    @property
    def model(self) -> str:
        """The id of the model, with its adapter if it has one."""

    @property
    def window(self) -> int:
        """The limit of tokens of prompt and answer together."""

    def state_bytes(self, tokens: int) -> int:
        """Return about how many bytes a prompt cache entry of this many tokens takes."""

    @property
    def thinks(self) -> bool:
        """Whether it has a reasoning mode."""

    def count(self, text: str) -> int:
        """Count the tokens of a text; special tokens in it count as plain text."""

    def overhead(self, messages: int) -> int:
        """Return the tokens that the chat template adds around this many messages, at most."""

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str | None = None,
        stop: Callable[[], bool] | None = None,
        cache: PromptCache | None = None,
        think: int = 0,
    ) -> Iterator[PromptRead | Reasoning | Delta | Completed]:
        """Read the prompt and write the continuation; `Completed` is always the last item.

        A `temperature` of 0 takes the likeliest token each time, whatever the seed. The text follows `grammar` (GBNF).
        `stop` is polled and ends it within a fraction of a second. `cache` keeps the states at the ends of the stable
        parts. `think` is the token limit of reasoning before the answer, apart from `max_tokens`; 0, `weigh` and a
        grammar answer at once. Raises ModelError if the prompt does not fit the window.
        """

    def weigh(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        stop: Callable[[], bool] | None = None,
        cache: PromptCache | None = None,
        then: Sequence[Message] | None = None,
        room: int = 0,
    ) -> Iterator[PromptRead | Weighed]:
        """Read the prompt and weigh each option by its first token; `Weighed` is always the last item.

        `then` is the prompt to be answered next, in at most `room` tokens: if only its end differs, both are read at
        once.
        """

    def read(
        self, messages: Sequence[Message], *, stop: Callable[[], bool] | None = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        """Read the stable parts of a prompt ahead of time, and cache their states.

        If it was stopped, the last `PromptRead` is short of its total, and the next call continues. Raises ModelError
        if the prompt does not fit the window.
        """

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        """Return the prompt cache keys of the stable parts of these messages."""

    def close(self) -> None: ...
