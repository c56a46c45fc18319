"""Change a library, one transaction a change, and define its tables.

Several changes may share a transaction (`with editor.transaction()`). If the process is killed, the library is as after
the last one. SQLite overwrites deleted rows (secure_delete). The statements are in what SQLite and PostgreSQL share.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from localrag import protocol
from localrag.embeddings import EmbedderIdentity
from localrag.errors import NotFoundError, UsageError
from localrag.security import storage
from localrag.store import data_sheets, locations, postgres, text_analysis
from localrag.store.full_text import DOCUMENTS, PASSAGES, Indexer
from localrag.store.library import FIGURE, PATH, Library, permitted
from localrag.store.names import DATABASE, SCHEMA, Tombstones, check_name, exists, keep_store
from localrag.types import Chunk, Document, Fact, Ocr, Page, Part, StoredFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localrag.store.names import Database
    from localrag.store.vector_index import Vectors

    Signatures = NDArray[np.uint32]


# Names how `ingest.chunking` cuts text; a library with another number is chunked again at the next ingest.
CHUNKING_VERSION = 4
_SINCE = "-- Since localrag 0.2"  # where schema.sql has what older libraries lack
TABLES = resources.files("localrag.store").joinpath("schema.sql").read_text(encoding="utf-8")

# Near duplicates linked to a document: all pairs of a thousand form letters would be half a million rows.
_MAX_NEAR = 32
_PAGE = "document_id, position, number, label, unit, text, layout"
_OF_FILE = "file_id IN (SELECT id FROM files WHERE root_id = ? AND path = ?)"
_BY_FILE = ("failures", "decided")  # tables of paths below files
_CHUNK = 'document_id, passage_id, position, start, "end", heading, header_start, header_end, spot'
_COPIED = "title, sha256, size, paged, characters, author, date, skipped, remarks, sketch, language"
# Characters of a document's beginning by which it is found as a whole: a cover, a letterhead, the parties.
_NAME_LENGTH = 1500

_SEPARATORS = re.compile(r"[_/.\-]+")
# The suffix of "report.pdf", but not the end of "Minutes No. 5" or "v1.2".
_SUFFIX = re.compile(r"\.(?=\w*[a-z])\w{1,8}$", re.I)


def passage_digest(title: str, chunk: Chunk) -> bytes:
    """16 bytes that are equal for chunks that are embedded and indexed alike."""
    words = json.dumps([title, chunk.heading, chunk.header_text, chunk.text], ensure_ascii=False)
    return hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Editor(Library):
    """A library opened for writing; its caller holds the library's lock."""

    _writes = True

    def __init__(self, name: str, folder: Path, connection: Database) -> None:
        super().__init__(name, folder, connection)
        self._depth = 0
        # Passages that lost a chunk in this transaction; those without one at its end are deleted.
        self._orphan_candidates: set[int] = set()
        self._written = -1  # the generation that this process committed last
        self._minhashes, self._minhashes_complete = _no_minhashes(), False
        self._indexer = Indexer(connection)

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """Open an existing library, and add the tables that it was made without; errors as of `Library.open`."""
        library = super().open(folder, name)
        if isinstance(library._db, storage.sqlite3.Connection) and not all(map(library._has, ("decided", "figures"))):
            with storage.storage_errors(folder):
                library._db.executescript(f"BEGIN; {TABLES[TABLES.index(_SINCE) :]} COMMIT")
        return library

    @classmethod
    def create(cls, folder: Path, name: str, identity: EmbedderIdentity) -> Editor:
        """Open a library, creating it if it does not exist; errors as of `open`."""
        check_name(name)
        if exists(folder):
            return cls.open(folder, name)
        permitted(folder, name, new=True)
        storage.make_dir(folder)
        path = folder / DATABASE
        # Created under another name, so that a crash leaves no incomplete library.
        fresh = folder / f"{DATABASE}.new"
        storage.remove(fresh)
        connection = storage.connect(fresh, write=True)
        with storage.storage_errors(path):
            connection.executescript(f"BEGIN; {TABLES}")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", _begun(identity).items())
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        storage.move(fresh, path)
        return cls.open(folder, name)

    @classmethod
    def create_in(cls, store: postgres.Store, folder: Path, name: str, identity: EmbedderIdentity) -> Editor:
        """Open the library of this name in a store, creating it if it does not exist; errors as of `open`."""
        if not exists(folder):
            permitted(folder, check_name(name), new=True)
            number = postgres.make_library(store, name, _begun(identity))
            storage.make_dir(folder)
            keep_store(folder, str(store), name, number)
        return cls.open(folder, name)

    def hold(self, root: str | None = None, *, wait: bool = True, on_wait: Callable[[str], None] | None = None) -> None:
        """Keep others from changing the library, or what is below one root of it, until this editor is closed.

        The lock of the folder keeps out processes of this machine; this one holds in a store that machines share.
        Raises LibraryLocked if another holds it and `wait` is False.
        """
        if isinstance(self._db, postgres.Connection):
            self._db.hold(root, f"the library {self.name!r}", wait=wait, on_wait=on_wait)

    def check_own(self) -> None:
        """Raise StorageError for those who do not own the library in its store, and so may not delete it."""
        if isinstance(self._db, postgres.Connection):
            hint = f"localrag store disconnect {self.name} removes it from this machine."
            postgres.check_own(self._db, self.name, "delete it", hint)

    def drop(self) -> None:
        """Delete the library from its store; what is in its folder stays."""
        if isinstance(self._db, postgres.Connection):
            self._db.execute("SELECT drop_library()")
            self._db.execute("SELECT drop_left_indexes()")

    @contextmanager
    def transaction(self, *, counted: bool = True) -> Iterator[None]:
        """Commit all changes inside together or not at all.

        `counted`: they make a new generation, to which whatever is derived from documents refers.
        """
        if self._depth:
            yield
            return
        with storage.storage_errors(self.folder), self._report_damage():
            self._db.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                generation = self.generation
                if generation != self._written:  # another process changed it
                    self._indexer.reset()
                    self._minhashes_complete = False
                yield
                self._drop_orphans()
                self._indexer.flush()
                if counted:
                    self._set("generation", str(generation := generation + 1))
                self._db.execute("COMMIT")
                self._written = generation
            except BaseException:
                self._minhashes, self._minhashes_complete = _no_minhashes(), False
                self._indexer.reset()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
                self._orphan_candidates = set()

    # --- files and documents --------------------------------------------------------------------------------

    def begin(self, root: str, path: str, *, keep: bool = False) -> int:
        """Mark a file as unfinished, and delete what was read of it before; returns the number of the last document.

        With `keep`, documents stay until they are put again, or `finish` gets that number: if reading is interrupted,
        the passages of a large file are still there, and the next run need not embed them.
        """
        with self.transaction():
            root_id = self._root_id(root)
            last = self._db.execute("SELECT coalesce(max(id), 0) FROM documents").fetchone()[0]
            if not keep:
                self._delete_documents(_OF_FILE, (root_id, path))
            self._db.execute("DELETE FROM failures WHERE root_id = ? AND file = ?", (root_id, path))
            self._db.execute(
                "INSERT INTO files (root_id, path, size, mtime_ns, sha256, stamp) VALUES (?, ?, 0, 0, '', '') "
                "ON CONFLICT (root_id, path) DO UPDATE SET sha256 = ''",
                (root_id, path),
            )
            return int(last)

    def put(
        self,
        root: str,
        path: str,
        part: Part,
        chunks: Sequence[Chunk],
        vectors: Mapping[bytes, Vectors],
        signature: bytes = b"",
    ) -> list[int]:
        """Add a document of a file that was begun; returns the ids of its near duplicates.

        `vectors` of shape (dimension,) are by digest, for all chunks that the library does not know yet.
        """
        reading = part.reading
        with self.transaction():
            (file_id,) = self._db.execute(
                "SELECT f.id FROM files f JOIN roots r ON r.id = f.root_id WHERE r.path = ? AND f.path = ?",
                (root, path),
            ).fetchone()
            self._delete_documents("file_id = ? AND member = ?", (file_id, part.name))
            paged = any(page.number is not None for page in reading.pages)
            skipped = json.dumps([[page.number, page.reason] for page in reading.skipped])
            remarks = json.dumps([[remark.number, remark.text] for remark in reading.remarks])
            texts = [page.text for page in reading.pages]
            language = text_analysis.language("\n".join(texts))
            facts = (
                reading.title,
                part.sha256,
                part.size,
                int(paged),
                sum(len(page.text) for page in data_sheets.prose(reading.pages)),
                reading.author,
                reading.date,
            )
            row = (file_id, part.name, *facts, skipped, remarks, signature, language)
            (document_id,) = self._db.execute(
                f"INSERT INTO documents (file_id, member, {_COPIED}) VALUES ({', '.join('?' * len(row))}) RETURNING id",
                row,
            ).fetchone()
            self._db.executemany(
                f"INSERT INTO pages ({_PAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (document_id, i, page.number, page.label, page.unit, page.text, _layout(page))
                    for i, page in enumerate(reading.pages)
                ],
            )
            self._index_name(document_id)
            self._put_chunks(document_id, reading.title, language, reading.pages, chunks, vectors.__getitem__)
            return self._link_near(document_id, part.sha256, signature)

    def finish(
        self, root: str, path: str, size: int, mtime_ns: int, sha256: str, stamp: str, *, before: int = 0
    ) -> None:
        """Mark a file as read (or as unreadable), so that it is skipped until it changes.

        Its documents up to number `before` are those of an earlier version, and deleted.
        """
        with self.transaction():
            if before:
                self._delete_documents(f"{_OF_FILE} AND id <= ?", (self._root_id(root), path, before))
            self._db.execute(
                "INSERT INTO files (root_id, path, size, mtime_ns, sha256, stamp) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (root_id, path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns, "
                "sha256 = excluded.sha256, stamp = excluded.stamp",
                (self._root_id(root), path, size, mtime_ns, sha256, stamp),
            )
            # What was decided of a part of it that is gone goes too; of one that could not be read now, it waits.
            self._db.execute(
                f"DELETE FROM decided WHERE root_id = ? AND file = ? AND path NOT IN (SELECT {PATH} FROM documents d "
                "JOIN files f ON f.id = d.file_id WHERE f.root_id = decided.root_id AND f.path = decided.file) "
                "AND path NOT IN (SELECT path FROM failures WHERE root_id = decided.root_id)",
                (self._root_id(root), path),
            )

    def move(self, root: str, old: str, new: str, size: int, mtime_ns: int) -> None:
        """Give a file another path below its root."""
        with self.transaction():
            values = (new, size, mtime_ns, self._root_id(root), old)
            self._db.execute("UPDATE files SET path = ?, size = ?, mtime_ns = ? WHERE root_id = ? AND path = ?", values)
            for table in _BY_FILE:
                self._db.execute(
                    f"UPDATE {table} SET file = ?, path = ? || substr(path, ?) WHERE root_id = ? AND file = ?",
                    (new, new, len(old) + 1, self._root_id(root), old),
                )
            moved = "SELECT d.id FROM documents d JOIN files f ON f.id = d.file_id WHERE f.root_id = ? AND f.path = ?"
            for row in self._db.execute(moved, (self._root_id(root), new)).fetchall():
                self._index_name(row[0])

    def copy(self, root: str, path: str, size: int, mtime_ns: int, source: int) -> None:
        """Copy a file's documents from another file with the same content."""
        with self.transaction():
            self.begin(root, path)
            row = self._db.execute("SELECT sha256, stamp FROM files WHERE id = ?", (source,)).fetchone()
            self.finish(root, path, size, mtime_ns, *row)
            for document in self._db.execute("SELECT id FROM documents WHERE file_id = ?", (source,)).fetchall():
                (copied,) = self._db.execute(
                    f"INSERT INTO documents (file_id, member, {_COPIED}) SELECT (SELECT f.id FROM files f WHERE "
                    f"f.root_id = ? AND f.path = ?), member, {_COPIED} FROM documents WHERE id = ? RETURNING id",
                    (self._root_id(root), path, document["id"]),
                ).fetchone()
                for table, columns, order in (("pages", _PAGE, "position"), ("chunks", _CHUNK, "id")):
                    copies = columns.replace("document_id", "CAST(? AS BIGINT)")
                    self._db.execute(
                        f"INSERT INTO {table} ({columns}) SELECT {copies} FROM {table} WHERE document_id = ? "
                        f"ORDER BY {order}",
                        (copied, document["id"]),
                    )
                self._index_name(copied)

    def same_content(self, sha256: str, stamp: str) -> list[tuple[StoredFile, str]]:
        """Finished files with this content and reader stamp, each with its root."""
        rows = self._select(
            "SELECT f.id, f.path, f.size, f.mtime_ns, f.sha256, f.stamp, r.path AS root FROM files f "
            "JOIN roots r ON r.id = f.root_id WHERE f.sha256 = ? AND f.stamp = ? "
            "AND EXISTS (SELECT 1 FROM documents d WHERE d.file_id = f.id) ORDER BY f.id",
            (sha256, stamp),
        )
        return [(StoredFile(*tuple(row)[:6]), row["root"]) for row in rows]

    def note_failure(self, root: str, path: str, reason: str, file: str | None = None) -> None:
        """Store why a file, or something inside `file`, could not be read."""
        with self.transaction():
            row = (self._root_id(root), path, path if file is None else file, reason)
            self._db.execute(
                "INSERT INTO failures (root_id, path, file, reason) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (root_id, path) DO UPDATE SET file = excluded.file, reason = excluded.reason",
                row,
            )

    def drop_failures(self, root: str, files: Iterable[str]) -> None:
        with self.transaction():
            root_id = self._root_id(root)
            self._db.executemany("DELETE FROM failures WHERE root_id = ? AND file = ?", [(root_id, f) for f in files])

    def remove_files(self, root: str, paths: Iterable[str]) -> None:
        """Delete files with their documents."""
        with self.transaction():
            root_id = self._root_id(root)
            for path in paths:
                self._delete_documents(_OF_FILE, (root_id, path))
                self._db.execute("DELETE FROM files WHERE root_id = ? AND path = ?", (root_id, path))
                for table in _BY_FILE:
                    self._db.execute(f"DELETE FROM {table} WHERE root_id = ? AND file = ?", (root_id, path))

    def remove(self, documents: Sequence[Document]) -> None:
        """Delete documents from every table, the full text and the vector index."""
        with self.transaction():
            for document in documents:
                self._delete_documents("id = ?", (document.id,))
                self.decide(document, ())
            # A file without documents is read again in the next ingest.
            self._db.execute(
                "DELETE FROM files WHERE id NOT IN (SELECT file_id FROM documents) "
                "AND path NOT IN (SELECT file FROM failures)"
            )

    def move_root(self, old: str, new: str) -> None:
        """Give a root another path; its documents stay."""
        roots = self.roots()
        if old not in roots and new in roots:
            return  # done by an earlier run
        if old not in roots:
            raise NotFoundError(f"{self.name!r} has no root {old!r}", f"Its roots: {', '.join(map(repr, roots))}")
        if new != old and new in roots:
            hint = f"Leave out --root, or start over: localrag forget {self.name}, then ingest {new!r}."
            raise UsageError(f"{new!r} is a root of {self.name!r} already, so {old!r} cannot become it", hint)
        with self.transaction():
            self._db.execute("UPDATE roots SET path = ? WHERE path = ?", (new, old))

    def save_ocr_choice(self, ocr: Ocr | None, languages: Sequence[str] | None) -> None:
        """Choose when to use text recognition for this library, and for which languages; None changes nothing."""
        if ocr is None and languages is None:
            return
        known_ocr, known_languages = self.ocr_choice
        value = json.dumps([ocr or known_ocr, list(languages if languages is not None else known_languages)])
        with self.transaction():
            self._set("reading", value)

    def instruct(self, text: str) -> None:
        """Store instructions for the wording of answers; an empty text removes them."""
        with self.transaction():
            self._set("instructions", text)

    @property
    def tombstones(self) -> Tombstones:
        kept = self._meta("forgotten")
        return Tombstones.from_json(kept) if kept else Tombstones.new()

    def save_tombstones(self, stones: Tombstones) -> None:
        with self.transaction():
            self._set("forgotten", stones.to_json())

    # --- facts ----------------------------------------------------------------------------------------------

    def save_facts(self, document: Document, version: str, facts: Sequence[Fact], decided: Sequence[Fact]) -> None:
        """Store the facts that a version of the code read of a document, and what people decided of them.

        Nothing is stored of a document that another machine, at another root of the library, has replaced meanwhile.
        """
        with self.transaction(counted=False):
            if self._db.execute("SELECT 1 FROM documents WHERE id = ?", (document.id,)).fetchone() is None:
                return
            self._db.execute("DELETE FROM facts WHERE document_id = ?", (document.id,))
            row = (document.id, version, json.dumps(protocol.to_plain(facts), ensure_ascii=False))
            self._db.execute("INSERT INTO facts (document_id, version, data) VALUES (?, ?, ?)", row)
            self.decide(document, decided)

    def save_figures(self, document: Document, figures: Sequence[tuple[Any, ...]]) -> None:
        """Store the figures of a document's tables, a row of the columns FIGURE each, instead of what was there."""
        with self.transaction(counted=False):
            if self._db.execute("SELECT 1 FROM documents WHERE id = ?", (document.id,)).fetchone() is None:
                return
            self._db.execute("DELETE FROM figures WHERE document_id = ?", (document.id,))
            places = ", ".join("?" * (1 + len(FIGURE)))
            sql = f"INSERT INTO figures (document_id, {', '.join(FIGURE)}) VALUES ({places})"
            self._db.executemany(sql, [(document.id, *row) for row in figures])

    def decide(self, document: Document, decided: Sequence[Fact]) -> None:
        """Store what people decided of the facts of a document, instead of what was there."""
        with self.transaction(counted=False):
            place = (self._root_id(document.root), document.path)
            self._db.execute("DELETE FROM decided WHERE root_id = ? AND path = ?", place)
            if decided:
                row = (*place, document.file, json.dumps(protocol.to_plain(decided), ensure_ascii=False))
                self._db.execute("INSERT INTO decided (root_id, path, file, data) VALUES (?, ?, ?, ?)", row)

    # --- new vectors, made while the old ones are in use -------------------------------------------------------

    def stage(self, purpose: str, vectors: Mapping[bytes, Vectors]) -> None:
        """Store vectors for later; those for another purpose are deleted."""
        with self.transaction():
            if self._meta("staging") != purpose:
                self._db.execute("DELETE FROM staged")
                self._set("staging", purpose)
            self._db.executemany("DELETE FROM staged WHERE digest = ?", [(key,) for key in vectors])
            rows = [(key, np.asarray(vector, "<f4")) for key, vector in vectors.items()]
            self._db.executemany("INSERT INTO staged (digest, vector) VALUES (?, ?)", rows)

    def stage_present(self, purpose: str) -> None:
        """Stage the current vectors too, if only the chunks change."""
        with self.transaction():
            self.stage(purpose, {})
            self._db.execute("DELETE FROM staged WHERE digest IN (SELECT digest FROM passages)")
            self._db.execute("INSERT INTO staged (digest, vector) SELECT digest, vector FROM passages")

    def staged(self, purpose: str) -> set[bytes]:
        """The digests of the vectors staged for a purpose."""
        if self._meta("staging") != purpose:
            return set()
        return {row[0] for row in self._select("SELECT digest FROM staged")}

    def _staged_vector(self, digest: bytes) -> Vectors:
        return np.frombuffer(self._select("SELECT vector FROM staged WHERE digest = ?", (digest,))[0][0], "<f4")

    def replace_chunks(
        self, identity: EmbedderIdentity, chunked: Iterable[tuple[Document, Sequence[Page], Sequence[Chunk]]]
    ) -> None:
        """Replace all chunks and vectors by new chunks and the staged vectors, in one transaction."""
        with self.transaction():
            self._indexer.clear_passages()
            for table in ("chunks", "passages"):
                self._db.execute(f"DELETE FROM {table}")
            for document, pages, chunks in chunked:
                self._put_chunks(document.id, document.title, document.language, pages, chunks, self._staged_vector)
            self._db.execute("DELETE FROM staged")
            self._set("staging", "")
            self._set("embedder", json.dumps(identity.to_dict()))
            self._set("chunking", str(CHUNKING_VERSION))

    # --- the index ------------------------------------------------------------------------------------------

    def save_index(self) -> None:
        """Write the vector index of the current generation, and checkpoint the write-ahead log."""
        if self._index.save(*self._state()):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def compact(self) -> None:
        """Return deleted space to the disk."""
        if isinstance(self._db, postgres.Connection):
            return  # the server's autovacuum does it
        with storage.storage_errors(self.folder), self._report_damage():
            self._db.execute("VACUUM")
        # Rebuilt from the database, so that its file keeps no deleted vector.
        self._index.clear()
        self.save_index()

    # --- rows -----------------------------------------------------------------------------------------------

    def _set(self, key: str, value: str) -> None:
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        self._db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))

    def _root_id(self, root: str) -> int:
        self._db.execute("INSERT INTO roots (path) VALUES (?) ON CONFLICT DO NOTHING", (root,))
        return int(self._db.execute("SELECT id FROM roots WHERE path = ?", (root,)).fetchone()[0])

    def _put_chunks(
        self,
        document_id: int,
        title: str,
        language: str,
        pages: Sequence[Page],
        chunks: Sequence[Chunk],
        vector_of: Callable[[bytes], Vectors],
    ) -> None:
        keys = [passage_digest(title, chunk) for chunk in chunks]
        known = self._passage_ids(keys)
        new = {key: chunk for key, chunk in zip(keys, chunks, strict=True) if key not in known}
        known |= self._add_passages(title, language, new, vector_of)
        rows = []
        for key, chunk in zip(keys, chunks, strict=True):
            page = pages[chunk.position]
            spot = locations.spot(page.text, page.anchors, chunk.start, chunk.end) if page.anchors else ""
            place = chunk.position, chunk.start, chunk.end, json.dumps(chunk.heading), *(chunk.header or (None, None))
            rows.append((document_id, known[key], *place, spot))
        self._db.executemany(f"INSERT INTO chunks ({_CHUNK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _add_passages(
        self, title: str, language: str, chunks: Mapping[bytes, Chunk], vector_of: Callable[[bytes], Vectors]
    ) -> dict[bytes, int]:
        """Add passages by digest; returns their ids. All at once, since a statement may go to another machine."""
        tokens = {
            key: text_analysis.tokens("\n".join((title, *chunk.heading, chunk.header_text, chunk.text)), language)
            for key, chunk in chunks.items()
        }
        words = dict(zip(tokens, self._indexer.words(tokens.values()), strict=True))
        rows = [(key, np.asarray(vector_of(key), "<f4"), words[key]) for key in chunks]
        self._db.executemany("INSERT INTO passages (digest, vector, words) VALUES (?, ?, ?)", rows)
        made = self._passage_ids(list(chunks))
        for key in chunks:
            self._indexer.add(PASSAGES, made[key], words[key])
        return made

    def _index_name(self, document_id: int) -> None:
        """Index the words that name a document: those of its path, title and beginning."""
        sql = f"""SELECT {PATH} AS path, d.title, d.language, d.naming, substr(p.text, 1, {_NAME_LENGTH}) AS beginning
            FROM documents d JOIN files f ON f.id = d.file_id
            LEFT JOIN pages p ON p.document_id = d.id AND p.position = 0 WHERE d.id = ?"""
        row = self._db.execute(sql, (document_id,)).fetchone()
        if row["naming"]:
            self._indexer.remove(DOCUMENTS, document_id, row["naming"])
        path = _SEPARATORS.sub(" ", _SUFFIX.sub("", row["path"]))
        text = "\n".join((path, row["title"], row["beginning"] or ""))
        (words,) = self._indexer.words([text_analysis.tokens(text, row["language"])])
        self._indexer.add(DOCUMENTS, document_id, words)
        self._db.execute("UPDATE documents SET naming = ? WHERE id = ?", (words, document_id))

    def _link_near(self, document_id: int, sha256: str, signature: bytes) -> list[int]:
        """Link a document with its near duplicates; returns their ids, the most similar first."""
        if not signature:
            return []
        ids, known = self._minhashes
        if not self._minhashes_complete:
            sql = "SELECT id, sketch FROM documents WHERE length(sketch) > 0 AND id > ? AND id <> ? ORDER BY id"
            rows = self._select(sql, (ids[-1] if ids else 0, document_id))
            matrix = np.frombuffer(b"".join(row[1] for row in rows), "<u4").reshape(len(rows), BINS)
            known = np.vstack([known[: len(ids)], matrix.astype(np.uint32)])
            ids += [row[0] for row in rows]
            self._minhashes_complete = True
        alike = similarities(known[: len(ids)], signature)
        found: list[int] = []
        near = np.flatnonzero(alike >= _NEAR)
        for index in near[np.argsort(-alike[near], kind="stable")]:
            if len(found) == _MAX_NEAR:
                break
            # Exact copies are not linked, and the matrix still holds documents deleted meanwhile.
            row = self._db.execute("SELECT sha256 FROM documents WHERE id = ?", (ids[index],)).fetchone()
            if row is not None and row[0] != sha256:
                found.append(ids[index])
                link = (document_id, ids[index], round(float(alike[index]), 3))
                self._db.execute("INSERT INTO near (document_id, other_id, similarity) VALUES (?, ?, ?)", link)
        if len(ids) == len(known):  # doubled, so that adding n documents copies O(n) rows
            known = np.vstack([known, np.zeros((max(256, len(known)), BINS), np.uint32)])
        known[len(ids)] = np.frombuffer(signature, "<u4")
        ids.append(document_id)
        self._minhashes = ids, known
        return found

    def _delete_documents(self, where: str, values: tuple[Any, ...]) -> None:
        chosen = f"SELECT id FROM documents WHERE {where}"
        held = self._db.execute(f"SELECT DISTINCT passage_id FROM chunks WHERE document_id IN ({chosen})", values)
        # Passages stay until the end of the transaction, since a new version of a document shares most of them.
        self._orphan_candidates = self._orphan_candidates | {row[0] for row in held}
        for row in self._db.execute(f"SELECT id, naming FROM documents WHERE {where}", values).fetchall():
            self._indexer.remove(DOCUMENTS, *row)
        self._db.execute(f"DELETE FROM documents WHERE {where}", values)

    def _drop_orphans(self) -> None:
        if not self._orphan_candidates:
            return
        orphans = """id IN (SELECT value FROM json_each(?))
            AND NOT EXISTS (SELECT 1 FROM chunks c WHERE c.passage_id = passages.id)"""
        held = json.dumps(sorted(self._orphan_candidates))
        for row in self._db.execute(f"SELECT id, words FROM passages WHERE {orphans}", (held,)).fetchall():
            self._indexer.remove(PASSAGES, *row)
        self._db.execute(f"DELETE FROM passages WHERE {orphans}", (held,))


