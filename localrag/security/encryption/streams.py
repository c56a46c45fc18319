"""Sealed files: encrypted and authenticated, written and read in pieces.

    "localrag-sealed-1\\n" | id of the key (16) | salt (16) | piece | piece | ... | last piece

Each piece is 1 MiB of content (the last one less) under AES-256-GCM, its nonce the number of the piece and a mark of
the last one, its key derived from the folder's key and the file's salt: the STREAM construction (Hoang, Reyhanitabar,
Rogaway and Vizár 2015), as age and Tink use it. The file's name is authenticated too. So a file that was changed, cut
short, joined, or put in another's place is refused where that is met. Its length is not hidden.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
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
    """The id of the key that a file was sealed with, or None where it is not sealed; the stream stands behind it."""
    head = stream.read(_HEAD - 16)
    return head[len(MAGIC) :] if len(head) == _HEAD - 16 and head.startswith(MAGIC) else None


def content_size(size: int) -> int:
    """Bytes that a sealed file of so many bytes holds."""
    body = max(0, size - _HEAD)
    return body - _TAG * max(1, -(-body // (PIECE + _TAG)))


class EncryptedWriter(io.RawIOBase):
    """Seals what is written to it; `finish` ends it, without which it cannot be read."""

    def __init__(self, stream: BinaryIO, key: Key, name: str) -> None:
        salt = os.urandom(16)
        self._stream = stream
        self._cipher, self._name = _cipher(key, salt), name.encode("utf-8", "surrogatepass")
        self._held = bytearray()
        self._number = 0
        stream.write(MAGIC + key.id + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            if len(self._held) == PIECE:  # kept back until more comes, for it might be the last
                self._seal(last=False)
            taken = view[done : done + PIECE - len(self._held)]
            self._held += taken
            done += len(taken)
        return len(view)

    def finish(self) -> None:
        self._seal(last=True)

    def _seal(self, last: bool) -> None:
        self._stream.write(self._cipher.encrypt(_nonce(self._number, last), bytes(self._held), self._name))
        self._held.clear()
        self._number += 1


class EncryptedReader(io.RawIOBase):
    """Reads back what `EncryptedWriter` wrote, from the first byte to the last; wrap it in a BufferedReader.

    Args:
        stream: stands behind what `key_id` read.
        key: of the id that `key_id` returned.
        name: the file's.

    Raises:
        IntegrityError: while reading, where the file is not what was written.
    """

    def __init__(self, stream: BinaryIO, key: Key, name: str) -> None:
        self._stream = stream
        salt = stream.read(16)
        self._cipher, self._name = _cipher(key, salt), name.encode("utf-8", "surrogatepass")
        # The same room again and again: fresh memory for every piece takes longer than opening it.
        self._pieces = (bytearray(PIECE + _TAG), bytearray(PIECE + _TAG))
        self._room = bytearray(PIECE)
        self._size = _fill(stream, self._pieces[0])
        self._opened = memoryview(b"")
        self._number = 0
        self._ended = False
        self._told = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._told

    def readinto(self, target: Buffer, /) -> int:
        if not len(self._opened) and not self._ended:
            self._open_piece()
        out = memoryview(target).cast("B")
        size = min(len(out), len(self._opened))
        out[:size] = self._opened[:size]
        self._opened = self._opened[size:]
        self._told += size
        return size

    def _open_piece(self) -> None:
        from cryptography.exceptions import InvalidTag

        piece = memoryview(self._pieces[self._number % 2])[: self._size]
        self._size = _fill(self._stream, self._pieces[1 - self._number % 2])
        self._ended = not self._size
        opened = memoryview(self._room)[: max(0, len(piece) - _TAG)]
        try:
            self._cipher.decrypt_into(_nonce(self._number, self._ended), piece, self._name, opened)
        except (InvalidTag, ValueError):
            raise IntegrityError(
                f"{self._name.decode('utf-8', 'replace')!r} is not what was written: it was changed, cut short or put "
                "in another file's place",
                "Restore it from a backup. What can be made again is, by itself.",
            ) from None
        self._opened = opened
        self._number += 1


def encrypt_line(key: Key, name: str, line: bytes) -> bytes:
    """One line of a file that is only added to, sealed by itself, in base64 without a line break."""
    import base64

    nonce = os.urandom(12)
    cipher = _cipher(key, b"lines")
    return base64.b64encode(nonce + cipher.encrypt(nonce, line, name.encode("utf-8", "surrogatepass")))


def decrypt_line(key: Key, name: str, line: bytes) -> bytes:
    """Read back what `encrypt_line` made.

    Raises:
        IntegrityError: it is something else.
    """
    import base64
    import binascii

    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(line, validate=True)
        return _cipher(key, b"lines").decrypt(raw[:12], raw[12:], name.encode("utf-8", "surrogatepass"))
    except (InvalidTag, binascii.Error, ValueError):
        raise IntegrityError(f"a line of {name!r} is not what was written", "Restore the file from a backup.") from None


def _cipher(key: Key, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.derive("file", salt))


def _fill(stream: BinaryIO, room: bytearray) -> int:
    """Read until the room is full or the stream at its end; returns how many bytes."""
    view, done = memoryview(room), 0
    while done < len(room) and (size := stream.readinto(view[done:])):  # type: ignore[attr-defined]
        done += size
    return done


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def name_of(path: Path) -> str:
    """What is authenticated as a file's name: where it lies may change, what it is called does not."""
    return path.name
