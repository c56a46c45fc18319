"""How a prompt is divided into batches: a function of the prompt alone.

The last bits of a token's state depend on the batch it was read in, which sometimes changes a word. So a prompt is
always read in the same batches: it is cut at the end of each part that may occur again (a document; a message, unless
it is short), and every `STEP` tokens from there. Earlier reading is reused only up to the last cut at which tokens and
cuts agree, so an answer does not depend on what was read before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP = 256  # tokens of a batch, and between two progress events
MIN_BATCH = 64  # after a long document each batch takes half a second


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a prompt up to the end of a stable part: the key of a prompt cache entry.

    `cuts` are the ends of its batches, ascending, the last being its length; `parts` counts its stable parts.
    """

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    parts: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with the ends of its batches; `checkpoints` are the ends of its stable parts."""

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    checkpoints: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def prefixes(self) -> list[Prefix]:
        """Return each beginning that ends with a stable part, the shortest first."""
        return [
            Prefix(self.tokens[:end], tuple(cut for cut in self.cuts if cut <= end), number)
            for number, end in enumerate(self.checkpoints, 1)
        ]


def lay(tokens: Sequence[int], ends: Iterable[int], checkpoints: Sequence[int] = (), step: int = STEP) -> Prompt:
    """Cut a prompt at `checkpoints`, at `ends` that leave MIN_BATCH tokens or more, and every `step` tokens between."""
    always = {*checkpoints, len(tokens)}
    cuts: list[int] = []
    begin = 0
    for end in sorted({end for end in (*ends, *always) if 0 < end <= len(tokens)}):
        if end in always or end - begin >= MIN_BATCH:
            cuts += [*range(begin + step, end, step), end]
            begin = end
    return Prompt(tuple(tokens), tuple(cuts), tuple(checkpoints))


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
