"""One file that carries a model to a machine without a network: an uncompressed tar, its record first.

Promise: reading one writes nothing that its record does not name with this size and SHA-256; links,
devices, paths that lead out of the model's folder and left-over members are refused. Limits: the file
proves that it is whole, not who made it: the caller compares it with the catalog where the model is known
there.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import BinaryIO

from localrag.errors import ModelDamaged, ModelError
from localrag.models import manifest as records
from localrag.models.manifest import Entry, Manifest
from localrag.security import storage

_MOST_RECORD = 1_000_000


def is_archive(path: Path) -> bool:
    """True if the file is a tar whose first member is a model's record."""
    with path.open("rb") as stream:
        head = stream.read(512)
    return head[257:262] == b"ustar" and head.startswith(records.FILE_NAME.encode() + b"\0")


def pack(folder: Path, manifest: Manifest, target: Path) -> None:
    """Write an installed model as one file; its adapter stays behind, and its fast form, which is made anew there.

    No hash in the catalog could tell a forged fast form from a true one.

    Raises:
        ModelDamaged: a file changed since it was recorded.
        StorageError: the disk is full or cannot be written.
    """
    manifest = manifest.without_fast()
    record = {**manifest.to_dict(), "adapter": None}
    record["files"] = {name: {"sha256": entry.sha256, "size": entry.size} for name, entry in manifest.files.items()}
    data = json.dumps(record, ensure_ascii=False, indent=2).encode()
    with storage.create(target) as out:
        _member(out, records.FILE_NAME, len(data))
        out.write(data + _padding(len(data)))
        for name, entry in manifest.files.items():
            _member(out, name, entry.size)
            with (folder / name).open("rb") as stream:
                written = records.copy_hashed(records.blocks_of(stream), out)
            if (written.sha256, written.size) != (entry.sha256, entry.size):
                raise ModelDamaged(
                    f"{name} of model {manifest.id!r} is not what was verified",
                    records.reinstall(manifest.id),
                )
            out.write(_padding(entry.size))
        out.write(bytes(2 * tarfile.BLOCKSIZE))


def unpack(path: Path, folder: Path) -> Manifest:
    """Write the model's files into an empty folder, each checked against the record; returns the record.

    Raises:
        ModelDamaged: the file is cut off or does not hold what its record says.
        ModelError: it was not made by `export`.
    """
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            manifest = _record(archive, path)
            left = dict(manifest.files)
            while (member := archive.next()) is not None:
                entry = left.pop(member.name, None)
                if entry is None or not member.isreg() or member.size != entry.size:
                    raise _damaged(path, f"an unexpected member {member.name[:80]!r}")
                _extract(archive, member, folder / member.name, entry, path)
            if left:
                raise _damaged(path, f"{sorted(left)[0]} is missing")
            return manifest
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(path, str(error)) from None


def _record(archive: tarfile.TarFile, path: Path) -> Manifest:
    first = archive.next()
    if first is None or first.name != records.FILE_NAME or not first.isreg() or first.size > _MOST_RECORD:
        raise ModelError(f"{path.name!r} was not made by `localrag models export`", "Export the model again.")
    stream = archive.extractfile(first)
    assert stream is not None
    return records.parse(stream.read(), path.name)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, entry: Entry, path: Path) -> None:
    stream = archive.extractfile(member)
    assert stream is not None
    with storage.create(target) as out:
        written = records.copy_hashed(iter(lambda: stream.read(1024 * 1024), b""), out)
    if written.sha256 != entry.sha256:
        raise _damaged(path, f"{member.name} has SHA-256 {written.sha256}, its record says {entry.sha256}")


def _member(out: BinaryIO, name: str, size: int) -> None:
    # Not tarfile's writer, so that the same model always gives the same bytes: no times, no owner.
    info = tarfile.TarInfo(name)
    info.size = size
    out.write(info.tobuf(tarfile.PAX_FORMAT))


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _damaged(path: Path, what: str) -> ModelDamaged:
    return ModelDamaged(f"{path.name!r} is not a whole model: {what}", "Copy it again, or export it again.")
