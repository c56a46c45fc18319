"""Texts to vectors: what every embedder does, and sentence-transformers.

Vectors are float32 of unit length, so that the inner product is the cosine. Who made a vector is part of the
library: vectors of two embedders, or of one embedder in two precisions, are never put in one index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from localrag.errors import Cancelled, ModelError
from localrag.models import machine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Precision = Literal["float32", "bfloat16"]
BATCH = 16
_SLICE = 256


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """All that must be equal for two vectors to be comparable."""

    model: str
    sha256: str
    precision: str
    engine: str
    dimension: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Embedder(Protocol):
    """Makes vectors of documents and of questions, which some models treat differently."""

    @property
    def identity(self) -> EmbedderIdentity: ...

    @property
    def max_tokens(self) -> int: ...

    def count(self, text: str) -> int:
        """Tokens of a text, without the model's own markers."""
        ...

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        progress: Callable[[int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Vectors:
        """Vectors of shape (texts, dimension). `progress` is told how many are done.

        Raises:
            Cancelled: `stop` returned True.
        """
        ...

    def embed_question(self, text: str) -> Vectors:
        """The vector of a question, of shape (dimension,)."""
        ...


class SentenceTransformerEmbedder:
    """A sentence-transformers folder, run by torch on the processor.

    In bfloat16 where the processor has it: 1.8 times as fast with cosine 0.99995 to float32
    (docs/decisions/0005-embedding-precision.md).
    """

    engine = "sentence-transformers"

    def __init__(self, model_id: str, folder: Path, sha256: str, precision: Precision | None = None) -> None:
        import logging

        import torch

        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging

        # Their bars and advice would run through ours.
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()

        self.precision: Precision = precision or ("bfloat16" if machine.has_bfloat16() else "float32")
        torch.set_num_threads(machine.cores())
        try:
            self._model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": getattr(torch, self.precision)},
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"cannot load the embedder {model_id!r} from {str(folder)!r}: {error}",
                f"Check it with: localrag models verify {model_id}",
            ) from error
        self._tokenizer = self._model.tokenizer
        dimension = self._model.get_embedding_dimension()
        if not dimension:
            raise ModelError(f"the embedder {model_id!r} does not tell its dimension", "Choose another embedder.")
        self._identity = EmbedderIdentity(model_id, sha256, self.precision, self.engine, int(dimension))

    @property
    def identity(self) -> EmbedderIdentity:
        return self._identity

    @property
    def max_tokens(self) -> int:
        # Room for the two markers at the ends.
        return int(self._model.max_seq_length or 512) - 2

    def count(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        progress: Callable[[int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Vectors:
        # Sorted by length so that a batch is not padded to its one long text.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        vectors = np.empty((len(texts), self._identity.dimension), np.float32)
        for first in range(0, len(order), _SLICE):
            if stop is not None and stop():
                raise Cancelled("stopped while embedding")
            part = order[first : first + _SLICE]
            vectors[part] = self._encode(self._model.encode_document, [texts[i] for i in part])
            if progress is not None:
                progress(min(first + _SLICE, len(order)))
        return vectors

    def embed_question(self, text: str) -> Vectors:
        row: Vectors = self._encode(self._model.encode_query, [text])[0]
        return row

    def _encode(self, encode: Callable[..., Any], texts: list[str]) -> Vectors:
        # numpy has no bfloat16, so the tensor is widened before it leaves torch.
        tensor = encode(texts, batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False)
        return _unit(tensor.float().cpu().numpy())


def _unit(rows: Vectors) -> Vectors:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
