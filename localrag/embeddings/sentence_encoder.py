"""How near sentences come to a question, by a small encoder trained on questions and the sentences that answer them.

The vector of a sentence is the mean of its tokens as the encoder reads them among their neighbours, under the name of
their document (late chunking: Günther et al. 2024). The weights are those of all-MiniLM-L6-v2, trained further by
benchmarks/sentence_encoder/train.py; docs/sentence-encoder.md has the data, the figures and the limits. English.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from localrag.errors import Cancelled
from localrag.models import catalog

if TYPE_CHECKING:
    from localrag.embeddings import Vectors
    from localrag.embeddings.embedders import Session
    from localrag.types import Passage

GRAPH, TOKENIZER = "sentence_encoder.onnx", "sentence_encoder.json"
# Tokens of the sentences of a window, of the name before them, of a window at most, and of a question.
WINDOW, _TITLE, _MOST, _QUESTION = 200, 24, 256, 64
_BEGIN, _END = 101, 102  # BERT's markers
_DIMENSION, _KEPT = 384, 1000  # numbers of a vector, and texts whose vectors are kept
_SEPARATORS = re.compile(r"[_\W]+")


@dataclass(frozen=True, slots=True)
class Text:
    """A text, the half-open spans of its sentences in order, and the name of its document."""

    title: str
    text: str
    spans: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, passage: Passage, spans: Iterable[tuple[int, int]]) -> Text:
        """Return sentences of a passage with the name of its document."""
        return cls(_SEPARATORS.sub(" ", PurePath(passage.document).stem), passage.text, tuple(spans))

    @property
    def digest(self) -> bytes:
        """What tells it from other texts, without its words."""
        return hashlib.blake2b(repr(self).encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Window(NamedTuple):
    """The tokens that are read at once, and of each the sentence that it is of, or -1."""

    ids: list[int]
    sentences: list[int]


class Tokenizer:
    """Makes the tokens of questions and of windows of text."""

    def __init__(self, path: Path) -> None:
        import tokenizers

        self._own = tokenizers.Tokenizer.from_file(str(path))
        self._own.no_truncation()
        self._own.no_padding()

    def count(self, text: str) -> int:
        return len(self._tokens(text))

    def question(self, text: str) -> list[int]:
        return [_BEGIN, *self._tokens(text)[: _QUESTION - 2], _END]

    def windows(self, text: Text) -> Iterator[Window]:
        """Yield windows of whole sentences; what a sentence has beyond a window is not read."""
        title = self._tokens(text.title)[:_TITLE]
        room = _MOST - 2 - len(title)
        ids: list[int] = []
        of: list[int] = []
        for number, (start, end) in enumerate(text.spans):
            own = self._tokens(text.text[start:end])
            if ids and len(ids) + len(own) > WINDOW:
                yield _window(title, ids, of)
                ids, of = [], []
            ids += own[: room - len(ids)]
            of += [number] * (len(ids) - len(of))
        if ids:
            yield _window(title, ids, of)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._own.encode_batch_fast([text], add_special_tokens=False)[0].ids
        return ids


def _window(title: Sequence[int], ids: Sequence[int], of: Sequence[int]) -> Window:
    before = [-1] * (1 + len(title))
    return Window([_BEGIN, *title, *ids, _END], [*before, *of, -1])


class SentenceEncoder:
    """The encoder that comes with localrag, loaded at its first use; it keeps the vectors of the last texts."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Vectors] = {}  # by a digest, so that no text outlives its library

    def nearness(
        self, questions: Sequence[str], texts: Sequence[Text], stop: Callable[[], bool] = lambda: False
    ) -> list[list[float]]:
        """Return the cosine of each sentence of each text to the mean of some questions; raises Cancelled.

        A sentence without a token has -1.
        """
        import numpy as np

        with ThreadPoolExecutor(catalog.cores(), "sentences") as pool:
            question = _unit(np.sum(list(pool.map(self.question, questions)), 0))
            missing = {text.digest: text for text in texts if text.digest not in self._kept}
            known = self._kept | dict(zip(missing, self._vectors(list(missing.values()), pool, stop), strict=True))
        self._kept = dict(list(known.items())[-_KEPT:])
        vectors = [known[text.digest] for text in texts]
        return [np.where(own.any(1), own @ question, -1.0).tolist() for own in vectors]

    def question(self, text: str) -> Vectors:
        """Return the unit vector of a question, of shape (dimension,)."""
        return _unit(self._hidden(_tokenizer().question(text)).mean(0))

    def _vectors(self, texts: Sequence[Text], pool: ThreadPoolExecutor, stop: Callable[[], bool]) -> list[Vectors]:
        """Return the vectors of the sentences of each text, of shape (sentences, dimension); zero without a token."""
        import numpy as np

        windows = [(number, window) for number, text in enumerate(texts) for window in _tokenizer().windows(text)]
        windows.sort(key=lambda one: -len(one[1].ids))  # so that no single core ends with a long one
        found: list[Vectors] = [np.zeros((len(text.spans), _DIMENSION), np.float32) for text in texts]
        read = pool.map(self._hidden, [window.ids for _, window in windows])
        for (number, window), hidden in zip(windows, read, strict=True):
            if stop():
                pool.shutdown(cancel_futures=True)
                raise Cancelled("stopped while sentences were compared")
            of = np.array(window.sentences)
            for sentence in {*window.sentences} - {-1}:
                found[number][sentence] = _unit(hidden[of == sentence].mean(0))
        return found

    def _hidden(self, ids: Sequence[int]) -> Vectors:
        """Return the vector of each token; a window runs alone, since batches change the rounding of 8 bits."""
        import numpy as np

        row = np.array([ids], np.int64)
        hidden: Vectors = _session().run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]
        return hidden


@cache
def _tokenizer() -> Tokenizer:
    with resources.as_file(resources.files("localrag.embeddings") / TOKENIZER) as path:
        return Tokenizer(path)


@cache
def _session() -> Session:
    from localrag.embeddings import embedders

    with resources.as_file(resources.files("localrag.embeddings") / GRAPH) as path:
        return embedders.session(path)


def _unit(vector: Vectors) -> Vectors:
    import numpy as np

    unit: Vectors = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit
