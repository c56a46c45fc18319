"""Which libraries there are, their names and owners, what was forgotten, and which documents a glob names."""

from __future__ import annotations

import difflib
import fnmatch
import hmac
import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from localrag.errors import LibraryError, NotFoundError, UsageError
from localrag.settings import Settings
from localrag.types import Document

if TYPE_CHECKING:
    import sqlite3

    from localrag.store.postgres import Connection

    Database = sqlite3.Connection | Connection

SCHEMA = 3
DATABASE = "library.db"
INDEX = "vectors.index"
STORE = "store.json"  # instead of the database: the PostgreSQL database that holds the library, and its name there
LOCK = "library.lock"
LINK = "export.json"  # instead of the database: where the read-only library is
MANIFEST = "localrag-library.json"  # in a read-only library
NAME = re.compile(r"\w([\w .()&+,-]{0,98}[\w()&+,-])?")
RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])([ .].*)?", re.I)  # devices on Windows


def check_name(name: str) -> str:
    """Refuse a library name that is not a plain folder name, with a UsageError."""
    if not NAME.fullmatch(name) or (sys.platform == "win32" and RESERVED.fullmatch(name)):
        hint = "Use letters, digits, spaces, dots and dashes, at most 100 of them."
        raise UsageError(f"{name!r} cannot be a library's name", hint)
    return name


def library_names(folder: Path) -> list[str]:
    """Names of the libraries in a folder, sorted."""
    return sorted({path.parent.name for file in (DATABASE, STORE, LINK) for path in folder.glob(f"*/{file}")})


def database_of(folder: Path) -> Path:
    """The file that makes a folder a library: its database, or what names its store or its export."""
    return next((folder / file for file in (STORE, LINK) if (folder / file).exists()), folder / DATABASE)


def exists(folder: Path) -> bool:
    """Whether a folder is a library."""
    return database_of(folder).is_file()


def connect(folder: Path, *, write: bool = False) -> Database:
    """Open the database of a library: SQLite, or PostgreSQL with the methods of SQLite that are used here."""
    from localrag.security import storage  # imports the database engine, which the app's first screen does not need

    if write:
        check_writable(folder)
    if (folder / LINK).exists():
        from localrag.store import exported

        return exported.connect(folder)
    if not (folder / STORE).exists():
        return storage.connect(folder / DATABASE, write=write)
    from localrag.store import postgres

    return postgres.open_library(*stored_in(folder), write=write)


def files_of_library(folder: Path) -> Path:
    """The folder with the database and vectors of a library: its own, or its export."""
    if not (folder / LINK).exists():
        return folder
    from localrag.store import exported

    return exported.folder_of(folder)


def store_of_library(folder: Path) -> str | None:
    """The URL of the store that holds a library; None for a library in its folder."""
    return stored_in(folder)[0] if (folder / STORE).exists() else None


def keep_store(folder: Path, url: str, library: str, number: int | None = None) -> None:
    """Make a folder that of a library in a store."""
    from localrag.security import storage

    storage.write_json(folder / STORE, {"store": url, "library": library, "number": number})


def share_audit(folder: Path, event: str, details: Mapping[str, Any]) -> None:
    """Add an entry of a library's audit log to that of its store, if it has one."""
    if (folder / STORE).exists():
        from localrag.store import postgres

        with closing(postgres.open_library(*stored_in(folder))) as database:
            database.execute("INSERT INTO audit (event, details) VALUES (?, ?)", (event, json.dumps(details)))


def stored(settings: Settings, name: str) -> tuple[str, str, int | None]:
    """`stored_in` for a library that has to be in a store. Raises NotFoundError or UsageError."""
    folder = settings.library_dir(check_name(name))
    if not exists(folder):
        raise no_library(settings.indexes_dir, name)
    check_trusted(settings, name)
    check_writable(folder)
    if not (folder / STORE).exists():
        hint = "It cannot be moved. Ingest its documents into a store: localrag ingest FOLDER --name OTHER --store URL"
        raise UsageError(f"the library {name!r} is in its folder, not in a store", hint)
    return stored_in(folder)


def check_kept_in(folder: Path, url: str) -> None:
    """Refuse another store than that of a library, with a UsageError."""
    from localrag.store.postgres import Store

    kept = store_of_library(folder)
    if kept is None or Store.parse(kept) != Store.parse(url):
        there = "its folder" if kept is None else repr(kept)
        hint = "It cannot be moved: leave out --store, or give another --name."
        raise UsageError(f"the library {folder.name!r} is kept in {there}", hint)


