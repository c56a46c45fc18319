"""Train the head that tells whether a question asks for a fact of a document, and for which.

    python benchmarks/facts/questions.py SHARED_FOLDER [--write]

It is a logistic regression on the vector that the sentence encoder makes of the question. Trained on questions.txt,
each wording with several names of documents, and, as questions for no fact, on those of `traindata` in SHARED_FOLDER
(the categories of CUAD that are facts apart). Wordings are in five folds, with all their names; printed are recall and
precision of each role at the threshold, and how many of the other questions pass. `--write` trains on all of it and
writes localrag/items/fact_questions.npz.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from hashlib import sha1
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.items import fact_questions
from localrag.store.text_analysis import FALLBACK, stem

HERE = Path(__file__).parent
_MARK = re.compile(r"\{([dmfp])\}")
FOLDS, NAMES_EACH, L2, SEED = 5, 4, 1e-5, 1
NAMES = """the lease|our contract with Larkspur|the Smaaash franchise agreement|the hosting agreement|this
    contract|the supply agreement with Quillfen|the NDA|the agreement|the consulting agreement between
    Immunotolerance and Crane|it|the PPG distributor deal|our licence from Data Call|the master services
    agreement|Amendment No. 2|the sponsorship contract| the maintenance agreement for the lifts|acme
    msa|the loan|the office lease in Sennowick|the deal with Mercata|the joint venture agreement|the
    Fidelity service agreement 1998"""
OTHER_NAMES = {
    "m": """the mail about the pitch deck|Karl's e-mail of 3 May|the message “Test Keywords”|the mail to the landlord|
        this e-mail|the mail from Larkspur|the email on overtime|the forwarded message|it""",
    "f": """the 10-K|Apple's 10-Q|the 2019 annual report|this filing|the Form 10-Q of Intel|the quarterly report|
        NVDA 2023 Q2|the annual report of Goldman Sachs|it""",
    "p": """the travel policy|the employee handbook|our privacy policy|the study protocol|this policy|the manual|
        the IT security guideline|the safety procedure|SOP 12|it""",
}
OF_CUAD = {
    "Parties": "party",
    "Agreement Date": "signed",
    "Effective Date": "effective",
    "Governing Law": "law",
}
UNCLEAR = (
    "Expiration Date",
    "Renewal Term",
    "Notice Period To Terminate Renewal",
    "Document Name",
    "Termination For Convenience",
)
SETS = (
    "contractnli",
    "maud",
    "privacyqa",
    "acord",
    "tatqa",
    "finqa",
    "medquad",
    "covidqa",
    "gov_faq",
    "it_docs",
    "qmsum",
)
OTHERS = 150  # questions of each other set


def names_of(mark: str) -> list[str]:
    """Return names of the documents that a mark in questions.txt stands for."""
    return [" ".join(one.split()) for one in (OTHER_NAMES.get(mark) or NAMES).split("|")]


def own() -> list[tuple[str, str]]:
    """Return the wordings of questions.txt with their roles."""
    found, role = [], ""
    for line in (HERE / "questions.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            role = line.strip("[]")
        elif line and not line.startswith("#"):
            found.append((line, role))
    return found


def others(shared: Path) -> list[tuple[str, str]]:
    """Return questions of other sets, for no fact but where CUAD's category is one."""
    found: set[tuple[str, str]] = set()
    draw = random.Random(SEED)
    for name in ("cuad", *SETS):
        with gzip.open(shared / "traindata" / name / "qa.jsonl.gz", "rt", encoding="utf-8") as stream:
            rows = [json.loads(line) for line in stream]
        if name == "cuad":
            rows = [row for row in rows if row["style"] == "short" and row["category"] not in UNCLEAR]
            found |= {(row["question"], OF_CUAD.get(row["category"], "none")) for row in rows}
        else:
            questions = sorted({row["question"] for row in rows})
            found |= {(question, "none") for question in draw.sample(questions, min(OTHERS, len(questions)))}
    return sorted(found)


