"""Train the weights that tell a term from a name, on contracts whose terms are defined.

    python benchmarks/proofreading/train.py CONTRACT...

A term that a contract defines is an example of a term, as if its definition were gone: the numbers of a phrase do not
know it. Every other phrase in capitals is an example of a name. Prints recall and findings on contracts that were left
out (five parts), for several limits, and the weights of all.
"""

import sys
from pathlib import Path

import numpy as np

from localrag.errors import UsageError
from localrag.redline import proofreading
from localrag.redline.versions import from_files
from localrag.settings import load_settings

PARTS = 5
OFTEN = 5  # the place of how often a phrase is there among the numbers
Array = np.ndarray


def examples(path: Path, group: int) -> tuple[list[tuple[float, ...]], list[bool], list[int]]:
    draft = proofreading.Draft.of(from_files([path], load_settings())[path].pages)
    defined, elsewhere = (
        {proofreading._singular(name).casefold() for name in names} for names in proofreading._defined(draft)
    )
    if not defined or proofreading._P["imported"].search(draft.text):
        return [], [], []
    numbers, terms = [], []
    for one in proofreading.used_phrases(draft):
        name = proofreading._singular(one.name)
        is_term = name.casefold() in defined
        if name in proofreading._COMMON or (name.casefold() in elsewhere and not is_term):
            continue
        if one.is_ours and (is_term or not proofreading._is_explained(one.name, draft.text)):
            numbers.append(one.numbers)
            terms.append(is_term)
    return numbers, terms, [group] * len(terms)


def fit(numbers: Array, terms: Array) -> Array:
    """Return the weights of a logistic regression by Newton's method."""
    weights = np.zeros(numbers.shape[1])
    for _ in range(30):
        likely = 1 / (1 + np.exp(-numbers @ weights))
        slope = numbers.T @ (terms - likely) - weights / 2
        bend = (numbers.T * (likely * (1 - likely))) @ numbers + np.eye(len(weights)) / 2
        weights += np.linalg.solve(bend, slope)
    return weights


def main() -> None:
    every: tuple[list, list, list] = ([], [], [])
    for group, name in enumerate(sys.argv[1:]):
        try:
            for own, more in zip(every, examples(Path(name), group), strict=True):
                own += more
        except UsageError as err:
            print(f"{name}: {err}", file=sys.stderr)
    numbers, terms, groups = (np.array(own, float) for own in every)
    scores = np.zeros(len(terms))
    for part in range(PARTS):
        left = groups % PARTS == part
        scores[left] = numbers[left] @ fit(numbers[~left], terms[~left])
    often = numbers[:, OFTEN] > np.log1p(5)
    for limit in (-1.0, -0.5, 0.0, 0.3, 0.6, 1.0):
        found = scores > limit
        print(
            f"{limit:5}: {found[(terms == 1) & often].mean():.2f} of terms used often, {found[terms == 0].sum()} others"
        )
    print(f"{len(terms)} phrases, {terms.sum():.0f} terms:", [round(float(one), 2) for one in fit(numbers, terms)])


main()
