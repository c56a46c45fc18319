"""How a prompt is divided into batches: a function of the prompt alone.

The last bits of a token's state depend on the batch it was read in, which sometimes changes a word. So a prompt is
always read in the same batches: it is cut at the end of each part that may occur again (a document; a message, unless
it is short), and every `STEP` tokens from there. Earlier reading is reused only up to the last cut at which tokens and
cuts agree, so an answer does not depend on what was read before it.

Passages may be blocks: each is read by itself, behind the beginning of the prompt, and its state is moved to its place
("modular attention reuse": Gim et al. 2024, "Prompt Cache", arXiv 2311.04934).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

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

    `checkpoints` are the ends of its stable parts, `blocks` those of the parts of each block, which follow them.
    """

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    checkpoints: tuple[int, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()

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
        return Prompt(self.tokens[:end], cuts, self.checkpoints, self.blocks)

    def prefixes(self) -> list[Prefix]:
        """Return each beginning that ends with a stable part, the shortest first."""
        return [
            Prefix(self.tokens[:end], tuple(cut for cut in self.cuts if cut <= end), 0 if self.blocks else number)
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
) -> Prompt:
    """Cut a prompt at `checkpoints`, at `ends` that leave MIN_BATCH tokens or more, and every `step` tokens between.

    Among `blocks` it is cut just at their ends.
    """
    parts = frozenset(chain.from_iterable(blocks))
    always = {*checkpoints, *parts, len(tokens)}
    cuts: list[int] = []
    begin = 0
    for end in sorted({end for end in (*ends, *always) if 0 < end <= len(tokens)}):
        if end in always or end - begin >= MIN_BATCH:
            cuts += [end] if end in parts else [*range(begin + step, end, step), end]
            begin = end
    return Prompt(tuple(tokens), tuple(cuts), tuple(checkpoints), tuple(blocks))


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
    """Return how many tokens of a prompt are reusable if `tokens` were read in batches that end at `cuts`.

    The last batch never counts: the next token is drawn from its result.
    """
    same = 0
    for mine, wanted in zip(cuts, prompt.cuts[:-1], strict=False):
        if mine != wanted or tuple(tokens[same:mine]) != prompt.tokens[same:mine]:
            break
        same = mine
    return same
