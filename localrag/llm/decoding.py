"""How a model writes: one token after the other, its thought parted from its answer and ended when its time is up.

A thought that has spent its tokens is ended by code, which writes the end of it into the model's memory; the model then
answers from there ("budget forcing": Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv 2501.19393). So is
one that the model ends together with everything else.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from localrag.events import Delta, Reasoning
from localrag.llm.llama_model import LlamaContext, LlamaModel
from localrag.llm.reasoning import Kind, Parting


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it; `tokens` are those of thought and answer together, as the model drew them."""

    text: str
    thought: str
    tokens: int
    ended: Literal["end", "length", "stopped"]


@dataclass(slots=True)
class Decoding:
    """One answer on its way.

    Args:
        context: has read the prompt.
        thinking: whether the prompt ends inside a thought.
        most: most tokens of the answer.
        think: most tokens of the thought.
        thinker, answerer: draw the tokens of each.
        first: scores that the first token is drawn by, where the context has none of the prompt's end.
    """

    model: LlamaModel
    context: LlamaContext
    thinking: bool
    most: int
    think: int
    thinker: Any
    answerer: Any
    first: Any = None

    def run(self, stop: Callable[[], bool] | None) -> Generator[Reasoning | Delta, None, Written]:
        tags = self.model.tags
        parting = Parting(tags, self.thinking)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        drawn: dict[bool, int] = {True: 0, False: 0}
        ended: Literal["end", "length", "stopped"] = "length"
        while True:
            thinking = parting.thinking
            if not thinking and drawn[False] >= self.most:
                break
            if stop is not None and stop():
                ended = "stopped"
                break
            if thinking and drawn[True] >= self.think:
                yield from self._end(parting)
                continue
            token = self._draw(self.thinker if thinking else self.answerer)
            if self.model.c.llama_vocab_is_eog(self.model.vocab, token):
                if thinking:
                    yield from self._end(parting)
                    continue
                ended = "end"
                break
            drawn[thinking] += 1
            yield from _events(parting.feed(decoder.decode(self._piece(token))))
            if not thinking and not parting.thinking and drawn[False] >= self.most:
                break
            if not self.context.decode([token], None):
                break
            if thinking and not parting.thinking and tags is not None and tags.then:
                self._put(tags.then)
        # A letter that was cut in its middle shows as one that cannot be read.
        yield from _events(parting.feed(decoder.decode(b"", final=True)))
        yield from _events(parting.shut())
        return Written(parting.answer, parting.thought.strip(), drawn[True] + drawn[False], ended)

    def _end(self, parting: Parting) -> Generator[Reasoning | Delta, None, None]:
        """End the thought in the model's memory and in what is shown."""
        yield from _events(parting.shut())
        assert self.model.tags is not None
        self._put(self.model.tags.end)

    def _draw(self, chain: Any) -> int:
        first, self.first = self.first, None
        return self.context.sample(chain) if first is None else draw(self.model, chain, first)

    def _put(self, text: str) -> None:
        self.first = None
        self.context.decode(self.model.tokenize(text, special=True), None)

    def _piece(self, token: int) -> bytes:
        """The text of a token; a special one only shows where it is a part of the tags."""
        piece = self.model.piece(token, special=False)
        if piece or self.model.tags is None:
            return piece
        special = self.model.piece(token, special=True)
        return special if any(special.decode("utf-8", "replace") in tag for tag in self.model.tags.all) else b""


def _events(parted: Any) -> Generator[Reasoning | Delta, None, None]:
    kinds: dict[Kind, type[Reasoning] | type[Delta]] = {"thought": Reasoning, "answer": Delta}
    for kind, text in parted:
        yield kinds[kind](text)


def room_for_end(model: LlamaModel) -> int:
    """Tokens that ending a thought takes."""
    return len(model.tokenize(model.tags.end, special=True)) if model.tags is not None else 0


# --- sampling -----------------------------------------------------------------------------------------------


@contextmanager
def sampler(model: LlamaModel, temperature: float, seed: int, grammar: str | None) -> Iterator[Any]:
    """A chain of llama.cpp's samplers, freed when the block ends.

    Raises:
        ValueError: the grammar is no GBNF.
    """
    chain = _chain(model, temperature, seed, grammar)
    try:
        yield chain
    finally:
        model.c.llama_sampler_free(chain)


def draw(model: LlamaModel, chain: Any, scores: Any) -> int:
    """The next token by scores (float32, one for each word of the vocabulary) that were kept, as from a fresh batch."""
    import ctypes

    import numpy as np

    candidates = np.zeros(len(scores), dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    candidates["id"], candidates["logit"] = np.arange(len(scores)), scores
    data = candidates.ctypes.data_as(ctypes.POINTER(model.c.llama_token_data))
    array = model.c.llama_token_data_array(data=data, size=len(scores), selected=-1, sorted=False)
    model.c.llama_sampler_apply(chain, ctypes.byref(array))
    token = int(array.data[array.selected].id)
    model.c.llama_sampler_accept(chain, token)
    return token


def _chain(model: LlamaModel, temperature: float, seed: int, grammar: str | None) -> Any:
    c = model.c
    chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    if grammar is not None:
        rules = c.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
        if not rules:
            c.llama_sampler_free(chain)
            raise ValueError(f"not a GBNF grammar: {grammar!r}")
        c.llama_sampler_chain_add(chain, rules)
    if temperature <= 0:
        c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
        return chain
    for step in (
        c.llama_sampler_init_top_k(40), c.llama_sampler_init_top_p(0.95, 1), c.llama_sampler_init_temp(temperature),
        c.llama_sampler_init_dist(seed),
    ):  # fmt: skip
        c.llama_sampler_chain_add(chain, step)
    return chain
