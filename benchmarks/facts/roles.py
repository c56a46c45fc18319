"""Train the classifier of days and spans of time by role (localrag/items/value_roles.py), and print its figures.

    python benchmarks/facts/roles.py DATA [--out localrag/items/value_roles.npz]

DATA holds docs.jsonl.gz and qa.jsonl.gz of CUAD v1, as for benchmarks/clauses/train.py, whose folds by company it
shares: no contract is read by a classifier of clauses, or of roles, that saw one of its company. A value counts for a
role if it is the answer of the experts (a span of a term, and of a notice of termination: any that fits) and stands in
the text that they marked; a value that does not count there though it may be right is left out. Takes two minutes of
one core. Needs scipy, which localrag does not.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

sys.path.insert(0, str(Path(__file__).parent.parent / "clauses"))
import train

from localrag.items import facts
from localrag.items.value_roles import CLAUSES, DAYS, ROLES, SPANS, Mention, features
from localrag.quantities import find_dates
from localrag.search import clauses

L2, MIN_COUNT, KEPT = 1.0, 4, 6000
MONTHS = {"Y": 12.0, "M": 1.0, "W": 7 / 30.44, "D": 1 / 30.44}
CATEGORY = {
    "signed": "Agreement Date",
    "effective": "Effective Date",
    "end": "Expiration Date",
    "term": "Expiration Date",
    "renewal": "Renewal Term",
    "non-renewal notice": "Notice Period To Terminate Renewal",
    "termination notice": "Termination For Convenience",
}


class Value(NamedTuple):
    document: int
    mention: Mention
    value: str | float  # a day in ISO 8601, or months
    labels: list[int | None]  # by role; None: not told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    names, fold, likely = clause_shares(given.data)
    documents, gold = train.lines(given.data / "docs.jsonl.gz"), answers(given.data)
    values = [one for n, row in enumerate(documents) for one in read(n, row, gold[row["id"]], likely[n])]
    counts = Counter(name for one in values for name in features(one.mention))
    rows = sorted(name for name, count in counts.items() if count >= MIN_COUNT)
    matrix, labels, known = arrays(values, rows)
    of = fold[[one.document for one in values]]
    shares = np.zeros(labels.shape)
    for number in range(max(fold) + 1):
        held = of == number
        weights = fit(matrix[~held], labels[~held], known[~held])
        shares[held] = 1 / (1 + np.exp(-(matrix[held] @ weights[:-1] + weights[-1])))
    report(values, shares, [gold[name] for name in names])
    if given.out:
        save(given.out, rows, fit(matrix, labels, known))


def clause_shares(folder: Path) -> tuple[list[str], NDArray[np.int64], list[NDArray[np.float64]]]:
    """Return the documents, their folds, and how likely their sentences are CLAUSES, by models of the other folds."""
    data = train.read(folder)
    fold = train.folds([train.company_of(name) for name in data.names])
    matrix, scores = train.matrix_of(data.features, train.vocabulary(data)), np.zeros(data.labels.shape, np.float32)
    for number in range(max(fold) + 1):
        held = fold[data.document] == number
        kept, weights = train.fit(matrix[~held], data.labels[~held])
        scores[held] = matrix[held][:, kept] @ weights[:-1] + weights[-1]
    best = train.best_of(scores, data.document, len(data.names))
    slope, offset, _ = train.calibrate(best, train.documents_with(data))
    own = [data.kinds.index(name) for name in CLAUSES]
    shares = 1 / (1 + np.exp(-np.clip(slope * scores + offset, -30, 30)))[:, own]
    return data.names, fold, [shares[data.document == n] for n in range(len(data.names))]


def answers(folder: Path) -> dict[str, dict[str, tuple[str, list[list[int]]]]]:
    """Return the answer of the experts and the spans that they marked, by document and category."""
    found: dict[str, dict[str, tuple[str, list[list[int]]]]] = defaultdict(dict)
    for row in train.lines(folder / "qa.jsonl.gz"):
        if row["answerable"]:
            found[row["doc"]][row["category"]] = (row["answer"], row["evidence"])
    return found


def read(number: int, document: dict[str, Any], gold: dict[str, Any], likely: NDArray[np.float64]) -> list[Value]:
    text, found, previous = document["text"], [], ""
    for n, (start, end) in enumerate(clauses.split(text)):
        sentence = text[start:end]
        days = [(one.start, one.end, one.certain.isoformat()) for one in find_dates(sentence) if one.certain]
        spans = [(first, last, months(value)) for first, last, value in facts.spans_of(sentence)]
        for own in (days, spans):
            for first, last, value in own:
                one = Mention(sentence, first, last, previous, start, len(text), len(own), likely[n])
                place = (start + first, start + last)
                found.append(Value(number, one, value, [label(role, one, value, place, gold) for role in ROLES]))
        previous = sentence
    return found


def label(role: str, one: Mention, value: str | float, place: tuple[int, int], gold: dict[str, Any]) -> int | None:
    if (role in DAYS) != isinstance(value, str):
        return None
    answer, marked = gold.get(CATEGORY[role], ("", []))
    inside = any(place[0] < last and first < place[1] for first, last in marked)
    notice = re.search("notice", one.sentence[max(0, one.start - 60) : one.end + 60]) is not None
    if role == "termination notice":
        return (1 if notice else None) if inside else 0
    if role == "term":
        others = [label(other, one, value, place, gold) for other in SPANS if other != "term"]
        if any(others) or notice or float(value) < 1 or not inside:
            return 0
        return None if None in others[:2] else 1
    expected = (day if role in DAYS else span)(answer)
    if expected is None:
        return None if inside else 0
    same = value == expected if isinstance(value, str) else abs(value - expected) < 0.1
    return int(inside) if same and (inside or role not in DAYS) else None if same else 0


def day(answer: str) -> str | None:
    """Return a day of the experts, "6/21/99", in ISO 8601."""
    if (match := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})", answer.strip())) is None:
        return None
    month, own, year = map(int, match.groups())
    return f"{year if year > 99 else year + (1900 if year > 50 else 2000):04}-{month:02}-{own:02}"


def span(answer: str) -> float | None:
    """Return a span of the experts, "successive 1 year", in months."""
    return next((months(value) for _, _, value in facts.spans_of(answer[:80])), None)


def months(value: str) -> float:
    return sum(float(count) * MONTHS[unit] for count, unit in re.findall(r"([\d.]+)([YMWD])", value))


def arrays(values: list[Value], names: list[str]) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """Return the features, the labels, and which of them are told; of shapes (values, features), (values, roles)."""
    index = {name: n for n, name in enumerate(names)}
    own = [{index[name]: size for name, size in features(one.mention).items() if name in index} for one in values]
    ends = np.cumsum([0, *map(len, own)])
    columns, sizes = [n for row in own for n in row], [size for row in own for size in row.values()]
    labels = np.array([[label or 0 for label in one.labels] for one in values], float)
    known = np.array([[label is not None for label in one.labels] for one in values], float)
    return sparse.csr_matrix((sizes, columns, ends), (len(values), len(names))), labels, known


def fit(matrix: Any, labels: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    shape, flipped = (matrix.shape[1] + 1, labels.shape[1]), matrix.T.tocsr()
    start = np.zeros(shape)
    start[-1] = -3

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        scores = matrix @ weights[:-1] + weights[-1]
        error = (1 / (1 + np.exp(-np.clip(scores, -30, 30))) - labels) * known
        value = ((np.logaddexp(0, scores) - scores * labels) * known).sum() + L2 / 2 * np.square(weights[:-1]).sum()
        return value, np.vstack([flipped @ error + L2 * weights[:-1], error.sum(0)]).ravel()

    done = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(done.x.reshape(shape))


def report(values: list[Value], shares: NDArray[np.float64], gold: list[dict[str, Any]]) -> None:
    """Print, of the best value of each document, how often it is right, and how many of those there it finds."""
    for column, role in enumerate(ROLES):
        best: dict[int, int] = {}
        there = set()
        for n, one in enumerate(values):
            if (role in DAYS) == isinstance(one.value, str):
                if one.document not in best or shares[n, column] > shares[best[one.document], column]:
                    best[one.document] = n
                if one.labels[column] == 1:
                    there.add(one.document)
        print(f"{role:20} there {len(there):4}", end="")
        for least in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            own = [n for n in best.values() if shares[n, column] >= least]
            told = [right(role, values[n], column, gold[values[n].document]) for n in own]
            known = [one for one in told if one is not None]
            print(f"  {least}: {sum(known)} of {len(known)}, {sum(known) / max(1, len(there)):.2f}", end="")
        print()


def right(role: str, one: Value, column: int, gold: dict[str, Any]) -> bool | None:
    answer, _ = gold.get(CATEGORY[role], ("", []))
    if role in ("term", "termination notice"):
        return one.labels[column] == 1 if one.labels[column] is not None else None
    expected = (day if role in DAYS else span)(answer)
    if expected is None:
        return None if answer else False
    return one.value == expected if isinstance(one.value, str) else abs(one.value - float(expected)) < 0.1


def save(path: Path, names: list[str], weights: NDArray[np.float64]) -> None:
    kept = np.sort(np.argsort(-np.abs(weights[:-1]).max(1), kind="stable")[:KEPT])
    own = np.vstack([weights[kept], weights[-1:]])
    scale = np.abs(own).max(0) / 127
    np.savez_compressed(
        path,
        features=np.frombuffer("\n".join(names[n] for n in kept).encode(), np.uint8),
        weights=np.rint(own / scale).astype(np.int8),
        scale=scale.astype(np.float32),
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {len(kept)} features, {path.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
