"""How a model writes: token by token, with its reasoning separated from its answer and ended at a limit.

Code ends reasoning that has used up its tokens by writing its end into the model's memory, and the model answers from
there ("budget forcing": Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv 2501.19393).
"""

from __future__ import annotations

import codecs
import ctypes
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from localrag.events import Delta, Reasoning
from localrag.llm.llama_model import LlamaContext, LlamaModel
from localrag.llm.reasoning import Kind, Splitter

Draw = Callable[[LlamaContext], int]


@dataclass(frozen=True, slots=True)
class Written:
    """The result; `tokens` counts reasoning and answer together."""

    text: str
    reasoning: str
    tokens: int
    ended: Literal["end", "length", "stopped"]


@dataclass(slots=True)
class Decoding:
    """One answer in progress.

    `context` has read the prompt, which ends inside reasoning if `thinking`. `most` and `think` are the token limits of
    answer and reasoning.
    """

    model: LlamaModel
    context: LlamaContext
    thinking: bool
    most: int
    think: int
    thinker: Draw
    answerer: Draw

    def run(self, stop: Callable[[], bool] | None) -> Generator[Reasoning | Delta, None, Written]:
        tags = self.model.tags
        splitter = Splitter(tags, self.thinking)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        drawn: dict[bool, int] = {True: 0, False: 0}
        ended: Literal["end", "length", "stopped"] = "length"
        while True:
            thinking = splitter.thinking
            if not thinking and drawn[False] >= self.most:
                break
            if stop is not None and stop():
                ended = "stopped"
                break
            if thinking and drawn[True] >= self.think:
                yield from self._end(splitter)
                continue
            token = (self.thinker if thinking else self.answerer)(self.context)
            if self.model.c.llama_vocab_is_eog(self.model.vocab, token):
                if thinking:
                    yield from self._end(splitter)
                    continue
                ended = "end"
                break
            drawn[thinking] += 1
            yield from _events(splitter.feed(decoder.decode(self._piece(token))))
            if not thinking and not splitter.thinking and drawn[False] >= self.most:
                break
            if not self.context.decode([token], None):
                break
            if thinking and not splitter.thinking and tags is not None and tags.then:
                self._put(tags.then)
        # A truncated character shows as a replacement character.
        yield from _events(splitter.feed(decoder.decode(b"", final=True)))
        yield from _events(splitter.shut())
        return Written(splitter.answer, splitter.reasoning.strip(), drawn[True] + drawn[False], ended)

    def _end(self, splitter: Splitter) -> Generator[Reasoning | Delta, None, None]:
        """End the reasoning in the model's memory and in the output."""
        yield from _events(splitter.shut())
        assert self.model.tags is not None
        self._put(self.model.tags.end)

    def _put(self, text: str) -> None:
        self.context.decode(self.model.tokenize(text, special=True), None)

    def _piece(self, token: int) -> bytes:
        """Return the text of a token; special ones only if they belong to the reasoning tags."""
        piece = self.model.piece(token, special=False)
        if piece or self.model.tags is None:
            return piece
        special = self.model.piece(token, special=True)
        return special if any(special.decode("utf-8", "replace") in tag for tag in self.model.tags.all) else b""


def _events(parted: Any) -> Generator[Reasoning | Delta, None, None]:
    kinds: dict[Kind, type[Reasoning] | type[Delta]] = {"reasoning": Reasoning, "answer": Delta}
    for kind, text in parted:
        yield kinds[kind](text)


# --- sampling -----------------------------------------------------------------------------------------------


@contextmanager
def sampler(model: LlamaModel, temperature: float, seed: int, grammar: str | None) -> Iterator[Draw]:
    """Yield a function that draws the next token, from llama.cpp's samplers; raise ValueError if `grammar` is not GBNF.

    A grammar takes long to look at each token of a vocabulary, so the likeliest is drawn first: if the grammar allows
    it, that is the result (docs/decisions/0058-generation-speed.md).
    """
    c = model.c
    chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    likeliest = c.llama_sampler_init_greedy()
    rules: Any = None

    def draw(context: LlamaContext) -> int:
        if rules is not None and temperature <= 0:
            token = context.sample(likeliest)
            if _allows(c, rules, token):
                c.llama_sampler_accept(rules, token)
                return token
        return context.sample(chain)

    try:
        if grammar is not None:
            rules = c.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
            if not rules:
                raise ValueError(f"not a GBNF grammar: {grammar!r}")
            c.llama_sampler_chain_add(chain, rules)
        steps = (
            [c.llama_sampler_init_greedy()]
            if temperature <= 0
            else [
                c.llama_sampler_init_top_k(40),
                c.llama_sampler_init_top_p(0.95, 1),
                c.llama_sampler_init_temp(temperature),
                c.llama_sampler_init_dist(seed),
            ]
        )
        for step in steps:
            c.llama_sampler_chain_add(chain, step)
        yield draw
    finally:
        c.llama_sampler_free(chain)
        c.llama_sampler_free(likeliest)


def _allows(c: Any, rules: Any, token: int) -> bool:
    one = (c.llama_token_data * 1)((token, 0.0, 0.0))
    c.llama_sampler_apply(rules, ctypes.byref(c.llama_token_data_array(one, 1, -1, False)))
    return bool(one[0].logit == 0.0)
