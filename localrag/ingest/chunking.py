"""Split pages into chunks: the spans that are embedded, searched and shown as passages.

A chunk is within one page, consists of whole sentences, list items or table rows, stays inside a section if the section
is long enough, and fits the embedder's window together with what is put before it (`embedded_text`). Neighbours overlap
by a sentence or two only if a paragraph had to be cut. Every character but white space is in a chunk. The caller's
token counter is called once a sentence, so joining must not increase its count:
count(a + b) <= count(a) + count(b) - count("").

Tables are recognised as Markdown rows, which the readers write. Rows in a later chunk than their table's header carry
the header's span: it is embedded and read with them, so that a number keeps the name of its column. Only the beginning
of a header wider than _TABLE_WEIGHT is embedded. Other chunk boundaries need another `store.writer.CHUNKING_VERSION`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, takewhile
from typing import NamedTuple

from localrag.store.text_analysis import sentences
from localrag.types import Chunk, Heading, Page

Path = tuple[str, ...]
Span = tuple[int, int]

# A section with fewer tokens joins the next one: alone it would be found for the wrong questions.
_MIN_SECTION = 40
_OVERLAP = 40
_TITLE_WEIGHT, _HEADING_WEIGHT, _TABLE_WEIGHT = 16, 24, 64
_MIN_LIMIT = 96
_LINE_BORDER, _HEADING_BORDER = 0.06, 5.0
# If more sentences than this fit a chunk, some are joined: every start is compared with every end, which would be
# 60,000 pairs for a chunk of single dots. Prose and most tables stay far below.
_MAX_UNITS = 64


@dataclass(frozen=True, slots=True)
class _Unit:
    """A span that is not cut, its tokens and headings, and the cost of a cut after it."""

    start: int
    end: int
    tokens: int
    path: Path
    heading: bool = False
    opens: bool = False
    border: float = 0.0
    header: Span | None = None
    header_tokens: int = 0


def split(
    pages: Sequence[Page], *, count: Callable[[str], int], title: str = "", limit: int = 256, target: int = 200
) -> list[Chunk]:
    """The chunks of a document, in order.

    `count` counts tokens as the embedder does, `limit` is the maximum for `embedded_text`, and `target` the preferred
    number of tokens of text.
    """
    if limit < _MIN_LIMIT:
        raise ValueError(f"a limit of {limit} tokens leaves no room for text; the minimum is {_MIN_LIMIT}")
    counter = _Counter(count, title, limit)
    chunks: list[Chunk] = []
    stack: list[Heading] = []
    for position, page in enumerate(pages):
        units = _units(page, stack, counter)
        if not units:
            continue
        room = counter.room({unit.path for unit in units})
        units = [piece for unit in units for piece in _fitting(page.text, unit, room - unit.header_tokens, counter)]
        for section in _sections(units, room):
            section = _joined(section, room)
            for first, last in _pack(section, room, min(target, room)):
                begin = section[_overlapping(section, first, last, room)]
                start, end = begin.start, section[last - 1].end
                header = page.text[slice(*begin.header)] if begin.header else ""
                text, path = page.text[start:end], _path(section[first:last])
                chunks.append(Chunk(position, start, end, text, path, begin.header, header))
    return chunks


def embedded_text(title: str, chunk: Chunk) -> str:
    """The text that is embedded for a chunk: title, heading path, table header and text."""
    header = f"{_shortened_header(chunk.header_text)}\n" if chunk.header_text else ""
    return _prefix(title, chunk.heading, chunk.text) + header + chunk.text


class _Counter:
    """The caller's counter, and the room that the text before a chunk leaves."""

    def __init__(self, count: Callable[[str], int], title: str, limit: int) -> None:
        self._count = count
        self._limit = limit
        self._markers = count("")
        self._before = cache(lambda path: count(_prefix(title, path, "")))

    def __call__(self, text: str) -> int:
        # At least one, so that a chunk of characters that the tokenizer ignores ends.
        return max(self._count(text) - self._markers, 1 if text else 0)

    def room(self, paths: set[Path]) -> int:
        """Tokens left for text under the longest of these paths and their parents."""
        parents = {path[:depth] for path in paths for depth in range(len(path) + 1)}
        return max(self._limit - max(map(self._before, parents)), 1)