def fold_of(wording: str) -> int:
    return int(sha1(wording.encode()).hexdigest(), 16) % FOLDS


def train(vectors: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return weights of shape (dimension + 1, roles), the last row the bias."""
    rows = np.hstack([vectors, np.ones((len(vectors), 1), np.float32)])
    wanted = np.eye(count, dtype=np.float32)[labels]
    weigh = (1 / np.maximum(1, np.bincount(labels, minlength=count)))[labels] ** 0.5
    weigh = (weigh / weigh.mean())[:, None]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(rows.shape[1], count)
        scores = rows @ weights
        scores -= scores.max(1, keepdims=True)
        shares = np.exp(scores)
        shares /= shares.sum(1, keepdims=True)
        value = -(weigh * wanted * np.log(shares + 1e-12)).sum() / len(rows) + L2 * (flat**2).sum()
        slope = rows.T @ (weigh * (shares - wanted)) / len(rows) + 2 * L2 * weights
        return float(value), slope.ravel().astype(np.float64)

    start = np.zeros(rows.shape[1] * count)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 400})
    return found.x.reshape(rows.shape[1], count).astype(np.float32)


def vocabulary(rows: list[tuple[str, str, int]]) -> dict[str, set[str]]:
    """Return the stems of the words of each role's questions, without those of the documents' names."""
    names = {word for mark in ("d", *OTHER_NAMES) for name in names_of(mark) for word in fact_questions.words(name)}
    names -= {"term", "date", "days"}
    found: dict[str, set[str]] = {role: set() for role in fact_questions.ROLES}
    for wording, role in [*own(), *((question, role) for question, role, _ in rows if not _MARK.search(question))]:
        found[role] |= {
            stem(word, FALLBACK) for word in fact_questions.words(_MARK.sub(" ", wording)) if word not in names
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    draw, encoder = random.Random(SEED), SentenceEncoder()
    rows = [
        (wording.replace(f"{{{mark}}}", name), role, fold_of(wording))
        for wording, role in own()
        for mark in [_MARK.search(wording)[1] if _MARK.search(wording) else ""]
        for name in (draw.sample(names_of(mark), NAMES_EACH) if mark else [""])
    ]
    rows += [(question, role, fold_of(question)) for question, role in others(given.shared)]
    roles = fact_questions.ROLES
    vectors = np.stack([encoder.question(question) for question, *_ in rows])
    labels = np.array([roles.index(role) for _, role, _ in rows])
    folds = np.array([fold for *_, fold in rows])
    shares = np.zeros((len(rows), len(roles)), np.float32)
    for fold in range(FOLDS):
        weights = train(vectors[folds != fold], labels[folds != fold], len(roles))
        shares[folds == fold] = fact_questions.shares(vectors[folds == fold], weights)
    best = shares.argmax(1)
    sure = shares.max(1) >= fact_questions.THRESHOLD
    for at, role in enumerate(roles):
        told = (best == at) & sure
        there, right = (labels == at).sum(), (told & (labels == at)).sum()
        shares_of = f"recall {right / there:.2f} precision {right / max(1, told.sum()):.2f}"
        print(f"{role:20} {there:5} there, {told.sum():5} told, right {right:5}: {shares_of}")
    wrong = (labels == roles.index("none")) & sure & (best != roles.index("none"))
    for at in np.flatnonzero(wrong)[:40]:
        print("  taken for", roles[best[at]], f"{shares[at].max():.2f}", rows[at][0])
    if given.write:
        weights = train(vectors, labels, len(roles))
        known = json.dumps({role: sorted(words) for role, words in vocabulary(rows).items()}).encode()
        place = Path(fact_questions.__file__).with_name("fact_questions.npz")
        np.savez_compressed(place, weights=weights.astype(np.float16), words=np.frombuffer(known, np.uint8))


if __name__ == "__main__":
    main()
