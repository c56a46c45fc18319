"""Real text to hide needles in: the sentences of a folder's or a library's documents, none of them twice.

A text that repeats itself is easier than a real one, so running heads and boilerplate are kept once. Nothing of it is
written to the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from localrag.errors import NotFoundError
from localrag.ingest import scan
from localrag.ingest.readers import base
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.store.sentences import sentences
from localrag.types import Part

# A longer one is a table or a list that no stop divides.
_LONGEST = 600
_SHORT = 20  # characters; shorter ones may be said again ("Yes.", "5.")


@dataclass(frozen=True, slots=True)
class Filler:
    """Sentences in order, each with the white space behind it. `digest` tells whether it is the same text again."""

    sentences: tuple[str, ...]
    tokens: int
    source: str
    digest: str

    def from_there(self, share: float) -> tuple[str, ...]:
        """The same sentences, begun elsewhere."""
        first = int(len(self.sentences) * share)
        return self.sentences[first:] + self.sentences[:first]


def gather(texts: Iterable[str], tokens: int, count: Callable[[str], int], source: str) -> Filler:
    """So many tokens of sentences, or as many as there are.

    Raises:
        NotFoundError: there is no text at all.
    """
    taken: list[str] = []
    seen: set[str] = set()
    have = 0
    for text in texts:
        for sentence in _pieces(text):
            words = " ".join(sentence.split()).casefold()
            if have >= tokens or (len(words) >= _SHORT and words in seen):
                continue
            seen.add(words)
            taken.append(sentence)
            have += count(sentence)
        if have >= tokens:
            break
    if not taken:
        raise NotFoundError(f"there is no text in {source}", "Name a folder of documents: --filler DIR")
    digest = hashlib.sha256("".join(taken).encode("utf-8", "replace")).hexdigest()[:16]
    return Filler(tuple(taken), have, source, digest)


def _pieces(text: str) -> Iterator[str]:
    starts = [start for start, _ in sentences(text)]
    for start, after in pairwise([*starts, len(text)]):
        piece = text[start:after]
        if len(piece) <= _LONGEST:
            yield piece if piece[-1:].isspace() else piece + "\n\n"


def of_folder(folder: Path, settings: Settings, stop: Callable[[], bool]) -> Iterator[str]:
    """The text of each document of a folder, in order of their paths; what cannot be read is passed over.

    Raises:
        NotFoundError: no such folder.
        Cancelled: `stop` said so.
    """
    root, _ = scan.root_of(folder)
    paths = (found.location for found in scan.walk(root) if base.reads(found.location))
    with ReaderPool(
        1, seconds=settings.read_seconds, memory=settings.read_memory_mb * 1_000_000, options=Options(ocr="off"),
        stop=stop,
    ) as pool:  # fmt: skip
        for _, part in pool.read_all(paths):
            if isinstance(part, Part):
                yield "\n\n".join(page.text for page in part.reading.pages)


def of_library(library: Library) -> Iterator[str]:
    """The text of each document of a library, in order of their paths."""
    for document in library.documents():
        yield "\n\n".join(page.text for page in library.pages(document.id))
