"""Make a library from a backup, or from a library's folder that was copied from elsewhere; connect one of a store.

It is trusted or not as a whole: if a key of this user opens it, or if the general audit record names it as a backup
that was made here. Anything else is restored only if the user says so, and its texts, vectors and instructions are
used from then on. Only files with the names of a library's files are taken; a library is replaced last.
"""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag.errors import LocalragError, UsageError
from localrag.lifecycle import backup
from localrag.lifecycle.backup import BLOCK, FILES, RECORD, Backup, Progress, Stop, Unlock, broken, check_stop
from localrag.security import audit, sandbox, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key
from localrag.sessions import SessionStore, store_of
from localrag.sessions.session_store import FOLDER as CONVERSATIONS
from localrag.sessions.session_store import to_json
from localrag.settings import Settings
from localrag.store import names
from localrag.store.names import DATABASE, check_name, writing
from localrag.store.writer import Editor

if TYPE_CHECKING:
    from localrag.store import postgres

_STAGING = ".restoring"


@dataclass(frozen=True, slots=True)
class Source:
    """What a restore would take: the new library's name, whether it is trusted, and the digest that was checked."""

    library: str
    trusted: bool
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `left_out` lists the conversations that were not, and why; `instructions` are those of the
    library to the model."""

    library: str
    documents: int
    passages: int
    conversations: int
    left_out: tuple[str, ...]
    instructions: str
    encrypted: bool


def inspect(settings: Settings, source: Path, name: str | None, unlock: Unlock, stop: Stop = lambda: False) -> Source:
    """Look at a backup or a folder before `restore`: asks for its key, and reads a backup in clear whole."""
    if source.is_file():
        with backup.opened(source, lambda keyring: unlock(source, keyring)) as (body, _, key):
            name = check_name(name or backup.header(body).library)
        if key is not None:
            return Source(name, trusted=True)
        digest = backup.check(source, unlock, stop=stop).sha256
        record = settings.audit_file
        entries = audit.entries(record) if record.is_file() else ()
        made_here = any(one.event == "export" and one.details.get("sha256") == digest for one in entries)
        return Source(name, made_here, digest)
    if not (source / DATABASE).is_file():
        raise UsageError(f"{str(source)!r} is not the folder of a library", f"It holds no {DATABASE}.")
    keyring = source / keyrings.FILE
    if encrypted := keyring.is_file():
        _unlock_folder(source, keyring.read_bytes(), unlock)
    return Source(check_name(name or source.absolute().name), encrypted)


def restore(
    settings: Settings,
    source: Path,
    name: str | None = None,
    *,
    trust: bool = False,
    replace: bool = False,
    unlock: Unlock,
    stop: Stop = lambda: False,
    progress: Progress = lambda done, total, words: None,
) -> Restored:
    """Make a library, called `name` or as before, from a backup or from the folder of a library.

    `trust` takes what is not encrypted and was not made here, too; `replace` replaces a library of that name, once all
    of the new one is there; `unlock` returns the key of a keyring, given the folder or file and the keyring's JSON.
    Raises UsageError, IntegrityError, KeyRequired, LibraryError, or Cancelled if `stop` returned True.
    """
    found = inspect(settings, source, name, unlock, stop)
    if not (found.trusted or trust):
        raise UsageError(
            f"{str(source)!r} is not encrypted and was not made here, so anybody may have changed it",
            "Add --yes if you trust whoever gave it to you; otherwise ingest the documents themselves.",
        )
    name = found.library
    with storage.lock(settings.audit_file.with_name("restoring.lock"), "a library", wait=False):
        for holder in settings.indexes_dir.glob(f".*{_STAGING}"):  # no library's name begins with a dot
            _clean_up(holder)
        if (settings.indexes_dir / name).exists() and not replace:
            hint = "Give another name with --name, or --replace to lose that one."
            raise UsageError(f"the library {name!r} exists already", hint)
        return _restored(settings, source, found, unlock, stop, progress)


def _restored(
    settings: Settings, source: Path, found: Source, unlock: Unlock, stop: Stop, progress: Progress
) -> Restored:
    name = found.library
    target, holder = settings.indexes_dir / name, settings.indexes_dir / f".{name}{_STAGING}"
    staging = holder / name
    try:
        copy = _extract if source.is_file() else _copy_folder
        key, about = copy(source, staging, unlock, stop, progress)
        if found.digest and about.sha256 != found.digest:
            raise broken(source)  # it was exchanged since it was checked
        left_out = _conversations(settings, staging, about.library, name, replaced=target)
        with closing(Editor.open(staging, name)) as library:
            progress(0, None, "vectors")
            library.save_index()
            counts, instructions = library.counts(), library.instructions
        conversations = len(list((staging / CONVERSATIONS).glob("*.json")))
        replaced = _put_in_place(staging, target, holder)
    finally:
        unlocked.forget(staging)
        if not (holder / "old").exists():
            storage.remove(holder)
    if key is not None:
        unlocked.add_key(target, key)
    storage.remove(settings.read_marks(name))  # its paths are those of another machine
    if settings.claims_needed:
        sandbox.mark_as_own(settings, name)
    audit.record(
        settings.audit_file, "restore", name, source=str(source.absolute()), sha256=about.sha256, record=replaced
    )
    return Restored(name, counts["documents"], counts["chunks"], conversations, left_out, instructions, key is not None)


def _extract(file: Path, staging: Path, unlock: Unlock, stop: Stop, progress: Progress) -> tuple[Key | None, Backup]:
    """Write the files of a backup to a folder as they are; returns the library's key if it is encrypted."""

    def place(path: str) -> Path:
        progress(0, None, path)
        return staging / path

    with backup.opened(file, lambda keyring: unlock(file, keyring)) as (body, keyring, key):
        about = backup.read(body, stop, place)
    if not about.encrypted:
        return None, about
    if key is None:
        raise broken(file)
    _hold(staging, keyring, key)
    return key, about


