"""Which kinds of clauses a contract has, and in which sentences: a linear classifier of words, without a model.

A sentence has a score for each of 58 kinds of clauses (41 of CUAD, 17 of ContractNLI): the weights of its stems and
pairs of stems, of the stems that begin the sentence before it, and of the heading above it. A document has a clause if
the probability that its best sentence gives it reaches `Clauses.threshold`. The weights come from 220 contracts and 89
non-disclosure agreements (benchmarks/clauses/train.py); docs/clauses.md has the data, the figures and the limits.
English contracts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from localrag.errors import NotFoundError
from localrag.quantities import load_words
from localrag.store.text_analysis import WORDS, sentences, stem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localrag.store.library import Library

    Scores = NDArray[np.float32]

_TERM = re.compile(r"[^\W\d_]+|\d+|[%$]")
_SMALL = frozenset(WORDS["common"]["english"].split())
_MAX_SENTENCE, _MAX_HEADING, _UNDER_HEADING, _BEGINNING = 1200, 10, 15, 12
_CONTEXT = 0.5  # the weight of the words around a sentence, beside its own
_MIN_SIZE = 40  # smaller sets count as if they had so many members: one word alone says little


class Sentence(NamedTuple):
    """A sentence: the position of its page in the document, and its half-open span there."""

    position: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ClauseSentence:
    """A sentence that may be a clause, and how likely the document has the clause by it (0 to 1)."""

    sentence: Sentence
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Model:
    """The weights of each feature and clause, the bias, and what makes a probability of a score."""

    clauses: tuple[str, ...]
    rows: dict[str, int]
    weights: Scores  # (features, clauses)
    bias: Scores
    slope: Scores
    offset: Scores
    threshold: Scores
    f1: Scores  # by folds of the training contracts

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return the score of each sentence of a document, in order, and clause; of shape (sentences, clauses)."""
        import numpy as np

        scores = np.tile(self.bias, (len(texts), 1))
        for row, blocks in zip(scores, features(texts), strict=True):
            for names, scale in blocks:
                known = [self.rows[name] for name in names if name in self.rows]
                row += self.weights[known].sum(0) * scale
        return scores


def kinds() -> tuple[str, ...]:
    """Return the ids of all clauses. It loads no numpy, whose threads would keep a process from being confined."""
    words = load_words("localrag.search", "clauses.toml")
    return (*words["kinds"].split(), *words["texts"])


@cache
def load() -> Model:
    """Return the classifier that comes with localrag."""
    import numpy as np

    with resources.files("localrag.search").joinpath("clauses.npz").open("rb") as stream:
        data = np.load(stream, allow_pickle=False)
        names = bytes(data["features"]).decode().split("\n")
        weights = data["weights"].astype(np.float32) * data["scale"]
        numbers = [data[name].astype(np.float32) for name in ("bias", "slope", "offset", "threshold", "f1")]
    return Model(kinds(), {name: row for row, name in enumerate(names)}, weights, *numbers)


class Clauses:
    """Finds clauses in the documents of a library; keeps the scores of the last document."""

    def __init__(self, library: Library) -> None:
        self._library, self._model = library, load()
        self._last: tuple[int, list[Sentence], list[str], Scores] | None = None

    def threshold(self, clause: str) -> float:
        """Return the probability from which a document has the clause: the best F1 on the training contracts."""
        return float(self._model.threshold[self._column(clause)])

    def f1(self, clause: str) -> float:
        """Return how well the clause is found: its F1 on training contracts, each judged by a model without it."""
        return float(self._model.f1[self._column(clause)])

    def find(self, document_id: int, clause: str, k: int = 3) -> list[ClauseSentence]:
        """Return the k sentences that are most like the clause, best first; none of an empty document.

        The first tells whether the document has the clause. Raises NotFoundError for an unknown clause.
        """
        import numpy as np

        column, model = self._column(clause), self._model
        spans, texts, _ = self.scored(document_id)
        own = self.scores(document_id, clause)
        logits = np.clip(model.slope[column] * own + model.offset[column], -30, 30)
        best = np.argsort(-own, kind="stable")[:k]
        return [ClauseSentence(spans[n], texts[n], float(1 / (1 + np.exp(-logits[n])))) for n in best]

    def scores(self, document_id: int, clause: str) -> Scores:
        """Return the score of each sentence of a document; of shape (sentences,)."""
        return self.scored(document_id)[2][:, self._column(clause)]

    def _column(self, clause: str) -> int:
        if clause not in self._model.clauses:
            raise NotFoundError(f"no clause {clause!r}", "There are: " + ", ".join(self._model.clauses))
        return self._model.clauses.index(clause)

    def scored(self, document_id: int) -> tuple[list[Sentence], list[str], Scores]:
        """Return the sentences of a document, their texts, and their scores, of shape (sentences, kinds)."""
        if self._last is None or self._last[0] != document_id:
            pages = [page.text for page in self._library.pages(document_id)]
            spans = [Sentence(n, *span) for n, text in enumerate(pages) for span in split(text)]
            # The line under the head of a table is no sentence.
            spans = [one for one in spans if any(map(str.isalnum, pages[one.position][one.start : one.end]))]
            texts = [pages[n][start:end] for n, start, end in spans]
            self._last = document_id, spans, texts, self._model.scores(texts)
        return self._last[1:]


def split(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences of a text, long ones in parts."""
    spans = []
    for start, end in sentences(text):
        while end - start > _MAX_SENTENCE:
            space = text.rfind(" ", start + _MAX_SENTENCE // 2, start + _MAX_SENTENCE)
            cut = space if space > 0 else start + _MAX_SENTENCE
            spans.append((start, cut))
            start = cut + (text[cut] == " ")
        spans.append((start, end))
    return spans


def features(texts: Sequence[str]) -> Iterator[list[tuple[set[str], float]]]:
    """Yield of each sentence of a document, in order, its sets of features, each with the value of its members.

    Features before a sentence begin with "<", those of its heading with "^". A value is one over the root of the size
    of its set (at least _MIN_SIZE), so that long sentences count no more than others.
    """
    before: list[str] = []
    heading: list[str] = []
    since = _UNDER_HEADING
    for text in texts:
        own = _terms(text)
        blocks = [
            ({*own, *map(" ".join, pairwise(own))}, 1.0),
            ({"<" + term for term in before[:_BEGINNING]}, _CONTEXT),
            ({"^" + term for term in heading} if since < _UNDER_HEADING else set(), _CONTEXT),
        ]
        yield [(names, weight / max(len(names), _MIN_SIZE) ** 0.5) for names, weight in blocks if names]
        before, since = own, since + 1
        if is_heading(text):
            heading, since = own, 0


def _terms(text: str) -> list[str]:
    """Return the stems of a text in order, all numbers as "#"."""
    return ["#" if found[0].isdigit() else _stem(found) for found in _TERM.findall(text)]


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    return stem(word.lower(), "english")


def is_heading(text: str) -> bool:
    """Return whether a sentence is short, and each of its words begins with a capital or is a common one."""
    words = [word for word in text.split() if word[0].isalpha()]
    return (
        0 < len(words) <= len(text.split()) <= _MAX_HEADING
        and not text.endswith((";", ","))
        and all(word[0].isupper() or word in _SMALL for word in words)
    )
