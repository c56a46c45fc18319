"""Nearest passages in PostgreSQL, by pgvector.

Vectors are kept as 16-bit floats (halfvec) and compared one by one. An owner may give a large library an HNSW index
(Malkov and Yashunin 2016), whose size everybody sees (docs/decisions/0054-postgresql.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag.store.postgres import Connection

if TYPE_CHECKING:
    from localrag.store.vector_index import Ids, Vectors

# Passages from which on a library, or what a filter leaves of it, is searched by the HNSW index.
EXACT_ROWS = 50_000
_SENT_HEADER = 4  # bytes before the numbers in pgvector's binary form


class PostgresIndex:
    """Search by pgvector, with the methods of `LibraryIndex` and of the index that it returns."""

    def __init__(self, connection: Connection, passages: Callable[[int], int]) -> None:
        self._db = connection
        self._passages = passages
        self._generation = self._dimension = 0

    def at(self, library: str, generation: int, dimension: int) -> PostgresIndex:
        self._generation, self._dimension = generation, dimension
        return self

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """The ids and cosines of the k nearest to `question`, of shape (dimension,), best first."""
        passages = self._passages(self._generation)
        available = passages if allowed is None else len(allowed)
        if k <= 0 or not available:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if available > EXACT_ROWS:
            # A filter that passes so much is applied to twice the rows that it should leave: sending it takes longer.
            # In powers of two, since each number is a statement that the connection keeps.
            more = 0 if allowed is None else ceil(log2(2 * passages / available))
            ids, scores = self._near(question, k << max(0, more))
            kept = slice(None) if allowed is None else np.isin(ids, allowed)
            ids, scores = ids[kept][:k], scores[kept][:k]
            if len(ids) == min(k, available):
                return ids, scores
        only = "" if allowed is None else "WHERE id IN (SELECT value FROM json_each(?))"
        values = [] if allowed is None else [json.dumps(allowed.tolist())]
        # The function, for which no index is used, unlike the operator.
        near = "halfvec_negative_inner_product(vector, CAST(? AS halfvec))"
        sql = f"SELECT id, {near} AS near FROM passages {only} ORDER BY near, id LIMIT {int(k)}"
        return _best(self._db.execute(sql, [question, *values]).fetchall())

    def _near(self, question: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The nearest by the HNSW index, whose conditions and order these are; by every row where there is none."""
        order = f"CAST(vector AS halfvec({self._dimension})) <#> CAST(? AS halfvec({self._dimension}))"
        sql = f"""SELECT id, {order} FROM passages WHERE library_id = {self._db.library}
            AND vector_dims(vector) = {self._dimension} ORDER BY {order} LIMIT {int(k)}"""
        return _best(self._db.execute(sql, [question, question]).fetchall())

    def cosines(self, ids: Ids, question: Vectors) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their cosines to a question."""
        sql = """SELECT id, halfvec_negative_inner_product(vector, CAST(? AS halfvec)) FROM passages
            WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"""
        rows = self._db.execute(sql, (question, json.dumps(ids.tolist()))).fetchall()
        return np.array([row[0] for row in rows], np.int64), np.array([-row[1] for row in rows], np.float32)

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their vectors as stored."""
        # As bytes: as text, the numbers of a few hundred vectors take longer to read than a search.
        sql = "SELECT id, halfvec_send(vector) FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        rows = self._db.execute(sql, (json.dumps(ids.tolist()),)).fetchall()
        flat = np.frombuffer(b"".join(row[1][_SENT_HEADER:] for row in rows), ">f2").astype(np.float32)
        return np.array([row[0] for row in rows], np.int64), flat.reshape(len(rows), -1)

    def save(self, library: str, generation: int, dimension: int) -> bool:
        return False

    def clear(self) -> None: ...


def _best(rows: Sequence[Any]) -> tuple[Ids, Vectors]:
    ids, scores = np.array([row[0] for row in rows], np.int64), np.array([-row[1] for row in rows], np.float32)
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order]
