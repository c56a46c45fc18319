"""Train the weights with which a name calls a row of a table (`localrag/figures/finding.py`).

    python benchmarks/figures/train.py SHARED_FOLDER

Questions of TAT-QA and FinQA (traindata) with the row that has their evidence, among the rows of their own table and of
15 tables of other reports. Questions of every fifth document are held out. Prints the weights, the bias, and how often
the likeliest row is the right one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.figures import table
from localrag.figures.finding import Finder, flat, terms
from localrag.figures.table import Entry
from localrag.question import calculation, lookup
from localrag.types import Page

OTHERS, HELD = 15, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    groups = [one for name in ("tatqa", "finqa") for one in read(parser.parse_args().shared / "traindata" / name)]
    train = [one for one in groups if not one[0]]
    held = [one for one in groups if one[0]]
    rows = np.array([row for _, own, _ in train for row in own])
    right = np.array([at == gold for _, own, gold in train for at in range(len(own))])
    weights = fit(rows, right)
    print("weights", np.round(weights[:-1], 2).tolist(), "bias", round(float(weights[-1]), 2))
    for name, part in (("trained on", train), ("held out", held)):
        best = [int(np.argmax(np.array(own) @ weights[:-1])) == gold for _, own, gold in part]
        print(f"{name}: {len(part)} questions, right row first {np.mean(best):.3f}")


def fit(rows: Any, right: Any) -> Any:
    """Return the weights and the bias of a logistic regression, lightly kept small."""
    x = np.hstack([rows, np.ones((len(rows), 1))])

    def loss(weights: Any) -> tuple[float, Any]:
        odds = x @ weights
        share = 1 / (1 + np.exp(-odds))
        value = np.sum(np.logaddexp(0, odds) - right * odds) + 0.5 * np.sum(weights[:-1] ** 2)
        return value, x.T @ (share - right) + np.append(weights[:-1], 0)

    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x


def read(folder: Path) -> Iterator[tuple[bool, list[list[float]], int]]:
    """Yield for each question whether it is held out, the features of each row, and the number of the right one."""
    encoder = SentenceEncoder()
    documents = {}
    for line in lines_of(folder / "docs.jsonl.gz"):
        one = json.loads(line)
        documents[one["id"]] = laid_out(one["text"])
    names = sorted(documents)
    for line in lines_of(folder / "qa.jsonl.gz"):
        question = json.loads(line)
        entries, spans = documents[question["doc"]]
        gold = {one.cell.line for one in entries if any(hits(one, spans, *span) for span in question["evidence"])}
        asked = name_of(question["question"])
        if len(gold) != 1 or not asked:
            continue
        others = random.Random(question["id"]).sample(names, OTHERS)
        every = {(0, one.cell.line): one for one in entries}
        own = flat(every[0, next(iter(gold))].row)
        for number, other in enumerate(others, 1):
            if other != question["doc"]:
                every |= {(number, one.cell.line): one for one in documents[other][0] if flat(one.row) != own}
        finder = Finder(list(every.values()), encoder)
        kept = {place: found for place, one in every.items() if (found := features(finder, asked, one)) is not None}
        if (place := (0, next(iter(gold)))) in kept:
            yield zlib.crc32(question["doc"].encode()) % HELD == 0, list(kept.values()), list(kept).index(place)


def lines_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def features(finder: Finder, asked: str, one: Entry) -> list[float] | None:
    return finder.features(terms(asked), terms(one.row), terms(one.cell.section), asked, one.row)


def laid_out(text: str) -> tuple[list[Entry], list[tuple[int, int, int]]]:
    """Return the figures of a text whose tables have no outer bars, and where each line was and begins now."""
    lines, spans, at, now = [], [], 0, 0
    for line in text.split("\n"):
        made = f"| {line.strip()} |" if " | " in line else line
        spans.append((at, at + len(line), now))
        lines.append(made)
        at, now = at + len(line) + 1, now + len(made) + 1
    return table.read([Page("\n".join(lines))], None), spans


def hits(one: Entry, spans: list[tuple[int, int, int]], start: int, end: int) -> bool:
    return any(one.cell.line == now and start < last and end > first for first, last, now in spans)


def name_of(question: str) -> str:
    request = calculation.parse(question)
    if request is None:
        return lookup.read(question, ("english",)).text
    return request.subjects[0] if len(request.subjects) == 1 else ""


if __name__ == "__main__":
    main()
