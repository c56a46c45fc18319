"""Take models in: a .gguf file or a sentence-transformers folder.

Every byte is hashed while it is copied, and files that run code (pickles, Python) are never copied. A hash says nothing
about who made a file: the store compares it with the catalog where it can.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localrag.errors import ModelError, UsageError
from localrag.models import catalog, gguf, shelf
from localrag.models.catalog import Kind, ModelCard
from localrag.models.shelf import Entry, Manifest, blocks_of, copy_hashed
from localrag.security import storage

# What sentence-transformers needs. Weights only as safetensors: the older form, a pickle, runs code.
_SUFFIXES = {".json", ".txt", ".safetensors", ".model"}


def take_in(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    """Copy the model at `path` into an empty folder."""
    if path.is_dir():
        return _transformer(path, folder, id, say)
    if not path.is_file():
        raise ModelError(f"{str(path)!r} is neither a file nor a folder", "Give a .gguf file or a folder.")
    return _gguf(path, folder, id, say)


def _gguf(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    metadata = gguf.read_metadata(path)
    if metadata["type"] == "adapter":
        raise ModelError(
            f"{path.name!r} is a LoRA adapter, not a model", f"localrag models use ID --adapter {path.name}"
        )
    if int(metadata.get("parts", 1)) > 1:
        hint = "Join them first with llama.cpp's `llama-gguf-split --merge`."
        raise ModelError(f"{path.name!r} is one of {metadata['parts']} parts", hint)
    with path.open("rb") as stream, storage.create(folder / "model.gguf") as out:
        entry = copy_hashed(blocks_of(stream), out)
    name, known = _identified(path, entry.sha256, id, path.stem, say)
    file = f"{name}.gguf"
    storage.move(folder / "model.gguf", folder / file)
    kind = _kind(metadata)
    if kind == "generator" and not metadata["has_chat_template"]:
        say(f"{name}: the file has no chat template, so it may be a base model that cannot answer")
    return Manifest(
        id=name, kind=kind, title=known.title if known else str(metadata.get("name", name)),
        licence=known.licence if known else str(metadata.get("licence", "unknown")), source=f"import ({path.name})",
        main=file, weights=file, files={file: entry}, metadata=metadata,
    )  # fmt: skip


def _kind(metadata: dict[str, Any]) -> Kind:
    """Return whether a GGUF file makes text or vectors, by its pooling. Raises ModelError for a reranker."""
    pooling = metadata.get("pooling")
    if pooling == "rank":
        hint = "localrag reads cross-encoders from a sentence-transformers folder (the setting reranker)."
        raise ModelError("the file holds a reranker, which localrag does not run from GGUF", hint)
    return "embedder" if pooling else "generator"


def _transformer(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    files: dict[str, Entry] = {}
    left: list[str] = []
    # Follow links to files: the hub's cache consists of them.
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        name = file.relative_to(path).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if file.suffix not in _SUFFIXES or hidden or not shelf.is_safe(f"model/{name}"):
            left.append(name)
            continue
        with file.open("rb") as stream, storage.create(folder / "model" / name) as out:
            files[f"model/{name}"] = copy_hashed(blocks_of(stream), out)
    weights = [name for name in files if name.endswith(".safetensors")]
    if "model/modules.json" not in files or not weights:
        hint = "It needs modules.json, config.json and model.safetensors; older .bin weights can run code."
        raise ModelError(f"{str(path)!r} is not a sentence-transformers folder with safetensors weights", hint)
    if left:
        say(f"left out: {', '.join(left[:6])}{' and more' if len(left) > 6 else ''}")
    largest = max(weights, key=lambda name: files[name].size)
    name, known = _identified(path, files[largest].sha256, id, path.resolve().name, say)
    if known is not None:
        wanted = {"model/model.safetensors", *(f"model/{pin}" for pin, _ in known.pins)}
        for extra in [file for file in files if known.pins and file not in wanted]:
            storage.remove(folder / extra)
            del files[extra]
    return Manifest(
        id=name, kind=known.kind if known else "embedder", title=known.title if known else path.resolve().name,
        licence=known.licence if known else "unknown", source=f"import ({path.name})", main="model",
        weights=largest, files=files,
    )  # fmt: skip


def _identified(
    path: Path, sha256: str, id: str | None, stem: str, say: Callable[[str], None]
) -> tuple[str, ModelCard | None]:
    """Return the id of a model, and its card if none was given and the catalog knows the hash."""
    known = None if id else next((card for card in catalog.CATALOG if card.sha256 == sha256), None)
    if known is not None:
        say(f"{path.name} is {known.id}, by its SHA-256")
        return known.id, known
    slug = id or re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:100]
    if not shelf.is_id(slug):
        raise UsageError(f"no id can be made from the name {stem!r}", "Give one with --id.")
    return slug, None
