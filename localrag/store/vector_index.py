"""Nearest passages by inner product: a flat FAISS index, kept in a file that can be rebuilt from the database.

Up to FLAT_ROWS rows FAISS searches float vectors exactly. Beyond that it searches vectors rounded to one byte a number,
and scores the best again with the vectors in the database, so that only the choice of candidates is approximate
(docs/decisions/0015-vector-index.md). The kind depends on the number of rows alone and the rounding on each vector
alone: the same rows make the same bytes in whatever order they came, and nothing of a removed row is left.

The file names the library and the generation of the database it was made from. If only the generation differs, the
rows added and removed since are applied, since passage ids are never reused; otherwise it is rebuilt.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from localrag.errors import LibraryError
from localrag.security import storage
from localrag.security.storage import sqlite3

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Vectors = NDArray[np.float32]
    Nearest = tuple[Ids, Vectors]

Kind = Literal["flat", "sq8"]
# At 100,000 rows of 384 numbers, exact search takes 17 ms of a processor, rounded search with rescoring 6 ms.
FLAT_ROWS = 50_000
# Candidates for each result; 1.5 was enough for every one of the exact 100 best of 100,000 and 1,000,000 rows.
_CANDIDATES = 3
_MAGIC = b"localrag-vectors-3\n"
_MAX_HEADER = 1 << 16
_BLOCK = 1 << 24
_ROWS_PER_READ = 8192


def kind_for(rows: int) -> Kind:
    return "flat" if rows <= FLAT_ROWS else "sq8"


def _one_thread() -> None:
    """Answer a question with one thread of FAISS; with more, it keeps the others spinning."""
    import faiss

    faiss.omp_set_num_threads(1)


def best(ids: Ids, rows: Vectors, question: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The k best of these rows by exact inner product; equal scores in order of id."""
    # Row by row: BLAS sums some rows in another order, so that equal rows would get unequal scores.
    scores: Vectors = np.einsum("ij,j->i", rows, question)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


