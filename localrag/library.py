"""One library on the disk: documents, pages, chunks, full text and vectors.

SQLite (`library.db`) is the truth. The FAISS index (`vectors.index`) carries the generation of the database it was
made from; where it is missing, damaged or of another generation it is made again from the vectors that lie beside
their chunks, without embedding anything. Every change of a document is one transaction, so a document is there
whole or not at all. Deleted rows are overwritten (secure_delete, here and in the full-text index).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localrag import vault
from localrag.embedding import EmbedderIdentity
from localrag.errors import EmbedderMismatch, LibraryError, NotFoundError, UsageError
from localrag.names import check_name, matches, no_library
from localrag.schema import DATABASE, INDEX, SCHEMA, TABLES
from localrag.types import Chunk, Document, Failure, Page, Reading, SkippedPage
from localrag.vectors import FaissIndex

if TYPE_CHECKING:
    from localrag.vectors import Ids, Vectors

_DOCUMENT_COLUMNS = """d.id, r.path AS root, d.path, d.title, d.sha256, d.size, d.mtime_ns, d.paged, d.characters,
    d.skipped, (SELECT count(*) FROM pages p WHERE p.document_id = d.id) AS pages"""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with where it stands; `page` and `label` are None in a document without pages."""

    id: int
    document_id: int
    document: str
    title: str
    position: int
    page: int | None
    label: str | None
    start: int
    end: int
    heading: tuple[str, ...]
    text: str


