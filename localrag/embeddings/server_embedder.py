"""An embedder on a model server in the house; see `models.endpoint`.

A server says nothing sure of its weights. So a library records how they embed some words, as signs: those of one model
agree almost everywhere, also in other precisions and batches, those of two in half of the places.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag.embeddings import Embedder, EmbedderIdentity
from localrag.errors import Cancelled, EmbedderMismatch, ModelError
from localrag.models import catalog, endpoint
from localrag.models.endpoint import Refused, Server, Stopped, estimated_tokens

if TYPE_CHECKING:
    from localrag.embeddings import Vectors

ENGINE = "server"
_LONGEST = 254  # tokens of one text, as of the default embedder
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
        self._window = min(window or _LONGEST + 2, _LONGEST + 2)
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