def _no_minhashes() -> tuple[list[int], Signatures]:
    return [], np.zeros((0, BINS), np.uint32)


def _begun(identity: EmbedderIdentity) -> dict[str, str]:
    """The facts of a new library."""
    return {
        "schema": str(SCHEMA),
        "uid": uuid.uuid4().hex,
        "generation": "0",
        "embedder": json.dumps(identity.to_dict()),
        "staging": "",
        "chunking": str(CHUNKING_VERSION),
    }


def _layout(page: Page) -> str:
    """A page's headings, anchors and boxes of recognised words as JSON."""
    headings = [[item.start, item.level, item.title] for item in page.headings]
    anchors = [[item.start, item.name] for item in page.anchors]
    words = [
        [word.start, word.end, *(round(side, 4) for side in (word.left, word.top, word.right, word.bottom))]
        for word in page.words
    ]
    return json.dumps([headings, anchors, words], ensure_ascii=False, separators=(",", ":"))


# --- how similar two texts are, estimated from small signatures ------------------------------------------------
# One permutation hashing (Li, Owen and Zhang 2012, "One Permutation Hashing"): the hashes of all runs of four words are
# distributed over bins and each bin keeps its minimum. The share of equal bins estimates the Jaccard similarity J of
# the sets of runs, with a standard error of about sqrt(J (1 - J) / bins), 0.035 at 0.8.

