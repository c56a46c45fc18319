"""What a signed message (S/MIME, CMS SignedData, *.p7m) carries inside. The signature is not verified.

Only as much of ASN.1 is read as leads to the content: nested values with definite and indefinite lengths.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from localrag.errors import ReadError

_SIGNED = bytes.fromhex("2a864886f70d010702")
_ENCRYPTED = (bytes.fromhex("2a864886f70d010703"), bytes.fromhex("2a864886f70d0109100117"))
_OCTETS, _IDENTIFIER, _SEQUENCE, _EXPLICIT = 0x04, 0x06, 0x30, 0xA0
_MAX_DEPTH = 20


def content(data: bytes) -> bytes:
    """The signed bytes.

    Raises:
        ReadError: they are encrypted, or not there.
    """
    if data[:1] != b"\x30":
        try:
            data = base64.b64decode(b"".join(line for line in data.split() if not line.startswith(b"-")))
        except (ValueError, binascii.Error):
            data = b""
    head = data[:64]
    if any(kind in head for kind in _ENCRYPTED):
        raise encrypted()
    if _SIGNED in head:
        try:
            # ContentInfo(signed, [0](SignedData(version, algorithms, EncapsulatedContent(data, [0](octets)))))
            for _, signed in _inside(_inside_tag(_inside_tag(data, _SEQUENCE), _EXPLICIT)):
                for tag, value in _inside(signed):
                    parts = list(_inside(value)) if tag == _SEQUENCE else []
                    if parts and parts[0][0] == _IDENTIFIER and len(parts) > 1:
                        return b"".join(_octets(parts[1][1], 0))
        except (IndexError, ValueError, StopIteration):
            pass
    raise ReadError("is signed in a form that is not understood", "Save a copy without the signature.")


def encrypted() -> ReadError:
    return ReadError("is encrypted", "Save a decrypted copy with the mail program that has the key.")


def _inside_tag(data: bytes, wanted: int) -> bytes:
    return next(value for tag, value in _inside(data) if tag == wanted)


def _inside(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The values that follow each other: tag and content."""
    at = 0
    while at < len(data):
        tag, start, end, after = _value(data, at, 0)
        if tag == 0:
            return
        yield tag, data[start:end]
        at = after


def _octets(data: bytes, depth: int) -> Iterator[bytes]:
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    for tag, value in _inside(data):
        if tag == _OCTETS:
            yield value
        else:
            yield from _octets(value, depth + 1)


def _value(data: bytes, at: int, depth: int) -> tuple[int, int, int, int]:
    """A value's tag, the start and end of its content, and where the next one begins."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length < 0x80:
        return tag, at, at + length, at + length
    if length > 0x80:
        wide = length & 0x7F
        length, at = int.from_bytes(data[at : at + wide], "big"), at + wide
        if at + length > len(data):
            raise ValueError("cut off")
        return tag, at, at + length, at + length
    if depth > _MAX_DEPTH:
        raise ValueError("too deep")
    start = at
    while data[at : at + 2] != b"\0\0":
        *_, at = _value(data, at, depth + 1)
    return tag, start, at, at + 2
