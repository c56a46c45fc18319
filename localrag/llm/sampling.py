"""How llama.cpp picks the next token: the likeliest, or by chance with a seed; held to a grammar or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localrag.llm.llama_model import LlamaModel


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
