"""Rows of tables that a question asks for by their label (pure): "What was the gross margin?", "| Gross margin | 36 |".

The cells of a row hardly change a passage's vector, and its label is a few words among a hundred; but a label that says
nearly all that the question asks, and little else, is the answer's own line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from localrag.store.text_analysis import COMMON, folded, tokens

_FIGURE = re.compile(r"\d")
_COMMON = {name: frozenset(map(folded, words)) for name, words in COMMON.items()}


def best(text: str, groups: Sequence[tuple[str, ...]], spoken: str) -> float:
    """How well a row's label fits the question, at best: F1 of their words, from 0 to 1.

    Args:
        text: with rows as Markdown.
        groups: the content words of the question, each as the terms that stand for it.
        spoken: the language of the text.
    """
    wanted = {term: i for i, group in enumerate(groups) for term in group}
    common = _COMMON.get(spoken, _COMMON["english"])
    found = 0.0
    for label in labels(text):
        terms = {token.term for token in tokens(label, spoken) if token.word not in common}
        if terms and len(terms) <= 2 * len(groups):
            met = {wanted[term] for term in terms if term in wanted}
            found = max(found, 2 * len(met) / (len(terms) + len(groups)))
    return found


def labels(text: str) -> Iterator[str]:
    """The label of each row that holds figures: its first cell, if that is not one itself."""
    for line in text.split("\n"):
        if line.startswith("| ") and _FIGURE.search(line):
            label = line[2:].split(" | ", 1)[0].rstrip(" |")
            if label and sum(c.isalpha() for c in label) >= 3:
                yield label
