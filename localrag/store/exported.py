"""A read-only library: a folder with a manifest, a database, its vectors, their keys and perhaps the documents.

What this machine keeps of it (conversations, prompt cache, audit log) is in a folder of the user's own, with `LINK`,
which says where the export is. Nothing is written to an export, and it is data: it holds no settings, no link in it is
followed, and its tables are those of this version or it is not opened. Its hashes find damage. They do not say who made
it: with another manifest it is another library, with another name here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

from localrag.errors import Cancelled, IntegrityError, LibraryError, NotFoundError, StorageError
from localrag.security import storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.storage import sqlite3
from localrag.settings import read_file

LINK = "export.json"

MANIFEST = "localrag-library.json"
DOCUMENTS = "documents"
# What is exported of these tables: no instructions, forgotten documents or unfinished vectors.
_META = ("schema", "uid", "generation", "embedder", "chunking")
_ROWS = {"meta": f"WHERE key IN {_META}", "staged": "WHERE 0 = 1"}
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2, 3, 4"
_MAX_MANIFEST = 1 << 28
_BLOCK = 1 << 20
_ROWS_PER_STEP = 2000
_CORE = re.compile(r"library\.db|vectors\.index|vault\.json|keys/[0-9a-f]{32}\.key")
_ROOT = re.compile(rf"{DOCUMENTS}/\d{{1,9}}")

Stop = Callable[[], bool]
Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export says of itself: its files, with size and SHA-256; `sha256` is that of the manifest."""

    folder: Path
    sha256: str
    library: str
    made: str
    version: str
    schema: int
    encrypted: bool
    files: Mapping[str, tuple[int, str]]

    @property
    def name(self) -> str:
        """The library's name on a machine that opens it, another one for another manifest."""
        return f"{self.library[:80].rstrip(' .')} ({self.sha256[:8]})"

    @property
    def core(self) -> list[str]:
        """The files that an answer depends on."""
        return [path for path in self.files if _CORE.fullmatch(path)]


def is_export(given: str) -> bool:
    """Whether what was given for a library's name is the path of an export, which need not be there."""
    path = Path(given).expanduser()
    return (path.suffix == ".lrlib" and path.name != given) or os.path.isfile(path / MANIFEST)  # noqa: PTH113 - no errors


