"""Read a library: documents, pages, chunks, full text and vectors. `writer` changes it.

Everything is in its database: SQLite in its folder, whose vector index can be rebuilt from it, or PostgreSQL
(`postgres`). `snapshot` keeps one committed generation while another process writes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np

from localrag import policy, protocol
from localrag.embeddings import EmbedderIdentity
from localrag.errors import EmbedderMismatch, LibraryError, NotFoundError, StorageError
from localrag.events import Failure
from localrag.security import audit, offline
from localrag.security.encryption import unlocked
from localrag.security.storage import sqlite3
from localrag.settings import Settings
from localrag.store import data_sheets, names
from localrag.store.full_text import FullText
from localrag.store.vector_index import LibraryIndex
from localrag.types import (
    Anchor,
    Document,
    Fact,
    Heading,
    Ocr,
    Page,
    Pages,
    Remark,
    SkippedPage,
    StoredFile,
    Unit,
    Word,
)

if TYPE_CHECKING:
    from localrag.store.names import Database
    from localrag.store.postgres import PostgresIndex
    from localrag.store.vector_index import FaissIndex, Ids, Vectors

PATH = "CASE d.member WHEN '' THEN f.path ELSE f.path || '/' || d.member END"
T = TypeVar("T")
# The last two: text that is not UTF-8, and a table that is not as it was created.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, 0, sqlite3.SQLITE_ERROR)
_DOCUMENTS = f"""SELECT d.id, r.path AS root, {PATH} AS path, f.path AS file, d.title, d.sha256, d.size, d.paged,
    d.characters, d.author, d.date, d.language, d.skipped, d.remarks,
    (SELECT count(*) FROM pages p WHERE p.document_id = d.id) AS pages
    FROM documents d JOIN files f ON f.id = d.file_id JOIN roots r ON r.id = f.root_id"""


# The columns of a figure, but its document (schema.sql).
FIGURE = (
    *("position", "start", "stop", "line", "line_stop", "text", "value", "unit", "scale", "label", "col", "section"),
    *("words", "statement", "title", "year", "month", "months"),
)
# The title in the facts of a document as they are stored.
_TITLE = re.compile(r'"title", "value": ("(?:[^"\\]|\\.)*")')
_NO_TITLE = re.compile(r"^(?:untitled|document ?\d*|microsoft \w+ - .*|.*\.\w{2,4})$", re.I)
_PLACES = (
    f"SELECT d.id, r.path, {PATH} FROM documents d JOIN files f ON f.id = d.file_id JOIN roots r ON r.id = f.root_id"
)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk and its place; `page` and `label` are None in a document without pages."""

    id: int
    passage_id: int
    document_id: int
    document: str
    title: str
    position: int
    page: int | None
    label: str | None
    unit: Unit
    start: int
    end: int
    heading: tuple[str, ...]
    header: str  # of a table whose first rows are in an earlier chunk
    spot: str
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The languages of all documents, the most common first, their ids and lengths, and by id their dates, or ""."""

    languages: tuple[str, ...]
    dates: Mapping[int, str]
    ids: Ids  # ascending
    lengths: Ids  # in characters, in the order of ids


class PassageSpan(NamedTuple):
    """The place of a passage; `number` is the page number, None in a document without pages."""

    passage_id: int
    document_id: int
    position: int
    start: int
    end: int
    number: int | None


class Library:
    """A library opened for reading; it never changes the database."""

    _writes = False

    def __init__(self, name: str, folder: Path, connection: Database) -> None:
        self.name = name
        self.folder = folder
        self._db: Database = connection
        self._overview: tuple[int, Overview] | None = None
        self._facts: dict[str, str | None] | None = None  # of `meta`, while a snapshot is held
        self.text = FullText(self._select)
        self._index: LibraryIndex | PostgresIndex = LibraryIndex(
            names.files_of_library(folder) / names.INDEX, self._select
        )
        if not isinstance(connection, sqlite3.Connection):
            from localrag.store.postgres import PostgresIndex

            self._index = PostgresIndex(connection, self.text.passages)

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """Open an existing library. Raises NotFoundError, or LibraryError if it is damaged, old or not yours alone."""
        names.check_name(name)
        if not names.exists(folder):
            raise names.no_library(folder.parent, name)
        permitted(folder, name)
        names.check_owner(folder, name)
        audit.share(names.share_audit)
        try:
            connection = names.connect(folder, write=cls._writes)
            library = cls(name, folder, connection)
            schema = library._meta("schema")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
                raise StorageError(
                    f"the library {name!r} cannot be opened: its folder {str(folder)!r} cannot be written to",
                    "SQLite needs two files of its own there, even for reading. Make the folder writable, or copy it.",
                ) from error
            raise LibraryError(f"the library {name!r} cannot be opened: {error}", _mend(folder)) from error
        if schema != str(names.SCHEMA):
            raise library._old_schema(schema)
        return library

    def close(self) -> None:
        self._db.close()

    def _old_schema(self, schema: str | None) -> LibraryError:
        try:
            roots = [str(row[0]) for row in self._db.execute("SELECT path FROM roots ORDER BY path")]
        except sqlite3.DatabaseError:
            roots = []
        self.close()
        commands = [f"localrag ingest {quote(root)} --name {quote(self.name)}" for root in roots or ["FOLDER"]]
        return LibraryError(
            f"the library {self.name!r} has schema {schema!r}; this localrag reads schema {names.SCHEMA}",
            f"Read it again: {_remake(self.folder)}: {'; '.join(commands)}",
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one committed generation inside; writers are not blocked."""
        if self._db.in_transaction:
            yield
            return
        with self._report_damage():
            self._db.execute("BEGIN")
        self._facts = {}
        try:
            yield
        finally:
            self._facts = None
            with self._report_damage():
                self._db.commit()

    def _select(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._report_damage():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _report_damage(self) -> Iterator[None]:
        """Report damage, which shows only when a damaged page is read."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF if isinstance(error, sqlite3.DatabaseError) else 0
            if code == sqlite3.SQLITE_IOERR:
                message = f"the library {self.name!r} cannot be read any more: {error}"
                raise StorageError(message, "Check the disk. Is its stick or share still connected?") from error
            if code not in _DAMAGE:
                raise
            raise self._damaged(error) from error

    @contextmanager
    def _report_bad_rows(self) -> Iterator[None]:
        """Report rows from which no value can be made as damage."""
        try:
            yield
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged(error) from error

    def _values(self, make: Callable[[sqlite3.Row], T], rows: Sequence[sqlite3.Row]) -> list[T]:
        with self._report_bad_rows():
            return [make(row) for row in rows]

    def _damaged(self, error: Exception) -> LibraryError:
        return LibraryError(f"the library {self.name!r} is damaged: {error}", _mend(self.folder))

    def copy_to(self, folder: Path, stop: Callable[[], bool], progress: Callable[[int, int | None, str], None]) -> None:
        """Write database and vectors of a read-only library, as they are now; it must not be in a store."""
        from localrag.store import exported

        with self.snapshot(), closing(exported.copy(self._db, folder / names.DATABASE, stop, progress)) as copy:
            progress(0, None, "vectors")
            vectors = LibraryIndex(folder / names.INDEX, lambda sql, values=(): copy.execute(sql, values).fetchall())
            vectors.save(*self._state())

    # --- facts ----------------------------------------------------------------------------------------------

    def _meta(self, key: str) -> str | None:
        if self._facts is not None and key in self._facts:
            return self._facts[key]
        rows = self._select("SELECT value FROM meta WHERE key = ?", (key,))
        found = str(rows[0][0]) if rows else None
        if self._facts is not None:
            self._facts[key] = found
        return found

    @property
    def identity(self) -> EmbedderIdentity:
        """The embedder that made this library's vectors."""
        with self._report_bad_rows():
            return EmbedderIdentity(**json.loads(self._fact("embedder") or "{}"))

    @property
    def uid(self) -> str:
        """The random name of this library, which stays with it."""
        return self._fact("uid")

    @property
    def generation(self) -> int:
        """The number of committed changes, which everything derived from the database refers to."""
        with self._report_bad_rows():
            return int(self._fact("generation") or 0)

    def _fact(self, key: str) -> str:
        """A fact that every library has; of one in a store, nothing is seen once the right to read it is gone."""
        found = self._meta(key)
        if found is None and not isinstance(self._db, sqlite3.Connection):
            message = (
                f"{self.name!r} was deleted from {str(self._db.store)!r}, or {self._db.store.user!r} may not read it"
            )
            raise NotFoundError(message, "Its owners give rights: localrag store grant LIBRARY ROLE")
        return found or ""

    def digest(self) -> str:
        """A SHA-256 of what answers depend on: names, titles, dates, passages and instructions.

        Unlike `generation`, it stays the same if files were touched or read again without a change.
        """
        made = hashlib.sha256(repr((self.instructions, self.chunking)).encode())
        for row in self._select(
            "SELECT f.path, d.member, d.sha256, d.title, d.author, d.date, d.language, c.start, c.end, c.heading, "
            "p.digest FROM documents d JOIN files f ON f.id = d.file_id LEFT JOIN chunks c ON c.document_id = d.id "
            "LEFT JOIN passages p ON p.id = c.passage_id ORDER BY f.path, d.member, d.sha256, c.position, c.start"
        ):
            made.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))
        return made.hexdigest()

    @property
    def chunking(self) -> str:
        return self._meta("chunking") or ""

    @property
    def ocr_choice(self) -> tuple[Ocr | None, tuple[str, ...]]:
        """When to use text recognition for this library, and for which languages, if that was chosen."""
        with self._report_bad_rows():
            ocr, languages = json.loads(self._meta("reading") or "[null, []]")
            return ocr, tuple(languages)

    @property
    def instructions(self) -> str:
        """The owner's instructions for the wording of answers; empty if there are none."""
        return self._meta("instructions") or ""

    def require(self, identity: EmbedderIdentity) -> None:
        """Refuse an embedder whose vectors cannot be mixed with those of the library, with an EmbedderMismatch."""
        own = self.identity
        if own != identity:
            raise EmbedderMismatch(
                f"the library {self.name!r} was made with {_described(own)}, not {_described(identity)}",
                f"Install that embedder, or make new vectors: localrag ingest FOLDER --name {self.name} --re-embed",
            )

    def roots(self) -> list[str]:
        return [row[0] for row in self._select("SELECT path FROM roots ORDER BY path")]

    def files(self, root: str) -> dict[str, StoredFile]:
        """The files of a root by path, as they were when last read; failed ones included."""
        rows = self._select(
            "SELECT f.id, f.path, f.size, f.mtime_ns, f.sha256, f.stamp FROM files f "
            "JOIN roots r ON r.id = f.root_id WHERE r.path = ?",
            (root,),
        )
        return {row["path"]: StoredFile(**dict(row)) for row in rows}

    def failures(self, root: str | None = None) -> list[Failure]:
        """What could not be read in the last ingest: files, and parts of files."""
        rows = self._select(
            "SELECT f.path, f.reason, f.file, r.path FROM failures f JOIN roots r ON r.id = f.root_id ORDER BY f.path"
        )
        return [Failure(*row) for row in rows if root is None or row[3] == root]

    def counts(self) -> dict[str, int]:
        """The numbers of documents, pages, chunks and characters."""
        sql = """SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM pages) AS pages,
            (SELECT count(*) FROM chunks) AS chunks,
            (SELECT coalesce(sum(characters), 0) FROM documents) AS characters"""
        return dict(self._select(sql)[0])

    # --- facts of documents ---------------------------------------------------------------------------------

    def facts(self, documents: Collection[int] | None = None) -> dict[int, tuple[Fact, ...]]:
        """The facts of documents by id, as people decided of them; without the rejected ones."""
        if not self._has_facts:
            return {}
        chosen = "" if documents is None else "WHERE f.document_id IN (SELECT value FROM json_each(?))"
        values = [] if documents is None else [json.dumps(list(documents))]
        rows = self._select(f"SELECT f.document_id, f.data FROM facts f {chosen}", values)
        decided = self._decided()
        places = {row[0]: (row[1], row[2]) for row in self._select(_PLACES)} if decided else {}
        with self._report_bad_rows():
            return {row[0]: merged(_facts(row[1]), decided.get(places.get(row[0], ("", "")), ())) for row in rows}

    def figures(self, document_id: int) -> list[tuple[Any, ...]]:
        """The figures of a document's tables in order, as `Editor.save_figures` stores them."""
        if not self._has("figures"):
            return []
        sql = f"SELECT {', '.join(FIGURE)} FROM figures WHERE document_id = ? ORDER BY position, start"
        return [tuple(row) for row in self._select(sql, (document_id,))]

    def with_figures(self, word: str) -> set[int]:
        """The ids of documents that have a word in a row, a column or a section of their figures."""
        if not self._has("figures"):
            return set()
        like = f"%{word.lower()}%"
        sql = "SELECT DISTINCT document_id FROM figures WHERE lower(label || ' ' || col || ' ' || section) LIKE ?"
        return {row[0] for row in self._select(sql, (like,))}

    def titles(self, paths: Collection[str]) -> dict[str, str]:
        """The titles of these documents by path, where each is shorter than its path and belongs to no other document.

        Names of files, and those that programs give, are no titles.
        """
        if not paths or not self._has_facts:
            return {}
        wanted, places = set(paths), [(row[0], row[2]) for row in self._select(_PLACES)]
        times = Counter(path for _, path in places)
        ids = {id: path for id, path in places if path in wanted and times[path] == 1}
        facts = self.facts(ids)
        found = {ids[id]: one.value for id, own in facts.items() for one in own if one.role == "title"}
        # The rows are searched as they stand: to read them all would take a second for ten thousand documents.
        written = (_TITLE.search(row[0]) for row in self._select("SELECT data FROM facts"))
        held = Counter(json.loads(title[1]) for title in written if title)
        decided = (one for own in self._decided().values() for one in own if one.role == "title")
        held.update(one.value for one in decided if one.was and one.was != one.value)
        names = {_plain(name) for path in times for name in (path, path.rsplit("/", 1)[-1], PurePath(path).stem)}
        return {
            path: title
            for path, title in found.items()
            if len(title) < len(path)
            and held[title] == 1
            and _plain(title) not in names
            and not _NO_TITLE.search(title)
        }

    def decisions(self, document: Document) -> tuple[Fact, ...]:
        """What people decided of the facts of a document, rejected ones included."""
        with self._report_bad_rows():
            return self._decided().get((document.root, document.path), ()) if self._has_facts else ()

    def without_facts(self, version: str) -> list[int]:
        """The ids of documents whose facts were not read, or by another version."""
        if not self._has_facts:
            return [row[0] for row in self._select("SELECT id FROM documents ORDER BY id")]
        sql = """SELECT d.id FROM documents d LEFT JOIN facts f ON f.document_id = d.id AND f.version = ?
            WHERE f.document_id IS NULL ORDER BY d.id"""
        return [row[0] for row in self._select(sql, (version,))]

    @property
    def _has_facts(self) -> bool:
        return self._has("decided")

    def _has(self, table: str) -> bool:
        """Whether the library has a table: one made by an older version gets those it lacks when it is written to."""
        if not isinstance(self._db, sqlite3.Connection):
            return True
        return bool(self._select("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)))

    def _decided(self) -> dict[tuple[str, str], tuple[Fact, ...]]:
        rows = self._select("SELECT r.path, d.path, d.data FROM decided d JOIN roots r ON r.id = d.root_id")
        return {(row[0], row[1]): _facts(row[2]) for row in rows}

    # --- documents and pages --------------------------------------------------------------------------------

    def content_hashes(self) -> set[str]:
        """The SHA-256 of every document."""
        return {row[0] for row in self._select("SELECT sha256 FROM documents")}

    def hashes(self, paths: Collection[str]) -> dict[str, str]:
        """The SHA-256 of these documents, by path."""
        sql = f"SELECT path, sha256 FROM ({_DOCUMENTS}) WHERE path IN (SELECT CAST(value AS TEXT) FROM json_each(?))"
        return {row[0]: row[1] for row in self._select(sql, (json.dumps(list(paths)),))}

    def documents(self, globs: Sequence[str] | None = None, root: str | None = None) -> list[Document]:
        """The documents whose path matches one of the globs (all without), by path; NotFoundError if none does."""
        everything = self._values(_document, self._select(f"{_DOCUMENTS} ORDER BY path, root"))
        found = [doc for doc in everything if root is None or doc.root == root]
        if globs:
            fitting = names.named({doc.path for doc in found}, globs)
            found = [doc for doc in found if doc.path in fitting]
            if not found:
                hint = names.did_you_mean(globs[0], [doc.path for doc in everything], self.name)
                raise NotFoundError(f"no document in {self.name!r} matches {', '.join(map(repr, globs))}", hint)
        return found

    def document(self, path: str) -> Document:
        """The document with this path, or the only one with this file name; else a NotFoundError."""
        found = self.documents([path])
        if len(found) > 1:
            raise NotFoundError(
                f"{len(found)} documents in {self.name!r} match {path!r}: "
                + ", ".join(sorted(f"{doc.root}/{doc.path}" for doc in found)[:5]),
                "Give the whole path, as `localrag status` prints it.",
            )
        return found[0]

    def pages(self, document_id: int, *, every_row: bool = False) -> list[Page]:
        """The pages of a document; without `every_row`, rows that are too many for passages are left out."""
        pages = self._pages("document_id = ? ORDER BY position", document_id)
        return pages if every_row else data_sheets.prose(pages)

    def sheets(self) -> list[tuple[int, int]]:
        """The sheets of data, each by its document and the position of the page of its rows."""
        sql = "SELECT document_id, position - 1 FROM pages WHERE unit = 'columns' ORDER BY document_id, position"
        return [(row[0], row[1]) for row in self._select(sql)]

    def page(self, document_id: int, position: int) -> Page | None:
        return next(iter(self._pages("document_id = ? AND position = ?", document_id, position)), None)

    def _pages(self, where: str, *values: int) -> list[Page]:
        found = self._select(f"SELECT number, label, unit, text, layout FROM pages WHERE {where}", values)
        return self._values(_page, found)

    def page_text(self, document_id: int, position: int) -> str:
        sql = "SELECT text FROM pages WHERE document_id = ? AND position = ?"
        rows = self._select(sql, (document_id, position))
        return str(rows[0][0]) if rows else ""

    def near_pairs(self, document_ids: Sequence[int]) -> set[tuple[int, int]]:
        """Near duplicates among these documents as pairs of ids, the smaller first."""
        ids = _json(document_ids)
        sql = """SELECT document_id, other_id FROM near WHERE document_id IN (SELECT value FROM json_each(?))
            AND other_id IN (SELECT value FROM json_each(?))"""
        return {(min(row), max(row)) for row in map(tuple, self._select(sql, (ids, ids)))}

    def near_duplicates(self) -> list[tuple[str, str, float]]:
        """All near duplicates: the document read later, the other one, and their similarity."""
        paths = {document.id: document.path for document in self.documents()}
        rows = self._select("SELECT document_id, other_id, similarity FROM near ORDER BY document_id, other_id")
        return self._values(lambda row: (paths[row[0]], paths[row[1]], float(row[2])), rows)

    def languages(self) -> dict[str, int]:
        """The number of documents in each language, the most first."""
        sql = "SELECT language, count(*) FROM documents GROUP BY language ORDER BY 2 DESC, 1"
        return dict(map(tuple, self._select(sql)))

    def overview(self) -> Overview:
        """What every search needs of all documents, read once a generation."""
        generation = self.generation
        if self._overview is None or self._overview[0] != generation:
            rows = self._select("SELECT id, language, date, characters FROM documents ORDER BY id")
            languages = Counter(row["language"] for row in rows).most_common()
            ids, lengths = (np.array([row[name] for row in rows], np.int64) for name in ("id", "characters"))
            dates = {row["id"]: row["date"] for row in rows}
            self._overview = generation, Overview(tuple(name for name, _ in languages), dates, ids, lengths)
        return self._overview[1]

    # --- chunks and passages --------------------------------------------------------------------------------

    def chunks_of(self, document_id: int) -> list[StoredChunk]:
        """All chunks of a document, in reading order."""
        return self._chunks("c.document_id = ?", [document_id])

    def chunk_counts(self) -> dict[int, int]:
        """The number of chunks of each document, by its id."""
        return dict(map(tuple, self._select("SELECT document_id, count(*) FROM chunks GROUP BY document_id")))

    def chunks_of_passages(
        self, passage_ids: Sequence[int], document_ids: Sequence[int] | None = None
    ) -> dict[int, list[StoredChunk]]:
        """The chunks of each passage in these documents (all by default), in order of documents."""
        where, extra = _where(document_ids, None)
        found: dict[int, list[StoredChunk]] = {}
        condition = f"c.passage_id IN (SELECT value FROM json_each(?)) AND {where}"
        for chunk in self._chunks(condition, [_json(passage_ids), *extra]):
            found.setdefault(chunk.passage_id, []).append(chunk)
        return found

    def passage_ids(self, document_ids: Sequence[int] | None, pages: Pages | None = None) -> Ids:
        """The passages of these documents and pages (all for None)."""
        where, values = _where(document_ids, pages)
        sql = f"SELECT DISTINCT passage_id FROM chunks c WHERE {where} ORDER BY 1"
        return np.array([row[0] for row in self._select(sql, values)], np.int64)

    def _chunks(self, where: str, values: Sequence[Any]) -> list[StoredChunk]:
        sql = f"""SELECT c.id, c.passage_id, c.document_id, {PATH} AS document, d.title, c.position, p.number AS page,
            p.label, p.unit, c.start, c."end", c.heading, c.spot,
            coalesce(substr(p.text, c.header_start + 1, c.header_end - c.header_start), '') AS header,
            substr(p.text, c.start + 1, c."end" - c.start) AS text
            FROM chunks c JOIN documents d ON d.id = c.document_id JOIN files f ON f.id = d.file_id
            JOIN pages p ON p.document_id = c.document_id AND p.position = c.position
            WHERE {where} ORDER BY c.document_id, c.position, c.start"""
        rows = self._select(sql, values)
        return self._values(
            lambda row: StoredChunk(**{**dict(row), "heading": tuple(json.loads(row["heading"]))}), rows
        )

    def spans_of_passages(
        self, passage_ids: Sequence[int], document_ids: Sequence[int] | None = None, pages: Pages | None = None
    ) -> list[PassageSpan]:
        """The places of passages in these documents and pages (all by default), without text, in reading order."""
        where, values = _where(document_ids, pages)
        sql = f"""SELECT c.passage_id, c.document_id, c.position, c.start, c."end", p.number FROM chunks c
            JOIN pages p ON p.document_id = c.document_id AND p.position = c.position
            WHERE c.passage_id IN (SELECT value FROM json_each(?)) AND {where} ORDER BY c.id"""
        return [PassageSpan(*row) for row in self._select(sql, [_json(passage_ids), *values])]

    def first_passages(self, document_ids: Sequence[int]) -> list[int]:
        """The first passage of each of these documents."""
        sql = """SELECT passage_id FROM chunks WHERE id IN (SELECT min(id) FROM chunks
            WHERE document_id IN (SELECT value FROM json_each(?)) GROUP BY document_id) ORDER BY document_id"""
        return [row[0] for row in self._select(sql, (_json(document_ids),))]

    def cosines(self, passage_ids: Sequence[int], question: Vectors) -> dict[int, float]:
        """The cosine of each of these passages to a question's vector, from the stored vectors."""
        if not len(passage_ids):
            return {}
        wanted = np.unique(np.asarray(passage_ids, np.int64))
        ids, cosines = self._index.cosines(wanted, question)
        self._check_found(ids, wanted)
        return dict(zip(ids.tolist(), cosines.tolist(), strict=True))

    def vectors(self, passage_ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """The ids of these passages, ascending, and their stored vectors, of shape (passages, dimension)."""
        wanted = np.unique(np.asarray(passage_ids, np.int64))
        ids, vectors = self._index.vectors(wanted)
        self._check_found(ids, wanted)
        return ids, vectors

    def _check_found(self, ids: Ids, wanted: Ids) -> None:
        if len(ids) < len(wanted):
            raise self._damaged(KeyError(f"{len(wanted) - len(ids)} passages of the full text are missing"))

    def known_digests(self, digests: Sequence[bytes]) -> set[bytes]:
        """The digests among these whose passages have a vector already."""
        return set(self._passage_ids(digests))

    def _passage_ids(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        """The ids of the passages with these digests."""
        found: dict[bytes, int] = {}
        for first in range(0, len(digests), 500):
            part = digests[first : first + 500]
            marks = ",".join("?" * len(part))
            found.update(map(tuple, self._select(f"SELECT digest, id FROM passages WHERE digest IN ({marks})", part)))
        return found

    def index(self) -> FaissIndex | PostgresIndex:
        """The vector index of the current generation."""
        with self.snapshot():
            return self._index.at(*self._state())

    def _state(self) -> tuple[str, int, int]:
        """What an index must match: the library, its generation, and the dimension of its vectors."""
        return self.uid, self.generation, self.identity.dimension


def _document(row: sqlite3.Row) -> Document:
    """Make a document; all such functions raise ValueError, TypeError or KeyError for a damaged row."""
    values = dict(row)
    values["skipped"] = tuple(SkippedPage(*item) for item in json.loads(values["skipped"]))
    values["remarks"] = tuple(Remark(*item) for item in json.loads(values["remarks"]))
    return Document(**{**values, "paged": bool(values["paged"])})


def _page(row: sqlite3.Row) -> Page:
    headings, anchors, words = json.loads(row["layout"])
    return Page(
        row["text"],
        row["number"],
        row["label"],
        tuple(Heading(*item) for item in headings),
        row["unit"],
        tuple(Anchor(*item) for item in anchors),
        tuple(Word(*item) for item in words),
    )


def _described(identity: EmbedderIdentity) -> str:
    return f"{identity.model} ({identity.precision}, {identity.engine}, {identity.sha256[:8]})"


def _where(document_ids: Sequence[int] | None, pages: Pages | None) -> tuple[str, list[Any]]:
    """The SQL condition that a chunk `c` is in these documents and pages, and its values."""
    parts: list[str] = ["1 = 1"]
    values: list[Any] = []
    if document_ids is not None:
        # One JSON parameter, since there may be more documents than SQLite takes parameters.
        parts.append("c.document_id IN (SELECT value FROM json_each(?))")
        values.append(_json(document_ids))
    if pages is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM pages q WHERE q.document_id = c.document_id "
            "AND q.position = c.position AND q.number >= ? AND q.number <= ?)"
        )
        values += [pages[0], 2**62 if pages[1] is None else pages[1]]
    return " AND ".join(parts), values


def _mend(folder: Path) -> str:
    if (folder / names.LINK).exists():
        place = str(names.files_of_library(folder))
        return f"Copy it again from where you got it. What was changed: localrag verify {quote(place)}"
    return f"Restore it from a backup, or {_remake(folder)}."


def _remake(folder: Path) -> str:
    return (
        f"delete {names.DATABASE}* and {names.INDEX} in {str(folder)!r}, but not its conversations, reviews and log, "
        "and ingest its documents again"
    )


def _json(ids: Sequence[int]) -> str:
    return json.dumps([int(i) for i in ids])


def permitted(folder: Path, name: str, *, new: bool = False) -> None:
    """Ask the policy whether a library may be opened, or a `new` one created; raises PolicyRefused if not."""
    if policy.active():
        key = unlocked.keys_for(names.database_of(folder))  # `plain` while an encryption is not finished
        policy.check_library(
            name,
            encrypted=key is not None and not key.plain,
            new=new,
            missing=lambda: {layer.name: layer.reason for layer in offline.layers() if not layer.holds},
        )


def open_library(settings: Settings, name: str) -> Library:
    """Open a library for reading; see `Library.open`, and `names.check_trusted` for whose it must be."""
    names.check_trusted(settings, names.check_name(name))
    return Library.open(settings.library_dir(name), name)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def merged(read: Sequence[Fact], decided: Sequence[Fact]) -> tuple[Fact, ...]:
    """The facts that code read, each replaced by what a person decided of it, without the rejected ones."""
    if not decided:
        return tuple(read)
    known = {one.id: one for one in decided}
    ids = {one.id for one in read}
    # What a person confirmed or corrected stands also where code now reads another value from the same words.
    settled = {_said(one) for one in decided if one.state == "confirmed" and one.id not in ids}
    found = [known.get(one.id, one) for one in read if one.id in known or _said(one) not in settled]
    found += [one for one in decided if one.id not in ids]
    found.sort(key=lambda one: one.state != "confirmed")  # a person's word counts before what code reads
    return tuple(one for one in found if one.state != "rejected")


def _said(one: Fact) -> tuple[str, str]:
    return one.role, " ".join(one.quote.split())


def _facts(data: str) -> tuple[Fact, ...]:
    return tuple(protocol.from_plain(json.loads(data), tuple[Fact, ...]))
