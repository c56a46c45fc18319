"""States of the model kept on the disk, so that a document it has read need not be read again.

A state is named by a hash of everything that makes it what it is: the model's hash, adapter, build, batch size and the
tokens themselves. It is checked against its own digest when it is loaded; a truncated or foreign file is deleted and
the document read again. States are bounded in bytes, the longest unused go first, and a state goes when one of its
documents does. Written through `vault`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from localrag import vault
from localrag.errors import StorageError

FOLDER = "cache"
_SUFFIX = ".state"
_IDLE = 600.0  # no write of a state takes so long from one piece to the next
_MAGIC = b"localrag-state-1\n"


class PrefixCache:
    """The kept states of one library for one model; a `generation.StateStore`.

    Args:
        folder: the library's folder.
        identity: all that decides whether a state fits, as text.
        documents: content hashes of the documents that the next prompts hold, so that a state goes when they do.
        limit: most bytes of all states of the library.
    """

    def __init__(self, folder: Path, identity: str, documents: Sequence[str], limit: int) -> None:
        self._folder = folder / FOLDER
        self._identity = identity
        self._documents = sorted(documents)
        self._limit = limit

    def get(self, tokens: Sequence[int]) -> bytes | None:
        path = self._path(tokens)
        try:
            data = vault.read_bytes(path)
        except OSError:
            return None
        header, state = _open(data)
        if header is None or hashlib.blake2b(state, digest_size=16).hexdigest() != header.get("digest"):
            vault.remove(path)
            return None
        os.utime(path)  # the least recently used goes first
        return state

    def put(self, tokens: Sequence[int], state: bytes) -> None:
        path = self._path(tokens)
        if len(state) > self._limit or path.exists():
            return
        digest = hashlib.blake2b(state, digest_size=16).hexdigest()
        header = json.dumps({"documents": self._documents, "tokens": len(tokens), "digest": digest}).encode()
        # On a full disk, or where `drop_missing` swept it away half written, the document is read again another time.
        with suppress(StorageError, FileNotFoundError):
            self._make_room(len(state))
            vault.write_bytes(path, _MAGIC + header + b"\n" + state)

    def _path(self, tokens: Sequence[int]) -> Path:
        key = hashlib.blake2b(f"{self._identity}\n{','.join(map(str, tokens))}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{key}{_SUFFIX}"

    def _make_room(self, size: int) -> None:
        """Delete the longest unused states until `size` more bytes fit, and first what killed writes left."""
        vault.sweep(self._folder, _IDLE)
        facts = [(path, path.stat()) for path in self._folder.glob(f"*{_SUFFIX}")]
        total = sum(stat.st_size for _, stat in facts) + size
        for path, stat in sorted(facts, key=lambda item: item[1].st_mtime):
            if total <= self._limit:
                return
            vault.remove(path)
            total -= stat.st_size


def drop_missing(folder: Path, hashes: Collection[str]) -> int:
    """Delete states that hold a document whose content is no longer in the library; returns how many.

    A state that is half written goes too: what it holds is not known.
    """
    vault.sweep(folder / FOLDER)
    dropped = 0
    for path in (folder / FOLDER).glob(f"*{_SUFFIX}"):
        with path.open("rb") as stream:
            header, _ = _open(stream.read(len(_MAGIC)) + stream.readline())
        if header is None or not set(header.get("documents", ["?"])) <= set(hashes):
            vault.remove(path)
            dropped += 1
    return dropped


def _open(data: bytes) -> tuple[dict[str, Any] | None, bytes]:
    end = data.find(b"\n", len(_MAGIC))
    if not data.startswith(_MAGIC) or end < 0:
        return None, b""
    try:
        header = json.loads(data[len(_MAGIC) : end])
    except ValueError:
        return None, b""
    return (header if isinstance(header, dict) else None), data[end + 1 :]