def _copy_folder(
    folder: Path, staging: Path, unlock: Unlock, stop: Stop, progress: Progress
) -> tuple[Key | None, Backup]:
    """Copy the files of a library's folder as they are, links left out; returns as `_extract`."""
    key = None
    if (keyring := folder / keyrings.FILE).is_file():
        data = keyring.read_bytes()
        key = _unlock_folder(folder, data, unlock)
        _hold(staging, data, key)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        known = FILES.fullmatch(inside) or inside == f"{DATABASE}-wal"
        if not known or not path.is_file() or path.is_symlink():
            continue
        progress(0, None, inside)
        with path.open("rb") as old, storage.create(staging / inside, durable=False, plain=True) as new:
            while block := old.read(BLOCK):
                check_stop(stop)
                new.write(block)
    return key, Backup(folder.absolute().name, "", key is not None, 0, 0, "")


def _unlock_folder(folder: Path, keyring: bytes, unlock: Unlock) -> Key:
    keyrings.from_json(keyring)
    key = unlock(folder, keyring)
    keyrings.check(keyring, key)
    return key


def _hold(staging: Path, keyring: bytes, key: Key) -> None:
    storage.write_bytes(staging / keyrings.FILE, keyring, plain=True)
    unlocked.add_key(staging, key)


def _conversations(settings: Settings, staging: Path, old: str, new: str, replaced: Path) -> tuple[str, ...]:
    """Rename the library in its conversations; returns which conversations were left out, and why."""
    store = SessionStore(staging / CONVERSATIONS)
    existing = {one.id for one in store_of(settings).list()}
    left_out = []
    for one in store.list():
        path = staging / CONVERSATIONS / f"{one.id}.json"
        elsewhere = one.id in existing and not (replaced / CONVERSATIONS / path.name).exists()
        if one.problem or elsewhere:
            left_out.append(one.problem or f"the conversation {one.id} exists already")
            for each in (path, path.with_suffix(".said"), path.with_suffix(".draft")):
                storage.remove(each)
        elif old != new:
            value = _renamed(to_json(store.load(one.id)), old, new)
            storage.write_bytes(path, json.dumps(value).encode())
    return tuple(left_out)


def _renamed(value: Any, old: str, new: str) -> Any:
    """A conversation's JSON with another name for the library."""
    if isinstance(value, list | tuple):
        return [_renamed(item, old, new) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: _renamed(item, old, new) for key, item in value.items()}
    if out.get("library") == old:
        out["library"] = new
    if isinstance(out.get("libraries"), list):
        out["libraries"] = [new if name == old else name for name in out["libraries"]]
    return out


def _put_in_place(staging: Path, target: Path, holder: Path) -> dict[str, Any] | None:
    """Give a library its name; returns where the audit record of the one it replaces ended."""
    if not target.exists():
        storage.move(staging, target)
        return None
    replaced = None
    with suppress(LocalragError), writing(target, target.name):
        replaced = audit.end_of(target / RECORD[0])
    storage.move(target, holder / "old")
    storage.move(staging, target)
    storage.remove(holder / "old")
    unlocked.forget(target)
    return replaced


def _clean_up(holder: Path) -> None:
    """Undo what a killed restore left, also between its two renames; the caller holds the lock of all restores."""
    target = holder.with_name(holder.name.removeprefix(".").removesuffix(_STAGING))
    if (holder / "old").exists() and not target.exists():
        storage.move(holder / "old", target)
    storage.remove(holder)


# --- libraries of a store that machines share ----------------------------------------------------------------------


def connect(settings: Settings, store: postgres.Store, library: str, name: str | None = None) -> str:
    """Use a library of a store on this machine, under its name there or another; returns the name.

    One that is connected is connected again, for a folder that was copied here. Raises UsageError if there is another
    library of this name, NotFoundError and StorageError as `postgres.open_library`.
    """
    from localrag.store import postgres

    local = check_name(name or library)
    folder = settings.library_dir(local)
    with closing(postgres.open_library(str(store), library)) as connection:
        number = connection.library
    known = names.stored(settings, local) if (folder / names.STORE).exists() else None
    if names.exists(folder) and known != (str(store), library, number):
        raise UsageError(f"there is a library {local!r} already", "Give another --name.")
    sandbox.mark_as_own(settings, local, store=str(store))
    storage.make_dir(folder)
    names.keep_store(folder, str(store), library, number)
    return local


def disconnect(settings: Settings, library: str) -> None:
    """Remove what this machine keeps of a library in a store or an export; NotFoundError or UsageError for others."""
    if not (settings.library_dir(check_name(library)) / names.LINK).exists():
        names.stored(settings, library)
    storage.remove(settings.library_dir(library))
    storage.remove(settings.read_marks(library))
