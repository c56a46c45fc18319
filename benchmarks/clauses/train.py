"""Train the classifier of clauses (localrag/search/clauses.py) and measure it on contracts that it has not seen.

    python benchmarks/clauses/train.py DATA ... [--out localrag/search/clauses.npz] [--documents 220] [--leave-out]

Each DATA holds docs.jsonl.gz (`id`, `text`) and qa.jsonl.gz (`doc`, `category`, `answerable`, `evidence`: spans of code
points), as made of CUAD v1 and of ContractNLI, and trains the kinds of clauses that it has. Logistic regression, one a
clause, all fitted together by L-BFGS: first on sentences drawn by a seed, then on those with the highest false scores
too. Each document is scored by a model that saw no contract of its company (five folds); those scores give the
probabilities, the thresholds and the figures. Takes a minute of one core. Needs scipy, which localrag does not.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from localrag.search import clauses

Rows = NDArray[np.float32]
SEED, FOLDS, L2, PER_CLAUSE, MIN_COUNT = 0, 5, 0.3, 300, 4
EASY, HARD, FIRST, SECOND = 8000, 12000, 15, 40  # sentences without a clause; steps of the two fits
MIN_OVERLAP, MIN_POSITIVES = 25, 5
HYPOTHESES = [f"nda-{n}" for n in (1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20)]  # of ContractNLI


class Data(NamedTuple):
    names: list[str]
    kinds: tuple[str, ...]
    features: list[list[tuple[set[str], float]]]  # by sentence
    labels: NDArray[np.int8]  # (sentences, clauses)
    document: NDArray[np.int64]  # of each sentence


class Trained(NamedTuple):
    kinds: tuple[str, ...]
    names: list[str]  # of the features
    weights: Rows  # (features + 1, clauses); the last row is the bias
    numbers: Rows  # slope, offset, threshold and F1 of each clause


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--documents", type=int, help="train on so many, drawn by a seed")
    parser.add_argument("--leave-out", action="store_true", help="folds by the kind of contract, not by company")
    arguments = parser.parse_args()
    trained = [train(folder, arguments.documents, leave_out=arguments.leave_out) for folder in arguments.data]
    if arguments.out:
        rows = save(arguments.out, trained)
        digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
        print(f"{arguments.out}: {rows} features, {arguments.out.stat().st_size} bytes, sha256 {digest}")


def train(folder: Path, documents: int | None, *, leave_out: bool) -> Trained:
    """Print the figures of the clauses of one set by folds, and return what is fitted on all of it."""
    data = read(folder)
    fold = folds([(kind_of if leave_out else company_of)(name) for name in data.names])
    names = vocabulary(data)
    matrix, present = matrix_of(data.features, names), documents_with(data)
    drawn = np.random.default_rng(SEED).permutation(len(data.names))[: documents or len(data.names)]
    scores = np.zeros(data.labels.shape, np.float32)
    for number in range(max(fold) + 1):
        held = fold[data.document] == number
        used = ~held & np.isin(data.document, drawn)
        kept, weights = fit(matrix[used], data.labels[used])
        scores[held] = matrix[held][:, kept] @ weights[:-1] + weights[-1]
    best = best_of(scores, data.document, len(data.names))
    f1 = report(data, best, scores, present, fold)
    kept, weights = fit(matrix, data.labels)
    return Trained(data.kinds, [names[n] for n in kept], weights, np.stack([*calibrate(best, present), f1]))


def read(folder: Path) -> Data:
    for name in ("docs.jsonl.gz", "qa.jsonl.gz"):
        print(name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    documents, labels = lines(folder / "docs.jsonl.gz"), lines(folder / "qa.jsonl.gz")
    has = {clause_of(row["category"]) for row in labels}
    kinds = tuple(kind for kind in clauses.kinds() if kind in has)
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in labels:
        spans.setdefault((row["doc"], clause_of(row["category"])), []).extend(row["evidence"])
    features, marked, owner = [], [], []
    for number, document in enumerate(documents):
        text, sentences = document["text"], clauses.split(document["text"])
        features += list(clauses.features([text[start:end] for start, end in sentences]))
        own = [spans.get((document["id"], kind), []) for kind in kinds]
        marked += [[any(overlaps(sentence, span) for span in some) for some in own] for sentence in sentences]
        owner += [number] * len(sentences)
    return Data([row["id"] for row in documents], kinds, features, np.array(marked, np.int8), np.array(owner))


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def clause_of(category: str) -> str:
    """The id of a category, as playbooks write it."""
    names = {"Notice Period To Terminate Renewal": "notice-to-terminate-renewal"}
    names["Unlimited/All-You-Can-Eat-License"] = "unlimited-license"
    names |= dict(zip(HYPOTHESES, clauses.kinds()[-len(HYPOTHESES) :], strict=True))
    return names.get(category, re.sub(r"[\W_]+", "-", category.lower()))


def overlaps(sentence: tuple[int, int], span: tuple[int, int]) -> bool:
    shared = min(sentence[1], span[1]) - max(sentence[0], span[0])
    return shared > 0 and (
        shared >= min(MIN_OVERLAP, (sentence[1] - sentence[0]) / 2) or shared >= 0.8 * (span[1] - span[0])
    )


def company_of(name: str) -> str:
    """The company that a contract's name begins with; an agreement without a name stands by itself."""
    if name.startswith("cnli:"):
        return name
    return re.split(r"[_,(]|\d", re.sub(r"^\d", "", name.removeprefix("cuad:")))[0][:14].lower()


