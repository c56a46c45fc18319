"""The tables of a library, and the names of its files.

Pages hold the text, chunks only point into it, so that no text can differ from its page. The full-text table holds its
own copy, since that is what FTS5 deletes cleanly from.
"""

SCHEMA = 1
DATABASE = "library.db"
INDEX = "vectors.index"
LOCK = "library.lock"

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES roots ON DELETE CASCADE,
    path TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, paged INTEGER NOT NULL, characters INTEGER NOT NULL, skipped TEXT NOT NULL,
    UNIQUE (root_id, path));
CREATE TABLE pages (
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL, number INTEGER, label TEXT, text TEXT NOT NULL,
    PRIMARY KEY (document_id, position));
-- AUTOINCREMENT: an id is never given twice, so a stale vector index can never point at another chunk.
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    heading TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX chunks_of_document ON chunks (document_id, position, start);
CREATE VIRTUAL TABLE fulltext USING fts5 (heading, text, tokenize = 'porter unicode61 remove_diacritics 2');
INSERT INTO fulltext (fulltext, rank) VALUES ('secure-delete', 1);
CREATE TABLE failures (
    root_id INTEGER NOT NULL REFERENCES roots ON DELETE CASCADE,
    path TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (root_id, path));
"""
