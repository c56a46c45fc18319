"""Pages into chunks: the spans that are embedded, searched and shown as passages (pure).

A chunk lies within one page, begins and ends with whole sentences, list items or table rows, stays inside a
section where the section is long enough to stand alone, and keeps below the embedder's window together with what
is put before it (`embedded_text`). Neighbours overlap by a sentence or two only where a paragraph had to be cut.
Every character that is not white space is in some chunk. The token counter is the caller's; it is asked once for
each sentence, so it must not grow by joining: count(a + b) <= count(a) + count(b) - count("").

A table is known by its form: Markdown rows, as `readers/tables.py` makes them. Rows that stand in a later chunk than
their table's header carry its span with them: the header is embedded and read with them, so that a number keeps the
name of its column.

Limits: what looks like a sentence is decided by `sentences`. Of a header wider than _TABLE_WEIGHT only the beginning is
embedded.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from localrag.store.sentences import sentences
from localrag.types import Chunk, Heading, Page

Path = tuple[str, ...]
Span = tuple[int, int]

# A section with fewer tokens of its own joins the next one: alone it would be found for the wrong questions.
_ALONE = 40
_OVERLAP = 40
_TITLE_WEIGHT, _HEADING_WEIGHT, _TABLE_WEIGHT = 16, 24, 64
_LEAST_LIMIT = 96
_LINE_BORDER, _HEADING_BORDER = 0.06, 5.0
# Where more sentences than this fit a chunk, a few are taken as one: every place to begin is weighed for every place to
# end, which would be 60,000 pairs for each chunk of lone dots. No prose and few tables come near it.
_MOST_UNITS = 64


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not cut: a span, its tokens, the headings it stands under, and how good a border its end is."""

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
    pages: Sequence[Page],
    *,
    count: Callable[[str], int],
    title: str = "",
    limit: int = 256,
    target: int = 200,
) -> list[Chunk]:
    """The chunks of a document, in order.

    Args:
        pages: the document's pages; `Chunk.position` counts them from 0.
        count: tokens of a text, as the embedder counts them.
        title: the document's title, which takes part of the limit.
        limit: most tokens of `embedded_text`.
        target: the tokens of text aimed at.
    """
    if limit < _LEAST_LIMIT:
        raise ValueError(f"a limit of {limit} tokens leaves no room for text; the least is {_LEAST_LIMIT}")
    counter = _Counter(count, title, limit, target)
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
                chunks.append(_chunk(position, page.text, section, first, last, room))
    return chunks


def embedded_text(title: str, chunk: Chunk) -> str:
    """What is embedded for a chunk: title, heading path, table header and text; never shown to anyone."""
    header = f"{_shortened_header(chunk.header_text)}\n" if chunk.header_text else ""
    return _prefix(title, chunk.heading, chunk.text) + header + chunk.text


class _Counter:
    """The caller's counter, with what is put before a chunk taken off the limit."""

    def __init__(self, count: Callable[[str], int], title: str, limit: int, target: int) -> None:
        self._count = count
        self._title = title
        self._limit = limit
        self._markers = count("")
        self._prefixes: dict[Path, int] = {}

    def __call__(self, text: str) -> int:
        # At least one, so that a chunk of signs that the tokenizer passes over has an end.
        return max(self._count(text) - self._markers, 1 if text else 0)

    def room(self, paths: set[Path]) -> int:
        """Tokens left for text under whichever of these paths, or their parents, takes the most."""
        least = self._limit
        for path in paths:
            for depth in range(len(path) + 1):
                parent = path[:depth]
                if parent not in self._prefixes:
                    self._prefixes[parent] = self._count(_prefix(self._title, parent, ""))
                least = min(least, self._limit - self._prefixes[parent])
        return max(least, 1)


# --- what stands before the text ------------------------------------------------------------------------------


def _prefix(title: str, path: Path, text: str) -> str:
    """Title and headings, each line bounded; what the text itself begins with is not said twice."""
    if path and text.startswith(path[-1]):
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
    """A table's header, its caption bounded for itself, so that a long one leaves the names of columns in place."""
    bar = max(header.find("|"), 0)
    caption = _shortened(header[:bar], _HEADING_WEIGHT)
    if len(caption) < bar and caption:
        caption += "\n"
    return caption + _shortened(header[bar:], _TABLE_WEIGHT - _weight(caption))


