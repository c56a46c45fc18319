"""What was forgotten and shall not come back: marks of contents and places, from which neither can be read.

A mark is an HMAC under a key of the library's own, so that a list of likely files cannot be tried against it by whoever
has the marks alone. Limits: whoever has the whole library has the key too, and can tell whether a file that they hold
was forgotten; that is what an ingest does.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from localrag.types import Document


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The marks of what was forgotten."""

    key: bytes
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.marks)

    def hold(self, root: str, path: str, sha256: str = "") -> bool:
        """Whether a document at this place, or of this content, was forgotten."""
        return bool(self.marks) and (
            self._place(root, path) in self.marks or (bool(sha256) and self._content(sha256) in self.marks)
        )

    def over(self, documents: Iterable[Document]) -> Tombstones:
        """These and the marks of more documents."""
        more = {
            mark
            for document in documents
            for mark in (self._place(document.root, document.path), self._content(document.sha256))
        }
        return replace(self, marks=self.marks | more)

    def _place(self, root: str, path: str) -> str:
        return self._mark(f"place\0{root}\0{path}")

    def _content(self, sha256: str) -> str:
        return self._mark(f"content\0{sha256}")

    def _mark(self, text: str) -> str:
        return hmac.new(self.key, text.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:32]


def new() -> Tombstones:
    return Tombstones(os.urandom(32))


def to_json(stones: Tombstones) -> str:
    return json.dumps({"key": stones.key.hex(), "marks": sorted(stones.marks)})


def from_json(text: str) -> Tombstones:
    """Read back what `to_json` made.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    found = json.loads(text)
    return Tombstones(bytes.fromhex(found["key"]), frozenset(map(str, found["marks"])))
