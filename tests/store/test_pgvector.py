"""Nearest passages in PostgreSQL: the index of a large library finds what comparing every vector finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from papers import IDENTITY
from pg_cluster import Cluster
from stores import new_store

from localrag.store import postgres
from localrag.store.library import Library
from localrag.store.postgres import PostgresIndex
from localrag.store.writer import Editor

pytestmark = pytest.mark.slow

ROWS, DIMENSION = 600, 16
Made = Callable[[str, int], postgres.Connection]


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


VECTORS = unit(np.random.default_rng(1).standard_normal((ROWS, DIMENSION)).astype(np.float32))
QUESTIONS = unit(np.random.default_rng(2).standard_normal((5, DIMENSION)).astype(np.float32))


@pytest.fixture
def made(pg: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Makes libraries of the first of VECTORS in one store, where those of more than 100 rows are large."""
    monkeypatch.setattr(postgres, "EXACT_ROWS", 100)
    store, opened = new_store(pg), []

    def make(name: str, rows: int) -> postgres.Connection:
        postgres.make_library(store, name, {"schema": "3", "embedder": json.dumps({"dimension": DIMENSION})})
        opened.append(connection := postgres.open_library(str(store), name, write=True))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO passages (digest, vector) VALUES (?, ?)",
            [(bytes([at // 256, at % 256]), VECTORS[at]) for at in range(rows)],
        )
        connection.execute("COMMIT")
        connection.execute("SET enable_seqscan = off")  # these libraries are so small that it would be quicker
        return connection

    yield make
    for connection in opened:
        connection.close()


def index_of(connection: postgres.Connection, rows: int) -> PostgresIndex:
    return PostgresIndex(connection, lambda generation: rows).at("", 1, DIMENSION)


def plans(connection: postgres.Connection, index: PostgresIndex, allowed: Any = None) -> str:
    """The plans of the statements of a search."""
    run, found = connection.execute, []

    def explained(sql: str, values: Sequence[Any] = ()) -> Any:
        found.extend(row[0] for row in run(f"EXPLAIN {sql}", values))
        return run(sql, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "execute", explained)
        index.search(QUESTIONS[0], 10, allowed)
    return "\n".join(found)


def nearest(question: Any, k: int, among: Any) -> set[int]:
    """The ids of the k rows nearest to a question; the id of a row is its number from 1."""
    rows = VECTORS[np.asarray(among) - 1].astype(np.float16).astype(np.float32)
    return {int(among[at]) for at in np.argsort(-(rows @ question))[:k]}


def test_the_index_finds_what_comparing_every_row_finds(made: Made) -> None:
    connection, every = made("large", ROWS), np.arange(1, ROWS + 1)
    index = index_of(connection, ROWS)
    assert "vectors_" not in plans(connection, index)
    before = [index.search(question, 10) for question in QUESTIONS]
    postgres.index_vectors(index._db)
    postgres.index_vectors(index._db)
    connection._connect()  # the plan of a statement that was prepared before is kept
    connection.execute("SET enable_seqscan = off")
    assert "Index Scan using vectors_" in plans(connection, index)
    for question, (ids, scores) in zip(QUESTIONS, before, strict=True):
        found, cosines = index.search(question, 10)
        assert set(ids.tolist()) == nearest(question, 10, every)
        assert len(found) == 10 and len(nearest(question, 10, every) & set(found.tolist())) >= 9
        assert (np.diff(cosines) <= 0).all() and cosines[0] == pytest.approx(scores[0], abs=1e-3)
        known, rows = index.vectors(found)
        assert known.tolist() == sorted(found.tolist()) and rows == pytest.approx(VECTORS[known - 1], abs=1e-3)
        assert dict(zip(*map(np.ndarray.tolist, index.cosines(found, question)), strict=True)) == pytest.approx(
            dict(zip(found.tolist(), cosines.tolist(), strict=True)), abs=1e-3
        )


def test_a_search_that_the_index_leaves_short_compares_every_row(made: Made) -> None:
    connection = made("large", ROWS)
    index = index_of(connection, ROWS)
    postgres.index_vectors(index._db)
    allowed = np.array(sorted(set(range(1, ROWS + 1)) - nearest(QUESTIONS[0], 450, np.arange(1, ROWS + 1))))
    assert set(index.search(QUESTIONS[0], 10, allowed)[0].tolist()) == nearest(QUESTIONS[0], 10, allowed)
    assert len(index.search(QUESTIONS[0], ROWS + 50)[0]) == ROWS


def test_a_small_library_beside_a_large_one_finds_its_own_and_has_no_index(made: Made, pg: Cluster) -> None:
    large, small = made("large", ROWS), made("small", 40)
    postgres.index_vectors(index_of(large, ROWS)._db)
    ids, _ = index_of(small, 40).search(QUESTIONS[0], 30)
    assert set(ids.tolist()) == nearest(QUESTIONS[0], 30, np.arange(1, 41))
    names = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'vectors\\_%'"
    assert pg.sql(small.store.database, names) == [[f"vectors_{large.library}_16"]]
    large.execute("SELECT drop_library()")
    large.execute("SELECT drop_left_indexes()")
    assert pg.sql(small.store.database, names) == []


def test_an_ingest_makes_no_index_and_keeps_the_one_that_is_there(
    pg: Cluster, tmp_path: Path, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "EXACT_ROWS", 3)
    store, made = new_store(pg), "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'vectors\\_%'"
    with closing(Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY)) as library:
        for number in range(5):
            put(library, f"{number}.txt", f"Document {number} speaks of topic{number}.")
        library.save_index()
        assert pg.sql(store.database, made) == [[0]]  # everybody would see its size
        postgres.index_vectors(library._db)  # type: ignore[arg-type]
        put(library, "5.txt", "Document 5 speaks of topic5.")
    assert pg.sql(store.database, made) == [[1]]
    with closing(Library.open(tmp_path / "papers", "papers")) as reading:
        ids = reading.passage_ids(None)
        assert set(reading.index().search(reading.vectors(ids)[1][5], 6)[0].tolist()) == set(ids.tolist())
