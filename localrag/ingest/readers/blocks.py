"""Build the text of a page: blocks, Markdown tables, symbol characters, and a report of hidden text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.ingest.readers.source import TABLES
from localrag.text import clean
from localrag.types import Heading, Remark


class Blocks:
    """Blocks of text in document order, separated by empty lines; list items by line ends."""

    def __init__(self) -> None:
        self._blocks: list[tuple[str, int | None, bool]] = []

    def add(self, text: str, level: int | None = None, item: bool = False) -> None:
        """Add a block. A `level` makes it a heading; an `item` follows the item before it without an empty line."""
        if text := clean(text).strip():
            self._blocks.append((text, level, item))

    def lines(self) -> list[str]:
        return [text for text, _, _ in self._blocks]

    def text(self) -> tuple[str, tuple[Heading, ...]]:
        """Return the whole text and the headings in it."""
        pieces: list[str] = []
        headings: list[Heading] = []
        size, after_item = 0, False
        for text, level, item in self._blocks:
            gap = "" if not pieces else "\n" if after_item and item else "\n\n"
            size += len(gap)
            if level is not None:
                headings.append(Heading(size, level, " ".join(text.split())[:200]))
            pieces += (gap, text)
            size += len(text)
            after_item = item
        return "".join(pieces), tuple(headings)


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, its first row as header; short rows are padded.

    Chunking recognises a table by this form and repeats the header before rows in a later chunk.
    """
    width = max((len(row) for row in rows), default=0)
    padded = ([*row, *[""] * (width - len(row))] for row in rows)
    lines = [f"| {' | '.join(map(markdown_cell, row))} |" for row in padded]
    return [*lines[:1], "|" + " --- |" * width, *lines[1:]] if lines else []


def markdown_cell(text: str) -> str:
    """Return a cell on one line, with bars escaped."""
    return " ".join(text.replace("|", "\\|").split())


def comment_text(text: str, author: str = "", date: str = "") -> str:
    """Return a comment as it is cited: "[Comment by J. Doe, 2024-03-02: Too early?]"; "" if it is empty."""
    words = " ".join(clean(text).split())
    by = "".join((f" by {' '.join(clean(author).split())}" if author.strip() else "", f", {date[:10]}" if date else ""))
    return f"[Comment{by}: {words}]" if words else ""


class HiddenText:
    """Collects text that a document holds but does not show, by how it is hidden ("white text").

    Hidden text can leak drafts, or carry instructions for a model, so it is kept out and reported.
    """

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def add(self, kind: str, text: str) -> None:
        if text.strip():
            self._texts.setdefault(kind, []).append(text)

    def remarks(self, number: int | None = None) -> tuple[Remark, ...]:
        """Return one remark for each way of hiding; `number` is the page's."""
        found = []
        for kind, texts in self._texts.items():
            text = " ".join(clean("".join(texts)).split())
            shown = text if len(text) <= 80 else f"{text[:80]}…"
            found.append(Remark(number, f"{kind} was kept out ({len(text)} characters): “{shown}”"))
        return tuple(found)


_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]{2,7}")  # the flags of England, Scotland and the like


def tag_text(text: str) -> tuple[Remark, ...]:
    """Report text written in Unicode tags, letters that nobody sees; they are not stored."""
    hidden = HiddenText()
    tags = (letter for letter in _FLAG.sub("", text) if "\U000e0020" <= letter <= "\U000e007e")
    hidden.add("text in invisible letters", "".join(chr(ord(letter) - 0xE0000) for letter in tags))
    return hidden.remarks()


def symbol(code: int, font: str) -> str:
    """Return the character that `font` shows for a byte or its private code point (U+F000 and up); "" if unknown."""
    rows = TABLES["fonts"]["wingdings" if "dings" in font.lower() else "symbol"]
    row = rows.get(f"{code & 0xF0:02X}")
    return row[code & 0x0F].replace("\ufffd", "") if row else ""


_ROMAN = list(
    zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), "m cm d cd c xc l xl x ix v iv i".split(), strict=True)
)


def format_number(count: int, kind: str) -> str:
    """Return the number of a list item; `kind` is one of Word's ("lowerLetter", "upperRoman"), others are decimal."""
    if kind in ("lowerLetter", "upperLetter") and count > 0:
        letters = chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, 5)
        return letters.upper() if kind == "upperLetter" else letters
    if kind in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (count // value)
            count %= value
        return roman.upper() if kind == "upperRoman" else roman
    return f"{count:02d}" if kind == "decimalZero" else str(count)
