"""The language model: what every generator does. `llama.py` runs one here, `server.py` asks one in the house.

A generator remembers the tokens it has read, so it reads a prompt from where it differs from the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, Protocol

from localrag.events import Delta, PromptRead, Reasoning
from localrag.types import Message, Usage

# --- how a prompt is divided into batches: a function of the prompt alone ----------------------------------------
# The last bits of a token's state depend on the batch it was read in, which sometimes changes a word. So a prompt is
# always read in the same batches: it is cut at the end of each part that may occur again (a document; a message, unless
# it is short), and every `STEP` tokens from there. Earlier reading is reused only up to the last cut at which tokens
# and cuts agree, so an answer does not depend on what was read before it.
#
# Passages may be blocks: each is read by itself, behind the beginning of the prompt, and its state is moved to its
# place ("modular attention reuse": Gim et al. 2024, "Prompt Cache", arXiv 2311.04934).

Stop = Callable[[], bool] | None  # polled while something runs: True ends it
STEP = 256  # tokens of a batch, and between two progress events
MIN_BATCH = 64  # after a long document each batch takes half a second


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a prompt up to the end of a stable part: the key of a prompt cache entry.

    `cuts` are the ends of its batches, ascending, the last being its length; `parts` counts its stable parts. The key
    of a part of a block, the first of which is `block` 1, is all that it is read behind, and itself from `start` on.
    """

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    parts: int = field(compare=False)
    start: int = 0
    block: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with the ends of its batches.

    `checkpoints` are the ends of its stable parts, `blocks` those of the parts of each block, which follow them. They
    hold no document where blocks follow that are read `together`.
    """

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    checkpoints: tuple[int, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()
    together: bool = False

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def joined(self) -> int:
        """The end of the blocks; 0 without."""
        return self.blocks[-1][-1] if self.blocks else 0

    def stable(self) -> Prompt:
        """Return the prompt up to the end of its stable parts and blocks."""
        end = max((*self.checkpoints, self.joined), default=0)
        cuts = tuple(cut for cut in self.cuts if cut <= end)
        return Prompt(self.tokens[:end], cuts, self.checkpoints, self.blocks, self.together)

    def prefixes(self) -> list[Prefix]:
        """Return each beginning that ends with a stable part, the shortest first."""
        of_none = self.together or bool(self.blocks)
        return [
            Prefix(self.tokens[:end], tuple(cut for cut in self.cuts if cut <= end), 0 if of_none else number)
            for number, end in enumerate(self.checkpoints, 1)
        ]

    def block_keys(self) -> list[Prefix]:
        """Return the key of each part of a block, in order."""
        begin = self.checkpoints[-1] if self.blocks else 0
        found: list[Prefix] = []
        block = begin
        for number, ends in enumerate(self.blocks, 1):
            start, cuts = begin, tuple(cut for cut in self.cuts if cut <= begin)
            for end in ends:
                length = begin + end - block
                cuts += (*range(start + STEP, length, STEP), length)
                tokens = self.tokens[:begin] + self.tokens[block:end]
                found.append(Prefix(tokens, cuts, 1, start, number))
                start = length
            block = ends[-1]
        return found


def lay(
    tokens: Sequence[int],
    ends: Iterable[int],
    checkpoints: Sequence[int] = (),
    blocks: Sequence[tuple[int, ...]] = (),
    step: int = STEP,
    together: bool = False,
) -> Prompt:
    """Cut a prompt at `checkpoints`, `ends` of blocks, ends MIN_BATCH tokens apart, and every `step` tokens between."""
    parts = frozenset(chain.from_iterable(blocks))
    always = {*checkpoints, *parts, len(tokens)}
    cuts: list[int] = []
    begin = 0
    for end in sorted({end for end in (*ends, *always) if 0 < end <= len(tokens)}):
        if end in always or end - begin >= MIN_BATCH:
            cuts += [end] if end in parts else [*range(begin + step, end, step), end]
            begin = end
    return Prompt(tuple(tokens), tuple(cuts), tuple(checkpoints), tuple(blocks), together)


def fork(prompt: Prompt, other: Prompt) -> tuple[int, int] | None:
    """Return the last cut that two prompts share, and where they part; None if the rest is too long for one batch."""
    pairs = enumerate(zip(prompt.tokens, other.tokens, strict=False))
    parting = next((at for at, (mine, its) in pairs if mine != its), min(len(prompt), len(other)))
    cut = 0
    for mine, its in zip(prompt.cuts[:-1], other.cuts[:-1], strict=False):
        if mine != its or mine > parting:
            break
        cut = mine
    fits = parting < min(len(prompt), len(other)) and len(prompt) + len(other) - parting - cut <= STEP
    return (cut, parting) if fits else None


def shared(tokens: Sequence[int], cuts: Sequence[int], prompt: Prompt) -> int:
    """Return how many tokens of a prompt are reusable if `tokens` were read in batches that end at `cuts`."""
    same = 0
    for mine, wanted in zip(cuts, prompt.cuts[:-1], strict=False):  # the next token is drawn from the last batch
        if mine != wanted or tuple(tokens[same:mine]) != prompt.tokens[same:mine]:
            break
        same = mine
    return same


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

    def get(self, prefix: Prefix, stop: Stop = None) -> bytearray | None:
        """Return the state of exactly this prefix in these batches, or None; also if `stop` ends the loading."""

    def put(self, prefix: Prefix, state: memoryview, stop: Stop = None) -> None:
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
        stop: Stop = None,
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
        stop: Stop = None,
        cache: PromptCache | None = None,
        then: Sequence[Message] | None = None,
        room: int = 0,
    ) -> Iterator[PromptRead | Weighed]:
        """Read the prompt and weigh each option by its first token; `Weighed` is always the last item.

        `then` is the prompt to be answered next, in at most `room` tokens: if only its end differs, both are read at
        once.
        """

    def read(
        self, messages: Sequence[Message], *, stop: Stop = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        """Read the stable parts of a prompt ahead of time, and cache their states.

        If it was stopped, the last `PromptRead` is short of its total, and the next call continues. Raises ModelError
        if the prompt does not fit the window.
        """

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        """Return the prompt cache keys of the stable parts of these messages."""

    def close(self) -> None: ...