BINS = 128
# Drafts of one document reach this; letters from one template, whose own words weigh more, do not.
_NEAR = 0.8
# With fewer runs most bins would be empty.
_MIN_RUNS = 64
_RUN = 4
_EMPTY = np.uint32(0xFFFFFFFF)
_WORD = re.compile(r"\w+")


def minhash(text: str) -> bytes:
    """The signature of a text; empty if the text is too short."""
    hashes = [zlib.crc32(word.encode("utf-8", "replace")) for word in _WORD.findall(text.lower())]
    if len(hashes) < _MIN_RUNS + _RUN:
        return b""
    words = np.array(hashes, np.uint64)
    runs = np.zeros(len(words) - _RUN + 1, np.uint64)
    for offset in range(_RUN):
        # The multiplier of the 64-bit FNV-1 hash; overflow is intended.
        runs = runs * np.uint64(0x100000001B3) + words[offset : offset + len(runs)]
    # The finalizer of MurmurHash3, so that every bit depends on every bit.
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        runs = (runs ^ (runs >> np.uint64(33))) * np.uint64(multiplier)
    runs ^= runs >> np.uint64(33)
    least = np.full(BINS, _EMPTY, np.uint32)
    np.minimum.at(least, (runs % np.uint64(BINS)).astype(np.intp), (runs >> np.uint64(32)).astype(np.uint32))
    return least.astype("<u4").tobytes()


def similarities(signatures: Signatures, one: bytes) -> NDArray[np.float64]:
    """The estimated similarity, 0 to 1, of one signature to each row of `signatures`, of shape (n, BINS)."""
    row = np.frombuffer(one, "<u4").astype(np.uint32)
    filled = (signatures != _EMPTY) | (row != _EMPTY)
    agree = (signatures == row) & filled
    shares: NDArray[np.float64] = agree.sum(axis=1) / np.maximum(filled.sum(axis=1), 1)
    return shares