def check_in_folder(folder: Path, what: str) -> None:
    """Refuse what works on a library's files where a store or an export holds the library, with a UsageError."""
    check_writable(folder)
    if url := store_of_library(folder):
        raise UsageError(f"{folder.name!r} is in {url!r}, so {what}", "Its server does it: see docs/postgresql.md.")


def resolve(
    settings: Settings,
    given: str,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int | None, str], None] = lambda done, total, words: None,
) -> str:
    """The name of a library on this machine: the one given, or that of the read-only library at the path given.

    What this machine keeps of an export is in a folder of its own, made at the first opening, which hashes it. Raises
    NotFoundError, StorageError, IntegrityError, LibraryError or Cancelled.
    """
    from localrag.store import exported

    own = NAME.fullmatch(given) and exists(settings.library_dir(given))
    if own or not exported.is_export(given):
        return given
    manifest = exported.read(Path(given).expanduser())
    if manifest.schema != SCHEMA:
        made = f"was exported by localrag {manifest.version!r} with schema {manifest.schema}"
        hint = "Ask for a new export by this version: localrag export NAME --read-only FOLDER"
        raise LibraryError(f"{given!r} {made}; this localrag reads schema {SCHEMA}", hint)
    local = settings.library_dir(name := check_name(manifest.name))
    if not exported.is_kept(local, manifest):
        from localrag.security import sandbox, storage

        sandbox.mark_as_own(settings, name)
        exported.keep(storage.make_dir(local), manifest, stop, progress)
    return name


def check_writable(folder: Path) -> None:
    """Refuse to change a library that is read from an export, with a UsageError."""
    if (folder / LINK).exists():
        hint = "Whoever made it can change it and export it anew. For one of your own: localrag ingest FOLDER"
        raise UsageError(f"the library {folder.name!r} is read-only", hint)


def stored_in(folder: Path) -> tuple[str, str, int | None]:
    """The URL of the store that holds a library, and the library's name and number there; LibraryError for damage."""
    from localrag.security import storage

    try:
        found = json.loads(storage.read_bytes(folder / STORE))
        number = found.get("number")
        return str(found["store"]), str(found["library"]), None if number is None else int(number)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        hint = f"Delete it and connect again: localrag store connect URL {folder.name}"
        raise LibraryError(f"the file {str(folder / STORE)!r} is damaged", hint) from None


def library_of(path: Path, settings: Settings) -> str | None:
    """The library that a folder (or a file's folder) was read into, or None; untrusted libraries are passed over."""
    from localrag.security.encryption import unlocked

    found = Path(os.path.realpath(path))
    root = str(found.parent if found.is_file() else found)
    own = Path(root).name
    for name in sorted(library_names(settings.indexes_dir), key=lambda name: name != own):
        # A damaged or locked library is reported where it is used. Only the library of the folder's own name may ask
        # for its key.
        with suppress(Exception), unlocked.allow_prompt(name == own):
            if _rows(settings, name, "SELECT 1 FROM roots WHERE path = ?", root):
                return name
    return None


def name_for(path: Path, settings: Settings) -> str:
    """The library's name for a folder: the one it was read into, else the folder's own name if no other has it."""
    known = library_of(path, settings)
    if known is not None:
        return known
    folder = Path(os.path.realpath(path))
    folder = folder.parent if folder.is_file() else folder
    letters = (letter if letter.isalnum() or letter in " .-_" else "-" for letter in folder.name)
    name = "".join(letters).strip(" .-") or "documents"
    if name in library_names(settings.indexes_dir):
        from localrag.security import storage

        try:
            used = _rows(settings, name, "SELECT 1 FROM roots")  # none: stopped before its first document
        except storage.sqlite3.DatabaseError:
            return name  # a damaged library is reported where it is opened
        if used:
            hint = f"To add {str(path)!r} to it, give --name {name!r}; otherwise give another --name."
            raise UsageError(f"another folder's library is named {name!r}", hint)
    return name


