"""Marks of what was forgotten of a library."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from localrag.errors import LibraryError
from localrag.security import storage
from localrag.store.names import DATABASE
from localrag.types import Document


@dataclass(frozen=True, slots=True)
class Tombstones:
    """Marks of forgotten documents, by place and by content, so that they are not ingested again.

    A mark is an HMAC under a key of the library, so that the marks alone do not tell which files were forgotten. With
    the whole library, and so the key, anybody can test whether a file at hand was forgotten, as an ingest does.
    """

    key: bytes
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks)

    @classmethod
    def new(cls) -> Tombstones:
        return cls(os.urandom(32))

    @classmethod
    def from_json(cls, text: str) -> Tombstones:
        found = json.loads(text)
        return cls(bytes.fromhex(found["key"]), frozenset(map(str, found["marks"])))

    def to_json(self) -> str:
        return json.dumps({"key": self.key.hex(), "marks": sorted(self.marks)})

    def cover(self, root: str, path: str, sha256: str = "") -> bool:
        """Whether a document at this place, or with this content, was forgotten."""
        return bool(self.marks) and not self.marks.isdisjoint(self._of(root, path, sha256))

    def add(self, documents: Iterable[Document]) -> Tombstones:
        """These and the marks of more documents."""
        return replace(self, marks=self.marks.union(*(self._of(doc.root, doc.path, doc.sha256) for doc in documents)))

    def _of(self, root: str, path: str, sha256: str) -> list[str]:
        texts = [f"place\0{root}\0{path}", *([f"content\0{sha256}"] if sha256 else [])]
        return [hmac.new(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:32] for text in texts]


def holds(folder: Path, paths: Iterable[str] = ()) -> bool:
    """Whether a library is on the disk and none of these documents was forgotten, to ask before keeping what they gave.

    `forget` saves its marks first, so that it finds what was kept after an earlier look.
    """
    if not (folder / DATABASE).is_file():
        return False
    try:
        with closing(storage.connect(folder / DATABASE)) as database:
            kept = database.execute("SELECT value FROM meta WHERE key = 'forgotten'").fetchone()
            roots = [row[0] for row in database.execute("SELECT path FROM roots")]
    except storage.sqlite3.DatabaseError as error:
        message = f"the library {folder.name!r} cannot be read: {error}"
        raise LibraryError(message, "Restore it from a backup.") from error
    stones = Tombstones.from_json(kept[0]) if kept else Tombstones(b"")
    return not any(stones.cover(root, path) for path in paths for root in roots)
