"""One library on the disk, for reading: documents, pages, chunks, full text and vectors. `editing` changes it.

SQLite (`library.db`) is the truth. The FAISS index (`vectors.index`) names the library and the generation of the
database that it was made from; where it is of another generation it is brought level by what was added and removed
since, and where it is missing or damaged it is made again from the vectors that lie beside their passages, without
embedding anything. `snapshot` holds on to one committed generation while another process writes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np

from localrag import policy
from localrag.embeddings import EmbedderIdentity
from localrag.errors import EmbedderMismatch, LibraryError, NotFoundError, StorageError
from localrag.events import Failure
from localrag.security import offline, storage
from localrag.security.encryption import unlocked
from localrag.security.storage import sqlite3
from localrag.settings import Settings
from localrag.store.full_text import FullText
from localrag.store.names import (
    DATABASE,
    INDEX,
    SCHEMA,
    check_name,
    check_owner,
    check_trusted,
    did_you_mean,
    named,
    no_library,
)
from localrag.store.vector_index import LibraryIndex
from localrag.types import Anchor, Document, Heading, Ocr, Page, Pages, Remark, SkippedPage, StoredFile, Unit, Word

if TYPE_CHECKING:
    from localrag.store.vector_index import FaissIndex, Ids, IndexFacts, Vectors

PATH = "CASE d.member WHEN '' THEN f.path ELSE f.path || '/' || d.member END"
T = TypeVar("T")
# The last two: text that is no text, and a table that no longer is what it was made as.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, 0, sqlite3.SQLITE_ERROR)
_DOCUMENTS = f"""SELECT d.id, r.path AS root, {PATH} AS path, f.path AS file, d.title, d.sha256, d.size, d.paged,
    d.characters, d.author, d.date, d.language, d.skipped, d.remarks,
    (SELECT count(*) FROM pages p WHERE p.document_id = d.id) AS pages
    FROM documents d JOIN files f ON f.id = d.file_id JOIN roots r ON r.id = f.root_id"""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with where it stands; `page` and `label` are None in a document without pages.

    `header` is the table header that belongs to its first rows but stands before them.
    """

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
    header: str
    spot: str
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Of all documents: their languages, the commonest first, and by id the date ("" if unknown) and the length."""

    languages: tuple[str, ...]
    dates: Mapping[int, str]
    characters: Mapping[int, int]


class PassageSpan(NamedTuple):
    """Where a passage stands; `number` is that of the page, None in a document without pages."""

    passage_id: int
    document_id: int
    position: int
    start: int
    end: int
    number: int | None


class Library:
    """An open library, for reading: it never changes a byte of the database."""

    _writes = False

    def __init__(self, name: str, folder: Path, connection: sqlite3.Connection) -> None:
        self.name = name
        self.folder = folder
        self._db = connection
        self._index = LibraryIndex(folder / INDEX, self._select)
        self._overview: tuple[int, Overview] | None = None
        self.text = FullText(self._select)

    @classmethod
    def open(cls, folder: Path, name: str) -> Self:
        """Open a library that exists.

        Raises:
            NotFoundError: there is none of this name.
            LibraryError: the database is damaged, of another schema, or not yours alone.
            StorageError: its folder may not be written to.
            PolicyRefused: the policy does not allow it.
        """
        check_name(name)
        path = folder / DATABASE
        if not path.is_file():
            raise no_library(folder.parent, name)
        permitted(folder, name)
        check_owner(folder, name)
        try:
            connection = storage.connect(path, write=cls._writes)
            library = cls(name, folder, connection)
            schema = library._meta("schema")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
                raise StorageError(
                    f"the library {name!r} cannot be opened: its folder {str(folder)!r} cannot be written to",
                    "SQLite keeps two files of its own there, also while a library is only read. Get the right to "
                    "write there, or copy the folder to where you have it.",
                ) from error
            raise LibraryError(
                f"the library {name!r} cannot be opened: {error}",
                f"If {str(path)!r} is damaged, restore it, or delete {str(folder)!r} and ingest again.",
            ) from error
        if schema != str(SCHEMA):
            raise LibraryError(
                f"the library {name!r} has schema {schema!r}; this localrag reads schema {SCHEMA}",
                f"Read the documents again: localrag forget {name}, then ingest; or use the localrag that made it.",
            )
        return library

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Whatever is read inside belongs to one committed generation; a writer is not held up by it."""
        if self._db.in_transaction:
            yield
            return
        with self._sound():
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            with self._sound():
                self._db.commit()

    def _select(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._sound():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _sound(self) -> Iterator[None]:
        """Damage shows only where it is met, long after the database was opened."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGE:
                raise
            raise self._damaged(error) from error

    @contextmanager
    def _legible(self) -> Iterator[None]:
        """Around what is made of rows that were read: where it cannot be made, they are not what was written."""
        try:
            yield
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._damaged(error) from error

    def _made(self, make: Callable[[sqlite3.Row], T], rows: Sequence[sqlite3.Row]) -> list[T]:
        with self._legible():
            return [make(row) for row in rows]

    def _damaged(self, error: Exception) -> LibraryError:
        return LibraryError(
            f"the library {self.name!r} is damaged: {error}",
            f"Restore {str(self.folder / DATABASE)!r}, or delete {str(self.folder)!r} and ingest again.",
        )

    # --- facts ----------------------------------------------------------------------------------------------

    def _meta(self, key: str) -> str | None:
        rows = self._select("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    @property
    def identity(self) -> EmbedderIdentity:
        """Who made this library's vectors."""
        with self._legible():
            return EmbedderIdentity(**json.loads(self._meta("embedder") or "{}"))

    @property
    def generation(self) -> int:
        """Counts committed changes; whatever is derived from the database names the one it belongs to."""
        with self._legible():
            return int(self._meta("generation") or 0)

    def digest(self) -> str:
        """A digest (SHA-256) of what answers can rest on: names, titles, dates, passages, and the instructions.

        Unlike `generation` it is the same after files were only touched, or read again without a change.
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
        """By which version of `chunking` its chunks were made."""
        return self._meta("chunking") or ""

    @property
    def ocr_choice(self) -> tuple[Ocr | None, tuple[str, ...]]:
        """The choice of text recognition and its languages that was made for this library, if one was."""
        with self._legible():
            ocr, languages = json.loads(self._meta("reading") or "[null, []]")
            return ocr, tuple(languages)

    @property
    def instructions(self) -> str:
        """How answers from it shall be worded, as its owner says; empty where nothing is said."""
        return self._meta("instructions") or ""

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

    def files(self, root: str) -> dict[str, StoredFile]:
        """The files of a root as they were when they were last read, by path; those that failed are among them."""
        rows = self._select(
            "SELECT f.id, f.path, f.size, f.mtime_ns, f.sha256, f.stamp FROM files f "
            "JOIN roots r ON r.id = f.root_id WHERE r.path = ?",
            (root,),
        )
        return {row["path"]: StoredFile(**dict(row)) for row in rows}

    def failures(self, root: str | None = None) -> list[Failure]:
        """What could not be read at the last ingest: files, and what lies inside files."""
        rows = self._select(
            "SELECT f.path, f.reason, f.file, r.path FROM failures f JOIN roots r ON r.id = f.root_id "
            "WHERE ?1 IS NULL OR r.path = ?1 ORDER BY f.path",
            (root,),
        )
        return [Failure(*row) for row in rows]

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

    def content_hashes(self) -> set[str]:
        """SHA-256 of the contents of all documents."""
        return {row[0] for row in self._select("SELECT sha256 FROM documents")}

    def documents(self, globs: Sequence[str] | None = None, root: str | None = None) -> list[Document]:
        """Documents whose path matches one of the globs (all without), by path.

        Raises:
            NotFoundError: globs were given and match nothing.
        """
        everything = self._made(_document, self._select(f"{_DOCUMENTS} ORDER BY path, root"))
        found = [doc for doc in everything if root is None or doc.root == root]
        if globs:
            fitting = named({doc.path for doc in found}, globs)
            found = [doc for doc in found if doc.path in fitting]
            if not found:
                raise NotFoundError(
                    f"no document in {self.name!r} matches {', '.join(map(repr, globs))}",
                    did_you_mean(globs[0], [doc.path for doc in everything], self.name),
                )
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
        sql = "SELECT number, label, unit, text, layout FROM pages WHERE document_id = ? ORDER BY position"
        return self._made(_page, self._select(sql, (document_id,)))

    def page(self, document_id: int, position: int) -> Page | None:
        sql = "SELECT number, label, unit, text, layout FROM pages WHERE document_id = ? AND position = ?"
        rows = self._made(_page, self._select(sql, (document_id, position)))
        return rows[0] if rows else None

    def page_text(self, document_id: int, position: int) -> str:
        sql = "SELECT text FROM pages WHERE document_id = ? AND position = ?"
        rows = self._select(sql, (document_id, position))
        return str(rows[0][0]) if rows else ""

    def near_pairs(self, document_ids: Sequence[int]) -> set[tuple[int, int]]:
        """Pairs among these documents that say nearly the same, the smaller id first."""
        ids = json.dumps([int(i) for i in document_ids])
        sql = """SELECT document_id, other_id FROM near WHERE document_id IN (SELECT value FROM json_each(?1))
            AND other_id IN (SELECT value FROM json_each(?1))"""
        return {(min(row), max(row)) for row in map(tuple, self._select(sql, (ids,)))}

    def near_duplicates(self) -> list[tuple[str, str, float]]:
        """All pairs of documents that say nearly the same: the later read one, the other, how alike they are."""
        paths = {document.id: document.path for document in self.documents()}
        rows = self._select("SELECT document_id, other_id, similarity FROM near ORDER BY document_id, other_id")
        return self._made(lambda row: (paths[row[0]], paths[row[1]], float(row[2])), rows)

    def overview(self) -> Overview:
        """What every search asks of all documents, read once for a generation."""
        generation = self.generation
        if self._overview is None or self._overview[0] != generation:
            rows = self._select("SELECT id, language, date, characters FROM documents ORDER BY id")
            with self._legible():
                self._overview = generation, _overview_of(rows)
        return self._overview[1]

    # --- chunks and passages --------------------------------------------------------------------------------

    def chunks_of(self, document_id: int) -> list[StoredChunk]:
        """All chunks of a document, in reading order."""
        return self._chunks("c.document_id = ?", [document_id])

    def chunks_of_passages(
        self, passage_ids: Sequence[int], document_ids: Sequence[int] | None = None, pages: Pages | None = None
    ) -> dict[int, list[StoredChunk]]:
        """Where each passage stands, among these documents and pages (all without), the first document first."""
        where, extra = _where(document_ids, pages)
        found: dict[int, list[StoredChunk]] = {}
        for part in _parts(passage_ids):
            for chunk in self._chunks(f"c.passage_id IN ({_marks(part)}) AND {where}", [*part, *extra]):
                found.setdefault(chunk.passage_id, []).append(chunk)
        return found

    def passage_ids(self, document_ids: Sequence[int] | None, pages: Pages | None = None) -> Ids:
        """The passages that stand in these documents, on these pages (None: in all, on any)."""
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
        return self._made(_chunk, self._select(sql, values))

    def spans_of_passages(
        self, passage_ids: Sequence[int], document_ids: Sequence[int] | None = None, pages: Pages | None = None
    ) -> list[PassageSpan]:
        """Where passages stand, without their text, among these documents and pages (all without); in reading order."""
        where, values = _where(document_ids, pages)
        sql = f"""SELECT c.passage_id, c.document_id, c.position, c.start, c."end", p.number FROM chunks c
            JOIN pages p ON p.document_id = c.document_id AND p.position = c.position
            WHERE c.passage_id IN (SELECT value FROM json_each(?)) AND {where} ORDER BY c.id"""
        return [PassageSpan(*row) for row in self._select(sql, [json.dumps([int(i) for i in passage_ids]), *values])]

    def tables_of(self, passage_ids: Sequence[int]) -> list[tuple[int, str]]:
        """The text of those of these passages that hold a table."""
        sql = """SELECT c.passage_id, substr(p.text, c.start + 1, c."end" - c.start) AS said, min(c.id) FROM chunks c
            JOIN pages p ON p.document_id = c.document_id AND p.position = c.position
            WHERE c.passage_id IN (SELECT value FROM json_each(?)) GROUP BY c.passage_id
            HAVING said LIKE '%| %|%'"""
        return [(row[0], row[1]) for row in self._select(sql, (json.dumps([int(i) for i in passage_ids]),))]

    def first_passages(self, document_ids: Sequence[int]) -> list[int]:
        """The first passage of each of these documents."""
        sql = """SELECT passage_id, min(id) FROM chunks WHERE document_id IN (SELECT value FROM json_each(?))
            GROUP BY document_id"""
        return [row[0] for row in self._select(sql, (json.dumps([int(i) for i in document_ids]),))]

    def cosines(self, passage_ids: Sequence[int], question: Vectors) -> dict[int, float]:
        """The cosine of each of these passages to a question's vector, from the vectors as they are kept."""
        if not len(passage_ids):
            return {}
        wanted = np.unique(np.asarray(passage_ids, np.int64))
        ids, vectors = self._index.vectors(wanted)
        if len(ids) < len(wanted):
            raise self._damaged(KeyError(f"{len(wanted) - len(ids)} passages that words lead to are missing"))
        return dict(zip(ids.tolist(), (vectors @ question).tolist(), strict=True))

    def known_digests(self, digests: Sequence[bytes]) -> set[bytes]:
        """Which of these passages have their vector already."""
        found: set[bytes] = set()
        for first in range(0, len(digests), 500):
            part = digests[first : first + 500]
            found |= {
                row[0] for row in self._select(f"SELECT digest FROM passages WHERE digest IN ({_marks(part)})", part)
            }
        return found

    def index(self) -> FaissIndex:
        """The vector index of the present generation."""
        with self.snapshot():
            return self._index.at(*self._state())

    def index_facts(self) -> IndexFacts | None:
        """What is known of the index in its file, without reading it; None where it has yet to be made."""
        return self._index.facts(self._meta("uid") or "")

    def _state(self) -> tuple[str, int, int]:
        """What an index must be of: the library, its generation, the dimension of its vectors."""
        return self._meta("uid") or "", self.generation, self.identity.dimension


_NUMBERS = ("id", "size", "characters", "pages")
_TEXTS = ("root", "path", "file", "title", "sha256", "author", "date", "language")


def _document(row: sqlite3.Row) -> Document:
    """Raises ValueError, TypeError or KeyError, as all here, where a row is not what was written."""
    values = dict(row)
    _are(int, values, _NUMBERS)
    _are(str, values, _TEXTS)
    values["skipped"] = tuple(SkippedPage(*item) for item in json.loads(values["skipped"]))
    values["remarks"] = tuple(Remark(*item) for item in json.loads(values["remarks"]))
    return Document(**{**values, "paged": bool(values["paged"])})


def _chunk(row: sqlite3.Row) -> StoredChunk:
    values = dict(row)
    _are(int, values, ("start", "end"))
    _are(str, values, ("document", "title", "header", "spot", "text"))
    return StoredChunk(**{**values, "heading": tuple(json.loads(values["heading"]))})


def _page(row: sqlite3.Row) -> Page:
    headings, anchors, words = json.loads(row["layout"])
    _are(str, dict(row), ("text", "unit"))
    return Page(
        row["text"], row["number"], row["label"], tuple(Heading(*item) for item in headings), row["unit"],
        tuple(Anchor(*item) for item in anchors), tuple(Word(*item) for item in words),
    )  # fmt: skip


def _overview_of(rows: Sequence[sqlite3.Row]) -> Overview:
    for row in rows:
        _are(int, dict(row), ("id", "characters"))
        _are(str, dict(row), ("language", "date"))
    return Overview(
        tuple(name for name, _ in Counter(row["language"] for row in rows).most_common()),
        {row["id"]: row["date"] for row in rows},
        {row["id"]: row["characters"] for row in rows},
    )


def _are(kind: type, values: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if type(values[name]) is not kind:
            raise TypeError(f"{name} is {values[name]!r:.40}")


def _described(identity: EmbedderIdentity) -> str:
    return f"{identity.model} ({identity.precision}, {identity.engine}, {identity.sha256[:8]})"


def _where(document_ids: Sequence[int] | None, pages: Pages | None) -> tuple[str, list[Any]]:
    """The SQL that a chunk `c` stands in these documents, on these pages, and its values."""
    parts: list[str] = ["1"]
    values: list[Any] = []
    if document_ids is not None:
        # One JSON parameter, since a filter may name more documents than SQLite takes parameters.
        parts.append("c.document_id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps([int(i) for i in document_ids]))
    if pages is not None:
        parts.append(
            "EXISTS (SELECT 1 FROM pages q WHERE q.document_id = c.document_id "
            "AND q.position = c.position AND q.number >= ? AND q.number <= ?)"
        )
        values += [pages[0], 2**62 if pages[1] is None else pages[1]]
    return " AND ".join(parts), values


def _parts(ids: Sequence[int], size: int = 500) -> Iterator[list[int]]:
    plain = [int(i) for i in ids]
    for first in range(0, len(plain), size):
        yield plain[first : first + size]


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def permitted(folder: Path, name: str, *, new: bool = False) -> None:
    """Ask the policy whether a library may be opened or, a `new` one, made.

    Raises:
        PolicyRefused: it may not.
    """
    if policy.active():
        key = unlocked.keys_for(folder / DATABASE)  # with one, some may lie in clear still: then it is not finished
        policy.check_library(
            name, encrypted=key is not None and not key.plain, new=new,
            missing=lambda: {layer.name: layer.reason for layer in offline.layers() if not layer.holds},
        )  # fmt: skip


def open_library(settings: Settings, name: str) -> Library:
    """Open a library for reading; see `Library.open`, and `check_trusted` for whose it must be."""
    check_trusted(settings, check_name(name))
    return Library.open(settings.library_dir(name), name)