def no_library(folder: Path, name: str) -> NotFoundError:
    """The error for a library that does not exist, with the nearest name that does."""
    near = difflib.get_close_matches(name, library_names(folder), 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return NotFoundError(
        f"no library named {name!r} in {str(folder)!r}",
        f"{hint}`localrag libraries` lists them (those in ./indexes if there is such a folder). "
        f"To make it: localrag ingest FOLDER --name {name}",
    )


def is_own(folder: Path) -> bool:
    """Whether a folder is a library or localrag's data folder, whose files are not documents."""
    pairs = ((DATABASE, LOCK), (STORE, LOCK), (DATABASE, MANIFEST), ("indexes", "general"))
    # Path.exists() raises for a folder without the right to look into it.
    return any(os.access(folder / one, os.F_OK) and os.access(folder / other, os.F_OK) for one, other in pairs)


# --- whose a library is ----------------------------------------------------------------------------------------

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def check_trusted(settings: Settings, name: str) -> None:
    """Refuse a library that somebody else may have made or changed, with a LibraryError.

    In a folder ./indexes, only libraries that were made or restored on this machine are trusted.
    """
    folder = settings.library_dir(name)
    if settings.claims_needed and folder.exists() and not settings.own_mark(name).exists():
        raise _not_yours(folder, name, "it was not made here")
    check_owner(folder, name)


def check_owner(folder: Path, name: str) -> None:
    """Refuse a library whose files belong to others or can be changed by them, with a LibraryError.

    A stick may give all its files to the current user, so ownership there says little; Windows is not checked.
    """
    if problem := _owner_problem(folder):
        raise _not_yours(folder, name, problem)


def writing(
    folder: Path, name: str, *, wait: bool = True, on_wait: Callable[[str], None] | None = None
) -> AbstractContextManager[None]:
    """Hold the write lock of a library, which must be yours alone; see `storage.lock`."""
    from localrag.security import storage

    check_owner(folder, name)
    check_writable(folder)
    return storage.lock(folder / LOCK, f"the library {name!r}", wait=wait, on_wait=on_wait)


def _owner_problem(folder: Path) -> str:
    """Why a folder is not the user's alone; empty if it is, or if nothing is there."""
    if sys.platform == "win32":
        return ""
    try:
        if folder.is_symlink() and folder.lstat().st_uid not in (os.geteuid(), 0):
            return f"the link {folder.name!r} belongs to another user"
        if problem := _file_problem(folder.stat(), "its folder"):
            return problem
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    return f"{entry.name!r} in it is a link"
                if problem := _file_problem(entry.stat(follow_symlinks=False), f"{entry.name!r} in it"):
                    return problem
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be examined ({error.strerror})"
    return ""


def _file_problem(facts: os.stat_result, what: str) -> str:
    if sys.platform == "win32":
        return ""
    if facts.st_uid not in (os.geteuid(), 0):
        return f"{what} belongs to another user"
    return f"{what} can be changed by others" if facts.st_mode & _OTHERS_WRITE else ""


def _not_yours(folder: Path, name: str, problem: str) -> LibraryError:
    return LibraryError(
        f"the library {name!r} is not yours alone: {problem}",
        f"If you trust whoever made it: localrag restore {str(folder)!r} --name {name} --replace. Otherwise ingest its "
        f"documents again under another name. If only its rights are wrong: chmod -R go-w {str(folder)!r}",
    )


def original(settings: Settings, name: str, document: Document) -> Path | None:
    """The file that a document was read from; None if its folder was not read into the library on this machine.

    For a document of an export: the copy in it, if there is one.
    """
    if (settings.library_dir(name) / LINK).exists():
        from localrag.store import exported

        return exported.original(settings.library_dir(name), document.root, document.file or document.path)
    read_here = settings.read_marks(name, document.root).exists()
    return _file(document.root, document.file or document.path) if read_here else None


def originals(settings: Settings, name: str) -> dict[str, Path]:
    """Return `original` by the paths of documents; none where the library cannot be opened."""
    sql = """SELECT r.path, f.path, d.member FROM documents d
        JOIN files f ON f.id = d.file_id JOIN roots r ON r.id = f.root_id"""
    with suppress(Exception):
        rows = _rows(settings, name, sql)
        here = {root for root in {row[0] for row in rows} if settings.read_marks(name, root).exists()}
        found = ((f"{file}/{member}" if member else file, root, file) for root, file, member in rows)
        return files_by_path(found, here)
    return {}


def files_by_path(documents: Iterable[tuple[str, str, str]], here: Collection[str]) -> dict[str, Path]:
    """Return the files of documents (path, root, file) in the roots that were read here; none for a path of several."""
    documents = list(documents)
    several = Counter(path for path, _, _ in documents)
    files = {path: _file(root, file) for path, root, file in documents if root in here and several[path] == 1}
    return {path: file for path, file in files.items() if file is not None}


def _file(root: str, inside: str) -> Path | None:
    # A library from elsewhere names any path, and to look at some (/net, a UNC path) is to reach the network.
    parts = PurePath(inside)
    return None if parts.anchor or ".." in parts.parts else Path(root, inside)


def check_spared(path: Path, files: Iterable[str]) -> None:
    """Refuse to replace a file if it is one of these, which were ingested, with a UsageError."""
    target = str(path.absolute().parent.resolve() / path.name).casefold()
    if path.exists() and any(file.casefold() == target for file in files):
        raise UsageError(f"{str(path)!r} is a document of the library", "Give the new file another name.")


def files_of(settings: Settings, name: str) -> list[str]:
    """Return the files that a library was read from; none where it cannot be opened."""
    with suppress(Exception):
        rows = _rows(settings, name, "SELECT r.path, f.path FROM files f JOIN roots r ON r.id = f.root_id")
        return [str(Path(*row)) for row in rows]
    return []


def folders_read(settings: Settings, name: str) -> list[Path]:
    """Return the folders that were read into a library on this machine, whose files may be opened; see `original`."""
    from localrag.security import storage

    try:
        rows = _rows(settings, name, "SELECT path FROM roots")
    except storage.sqlite3.DatabaseError:
        return []  # a damaged library is reported where it is opened
    return [Path(root) for (root,) in rows if settings.read_marks(name, root).exists()]


def _rows(settings: Settings, name: str, query: str, *values: str) -> list[tuple[str, ...]]:
    """Return what a query finds in a library's database. Raises LibraryError if it cannot be trusted."""
    check_trusted(settings, name)
    with closing(connect(settings.library_dir(name))) as database:
        return database.execute(query, values).fetchall()


# --- what was forgotten ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Marks of forgotten documents, by place and by content, so that they are not ingested again.

    A mark is an HMAC under a key of the library, so that the marks alone do not tell which files were forgotten. With
    the whole library, and so the key, anybody can test whether a file at hand was forgotten, as an ingest does.
    """

    key: bytes
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks)

    @classmethod
    def new(cls) -> Tombstones:
        return cls(os.urandom(32))

    @classmethod
    def from_json(cls, text: str) -> Tombstones:
        try:
            found = json.loads(text)
            return cls(bytes.fromhex(found["key"]), frozenset(map(str, found["marks"])))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise LibraryError("the marks of forgotten documents are damaged", "Restore a backup.") from None

    def to_json(self) -> str:
        return json.dumps({"key": self.key.hex(), "marks": sorted(self.marks)})

    def cover(self, root: str, path: str, sha256: str = "") -> bool:
        """Whether a document at this place, or with this content, was forgotten."""
        return bool(self.marks) and not self.marks.isdisjoint(self._of(root, path, sha256))

    def add(self, documents: Iterable[Document]) -> Tombstones:
        """These and the marks of more documents."""
        return replace(self, marks=self.marks.union(*(self._of(doc.root, doc.path, doc.sha256) for doc in documents)))

    def _of(self, root: str, path: str, sha256: str) -> list[str]:
        texts = [f"place\0{root}\0{path}", *([f"content\0{sha256}"] if sha256 else [])]
        return [hmac.new(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:32] for text in texts]


def holds(folder: Path, paths: Iterable[str] = ()) -> bool:
    """Whether a library is on the disk and none of these documents was forgotten: ask before keeping what they gave."""
    if not exists(folder) or (folder / LINK).exists():
        return exists(folder)
    with closing(connect(folder)) as database:
        kept = database.execute("SELECT value FROM meta WHERE key = 'forgotten'").fetchone()
        roots = [row[0] for row in database.execute("SELECT path FROM roots")]
    stones = Tombstones.from_json(kept[0]) if kept else Tombstones(b"")
    return not any(stones.cover(root, path) for path in paths for root in roots)


# --- documents by glob -----------------------------------------------------------------------------------------


def matches(path: str, glob: str) -> bool:
    """Whether a glob matches a document's path, or its file name if the glob has no slash."""
    glob = glob.removeprefix("./")
    name = path.rsplit("/", 1)[-1]
    return fnmatch.fnmatchcase(path, glob) or ("/" not in glob and fnmatch.fnmatchcase(name, glob))


def named(paths: Collection[str], globs: Sequence[str], any_case: bool = False) -> set[str]:
    """The paths that match one of the globs; with `any_case` in another case where none matches it as written."""
    found = set[str]()
    for glob in {glob.removeprefix("./") for glob in globs}:
        # An existing path means that document alone, even if it contains wildcard characters.
        own = {glob}.intersection(paths) or {path for path in paths if matches(path, glob)}
        found |= own or {path for path in paths if any_case and matches(path.casefold(), glob.casefold())}
    return found


def did_you_mean(given: str, there: Sequence[str], library: str) -> str:
    """A hint for a path that does not exist: the nearest that does, or how to list them."""
    stems = {PurePath(path).stem.casefold(): path for path in there}  # endings make any two names alike
    stem = PurePath(given).stem.casefold()
    near = [one for one in stems if stem and stem in one] or difflib.get_close_matches(stem, stems, 1)
    plain = not any(sign in given for sign in "*?[")
    return f"Did you mean {stems[near[0]]!r}?" if near and plain else f"List them with: localrag status {library}"
