"""Recognise and copy in a model that the person already has: a .gguf file, a folder, or an exported file.

Promise: every byte is hashed while it is copied; files that run code (pickles, Python) are never copied.
Limits: a hash computed here proves nothing about who made the file; the store compares it with the catalog
where it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from localrag.errors import ModelError, UsageError
from localrag.models import archive, catalog, gguf
from localrag.models import manifest as records
from localrag.models.manifest import Entry, Manifest
from localrag.security import storage

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_RESERVED = {"quarantine"}
# What sentence-transformers needs. Weights only as safetensors: the older form, a pickle, runs code.
_TAKEN = {".json", ".txt", ".safetensors", ".model"}


def is_id(name: str) -> bool:
    """True if a model may have this id, which is also the name of its folder."""
    return bool(_ID.fullmatch(name)) and name not in _RESERVED


def check_id(id: str) -> None:
    if not is_id(id):
        raise UsageError(f"{id!r} cannot be a model's id", "Use small letters, digits, dots, dashes, underscores.")


def take_in(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    """Copy the model at `path` into an empty folder.

    Raises:
        ModelError: it is no model that localrag can use.
        ModelDamaged: an exported file is not whole.
    """
    if path.is_dir():
        return _transformer(path, folder, id, say)
    if not path.is_file():
        raise ModelError(f"{str(path)!r} is neither a file nor a folder", "Give a .gguf file or a folder.")
    if archive.is_archive(path):
        return _exported(archive.unpack(path, folder), folder, path, id)
    return _gguf(path, folder, id, say)


def _exported(record: Manifest, folder: Path, path: Path, id: str | None) -> Manifest:
    check_id(id or record.id)
    fine = {".gguf"} if record.kind == "generator" else _TAKEN
    strange = [name for name in record.files if Path(name).suffix not in fine]
    if strange:
        raise ModelError(f"{path.name!r} holds {strange[0]}, which no model needs", "Export the model again.")
    # The file's own word, not the record's, which anyone can write.
    said = gguf.read_metadata(folder / record.main) if record.kind == "generator" else {}
    return replace(record, id=id or record.id, metadata=said, adapter=None, adapter_entry=None)


def _gguf(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    said = gguf.read_metadata(path)
    if said["type"] == "adapter":
        raise ModelError(
            f"{path.name!r} is a LoRA adapter, not a model", f"localrag models use ID --adapter {path.name}"
        )
    if int(said.get("parts", 1)) > 1:
        raise ModelError(
            f"{path.name!r} is one of {said['parts']} parts",
            "Join them first with llama.cpp's `llama-gguf-split --merge`.",
        )
    with path.open("rb") as stream, storage.create(folder / "model.gguf") as out:
        entry = records.copy_hashed(records.blocks_of(stream), out)
    known = None if id else next((card for card in catalog.CATALOG if card.sha256 == entry.sha256), None)
    if known is not None:
        say(f"{path.name} is {known.id}, by its SHA-256")
    name = known.id if known else id or _slug(path.stem)
    storage.move(folder / "model.gguf", folder / f"{name}.gguf")
    if not said["has_chat_template"]:
        say(f"{name}: the file has no chat template, so it may be a base model that was not taught to answer")
    return Manifest(
        id=name,
        kind="generator",
        title=known.title if known else str(said.get("name", name)),
        licence=known.licence if known else str(said.get("licence", "unknown")),
        source=f"import ({path.name})",
        main=f"{name}.gguf",
        weights=f"{name}.gguf",
        files={f"{name}.gguf": entry},
        metadata=said,
    )


def _transformer(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    files: dict[str, Entry] = {}
    left: list[str] = []
    # Links to files are followed: the hub's own cache consists of them.
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        name = file.relative_to(path).as_posix()
        if file.suffix not in _TAKEN or any(part.startswith(".") for part in name.split("/")):
            left.append(name)
            continue
        try:
            records.safe_name(f"model/{name}")
        except ValueError:
            left.append(name)
            continue
        with file.open("rb") as stream, storage.create(folder / "model" / name) as out:
            files[f"model/{name}"] = records.copy_hashed(records.blocks_of(stream), out)
    weights = [name for name in files if name.endswith(".safetensors")]
    if "model/modules.json" not in files or not weights:
        raise ModelError(
            f"{str(path)!r} is not a sentence-transformers folder with safetensors weights",
            "It needs modules.json, config.json and model.safetensors; weights in the older .bin form "
            "can run code and are not taken.",
        )
    if left:
        say(f"left out: {', '.join(left[:6])}{' and more' if len(left) > 6 else ''}")
    largest = max(weights, key=lambda name: files[name].size)
    known = None if id else next((card for card in catalog.CATALOG if card.sha256 == files[largest].sha256), None)
    name = known.id if known else id or _slug(path.resolve().name)
    if known is not None:
        say(f"{path.name} is {known.id}, by its SHA-256")
        wanted = {"model/model.safetensors", *(f"model/{pin}" for pin, _ in known.pins)}
        for extra in [file for file in files if known.pins and file not in wanted]:
            storage.remove(folder / extra)
            del files[extra]
    return Manifest(
        id=name, kind="embedder", title=known.title if known else path.resolve().name,
        licence=known.licence if known else "unknown", source=f"import ({path.name})", main="model",
        weights=largest, files=files,
    )  # fmt: skip


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:100]
    if not is_id(slug):
        raise UsageError(f"no id can be made from the name {name!r}", "Give one with --id.")
    return slug
