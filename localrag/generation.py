"""The model that answers: what every generator does, and a scripted fake for tests.

The real one is `llama.py`. A generator remembers the tokens it has read, so that a prompt that begins as the last one
did is read from where they part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from localrag.types import Delta, Message, PromptRead, Usage


@dataclass(frozen=True, slots=True)
class Completed:
    """The end of a generation: the whole text, what it cost, and why it ended.

    `prompt_seconds` and `answer_seconds` are what reading and writing took.
    """

    text: str
    usage: Usage
    ended: Literal["end", "length", "stopped"]
    prompt_seconds: float = 0.0
    answer_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Weighed:
    """How likely each option is, relative to the others (they sum to 1); empty where it was stopped."""

    shares: tuple[float, ...]
    usage: Usage
    prompt_seconds: float = 0.0


class StateStore(Protocol):
    """Where states of the model are kept between questions and runs (`prefix_cache.py`)."""

    def get(self, tokens: Sequence[int]) -> bytes | None:
        """The kept state of exactly these tokens, or None."""
        ...

    def put(self, tokens: Sequence[int], state: bytes) -> None: ...


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
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Delta | Completed]:
        """Read the prompt and write the continuation; `Completed` is always the last item.

        Args:
            messages: the conversation; its last message is the user's.
            max_tokens: most tokens written.
            temperature: 0 takes the likeliest token each time.
            seed: of the sampling; without effect at temperature 0.
            grammar: a GBNF grammar that the text must follow.
            stop: polled while reading and writing; True ends it within a fraction of a second.
            states: where to look for, and keep, the state at the end of the stable part.

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
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Weighed]:
        """Read the prompt and tell how likely each option is to come next; `Weighed` is always the last item.

        Options are told apart by their first token.
        """
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class ScriptedGenerator:
    """A fake: answers by the first pattern found in the last message, else with `otherwise`.

    `weights` does the same for `weigh`: the option to be certain of, else the first. It counts words as tokens and
    keeps each prompt it was given in `prompts`.
    """

    script: Sequence[tuple[str, str]] = ()
    otherwise: str = "The documents do not say."
    weights: Sequence[tuple[str, str]] = ()
    window: int = 4096
    model: str = "scripted"
    prompts: list[tuple[Message, ...]] = field(default_factory=list)

    def count(self, text: str) -> int:
        return len(text.split())

    def overhead(self, messages: int) -> int:
        return 4 * messages

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str | None = None,
        stop: Callable[[], bool] | None = None,
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Delta | Completed]:
        self.prompts.append(tuple(messages))
        read = sum(self.count(message.stable + message.text) for message in messages)
        yield PromptRead(read, read)
        last = messages[-1].stable + messages[-1].text
        answer = next((reply for pattern, reply in self.script if re.search(pattern, last)), self.otherwise)
        written: list[str] = []
        for word in re.findall(r"\s*\S+", answer)[:max_tokens]:
            if stop is not None and stop():
                yield Completed("".join(written), Usage(read, 0, len(written)), "stopped")
                return
            written.append(word)
            yield Delta(word)
        ended: Literal["end", "length"] = "end" if "".join(written) == answer.rstrip() else "length"
        yield Completed("".join(written), Usage(read, 0, len(written)), ended)

    def weigh(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        stop: Callable[[], bool] | None = None,
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Weighed]:
        self.prompts.append(tuple(messages))
        read = sum(self.count(message.stable + message.text) for message in messages)
        yield PromptRead(read, read)
        last = messages[-1].stable + messages[-1].text
        reply = next((reply for pattern, reply in self.weights if re.search(pattern, last)), options[0])
        yield Weighed(tuple(float(option == reply) for option in options), Usage(read, 0, 0))

    def close(self) -> None:
        pass
