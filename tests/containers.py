"""Write the containers of the formats that are read: ZIP packages, and compound files (OLE) with one stream."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

_SECTOR = 4096
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_PER_SECTOR = _SECTOR // 4
_LARGEST = 109 * (_PER_SECTOR - 1) * _SECTOR  # as much as the header alone can list


def compound(name: str, data: bytes) -> bytes:
    """Return a compound file with one stream."""
    if len(data) > _LARGEST:
        raise ValueError(f"the stream {name!r} has {len(data):,} bytes")
    # Smaller streams would have to be kept in sectors of their own kind.
    data = data.ljust(_SECTOR, b"\0")
    sectors = -(-len(data) // _SECTOR)
    tables = -(-(sectors + 1) // (_PER_SECTOR - 1))
    first = tables + 1
    chain = [*range(first + 1, first + sectors), _END]
    fat = [_FAT] * tables + [_END, *chain]
    fat += [_FREE] * (tables * _PER_SECTOR - len(fat))
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16)
    header += struct.pack("<5H6x", 62, 4, 0xFFFE, 12, 6)
    header += struct.pack("<9L", 1, tables, tables, 0, 4096, _END, 0, _END, 0)
    header += struct.pack("<109L", *range(tables), *[_FREE] * (109 - tables))
    # The root's stream (for small ones) is empty, but must begin somewhere; it does in the directory.
    directory = _entry("Root Entry", 5, 1, tables, 0)
    directory += _entry(name, 2, _FREE, first, len(data)) + _entry("", 0, _FREE, 0, 0) * (_SECTOR // 128 - 2)
    return b"".join(
        (
            header.ljust(_SECTOR, b"\0"),
            struct.pack(f"<{len(fat)}L", *fat),
            directory,
            data.ljust(sectors * _SECTOR, b"\0"),
        )
    )


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    raw = name.encode("utf-16-le")
    length = len(raw) + 2 if name else 0
    return struct.pack("<64sHBB3L16xL16xLQ", raw, length, kind, 1, _FREE, _FREE, child, 0, start, size)


def zipped(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a ZIP file with these files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()