def _weight(text: str) -> int:
    """About as many tokens as a text has; this must be known without a tokenizer, wherever it is embedded."""
    return sum(1 + (len(word) - 1) // 5 if word.isascii() else len(word) for word in text.split())


# --- units ---------------------------------------------------------------------------------------------------


def _units(page: Page, stack: list[Heading], count: Callable[[str], int]) -> list[_Unit]:
    """The page's sentences, parted at headings; `stack` carries the open sections from page to page."""
    text = page.text
    spans = list(_parted(text, page.headings))
    headings = iter([*page.headings, Heading(len(text) + 1, 1, "")])
    heading = next(headings)
    tables = _tables(text, page.headings)
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
            header, header_tokens = table.header, table.tokens(text, count)
        elif table is not None and start >= table.header[0]:
            border = _HEADING_BORDER  # a header is not left behind by its first row
        units.append(_Unit(start, end, count(text[start:following]), path, alone, opens, border, header, header_tokens))
    return units


@dataclass(slots=True)
class _Table:
    """A table in a page: the span of its header, where its rows begin, and where it ends."""

    header: Span
    body: int
    end: int
    _tokens: int | None = None

    def tokens(self, text: str, count: Callable[[str], int]) -> int:
        if self._tokens is None:
            self._tokens = count(_shortened_header(text[slice(*self.header)]) + "\n")
        return self._tokens


_TABLE = re.compile(r"^\|.*\|(?:\n\|.*\|)+$", re.M)
_DASHES = re.compile(r"\|(?:[ \t]*:?-{2,}:?[ \t]*\|)+")
_NO_FIRST_CELL = re.compile(r"\|[ \t]*\|")
_MOST_HEADER_LINES = 6
_LONGEST_CAPTION = 300


def _tables(text: str, headings: Sequence[Heading] = ()) -> Iterator[_Table]:
    """Runs of lines between bars. The header ends at a line of dashes; without one it is the lines that name no row.

    The line above belongs to the header: "CONSOLIDATED STATEMENTS OF CASH FLOWS" says what the rows are, and no row
    repeats it.
    """
    for match in _TABLE.finditer(text) if "|\n|" in text else ():
        lines = match[0].split("\n", _MOST_HEADER_LINES + 1)
        dashes = next((i for i, line in enumerate(lines[: _MOST_HEADER_LINES + 1]) if _DASHES.fullmatch(line)), None)
        named = next((i for i, line in enumerate(lines) if not _NO_FIRST_CELL.match(line)), 0)
        count = dashes if dashes is not None else named
        if 0 < count <= _MOST_HEADER_LINES:
            header_end = match.start() + sum(len(line) + 1 for line in lines[:count]) - 1
            body = header_end + (1 + len(lines[count]) if dashes is not None else 0)
            yield _Table((_caption(text, match.start(), headings), header_end), body, match.end())


_CAPTION = re.compile(r"(?:(?<=\n)|\A)[^\S\n]*(?=\S)[^\n|]*(?:\n(?![^\S\n]*[A-Z|\n])[^\n|]*){0,2}[^\s.。．।۔|]\s*\Z")


def _caption(text: str, start: int, headings: Sequence[Heading]) -> int:
    """Where the caption of a table begins; where the table begins, if it has none or that is a heading already.

    It is the line above, or up to three if a sentence runs on: "... was as\nfollows (in millions):".
    """
    first = max(0, start - _LONGEST_CAPTION)
    first = text.find("\n", first, start) + 1 if first else 0
    match = _CAPTION.search(text[first:start])
    if match is None:
        return start
    begin = first + match.start() + len(match[0]) - len(match[0].lstrip())
    at = bisect_left(headings, begin, key=lambda heading: heading.start)
    return start if at < len(headings) and headings[at].start < start else begin


def _parted(text: str, headings: Sequence[Heading]) -> Iterator[tuple[int, int]]:
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


_LINE_END = re.compile(r"\n|(?<!\d)(?<!\d\.) {3,}")  # some text files have wide gaps for line ends
_NOT_LETTERS = re.compile(r"[\W_]+")


def _is_heading_line(line: str, title: str) -> bool:
    """Whether a line holds the heading and nothing else (but marks, a number, dots)."""
    return (
        _NOT_LETTERS.sub("", line).lower().endswith(_NOT_LETTERS.sub("", title).lower()) and len(line) < len(title) + 16
    )


def _border(unit: str, gap: str) -> float:
    """What it costs to cut behind a unit."""
    if unit.endswith(":"):
        return 0.4  # it announces what follows
    if gap.count("\n") > 1:
        return 0.0
    return _LINE_BORDER if "\n" in gap else 0.2


def _fitting(text: str, unit: _Unit, room: int, count: Callable[[str], int]) -> Iterator[_Unit]:
    """The unit, or pieces of it where it alone exceeds the room."""
    if unit.tokens <= room:
        yield unit
        return
    first = True
    for start, end in _halves(text, unit.start, unit.end, room, count):
        last = end >= unit.end
        yield _Unit(
            start, end, count(text[start:end]), unit.path, unit.heading and last, unit.opens and first,
            unit.border if last else 0.3, unit.header, unit.header_tokens,
        )  # fmt: skip
        first = False


_BORDERS = tuple(re.compile(pattern) for pattern in (r"\n\s*", r"[;:；：]\s*", r"[,，、]\s*", r"\s+", r"[-/.&=?_]"))


def _halves(text: str, start: int, end: int, room: int, count: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    """Cut near the middle, at the best border there is, until each piece fits."""
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
    """Runs of units that share chunks: cut at headings, but not where a part would be too small to stand alone."""
    sections: list[list[_Unit]] = []
    for unit in units:
        if not sections or (unit.opens and _own(sections[-1]) >= _ALONE):
            sections.append([])
        sections[-1].append(unit)
    if len(sections) > 1 and _own(sections[-1]) < _ALONE:
        small = sections[-1]
        if sum(unit.tokens for unit in [*sections[-2], *small]) <= room:
            del sections[-1]
            sections[-1] = [*sections[-1], *small]
    return sections


def _own(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units if not unit.heading)


def _joined(units: list[_Unit], room: int) -> list[_Unit]:
    """The units, those among more than `_MOST_UNITS` that fit a chunk joined to their neighbours."""
    if len(units) <= _MOST_UNITS:
        return units
    small = [False] * len(units)
    tokens, marked = sum(unit.tokens for unit in units[:_MOST_UNITS]), 0
    for last in range(_MOST_UNITS, len(units)):
        tokens += units[last].tokens
        if tokens <= room:
            for index in range(max(marked, last - _MOST_UNITS), last + 1):
                small[index] = True
            marked = last + 1
        tokens -= units[last - _MOST_UNITS].tokens
    joined: list[_Unit] = []
    for index, unit in enumerate(units):
        before = joined[-1] if joined else unit
        if (
            index > 0
            and small[index - 1]
            and small[index]
            and before.tokens + unit.tokens <= 2 * room // _MOST_UNITS
            and (before.path, before.header, before.heading) == (unit.path, unit.header, unit.heading)
            and not unit.opens
            and before.border < _HEADING_BORDER
        ):
            joined[-1] = replace(before, end=unit.end, tokens=before.tokens + unit.tokens, border=unit.border)
        else:
            joined.append(unit)
    return joined


def _pack(units: Sequence[_Unit], room: int, target: int) -> list[tuple[int, int]]:
    """Where to cut a section, as half-open runs of units, so that the sum of costs is least.

    A chunk costs the square of how far it is from the target, and what the border at its end costs.
    """
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


def _chunk(position: int, text: str, units: Sequence[_Unit], first: int, last: int, room: int) -> Chunk:
    begin = units[_overlapping(units, first, last, room)]
    start, end = begin.start, units[last - 1].end
    header = text[slice(*begin.header)] if begin.header else ""
    return Chunk(position, start, end, text[start:end], _path(units[first:last]), begin.header, header)


def _overlapping(units: Sequence[_Unit], first: int, last: int, room: int) -> int:
    """Where the chunk begins: one or two sentences earlier, if it would begin inside a paragraph."""
    left = min(_OVERLAP, room - units[first].header_tokens - sum(unit.tokens for unit in units[first:last]))
    begin = first
    while first - begin < 2 and 0 < _repeated(units, begin) <= left:
        begin -= 1
        left -= units[begin].tokens
    return begin


def _repeated(units: Sequence[_Unit], first: int) -> int:
    """Tokens of the sentence before `first`, if a chunk that begins there is to repeat it; else 0."""
    if first == 0:
        return 0
    before = units[first - 1]
    return before.tokens if _LINE_BORDER < before.border < _HEADING_BORDER and before.tokens <= _OVERLAP else 0


def _path(units: Sequence[_Unit]) -> Path:
    """The headings that hold for the whole chunk; for the larger part of it where none does."""
    bodies = [unit for unit in units if not unit.heading] or list(units[-1:])
    common = bodies[0].path
    for unit in bodies:
        while common != unit.path[: len(common)]:
            common = common[:-1]
    if common:
        return common
    shares: dict[Path, int] = {}
    for unit in bodies:
        shares[unit.path] = shares.get(unit.path, 0) + unit.tokens
    return max(shares, key=lambda path: shares[path])
