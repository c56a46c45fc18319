"""What the tests of ingest share: ingest with the hashing embedder, and what a library then holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localrag import ingest as ingesting
from localrag.editing import Editor
from localrag.embedding import HashingEmbedder
from localrag.library import Library
from localrag.reports import IngestReport

IDENTITY = HashingEmbedder().identity


def never() -> HashingEmbedder:
    pytest.fail("the embedder was loaded although nothing changed")


def ingest(library: Editor, path: Path, **options: Any) -> IngestReport:
    options.setdefault("embedder", HashingEmbedder)
    return ingesting.ingest(library, path, **options)


def contents(library: Library) -> dict[tuple[str, str], tuple[str, list[str], list[tuple[int, int, int]], list[bytes]]]:
    """All that a library holds but its ids, so that two can be compared."""
    vectors = dict(zip(*all_vectors(library), strict=True))
    return {
        (doc.root, doc.path): (
            doc.sha256,
            [page.text for page in library.pages(doc.id)],
            [(c.position, c.start, c.end) for c in library.chunks_of(doc.id)],
            [vectors[c.passage_id] for c in library.chunks_of(doc.id)],
        )
        for doc in library.documents()
    }


def all_vectors(library: Library) -> tuple[list[int], list[bytes]]:
    """The ids of all passages, and their vectors as they are stored."""
    rows = library._db.execute("SELECT id, vector FROM passages ORDER BY id").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def sound(library: Library) -> None:
    """Every passage has a chunk, its full-text row and its vector in the index; every chunk has its document."""
    db = library._db
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    passages = {row[0] for row in db.execute("SELECT id FROM passages")}
    assert {row[0] for row in db.execute("SELECT DISTINCT passage_id FROM chunks")} == passages
    assert {row[0] for row in db.execute("SELECT rowid FROM fulltext")} == passages
    assert library.index().ids().tolist() == sorted(passages)
    db.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('integrity-check', 0)")
