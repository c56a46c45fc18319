"""The embedders: by onnxruntime, by llama.cpp, and on a model server.

Onnxruntime runs an embedder's ONNX form (models/onnx_export.py), with 8-bit weights. A text's vector depends only on
the text. Activations are scaled to 8 bits by the largest value of a batch, so texts in one batch would change each
other's vectors (cosine 0.995); here each text runs alone, one per core. That is no slower than batches, since nothing
is padded. Vectors differ slightly from those of sentence-transformers (cosine 0.99); the engine and "int8" in the
identity keep the two apart.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag.embeddings import Embedder, EmbedderIdentity
from localrag.errors import Cancelled, EmbedderMismatch, ModelError
from localrag.llm.llama_model import LlamaModel
from localrag.models import catalog, endpoint
from localrag.models.endpoint import Refused, Server, Stopped, estimated_tokens
from localrag.security import offline

if TYPE_CHECKING:
    from localrag.embeddings import Vectors

Session = Any  # onnxruntime's class, which has no types


def session(graph: Path) -> Session:
    """Load an ONNX graph that runs on one thread, since texts run side by side: none of its threads spins or waits."""
    offline.set_switches("ORT_DISABLE_TELEMETRY")  # for callers without `offline.confine`
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows builds ignore that switch
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class OnnxEmbedder(Embedder):
    """An ONNX graph, made of weights of `sha256`, and the tokenizer.json in `folder`; raises ModelError."""

    engine = "onnxruntime"

    def __init__(self, model_id: str, folder: Path, graph: Path, sha256: str) -> None:
        from tokenizers import Tokenizer

        try:
            self._session = session(graph)
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
        with ThreadPoolExecutor(catalog.cores(), "embed") as pool:
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


# --- text to vectors by llama.cpp, in this process: an embedder in one GGUF file ---------------------------------
# The file says how its tokens become one vector (mean, first or last), the catalog which words go before a question and
# a passage. A text's vector depends only on the text: each runs alone on all cores, since neighbours in a batch would
# change its last bits, and llama.cpp gains nothing from padding. Runs native code on the file: load only verified ones.

_LONGEST = 512  # tokens of one text: memory grows with its square, and chunks are shorter


class LlamaEmbedder(Embedder):
    """A GGUF file with a pooling layer; `prefixes` go before a question and before a passage. Raises ModelError."""

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
        params.n_threads = params.n_threads_batch = catalog.physical_cores()
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


# --- an embedder on a model server in the house; see `models.endpoint` -------------------------------------------
# A server says nothing sure of its weights. So a library records how they embed some words, as signs: those of one
# model agree almost everywhere, also in other precisions and batches, those of two in half of the places.

ENGINE = "server"
_LONGEST_TEXT = 254  # tokens of one text, as of the default embedder
_SHORTEST = 200  # letters to which a text is cut, at most, where the server finds it too long
_SIGNS = 256
_MAX_OTHER = 20  # signs that may differ: a cosine of about 0.99
_WORDS = (
    "The lease ends on 31 May.",
    "Notice must be given in writing.",
    "Der Vertrag beginnt am 1. Juli.",
    "42",
    "A cat sleeps in the sun.",
    "Payment is due within thirty days.",
    "import os",
    "Who pays for repairs?",
)


class ServerEmbedder(Embedder):
    """The model `name` of a server; with the `identity` of a library, the one that made its vectors.

    Raises ModelError if it makes no vectors, EmbedderMismatch if they are of other weights.
    """

    def __init__(self, server: Server, name: str | None, identity: EmbedderIdentity | None = None) -> None:
        self._server = server
        self._name, window = endpoint.model_at(server, name if identity is None else identity.model)
        known = catalog.find(self._name)
        self._prefixes = (known.query_prefix, known.passage_prefix) if known is not None else ("", "")
        if identity is not None and identity.prefix != self._prefixes[1]:
            self._prefixes = ("", "")  # made before the catalog knew one
        self._window = min(window or _LONGEST_TEXT + 2, _LONGEST_TEXT + 2)
        rows = self._asked(_WORDS, None)
        among = np.linspace(0, rows.size - 1, _SIGNS).astype(int)
        signs = np.packbits(rows.ravel()[among] > 0).tobytes().hex()
        here = EmbedderIdentity(self._name, signs, "unknown", ENGINE, rows.shape[1], self._prefixes[1])
        if identity is not None and not _alike(here, identity):
            raise EmbedderMismatch(
                f"this library was made with other weights than those of {self._name!r} at {server}",
                "Set embedder_server to the server that made it, or make new vectors: localrag ingest FOLDER "
                "--re-embed",
            )
        self.identity = identity or here
        self.max_tokens = self._window - 2 - self.count(self._prefixes[1])

    def count(self, text: str) -> int:
        return estimated_tokens(text)

    def embed_question(self, text: str) -> Vectors:
        row: Vectors = self._embedded([self._prefixes[0] + text], None)[0]
        return row

    def _rows(self, texts: Sequence[str], stop: Callable[[], bool]) -> Vectors:
        return self._embedded([self._prefixes[1] + text for text in texts], stop)

    def _embedded(self, texts: Sequence[str], stop: Callable[[], bool] | None) -> Vectors:
        """Embed texts; one that the server refuses is tried alone, then cut, as an embedder cuts a text too long."""
        try:
            rows = self._asked(texts, stop)
        except Refused:
            if len(texts) == 1 and len(texts[0]) <= _SHORTEST:
                raise
            halves = [texts[0][: max(_SHORTEST, len(texts[0]) // 2)]]
            parts = [[text] for text in texts] if len(texts) > 1 else [halves]
            return np.concatenate([self._embedded(part, stop) for part in parts])
        if rows.shape[1] != self.identity.dimension:
            raise self._wrong()
        return rows

    def _asked(self, texts: Sequence[str], stop: Callable[[], bool] | None) -> Vectors:
        try:
            reply = self._server.ask(
                f"{self._server.path}/embeddings",
                {"model": self._name, "input": [text or " " for text in texts], "encoding_format": "float"},
                stop,
            )
        except Stopped:
            raise Cancelled("stopped while embedding") from None
        try:
            found = sorted(reply["data"], key=lambda one: int(one["index"]))
            rows = np.stack([_row(one["embedding"]) for one in found])
        except (LookupError, TypeError, ValueError, OverflowError):
            raise self._wrong() from None
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        if len(rows) != len(texts) or rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
            raise self._wrong()
        scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
        return scaled

    def _wrong(self) -> ModelError:
        what = f"the model server {self._server} makes no vector of each text with {self._name!r}"
        return ModelError(what, "Serve an embedder there, with pooling, and name it in the setting `embedder`.")


def _row(value: Any) -> Vectors:
    """Read a vector, as numbers or in Base64."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
    return np.array(value, np.float32)


def _alike(here: EmbedderIdentity, there: EmbedderIdentity) -> bool:
    if (here.model, here.engine, here.dimension) != (there.model, there.engine, there.dimension):
        return False
    return (int(here.sha256, 16) ^ int(there.sha256, 16)).bit_count() <= _MAX_OTHER