class Library:
    """An open library. Opened for reading it never changes a byte of the database."""

    def __init__(self, name: str, folder: Path, connection: sqlite3.Connection) -> None:
        self.name = name
        self.folder = folder
        self._db = connection
        self._index: tuple[int, FaissIndex] | None = None

    # --- opening --------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: Path, name: str, *, write: bool = False) -> Library:
        """Open a library that exists.

        Raises:
            NotFoundError: there is none of this name.
            LibraryError: the database is damaged, or of another schema.
        """
        check_name(name)
        path = folder / DATABASE
        if not path.is_file():
            raise no_library(folder.parent, name)
        try:
            connection = vault.connect(path, write=write)
            library = cls(name, folder, connection)
            schema = library._meta("schema")
        except sqlite3.DatabaseError as error:
            raise LibraryError(
                f"the library {name!r} cannot be opened: {error}",
                f"If {str(path)!r} is damaged, restore it, or delete {str(folder)!r} and ingest again.",
            ) from error
        if schema != str(SCHEMA):
            raise LibraryError(
                f"the library {name!r} has schema {schema!r}; this localrag reads schema {SCHEMA}",
                "Use the localrag that made it, or ingest the folder again under another name.",
            )
        return library

    @classmethod
    def create(cls, folder: Path, name: str, identity: EmbedderIdentity) -> Library:
        """Open a library for writing, making it where there is none."""
        check_name(name)
        if (folder / DATABASE).is_file():
            return cls.open(folder, name, write=True)
        vault.make_dir(folder)
        path = folder / DATABASE
        # Made under another name, so that a crash in between leaves no half-made library.
        fresh = folder / f"{DATABASE}.new"
        vault.remove(fresh)
        connection = vault.connect(fresh, write=True)
        with vault.storage_errors(path):
            values = {"schema": str(SCHEMA), "generation": "0", "embedder": json.dumps(identity.to_dict())}
            connection.executescript(f"BEGIN; {TABLES}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        vault.move(fresh, path)
        return cls.open(folder, name, write=True)

    def close(self) -> None:
        self._db.close()

    def _select(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._sound():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Damage shows only where it is met, long after the database was opened."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            raise LibraryError(
                f"the library {self.name!r} is damaged: {error}",
                f"Restore {str(self.folder / DATABASE)!r}, or delete {str(self.folder)!r} and ingest again.",
            ) from error

    # --- facts ----------------------------------------------------------------------------------------------

    def _meta(self, key: str) -> str | None:
        rows = self._select("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    @property
    def identity(self) -> EmbedderIdentity:
        """Who made this library's vectors."""
        return EmbedderIdentity(**json.loads(self._meta("embedder") or "{}"))

    @property
    def generation(self) -> int:
        """Counts committed changes; whatever is derived from the database names the one it belongs to."""
        return int(self._meta("generation") or 0)

    def require(self, identity: EmbedderIdentity) -> None:
        """Refuse an embedder whose vectors may not be mixed with those here.

        Raises:
            EmbedderMismatch: it is another model, precision or engine.
        """
        own = self.identity
        if own != identity:
            raise EmbedderMismatch(
                f"the library {self.name!r} was made with {_described(own)}, not {_described(identity)}",
                f"Install that embedder, or make new vectors: localrag ingest FOLDER --name {self.name} --re-embed",
            )

    def roots(self) -> list[str]:
        return [row[0] for row in self._select("SELECT path FROM roots ORDER BY path")]

    def failures(self, root: str | None = None) -> list[Failure]:
        """Files that could not be read at the last ingest."""
        rows = self._select(
            "SELECT f.path, f.reason FROM failures f JOIN roots r ON r.id = f.root_id "
            "WHERE ?1 IS NULL OR r.path = ?1 ORDER BY f.path",
            (root,),
        )
        return [Failure(row["path"], row["reason"]) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many documents, pages, chunks and characters."""
        return {
            "documents": self._count("SELECT count(*) FROM documents"),
            "pages": self._count("SELECT count(*) FROM pages"),
            "chunks": self._count("SELECT count(*) FROM chunks"),
            "characters": self._count("SELECT coalesce(sum(characters), 0) FROM documents"),
        }

    def _count(self, sql: str) -> int:
        return int(self._select(sql)[0][0])

    # --- documents and pages --------------------------------------------------------------------------------

    def documents(self, globs: Sequence[str] | None = None, root: str | None = None) -> list[Document]:
        """Documents whose path matches one of the globs (all without), by path.

        Raises:
            NotFoundError: globs were given and match nothing.
        """
        sql = f"SELECT {_DOCUMENT_COLUMNS} FROM documents d JOIN roots r ON r.id = d.root_id ORDER BY d.path, r.path"
        everything = [_document(row) for row in self._select(sql)]
        found = [doc for doc in everything if root is None or doc.root == root]
        if globs:
            there = {doc.path for doc in found}
            # A path that is there means just that document, whatever signs of a glob stand in it.
            exact = {glob.removeprefix("./") for glob in globs} & there
            rest = [glob for glob in globs if glob.removeprefix("./") not in there]
            found = [doc for doc in found if doc.path in exact or any(matches(doc.path, glob) for glob in rest)]
            if not found:
                import difflib

                near = difflib.get_close_matches(globs[0], [doc.path for doc in everything], 1, 0.3)
                plain = not any(sign in globs[0] for sign in "*?[")
                hint = (
                    f"Did you mean {near[0]!r}?" if near and plain else f"List them with: localrag status {self.name}"
                )
                raise NotFoundError(f"no document in {self.name!r} matches {', '.join(map(repr, globs))}", hint)
        return found

    def document(self, path: str) -> Document:
        """The one document at this path (or the only one with this file name).

        Raises:
            NotFoundError: none, or several roots hold one of this path.
        """
        found = self.documents([path])
        if len(found) > 1:
            raise NotFoundError(
                f"{path!r} names {len(found)} documents in {self.name!r}: "
                + ", ".join(sorted(f"{doc.root}/{doc.path}" for doc in found)[:5]),
                "Give the whole path, as `localrag status` prints it.",
            )
        return found[0]

    def pages(self, document_id: int) -> list[Page]:
        sql = "SELECT number, label, text FROM pages WHERE document_id = ? ORDER BY position"
        return [Page(row["text"], row["number"], row["label"]) for row in self._select(sql, (document_id,))]

    def page_text(self, document_id: int, position: int) -> str:
        sql = "SELECT text FROM pages WHERE document_id = ? AND position = ?"
        rows = self._select(sql, (document_id, position))
        return str(rows[0][0]) if rows else ""

    # --- chunks ---------------------------------------------------------------------------------------------

    def chunks(self, ids: Sequence[int]) -> dict[int, StoredChunk]:
        """Chunks by id; ids that are not there are left out."""
        return {chunk.id: chunk for part in _parts(ids) for chunk in self._chunks(f"c.id IN ({_marks(part)})", part)}

    def chunks_of(self, document_id: int) -> list[StoredChunk]:
        """All chunks of a document, in reading order."""
        return self._chunks("c.document_id = ?", [document_id])

    def chunk_ids(self, document_ids: Sequence[int]) -> Ids:
        rows = [
            row[0]
            for part in _parts(document_ids)
            for row in self._select(f"SELECT id FROM chunks WHERE document_id IN ({_marks(part)})", part)
        ]
        return np.array(sorted(rows), np.int64)

    def _chunks(self, where: str, values: Sequence[int]) -> list[StoredChunk]:
        sql = f"""SELECT c.id, c.document_id, d.path AS document, d.title, c.position, p.number AS page, p.label,
            c.start, c."end", c.heading, substr(p.text, c.start + 1, c."end" - c.start) AS text
            FROM chunks c JOIN documents d ON d.id = c.document_id
            JOIN pages p ON p.document_id = c.document_id AND p.position = c.position
            WHERE {where} ORDER BY c.document_id, c.position, c.start"""
        return [
            StoredChunk(**{**dict(row), "heading": tuple(json.loads(row["heading"]))})
            for row in self._select(sql, values)
        ]

    def search_text(self, query: str, k: int, document_ids: Sequence[int] | None = None) -> list[tuple[int, float]]:
        """Best chunks by BM25 for an FTS5 query: (chunk id, score), higher is better."""
        where, values = "", [query]
        if document_ids is not None:
            # One JSON parameter, since a filter may name more documents than SQLite takes parameters.
            where = "AND c.document_id IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(document_ids)))
        join = "JOIN chunks c ON c.id = f.rowid" if where else ""
        sql = f"""SELECT f.rowid, -bm25(fulltext) AS score FROM fulltext f {join}
            WHERE fulltext MATCH ? {where} ORDER BY score DESC, f.rowid LIMIT {int(k)}"""
        return [(int(row[0]), float(row[1])) for row in self._select(sql, values)]

    def vectors(self) -> tuple[Ids, Vectors]:
        """All ids and vectors, as kept beside the chunks."""
        rows = self._select("SELECT id, vector FROM chunks ORDER BY id")
        ids = np.array([row[0] for row in rows], np.int64)
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4").astype(np.float32)
        return ids, flat.reshape(len(ids), -1) if len(ids) else np.empty((0, self.identity.dimension), np.float32)

    def index(self) -> FaissIndex:
        """The vector index of the present generation, made anew where the file does not fit."""
        generation = self.generation
        if self._index is not None and self._index[0] == generation:
            return self._index[1]
        dimension = self.identity.dimension
        try:
            index = FaissIndex.from_bytes(vault.read_bytes(self.folder / INDEX), generation, dimension)
        except (OSError, LibraryError):
            index = FaissIndex(dimension)
            index.add(*self.vectors())
        self._index = (generation, index)
        return index

    # --- changes, each one transaction ----------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with vault.storage_errors(self.folder), self._sound():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def store(
        self, root: str, path: str, sha256: str, size: int, mtime_ns: int, reading: Reading, chunks: Sequence[Chunk],
        vectors: Vectors,
    ) -> None:  # fmt: skip
        """Put a document in whole, in place of what stood at its path. `vectors` has a row for each chunk."""
        if len(chunks) != len(vectors):
            raise ValueError(f"{len(chunks)} chunks but {len(vectors)} vectors")
        with self._transaction():
            root_id = self._root_id(root)
            self._delete("root_id = ? AND path = ?", (root_id, path))
            self._db.execute("DELETE FROM failures WHERE root_id = ? AND path = ?", (root_id, path))
            paged = any(page.number is not None for page in reading.pages)
            skipped = json.dumps([[page.number, page.reason] for page in reading.skipped])
            characters = sum(len(page.text) for page in reading.pages)
            row = (root_id, path, reading.title, sha256, size, mtime_ns, paged, characters, skipped)
            document_id = self._db.execute(
                "INSERT INTO documents (root_id, path, title, sha256, size, mtime_ns, paged, characters, skipped) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row
            ).lastrowid  # fmt: skip
            self._db.executemany(
                "INSERT INTO pages VALUES (?, ?, ?, ?, ?)",
                [(document_id, i, page.number, page.label, page.text) for i, page in enumerate(reading.pages)],
            )
            for chunk, vector in zip(chunks, np.asarray(vectors, "<f4"), strict=True):
                chunk_id = self._db.execute(
                    'INSERT INTO chunks (document_id, position, start, "end", heading, vector) '
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        document_id,
                        chunk.position,
                        chunk.start,
                        chunk.end,
                        json.dumps(chunk.heading),
                        vector.tobytes(),
                    ),
                ).lastrowid
                heading = " ".join((reading.title, *chunk.heading))
                self._db.execute(
                    "INSERT INTO fulltext (rowid, heading, text) VALUES (?, ?, ?)",
                    (chunk_id, heading, chunk.text),
                )

    def touch(self, document: Document, size: int, mtime_ns: int) -> None:
        """Note that a file was rewritten with the same content."""
        with self._transaction():
            self._db.execute("UPDATE documents SET size = ?, mtime_ns = ? WHERE id = ?", (size, mtime_ns, document.id))

    def note_failure(self, root: str, path: str, reason: str) -> None:
        """Keep why a file could not be read; what an earlier ingest read of it stays."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (self._root_id(root), path, reason))

    def drop_failure(self, root: str, path: str) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM failures WHERE root_id = ? AND path = ?", (self._root_id(root), path))

    def remove(self, documents: Sequence[Document]) -> None:
        """Take documents out: from every table, from the full text, and so from the next vector index."""
        for document in documents:
            with self._transaction():
                self._delete("id = ?", (document.id,))

    def move_root(self, old: str, new: str) -> None:
        """Note that a folder now lies elsewhere; what was read of it stays."""
        roots = self.roots()
        if old not in roots:
            raise NotFoundError(f"{self.name!r} has no root {old!r}", f"Its roots: {', '.join(map(repr, roots))}")
        if new != old and new in roots:
            raise UsageError(
                f"{self.name!r} has {new!r} as a root of its own, so {old!r} cannot become it",
                f"Leave out --root, or begin anew: localrag forget {self.name}, then ingest {new!r}.",
            )
        with self._transaction():
            self._db.execute("UPDATE roots SET path = ? WHERE path = ?", (new, old))

    def replace_vectors(self, identity: EmbedderIdentity, ids: Ids, vectors: Vectors) -> None:
        """Put another embedder's vectors in place of all of them at once."""
        with self._transaction():
            rows = [(row.tobytes(), int(i)) for i, row in zip(ids, np.asarray(vectors, "<f4"), strict=True)]
            self._db.executemany("UPDATE chunks SET vector = ? WHERE id = ?", rows)
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'embedder'", (json.dumps(identity.to_dict()),))

    def save_index(self) -> None:
        """Write the vector index of the present generation, and fold the write-ahead log into the database."""
        self._index = None
        index = self.index()
        vault.write_bytes(self.folder / INDEX, index.to_bytes(self.generation))
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def compact(self) -> None:
        """Give deleted space back to the disk."""
        with vault.storage_errors(self.folder), self._sound():
            self._db.execute("INSERT INTO fulltext (fulltext) VALUES ('optimize')")
            self._db.execute("VACUUM")
        self.save_index()

    def _root_id(self, root: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", (root,))
        return int(self._db.execute("SELECT id FROM roots WHERE path = ?", (root,)).fetchone()[0])

    def _delete(self, where: str, values: tuple[Any, ...]) -> None:
        chosen = f"SELECT id FROM documents WHERE {where}"
        self._db.execute(
            f"DELETE FROM fulltext WHERE rowid IN (SELECT id FROM chunks WHERE document_id IN ({chosen}))",
            values,
        )
        self._db.execute(f"DELETE FROM documents WHERE {where}", values)


def _document(row: sqlite3.Row) -> Document:
    values = dict(row)
    skipped = tuple(SkippedPage(number, reason) for number, reason in json.loads(values.pop("skipped")))
    return Document(**{**values, "paged": bool(values["paged"]), "skipped": skipped})


def _described(identity: EmbedderIdentity) -> str:
    return f"{identity.model} ({identity.precision}, {identity.engine}, {identity.sha256[:8]})"


def _parts(ids: Sequence[int], size: int = 500) -> Iterator[list[int]]:
    plain = [int(i) for i in ids]
    for first in range(0, len(plain), size):
        yield plain[first : first + size]


def _marks(values: Sequence[int]) -> str:
    return ",".join("?" * len(values))
