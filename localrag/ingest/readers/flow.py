"""Flowing text as it is put together: blocks parted by empty lines, list items by line ends, headings among them."""

from __future__ import annotations

from localrag.ingest.readers.cleaning import clean
from localrag.types import Heading


class Flow:
    """Blocks of text in document order; cleans each as it comes."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, int | None, bool]] = []

    def add(self, text: str, level: int | None = None, item: bool = False) -> None:
        """One more block; `level` makes it a heading, `item` keeps it close to the item before it."""
        text = clean(text).strip()
        if text:
            self._blocks.append((text, level, item))

    def lines(self) -> list[str]:
        return [text for text, _, _ in self._blocks]

    def text(self) -> tuple[str, tuple[Heading, ...]]:
        pieces: list[str] = []
        headings: list[Heading] = []
        size, tight = 0, False
        for text, level, item in self._blocks:
            if pieces:
                gap = "\n" if tight and item else "\n\n"
                pieces.append(gap)
                size += len(gap)
            if level is not None:
                headings.append(Heading(size, level, " ".join(text.split())[:200]))
            pieces.append(text)
            size += len(text)
            tight = item
        return "".join(pieces), tuple(headings)
