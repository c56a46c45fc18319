"""Nearest vectors by inner product: FAISS, and exact numpy, which is also the oracle FAISS is tested against.

Up to FLAT_ROWS rows FAISS searches float vectors exactly. Beyond, it searches them rounded to a byte a number, and the
best are scored again by the vectors as they are kept, so that scores are exact and only who is a candidate is not
(docs/decisions/0015-vector-index.md). Which of the two depends on the number of rows alone, and the rounding on
nothing but the vector itself: the same rows make the same index, byte for byte, however they came in, and nothing
learned from a row that was removed is left.

Ids are the library's passage ids; each is higher than all before it, so that equal scores come in order of id. A
filter is a set of allowed ids and is applied before the search, so that a narrow filter still gives its k results.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

import numpy as np

from localrag.errors import LibraryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Vectors = NDArray[np.float32]

Kind = Literal["flat", "sq8"]
# Exact search of float vectors takes 17 ms of a processor at 100,000 rows of 384, rounded ones 6 with scoring again.
FLAT_ROWS = 50_000
# Candidates for each result; 1.5 were enough for every one of the exact 100 best of 100,000 and 1,000,000 rows.
_CANDIDATES = 3
_MAGIC = b"localrag-vectors-3\n"
_LONGEST_HEADER = 1 << 16
_PIECE = 1 << 24


class VectorIndex(Protocol):
    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add rows: `ids` of shape (n,), rising and above all before; unit `vectors` of shape (n, dimension)."""
        ...

    def remove(self, ids: Ids) -> None:
        """Take rows out for good; unknown ids are passed over."""
        ...

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k nearest to `question`, of shape (dimension,): ids and cosines, best first; fewer if there are fewer."""
        ...


class ExactIndex:
    """All inner products by numpy. The oracle; also fast enough for some ten thousand rows."""

    def __init__(self, dimension: int) -> None:
        self._ids: Ids = np.empty(0, np.int64)
        self._rows: Vectors = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        self._ids = np.concatenate([self._ids, ids.astype(np.int64)])
        self._rows = np.concatenate([self._rows, vectors.astype(np.float32)])

    def remove(self, ids: Ids) -> None:
        keep = ~np.isin(self._ids, ids)
        self._ids, self._rows = self._ids[keep], self._rows[keep]

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        ids, rows = self._ids, self._rows
        if allowed is not None:
            keep = np.isin(ids, allowed)
            ids, rows = ids[keep], rows[keep]
        return best(ids, rows, question, k)


def best(ids: Ids, rows: Vectors, question: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The k best of these rows by exact inner product; equal scores in order of id."""
    # A row at a time: BLAS adds up some rows in another order, so that equal rows would get unequal scores.
    scores: Vectors = np.einsum("ij,j->i", rows, question)
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def kind_for(rows: int) -> Kind:
    return "flat" if rows <= FLAT_ROWS else "sq8"


