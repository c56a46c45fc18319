"""Encrypting what lies on the disk: a folder in clear, or under another key than it shall be.

The keyring is written first and says what files may still be under; then each is written anew and takes the old one's
place; last, it is recorded, and the keyring says that all is done. So a run that was stopped or killed goes on where it
was, and at any moment everything can be read. The caller holds the right to write to the folder.

Limits: what lay there in clear before is deleted, not wiped: an SSD, a copying file system or a backup may keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import Cancelled, UsageError
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import streams, unlocked
from localrag.security.encryption.keyring import Credential, Key, Keyring
from localrag.settings import AUDIT_FILE

# Locks hold nothing; the keyring is what the key is found by. Keys of single files come with these.
_LEFT_PLAIN = (keyrings.FILE,)
_LOCKS = (".lock", ".holder", "-wal", "-shm")
_GO_ON = "The same command goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Progress:
    """Files brought under the key, of how many, and their bytes."""

    done: int
    total: int
    bytes: int
    name: str


def encrypt(folder: Path, hand_out: Callable[[Keyring, Key], Keyring], stop: Callable[[], bool]) -> Iterator[Progress]:
    """Encrypt a folder in place, or go on with what was stopped.

    Args:
        folder: exists; nobody else writes to it.
        hand_out: gives the new key its holders, at least one; not called where this goes on.
        stop: polled; True ends it with Cancelled.

    Raises:
        UsageError: it is encrypted already, or `hand_out` named nobody.
        KeyRequired: it goes on, and its key is not here.
    """
    if not is_encrypted(folder):
        key = Key.new()
        _write(folder, _some(hand_out(keyrings.new_keyring(key, "plain"), key)), key)
        unlocked.add_key(folder, key)
    elif not is_under_way(folder):
        raise UsageError(f"{folder.name!r} is encrypted already", "For another key: localrag vault rotate.")
    yield from _bring_over(folder, stop)


def rotate(folder: Path, credential: Credential, stop: Callable[[], bool]) -> Iterator[Progress]:
    """Give a folder another key, so that whoever was taken from the keyring, or lost a key file, reads nothing new.

    The one who does it keeps access by the same credential, and so does everybody who holds it by a public key. Of the
    others nothing is known that the new key could be wrapped with: they are to be added again (`left_behind`).
    """
    if not is_under_way(folder):
        before = keyring_of(folder)
        old = before.unlock(credential)
        key = Key.new()
        fresh = keyrings.new_keyring(key, old)
        for holder in before.holders:
            if holder.kind == "public key":
                fresh = fresh.with_public_key(key, holder.name, str(holder.made["public"]))
            elif before.opens(holder, credential):
                fresh = fresh.with_credential(key, holder.name, credential)
        _write(folder, _some(fresh), key)
        unlocked.add_key(folder, key)
    yield from _bring_over(folder, stop)


def left_behind(keyring: Keyring, credential: Credential) -> tuple[str, ...]:
    """The holders who have to be added again after a rotation by the one with this credential."""
    return tuple(
        holder.name
        for holder in keyring.holders
        if holder.kind != "public key" and not keyring.opens(holder, credential)
    )


def change(folder: Path, changed: Callable[[Keyring, Key], Keyring]) -> Keyring:
    """Change who holds the key of a folder; returns the new keyring.

    Raises:
        KeyRequired: its key is not here.
    """
    held = unlocked.keys_for(folder / keyrings.FILE)
    if held is None:
        raise UsageError(f"{folder.name!r} is not encrypted", "Encrypt it first: localrag vault encrypt NAME.")
    before = keyring_of(folder)
    after = _some(changed(before, held.key))
    _write(folder, after, held.key)
    for deed, keyring, other in (("add", after, before), ("remove", before, after)):
        known = {one.name for one in other.holders}
        for one in keyring.holders:
            if one.name not in known:
                _record(folder, deed, holder=one.name, kind=one.kind)
    return after


def is_encrypted(folder: Path) -> bool:
    return (folder / keyrings.FILE).is_file()


def is_under_way(folder: Path) -> bool:
    """Whether an encryption, or a change of the key, was begun and not finished."""
    return is_encrypted(folder) and keyring_of(folder).former is not None


def keyring_of(folder: Path) -> Keyring:
    """Who holds the key of an encrypted folder; its proof is not checked."""
    return keyrings.from_json((folder / keyrings.FILE).read_bytes())


def _bring_over(folder: Path, stop: Callable[[], bool]) -> Iterator[Progress]:
    held = unlocked.keys_for(folder / keyrings.FILE)
    assert held is not None
    for below in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        storage.sweep(below)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _stays(path))
    size = 0
    for number, path in enumerate(files):
        if stop():
            raise Cancelled(f"stopped after {number} of {len(files)} files", _GO_ON)
        yield Progress(number, len(files), size, str(path.relative_to(folder)))
        size += path.stat().st_size
        if storage.is_database(path):
            storage.rekey(path, stop=stop)
        else:
            storage.reencrypt(path)
    for key in (folder / unlocked.KEYS_FOLDER).glob("*.key"):
        with key.open("rb") as stream:
            if streams.key_id(stream) != held.key.id:  # a crash left it: no file needs it any more
                storage.destroy(key)
    keyring = keyring_of(folder)
    holders = [f"{one.name} ({one.kind})" for one in keyring.holders]
    _record(folder, "encrypt" if keyring.former == "plain" else "rotate", holders=holders)
    _write(folder, keyring.settled(), held.key)
    unlocked.keys_for(folder / keyrings.FILE)
    yield Progress(len(files), len(files), size, "")


def _stays(path: Path) -> bool:
    return path.name in _LEFT_PLAIN or path.name.endswith(_LOCKS) or path.parent.name == unlocked.KEYS_FOLDER


def _record(folder: Path, deed: str, **details: object) -> None:
    audit.record(folder / AUDIT_FILE, "vault", folder.name, deed=deed, **details)


def _some(keyring: Keyring) -> Keyring:
    if not keyring.holders:
        raise UsageError("nobody would hold the key", "Give a passphrase, a key file or a person's public key.")
    return keyring


def _write(folder: Path, keyring: Keyring, key: Key) -> None:
    storage.write_bytes(folder / keyrings.FILE, keyrings.to_json(keyring, key), plain=True)
