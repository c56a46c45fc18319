"""Text to vectors by onnxruntime: an embedder's ONNX form (models/onnx_export.py), with 8-bit weights.

A text's vector depends only on the text. Activations are scaled to 8 bits by the largest value of a batch, so texts in
one batch would change each other's vectors (cosine 0.995); here each text runs alone, one per core. That is no slower
than batches, since nothing is padded. Vectors differ slightly from those of sentence-transformers (cosine 0.99); the
engine and "int8" in the identity keep the two apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localrag.embeddings import Embedder, EmbedderIdentity
from localrag.errors import Cancelled, ModelError
from localrag.models import machine
from localrag.security import offline

if TYPE_CHECKING:
    from localrag.embeddings import Vectors


class OnnxEmbedder(Embedder):
    """An ONNX graph that holds transformer, pooling and normalisation, and the model's own tokenizer.json.

    `folder` is the sentence-transformers folder (only its tokenizer.json is read), `graph` the ONNX form, and `sha256`
    that of the weights it was made from. Raises ModelError if one of the files cannot be loaded.
    """

    engine = "onnxruntime"

    def __init__(self, model_id: str, folder: Path, graph: Path, sha256: str) -> None:
        offline.set_switches("ORT_DISABLE_TELEMETRY")  # for callers without `offline.confine`
        import onnxruntime
        from tokenizers import Tokenizer

        onnxruntime.disable_telemetry_events()  # Windows builds ignore that switch
        options = onnxruntime.SessionOptions()
        # One thread per text, since `embed_documents` runs several texts: no onnxruntime threads spin or wait.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            metadata = self._session.get_modelmeta().custom_metadata_map
            self._max_length = int(metadata["max_tokens"])
            self._prompts = (metadata["question_prompt"], metadata["document_prompt"])
            dimension = int(metadata["dimension"])
        except Exception as error:  # both libraries raise their own and bare exceptions
            raise ModelError(
                f"cannot load the ONNX form of the embedder {model_id!r} from {str(graph)!r}: {error}",
                f"Check it with: localrag models verify {model_id}",
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.identity = EmbedderIdentity(model_id, sha256, "int8", self.engine, dimension, self._prompts[1])
        # Room for the markers at both ends.
        self.max_tokens = self._max_length - 2 - self.count(self._prompts[1])

    def count(self, text: str) -> int:
        # The batch call without offsets takes a third less time, and chunking counts every sentence.
        return len(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])

    def embed_question(self, text: str) -> Vectors:
        # Use a separate thread: on CPUs with AMX, onnxruntime and llama.cpp each set a thread's tile registers once
        # and then rely on them, so a model that shares the thread would write nonsense.
        with ThreadPoolExecutor(1, "embed") as pool:
            return pool.submit(self._vector, self._prompts[0] + text).result()

    def _rows(self, texts: Sequence[str], stop: Callable[[], bool]) -> Vectors:
        rows = np.empty((len(texts), self.identity.dimension), np.float32)
        # Long texts first, so that no single core ends with one.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        with ThreadPoolExecutor(machine.cores(), "embed") as pool:
            vectors = pool.map(self._vector, [self._prompts[1] + texts[i] for i in order])
            for i, vector in zip(order, vectors, strict=True):
                if stop():
                    pool.shutdown(cancel_futures=True)
                    raise Cancelled("stopped while embedding")
                rows[i] = vector
        return rows

    def _vector(self, text: str) -> Vectors:
        ids = self._tokenizer.encode(text).ids
        if len(ids) > self._max_length:
            ids = [*ids[: self._max_length - 1], ids[-1]]
        row = np.array([ids], np.int64)
        vector: Vectors = self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]
        return vector / max(float(np.linalg.norm(vector)), 1e-12)
