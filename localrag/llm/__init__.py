"""The language model: what every generator does. `llama.py` is the real one.

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
    """The end of a generation: the whole text, what it cost, and why it ended.

    `reasoning` is what the model thought before the answer.
    `prompt_seconds` and `answer_seconds` are what reading and writing took.
    """

    text: str
    usage: Usage
    ended: Literal["end", "length", "stopped"]
    prompt_seconds: float = 0.0
    answer_seconds: float = 0.0
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """How likely each option is, relative to the others (they sum to 1); empty where it was stopped."""

    shares: tuple[float, ...]
    usage: Usage
    prompt_seconds: float = 0.0


class PromptCache(Protocol):
    """Where states of the model are kept between questions and runs (`prefix_cache.py`)."""

    def has(self, prefix: Prefix) -> bool:
        """Whether a state seems to be kept; only `get` tells whether it is whole."""
        ...

    def get(self, prefix: Prefix, stop: Callable[[], bool] | None = None) -> bytearray | None:
        """The kept state of exactly this beginning of a prompt, read in these batches, or None.

        None, too, where `stop` says so while it is loaded.
        """
        ...

    def put(self, prefix: Prefix, state: memoryview, stop: Callable[[], bool] | None = None) -> None:
        """Keep a state; where `stop` says so while it is written, it is not kept."""
        ...


class Generator(Protocol):
    """A model that continues a conversation."""

    @property
    def model(self) -> str:
        """The id of the model, with its adapter if it has one."""
        ...

    @property
    def window(self) -> int:
        """Most tokens of prompt and answer together."""
        ...

    @property
    def bytes_per_token(self) -> int:
        """Bytes that a kept state takes for each token."""
        ...

    @property
    def thinks(self) -> bool:
        """Whether it has a thinking mode."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text; special tokens in it are counted as the plain text they are."""
        ...

    def overhead(self, messages: int) -> int:
        """Tokens that the chat template adds around this many messages, at most."""
        ...

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

        Args:
            messages: the conversation; its last message is the user's.
            max_tokens: most tokens written.
            temperature: 0 takes the likeliest token each time.
            seed: of the sampling; without effect at temperature 0.
            grammar: a GBNF grammar that the text must follow.
            stop: polled while reading and writing; True ends it within a fraction of a second.
            cache: where to look for, and keep, the states at the ends of the stable parts.
            think: most tokens thought before the answer, beside `max_tokens`; then the thought is ended by code, and
                the answer goes on from there. 0 has it answer at once, as `weigh` and a grammar always do.

        Raises:
            ModelError: the prompt does not fit the window.
        """
        ...

    def weigh(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        stop: Callable[[], bool] | None = None,
        cache: PromptCache | None = None,
    ) -> Iterator[PromptRead | Weighed]:
        """Read the prompt and tell how likely each option is to come next; `Weighed` is always the last item.

        Options are told apart by their first token.
        """
        ...

    def read(
        self, messages: Sequence[Message], *, stop: Callable[[], bool] | None = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        """Read the stable parts of a prompt ahead of time, and keep their states; nothing is written.

        Where it was stopped, the last `PromptRead` is short of its total, and the next call goes on from there.

        Raises:
            ModelError: the prompt does not fit the window.
        """
        ...

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        """What a kept state at the end of each stable part of these messages is kept under; reads nothing."""
        ...

    def close(self) -> None: ...
