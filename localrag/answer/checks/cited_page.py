"""The page that a citation rests on, as it is now: where its words are, and what a reader must know about its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from localrag.grounding import cells
from localrag.ingest.source_files import FileState
from localrag.types import Citation, Document, Page

WINDOW = 20_000  # characters of a long page shown on each side of the quote
_GAP = 2  # spaces between columns
_RULE = re.compile(r"[|\s:-]*")
STATES: dict[FileState, str] = {
    "changed": "! The file has changed since it was read. This is the text that was read.",
    "missing": "! The file is no longer there. This is the text that was read.",
    "elsewhere": "! The original is not at hand. This is the text that was read.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Where a quote is on its page, and the figures in it; `moved` if that is not the cited place."""

    start: int
    end: int
    moved: bool = False
    figures: tuple[tuple[int, int], ...] = ()


def locate(citation: Citation | None, page: Page) -> Found | None:
    """Find the words of a citation on a page of its document."""
    if citation is None or citation.page != page.number:
        return None
    text = page.text
    if text[citation.start : citation.end].split() == citation.quote.split():
        return Found(citation.start, citation.end, figures=citation.figures)
    at = text.find(citation.quote)
    return Found(at, at + len(citation.quote), moved=True) if at >= 0 else None


def window(text: str, quote: Found | None) -> tuple[int, int]:
    """Return the part of a text to show first: around the quote, else its beginning."""
    if quote is None:
        return 0, min(len(text), 2 * WINDOW)
    return max(0, quote.start - WINDOW), min(len(text), quote.end + WINDOW)


def neighbour(text: str, start: int, end: int, step: int) -> tuple[int, int] | None:
    """Return the part of a long text after (`step` 1) or before (-1) the one from `start` to `end`; None at its end."""
    if step > 0:
        return (end, min(len(text), end + 2 * WINDOW)) if end < len(text) else None
    return (max(0, start - 2 * WINDOW), start) if start > 0 else None


def notes(
    document: Document, page: Page, state: FileState, citation: Citation | None, quote: Found | None
) -> list[str]:
    """Return what a reader must know about the text of this page; `quote` is where the citation's words are on it."""
    lines = [STATES[state]] if state in STATES else []
    if citation is not None and page.number == citation.page and quote is None:
        lines.append("! The document has changed: the quote is no longer on this page.")
    elif quote is not None and quote.moved:
        lines.append("! The document has changed: the quote has moved on this page.")
    if not page.text.strip():
        reasons = [one.reason for one in document.skipped if one.number == page.number]
        lines.append(f"This page has no text{''.join(f': {reason}' for reason in reasons)}.")
    return lines


def in_columns(text: str, room: int, space: str = " ", wrap: bool = False) -> tuple[str, Sequence[int]]:
    """Return a text with its tables laid out in columns, and where each of its offsets is then.

    A table that is wider than `room` characters stays as it was read, or has the words of its cells wrapped where that
    helps. `space` is what lines of tables have for spaces.
    """
    shown: list[str] = []
    places: list[int] = []
    length = 0
    for is_table, lines in groupby(text.split("\n"), key=lambda line: line.startswith("|")):
        run = list(lines)
        widths = _widths(run) if is_table else ()
        widths = _narrowed(widths, run, room) if is_table and wrap else widths
        fits = is_table and sum(widths) + _GAP * len(widths) <= room
        for line in run:
            made, own = _in_columns(line, widths) if fits else (line, range(len(line) + 1))
            shown.append(made.replace(" ", space) if fits else made)
            places += [length + at for at in own]
            length += len(made) + 1
    return "\n".join(shown), places


def _widths(lines: Sequence[str]) -> Sequence[int]:
    rows = [
        [len(words) for _, _, words in cells.read_line(0, line).cells] for line in lines if not _RULE.fullmatch(line)
    ]
    return [max((row[at] for row in rows if at < len(row)), default=0) for at in range(max(map(len, rows), default=0))]


def _narrowed(widths: Sequence[int], lines: Sequence[str], room: int) -> Sequence[int]:
    """Make the widest columns narrower until a table fits, as long as no word of it is broken."""
    words = [
        [max(map(len, text.split(" ")), default=0) for _, _, text in cells.read_line(0, one).cells] for one in lines
    ]
    least = [max(row[at] for row in words if at < len(row)) for at in range(len(widths))]
    made = list(widths)
    while sum(made) + _GAP * len(made) > room:
        spare = [(have, at) for at, (have, need) in enumerate(zip(made, least, strict=True)) if have > need]
        if not spare:
            return widths
        made[max(spare)[1]] -= 1
    return made


def _in_lines(line: str, widths: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Return what `_in_columns` does, with the words of the cells wrapped."""
    rows: list[str] = []
    positions: dict[int, tuple[int, int]] = {}  # row and column of an offset
    left = 0
    for (start, _, words), width in zip(cells.read_line(0, line).cells, widths, strict=False):
        right = cells.read(words) is not None
        for number, (first, last) in enumerate(_wrapped(words, width)):
            rows += [""] * (number == len(rows))
            begin = left + (width - (last - first) if right else 0)
            rows[number] = rows[number].ljust(begin) + words[first:last]
            positions |= {start + at: (number, begin + at - first) for at in range(first, last + 1)}
        left += width + _GAP
    starts = [sum(len(row) + 1 for row in rows[:number]) for number in range(len(rows))]
    places = [0]
    for at in range(len(line)):
        places.append(starts[positions[at + 1][0]] + positions[at + 1][1] if at + 1 in positions else places[-1])
    return "\n".join(rows), places


def _wrapped(words: str, width: int) -> Sequence[tuple[int, int]]:
    """Return the parts of a text that stand on lines of a width; no word is wider."""
    parts, first = [], 0
    while len(words) - first > width:
        last = words.rfind(" ", first, first + width + 1)
        parts.append((first, last))
        first = last + 1
    return [*parts, (first, len(words))]


def _in_columns(line: str, widths: Sequence[int]) -> tuple[str, Sequence[int]]:
    """Return a line of a table with its cells in columns, figures to the right, and where each of its offsets is."""
    if _RULE.fullmatch(line):
        made = "─" * (sum(widths) + _GAP * (len(widths) - 1))
        return made, [0] * (len(line) + 1)
    if any(len(words) > width for (_, _, words), width in zip(cells.read_line(0, line).cells, widths, strict=False)):
        return _in_lines(line, widths)
    made, last, places = "", 0, [0] * (len(line) + 1)
    for (start, end, words), width in zip(cells.read_line(0, line).cells, widths, strict=False):
        made += " " * _GAP if start > 2 else ""
        right = cells.read(words) is not None
        begin = len(made) + (width - len(words) if right else 0)
        made += f"{words:>{width}}" if right else f"{words:<{width}}"
        places[last : end + 1] = [begin] * (start - last) + [begin + at for at in range(end + 1 - start)]
        last = end + 1
    places[last:] = [len(made)] * (len(places) - last)
    return made.rstrip(), [min(at, len(made.rstrip())) for at in places]
