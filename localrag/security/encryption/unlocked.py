"""Which folders this process has the keys of, and how it comes by more.

A folder is encrypted where it holds a keyring (`keyring.py`), with everything below it. The faces say how a key is come
by (`set_key_source`: a key file, the system's keyring, a prompt); a worker gets keys from its parent (`add_key`). A key
is asked for once, at the first file that needs it.
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
    """The key of a folder; `former` is one that files may still be under, `plain` says that some may be in clear."""

    key: Key
    former: Key | None = None
    plain: bool = False

    def of(self, key_id: bytes) -> Key | None:
        return next((key for key in (self.key, self.former) if key is not None and key.id == key_id), None)


# Where the keys of single files lie, sealed as other files are.
KEYS_FOLDER = "keys"
Asks = Callable[[Path, Keyring, bool], Key]

_held: dict[Path, tuple[bytes, FolderKeys]] = {}
_asks: Asks | None = None
_one_at_a_time = threading.RLock()
_may_ask: ContextVar[bool] = ContextVar("may_ask", default=True)


def set_key_source(asks: Asks | None) -> None:
    """Say how this process comes by the key of a folder: called with the folder, its keyring, and whether the
    person may be asked, it returns the key or raises KeyRequired."""
    global _asks
    _asks = asks


def encrypted_folder(path: Path) -> Path | None:
    """The encrypted folder that a path lies in, or None."""
    path = path.absolute()
    return next((folder for folder in (path, *path.parents) if (folder / keyrings.FILE).is_file()), None)


def key_file(path: Path, key_id: bytes) -> Path | None:
    """Where the key of a single file of an encrypted folder would lie; None outside of one."""
    folder = encrypted_folder(path)
    return folder / KEYS_FOLDER / f"{key_id.hex()}.key" if folder is not None else None


def key_file_of(path: Path) -> Path | None:
    """Where the key lies that is this file's own, or None where it has none. It is found without any key."""
    with suppress(OSError), path.open("rb") as stream:
        key_id = streams.key_id(stream)
        file = key_file(path, key_id) if key_id is not None else None
        return file if file is not None and file.is_file() else None
    return None


def keys_for(path: Path) -> FolderKeys | None:
    """The key that a file at this path is under, or None where it lies in no encrypted folder.

    Raises:
        KeyRequired: there is no key for it here.
        KeyringDamaged: the keyring is damaged, or was changed by somebody who does not hold the key.
    """
    folder = encrypted_folder(path)
    if folder is None:
        return None
    data = (folder / keyrings.FILE).read_bytes()
    with _one_at_a_time:
        before, known = _held.get(folder, (b"", None))
        if known is not None and before == data:
            return known
        found = keyrings.from_json(data)
        # Another process may have changed the holders, or the key.
        key = known.of(found.key_id) if known is not None else None
        if key is None:
            if _asks is None:
                raise locked_error(folder)
            key = _asks(folder, found, _may_ask.get())
        return _keep(folder, data, found, key)


def add_key(folder: Path, key: Key) -> FolderKeys:
    """Take the key of a folder, so that it need not be asked for.

    Raises:
        KeyRequired: it is the key of another folder, or the folder is not encrypted.
        KeyringDamaged: see `keys_for`.
    """
    folder = folder.absolute()
    try:
        data = (folder / keyrings.FILE).read_bytes()
    except OSError:
        raise KeyRequired(f"{str(folder)!r} is not encrypted", "Encrypt it: localrag vault encrypt NAME.") from None
    with _one_at_a_time:
        return _keep(folder, data, keyrings.from_json(data), key)


def _keep(folder: Path, data: bytes, found: Keyring, key: Key) -> FolderKeys:
    if key.id != found.key_id:
        raise locked_error(folder)
    keyrings.check(data, key)
    no_dumps()
    value = FolderKeys(key, found.former_key(key), found.former == "plain")
    _held[folder] = (data, value)
    return value


def keys() -> dict[Path, Key]:
    """The keys that are held, by folder, to be handed to a worker."""
    with _one_at_a_time:
        return {folder: value.key for folder, (_, value) in _held.items()}


def forget(folder: Path | None = None) -> None:
    """Hold the key of a folder, or of all, no longer."""
    with _one_at_a_time:
        if folder is None:
            _held.clear()
        else:
            _held.pop(folder.absolute(), None)


@contextmanager
def allow_prompt(allowed: bool) -> Iterator[None]:
    """Whether the person may be asked for a key that is not held, in this thread and for a while."""
    token = _may_ask.set(_may_ask.get() and allowed)
    try:
        yield
    finally:
        _may_ask.reset(token)


def locked_error(folder: Path) -> KeyRequired:
    return KeyRequired(
        f"{folder.name!r} is encrypted, and its key is not here",
        "Give it with --key-file FILE, or type the command in a terminal, where the passphrase is asked for.",
    )
