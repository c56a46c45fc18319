"""A library that others may have made, taken over value by value into a database that we make ourselves.

What comes from a stick, or from somebody, may hold anything: rows of other types than declared, triggers and views that
run what others wrote, offsets beyond their text, a vector index or kept model states that attack what loads them. So of
such a folder the database and the key ring are copied and nothing else is looked at. The copy is checked (`_sound`),
each value of its rows is checked (`checked_rows`), and what passes is written to a new database; full text and vector
index are made anew from that. It is all or nothing: the first thing that is wrong refuses the library, and says where.

A library that is not ours is thus read from a checked copy in our own home (`open_library`), made anew when the
original changes, and never written to.

Limits: what the library says may be lies: texts and quotes are those of the library, not of documents seen here, and
vectors may favour what their maker likes. SQLite itself reads the copied file.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from localrag.embeddings import EmbedderIdentity
from localrag.errors import Cancelled, LibraryError, LocalragError, StorageError
from localrag.llm import prompt_cache
from localrag.security import storage
from localrag.security.encryption import ring as rings
from localrag.security.encryption.database import sqlite3
from localrag.settings import Settings
from localrag.store.library import Library, permitted
from localrag.store.names import check_name, no_library
from localrag.store.row_validation import ROWS, Seen, Unfit, all_stand, meta_of
from localrag.store.schema import COPY_OF, DATABASE, INDEX, LOCK, SCHEMA, TABLES
from localrag.store.writer import Editor

FRESH = "fresh"
RECEIVED = "received.db"
_LOG = "-wal"
_LARGEST_RING = 1 << 20
_PIECE = 1 << 20
_AT_ONCE = 500
_TELL = 50
# What is allowed while a database of others is read; the numbers are SQLite's, which the engine's module does not name.
_READ, _SELECT, _PRAGMA, _FUNCTION, _OK = 20, 21, 19, 31, 0
_PRAGMAS = {"integrity_check", "foreign_key_check", "encoding"}
_FUNCTIONS = {"max", "octet_length", "count"}

Stop = Callable[[], bool]
Progress = Callable[[int, int | None, str], None]


def open_library(settings: Settings, name: str) -> Library:
    """A library for reading; of one that is not ours its checked copy, brought level first.

    Raises:
        NotFoundError: there is none of this name.
        LibraryError: it is damaged, or of another schema, or not what a library holds.
    """
    if check_name(name) and settings.foreign(name):
        bring_level(settings.indexes_dir / name, settings.library_dir(name), name)
    return Library.open(settings.library_dir(name), name)


def bring_level(source: Path, folder: Path, name: str) -> None:
    """Make the checked copy of a library in `folder`, where there is none or the original has changed."""
    if not (source / DATABASE).exists():
        raise no_library(source.parent, name)
    permitted(source, name)  # before anything of it lies here in clear
    with storage.lock(folder.parent / LOCK, f"the copy of {name!r}"):
        stamp = [_stamp(source / each) for each in (DATABASE, DATABASE + _LOG, rings.FILE)]
        if (folder / DATABASE).is_file() and _noted(folder) == stamp:
            return
        # What was asked of it before is kept; under another key it could not be.
        if (folder / rings.FILE).is_file() and ring_of(source) != (folder / rings.FILE).read_bytes():
            storage.remove(folder)
        receive(source, folder)
        try:
            take_over(folder, name)
        finally:
            clear(folder)
        with closing(Library.open(folder, name)) as library:
            prompt_cache.drop_missing(folder, {document.sha256 for document in library.documents()})
        storage.write_json(folder / COPY_OF, {"original": str(source), "stamp": stamp})


def receive(source: Path, folder: Path) -> None:
    """Copy database and key ring of a library as they lie, into a folder where nobody else can change them.

    Raises:
        LibraryError: they are no ordinary files.
        StorageError: they cannot be read, or there is no room.
    """
    clear(folder)
    ring = ring_of(source)
    if ring is not None:
        rings.from_json(ring)
        storage.write_bytes(folder / rings.FILE, ring, plain=True)
    _copy(source / DATABASE, folder / RECEIVED)
    if (source / (DATABASE + _LOG)).exists():
        _copy(source / (DATABASE + _LOG), folder / (RECEIVED + _LOG))


def clear(folder: Path) -> None:
    """Take away what a taking over needed, or left when it was killed."""
    for each in (RECEIVED, RECEIVED + _LOG, RECEIVED + "-shm", FRESH):
        storage.remove(folder / each)


def take_over(
    folder: Path,
    name: str,
    *,
    own: bool = False,
    stop: Stop = lambda: False,
    progress: Progress = lambda done, total, words: None,
) -> None:
    """Make a folder's database and index of the one that was received there.

    Args:
        own: whether it comes from where our own libraries do, so that also its instructions to the model are kept.
        stop: polled; True ends it with Cancelled, and nothing of a library that was there is changed.
        progress: told what is being read, and of the words how many passages and documents of all are done.

    Raises:
        LibraryError: it is not what a library holds; the message says where.
    """
    try:
        with closing(storage.connect(folder / RECEIVED)) as source:
            _sound(source, stop)
            _fill(folder / FRESH, name, source, own, stop, progress)
    except (sqlite3.Error, sqlite3.Warning, Unfit, UnicodeError, MemoryError, OverflowError) as error:
        if "interrupted" in str(error) and stop():
            raise _stopped() from None
        raise LibraryError(
            f"the library {name!r} is refused, since it is not what localrag writes: {str(error) or 'too large':.300}",
            "Ask whoever made it for another copy (localrag backup), or ingest the documents themselves.",
        ) from None
    for file in sorted((folder / FRESH).iterdir()):
        if not file.name.endswith((_LOG, "-shm")):
            for each in ("", _LOG, "-shm") if file.name == INDEX else (_LOG, "-shm"):
                storage.remove(folder / (file.name + each))
            storage.move(file, folder / file.name)


def _sound(source: sqlite3.Connection, stop: Stop) -> None:
    """Whether a database has our tables and nothing else, and is whole; nothing of it is evaluated."""
    source.set_authorizer(_only_reading)
    source.set_progress_handler(lambda: int(stop()), 10_000)
    if [tuple(row) for row in source.execute("PRAGMA encoding")] != [("UTF-8",)]:
        raise Unfit("its text is not in UTF-8")
    if _schema(source) != _own_schema():
        raise Unfit(f"it has other tables, or more than tables, than schema {SCHEMA} has")
    # Each page is looked at once, so pages that lead to each other in circles are found in good time.
    (found,) = source.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Unfit(f"it is damaged ({found!s:.200})")
    if source.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise Unfit("rows refer to rows that are not there")


def _only_reading(action: int, first: str | None, second: str | None, *_: object) -> int:
    allowed = (
        action in (_READ, _SELECT)
        or (action == _PRAGMA and first in _PRAGMAS)
        or (action == _FUNCTION and second in _FUNCTIONS)
    )
    return _OK if allowed else sqlite3.SQLITE_DENY


def _schema(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    rows = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100").fetchall()
    return {tuple(" ".join(str(value).split()) for value in row) for row in rows}


def _own_schema() -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(TABLES)
        return _schema(database)


def _fill(
    folder: Path, name: str, source: sqlite3.Connection, own: bool, stop: Stop, progress: Progress
) -> None:  # fmt: skip
    said = meta_of(source, instructions=own)
    identity = EmbedderIdentity(**json.loads(said["embedder"]))
    seen = Seen(identity.dimension)
    made = Editor.create(folder, name, identity)
    try:
        with made.transaction():
            made.fill("meta", ("key", "value"), list(said.items()))
            for rows in ROWS:
                progress(0, None, rows.table)
                batch: list[tuple[Any, ...]] = []
                for row in rows.read(source, seen):
                    batch.append(row)
                    if len(batch) >= _AT_ONCE:
                        _go_on(stop)
                        made.fill(rows.table, rows.columns, batch)
                        batch = []
                made.fill(rows.table, rows.columns, batch)
            all_stand(seen)
            total = len(seen.passages) + len(seen.pages)
            for done, _ in enumerate(made.index_words()):
                if not done % _TELL:
                    progress(done, total, "words")
                _go_on(stop)
        progress(total, total, "vectors")
        made.save_index()
    finally:
        made.close()


def _go_on(stop: Stop) -> None:
    if stop():
        raise _stopped()


def _stopped() -> LocalragError:
    return Cancelled("stopped; nothing was changed", "The same command begins again.")


# --- files of others ----------------------------------------------------------------------------------------


def ring_of(source: Path) -> bytes | None:
    """The key ring of a folder, or None; raises as `_open`."""
    if not (source / rings.FILE).exists():
        return None
    with os.fdopen(_open(source / rings.FILE), "rb") as stream:
        data = stream.read(_LARGEST_RING + 1)
    if len(data) > _LARGEST_RING:
        raise LibraryError(f"{str(source / rings.FILE)!r} is no key ring", "Ask for another copy of the library.")
    return data


def _copy(source: Path, target: Path) -> None:
    with os.fdopen(_open(source), "rb") as old, storage.create(target, plain=True) as new:
        while piece := old.read(_PIECE):
            new.write(piece)


def _open(path: Path) -> int:
    """A descriptor of an ordinary file: no link, nor a pipe that would wait for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
                             | getattr(os, "O_BINARY", 0))  # fmt: skip
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be read: {error.strerror}", "Copy it to where you can.") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LibraryError(f"{str(path)!r} is not an ordinary file", "Ask for another copy of the library.")
    return descriptor


def _stamp(path: Path) -> list[int] | None:
    with suppress(OSError):
        facts = path.lstat()
        return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns]
    return None


def _noted(folder: Path) -> Any:
    """The stamp of the original that a copy was made from."""
    with suppress(LocalragError, OSError, ValueError, TypeError, KeyError):
        return json.loads(storage.read_bytes(folder / COPY_OF))["stamp"]
    return None
