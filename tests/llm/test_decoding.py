"""How tokens are drawn."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import tiny_llamas

from localrag.llm.llama import LlamaGenerator, sampler


def test_a_grammar_draws_the_likeliest_token_that_it_allows(tmp_path: Path) -> None:
    """Whether the likeliest of all is among those or not."""
    file = tiny_llamas.full(tmp_path / "tiny.gguf")
    with closing(LlamaGenerator("tiny", file, threads=1, context=1024)) as generator:
        model, context = generator._model, generator._context
        assert context is not None
        words = {token: model.piece(token, special=False) for token in range(tiny_llamas.WORDS)}
        allowed = [token for token, word in words.items() if len(word) == 1 and b"!" <= word <= b"M"]
        likeliest = set()
        with sampler(model, 0.0, 0, "root ::= [!-M]+") as draw:
            for read in model.tokenize("Clause 3: the fee of Hall 3 is 111 euros a month.", special=False):
                context.decode([read], None)
                scores = context.logits()[: tiny_llamas.WORDS]
                token = draw(context)
                assert token == max(allowed, key=lambda token: scores[token])
                likeliest.add(scores[token] == max(scores))
        assert likeliest == {True, False}
