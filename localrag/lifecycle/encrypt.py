"""Encrypt a folder, or give it another key.

The keyring names the former key until each file is rewritten, so that everything can be read at any moment, and a run
that was killed resumes where it was. The caller holds the folder's write lock. Limits: the unencrypted files are
deleted, not wiped: an SSD, a copying file system or a backup may keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from localrag.errors import Cancelled, UsageError
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Credential, Key, Keyring
from localrag.settings import AUDIT_FILE
from localrag.store.names import check_writable

_NOT_ENCRYPTED = (".lock", ".holder", "-wal", "-shm", keyrings.FILE)


@dataclass(frozen=True, slots=True)
class Progress:
    """Files encrypted so far, of how many, and their bytes."""

    done: int
    total: int
    bytes: int
    name: str


def encrypt(
    folder: Path, add_holders: Callable[[Keyring, Key], Keyring], stop: Callable[[], bool]
) -> Iterator[Progress]:
    """Encrypt a folder in place, or resume an encryption. `stop` is polled; True ends it with Cancelled.

    `add_holders` adds at least one holder to the keyring of the new key. Raises UsageError if the folder is encrypted
    already, or there is no holder; KeyRequired if it would resume, and the key is not here.
    """
    if not is_encrypted(folder):
        key = Key.new()
        _write(folder, add_holders(keyrings.new_keyring(key, "plain"), key), key)
        unlocked.add_key(folder, key)
    elif not in_progress(folder):
        raise UsageError(f"{folder.name!r} is encrypted already", "To change its key: localrag vault rotate.")
    yield from _encrypt_files(folder, stop)


def rotate(folder: Path, credential: Credential, stop: Callable[[], bool]) -> Iterator[Progress]:
    """Give a folder another key, so that removed holders and lost key files open nothing new.

    The caller keeps access by the same credential, and so do all holders with a public key. The others have to be added
    again (`holders_to_add_again`), since the new key cannot be wrapped for them.
    """
    if not in_progress(folder):
        before = keyring_of(folder)
        old = before.unlock(credential)
        key = Key.new()
        fresh = keyrings.new_keyring(key, old)
        for holder in before.holders:
            if holder.kind == "public key":
                fresh = fresh.with_public_key(key, holder.name, str(holder.made["public"]))
            elif before.opens(holder, credential):
                fresh = fresh.with_credential(key, holder.name, credential)
        _write(folder, fresh, key)
        unlocked.add_key(folder, key)
    yield from _encrypt_files(folder, stop)


def holders_to_add_again(keyring: Keyring, credential: Credential) -> tuple[str, ...]:
    """The holders who lose access in a rotation with this credential."""
    wrapped = (one for one in keyring.holders if one.kind != "public key")
    return tuple(one.name for one in wrapped if not keyring.opens(one, credential))


def change_holders(folder: Path, changed: Callable[[Keyring, Key], Keyring]) -> Keyring:
    """Change who holds the key of a folder; returns the new keyring. Raises KeyRequired if the key is not here."""
    check_writable(folder)
    held = unlocked.keys_for(folder / keyrings.FILE)
    if held is None:
        raise UsageError(f"{folder.name!r} is not encrypted", "Encrypt it first: localrag vault encrypt NAME.")
    before = keyring_of(folder)
    after = changed(before, held.key)
    _write(folder, after, held.key)
    for deed, keyring, other in (("add", after, before), ("remove", before, after)):
        known = {one.name for one in other.holders}
        for one in keyring.holders:
            if one.name not in known:
                _record(folder, deed, holder=one.name, kind=one.kind)
    return after


def is_encrypted(folder: Path) -> bool:
    return (folder / keyrings.FILE).is_file()


def in_progress(folder: Path) -> bool:
    """Whether an encryption or a rotation was begun and not finished."""
    return is_encrypted(folder) and keyring_of(folder).former is not None


def keyring_of(folder: Path) -> Keyring:
    """The keyring of an encrypted folder, without a check of its MAC."""
    return keyrings.from_json((folder / keyrings.FILE).read_bytes())


def _encrypt_files(folder: Path, stop: Callable[[], bool]) -> Iterator[Progress]:
    held = unlocked.keys_for(folder / keyrings.FILE)
    assert held is not None
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        storage.sweep(below)
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != unlocked.KEYS_FOLDER)
    files = sorted(path for path in found if not path.name.endswith(_NOT_ENCRYPTED))
    size = 0
    for number, path in enumerate(files):
        if stop():
            raise Cancelled(f"stopped after {number} of {len(files)} files", "Run the same command again to resume.")
        yield Progress(number, len(files), size, str(path.relative_to(folder)))
        size += path.stat().st_size
        if storage.is_database(path):
            storage.rekey(path, stop=stop)
        else:
            storage.reencrypt(path)
    for key in (folder / unlocked.KEYS_FOLDER).glob("*.key"):
        with key.open("rb") as stream:
            if unlocked.key_id(stream) != held.key.id:  # left by a crash; no file needs it
                storage.destroy(key)
    keyring = keyring_of(folder)
    holders = [f"{one.name} ({one.kind})" for one in keyring.holders]
    _record(folder, "encrypt" if keyring.former == "plain" else "rotate", holders=holders)
    _write(folder, replace(keyring, former=None), held.key)
    unlocked.keys_for(folder / keyrings.FILE)
    yield Progress(len(files), len(files), size, "")


def _record(folder: Path, deed: str, **details: object) -> None:
    audit.record(folder / AUDIT_FILE, "vault", folder.name, deed=deed, **details)


def _write(folder: Path, keyring: Keyring, key: Key) -> None:
    if not keyring.holders:
        raise UsageError("the key would have no holder", "Give a passphrase, a key file or a public key.")
    storage.write_bytes(folder / keyrings.FILE, keyrings.to_json(keyring, key), plain=True)
