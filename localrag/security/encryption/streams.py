"""Encrypted files, written and read in pieces, and encrypted lines.

    "localrag-sealed-1\\n" | id of the key (16) | salt (16) | piece | piece | ... | last piece

A piece is 1 MiB of content under AES-256-GCM, its nonce the number of the piece and a flag for the last one: the STREAM
construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015) that age and Tink use. The file's name is authenticated too; its
folder may move. A file that was changed, cut short, joined, or renamed over another is refused while it is read.
"""

from __future__ import annotations

import base64
import io
import os
from typing import TYPE_CHECKING, BinaryIO

from localrag.errors import IntegrityError
from localrag.security.encryption.keyring import Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from typing_extensions import Buffer  # in the standard library from 3.12 on

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
