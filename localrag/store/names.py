"""How libraries are named, and their documents by globs; knows which libraries there are and of which folders."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path

from localrag.errors import LibraryError, NotFoundError, UsageError
from localrag.settings import Settings
from localrag.store.schema import DATABASE


def check_name(name: str) -> str:
    """Refuse a library name that is no plain folder name.

    Raises:
        UsageError: it is empty, starts with a dot, or holds a slash or other character that folders may not have.
    """
    if not re.fullmatch(r"[\w][\w .()&+,-]{0,99}", name) or name.endswith((".", " ")):
        raise UsageError(
            f"{name!r} cannot be a library's name",
            "Use letters, digits, spaces, dots and dashes, at most 100 of them.",
        )
    return name


def library_names(folder: Path) -> list[str]:
    """Names of the libraries that lie in a folder, in order."""
    return sorted(path.parent.name for path in folder.glob(f"*/{DATABASE}"))


def library_of(path: Path, settings: Settings) -> str | None:
    """The library that a folder (or a file's folder) was read into, or None; one that is not ours is not believed."""
    from localrag.security import storage  # and with it the database engine, which a screen needs only here
    from localrag.security.encryption import unlocked

    there = path.resolve()
    root = str(there.parent if there.is_file() else there)
    own = Path(root).name
    ours = [name for name in library_names(settings.indexes_dir) if not settings.foreign(name)]
    for name in sorted(ours, key=lambda name: name != own):
        # One that is damaged, or locked, is reported where it is used. To find one, the keys of all are not asked for,
        # but that of the folder's own name may be.
        with (
            suppress(Exception), unlocked.asking(name == own),
            closing(storage.connect(settings.library_dir(name) / DATABASE)) as database,
        ):  # fmt: skip
            if database.execute("SELECT 1 FROM roots WHERE path = ?", (root,)).fetchone():
                return name
    return None


def name_for(path: Path, settings: Settings) -> str:
    """The library's name for a folder: the one that has it, else the folder's own.

    Raises:
        UsageError: another folder's library has that name already.
    """
    known = library_of(path, settings)
    if known is not None:
        return known
    folder = path.resolve()
    folder = folder.parent if folder.is_file() else folder
    name = (
        "".join(letter if letter.isalnum() or letter in " .-_" else "-" for letter in folder.name).strip(" .-")
        or "documents"
    )
    if name in library_names(settings.indexes_dir) and _of_a_folder(name, settings):
        raise UsageError(
            f"there is a library named {name!r} of another folder",
            f"To add {str(path)!r} to it, give --name {name!r}; for one of its own, give another --name.",
        )
    return name


def _of_a_folder(name: str, settings: Settings) -> bool:
    """Whether a library has a root; one without was stopped before its first document, and is of no folder yet."""
    from localrag.security import storage

    if settings.foreign(name):
        return True
    with closing(storage.connect(settings.library_dir(name) / DATABASE)) as database:
        return database.execute("SELECT 1 FROM roots").fetchone() is not None


def no_library(folder: Path, name: str) -> NotFoundError:
    """The error for a library that is not there, with the nearest name that is."""
    near = difflib.get_close_matches(name, [path.parent.name for path in folder.glob(f"*/{DATABASE}")], 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return NotFoundError(
        f"no library named {name!r} in {str(folder)!r}",
        f"{hint}`localrag libraries` lists them; ./indexes counts where that folder is there. "
        f"To make it: localrag ingest FOLDER --name {name}",
    )


def not_ours(name: str, why: str) -> LibraryError:
    """The error for a library that may not be changed, or read where it lies."""
    return LibraryError(
        f"the library {name!r} is not yours alone, since {why}",
        "It can be searched and asked, by a checked copy. `localrag restore FOLDER --name NAME` makes one that is "
        "yours; where only the rights are wrong, take those of others away: chmod -R go-w FOLDER.",
    )


def matches(path: str, glob: str) -> bool:
    """True where a glob fits a document's path, or its file name if the glob has no slash."""
    glob = glob.removeprefix("./")
    name = path.rsplit("/", 1)[-1]
    return fnmatch.fnmatchcase(path, glob) or ("/" not in glob and fnmatch.fnmatchcase(name, glob))


def named(paths: Collection[str], globs: Sequence[str]) -> set[str]:
    """Those of the paths that one of the globs fits."""
    # A path that is there means just that document, whatever signs of a glob stand in it.
    there = set(paths)
    exact = {glob.removeprefix("./") for glob in globs} & there
    rest = [glob for glob in globs if glob.removeprefix("./") not in there]
    return exact | {path for path in there if any(matches(path, glob) for glob in rest)}


def did_you_mean(given: str, there: Sequence[str], library: str) -> str:
    """A hint for a path or folder that is not there: the nearest that is, or how to list them."""
    near = difflib.get_close_matches(given, there, 1, 0.3)
    plain = not any(sign in given for sign in "*?[")
    return f"Did you mean {near[0]!r}?" if near and plain else f"List them with: localrag status {library}"
