"""The playbook `cuad` over contracts with known clauses: precision, recall and F1 by kind of clause, and seconds.

    python benchmarks/review.py DATASET [--limit N] [--code | --fit] [--out FILE.json]

DATASET is a file of questions (docs/evaluation.md) with one line for each contract and kind: `category` is the title of
an item, `answerable` whether the contract has the clause. By default the whole review runs, with the model, cold and
then again with a warm prompt cache; "unsure" counts as not found. `--code` asks no model and says what code alone would
say; `--fit` prints the weights of `evidence.py`, and how they do on kinds of clauses that they were not fitted on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.evaluation import datasets
from localrag.events import ReviewEnded
from localrag.items import engine, evidence, playbook
from localrag.security import offline, storage
from localrag.settings import load_settings
from localrag.store.reviews import FOLDER

MIN_POSITIVES = 5
Row = tuple[str, str, bool, bool]  # document, category, whether the clause is there, and was found


def measures(rows: Sequence[Row]) -> dict[str, Any]:
    """F1 by kind and over all, with 95 % intervals by contract, and the share of absent clauses declined."""

    def score(taken: Iterable[Row]) -> tuple[float, float, float]:
        by_kind: dict[str, list[Row]] = {}
        for row in taken:
            by_kind.setdefault(row[1], []).append(row)
        often = [f1(own)["f1"] for own in by_kind.values() if sum(row[2] for row in own) >= MIN_POSITIVES]
        every = [row for own in by_kind.values() for row in own]
        absent = [row for row in every if not row[2]]
        declined = sum(not row[3] for row in absent) / max(1, len(absent))
        return (sum(often) / len(often) if often else 0.0), f1(every)["f1"], declined

    by_document: dict[str, list[Row]] = {}
    for row in rows:
        by_document.setdefault(row[0], []).append(row)
    names, dice = list(by_document), random.Random(0)
    drawn = sorted(
        score([row for name in dice.choices(names, k=len(names)) for row in by_document[name]]) for _ in range(500)
    )
    columns = list(zip(*drawn, strict=True))
    found = {}
    for at, name in enumerate(("f1_by_kind", "f1", "absent_declined")):
        own = sorted(columns[at])
        found[name] = [round(value, 3) for value in (score(rows)[at], own[12], own[-13])]
    kinds = {kind: f1([row for row in rows if row[1] == kind]) for kind in dict.fromkeys(row[1] for row in rows)}
    return {**found, "pairs": len(rows), "kinds": kinds}


def f1(rows: Sequence[Row]) -> dict[str, Any]:
    right = sum(row[2] and row[3] for row in rows)
    there, found = sum(row[2] for row in rows), sum(row[3] for row in rows)
    precision, recall = right / found if found else 0.0, right / there if there else 0.0
    return {
        "there": there,
        "found": found,
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "f1": round(2 * right / (there + found), 3) if there + found else 0.0,
    }


def fitted(features: Any, labels: Any) -> Any:
    """Weights of a logistic regression (the last is the constant), by Newton's method, L2 0.001 on scaled features."""
    middle, spread = features.mean(0), features.std(0) + 1e-9
    scaled = np.c_[(features - middle) / spread, np.ones(len(features))]
    weights, penalty = np.zeros(scaled.shape[1]), 1e-3 * len(labels)
    keep = np.r_[np.ones(features.shape[1]), 0.0]
    for _ in range(50):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        slope = scaled.T @ (likely - labels) + penalty * keep * weights
        bend = (scaled * (likely * (1 - likely))[:, None]).T @ scaled + penalty * np.eye(len(weights))
        weights -= np.linalg.solve(bend, slope)
    raw = weights[:-1] / spread
    return np.r_[raw, weights[-1] - raw @ middle]


def across(features: Any, labels: Any, groups: Any) -> Any:
    """Likelihoods of each kind of clause with the weights of the others."""
    likely = np.zeros(len(labels))
    for group in set(groups):
        own = groups == group
        weights = fitted(features[~own], labels[~own])
        likely[own] = 1 / (1 + np.exp(-np.c_[features[own], np.ones(own.sum())] @ weights))
    return likely


