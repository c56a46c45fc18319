"""What lies in a model's folder, and whether it still is what was verified.

Promise: a file counts as verified when its SHA-256 was computed on this machine and equals the recorded
one. The stamp (size, times, inode) taken at that moment lets later starts skip the hashing; any difference
brings it back. Limits: someone who may write to the folder as this user can forge file, stamp and record
together; against that stand only the catalog's own SHA-256, which is compared as well, and `models verify`,
which hashes every byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from localrag.errors import ModelDamaged
from localrag.models import catalog
from localrag.models.catalog import Kind
from localrag.security import storage

FILE_NAME = "model.json"
# The fast form of an embedder: made here from its weights (onnx_export.py), so it never travels.
FAST = "onnx/model.onnx"
FORMAT = 1
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model on this machine.

    Args:
        path: the .gguf file, or the sentence-transformers folder.
        sha256: of the weights.
        bytes: of all its files together, adapter left out.
        metadata: what the GGUF file says of itself (see `gguf.read_metadata`); empty for embedders.
        adapter: the LoRA file chosen by `models use`, if any.
        onnx: the fast form of an embedder, if it has one.
    """

    id: str
    kind: Kind
    path: Path
    sha256: str
    licence: str
    source: str
    bytes: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    adapter: Path | None = None
    adapter_sha256: str | None = None
    onnx: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of all that decides what it says: its weights, and its adapter."""
        return (self.sha256,) if self.adapter_sha256 is None else (self.sha256, self.adapter_sha256)


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded file: its SHA-256, its size in bytes, and its stamp when that was last computed."""

    sha256: str
    size: int
    stamp: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record beside a model's files. Names are below the model's folder, with forward slashes.

    Args:
        main: the .gguf file, or the folder that sentence-transformers loads.
        weights: the file whose SHA-256 names the model.
    """

    id: str
    kind: Kind
    title: str
    licence: str
    source: str
    main: str
    weights: str
    files: Mapping[str, Entry]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    adapter: str | None = None
    adapter_entry: Entry | None = None

    @property
    def recorded(self) -> dict[str, Entry]:
        """Every file with its record, the adapter among them."""
        files = dict(self.files)
        if self.adapter is not None and self.adapter_entry is not None:
            files[self.adapter] = self.adapter_entry
        return files

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.files.values())

    def model(self, folder: Path) -> InstalledModel:
        return InstalledModel(
            id=self.id, kind=self.kind, path=folder / self.main, sha256=self.files[self.weights].sha256,
            licence=self.licence, source=self.source, bytes=self.bytes, metadata=dict(self.metadata),
            adapter=None if self.adapter is None else folder / self.adapter,
            adapter_sha256=None if self.adapter_entry is None else self.adapter_entry.sha256,
            onnx=folder / FAST if FAST in self.files else None,
        )  # fmt: skip

    def without_fast(self) -> Manifest:
        """The same record without the fast form, which can be made again."""
        return replace(self, files={name: entry for name, entry in self.files.items() if name != FAST})

    def stamped(self, folder: Path) -> Manifest:
        """The same record with the stamps that the files have now; call only after hashing them."""
        files = {name: replace(entry, stamp=stamp(folder / name)) for name, entry in self.files.items()}
        extra = self.adapter_entry
        if self.adapter is not None and extra is not None:
            extra = replace(extra, stamp=stamp(folder / self.adapter))
        return replace(self, files=files, adapter_entry=extra)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT, "id": self.id, "kind": self.kind, "title": self.title, "licence": self.licence,
            "source": self.source, "main": self.main, "weights": self.weights,
            "files": {name: _entry_dict(entry) for name, entry in self.files.items()},
            "metadata": dict(self.metadata),
            "adapter": None if self.adapter_entry is None else
                {"file": self.adapter, **_entry_dict(self.adapter_entry)},
        }  # fmt: skip


def read(folder: Path) -> Manifest:
    """The record of an installed model.

    Raises:
        FileNotFoundError: there is none.
        ModelDamaged: it cannot be understood.
    """
    try:
        return parse((folder / FILE_NAME).read_bytes(), folder.name)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(folder) from None
    except OSError as error:
        raise ModelDamaged(
            f"the record of model {folder.name!r} cannot be read: {error}", reinstall(folder.name)
        ) from None


def parse(data: bytes, name: str) -> Manifest:
    """A record from its JSON; every name in it is checked to stay below the model's folder."""
    try:
        raw = json.loads(data)
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']!r}")
        files = {safe_name(file): _entry(value) for file, value in raw["files"].items()}
        adapter = raw.get("adapter")
        manifest = Manifest(
            id=str(raw["id"]), kind=raw["kind"], title=str(raw["title"]), licence=str(raw["licence"]),
            source=str(raw["source"]), main=safe_name(raw["main"]), weights=raw["weights"], files=files,
            metadata=dict(raw.get("metadata", {})),
            adapter=None if adapter is None else safe_name(adapter["file"]),
            adapter_entry=None if adapter is None else _entry(adapter),
        )  # fmt: skip
        if manifest.kind not in ("embedder", "generator") or manifest.weights not in files:
            raise ValueError("kind or weights")
        if not any(PurePosixPath(file).is_relative_to(manifest.main) for file in files):
            raise ValueError("main")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelDamaged(f"the record of model {name!r} cannot be understood ({error})", reinstall(name)) from None
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    storage.write_json(folder / FILE_NAME, manifest.to_dict())


def safe_name(name: object) -> str:
    """A file name that stays below its folder on every system, or ValueError."""
    parts = str(name).split("/")
    if not isinstance(name, str) or len(parts) > 8 or name == FILE_NAME:
        raise ValueError(f"file name {name!r}")
    for part in parts:
        if part in ("", ".", "..") or len(part) > 200 or not part.isprintable() or set(part) & set('\\:*?"<>|'):
            raise ValueError(f"file name {name!r}")
    return name


def stamp(path: Path) -> tuple[int, ...]:
    """Size, times and inode: what changes when a file is written, replaced or restored from a backup."""
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read from the disk."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_hashed(blocks: Iterable[bytes], target: BinaryIO) -> Entry:
    """Write blocks to `target`; returns their size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        target.write(block)
        size += len(block)
    return Entry(digest.hexdigest(), size)


def blocks_of(stream: BinaryIO, limit: int | None = None) -> Iterable[bytes]:
    """The stream's bytes in blocks of a mebibyte, at most `limit` bytes in all."""
    left = limit
    while left is None or left > 0:
        block = stream.read(_BLOCK if left is None else min(_BLOCK, left))
        if not block:
            return
        yield block
        left = None if left is None else left - len(block)


def reinstall(id: str) -> str:
    """What to do about a damaged model."""
    if catalog.find(id) is None:
        return f"Import it again from where it came, with --id {id}."
    return f"Run `localrag models install {id}` again, or import it again from where it came."


def _entry_dict(entry: Entry) -> dict[str, Any]:
    return {"sha256": entry.sha256, "size": entry.size, "stamp": list(entry.stamp)}


def _entry(value: Mapping[str, Any]) -> Entry:
    digest, size = value["sha256"], value["size"]
    if not isinstance(digest, str) or len(digest) != 64 or not isinstance(size, int) or size < 0:
        raise ValueError("hash or size")
    return Entry(digest, size, tuple(int(part) for part in value.get("stamp", ())))
