"""Nearest vectors by inner product: FAISS, and exact numpy, which is also the oracle FAISS is tested against.

Ids are the library's passage ids. A filter is a set of allowed ids and is applied before the search, so that a narrow
filter still gives its k results.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from localrag.errors import LibraryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Vectors = NDArray[np.float32]

_MAGIC = b"localrag-vectors-2\n"


class VectorIndex(Protocol):
    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add rows; `ids` of shape (n,), `vectors` of shape (n, dimension) and unit length."""
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
        scores: Vectors = rows @ question
        # Equal scores in order of id, so that the same question gives the same order.
        best = np.lexsort((ids, -scores))[:k]
        return ids[best], scores[best]


class FaissIndex:
    """Exact flat search by FAISS under the library's own ids."""

    def __init__(self, dimension: int, native: Any = None) -> None:
        import faiss

        self._index = native if native is not None else faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        return int(self._index.d)

    def ids(self) -> Ids:
        """All ids, in order."""
        import faiss

        found: Ids = np.sort(faiss.vector_to_array(self._index.id_map).astype(np.int64))
        return found

    def add(self, ids: Ids, vectors: Vectors) -> None:
        if len(ids):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids.astype(np.int64))

    def remove(self, ids: Ids) -> None:
        import faiss

        if len(ids):
            self._index.remove_ids(faiss.IDSelectorBatch(ids.astype(np.int64)))

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        import faiss

        k = min(k, len(self) if allowed is None else len(allowed))
        if k <= 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        row = np.ascontiguousarray(question[None, :], np.float32)
        if allowed is None:
            scores, ids = self._index.search(row, k)
        else:
            selector = faiss.IDSelectorBatch(allowed.astype(np.int64))
            parameters = faiss.SearchParameters()
            parameters.sel = selector
            scores, ids = self._index.search(row, k, params=parameters)
        hits = ids[0] >= 0
        found, cosines = ids[0][hits], scores[0][hits]
        # FAISS gives equal scores in the order of its heap.
        order = np.lexsort((found, -cosines))
        return found[order], cosines[order]

    def to_bytes(self, library: str, generation: int) -> bytes:
        """The index as a file's content, marked with the library and the generation that it belongs to."""
        import faiss

        header = json.dumps({"library": library, "generation": generation, "rows": len(self)}).encode()
        return b"".join((_MAGIC, header, b"\n", faiss.serialize_index(self._index).tobytes()))

    @classmethod
    def from_bytes(cls, data: bytes, library: str, dimension: int) -> tuple[int, FaissIndex]:
        """Read back `to_bytes`: the generation it was made from, and the index.

        Raises:
            LibraryError: it is damaged, or belongs to another library; the caller builds it again.
        """
        import faiss

        stale = LibraryError("the vector index does not match its library", "It is rebuilt by itself.")
        if not data.startswith(_MAGIC):
            raise stale
        end = data.find(b"\n", len(_MAGIC))
        try:
            header = json.loads(data[len(_MAGIC) : end])
            generation = int(header["generation"])
            if header["library"] != library:
                raise stale
            native = faiss.deserialize_index(np.frombuffer(data, np.uint8, offset=end + 1))
        except (ValueError, KeyError, TypeError, RuntimeError, MemoryError):
            raise stale from None
        if native.ntotal != header["rows"] or native.d != dimension:
            raise stale
        return generation, cls(dimension, native)
