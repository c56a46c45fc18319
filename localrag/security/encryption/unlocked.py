"""The keys of encrypted folders that this process holds, and how it gets others.

A folder is encrypted if it holds a keyring, or did when this process got its key; so is everything below it. The
command line sets where keys come from (`set_key_source`: a key file, the system's keyring, a prompt); a worker gets
them from its parent (`add_key`). A key is asked for once, at the first file that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import KeyRequired
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import streams
from localrag.security.encryption.keyring import Key, Keyring, no_dumps


@dataclass(frozen=True, slots=True)
class FolderKeys:
    """The key of a folder. Files may also be under `former` or, if `plain`, in clear."""

    key: Key
    former: Key | None = None
    plain: bool = False

    def of(self, key_id: bytes) -> Key | None:
        return next((key for key in (self.key, self.former) if key is not None and key.id == key_id), None)


KEYS_FOLDER = "keys"  # holds the keys of single files, encrypted
# Takes a folder, its keyring, and whether the person may be asked; returns the key or raises KeyRequired.
KeySource = Callable[[Path, Keyring, bool], Key]

_held: dict[Path, tuple[bytes, FolderKeys]] = {}
_source: KeySource | None = None
_lock = threading.RLock()
_may_prompt: ContextVar[bool] = ContextVar("may_prompt", default=True)


def set_key_source(source: KeySource | None) -> None:
    """Set how this process gets the key of a folder."""
    global _source
    _source = source


def encrypted_folder(path: Path) -> Path | None:
    """The encrypted folder that holds a path, or None."""
    above = (path.absolute(), *path.absolute().parents)
    return next((folder for folder in above if folder in _held or (folder / keyrings.FILE).is_file()), None)


def key_file(path: Path, key_id: bytes) -> Path | None:
    """The file for a single file's key; None outside of encrypted folders."""
    folder = encrypted_folder(path)
    return folder / KEYS_FOLDER / f"{key_id.hex()}.key" if folder is not None else None


def key_file_of(path: Path) -> Path | None:
    """The existing file that holds this file's own key, or None. Needs no key."""
    with suppress(OSError), path.open("rb") as stream:
        key_id = streams.key_id(stream)
        file = key_file(path, key_id) if key_id is not None else None
        return file if file is not None and file.is_file() else None
    return None


def keys_for(path: Path) -> FolderKeys | None:
    """The keys of the folder that holds a path; None if it is not encrypted. Raises KeyRequired, KeyringDamaged."""
    folder = encrypted_folder(path)
    if folder is None:
        return None
    try:
        data = (folder / keyrings.FILE).read_bytes()
    except FileNotFoundError:
        message = f"{folder.name!r} was encrypted, and its keyring {keyrings.FILE!r} is gone"
        raise KeyRequired(message, "If it was not deleted on purpose, restore it from a backup.") from None
    with _lock:
        before, known = _held.get(folder, (b"", None))
        if known is not None and before == data:
            return known
        # Another process may have changed the holders, or the key.
        found = keyrings.from_json(data)
        key = known.of(found.key_id) if known is not None else None
        if key is None:
            if _source is None:
                raise locked_error(folder)
            key = _source(folder, found, _may_prompt.get())
        return _keep(folder, data, found, key)


def add_key(folder: Path, key: Key) -> FolderKeys:
    """Hold the key of a folder, so that it need not be asked for. Raises KeyRequired if the key is not the folder's."""
    folder = folder.absolute()
    try:
        data = (folder / keyrings.FILE).read_bytes()
    except OSError:
        raise KeyRequired(f"{str(folder)!r} is not encrypted", "Encrypt it: localrag vault encrypt NAME.") from None
    with _lock:
        return _keep(folder, data, keyrings.from_json(data), key)


def _keep(folder: Path, data: bytes, keyring: Keyring, key: Key) -> FolderKeys:
    if key.id != keyring.key_id:
        raise locked_error(folder)
    keyrings.check(data, key)
    no_dumps()
    keys = FolderKeys(key, keyring.former_key(key), keyring.former == "plain")
    _held[folder] = (data, keys)
    return keys


def keys() -> dict[Path, Key]:
    """The keys held, by folder, to be sent to a worker."""
    with _lock:
        return {folder: value.key for folder, (_, value) in _held.items()}


def forget(folder: Path | None = None) -> None:
    """Drop the key of a folder, or all keys."""
    with _lock:
        if folder is None:
            _held.clear()
        else:
            _held.pop(folder.absolute(), None)


@contextmanager
def allow_prompt(allowed: bool) -> Iterator[None]:
    """Allow or forbid asking the person for a key, in this thread and for a while."""
    token = _may_prompt.set(_may_prompt.get() and allowed)
    try:
        yield
    finally:
        _may_prompt.reset(token)


def locked_error(folder: Path) -> KeyRequired:
    return KeyRequired(
        f"{folder.name!r} is encrypted, and its key is not here",
        "Give it with --key-file FILE, or run the command in a terminal, which asks for the passphrase.",
    )
