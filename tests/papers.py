"""What the tests of ingest share: ingest with the hashing embedder, and what a library then holds."""

from collections import Counter

import numpy as np
import pytest
from fakes import HashingEmbedder

from localrag.ingest import sync
from localrag.store.postgres import Connection
from localrag.store.text_analysis import written

IDENTITY = HashingEmbedder().identity


def never():
    pytest.fail("the embedder was loaded although nothing changed")


def ingest(library, path, **options):
    options.setdefault("embedder", HashingEmbedder)
    return sync.ingest(library, path, **options)


def contents(library):
    """All that a library holds but its ids, so that two can be compared; vectors as PostgreSQL rounds them."""
    vectors = {
        id_: np.frombuffer(one, "<f4").astype("<f2").tobytes() for id_, one in zip(*all_vectors(library), strict=True)
    }
    return {
        (doc.root, doc.path): (
            doc.sha256,
            [page.text for page in library.pages(doc.id)],
            [(c.position, c.start, c.end) for c in library.chunks_of(doc.id)],
            [vectors[c.passage_id] for c in library.chunks_of(doc.id)],
        )
        for doc in library.documents()
    }


def all_vectors(library):
    rows = library._db.execute("SELECT id, vector FROM passages ORDER BY id").fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def indexed(library):
    ids, _ = library.index().search(np.ones(library.identity.dimension, np.float32), 100_000)
    return sorted(ids.tolist())


def sound(library):
    """Every passage has a chunk, its full-text row and its vector in the index; every chunk has its document."""
    db = library._db
    if not isinstance(db, Connection):  # PostgreSQL checks keys at each commit
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    passages = {row[0] for row in db.execute("SELECT id FROM passages")}
    assert {row[0] for row in db.execute("SELECT DISTINCT passage_id FROM chunks")} == passages
    assert indexed(library) == sorted(passages)
    full_text_is_whole(library)


def full_text_is_whole(library):
    """The postings, lengths and counts of words are just what the words kept beside passages and documents say."""
    db = library._db
    terms = dict(db.execute("SELECT id, term_id FROM words").fetchall())
    expected = {}
    held = Counter()
    lengths = {}
    for space, sql in enumerate(("SELECT id, words FROM passages", "SELECT id, naming FROM documents")):
        for id_, stored in db.execute(sql):
            words = np.frombuffer(stored, "<u4").tolist()
            held.update(set(words))
            for term, times in Counter(terms[word] for word in words).items():
                expected.setdefault((term, space), {})[id_] = min(times, 255)
            if space == 0:
                lengths[id_] = max(len(words), 1)
    assert dict(db.execute("SELECT id, held FROM words").fetchall()) == held
    assert {row[0] for row in db.execute("SELECT id FROM terms")} == set(terms.values())
    found = {}
    for term, space in db.execute("SELECT DISTINCT term_id, space FROM postings").fetchall():
        ids, times = library.text._postings([term], space)[term]
        assert len(ids) and ids.tolist() == sorted(set(ids.tolist()))
        found[term, space] = dict(zip(ids.tolist(), times.astype(int).tolist(), strict=True))
    assert found == expected
    stored_lengths = {
        block * 4096 + i: int(words)
        for block, data in db.execute("SELECT block, data FROM lengths")
        for i, words in enumerate(np.frombuffer(data, "<u2"))
        if words
    }
    assert stored_lengths == lengths


def with_words(library, words):
    return library.text.with_phrase(written(words))
