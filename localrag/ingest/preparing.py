"""Chunk what was read, in a thread of its own, while earlier chunks are embedded.

Embedding releases Python's lock, so this thread costs little time. A batch has enough chunks to fill the embedder's
batches, from many small files or one large one; few batches are queued, so that memory does not grow with the folder.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.ingest import chunking
from localrag.store import minhash
from localrag.store.writer import passage_digest
from localrag.types import Chunk, Part, Refused

if TYPE_CHECKING:
    from localrag.embeddings import Embedder

_CHUNKS = 256
_CHARACTERS = 4_000_000
_ENTRIES = 1024
_MAX_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be embedded: its chunks with their digests and texts to embed."""

    part: Part
    chunks: tuple[Chunk, ...]
    keys: tuple[bytes, ...]
    texts: tuple[str, ...]
    signature: bytes
    characters: int


Batch = list[tuple[Path, "Prepared | Refused | None"]]


class Preparer:
    """A context manager that returns an iterator over batches; leaving it ends its thread.

    Args:
        results: from `ReaderPool.read_all`; consumed in the thread.
        embedder: counts tokens and limits them.
    """

    def __init__(self, results: Iterable[tuple[Path, Part | Refused | None]], embedder: Embedder) -> None:
        self._results = results
        self._embedder = embedder
        self._batches: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="localrag-preparer", daemon=True)

    def __enter__(self) -> Iterator[Batch]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *exc: object) -> None:
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._batches.get_nowait()
        self._thread.join(timeout=30)

    def _taken(self) -> Iterator[Batch]:
        while (batch := self._batches.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch

    def _work(self) -> None:
        try:
            for batch in self._gathered():
                if not self._give(batch):
                    return
            self._give(None)
        except BaseException as error:  # raised again by the iterator
            self._give(error)

    def _give(self, batch: Batch | BaseException | None) -> bool:
        while not self._closed.is_set():
            try:
                self._batches.put(batch, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def _gathered(self) -> Iterator[Batch]:
        batch: Batch = []
        for path, result in self._results:
            batch.append((path, self._prepared(result) if isinstance(result, Part) else result))
            if _is_full(batch, 1):
                ended = {path for path, item in batch if item is None}
                # Files are committed whole, unless one alone fills several batches.
                whole = [entry for entry in batch if entry[0] in ended]
                rest = [entry for entry in batch if entry[0] not in ended]
                if _is_full(rest, _MAX_BATCHES):
                    whole, rest = batch, []
                if whole:
                    yield whole
                batch = rest
        if batch:
            yield batch

    def _prepared(self, part: Part) -> Prepared:
        reading, embedder = part.reading, self._embedder
        chunks = chunking.split(reading.pages, count=embedder.count, title=reading.title, limit=embedder.max_tokens)
        return Prepared(
            part, tuple(chunks),
            tuple(passage_digest(reading.title, chunk) for chunk in chunks),
            tuple(chunking.embedded_text(reading.title, chunk) for chunk in chunks),
            minhash.signature("\n".join(page.text for page in reading.pages)),
            sum(len(page.text) for page in reading.pages),
        )  # fmt: skip


def _is_full(batch: Batch, times: int) -> bool:
    documents = [item for _, item in batch if isinstance(item, Prepared)]
    return (
        sum(len(document.chunks) for document in documents) >= times * _CHUNKS
        or sum(document.characters for document in documents) >= times * _CHARACTERS
        or len(batch) >= times * _ENTRIES
    )
