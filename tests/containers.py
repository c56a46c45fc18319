"""Write the containers of the formats that are read: ZIP packages, and compound files (OLE)."""

import io
import struct
import zipfile

_SECTOR = 4096
_END, _FREE, _FAT = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD
_PER_SECTOR = _SECTOR // 4


def compound(name, data):
    return ole({name: data})


def ole(tree):
    """Return a compound file; in `tree` bytes are streams and mappings are storages."""
    entries = []
    small, links = b"", list[int]()  # streams of less than a sector share one, with links of its own
    large = []

    def add(name, content):
        nonlocal small
        index = len(entries)
        is_stream = isinstance(content, bytes)
        entries.append([name.encode("utf-16-le"), 2 if is_stream else 1 if index else 5, _FREE, _FREE, _END, 0])
        if is_stream and len(content) >= _SECTOR:
            large.append((index, content))
        elif is_stream and content:
            count = -(-len(content) // 64)
            entries[index][4:] = len(links), len(content)
            links.extend([*range(len(links) + 1, len(links) + count), _END])
            small += content.ljust(count * 64, b"\0")
        for one, inside in () if is_stream else reversed(content.items()):
            other = add(one, inside)
            entries[other][2], entries[index][3] = entries[index][3], other
        return index

    add("Root Entry", tree)
    parts = [(0, small), (None, struct.pack(f"<{len(links)}L", *links)), (None, bytes(128 * len(entries))), *large]
    sizes = [max(1, -(-len(data) // _SECTOR)) for _, data in parts]
    tables = -(-(sum(sizes) + 1) // (_PER_SECTOR - 1))
    fat, starts = [_FAT] * tables, list[int]()
    for size in sizes:
        starts.append(len(fat))
        fat += [*range(len(fat) + 1, len(fat) + size), _END]
    fat += [_FREE] * (tables * _PER_SECTOR - len(fat))
    for (index, data), start in zip(parts, starts, strict=True):
        if index is not None:
            entries[index][4:] = start, len(data)
    parts[2] = (
        None,
        b"".join(
            struct.pack("<64sHBBLLL36xLQ", raw, len(raw) + 2, kind, 1, _FREE, right, child, start, size)
            for raw, kind, right, child, start, size in entries
        ),
    )
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<5H6x", 62, 4, 0xFFFE, 12, 6)
    header += struct.pack("<9L", sizes[2], tables, starts[2], 0, _SECTOR, starts[1], sizes[1], _END, 0)
    header += struct.pack("<109L", *range(tables), *[_FREE] * (109 - tables))
    body = [
        data.ljust(size * _SECTOR, b"\xff" if at == 1 else b"\0")
        for at, ((_, data), size) in enumerate(zip(parts, sizes, strict=True))
    ]
    return b"".join([header.ljust(_SECTOR, b"\0"), struct.pack(f"<{len(fat)}L", *fat), *body])


def zipped(files, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()