def kind_of(name: str) -> str:
    """The kind of contract that a file name ends with: "License Agreement2" is "license agreement"."""
    words = re.findall("[a-z]+", re.split(r"[_-]", name)[-1].lower())
    return " ".join(words[-2:]) if words[-1:] == ["agreement"] else "other"


def folds(groups: list[str]) -> NDArray[np.int64]:
    """The fold of each document: documents of one group share theirs, and large groups go to the smallest fold."""
    order = np.random.default_rng(SEED).permutation(sorted(set(groups))).tolist()
    sizes, of = [0] * FOLDS, {}
    for group in sorted(order, key=groups.count, reverse=True):
        of[group] = sizes.index(min(sizes))
        sizes[of[group]] += groups.count(group)
    return np.array([of[group] for group in groups])


def vocabulary(data: Data) -> list[str]:
    counts = Counter(name for blocks in data.features for names, _ in blocks for name in names)
    return sorted(name for name, count in counts.items() if count >= MIN_COUNT)


def matrix_of(features: list[list[tuple[set[str], float]]], names: list[str]) -> Any:
    """The sparse matrix of values, of shape (sentences, features)."""
    index = {name: n for n, name in enumerate(names)}
    columns, values, ends = [], [], [0]
    for blocks in features:
        for own, value in blocks:
            known = [index[name] for name in own if name in index]
            columns += known
            values += [value] * len(known)
        ends.append(len(columns))
    return sparse.csr_matrix((values, columns, ends), (len(features), len(names)), dtype=np.float32)


def idf_of(matrix: Any) -> Rows:
    scaled: Rows = np.log((1 + matrix.shape[0]) / (1 + np.bincount(matrix.indices, minlength=matrix.shape[1]))) + 1
    return scaled.astype(np.float32)


def fit(matrix: Any, labels: NDArray[np.int8]) -> tuple[NDArray[np.int64], Rows]:
    """The features kept, and their weights of shape (features + 1, clauses); the last row is the bias."""
    idf = idf_of(matrix)
    kept = select(matrix, labels)
    scaled = matrix[:, kept].multiply(idf[kept]).tocsr()
    random, marked = np.random.default_rng(SEED), labels.any(1)
    positive, rest = np.flatnonzero(marked), np.flatnonzero(~marked)
    easy = random.choice(rest, min(EASY, len(rest)), replace=False)
    rows = np.union1d(positive, easy)
    weights = logistic(scaled[rows], labels[rows], FIRST)
    highest = (scaled[rest] @ weights[:-1] + weights[-1]).max(1)
    rows = np.union1d(rows, rest[np.argsort(-highest)[:HARD]])
    weights = logistic(scaled[rows], labels[rows], SECOND, weights)
    weights[:-1] *= idf[kept, None]
    return kept, weights


def select(matrix: Any, labels: NDArray[np.int8]) -> NDArray[np.int64]:
    """For each clause, the features that are in its sentences most more often than by chance."""
    has = matrix.copy()
    has.data = np.ones_like(has.data)
    together = np.asarray((has.T @ sparse.csr_matrix(labels.astype(np.float32))).todense())
    expected = np.asarray(has.sum(0)).ravel()[:, None] * labels.sum(0) / len(labels)
    surprise = (together - expected) / np.sqrt(expected + 1)
    return np.unique(np.argsort(-surprise, axis=0, kind="stable")[:PER_CLAUSE])


def logistic(matrix: Any, labels: NDArray[np.int8], steps: int, start: Rows | None = None) -> Rows:
    shape, target, flipped = (matrix.shape[1] + 1, labels.shape[1]), labels.astype(np.float32), matrix.T.tocsr()
    if start is None:
        start = np.zeros(shape, np.float32)
        start[-1] = np.log(labels.mean(0) + 1e-5)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape).astype(np.float32)
        scores = matrix @ weights[:-1] + weights[-1]
        error = 1 / (1 + np.exp(-np.clip(scores, -30, 30))) - target
        value = np.logaddexp(0, scores).sum(dtype=float) - (scores * target).sum(dtype=float)
        value += L2 / 2 * np.square(weights[:-1]).sum(dtype=float)
        return value, np.vstack([flipped @ error + L2 * weights[:-1], error.sum(0)]).ravel().astype(float)

    done = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 6})
    return done.x.reshape(shape).astype(np.float32)