def read(folder: Path) -> Manifest:
    """Read a manifest. Raises NotFoundError, StorageError, or IntegrityError where it is not one."""
    folder = Path(os.path.realpath(folder))
    with _reading(folder):
        data = read_file(folder / MANIFEST, most=_MAX_MANIFEST)
    try:
        value = json.loads(data)
        files = {path: (int(size), str(sha256)) for path, (size, sha256) in value["files"].items()}
        name, made, version = (str(value[key])[:100] for key in ("library", "made", "version"))
        if "library.db" not in files or not all(map(_is_member, files)) or not (name + made + version).isprintable():
            raise ValueError
        sha256, encrypted = hashlib.sha256(data).hexdigest(), keyrings.FILE in files
        return Manifest(folder, sha256, name, made, version, int(value["schema"]), encrypted, files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise _changed(folder, MANIFEST) from None


def check(manifest: Manifest, paths: Iterable[str], stop: Stop, progress: Progress) -> None:
    """Compare files with their hashes. Raises IntegrityError where one was changed; StorageError; Cancelled."""
    paths = list(paths)
    done, total = 0, sum(manifest.files[path][0] for path in paths)
    _stamps(manifest, paths)
    for path in paths:
        digest = hashlib.sha256()
        with _reading(manifest.folder), _inside(manifest.folder, path).open("rb") as stream:
            while block := stream.read(_BLOCK):
                if stop():
                    raise Cancelled("stopped; nothing was changed", "The same command starts over.")
                digest.update(block)
                progress(done := done + len(block), total, f"checking {path}")
        if digest.hexdigest() != manifest.files[path][1]:
            raise _changed(manifest.folder, path)


def keep(
    local: Path, manifest: Manifest, stop: Stop = lambda: False, progress: Progress = lambda done, total, words: None
) -> None:
    """Check what answers depend on, and keep in the user's own folder where it is and when it was checked."""
    stamps = _stamps(manifest, manifest.core)
    check(manifest, manifest.core, stop, progress)
    if manifest.encrypted:  # so that what is kept here is encrypted, too, and the same key opens it
        storage.write_bytes(local / keyrings.FILE, _inside(manifest.folder, keyrings.FILE).read_bytes(), plain=True)
    about = {"folder": str(manifest.folder), "manifest": manifest.sha256, "checked": stamps}
    storage.write_bytes(local / LINK, json.dumps(about).encode(), plain=True)


def is_kept(local: Path, manifest: Manifest) -> bool:
    """Whether the export was checked at this path, and no size or time changed since. Raises as `check`."""
    about = _kept(local) if (local / LINK).exists() else {}
    same = about.get("folder") == str(manifest.folder) and about.get("manifest") == manifest.sha256
    return same and about.get("checked") == _stamps(manifest, manifest.core)


def folder_of(local: Path) -> Path:
    """Where the export of a library is."""
    return Path(str(_kept(local).get("folder")))


def connect(local: Path) -> sqlite3.Connection:
    """Open the database of an export for reading, checked anew if it changed. Raises as `check` and Library.open."""
    manifest = read(folder_of(local))
    if manifest.sha256 != _kept(local).get("manifest"):
        hint = f"To open that one, name it by its path: --library {str(manifest.folder)!r}"
        raise LibraryError(f"{str(manifest.folder)!r} is not {local.name!r} any more, but another library", hint)
    if not is_kept(local, manifest):
        keep(local, manifest)
    held = unlocked.keys_for(local / LINK) if manifest.encrypted else None
    if held is not None:
        unlocked.add_key(manifest.folder, held.key)
    connection = storage.connect_unchanging(manifest.folder / "library.db", held.key if held is not None else None)
    if (
        list(map(tuple, connection.execute(_SCHEMA))) != _tables()
        or connection.execute(f"SELECT 1 FROM meta WHERE key NOT IN {_META} OR typeof(value) <> 'text'").fetchone()
    ):
        connection.close()
        raise LibraryError(
            f"the database in {str(manifest.folder)!r} has other tables than localrag makes",
            "Somebody else made it. Ask for a new export: localrag export NAME --read-only FOLDER",
        )
    return connection


def original(local: Path, root: str, inside: str) -> Path | None:
    """The file of a document that was exported, too; None if it was not, or a link leads to it."""
    folder = folder_of(local)
    if not _ROOT.fullmatch(root) or not _is_member(f"{root}/{inside}"):
        return None
    file = folder / root / inside
    return file if file.is_file() and os.path.realpath(file) == str(file) else None


def copy(source: Any, target: Path, stop: Stop, progress: Progress) -> sqlite3.Connection:
    """Copy the tables of a library to a new database, and return it: rows alone, not the schema or free pages."""
    fresh = storage.connect(target, write=True)
    there = {row[0] for row in source.execute("SELECT name FROM sqlite_master")}
    with storage.storage_errors(target):
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF"):
            fresh.execute(f"PRAGMA {pragma}")
        fresh.executescript(_ddl())
        tables = [row[0] for row in fresh.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        fresh.execute("BEGIN")
        for table in [table for table in tables if table in there and not table.startswith("sqlite_")]:
            columns = [f'"{row[1]}"' for row in fresh.execute(f"PRAGMA table_info({table})")]
            rows, done = source.execute(f"SELECT {', '.join(columns)} FROM {table} {_ROWS.get(table, '')}"), 0
            while some := rows.fetchmany(_ROWS_PER_STEP):
                if stop():
                    raise Cancelled("stopped; nothing was written", "The same command starts over.")
                fresh.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", some)
                progress(done := done + len(some), None, table)
        roots = fresh.execute("SELECT id FROM roots ORDER BY path").fetchall()
        # Paths of this machine are no business of others.
        moved = [(f"{DOCUMENTS}/{number}", root) for number, (root,) in enumerate(roots, 1)]
        fresh.executemany("UPDATE roots SET path = ? WHERE id = ?", moved)
        fresh.execute("COMMIT")
    return fresh


def _kept(local: Path) -> dict[str, Any]:
    try:
        with _reading(local):
            return dict(json.loads((local / LINK).read_bytes()))
    except (ValueError, TypeError, RecursionError):
        message = f"{str(local / LINK)!r} is damaged"
        raise LibraryError(message, "Delete it, and name the library by its path.") from None


def _is_member(path: str) -> bool:
    parts = path.split("/")
    below = len(parts) > 2 and _ROOT.fullmatch("/".join(parts[:2])) is not None
    plain = not any(part in ("", ".", "..") for part in parts) and not PurePath(path).anchor
    return bool(_CORE.fullmatch(path)) or (below and plain and PurePath(path).as_posix() == path)


def _inside(folder: Path, path: str) -> Path:
    """The path of a member of an export, which no link leads to."""
    if os.path.realpath(folder / path) != str(folder / path):
        raise _changed(folder, path)
    return folder / path


def _stamps(manifest: Manifest, paths: Iterable[str]) -> dict[str, list[int]]:
    """The size and time of files, which have to be regular ones of the size that the manifest says."""
    found = {}
    for path in paths:
        with _reading(manifest.folder):
            facts = _inside(manifest.folder, path).lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_size != manifest.files[path][0]:
            raise _changed(manifest.folder, path)
        found[path] = [facts.st_size, facts.st_mtime_ns]
    return found


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if folder.is_dir() and (folder / MANIFEST).exists():
            raise _changed(folder, PurePath(error.filename).name) from None
        hint = "Plug in its stick or connect its share. If it was moved, name it by its new path."
        raise NotFoundError(f"there is no read-only library at {str(folder)!r}", hint) from None
    except OSError as error:
        message = f"cannot read {str(folder)!r}: {error.strerror or error}"
        raise StorageError(message, "Is its stick or share still connected?") from error


def _changed(folder: Path, path: str) -> IntegrityError:
    message = f"{path!r} in {str(folder)!r} is not what was exported: it was changed or cut short"
    return IntegrityError(message, "Nothing is answered from it. Copy the whole folder again from where you got it.")


def _ddl() -> str:
    return resources.files("localrag.store").joinpath("schema.sql").read_text(encoding="utf-8")


@cache
def _tables() -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_ddl())
        return [tuple(row) for row in database.execute(_SCHEMA)]
