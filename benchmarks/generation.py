"""What a written token costs: localrag beside llama-cpp-python's `Llama` on the same weights, prompt and threads.

    python benchmarks/generation.py [--model ID] [--clauses N] [--tokens N] [--runs N] [--threads N]

`Llama` is measured as it comes and with flash attention, which localrag leaves to llama.cpp; localrag with free text
and with the form of a survey's rows. They take turns, so that a busy moment of the machine falls on all of them. The
times are those between the first token and the last, the ratios medians over the runs, to the first line.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

from llama_cpp import Llama

from localrag.events import Delta
from localrag.items.reading import ANSWER_GRAMMAR
from localrag.llm.llama import LlamaGenerator
from localrag.models.records import ModelStore
from localrag.settings import load_settings
from localrag.types import Message

WINDOW = 4096
RULES = "Answer from the text, with a quote."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--clauses", type=int, default=10, help="of the prompt, about 20 tokens each (10)")
    parser.add_argument("--tokens", type=int, default=40, help="to write (40)")
    parser.add_argument("--runs", type=int, default=5, help="of each (5)")
    parser.add_argument("--threads", type=int, default=1, help="(1)")
    options = parser.parse_args()
    path = ModelStore(load_settings().with_options(generator=options.model)).default("generator").path
    mine = LlamaGenerator(options.model, path, context=WINDOW, threads=options.threads)
    theirs = {
        flash: Llama(
            str(path),
            n_ctx=WINDOW,
            n_threads=options.threads,
            n_threads_batch=options.threads,
            flash_attn=flash,
            verbose=False,
        )
        for flash in (False, True)
    }
    writers: dict[str, Callable[[str], Iterator[object]]] = {
        "Llama": partial(_theirs, theirs[False], options.tokens),
        "Llama, flash attention": partial(_theirs, theirs[True], options.tokens),
        "localrag": partial(_mine, mine, options.tokens, None),
        "localrag, rows of a survey": partial(_mine, mine, options.tokens, ANSWER_GRAMMAR),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in writers}
    for run in range(-1, options.runs):
        clauses = " ".join(
            f"Clause {n}: the fee of Hall {n} is {n * 37} euros a month." for n in range(options.clauses)
        )
        asked = f"[{run}] {clauses}\n\nTell a long story about the fee of Hall 3."
        for name, write in list(writers.items())[:: 1 if run % 2 else -1]:
            times = [(time.process_time(), time.perf_counter()) for _ in write(asked)]
            if run >= 0:  # the first fills the memory
                first, last = times[0], times[-1]
                processor, clock = (1000 * (last[n] - first[n]) / (len(times) - 1) for n in (0, 1))
                taken[name].append((processor, clock))
    print(f"{'':27} {'processor':>12} {'clock':>12}   ratios")
    for name, rows in taken.items():
        middle = [statistics.median(row[n] for row in rows) for n in (0, 1)]
        pairs = list(zip(rows, taken["Llama"], strict=True))
        ratios = [statistics.median(row[n] / base[n] for row, base in pairs) for n in (0, 1)]
        print(f"{name:27} {middle[0]:9.1f} ms {middle[1]:9.1f} ms   {ratios[0]:.2f} {ratios[1]:.2f}")


def _mine(model: LlamaGenerator, tokens: int, grammar: str | None, asked: str) -> Iterator[object]:
    events = model.generate([Message("system", RULES), Message("user", asked)], max_tokens=tokens, grammar=grammar)
    return (event for event in events if isinstance(event, Delta))


def _theirs(model: Llama, tokens: int, asked: str) -> Iterator[object]:
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": asked}]
    parts = model.create_chat_completion(messages, max_tokens=tokens, temperature=0, stream=True)
    return (part for part in parts if part["choices"][0]["delta"].get("content"))


if __name__ == "__main__":
    main()
