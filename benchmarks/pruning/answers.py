"""Right answers against tokens read, with text left out of the prompt in several ways (0077).

    python benchmarks/pruning/answers.py SCORED.pickle QUESTIONS.jsonl SET LIBRARY OUT.jsonl WAY ... [--most N]

SCORED is what measure.py kept. A way is NAME:BUDGET or NAME:BUDGET:1, where the best passage stays whole:
`passages:1000` is the prompt as it is, `passages:450` has fewer passages, and `encoder`, `beside`, `head` or `both`
keep the best sentences by that score, read together. A question has `accept`, lists of patterns one of which must
match, and perhaps `reject`; without, its `answer` must be in what is said. Each question is asked in all ways, by the
model of the settings, one after the other; those in OUT are skipped.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure

from localrag.answer.assistant import Assistant
from localrag.evaluation.metrics import normalized
from localrag.events import Answered, Delta
from localrag.grounding import prompts
from localrag.grounding.stages import Prompt, Query, Route
from localrag.llm import loading
from localrag.search import retrieval
from localrag.settings import load_settings
from localrag.types import Passage


class Pruning(Assistant):
    """An assistant that reads of the passages what a way keeps; answers are checked against the whole passages."""

    way, budget, first, found = "passages", 1000, 0, dict[str, Any]()

    def _passage_prompt(self, query: Query, route: Route) -> Prompt | None:
        self.settings = replace(self.settings, prompt_tokens=self.budget if self.way == "passages" else 1000)
        prompt = super()._passage_prompt(query, route)
        if self.way == "passages" or prompt is None:
            return prompt
        score = measure.beside if self.way == "beside" else measure.of(self.way)
        pool = measure.PASSAGES if self.first else 0
        kept = measure.best_sentences(self.found, self.budget, score, first=self.first, pool=pool)
        places = {(hit.document_id, hit.position, hit.start): hit for hit in route.hits}
        pairs = [(places.get(self.found["passages"][n]["place"]), n, own) for n, own in kept]
        cut = [pruned(hit, self.found["passages"][n]["text"].spans, own) for hit, n, own in pairs if hit is not None]
        ordered = retrieval.in_reading_order(cut)
        messages = prompts.passages_prompt(query.text, ordered, (), together=True)
        return replace(prompt, messages=messages, cache=None)


def pruned(hit: Passage, spans: Sequence[tuple[int, int]], own: Sequence[int]) -> Passage:
    """Return a passage with some of its sentences."""
    text = ""
    for before, number in zip([None, *own], own, strict=False):
        gap = "" if before is None else "\n"
        if before is not None and number == before + 1:
            gap = hit.text[spans[before][1] : spans[number][0]]
        text += gap + hit.text[slice(*spans[number])]
    return replace(hit, text=text)


def right(line: dict[str, Any], said: str) -> bool:
    text = re.sub(r"\s+", " ", re.sub(r"\s*\[\d+(?:\s*,\s*\d+)*\]", "", said))
    if any(re.search(one, text, re.I) for one in line.get("reject") or []):
        return False
    if accept := line.get("accept"):
        return all(any(re.search(one, text, re.I) for one in group) for group in accept)
    return normalized(line["answer"]) in normalized(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("set")
    parser.add_argument("library")
    parser.add_argument("out", type=Path)
    parser.add_argument("ways", nargs="+")
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--kinds", default="")
    chosen = parser.parse_args()
    lines = {line["id"]: line for line in map(json.loads, chosen.questions.read_text("utf-8").splitlines())}
    scored = [one for one in pickle.loads(chosen.scored.read_bytes()) if one["set"] == chosen.set]
    if chosen.kinds:
        scored = [one for one in scored if one["kind"] in chosen.kinds.split(",")]
    rows = [json.loads(line) for line in chosen.out.read_text("utf-8").splitlines()] if chosen.out.exists() else []
    done = {(row["id"], row["way"]) for row in rows}
    settings = load_settings()
    model = loading.load_generator(settings, apart=True)
    with closing(Pruning(settings, model)) as assistant, chosen.out.open("a", encoding="utf-8") as out:
        for one in scored[: chosen.most]:
            for way in chosen.ways:
                if (one["id"], way) not in done:
                    row = asked(assistant, one, lines[one["id"]], way, chosen.library)
                    out.write(json.dumps(row) + "\n")
                    out.flush()
                    print(
                        one["id"],
                        way,
                        row["right"],
                        row["tokens"],
                        f"{row['first']:.1f} s",
                        row["said"][:70],
                        flush=True,
                    )


def asked(assistant: Pruning, one: dict[str, Any], line: dict[str, Any], way: str, library: str) -> dict[str, Any]:
    name, budget, *first = way.split(":")
    assistant.way, assistant.budget, assistant.found, assistant.first = name, int(budget), one, len(first)
    began, processor, first = time.monotonic(), time.process_time(), None
    for event in assistant.ask(line["question"], libraries=[library], mode="retrieve"):
        if isinstance(event, Delta) and first is None:
            first = time.monotonic() - began, time.process_time() - processor
        last = event
    assert isinstance(last, Answered)
    answer = last.answer
    seconds = first or (time.monotonic() - began, time.process_time() - processor)
    return {
        "set": one["set"],
        "id": one["id"],
        "way": way,
        "right": right(line, answer.answer),
        "found": answer.found,
        "sure": answer.sure if hasattr(answer, "sure") else None,
        "marked": bool(answer.flags or answer.unsupported),
        "tokens": answer.tokens.prompt - answer.tokens.reused,
        "reused": answer.tokens.reused,
        "first": seconds[0],
        "processor": seconds[1],
        "said": answer.answer,
    }


if __name__ == "__main__":
    main()
