"""A library made of a backup, or of a folder that others may have made."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.ingest import sync
from localrag.lifecycle.backup.container import (
    RECORD,
    Backup,
    Progress,
    Stop,
    Unlock,
    broken,
    first,
    line,
    opened,
    read,
)
from localrag.security import audit, sandbox, storage
from localrag.security.encryption import ring as rings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keys import Key
from localrag.sessions import SessionStore, files, store_of
from localrag.sessions.store import FOLDER as CONVERSATIONS
from localrag.settings import Settings
from localrag.store import import_library
from localrag.store.library import Library
from localrag.store.names import check_name
from localrag.store.schema import DATABASE

_STAGING = ".restoring"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored under which name; `left_out` says which conversations were not, and `instructions` what the
    library tells the model of how to word answers."""

    library: str
    documents: int
    passages: int
    conversations: int
    left_out: tuple[str, ...]
    instructions: str
    encrypted: bool


class Taken(UsageError):
    """There is a library of that name already."""

    def __init__(self, library: str) -> None:
        super().__init__(
            f"there is a library {library!r} already", "Give another name with --name; --replace loses that one."
        )
        self.library = library


def restore(
    settings: Settings, source: Path, name: str | None = None, *, replace: bool = False,
    unlock: Unlock, stop: Stop = lambda: False,
    progress: Progress = lambda done, total, words: None,
) -> Restored:  # fmt: skip
    """Make a library of a backup, or of the folder of a library that others may have made.

    Args:
        source: the file, or the folder.
        name: of the new library; else as it was called.
        replace: a library of that name is replaced, once all of the new one is there.
        unlock: comes by the key of a ring; it is given the folder or file and the ring's JSON.

    Raises:
        UsageError: there is a library of that name, or the source is no backup.
        LibraryError: what it holds is not what localrag writes.
        Cancelled: `stop` said so; nothing was changed.
    """
    name = named(source, name, unlock)
    with storage.lock(settings.audit_file.with_name("restoring.lock"), "a library", wait=False):
        for holder in settings.indexes_dir.glob(f"*{_STAGING}"):
            _mend(holder)
        if (settings.indexes_dir / name).exists() and not replace:
            raise Taken(name)
        return _restored(settings, source, name, unlock, stop, progress)


def named(source: Path, name: str | None, unlock: Unlock) -> str:
    """The name that a restored library gets: the one given, else as it was called; comes by the key of the source.

    Raises:
        NotFoundError, UsageError, SealBroken, VaultLocked: see `restore`.
    """
    if not source.exists():
        raise NotFoundError(f"there is no {str(source)!r}", "Give a backup, or the folder of a library.")
    if source.is_file():
        with opened(source, lambda ring: unlock(source, ring)) as (body, _, _):
            return check_name(name or first(line(body)).library)
    if (ring := import_library.ring_of(source)) is not None:
        unlock(source, ring)
    return check_name(name or source.absolute().name)


def _restored(settings: Settings, source: Path, name: str, unlock: Unlock, stop: Stop, progress: Progress) -> Restored:
    own, key = source.is_file(), None
    target, holder = settings.indexes_dir / name, settings.indexes_dir / (name + _STAGING)
    staging = holder / name
    try:
        if own:
            key, about = _extract(source, staging, unlock, stop, progress)
        else:
            import_library.receive(source, staging)
            about = Backup(name, "", False, 0, 0, "")
        if key is None and (staging / rings.FILE).is_file():
            key = unlock(staging, (staging / rings.FILE).read_bytes())
            unlocked.hold(staging, key)
        import_library.take_over(staging, name, own=own, stop=stop, progress=progress)
        import_library.clear(staging)
        left_out = _conversations(settings, staging, about.library, name, replaced=target)
        with closing(Library.open(staging, name)) as library:
            counts, instructions = library.counts(), library.instructions
        kept = len(list((staging / CONVERSATIONS).glob("*.json")))
        ended = _put_in_place(settings, staging, target, holder)
    finally:
        unlocked.forget(staging)
        if not (holder / "old").exists():
            storage.remove(holder)
    if key is not None:
        unlocked.hold(target, key)
    if settings.foreign(name):  # in ./indexes, where what was not made here is not ours
        sandbox.claim(settings, name)
    audit.record(settings.audit_file, "restore", name, source=str(source.absolute()), sha256=about.sha256, record=ended)
    return Restored(name, counts["documents"], counts["chunks"], kept, left_out, instructions, key is not None
                    and (target / rings.FILE).is_file())  # fmt: skip


def _extract(file: Path, staging: Path, unlock: Unlock, stop: Stop, progress: Progress) -> tuple[Key | None, Backup]:
    """Write the files of a backup to a folder, raw; returns the key of the library, where it is encrypted."""

    def place(path: str) -> Path:
        progress(0, None, path)
        return staging / (import_library.RECEIVED if path == DATABASE else path)

    with opened(file, lambda ring: unlock(file, ring)) as (body, ring, key):
        about = read(body, stop, place)
    if not about.encrypted:
        return None, about
    if key is None:
        raise broken(file)
    storage.write_bytes(staging / rings.FILE, ring, plain=True)
    unlocked.hold(staging, key)
    return key, about


def _conversations(settings: Settings, staging: Path, old: str, new: str, replaced: Path) -> tuple[str, ...]:
    """Look through the conversations that came; returns which were left out, and why."""
    store = SessionStore(staging / CONVERSATIONS)
    there = {one.id: one for one in store_of(settings).list()}
    left_out = []
    for one in store.list():
        path = staging / CONVERSATIONS / f"{one.id}.json"
        elsewhere = one.id in there and not (replaced / CONVERSATIONS / path.name).exists()
        if one.problem or elsewhere:
            left_out.append(one.problem or f"the conversation {one.id} is here already")
            for each in (path, path.with_suffix(".said"), path.with_suffix(".draft")):
                storage.remove(each)
        elif old != new:
            value = _renamed(files.to_json(store.load(one.id)), old, new)
            storage.write_bytes(path, json.dumps(value).encode())
    return tuple(left_out)


def _renamed(value: Any, old: str, new: str) -> Any:
    """A conversation's JSON with the library called otherwise."""
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: _renamed(item, old, new) for key, item in value.items()}
    if out.get("library") == old:
        out["library"] = new
    if isinstance(out.get("libraries"), list):
        out["libraries"] = [new if name == old else name for name in out["libraries"]]
    return out


def _put_in_place(settings: Settings, staging: Path, target: Path, holder: Path) -> dict[str, Any] | None:
    """Give a library its name; returns where the record of the one that it replaces ended."""
    if not target.exists():
        storage.move(staging, target)
        return None
    ended = None
    if not settings.foreign(target.name):
        with sync.writing(target, target.name), suppress(LocalragError):
            ended = asdict(audit.anchor(target / RECORD[0]))
    storage.move(target, holder / "old")
    storage.move(staging, target)
    storage.remove(holder / "old")
    return ended


def _mend(holder: Path) -> None:
    """Set right what a restore left that was killed, also between two renames; the caller holds the lock of all."""
    target = holder.with_name(holder.name.removesuffix(_STAGING))
    if (holder / "old").exists() and not target.exists():
        storage.move(holder / "old", target)
    storage.remove(holder)