@dataclass(frozen=True, slots=True)
class Recall:
    """Which share of the exact best `at` an index found, over some of its own rows as questions."""

    share: float
    at: int
    questions: int


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What the head of an index file says, and how large it is."""

    kind: Kind
    rows: int
    bytes: int
    recall: Recall | None

    def __str__(self) -> str:
        rows, size = f"{self.rows:,} vectors", f"{self.bytes / 1e6:,.1f} MB"
        if self.kind == "flat":
            return f"exact search (up to {FLAT_ROWS:,} vectors): {rows}, {size}"
        found = (
            f"{self.recall.share:.2%} of the exact {self.recall.at} best found, by {self.recall.questions} questions"
            if self.recall
            else "recall not measured"
        )
        return f"a byte a number, the best scored again exactly (beyond {FLAT_ROWS:,} vectors): {rows}, {size}; {found}"


class FaissIndex:
    """Flat search by FAISS, of float vectors or of rounded ones.

    Args:
        dimension: of the vectors.
        kind: how they are kept here.
        originals: for ids in rising order those that are there and their float vectors; without it the rounded vectors
            give the scores.
    """

    def __init__(
        self, dimension: int, kind: Kind = "flat", originals: Callable[[Ids], tuple[Ids, Vectors]] | None = None
    ) -> None:
        import faiss

        # A question is one thread's work; FAISS would have the others spin beside it.
        faiss.omp_set_num_threads(1)
        self.kind: Kind = kind
        self.dimension = dimension
        self.recall: Recall | None = None
        self._originals = originals
        self._ids: Ids = np.empty(0, np.int64)
        # Numbers of a unit vector are about 1/sqrt(dimension); the largest of 2.3 million by MiniLM was 5.1 times that.
        self._step = np.float32(min(1.0, 8 / dimension**0.5) / 127)
        if kind == "flat":
            self._index: Any = faiss.IndexFlatIP(dimension)
        else:
            signed = faiss.ScalarQuantizer.QT_8bit_direct_signed
            self._index = faiss.IndexScalarQuantizer(dimension, signed, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> Ids:
        """All ids, in order."""
        return self._ids

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if not len(ids):
            return
        ids = ids.astype(np.int64)
        if not (np.diff(ids) > 0).all() or (len(self) and ids[0] <= self._ids[-1]):
            raise ValueError("ids must rise, and lie above those that are there")
        rows = np.ascontiguousarray(vectors, np.float32)
        if self.kind == "sq8":
            rows = np.clip(np.rint(rows / self._step), -127, 127)
        self._index.add(rows)
        self._ids = np.concatenate([self._ids, ids])

    def remove(self, ids: Ids) -> None:
        import faiss

        places = self._places(ids)
        if len(places):
            self._index.remove_ids(faiss.IDSelectorBatch(places))
            self._ids = np.delete(self._ids, places)

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        places = None if allowed is None else self._places(allowed)
        there = len(self) if places is None else len(places)
        exactly = self.kind == "sq8" and self._originals is not None
        wanted = min(there, k * _CANDIDATES if exactly else k)
        if wanted <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if not exactly:
            found, scores = self._scan(question, wanted, places)
            # FAISS gives equal scores in the order of its heap.
            order = np.lexsort((found, -scores))
            return self._ids[found[order]], scores[order]
        assert self._originals is not None
        if places is None or len(places) > wanted:
            places, _ = self._scan(question, wanted, places)
        return best(*self._originals(np.sort(self._ids[places])), question, k)

    def _places(self, ids: Ids) -> Ids:
        """Where these ids stand, in order; unknown ones are passed over."""
        # np.unique hashes, which took 330 ms for half a million; ids mostly come in order, which sorting is quick with.
        ids = np.sort(np.asarray(ids, np.int64))
        ids = ids[np.diff(ids, prepend=-1) > 0]
        places = np.searchsorted(self._ids, ids)
        found = places < len(self)
        found[found] = self._ids[places[found]] == ids[found]
        return places[found].astype(np.int64)

    def _scan(self, question: Vectors, k: int, places: Ids | None) -> tuple[Ids, Vectors]:
        """Places and scores of the k best by what is kept here."""
        import faiss

        row = np.ascontiguousarray(question[None, :], np.float32)
        scale = np.float32(1)
        if self.kind == "sq8":
            # FAISS rounds the question to bytes as well, so it is given the whole range of a byte.
            spread = np.float32(max(float(np.abs(row).max()), 1e-9) / 127)
            row, scale = np.rint(row / spread), spread * self._step
        parameters = None
        if places is not None:
            # A bit a row: building FAISS's set of ids takes longer than the search where a filter lets half through.
            bits = np.zeros(len(self), np.uint8)
            bits[places] = 1
            packed = np.packbits(bits, bitorder="little")
            # FAISS's Python layer takes arrays where the types of its C++ layer say otherwise.
            bitmap: Any = faiss.IDSelectorBitmap
            selector = bitmap(packed)
            parameters = faiss.SearchParameters()
            parameters.sel = selector
        scores, found = self._index.search(row, k, params=parameters)
        hits = found[0] >= 0
        return found[0][hits], scores[0][hits] * scale

    # --- as a file ------------------------------------------------------------------------------------------

    def write(self, stream: BinaryIO, library: str, generation: int) -> None:
        """Write the index, marked with the library and the generation that it belongs to."""
        header = {
            "library": library, "generation": generation, "rows": len(self), "dimension": self.dimension,
            "kind": self.kind, "recall": asdict(self.recall) if self.recall else None, "crc32": self._checksum(),
        }  # fmt: skip
        stream.write(_MAGIC + json.dumps(header).encode() + b"\n")
        for piece in self._pieces():
            stream.write(piece)

    def _pieces(self) -> Iterator[bytes]:
        import faiss

        yield self._ids.astype("<i8").tobytes()
        size = len(self) * int(self._index.code_size)
        codes = faiss.rev_swig_ptr(self._index.codes.data(), size) if size else np.empty(0, np.uint8)
        for first in range(0, size, _PIECE):
            yield codes[first : first + _PIECE].tobytes()

    def _checksum(self) -> int:
        value = 0
        for piece in self._pieces():
            value = zlib.crc32(piece, value)
        return value

    @classmethod
    def read(
        cls, stream: BinaryIO, library: str, dimension: int,
        originals: Callable[[Ids], tuple[Ids, Vectors]] | None = None,
    ) -> tuple[int, FaissIndex]:  # fmt: skip
        """Read back what `write` wrote: the generation it was made from, and the index.

        Raises:
            LibraryError: it is damaged, or belongs to another library; the caller builds it again.
        """
        stale = LibraryError("the vector index does not match its library", "It is rebuilt by itself.")
        header = _header(stream)
        if header is None or header["library"] != library or header["dimension"] != dimension:
            raise stale
        index = cls(dimension, header["kind"], originals)
        value, rows = 0, header["rows"]
        ids = _exactly(stream, rows * 8)
        if ids is None:
            raise stale
        value = zlib.crc32(ids)
        size = int(index._index.code_size)
        for first in range(0, rows, at_once := max(1, _PIECE // size)):
            codes = _exactly(stream, min(at_once, rows - first) * size)
            if codes is None:
                raise stale
            value = zlib.crc32(codes, value)
            index._index.add_sa_codes(np.frombuffer(codes, np.uint8).reshape(-1, size))
        if value != header["crc32"] or stream.read(1):
            raise stale
        index._ids = np.frombuffer(ids, "<i8").astype(np.int64)
        index.recall = header["recall"]
        return header["generation"], index


def facts(stream: BinaryIO, size: int, library: str) -> IndexFacts | None:
    """What the head of an index file says; None where it is not of this library. Reads no vectors."""
    header = _header(stream)
    if header is None or header["library"] != library:
        return None
    return IndexFacts(header["kind"], header["rows"], size, header["recall"])


def _header(stream: BinaryIO) -> dict[str, Any] | None:
    """The head of an index file, its values checked for their types; None where it is none."""
    if stream.read(len(_MAGIC)) != _MAGIC:
        return None
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        header = json.loads(stream.readline(_LONGEST_HEADER))
        numbers = [header[name] for name in ("generation", "rows", "dimension", "crc32")]
        sound = header["kind"] in ("flat", "sq8") and isinstance(header["library"], str)
        if sound and all(type(number) is int and number >= 0 for number in numbers):
            header["recall"] = Recall(**header["recall"]) if header["recall"] else None
            return dict(header)
    return None


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    """So many bytes; None where there are fewer. In pieces, since the size may be a lie."""
    parts = []
    while size:
        part = stream.read(min(size, _PIECE))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