def by_code(assistant: Assistant, name: str, labels: dict[tuple[str, str], bool], limit: int | None, fit: bool) -> Any:
    """What code alone says of each pair, or the weights that fit it best."""
    book, library = playbook.load("cuad"), assistant.library(name)
    clauses = evidence.Clauses(library, assistant.searcher)
    rows, features, asked, began = [], [], 0, time.process_time()
    documents = library.documents()[:limit]
    for document in documents:
        for item in book.items:
            if (known := labels.get((document.path, item.name))) is not None:
                found = clauses.evidence(item.asked, (library, document))
                rows.append((document.path, item.name, known, found.likelihood >= engine.LIKELY))
                features.append(found.features)
                asked += engine._by_code(engine._Look(item.asked, True, found), document) is None
    seconds = (time.process_time() - began) / max(1, len(documents))
    if not fit:
        each = {"processor_seconds": round(seconds, 3), "for_the_model": round(asked / max(1, len(documents)), 1)}
        return {"documents": len(documents), "a_document": each, **measures(rows)}
    given, truth, kinds = (
        np.array(features),
        np.array([row[2] for row in rows], float),
        np.array([row[1] for row in rows]),
    )
    plain = ~np.isin(kinds, ["Document Name", "Parties", "Agreement Date"])  # nearly every contract has them
    examples = fitted(given[plain][:, :5], truth[plain])
    above = given[:, :5] @ examples[:-1] + examples[-1]
    both = np.c_[given[:, 5], above]
    out: dict[str, Any] = {
        "weights": {
            "with_examples": examples.round(2).tolist(),
            "without": fitted(given[plain][:, [0, 2, 4]], truth[plain]).round(2).tolist(),
            "classified": fitted(both, truth).round(2).tolist(),
        }
    }
    for what, own, mask in (("examples", given[:, :5], plain), ("classified", both, np.ones(len(truth), bool))):
        likely = across(own[mask], truth[mask], kinds[mask])
        chosen = [row for row, kept in zip(rows, mask, strict=True) if kept]
        judged = [(*row[:3], bool(p >= engine.LIKELY)) for row, p in zip(chosen, likely, strict=True)]
        out[what] = {
            "absent": {f"below {t}": share(1 - truth[mask], likely <= t) for t in (0.05, 0.1, 0.2)},
            "there": {f"above {t}": share(truth[mask], likely >= t) for t in (0.6, 0.85, 0.9)},
            f"at {engine.LIKELY}": measures(judged),
        }
    return out


def share(truth: Any, chosen: Any) -> list[float]:
    return [round(float(truth[chosen].mean()), 3) if chosen.any() else 0.0, int(chosen.sum())]


def reviewed(assistant: Assistant, name: str, labels: dict[tuple[str, str], bool], limit: int | None) -> Any:
    """The whole review, cold and warm: kept results are deleted before each, the prompt cache is not."""
    library = assistant.library(name)
    documents = [document.path for document in library.documents()][:limit]
    out: dict[str, Any] = {"documents": len(documents)}
    for run in ("cold", "warm"):
        storage.remove(library.folder / FOLDER)
        began = time.monotonic()
        *_, ended = Reviewer(assistant).review(playbook.load("cuad"), libraries=[name], documents=documents)
        assert isinstance(ended, ReviewEnded)
        out[f"{run}_seconds_a_document"] = round((time.monotonic() - began) / max(1, len(documents)), 1)
        rows = [
            (one.document, one.title, labels[one.document, one.title], one.state in ("found", "deviates"))
            for one in ended.findings
            if (one.document, one.title) in labels
        ]
        asked = [one for one in ended.findings if one.model]
        print(f"{run}: {out[f'{run}_seconds_a_document']} s a document, {len(asked)} pairs asked", file=sys.stderr)
        out[run] = {
            "asked": len(asked),
            "unsure": sum(one.state == "unsure" for one in ended.findings),
            **measures(rows),
            "asked_only": f1([row for row, one in zip(rows, ended.findings, strict=True) if one.model]),
            "pairs_by_code": f1([row for row, one in zip(rows, ended.findings, strict=True) if not one.model]),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--limit", type=int, help="only the first N contracts")
    parser.add_argument("--code", action="store_true")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.dataset is None:
        print("needs a dataset of contracts with known clauses; see --help")
        return
    offline.confine()
    settings = load_settings()
    questions = datasets.load(given.dataset)
    with closing(datasets.library_of(datasets.source_of(given.dataset, questions, None), settings)) as library:
        library.ingest(datasets.source_of(given.dataset, questions, None).folder)
        paths, name = datasets.match(questions, library.documents()).paths, library.name
    rows = [json.loads(line) for line in given.dataset.read_text(encoding="utf-8").splitlines()]
    labels = {(paths[row["doc"]], row["category"]): bool(row["answerable"]) for row in rows if row["doc"] in paths}
    with closing(Assistant(datasets.apart(settings))) as assistant:
        if given.code or given.fit:
            out = by_code(assistant, name, labels, given.limit, given.fit)
        else:
            out = reviewed(assistant, name, labels, given.limit)
    text = json.dumps(out, indent=1)
    print(text) if given.out is None else given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
