"""RTF as Outlook compresses it (MS-OXRTFCP)."""

from __future__ import annotations

import struct

_START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans Serif"
    rb"SymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0" + b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_MASK = 0xFFF


def unpacked(data: bytes) -> bytes:
    """The RTF; what is cut off is left out.

    Raises:
        ValueError: it is not compressed RTF.
    """
    _, size, kind, _ = struct.unpack_from("<4I", data)
    if kind == _PLAIN:
        return data[16 : 16 + size]
    if kind != _COMPRESSED:
        raise ValueError("not compressed RTF")
    ring = bytearray(_START.ljust(_MASK + 1, b"\0"))
    write, at, result = len(_START), 16, bytearray()
    while at < len(data):
        control = data[at]
        at += 1
        for bit in range(8):
            width = 2 if control >> bit & 1 else 1
            if at + width > len(data):
                return bytes(result)
            if width == 1:
                fresh = data[at : at + 1]
                start, length = 0, 0
            else:
                token = int.from_bytes(data[at : at + 2], "big")
                start, length, fresh = token >> 4, (token & 0xF) + 2, b""
                if start == write:
                    return bytes(result)
            at += width
            for index in range(max(length, 1)):
                byte = fresh[0] if fresh else ring[(start + index) & _MASK]
                ring[write] = byte
                write = (write + 1) & _MASK
                result.append(byte)
    return bytes(result)
