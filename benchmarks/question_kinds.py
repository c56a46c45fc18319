"""Train the kinds of questions and of values, and measure them beside other ways to tell them.

    python benchmarks/question_kinds.py SHARED_FOLDER [--write] [--vectors]

SHARED_FOLDER has `asked` (310 questions in three wordings, with their kinds), `evaldata` and `traindata`. Beside these,
the questions of question_kinds.txt are trained on, which have forms that the sets lack. All wordings of a question are
in one of five folds; printed are, for each kind, recall and precision on the fold that was held out. `--vectors` does
the same with the vectors of the embedder that the settings name. `--write` trains on all folds and writes
localrag/question/kinds.npz. Kinds of values are labelled by code from the gold answers; of `asked`, from half A alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize

from localrag.question import kinds
from localrag.question.kinds import KINDS, VALUES, Kind, Value

Rows = NDArray[np.float32]

OF_ASKED: dict[str, Kind] = {
    **dict.fromkeys(("figure", "near", "absent", "who"), "look-up"),
    "yesno": "existence",
    "list": "list",
    "compare": "compare",
    "calc": "calculation",
    "summary": "summary",
    "survey": "each",
}
FOLDS, SEED = 5, 1
# How much weights cost, what a question of another set weighs, and how far rare labels weigh more.
L2, OTHER, BALANCE = 0.03, 0.2, 0.7
FEATURES, MIN_COUNT = 1500, 2
HERE = Path(__file__).parent


class Example(NamedTuple):
    """A question, its kind and the kind of its value ("" where not known), its fold (-1: in none), and its weight."""

    question: str
    kind: str
    value: str = ""
    fold: int = -1
    weight: float = OTHER


def examples(shared: Path) -> Iterator[Example]:
    for file in sorted((shared / "asked").glob("*.jsonl")):
        for row in rows(file):
            half_a = int(sha1(row["id"].encode()).hexdigest(), 16) % 2 == 0
            fold = int(sha256(row["id"].encode()).hexdigest(), 16) % FOLDS
            for question in (row["question"], *row["wordings"]):
                value = value_of(row["question"], row["answer"]) if half_a and row["kind"] not in NO_VALUE else ""
                yield Example(question, OF_ASKED[row["kind"]], value, fold, 1.0)
    yield from others(shared)


NO_VALUE = ("absent", "list", "compare", "summary", "survey")


def others(shared: Path) -> Iterator[Example]:
    """Yield questions of other sets, some of each, and those of question_kinds.txt."""
    chance = random.Random(SEED)

    def some(file: str, count: int, kind: str, keep: Callable[[Any], bool] = lambda row: True) -> Iterator[Example]:
        found = {row["question"]: row for row in rows(shared / file) if keep(row)}
        for question in chance.sample(sorted(found), min(count, len(found))):
            yield held_out(Example(question, kind, value_of(question, answer_of(found[question]))))

    tatqa = "evaldata/tatqa/qa.jsonl"
    yield from some(tatqa, 200, "calculation", lambda row: bool(row["derivation"]))
    yield from some(tatqa, 150, "look-up", lambda row: row["answer_type"] == "span")
    yield from some("traindata/finqa/qa.jsonl.gz", 100, "calculation")
    yield from some("evaldata/xquad/qa.jsonl", 250, "look-up", lambda row: row["lang"] == "en")
    yield from some("evaldata/xquad/qa.jsonl", 500, "", lambda row: row["lang"] == "en")
    yield from some("traindata/sharealike/nq_open/qa.jsonl.gz", 300, "")
    yield from some("evaldata/covidqa/qa.jsonl", 200, "")
    yield from some("evaldata/medquad/qa.jsonl", 100, "")
    yield from some("traindata/cuad/qa.jsonl.gz", 200, "", lambda row: row.get("style") == "short")
    for name in ("gov_faq", "it_docs", "privacyqa"):
        yield from some(f"traindata/{name}/qa.jsonl.gz", 150, "")
    for kind, questions in load_own().items():
        value = kind.removeprefix("value ") if kind.startswith("value ") else ""
        for question in questions:
            yield Example(question, "" if value else kind, value, weight=1.0)


def load_own() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (HERE / "question_kinds.txt").read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[(.+)\]", line):
            own = found.setdefault(head[1], [])
        elif line and not line.startswith("#"):
            own.append(line)
    return found


def held_out(one: Example) -> Example:
    """Put a question with a known value into a fold, so that values are measured on it, too."""
    return one._replace(fold=int(sha256(one.question.encode()).hexdigest(), 16) % FOLDS) if one.value else one


def rows(file: Path) -> Iterator[Any]:
    data = file.read_bytes()
    yield from map(json.loads, (gzip.decompress(data) if file.suffix == ".gz" else data).decode().splitlines())


def answer_of(row: Any) -> str:
    """Return the answer, or as many words as its evidence has where the set has no other."""
    if row.get("answer"):
        return str(row["answer"])
    return "word " * (sum(end - start for start, end in row.get("evidence") or ()) // 6)


COMPANY = re.compile(r"\b(?:Inc|LLC|Ltd|Limited|Corp|Corporation|Company|Co|L\.?P|plc|GmbH|Bank|Trust|Partners)\b\.?")
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
SPAN = r"(?:calendar |business |working )?(?:second|minute|hour|day|week|month|quarter|year)s?"
FORMS: tuple[tuple[Value, str], ...] = (
    ("yes or no", r"^\W*(?:yes|no|it depends)\b"),
    ("share", r"\d\s?(?:%|per ?cent)"),
    ("money", r"[$€£]\s?\d|\b(?:dollars|euros|USD|EUR)\b"),
    ("date", rf"\b{MONTH}\b.{{0,9}}\d|\b\d{{1,2}}\s{MONTH}\b|^\W*(?:in )?(?:1[5-9]|20)\d\d\W*$"),
    ("duration", rf"\b(?:\d+|one|two|three|four|five|six|seven|eight|ten|twelve|thirty|sixty|ninety)\)? {SPAN}\b"),
    ("number", r"^\W*[\d,.]+(?: (?:million|billion|thousand))?\b(?!-)|^\W*(?:one|two|three|four|five|six|seven|ten)\b"),
)


def value_of(question: str, answer: str) -> str:
    """Label what kind of value an answer is; "" where it is in doubt."""
    short = len(answer.split()) <= 16
    if re.match(FORMS[0][1], answer, re.I):
        return "yes or no"
    for value, form in FORMS[1:] if short else ():
        if re.search(form, answer, re.I):
            return value
    if not short:
        return "explanation" if len(answer.split()) >= 25 else ""
    if re.match(r"(?:.*\b)?(?:who|whom|whose)\b", question, re.I):
        return "party" if COMPANY.search(answer) else "person"
    if re.search(r"\bpart(?:y|ies)\b.*\b(?:sign|are|is)|\bsigned\b", question, re.I):
        return "party"
    if re.search(r"\bwhere\b|\b(?:which|what) (?:country|state|city|place|court|law)\b|governing law", question, re.I):
        return "place"
    return "words"


class Data(NamedTuple):
    """Examples as numbers; -1 where a label is not known."""

    kind: NDArray[np.int64]
    value: NDArray[np.int64]
    fold: NDArray[np.int64]
    weight: NDArray[np.float64]


def matrix(questions: Sequence[str], known: dict[str, int]) -> Any:
    """Return the features of questions as `localrag.question.kinds` weighs them, of shape (questions, features)."""
    found = sparse.lil_matrix((len(questions), len(known)), dtype=np.float32)
    for row, question in enumerate(questions):
        own = [known[feature] for feature in kinds.features(question) if feature in known]
        for column in own:
            found[row, column] = 1 / len(own) ** 0.5
    return found.tocsr()


def vocabulary(questions: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for question in questions:
        for feature in kinds.features(question):
            counts[feature] = counts.get(feature, 0) + 1
    names = sorted(name for name, count in counts.items() if count >= MIN_COUNT)
    return {name: column for column, name in enumerate(names)}


def fit(found: Any, labels: NDArray[np.int64], weight: NDArray[np.float64], count: int) -> Rows:
    """Train a multinomial logistic regression in which rare labels weigh more. The last row is the bias."""
    use = labels >= 0
    found, labels, weight = found[use], labels[use], weight[use]
    sizes = np.bincount(labels, weight, minlength=count)
    weight = weight * ((weight.sum() / count / np.maximum(sizes, 1)) ** BALANCE)[labels]
    target, flipped = np.eye(count)[labels], found.T.tocsr()

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(-1, count)
        scores = found @ weights[:-1] + weights[-1]
        scores -= np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True)) + scores.max(
            1, keepdims=True
        )
        error = (np.exp(scores) - target) * weight[:, None]
        value = -(scores * target * weight[:, None]).sum() + L2 / 2 * np.square(weights[:-1]).sum()
        return value, np.vstack([flipped @ error + L2 * weights[:-1], error.sum(0)]).ravel()

    start = np.zeros((found.shape[1] + 1) * count)
    done = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return done.x.reshape(-1, count).astype(np.float32)


def across_folds(found: Any, data: Data, labels: NDArray[np.int64], count: int, names: Sequence[str]) -> Any:
    """Return the label told for each example of a fold by weights that were trained without its fold."""
    told = np.full(len(labels), -1)
    for fold in range(FOLDS):
        own = data.fold == fold
        weights = fit(found[~own], labels[~own], data.weight[~own], count)
        told[own] = (found[own] @ weights[:-1] + weights[-1]).argmax(1)
    return told


def report(name: str, told: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str]) -> None:
    print(f"\n{name}: {np.mean(told == labels):.3f} of {len(labels)} right")
    for n, label in enumerate(names):
        own, said = labels == n, told == n
        if own.any():
            right = (own & said).sum()
            print(
                f"  {label:12} {own.sum():4} recall {right / own.sum():.2f} precision {right / max(1, said.sum()):.2f}"
            )


def pruned(weights: Rows, known: dict[str, int]) -> tuple[Rows, list[str]]:
    """Return the weights of the features that tell most, and their names."""
    keep = np.sort(np.argsort(-np.abs(weights[:-1] - weights[:-1].mean(1, keepdims=True)).max(1))[:FEATURES])
    names = sorted(known, key=known.__getitem__)
    return np.vstack([weights[keep], weights[-1:]]), [names[n] for n in keep]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--vectors", action="store_true")
    given = parser.parse_args()
    found = list(examples(given.shared))
    questions = [one.question for one in found]
    data = Data(
        np.array([KINDS.index(one.kind) if one.kind else -1 for one in found]),  # type: ignore[arg-type]
        np.array([VALUES.index(one.value) if one.value else -1 for one in found]),  # type: ignore[arg-type]
        np.array([one.fold for one in found]),
        np.array([one.weight for one in found]),
    )
    asked = (data.fold >= 0) & (data.weight == 1)
    ways: dict[str, Any] = {"words": matrix(questions, vocabulary(questions))}
    if given.vectors:
        from localrag import embeddings
        from localrag.settings import load_settings

        embedder = embeddings.load_embedder(load_settings())
        vectors = sparse.csr_matrix(np.array([embedder.embed_question(one) for one in questions]))
        ways |= {"vectors": vectors, "words and vectors": sparse.hstack([ways["words"], vectors]).tocsr()}
    for way, features in ways.items():
        told = across_folds(features, data, data.kind, len(KINDS), KINDS)
        report(f"kinds by {way}", told[asked], data.kind[asked], KINDS)
        told, use = across_folds(features, data, data.value, len(VALUES), VALUES), (data.value >= 0) & (data.fold >= 0)
        report(f"values by {way}", told[use], data.value[use], VALUES)
    if given.write:
        known = vocabulary(questions)
        features = matrix(questions, known)
        both = [
            fit(features, labels, data.weight, count)
            for labels, count in ((data.kind, len(KINDS)), (data.value, len(VALUES)))
        ]
        weights, names = pruned(np.hstack(both), known)
        scale = np.float32(np.abs(weights).max() / 127)
        written = np.round(weights / scale).astype(np.int8)
        stored = np.frombuffer("\n".join(names).encode(), np.uint8)
        file = HERE.parent / "localrag" / "question" / "kinds.npz"
        np.savez_compressed(file, features=stored, weights=written, scale=scale)
        print(f"\n{file}: {len(names):,} features, {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
