"""Text to vectors: what every embedder does, and how one is loaded.

Vectors are float32 of unit length, so the inner product is the cosine. A library records the identity of its
embedder: vectors of two embedders, or of one embedder in two precisions, are never mixed in one index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from localrag.errors import Cancelled, EmbedderMismatch, ModelError, ModelMissing
from localrag.models import catalog, endpoint
from localrag.models.records import InstalledModel, ModelStore, prompts_of
from localrag.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

Precision = Literal["float32", "bfloat16"]
BATCH = 16
_ENGINES = {False: ("onnxruntime", "sentence-transformers"), True: ("llama.cpp",)}  # of a folder, of a GGUF file


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """Everything that must be equal for two vectors to be comparable."""

    model: str
    sha256: str
    precision: str
    engine: str
    dimension: int
    prefix: str = ""  # before each passage

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Embedder:
    """Makes vectors of documents and of questions, which some models treat differently."""

    identity: EmbedderIdentity
    max_tokens: int
    slice = 32  # texts between two progress reports, where ingest can yield to a question

    def count(self, text: str) -> int:
        """Count the tokens of a text, without the model's own markers."""
        raise NotImplementedError

    def embed_documents(
        self,
        texts: Sequence[str],
        *,
        progress: Callable[[int], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Vectors:
        """Return vectors of shape (texts, dimension); `progress` receives the number done. Raises Cancelled."""
        import numpy as np

        vectors = np.empty((len(texts), self.identity.dimension), np.float32)
        for first in range(0, len(texts), self.slice):
            if stop():
                raise Cancelled("stopped while embedding")
            last = min(first + self.slice, len(texts))
            vectors[first:last] = self._rows(texts[first:last], stop)
            if progress is not None:
                progress(last)
        return vectors

    def embed_question(self, text: str) -> Vectors:
        """Return the vector of a question, of shape (dimension,)."""
        raise NotImplementedError

    def nearness(self, cosines: Vectors) -> Vectors:
        """Return how near texts are by the cosines of their vectors: about 0 if they have nothing in common, at most 1.

        Ranking adds it to other scores, and some embedders' vectors all point one way.
        """
        known = catalog.find(self.identity.model)
        floor = 0.0 if known is None else known.floor
        return (cosines - floor) / (1 - floor)

    def _rows(self, texts: Sequence[str], stop: Callable[[], bool]) -> Any:
        """Return a vector of each of these documents. May raise Cancelled."""
        raise NotImplementedError


def load_embedder(settings: Settings, identity: EmbedderIdentity | None = None) -> Embedder:
    """Load the embedder that made a library's vectors, or for a new one the default, in ONNX form if it can.

    Raises ModelMissing if it is not installed, EmbedderMismatch if it is with other weights or another engine.
    """
    if (settings.embedder_server and identity is None) or (identity is not None and identity.engine == "server"):
        return _served(settings, identity)
    store = ModelStore(settings)
    if identity is None:
        model = store.default("embedder")
        engine = "llama.cpp" if model.is_gguf else "sentence-transformers" if model.onnx is None else "onnxruntime"
        return _loaded(model, engine)
    try:
        model = store.get(identity.model)
    except ModelMissing as error:
        raise ModelMissing(
            f"this library needs the embedder {identity.model!r}, which is not installed",
            f"Install it: localrag models install {identity.model}",
        ) from error
    if model.sha256 == identity.sha256 and identity.engine in _ENGINES[model.is_gguf]:
        if identity.engine == "onnxruntime" and model.onnx is None:
            raise EmbedderMismatch(
                f"this library needs the ONNX form of {identity.model!r}, which is missing",
                f"Type: localrag models install {identity.model} (it makes the ONNX form and downloads nothing).",
            )
        embedder = _loaded(model, identity.engine, identity)
        if embedder.identity == identity:
            return embedder
    raise EmbedderMismatch(
        f"this library was made with {identity.model!r} {identity.sha256[:8]} ({identity.engine}), but "
        f"{model.sha256[:8]} is installed",
        "Install the same one, or make new vectors with `localrag ingest FOLDER --re-embed`.",
    )


def _served(settings: Settings, identity: EmbedderIdentity | None) -> Embedder:
    from localrag.embeddings.embedders import ServerEmbedder

    if not settings.embedder_server:
        raise ModelMissing(
            f"this library needs the embedder {identity.model if identity else None!r} of a model server",
            "Name its server in the setting embedder_server, or make new vectors: localrag ingest FOLDER --re-embed",
        )
    server = endpoint.parsed(settings.embedder_server, "embedder_server")
    return ServerEmbedder(server, settings.embedder, identity)


def _loaded(model: InstalledModel, engine: str, identity: EmbedderIdentity | None = None) -> Embedder:
    # A library made before the catalog knew a prefix stays without it.
    prefixes = model.prefixes if identity is None or identity.prefix == model.prefixes[1] else ("", "")
    if engine == "llama.cpp":
        from localrag.embeddings.embedders import LlamaEmbedder

        weights = str(model.metadata.get("quantisation", "unknown")).lower()
        return LlamaEmbedder(model.id, model.path, model.sha256, weights, prefixes)
    if engine == "onnxruntime" and model.onnx is not None:
        from localrag.embeddings.embedders import OnnxEmbedder

        return OnnxEmbedder(model.id, model.path, model.onnx, model.sha256)
    precision = None if identity is None else cast(Precision, identity.precision)
    return SentenceTransformerEmbedder(model.id, model.path, model.sha256, precision, prefixes)


def quiet_torch() -> Any:
    """Import torch for all cores, and keep the progress bars and advice of the libraries on it off the terminal."""
    import logging

    try:
        import torch
        from transformers.utils import logging as transformers_logging
    except ModuleNotFoundError:
        hint = "Take an embedder in a .gguf file, or install localrag with pip, which brings PyTorch."
        raise ModelError("this model needs PyTorch, which the bundle leaves out", hint) from None

    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(catalog.cores())
    return torch


class SentenceTransformerEmbedder(Embedder):
    """A sentence-transformers folder, run by torch on the CPU, in bfloat16 where it can (docs/decisions/0005)."""

    engine = "sentence-transformers"
    slice = 256  # it sorts them by length, so that one long text does not pad a whole batch

    def __init__(
        self,
        model_id: str,
        folder: Path,
        sha256: str,
        precision: Precision | None = None,
        prefixes: tuple[str, str] = ("", ""),
    ) -> None:
        torch = quiet_torch()
        from sentence_transformers import SentenceTransformer

        self.precision: Precision = precision or ("bfloat16" if catalog.has_bfloat16() else "float32")
        try:
            self._model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"dtype": getattr(torch, self.precision)},
                prompts=prompts_of(prefixes),
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            hint = f"Check it with: localrag models verify {model_id}"
            raise ModelError(f"cannot load the embedder {model_id!r} from {str(folder)!r}: {error}", hint) from error
        self._tokenizer = self._model.tokenizer
        dimension = self._model.get_embedding_dimension()
        if not dimension:
            raise ModelError(f"the embedder {model_id!r} does not state its dimension", "Choose another embedder.")
        self.identity = EmbedderIdentity(model_id, sha256, self.precision, self.engine, int(dimension), prefixes[1])
        self.max_tokens = int(self._model.max_seq_length or 512) - 2  # room for the markers at both ends

    def count(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def embed_question(self, text: str) -> Vectors:
        row: Vectors = self._encode(self._model.encode_query, [text])[0]
        return row

    def _rows(self, texts: Sequence[str], stop: Callable[[], bool]) -> Vectors:
        return self._encode(self._model.encode_document, list(texts))

    def _encode(self, encode: Callable[..., Any], texts: list[str]) -> Vectors:
        import numpy as np

        # numpy has no bfloat16, so widen the tensor before it leaves torch.
        tensor = encode(texts, batch_size=BATCH, convert_to_tensor=True, show_progress_bar=False)
        rows = tensor.float().cpu().numpy()
        scaled: Vectors = (rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
        return scaled
