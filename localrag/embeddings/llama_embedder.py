"""Text to vectors by llama.cpp, in this process: an embedder in one GGUF file.

The file says how its tokens become one vector (mean, first or last), the catalog which words go before a question and a
passage. A text's vector depends only on the text: each runs alone on all cores, since neighbours in a batch would
change its last bits, and llama.cpp gains nothing from padding. Runs native code on the file: load only verified ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localrag.embeddings import Embedder, EmbedderIdentity
from localrag.errors import ModelError
from localrag.llm.llama_model import LlamaModel
from localrag.models import machine

if TYPE_CHECKING:
    from localrag.embeddings import Vectors

_LONGEST = 512  # tokens of one text: memory grows with its square, and chunks are shorter


class LlamaEmbedder(Embedder):
    """A GGUF file with a pooling layer, on the processor.

    `precision` is that of its weights, for the identity; `prefixes` go before a question and before a passage. Raises
    ModelError if the file cannot be loaded or makes no vector of a text.
    """

    engine = "llama.cpp"
    slice = 1

    def __init__(
        self, model_id: str, path: Path, sha256: str, precision: str, prefixes: tuple[str, str] = ("", "")
    ) -> None:
        self._model = model = LlamaModel(model_id, path, gpu_layers=0)
        self._prefixes, self._limit = prefixes, min(model.trained, _LONGEST)
        self._frame = model.tokenize("", special=False, markers=True)
        c = model.c
        params = c.llama_context_default_params()
        # An encoder reads a text in one step.
        params.n_ctx = params.n_batch = params.n_ubatch = self._limit
        params.n_threads = params.n_threads_batch = machine.physical_cores()
        params.embeddings = True
        self._handle = c.llama_init_from_model(model.handle, params)
        pooled = (c.LLAMA_POOLING_TYPE_MEAN, c.LLAMA_POOLING_TYPE_CLS, c.LLAMA_POOLING_TYPE_LAST)
        if not self._handle or c.llama_pooling_type(self._handle) not in pooled:
            why = "it makes no vector of a text" if self._handle else model.why()
            raise ModelError(f"{model_id!r} cannot be used as an embedder: {why}", "Choose another embedder.")
        # A thread of its own, as for every model (llama_model.py), which also puts the calls in a row.
        self._thread = ThreadPoolExecutor(1, "embed")
        dimension = int(c.llama_model_n_embd_out(model.handle))
        self.identity = EmbedderIdentity(model_id, sha256, precision, self.engine, dimension, prefixes[1])
        self.max_tokens = self._limit - len(self._frame) - self.count(prefixes[1])

    def count(self, text: str) -> int:
        return len(self._model.tokenize(text, special=False))

    def embed_question(self, text: str) -> Vectors:
        return self._thread.submit(self._vector, self._prefixes[0] + text).result()

    def _rows(self, texts: Sequence[str], stop: Callable[[], bool]) -> Vectors:
        return self._thread.submit(self._vector, self._prefixes[1] + texts[0]).result()

    def _vector(self, text: str) -> Vectors:
        c, tokens = self._model.c, self._model.tokenize(text, special=False, markers=True)
        if len(tokens) > self._limit:
            end = self._frame[1:]  # the marker at the end, if the model has one
            tokens = tokens[: self._limit - len(end)] + end
        if memory := c.llama_get_memory(self._handle):  # only of models that also write
            c.llama_memory_clear(memory, True)
        array = (c.llama_token * len(tokens))(*tokens)  # named, so that it outlives the call
        if c.llama_decode(self._handle, c.llama_batch_get_one(array, len(tokens))) != 0:
            raise ModelError(f"the embedder {self._model.name!r} failed: {self._model.why()}", "Choose another one.")
        row = np.ctypeslib.as_array(c.llama_get_embeddings_seq(self._handle, 0), (self.identity.dimension,))
        vector: Vectors = (row / max(float(np.linalg.norm(row)), 1e-12)).astype(np.float32)
        return vector