class FaissIndex:
    """Flat search by FAISS, over float vectors, or rounded ones of which `originals` returns the float vectors."""

    def __init__(
        self, dimension: int, kind: Kind = "flat", originals: Callable[[Ids], tuple[Ids, Vectors]] | None = None
    ) -> None:
        import faiss

        _one_thread()
        self.kind: Kind = kind
        self.dimension = dimension
        self._originals = originals
        self.ids: Ids = np.empty(0, np.int64)  # of all rows, ascending
        # Numbers of a unit vector are about 1/sqrt(dimension); the largest of 2.3 million by MiniLM was 5.1 times that.
        self._step = np.float32(min(1.0, 8 / dimension**0.5) / 127)
        if kind == "flat":
            self._index: Any = faiss.IndexFlatIP(dimension)
        else:
            signed = faiss.ScalarQuantizer.QT_8bit_direct_signed
            self._index = faiss.IndexScalarQuantizer(dimension, signed, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add unit vectors of shape (n, dimension); their ids must ascend and lie above all ids so far."""
        if not len(ids):
            return
        ids = ids.astype(np.int64)
        if not (np.diff(ids) > 0).all() or (len(self) and ids[0] <= self.ids[-1]):
            raise ValueError("ids must ascend and lie above the ids of the index")
        rows = np.ascontiguousarray(vectors, np.float32)
        if self.kind == "sq8":
            rows = np.clip(np.rint(rows / self._step), -127, 127)
        self._index.add(rows)
        self.ids = np.concatenate([self.ids, ids])

    def remove(self, ids: Ids) -> None:
        """Remove rows for good; unknown ids are ignored."""
        import faiss

        rows = self._rows_of(ids)
        if len(rows):
            self._index.remove_ids(faiss.IDSelectorBatch(rows))
            self.ids = np.delete(self.ids, rows)

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> Nearest:
        """The ids and cosines of the k nearest to `question`, of shape (dimension,), best first.

        `allowed` is applied before the search, so that a narrow filter still gives k results.
        """
        with self.searching(question, k, allowed) as found:
            return found()

    @contextmanager
    def searching(self, question: Vectors, k: int, allowed: Ids | None = None) -> Iterator[Callable[[], Nearest]]:
        """Yield a function that returns what `search` does; a long scan runs meanwhile in a thread of its own."""
        rows = None if allowed is None else self._rows_of(allowed)
        available = len(self) if rows is None else len(rows)
        rescore = self.kind == "sq8" and self._originals is not None
        wanted = min(available, k * _CANDIDATES if rescore else k)
        if wanted <= 0:
            yield lambda: (np.empty(0, np.int64), np.empty(0, np.float32))
        elif not rescore:
            yield lambda: self._ordered(*self._scan(question, wanted, rows))
        elif rows is not None and len(rows) <= wanted:
            yield lambda: self._rescored(rows, question, k)
        else:
            # How many threads OpenMP takes is set for each thread.
            with ThreadPoolExecutor(1, initializer=_one_thread) as pool:
                scan = pool.submit(self._scan, question, wanted, rows)
                yield lambda: self._rescored(scan.result()[0], question, k)

    def _ordered(self, rows: Ids, scores: Vectors) -> Nearest:
        order = np.lexsort((rows, -scores))  # FAISS returns equal scores in the order of its heap
        return self.ids[rows[order]], scores[order]

    def _rescored(self, rows: Ids, question: Vectors, k: int) -> Nearest:
        """The k best of these rows by the vectors in the database."""
        assert self._originals is not None
        return best(*self._originals(np.sort(self.ids[rows])), question, k)

    def _rows_of(self, ids: Ids) -> Ids:
        """The row numbers of these ids, ascending; unknown ids are ignored."""
        # np.unique hashes, which took 330 ms for half a million ids; they mostly come sorted, which np.sort is fast at.
        ids = np.sort(np.asarray(ids, np.int64))
        ids = ids[np.diff(ids, prepend=-1) > 0]
        rows = np.searchsorted(self.ids, ids)
        found = rows < len(self)
        found[found] = self.ids[rows[found]] == ids[found]
        return rows[found].astype(np.int64)

    def _scan(self, question: Vectors, k: int, rows: Ids | None) -> tuple[Ids, Vectors]:
        """Row numbers and scores of the k best by the vectors stored here."""
        import faiss

        row = np.ascontiguousarray(question[None, :], np.float32)
        scale = np.float32(1)
        if self.kind == "sq8":
            # FAISS rounds the question to bytes as well, so it is scaled to the whole range of a byte.
            spread = np.float32(max(float(np.abs(row).max()), 1e-9) / 127)
            row, scale = np.rint(row / spread), spread * self._step
        parameters = None
        if rows is not None:
            # One bit a row: building FAISS's set of ids takes longer than the search if a filter passes half of them.
            bits = np.zeros(len(self), np.uint8)
            bits[rows] = 1
            packed = np.packbits(bits, bitorder="little")
            bitmap: Any = faiss.IDSelectorBitmap  # takes an array, which its type stub denies
            selector = bitmap(packed)
            parameters = faiss.SearchParameters()
            parameters.sel = selector
        scores, found = self._index.search(row, k, params=parameters)
        hits = found[0] >= 0
        return found[0][hits], scores[0][hits] * scale

    # --- as a file ------------------------------------------------------------------------------------------

    def write(self, stream: BinaryIO, library: str, generation: int) -> None:
        """Write the index with the library and the generation it belongs to."""
        checksum = 0
        for block in self._blocks():
            checksum = zlib.crc32(block, checksum)
        header = {
            "library": library,
            "generation": generation,
            "rows": len(self),
            "dimension": self.dimension,
            "kind": self.kind,
            "crc32": checksum,
        }
        stream.write(_MAGIC + json.dumps(header).encode() + b"\n")
        for block in self._blocks():
            stream.write(block)

    def _blocks(self) -> Iterator[bytes]:
        import faiss

        yield self.ids.astype("<i8").tobytes()
        size = len(self) * int(self._index.code_size)
        codes = faiss.rev_swig_ptr(self._index.codes.data(), size) if size else np.empty(0, np.uint8)
        for first in range(0, size, _BLOCK):
            yield codes[first : first + _BLOCK].tobytes()

    @classmethod
    def read(
        cls,
        stream: BinaryIO,
        library: str,
        dimension: int,
        originals: Callable[[Ids], tuple[Ids, Vectors]] | None = None,
    ) -> tuple[int, FaissIndex]:
        """Read back what `write` wrote: its generation, and the index; LibraryError if it is damaged or another's."""
        stale = LibraryError("the vector index does not match its library", "It is rebuilt automatically.")
        header = _header(stream)
        if header is None or header["library"] != library or header["dimension"] != dimension:
            raise stale
        index = cls(dimension, header["kind"], originals)
        rows = header["rows"]
        ids = _exactly(stream, rows * 8)
        if ids is None:
            raise stale
        checksum = zlib.crc32(ids)
        size = int(index._index.code_size)
        for first in range(0, rows, count := max(1, _BLOCK // size)):
            codes = _exactly(stream, min(count, rows - first) * size)
            if codes is None:
                raise stale
            checksum = zlib.crc32(codes, checksum)
            index._index.add_sa_codes(np.frombuffer(codes, np.uint8).reshape(-1, size))
        index.ids = np.frombuffer(ids, "<i8").astype(np.int64)
        if checksum != header["crc32"] or stream.read(1) or not (np.diff(index.ids, prepend=-1) > 0).all():
            raise stale
        return header["generation"], index


def _header(stream: BinaryIO) -> dict[str, Any] | None:
    """The header of an index file with its types checked; None if it is none."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        return None
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        header = json.loads(stream.readline(_MAX_HEADER))
        numbers = [header[name] for name in ("generation", "rows", "dimension", "crc32")]
        valid = header["kind"] in ("flat", "sq8") and isinstance(header["library"], str)
        if valid and all(type(number) is int and number >= 0 for number in numbers):
            return dict(header)
    return None


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    """This many bytes, None if there are fewer; read in blocks, since the header may state any size."""
    parts = []
    while size:
        part = stream.read(min(size, _BLOCK))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class LibraryIndex:
    """The index of one library, held in memory and in the file at `path`; `select` runs SQL on its database."""

    def __init__(self, path: Path, select: Callable[..., list[sqlite3.Row]]) -> None:
        self._path = path
        self._select = select
        self._held: tuple[int, FaissIndex] | None = None
        self._dimension: int | None = None  # of the index that was asked for

    def at(self, library: str, generation: int, dimension: int) -> FaissIndex:
        """The index of this generation of the database, inside the snapshot that the caller holds."""
        self._dimension = dimension
        if self._held is not None and self._held[0] == generation and self._held[1].dimension == dimension:
            return self._held[1]
        held, index = self._held or (None, None)
        if index is None or index.dimension != dimension:
            held, index = self._read(library, dimension) or (None, None)
            if held is not None and held > generation:  # a writer was faster than this snapshot
                held, index = None, None
        if index is None or (held != generation and not self._update(index)):
            index = FaissIndex(dimension, kind_for(self._count()), self.vectors)
            self._add_after(0, index)
        self._held = generation, index
        return index

    def save(self, library: str, generation: int, dimension: int) -> bool:
        """Write the file of this generation; returns False if it exists."""
        if self._held is None:
            read = self._read(library, dimension)
            if read is not None and read[0] == generation:
                return False
        index = self.at(library, generation, dimension)
        with storage.create(self._path) as stream:
            index.write(stream, library, generation)
        return True

    def clear(self) -> None:
        """Drop the index and its file: the next one comes from the database alone."""
        self._held = None
        storage.remove(self._path)

    def cosines(self, ids: Ids, question: Vectors) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their cosines to a question."""
        known, vectors = self.vectors(ids)
        return known, vectors @ question

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their vectors as stored."""
        sql = "SELECT id, vector FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        return arrays(self._select(sql, (json.dumps(ids.tolist()),)), self._dimension)

    def _read(self, library: str, dimension: int) -> tuple[int, FaissIndex] | None:
        try:
            with storage.open_stream(self._path) as stream:
                return FaissIndex.read(stream, library, dimension, self.vectors)
        except (OSError, LibraryError):
            return None

    def _count(self) -> int:
        return int(self._select("SELECT count(*) FROM passages")[0][0])

    def _update(self, index: FaissIndex) -> bool:
        """Apply what was added and removed since; returns False if the index has to be rebuilt."""
        count = self._count()
        if kind_for(count) != index.kind:
            return False
        held = index.ids
        last = int(held[-1]) if len(held) else 0
        added = int(self._select("SELECT count(*) FROM passages WHERE id > ?", (last,))[0][0])
        if count - added != len(held):
            # One JSON text, read from the narrow index of digests: rows with vectors are 40 times as large.
            stored = json.loads(self._select("SELECT json_group_array(id) FROM passages")[0][0])
            index.remove(np.setdiff1d(held, np.array(stored, np.int64), assume_unique=True))
        self._add_after(last, index)
        return True

    def _add_after(self, last: int, index: FaissIndex) -> None:
        sql = "SELECT id, vector FROM passages WHERE id > ? ORDER BY id LIMIT ?"
        while rows := self._select(sql, (last, _ROWS_PER_READ)):
            ids, vectors = arrays(rows, self._dimension)
            index.add(ids, vectors)
            last = int(ids[-1])


def arrays(rows: list[sqlite3.Row], dimension: int | None = None) -> tuple[Ids, Vectors]:
    """The ids and vectors of rows; LibraryError where they are not alike, or not of this dimension."""
    try:
        if dimension is not None and any(len(row[1]) != 4 * dimension for row in rows):
            raise ValueError(f"one has not {dimension} numbers")
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4").astype(np.float32)
        return np.array([row[0] for row in rows], np.int64), flat.reshape(len(rows), -1)
    except (ValueError, TypeError) as error:
        hint = "Make new ones: localrag ingest FOLDER --re-embed."
        raise LibraryError(f"the vectors of a library are damaged: {error}", hint) from None
