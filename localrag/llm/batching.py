"""Where the reading of a prompt is cut into batches: a function of the prompt alone.

What a model makes of a token differs in its last bits with the batch that the token was read in, and now and then that
is enough for another word. So a prompt is always read in the same batches: it is cut at the end of each part that may
be met again (a document; a message, unless it is so short that a batch of its own costs more than reading it again),
and every `STEP` tokens counted from there. What was read before is of use only
up to the last cut at which both tokens and cuts agree, wherever it was kept. An answer then does not depend on what was
read before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

STEP = 256  # most tokens of a batch, and between two reports of progress
LEAST = 64  # fewer are no batch of their own: behind a long document each batch takes half a second


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of a prompt up to the end of a stable part: what a kept state is a state of.

    `cuts` are the ends of its batches, ascending, the last of them its length; `parts` counts the stable parts in it.
    """

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    parts: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A whole prompt, and where its batches end; `checkpoints` are the cuts at the ends of its stable parts."""

    tokens: tuple[int, ...]
    cuts: tuple[int, ...]
    checkpoints: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def prefixes(self) -> list[Prefix]:
        """Each beginning that ends with a stable part, the shortest first."""
        return [
            Prefix(self.tokens[:end], tuple(cut for cut in self.cuts if cut <= end), number)
            for number, end in enumerate(self.checkpoints, 1)
        ]


def lay(tokens: Sequence[int], ends: Iterable[int], checkpoints: Sequence[int] = (), step: int = STEP) -> Prompt:
    """Cut a prompt at `checkpoints` and `ends` (positions in it), and every `step` tokens from each of them on.

    An end is passed over where fewer than LEAST tokens stand before it since the last of them, or of the checkpoints.
    """
    always = {*checkpoints, len(tokens)}
    cuts: list[int] = []
    begin = 0
    for end in sorted({end for end in (*ends, *always) if 0 < end <= len(tokens)}):
        if end in always or end - begin >= LEAST:
            cuts += [*range(begin + step, end, step), end]
            begin = end
    return Prompt(tuple(tokens), tuple(cuts), tuple(checkpoints))


def shared(tokens: Sequence[int], cuts: Sequence[int], prompt: Prompt) -> int:
    """How much of a prompt is there already, where `tokens` were read in batches that end at `cuts`.

    Its last batch never counts: what comes next is drawn from what the model makes of it.
    """
    same = 0
    for mine, wanted in zip(cuts, prompt.cuts[:-1], strict=False):
        if mine != wanted or tuple(tokens[same:mine]) != prompt.tokens[same:mine]:
            break
        same = mine
    return same