def documents_with(data: Data) -> NDArray[np.int8]:
    return best_of(data.labels, data.document, len(data.names)).astype(np.int8)


def best_of(scores: NDArray[Any], document: NDArray[np.int64], count: int) -> NDArray[Any]:
    best = np.full((count, scores.shape[1]), -30.0)
    np.maximum.at(best, document, scores)
    return best


def calibrate(best: NDArray[Any], present: NDArray[np.int8]) -> tuple[Rows, Rows, Rows]:
    """The slope and offset that make a probability of a document's best score (Platt), and the threshold with the
    best F1; both lean on what is common to all clauses where one is rare."""
    slope, offset, threshold = np.zeros((3, best.shape[1]))
    for n in range(best.shape[1]):
        x, y = best[:, n], present[:, n]
        # The two cases added keep a clause that all documents have, or few, from certainty.
        x, y = np.append(x, [x.min(), x.max()]), np.append(y, [0, 1])

        def loss(two: NDArray[np.float64], x: Any = x, y: Any = y) -> float:
            logit = two[0] * x + two[1]
            return float((np.logaddexp(0, logit) - y * logit).sum() + 3 * (two[0] - 1) ** 2)

        slope[n], offset[n] = minimize(loss, [1.0, 0.0]).x
        chance = 1 / (1 + np.exp(-(slope[n] * best[:, n] + offset[n])))
        grid = np.arange(0.1, 0.81, 0.05)
        f1 = [2 * y[:-2][chance >= cut].sum() / ((chance >= cut).sum() + y[:-2].sum()) for cut in grid]
        # As if ten more documents with the clause had been judged, best at 0.4.
        threshold[n] = grid[np.argmax(np.array(f1) * y[:-2].sum() - 10 * np.square(grid - 0.4))]
    return slope.astype(np.float32), offset.astype(np.float32), threshold.astype(np.float32)


def report(data: Data, best: Any, scores: Rows, present: Any, fold: Any) -> Rows:
    """Print the figures of each clause and return F1; calibration and threshold come from the other folds."""
    found = np.zeros(present.shape, bool)
    for number in range(max(fold) + 1):
        held = fold == number
        slope, offset, threshold = calibrate(best[~held], present[~held])
        found[held] = 1 / (1 + np.exp(-(slope * best[held] + offset))) >= threshold
    return figures(data.kinds, found, present)


def figures(kinds: tuple[str, ...], found: Any, present: Any) -> Rows:
    present = present > 0
    right, wrong, missed = (found & present).sum(0), (found & ~present).sum(0), (~found & present).sum(0)
    f1 = 2 * right / np.maximum(2 * right + wrong + missed, 1)
    for n, kind in enumerate(kinds):
        print(f"{kind:36} has {present[:, n].sum():4} found {found[:, n].sum():4} right {right[n]:4} F1 {f1[n]:.2f}")
    some = present.sum(0) >= MIN_POSITIVES
    micro = 2 * right[some].sum() / (2 * right + wrong + missed)[some].sum()
    print(
        f"{some.sum()} clauses: F1 {f1[some].mean():.3f} by clause, {micro:.3f} over all; "
        f"absent declined {1 - wrong.sum() / (~present).sum():.3f}"
    )
    return np.asarray(f1, np.float32)


def save(path: Path, trained: list[Trained]) -> int:
    """Write the sets side by side, each feature once; return how many there are."""
    names = sorted({name for one in trained for name in one.names})
    index = {name: n for n, name in enumerate(names)}
    columns, at = sum(len(one.kinds) for one in trained), 0
    weights = np.zeros((len(names), columns), np.float32)
    for one in trained:
        weights[[index[name] for name in one.names], at : at + len(one.kinds)] = one.weights[:-1]
        at += len(one.kinds)
    scale = np.abs(weights).max(0) / 127
    slope, offset, threshold, f1 = np.hstack([one.numbers for one in trained])
    np.savez_compressed(
        path,
        features=np.frombuffer("\n".join(names).encode(), np.uint8),
        weights=np.rint(weights / scale).astype(np.int8),
        scale=scale,
        bias=np.concatenate([one.weights[-1] for one in trained]),
        slope=slope,
        offset=offset,
        threshold=threshold,
        f1=f1,
    )
    return len(names)


if __name__ == "__main__":
    main()
