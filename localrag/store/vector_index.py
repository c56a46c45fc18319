"""The vector index of one library: held in memory, kept in a file, brought level with the database.

The file is derived. It names the library and the generation of the database that it was made from; where it is missing,
damaged, foreign, of another dimension or of a kind that does not fit the number of vectors, it is made again from the
vectors beside their passages, without embedding anything. Where only the generation differs, what was added and removed
since is taken in: ids are never given twice and the vector under an id never changes. Vectors are read in pieces, so
that a million take no more memory than the index itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localrag.errors import IntegrityError, LibraryError
from localrag.security import storage
from localrag.security.storage import sqlite3
from localrag.store.vectors import FaissIndex, IndexFacts, Recall, best, facts, kind_for

if TYPE_CHECKING:
    from localrag.store.vectors import Ids, Vectors

_ROWS_AT_ONCE = 8192
# Passages that serve as questions when an index is measured, and how many of their nearest are looked for.
_QUESTIONS = 32
_AT = 100


class Nearest:
    """The index of the library whose database `select` reads, in the file at `path`."""

    def __init__(self, path: Path, select: Callable[..., list[sqlite3.Row]]) -> None:
        self._path = path
        self._select = select
        self._held: tuple[int, FaissIndex] | None = None

    def at(self, library: str, generation: int, dimension: int) -> FaissIndex:
        """The index of this generation of the database, inside the snapshot that the caller holds."""
        if self._held is not None and self._held[0] == generation and self._held[1].dimension == dimension:
            return self._held[1]
        held, index = self._held or (None, None)
        if index is None or index.dimension != dimension:
            held, index = self._read(library, dimension) or (None, None)
        if index is None or (held != generation and not self._bring_level(index)):
            index = self._made(dimension)
        self._held = generation, index
        return index

    def keep(self, library: str, generation: int, dimension: int) -> bool:
        """Write the file of this generation; False where it is there."""
        if self._held is None:
            read = self._read(library, dimension)
            if read is not None and read[0] == generation:
                return False
        index = self.at(library, generation, dimension)
        with storage.create(self._path) as stream:
            index.write(stream, library, generation)
        return True

    def forget(self) -> None:
        """Hold nothing and keep no file: the next index comes from the database alone."""
        self._held = None
        storage.remove(self._path)

    def facts(self, library: str) -> IndexFacts | None:
        """What the file says of itself, without reading its vectors; None where there is none to use."""
        try:
            with storage.open_stream(self._path) as stream:
                return facts(stream, storage.size(self._path), library)
        except (OSError, IntegrityError):
            return None

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """Of these passages those that are there, in order of their ids, and their vectors as they are kept."""
        sql = "SELECT id, vector FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        return _rows(self._select(sql, (json.dumps(ids.tolist()),)))

    # --- making ---------------------------------------------------------------------------------------------

    def _read(self, library: str, dimension: int) -> tuple[int, FaissIndex] | None:
        try:
            with storage.open_stream(self._path) as stream:
                return FaissIndex.read(stream, library, dimension, self.vectors)
        except (OSError, LibraryError):
            return None

    def _count(self) -> int:
        return int(self._select("SELECT count(*) FROM passages")[0][0])

    def _bring_level(self, index: FaissIndex) -> bool:
        """Take in what was added and removed since; False where the index has to be made anew."""
        count = self._count()
        if kind_for(count) != index.kind:
            return False
        held = index.ids()
        last = int(held[-1]) if len(held) else 0
        fresh = int(self._select("SELECT count(*) FROM passages WHERE id > ?", (last,))[0][0])
        if count - fresh != len(held):
            # One JSON text, read from the narrow index of digests: the rows with their vectors are 40 times as much.
            listed = json.loads(self._select("SELECT json_group_array(id) FROM passages")[0][0])
            index.remove(np.setdiff1d(held, np.array(listed, np.int64), assume_unique=True))
        self._add_after(last, index)
        return True

    def _made(self, dimension: int) -> FaissIndex:
        """A new index from the database alone, measured against exact search where it is not exact itself."""
        count = self._count()
        index = FaissIndex(dimension, kind_for(count), self.vectors)
        oracle = None if index.kind == "flat" else _Oracle(*self._sample(count))
        self._add_after(0, index, oracle)
        if oracle is not None:
            index.recall = oracle.recall(index)
        return index

    def _sample(self, count: int) -> tuple[Ids, Vectors]:
        """Some passages, spread evenly."""
        listed = np.sort(json.loads(self._select("SELECT json_group_array(id) FROM passages")[0][0]))
        return self.vectors(listed[:: max(1, count // _QUESTIONS)][:_QUESTIONS])

    def _add_after(self, last: int, index: FaissIndex, oracle: _Oracle | None = None) -> None:
        sql = "SELECT id, vector FROM passages WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self._select(sql, (last, _ROWS_AT_ONCE)):
            ids, vectors = _rows(rows)
            index.add(ids, vectors)
            if oracle is not None:
                oracle.see(ids, vectors)
            last = int(ids[-1])


class _Oracle:
    """Exact search for some questions over rows that pass by once."""

    def __init__(self, _: Ids, questions: Vectors) -> None:
        self._questions = questions
        self._best: list[tuple[Ids, Vectors]] = [(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in questions]

    def see(self, ids: Ids, vectors: Vectors) -> None:
        for i, question in enumerate(self._questions):
            held, scores = self._best[i]
            more, theirs = best(ids, vectors, question, _AT)
            both, all_scores = np.concatenate([held, more]), np.concatenate([scores, theirs])
            order = np.lexsort((both, -all_scores))[:_AT]
            self._best[i] = both[order], all_scores[order]

    def recall(self, index: FaissIndex) -> Recall:
        shares = [
            len(np.intersect1d(ids, index.search(question, _AT)[0])) / len(ids)
            for question, (ids, _) in zip(self._questions, self._best, strict=True)
        ]
        return Recall(round(sum(shares) / len(shares), 5), _AT, len(shares))


def _rows(rows: list[sqlite3.Row]) -> tuple[Ids, Vectors]:
    try:
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4").astype(np.float32)
        return np.array([row[0] for row in rows], np.int64), flat.reshape(len(rows), -1)
    except (ValueError, TypeError) as error:
        raise LibraryError(
            f"the vectors of a library are damaged: {error}", "Make them anew: localrag ingest FOLDER --re-embed."
        ) from None
