"""What the tests of ingest share: ingest with the hashing embedder, and what a library then holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localrag import ingest as ingesting
from localrag.embedding import HashingEmbedder
from localrag.library import Library
from localrag.types import IngestReport

IDENTITY = HashingEmbedder().identity


def never() -> HashingEmbedder:
    pytest.fail("the embedder was loaded although nothing changed")


def ingest(library: Library, path: Path, **options: Any) -> IngestReport:
    options.setdefault("embedder", HashingEmbedder)
    return ingesting.ingest(library, path, **options)


def contents(library: Library) -> dict[tuple[str, str], tuple[str, list[str], list[tuple[int, int, int]], list[bytes]]]:
    """All that a library holds but its ids, so that two can be compared."""
    ids, rows = library.vectors()
    vectors = {int(i): row.tobytes() for i, row in zip(ids, rows, strict=True)}
    return {
        (doc.root, doc.path): (
            doc.sha256,
            [page.text for page in library.pages(doc.id)],
            [(c.position, c.start, c.end) for c in library.chunks_of(doc.id)],
            [vectors[c.id] for c in library.chunks_of(doc.id)],
        )
        for doc in library.documents()
    }


def sound(library: Library) -> None:
    """Every chunk has its full-text row, its vector in the index, and its document."""
    db = library._db
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    chunks = {row[0] for row in db.execute("SELECT id FROM chunks")}
    assert {row[0] for row in db.execute("SELECT rowid FROM fulltext")} == chunks
    assert len(library.index()) == len(chunks)
    db.execute("INSERT INTO fulltext (fulltext, rank) VALUES ('integrity-check', 0)")
