-- Pages hold the text and chunks point into it, so that a quote cannot differ from its page. A passage is what is
-- embedded: chunks with equal text under equal titles share one, so that copies cost nothing. `passages.words` and
-- `documents.naming` list the word ids of the full text that each holds, in order, so that they can be removed again.
-- AUTOINCREMENT: an id is never given twice, so a stale vector index can never point at another passage, and the
-- vector under an id never changes.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES roots ON DELETE CASCADE,
    path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, stamp TEXT NOT NULL,
    UNIQUE (root_id, path));
CREATE INDEX files_by_content ON files (sha256);
CREATE TABLE documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    member TEXT NOT NULL, title TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL,
    paged INTEGER NOT NULL, characters INTEGER NOT NULL, author TEXT NOT NULL, date TEXT NOT NULL,
    skipped TEXT NOT NULL, remarks TEXT NOT NULL, sketch BLOB NOT NULL,
    language TEXT NOT NULL, naming BLOB NOT NULL DEFAULT x'',
    UNIQUE (file_id, member));
CREATE TABLE pages (
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL, number INTEGER, label TEXT, unit TEXT NOT NULL, text TEXT NOT NULL,
    layout TEXT NOT NULL, PRIMARY KEY (document_id, position));
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE, vector BLOB NOT NULL,
    words BLOB NOT NULL DEFAULT x'');
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    passage_id INTEGER NOT NULL REFERENCES passages,
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    heading TEXT NOT NULL, header_start INTEGER, header_end INTEGER, spot TEXT NOT NULL);
CREATE INDEX chunks_of_document ON chunks (document_id, position, start);
CREATE INDEX chunks_of_passage ON chunks (passage_id);
CREATE TABLE terms (id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE);
-- A word as it is written, its term, and how many passages and documents hold it.
CREATE TABLE words (
    id INTEGER PRIMARY KEY, word TEXT NOT NULL, term_id INTEGER NOT NULL REFERENCES terms, held INTEGER NOT NULL,
    UNIQUE (word, term_id));
CREATE INDEX words_of_term ON words (term_id);
-- space 0: passages, 1: names of documents. data: n uint16 ids inside the block of 4,096, then n uint8 counts.
CREATE TABLE postings (
    term_id INTEGER NOT NULL REFERENCES terms, space INTEGER NOT NULL, block INTEGER NOT NULL, n INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (term_id, space, block));
-- How many words each passage of a block has (uint16); 0 if it does not exist.
CREATE TABLE lengths (block INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE near (
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    other_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    similarity REAL NOT NULL, PRIMARY KEY (document_id, other_id)) WITHOUT ROWID;
CREATE INDEX near_other ON near (other_id);
-- Vectors of another embedder, or of other chunks, while they are being made beside those in use.
CREATE TABLE staged (digest BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE failures (
    root_id INTEGER NOT NULL REFERENCES roots ON DELETE CASCADE,
    path TEXT NOT NULL, file TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (root_id, path));
-- Since localrag 0.2; a library made before gets them when it is next opened for writing.
-- What is read of each document (`Fact`), and what people decided of it, by path, so that it outlasts a new version.
CREATE TABLE IF NOT EXISTS facts (
    document_id INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE,
    version TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS decided (
    root_id INTEGER NOT NULL REFERENCES roots ON DELETE CASCADE,
    path TEXT NOT NULL, file TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (root_id, path));
-- The figures of tables, each with its labels, its statement and its period (`figures.table`).
CREATE TABLE IF NOT EXISTS figures (
    document_id INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    line INTEGER NOT NULL, line_stop INTEGER NOT NULL,
    text TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL, scale TEXT NOT NULL,
    label TEXT NOT NULL, col TEXT NOT NULL, section TEXT NOT NULL, words TEXT NOT NULL,
    statement TEXT NOT NULL, title TEXT NOT NULL,
    year INTEGER, month INTEGER, months INTEGER, PRIMARY KEY (document_id, position, start)) WITHOUT ROWID;