# --- the text before a chunk ---------------------------------------------------------------------------------


def _prefix(title: str, path: Path, text: str) -> str:
    """Title and headings, shortened, without what the text begins with."""
    if path and " ".join(text[:300].split()).startswith(path[-1]):
        path = path[:-1]
    lines = []
    title = _shortened(title, _TITLE_WEIGHT)
    if title and not text.startswith(title):
        lines.append(title)
    kept: list[str] = []
    left = _HEADING_WEIGHT
    for name in reversed(path):
        if kept and _weight(name) > left:
            break
        kept.insert(0, _shortened(name, left))
        left -= _weight(kept[0])
    if kept:
        lines.append(" > ".join(kept))
    return "".join(f"{line}\n" for line in lines)


def _shortened(text: str, weight: int) -> str:
    while _weight(text) > weight:
        shorter = text.rsplit(None, 1)[0] if " " in text else text[: len(text) // 2]
        if shorter == text:
            return text[:weight]
        text = shorter
    return text


def _shortened_header(header: str) -> str:
    """A table's header; its caption is shortened separately, so that the names of columns stay."""
    bar = max(header.find("|"), 0)
    caption = _shortened(header[:bar], _HEADING_WEIGHT)
    if len(caption) < bar and caption:
        caption += "\n"
    return caption + _shortened(header[bar:], _TABLE_WEIGHT - _weight(caption))


def _weight(text: str) -> int:
    """The approximate number of tokens, which must be the same for every tokenizer."""
    return sum(1 + (len(word) - 1) // 5 if word.isascii() else len(word) for word in text.split())


# --- units ---------------------------------------------------------------------------------------------------


def _units(page: Page, stack: list[Heading], count: Callable[[str], int]) -> list[_Unit]:
    """The page's sentences, split at headings; `stack` holds the open sections across pages."""
    text = page.text
    spans = list(_split_at_headings(text, page.headings))
    headings = iter([*page.headings, Heading(len(text) + 1, 1, "")])
    heading = next(headings)
    tables = _tables(text, page.headings)
    header_weight = cache(lambda header: count(_shortened_header(text[slice(*header)]) + "\n"))
    table = next(tables, None)
    units: list[_Unit] = []
    path = tuple(item.title for item in stack)
    for index, (start, end) in enumerate(spans):
        opens, alone = False, False
        while heading.start < end:
            while stack and stack[-1].level >= heading.level:
                stack.pop()
            stack.append(heading)
            path = tuple(item.title for item in stack)
            opens, alone = True, _is_heading_line(text[start:end], heading.title)
            heading = next(headings)
        following = spans[index + 1][0] if index + 1 < len(spans) else len(text)
        while table is not None and start >= table.end:
            table = next(tables, None)
        border = _HEADING_BORDER if alone else _border(text[start:end], text[end:following])
        header, header_tokens = None, 0
        if table is not None and start >= table.body:
            header, header_tokens = table.header, header_weight(table.header)
        elif table is not None and start >= table.header[0]:
            border = _HEADING_BORDER  # a header stays with its first row
        units.append(_Unit(start, end, count(text[start:following]), path, alone, opens, border, header, header_tokens))
    return units


class _Table(NamedTuple):
    """A table in a page: the span of its header, the start of its rows, and its end."""

    header: Span
    body: int
    end: int


_TABLE = re.compile(r"^\|.*\|(?:\n\|.*\|)+$", re.M)
_DASHES = re.compile(r"\|(?:[ \t]*:?-{2,}:?[ \t]*\|)+")
_NO_FIRST_CELL = re.compile(r"\|[ \t]*\|")
_MAX_HEADER_LINES = 6
_MAX_CAPTION = 300


def _tables(text: str, headings: Sequence[Heading] = ()) -> Iterator[_Table]:
    """Tables; the header is a caption above it and the lines to one of dashes, or else those without a row name."""
    for match in _TABLE.finditer(text) if "|\n|" in text else ():
        lines = match[0].split("\n", _MAX_HEADER_LINES + 1)
        dashes = next((i for i, line in enumerate(lines[: _MAX_HEADER_LINES + 1]) if _DASHES.fullmatch(line)), None)
        named = next((i for i, line in enumerate(lines) if not _NO_FIRST_CELL.match(line)), 0)
        count = dashes if dashes is not None else named
        if 0 < count <= _MAX_HEADER_LINES:
            header_end = match.start() + sum(len(line) + 1 for line in lines[:count]) - 1
            body = header_end + (1 + len(lines[count]) if dashes is not None else 0)
            yield _Table((_caption(text, match.start(), headings), header_end), body, match.end())


_CAPTION = re.compile(r"(?:(?<=\n)|\A)[^\S\n]*(?=\S)[^\n|]*(?:\n(?![^\S\n]*[A-Z|\n])[^\n|]*){0,2}[^\s.。．।۔|]\s*\Z")


def _caption(text: str, start: int, headings: Sequence[Heading]) -> int:
    """Where a table's caption begins: the line above, or up to three of a sentence; the table's start without one."""
    first = max(0, start - _MAX_CAPTION)
    first = text.find("\n", first, start) + 1 if first else 0
    match = _CAPTION.search(text[first:start])
    if match is None:
        return start
    begin = first + match.start() + len(match[0]) - len(match[0].lstrip())
    at = bisect_left(headings, start, key=lambda heading: heading.start) - 1
    if at < 0 or headings[at].start < begin:
        return begin
    below = text.find("\n", headings[at].start, start) + 1 or start
    return below + len(text[below:start]) - len(text[below:start].lstrip()) if text[below:start].strip() else start


def _split_at_headings(text: str, headings: Sequence[Heading]) -> Iterator[tuple[int, int]]:
    cuts: list[int] = []
    for heading in headings:
        cuts.append(heading.start)
        line_end = _LINE_END.search(text, heading.start)
        if line_end and _is_heading_line(text[heading.start : line_end.start()], heading.title):
            cuts.append(line_end.start())
    pending = iter(sorted(cuts))
    cut = next(pending, None)
    for start, end in sentences(text):
        while cut is not None and cut <= start:
            cut = next(pending, None)
        while cut is not None and cut < end:
            if left := text[start:cut].strip():
                yield start, start + len(left)
            start = cut + len(text[cut:end]) - len(text[cut:end].lstrip())
            cut = next(pending, None)
        if start < end:
            yield start, end


_LINE_END = re.compile(r"\n|(?<!\d)(?<!\d\.) {3,}")  # some text files have wide gaps instead of line ends
_NOT_LETTERS = re.compile(r"[\W_]+")


def _is_heading_line(line: str, title: str) -> bool:
    """Whether a line holds only the heading or its first words, apart from marks, a number and "(continued)"."""
    words, name = _NOT_LETTERS.sub("", line).lower(), _NOT_LETTERS.sub("", title).lower()
    return len(line) < len(title) + 16 and (name in words or (len(words) > 3 and name.startswith(words)))


def _border(unit: str, gap: str) -> float:
    """The cost of a cut after a unit."""
    if unit.endswith(":"):
        return 0.4  # it introduces what follows
    if gap.count("\n") > 1:
        return 0.0
    return _LINE_BORDER if "\n" in gap else 0.2


def _fitting(text: str, unit: _Unit, room: int, count: Callable[[str], int]) -> Iterator[_Unit]:
    """The unit, or pieces of it if it exceeds the room alone."""
    if unit.tokens <= room:
        yield unit
        return
    for start, end in _halves(text, unit.start, unit.end, room, count):
        last = end >= unit.end
        yield replace(
            unit,
            start=start,
            end=end,
            tokens=count(text[start:end]),
            heading=unit.heading and last,
            opens=unit.opens and start == unit.start,
            border=unit.border if last else 0.3,
        )


_BORDERS = tuple(re.compile(pattern) for pattern in (r"\n\s*", r"[;:；：]\s*", r"[,，、]\s*", r"\s+", r"[-/.&=?_]"))


def _halves(text: str, start: int, end: int, room: int, count: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    """Cut near the middle, at the best border, until each piece fits."""
    if end - start < 2 or count(text[start:end]) <= room:
        yield start, end
        return
    middle, reach = (start + end) // 2, (end - start) // 5
    cut = middle
    for border in _BORDERS:
        found = [match.end() for match in border.finditer(text, middle - reach, middle + reach)]
        if found:
            cut = min(found, key=lambda place: abs(place - middle))
            break
    left = text[start:cut].rstrip()
    right = text[cut:end].lstrip()
    if left:
        yield from _halves(text, start, start + len(left), room, count)
    if right:
        yield from _halves(text, end - len(right), end, room, count)


# --- packing -------------------------------------------------------------------------------------------------


def _sections(units: Sequence[_Unit], room: int) -> list[list[_Unit]]:
    """Split units at headings, unless a section would be too small."""
    sections: list[list[_Unit]] = []
    for unit in units:
        if not sections or (unit.opens and _own(sections[-1]) >= _MIN_SECTION):
            sections.append([])
        sections[-1].append(unit)
    if len(sections) > 1 and _own(sections[-1]) < _MIN_SECTION:
        joined = [*sections[-2], *sections[-1]]
        if sum(unit.tokens for unit in joined) <= room:
            sections[-2:] = [joined]
    return sections


def _own(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units if not unit.heading)


def _joined(units: list[_Unit], room: int) -> list[_Unit]:
    """The units; if more than `_MAX_UNITS` fit a chunk, these are joined to their neighbours."""
    if len(units) <= _MAX_UNITS:
        return units
    sums = [0, *accumulate(unit.tokens for unit in units)]
    small: set[int] = set()
    for last in range(_MAX_UNITS, len(units)):
        if sums[last + 1] - sums[last - _MAX_UNITS] <= room:
            small.update(range(last - _MAX_UNITS, last + 1))
    joined: list[_Unit] = []
    for index, unit in enumerate(units):
        before = joined[-1] if joined else unit
        if (
            {index - 1, index} <= small
            and before.tokens + unit.tokens <= 2 * room // _MAX_UNITS
            and (before.path, before.header, before.heading) == (unit.path, unit.header, unit.heading)
            and not unit.opens
            and before.border < _HEADING_BORDER
        ):
            joined[-1] = replace(before, end=unit.end, tokens=before.tokens + unit.tokens, border=unit.border)
        else:
            joined.append(unit)
    return joined


def _pack(units: Sequence[_Unit], room: int, target: int) -> list[tuple[int, int]]:
    """Cut a section into runs of units; a chunk costs the square of its distance from the target, and its cut."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for last in range(1, len(units) + 1):
        tokens, cheapest = 0, (float("inf"), last - 1)
        border = units[last - 1].border if last < len(units) else 0.0
        for first in range(last - 1, -1, -1):
            tokens += units[first].tokens
            if tokens > room and first < last - 1:
                break
            if tokens + _repeated(units, first) + units[first].header_tokens > room and first < last - 1:
                continue
            cost = best[first][0] + ((tokens - target) / target) ** 2 + border
            if cost < cheapest[0]:
                cheapest = (cost, first)
        best.append(cheapest)
    runs: list[tuple[int, int]] = []
    last = len(units)
    while last > 0:
        runs.append((best[last][1], last))
        last = best[last][1]
    return runs[::-1]


def _overlapping(units: Sequence[_Unit], first: int, last: int, room: int) -> int:
    """The first unit of the chunk: one or two sentences earlier if it would begin inside a paragraph."""
    left = min(_OVERLAP, room - units[first].header_tokens - sum(unit.tokens for unit in units[first:last]))
    begin = first
    while first - begin < 2 and 0 < _repeated(units, begin) <= left:
        begin -= 1
        left -= units[begin].tokens
    return begin


def _repeated(units: Sequence[_Unit], first: int) -> int:
    """Tokens of the sentence before `first` if a chunk that begins there repeats it, else 0."""
    if first == 0:
        return 0
    before = units[first - 1]
    return before.tokens if _LINE_BORDER < before.border < _HEADING_BORDER and before.tokens <= _OVERLAP else 0


def _path(units: Sequence[_Unit]) -> Path:
    """The common headings of a chunk, or those of its largest part if there are none."""
    bodies = [unit for unit in units if not unit.heading] or list(units[-1:])
    levels = takewhile(lambda names: len(set(names)) == 1, zip(*(unit.path for unit in bodies), strict=False))
    if common := tuple(names[0] for names in levels):
        return common
    shares: Counter[Path] = Counter()
    for unit in bodies:
        shares[unit.path] += unit.tokens
    return max(shares, key=lambda path: shares[path])
