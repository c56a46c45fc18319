"""The keys of encrypted folders that this process holds, and how it gets others.

A folder is encrypted if it holds a keyring, or did when this process got its key; so is everything below it. The
command line sets where keys come from (`set_key_source`: a key file, the system's keyring, a prompt); a worker gets
them from its parent (`add_key`). A key is asked for once, at the first file that needs it.
"""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from localrag.errors import IntegrityError, KeyRequired
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key, Keyring, no_dumps

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from typing_extensions import Buffer  # in the standard library from 3.12 on

# --- encrypted files, written and read in pieces, and encrypted lines --------------------------------------------
#     "localrag-sealed-1\n" | id of the key (16) | salt (16) | piece | piece | ... | last piece
#
# A piece is 1 MiB of content under AES-256-GCM, its nonce the number of the piece and a flag for the last one: the
# STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) that age and Tink use. The file's name is authenticated
# too; its folder may move. A file that was changed, cut short, joined, or renamed over another is refused while it is
# read.

MAGIC = b"localrag-sealed-1\n"
PIECE = 1 << 20
_TAG = 16
_HEAD = len(MAGIC) + 16 + 16


def key_id(stream: BinaryIO) -> bytes | None:
    """Read the id of a file's key, up to the salt; None if the file is not encrypted."""
    head = stream.read(_HEAD - 16)
    return head[len(MAGIC) :] if len(head) == _HEAD - 16 and head.startswith(MAGIC) else None


def content_size(size: int) -> int:
    """Bytes of content in an encrypted file of `size` bytes."""
    body = max(0, size - _HEAD)
    return body - _TAG * max(1, -(-body // (PIECE + _TAG)))


class EncryptedWriter(io.RawIOBase):
    """Encrypts what is written to it. Without `finish` the file cannot be read."""

    def __init__(self, stream: BinaryIO, key: Key, name: str) -> None:
        salt = os.urandom(16)
        self._stream = stream
        self._cipher, self._name = _cipher(key, salt), _encoded(name)
        self._held = bytearray()
        self._number = 0
        stream.write(MAGIC + key.id + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            if len(self._held) == PIECE:  # held back until more comes, because it may be the last
                self._encrypt(last=False)
            taken = view[done : done + PIECE - len(self._held)]
            self._held += taken
            done += len(taken)
        return len(view)

    def finish(self) -> None:
        self._encrypt(last=True)

    def _encrypt(self, last: bool) -> None:
        self._stream.write(self._cipher.encrypt(_nonce(self._number, last), bytes(self._held), self._name))
        self._held.clear()
        self._number += 1


class EncryptedReader(io.RawIOBase):
    """Reads back what `EncryptedWriter` wrote, after `key_id` read the head; wrap it in a BufferedReader.

    Reading raises IntegrityError if the file is not what was written.
    """

    def __init__(self, stream: BinaryIO, key: Key, name: str) -> None:
        self._stream = stream
        salt = stream.read(16)
        self._cipher, self._name = _cipher(key, salt), _encoded(name)
        # The buffers are reused: new memory for every piece takes longer than decrypting it.
        self._pieces = (bytearray(PIECE + _TAG), bytearray(PIECE + _TAG))
        self._content = bytearray(PIECE)
        self._size = _fill(stream, self._pieces[0])
        self._unread = memoryview(b"")
        self._number = 0
        self._ended = False
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, target: Buffer, /) -> int:
        if not len(self._unread) and not self._ended:
            self._decrypt_piece()
        out = memoryview(target).cast("B")
        size = min(len(out), len(self._unread))
        out[:size] = self._unread[:size]
        self._unread = self._unread[size:]
        self._position += size
        return size

    def _decrypt_piece(self) -> None:
        from cryptography.exceptions import InvalidTag

        piece = memoryview(self._pieces[self._number % 2])[: self._size]
        self._size = _fill(self._stream, self._pieces[1 - self._number % 2])
        self._ended = not self._size
        content = memoryview(self._content)[: max(0, len(piece) - _TAG)]
        try:
            self._cipher.decrypt_into(_nonce(self._number, self._ended), piece, self._name, content)
        except (InvalidTag, ValueError):
            raise IntegrityError(
                f"{self._name.decode('utf-8', 'replace')!r} is not what was written: it was changed, cut short, or "
                "renamed over another file",
                "Restore it from a backup. What localrag can rebuild, it rebuilds by itself.",
            ) from None
        self._unread = content
        self._number += 1


def encrypt_line(key: Key, name: str, line: bytes) -> bytes:
    """Encrypt one line of a file that is only appended to, as base64 without a line break."""
    nonce = os.urandom(12)
    return base64.b64encode(nonce + _cipher(key, b"lines").encrypt(nonce, line, _encoded(name)))


def decrypt_line(key: Key, name: str, line: bytes) -> bytes:
    """Decrypt what `encrypt_line` made. Raises IntegrityError where it is something else."""
    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(line, validate=True)
        return _cipher(key, b"lines").decrypt(raw[:12], raw[12:], _encoded(name))
    except (InvalidTag, ValueError):
        raise IntegrityError(f"a line of {name!r} is not what was written", "Restore the file from a backup.") from None


def _cipher(key: Key, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.derive("file", salt))


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _fill(stream: BinaryIO, buffer: bytearray) -> int:
    """Read until the buffer is full or the stream ends; return the number of bytes."""
    view, done = memoryview(buffer), 0
    while done < len(buffer) and (size := stream.readinto(view[done:])):  # type: ignore[attr-defined]
        done += size
    return done


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


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
        own = key_id(stream)
        file = key_file(path, own) if own is not None else None
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
