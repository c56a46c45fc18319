"""Seconds to the first word of an answer on a document: cold, from the memory, and from a kept state on the disk.

    python benchmarks/warm.py [--model ID] [--folder TEXTS] [--lengths 1k,4k] [--question WORDS]

Each length is asked of a document of so many tokens, made of the texts in the folder (`examples/` if left out), in one
process: cold, then another question from the memory, then a third one in a new context, which loads the state from the
disk, its check against damage included. The state is written once more and read back with the disk's cache as it is.
Models are those installed; smollm2-135m-instruct is taken if none is named. Works in a temporary folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from localrag import llm
from localrag.events import Delta
from localrag.grounding import prompts
from localrag.llm import loading
from localrag.llm.llama import LlamaGenerator
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.settings import load_settings
from localrag.types import Message

EXAMPLES = Path(__file__).parents[1] / "examples"
QUESTIONS = ("Who signed it?", "What is it about?", "When does it end?")
ROOM = 600  # of the window, for rules, question and answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--folder", type=Path, default=EXAMPLES, help="text files (.txt, .md) below it")
    parser.add_argument("--lengths", default="1k,4k", help="tokens of the document: 1k,4k,8k,16k")
    options = parser.parse_args()
    lengths = [
        int(float(item.rstrip("k")) * (1000 if item.endswith("k") else 1)) for item in options.lengths.split(",")
    ]
    settings = load_settings().with_options(generator=options.model)
    text = _text(options.folder)
    print(
        f"{'tokens':>7} {'cold':>9} {'memory':>9} {'disk':>9} {'times sooner':>22} {'state':>9} {'load':>7} {'keep':>7}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for length in lengths:
            with closing(loading.load_generator(settings)) as model:
                assert isinstance(model, LlamaGenerator)
                if length + ROOM > model.window:
                    print(f"{length:>7} does not fit the window of {model.window:,} tokens", file=sys.stderr)
                    continue
                document = _cut(text, length, model)
                _measure(model, document, DiskPromptCache(Path(folder), "benchmark", [f"hash of {length}"], 1 << 40))


def _measure(model: LlamaGenerator, document: str, cache: DiskPromptCache) -> None:
    asked = [prompts.documents_prompt(question, [("document.txt", document)]) for question in QUESTIONS]
    list(model.generate([Message("user", "Hello")], max_tokens=2))  # the weights are in memory from here on
    model._free_context()
    cold, _ = _first_word(model, asked[0], cache)
    memory, _ = _first_word(model, asked[1], cache)
    model._free_context()
    disk, reused = _first_word(model, asked[2], cache)
    (prefix,) = model.prefixes(asked[0])
    assert reused == len(prefix.tokens), "the state was not taken"
    began = time.monotonic()
    state = cache.get(prefix)
    load = time.monotonic() - began
    assert state is not None
    began = time.monotonic()
    cache.put(llm.Prefix((*prefix.tokens, 0), prefix.cuts, 1), memoryview(state))
    keep = time.monotonic() - began
    print(
        f"{len(prefix.tokens):>7} {cold:>7.2f} s {memory:>7.2f} s {disk:>7.2f} s "
        f"{cold / memory:>9.0f} and {cold / disk:>6.0f} {len(state) / 1e6:>6.0f} MB {load:>5.2f} s {keep:>5.2f} s",
        flush=True,
    )


def _first_word(model: LlamaGenerator, asked: Sequence[Message], cache: DiskPromptCache) -> tuple[float, int]:
    """Seconds until the model wrote something, and tokens that it had not to read."""
    began, first = time.monotonic(), None
    for event in model.generate(asked, max_tokens=4, cache=cache):
        if isinstance(event, Delta) and first is None:
            first = time.monotonic() - began
        last = event
    return first or time.monotonic() - began, last.usage.reused


def _text(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".txt", ".md"))
    return "\n\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def _cut(text: str, tokens: int, model: LlamaGenerator) -> str:
    """The beginning of a text, of about so many tokens; where there is too little of it, it begins again."""
    have = model.count(text)
    if have < tokens:
        print(f"the texts have only {have:,} tokens and are repeated", file=sys.stderr)
        text = "\n\n".join([text] * -(-tokens // max(1, have)))
        have = model.count(text)
    return text[: len(text) * tokens // have]


if __name__ == "__main__":
    main()
