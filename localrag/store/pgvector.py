"""Nearest passages in PostgreSQL, by pgvector.

Vectors are kept as 16-bit floats (halfvec). A large library is searched by an HNSW index (Malkov and Yashunin 2016)
over all libraries, which is scanned until enough rows of this library are found; a small one is compared row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag.store.postgres import Connection
from localrag.store.vector_index import arrays

if TYPE_CHECKING:
    from localrag.store.vector_index import Ids, Vectors

# Passages from which on a library is searched by the HNSW index. Comparing each of 50,000 takes about 20 ms.
EXACT_ROWS = 50_000
# Rows that the HNSW index keeps at hand: 100 found all but a few of the exact 100 best.
_EF_SEARCH = 200


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
        if k <= 0 or (allowed is not None and not len(allowed)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        few = (self._passages(self._generation) if allowed is None else len(allowed)) <= EXACT_ROWS
        typed = f"CAST(vector AS halfvec({self._dimension}))"
        asked = f"CAST(? AS halfvec({self._dimension}))"
        only, values = "", []
        if allowed is not None:
            only, values = "AND id IN (SELECT value FROM json_each(?))", [json.dumps(allowed.tolist())]
        if not few:
            rows = self._near(typed, asked, only, question, values, k)
            if len(rows) == k:
                return _best(rows)
        # A sum is no longer the order of the index, so every row is compared.
        sql = f"""SELECT id, {typed} <#> {asked} FROM passages WHERE true {only}
            ORDER BY ({typed} <#> {asked}) + 0, id LIMIT ?"""
        return _best(self._db.execute(sql, [question, *values, question, k]).fetchall())

    def _near(self, typed: str, asked: str, only: str, question: Vectors, values: Sequence[Any], k: int) -> list[Any]:
        """The nearest rows by the HNSW index."""
        for name, value in (
            ("hnsw.ef_search", max(k, _EF_SEARCH)), ("hnsw.iterative_scan", "strict_order"),
            ("hnsw.max_scan_tuples", 1_000_000), ("enable_seqscan", "off"), ("enable_sort", "off"),
        ):  # fmt: skip
            self._db.execute("SELECT set_config(?, ?, false)", (name, str(value)))
        sql = f"""SELECT id, {typed} <#> {asked} FROM passages WHERE vector_dims(vector) = {self._dimension} {only}
            ORDER BY {typed} <#> {asked} LIMIT ?"""
        try:
            return self._db.execute(sql, [question, *values, question, k]).fetchall()
        finally:
            for name in ("enable_seqscan", "enable_sort"):
                self._db.execute("SELECT set_config(?, 'on', false)", (name,))

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their vectors as stored."""
        sql = "SELECT id, vector FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        return arrays(self._db.execute(sql, (json.dumps(ids.tolist()),)).fetchall())

    def save(self, library: str, generation: int, dimension: int) -> bool:
        return False  # the database keeps its index itself

    def clear(self) -> None: ...


def _best(rows: Sequence[Any]) -> tuple[Ids, Vectors]:
    ids, scores = np.array([row[0] for row in rows], np.int64), np.array([-row[1] for row in rows], np.float32)
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order]
