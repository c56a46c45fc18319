"""The order and form of a PDF page's text: tables as Markdown rows, interleaved columns one after the other.

Everything else stays in the order of the file, which is the reading order in nearly every file. A page is taken apart
only if lines have gaps or figures, or rules go down the page; most pages pass unchanged. Columns are reordered only if
both sides are prose and the file draws them line by line across.
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers import pdf_words
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.numbered_lines import is_numbered
from localrag.ingest.readers.pdf_tables import Table, find_tables, is_figure, whole
from localrag.ingest.readers.pdf_words import Line, Piece, Rule, Rules, Word, find_lines, joined, pieces

_MAX_RUNS = 700  # a page with more is taken apart anyway
_MAX_LETTERS = 60_000
_MIN_LINES = 3
_COLUMN_GAP = 0.9  # heights
_MIN_BAND = 8  # lines side by side
_NUMBERS = f" {' '.join(map(str, range(1, 16)))} "  # of lines, one after the other


def page_text(page: Any, textpage: Any, raw: str, paths: Sequence[native.Item], ruled: bool) -> str:
    """Return the page's raw text with tables and columns in order; `ruled` says that `paths` may have rules down.

    Numbers of lines that are drawn as a column of their own come before their lines.
    """
    if not 3 < len(raw) < _MAX_LETTERS or not (ruled or _looks_set(textpage, raw)):
        return raw
    turns = native.turns_of_text(textpage, raw)
    words = pdf_words.find_words(textpage, raw, native.view(page, turns))
    turned = native.turned(page, turns)
    if _NUMBERS in f" {' '.join(raw.split())} ":
        text = "".join(" ".join(word.text for word in line.words) + "\n" for line in find_lines(words))
        if is_numbered(text):
            return text
    rules = pdf_words.find_rules(item._replace(around=turned.after(item.around)) for item in paths)
    return _replaced(raw, _blocks(words, rules))


_FIGURE_TOKEN = re.compile(r"[($€£¥+-]*\d[\d,.]*[%)]*$|[—–%)]$")


def _looks_set(textpage: Any, raw: str) -> bool:
    """Whether a page may have a table, or columns that are drawn line by line."""
    figured = lone = 0
    for line in raw.split("\n"):
        tokens = line[-60:].split()[-3:]
        found = sum(1 for token in tokens if _FIGURE_TOKEN.match(token))
        figured += found > 1
        lone += found == 1 and len(line) < 16
    if figured >= _MIN_LINES or lone >= 2 * _MIN_LINES:
        return True
    if (runs := native.runs(textpage, _MAX_RUNS)) is None:
        return True
    gaps = 0
    for (start, top, right, bottom), (left, other_top, _, other_bottom) in pairwise(runs):
        height = max(top - bottom, other_top - other_bottom)
        # A gap also follows a bullet or a number.
        if left - right > _COLUMN_GAP * height > 0 and right - start > 2.5 * height:
            gaps += abs(top + bottom - other_top - other_bottom) < height
    return gaps >= _MIN_LINES


Block = tuple[Sequence[Word], str]


def _blocks(words: Sequence[Word], rules: Rules) -> list[Block]:
    """Return the words that become tables or are reordered, with the text that replaces them."""
    found = [table for group in _groups(rules) if (table := _table(words, group))] if len(rules.upright) > 1 else []
    used = {word for grid in found for word in grid.words}
    blocks: list[Block] = []
    for lines, mixed in find_regions(find_lines(word for word in words if word not in used)):
        tables = find_tables(lines, rules.flat)
        if mixed and not tables:
            blocks.append(([word for line in lines for word in line.words], _prose(lines)))
        found += tables
    return [*((table.words, "\n".join(markdown_rows(table.rows))) for table in found), *blocks]


def _prose(lines: Sequence[Line]) -> str:
    """Return the text of a column; mark a hyphen at a line's end as PDFium does."""
    text = ""
    for line in lines:
        words = " ".join(word.text for word in line.words)
        text += words[:-1] + "\ufffe" if len(words) > 2 and words[-1] == "-" and words[-2].isalpha() else words + "\n"
    return text


def _replaced(raw: str, blocks: Sequence[Block]) -> str:
    """Return the text with the words of each block replaced by its text, at the place of the first word."""
    if not blocks:
        return raw
    owners = sorted((word.start, word.end, index) for index, (words, _) in enumerate(blocks) for word in words)
    parts: list[str] = []
    done: set[int] = set()
    at = 0
    for start, end, index in owners:
        if (between := raw[at:start].strip(" \r\n")) or at == 0:
            parts.append(between)
        if index not in done:
            done.add(index)
            parts.append(blocks[index][1])
        at = end
    return "\n\n".join([*parts, raw[at:].strip(" \r\n")])


def find_regions(lines: Sequence[Line]) -> list[tuple[list[Line], bool]]:
    """Part a page into regions in reading order; True where the file mixes a region with its neighbour."""
    regions: list[tuple[list[Line], bool]] = []
    at = 0
    for first, last, gutter in _bands(lines):
        words = [word for line in lines[first:last] for word in line.words]
        left = find_lines(word for word in words if (word.left + word.right) / 2 < gutter)
        right = find_lines(word for word in words if (word.left + word.right) / 2 >= gutter)
        mixed = _mixed(left, right)
        regions += [(list(lines[at:first]), False), (left, mixed), (right, mixed)]
        at = last
    regions.append((list(lines[at:]), False))
    return [region for region in regions if region[0]]


def _bands(lines: Sequence[Line]) -> list[tuple[int, int, float]]:
    """Return stretches of lines with a white gutter down their middle and prose on both sides."""
    if len(lines) < _MIN_BAND:
        return []
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    parts = [pieces(line, _COLUMN_GAP) for line in lines]
    middles = [
        (a.right + b.left) / 2
        for row in parts
        for a, b in pairwise(row)
        if left + 0.25 * (right - left) < (a.right + b.left) / 2 < right - 0.25 * (right - left)
    ]
    centre = median(middles) if middles else 0.0
    near = [x for x in middles if abs(x - centre) < 0.06 * (right - left)]
    if len(near) < _MIN_BAND:
        return []
    gutter = median(near)
    bands: list[tuple[int, int, float]] = []
    start = 0
    for index in range(len(lines) + 1):
        if index < len(lines) and not any(piece.left < gutter < piece.right for piece in parts[index]):
            continue
        if index - start >= _MIN_BAND and _is_prose_band(parts[start:index], gutter):
            bands.append((start, index, gutter))
        start = index + 1
    return bands


def _is_prose_band(parts: Sequence[Sequence[Piece]], gutter: float) -> bool:
    both = sum(row[0].right < gutter < row[-1].left for row in parts)
    return both >= 0.4 * len(parts) and all(
        _is_prose([[piece for piece in row if (piece.left < gutter) == side] for row in parts])
        for side in (True, False)
    )


def _is_prose(rows: Sequence[Sequence[Piece]]) -> bool:
    rows = [row for row in rows if row]
    if len(rows) < _MIN_BAND // 2:
        return False
    width = max(row[-1].right for row in rows) - min(row[0].left for row in rows)
    lone = [row[0] for row in rows if len(row) == 1 and not is_figure(row[0].text)]
    full = [piece for piece in lone if piece.right - piece.left > 0.6 * width]
    words = median(len(piece.words) for piece in lone) if lone else 0
    letters = median(len(piece.text) for piece in lone) if lone else 0
    return len(full) > 0.45 * len(rows) and (words >= 4 or letters >= 20)


def _mixed(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether the file alternates between two columns."""
    sides = [(word.start, True) for line in left for word in line.words]
    sides += [(word.start, False) for line in right for word in line.words]
    order = [side for _, side in sorted(sides)]
    changes = sum(a != b for a, b in pairwise(order))
    return changes > max(4, 0.3 * min(len(left), len(right)))


_TOUCH = 3.0
_MAX_SLOTS = 6000
_MIN_FILLED = 0.3
_MIN_REGULAR = 0.5
# Cells without a line between them are merged. In the header, a merged cell counts for each of its columns, elsewhere
# for the first; a label over several rows is repeated in each. A grid that is mostly empty, or a form, is no table.


def _groups(rules: Rules) -> list[Rules]:
    """Group rules that touch, directly or through others."""
    groups = [([flat], list[Rule]()) for flat in rules.flat]
    for rule in rules.upright:
        joined_flat, joined_upright, others = list[Rule](), [rule], []
        for group in groups:
            if any(
                flat.start - _TOUCH <= rule.at <= flat.end + _TOUCH
                and rule.start - _TOUCH <= flat.at <= rule.end + _TOUCH
                for flat in group[0]
            ):
                joined_flat += group[0]
                joined_upright += group[1]
            else:
                others.append(group)
        groups = [*others, (joined_flat, joined_upright)]
    return [Rules(tuple(flat), tuple(upright)) for flat, upright in groups if flat and upright]


def _table(words: Sequence[Word], rules: Rules) -> Table | None:
    xs = _places([r.at for r in rules.upright] + [v for r in rules.flat for v in (r.start, r.end)], rules.upright)
    ys = _places([r.at for r in rules.flat] + [v for r in rules.upright for v in (r.start, r.end)], rules.flat)
    if len(xs) < 3 or len(ys) < 3 or (len(xs) - 1) * (len(ys) - 1) > _MAX_SLOTS:
        return None
    grid = _Grid(xs, ys, rules)
    if len(grid.cells) < _MIN_REGULAR * grid.width * grid.height:
        return None
    inside = [word for word in words if grid.put(word)]
    rows = grid.rows()
    filled = [cell for cell in grid.cells.values() if cell]
    if not inside or len(filled) < max(4, _MIN_FILLED * len(grid.cells)):
        return None
    used = sum(map(any, zip(*rows, strict=True)))
    if len(rows) < 2 or used < 2 or any(map(_is_frame, filled)) or any(_is_heap(text) for row in rows for text in row):
        return None
    return Table(tuple(inside), tuple(rows))


def _is_heap(text: str) -> bool:
    """Whether a cell holds a column of figures: something other than rules parts its rows."""
    tokens = text.split()
    return len(tokens) > 5 and sum(map(is_figure, tokens)) > 0.6 * len(tokens)


def _is_frame(words: Sequence[Word]) -> bool:
    """Whether a cell has columns of its own: then the rules only frame parts of a page."""
    lines = find_lines(words)
    return len(lines) > 3 and sum(len(pieces(line)) > 1 for line in lines) > 0.5 * len(lines)


def _places(values: Iterable[float], rules: Sequence[Rule]) -> list[float]:
    """Return the positions of the lines of a grid, including outer edges that are not drawn."""
    values = sorted(values)
    places: list[float] = []
    for at in sorted([rule.at for rule in rules] + [values[0], values[-1]]):
        if not places or at - places[-1] > _TOUCH:
            places.append(at)
    return places


class _Grid:
    """Slots between lines, merged to cells where no line parts them; each cell holds its words."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], rules: Rules) -> None:
        self.xs, self.ys = xs, ys
        self.width, self.height = len(xs) - 1, len(ys) - 1
        upright = [[rule for rule in rules.upright if abs(rule.at - x) <= _TOUCH] for x in xs]
        flat = [[rule for rule in rules.flat if abs(rule.at - y) <= _TOUCH] for y in ys]
        self._first = {(i, j): (i, j) for j in range(self.height) for i in range(self.width)}
        for j in range(self.height):
            for i in range(self.width):
                x, y = (xs[i] + xs[i + 1]) / 2, (ys[j] + ys[j + 1]) / 2
                if i + 1 < self.width and not any(rule.start - 1 <= y <= rule.end + 1 for rule in upright[i + 1]):
                    self._join((i, j), (i + 1, j))
                if j + 1 < self.height and not any(rule.start - 1 <= x <= rule.end + 1 for rule in flat[j + 1]):
                    self._join((i, j), (i, j + 1))
        self._first = {slot: self._root(slot) for slot in self._first}
        self.cells: dict[tuple[int, int], list[Word]] = {first: [] for first in self._first.values()}

    def _root(self, slot: tuple[int, int]) -> tuple[int, int]:
        while self._first[slot] != slot:
            slot = self._first[slot]
        return slot

    def _join(self, one: tuple[int, int], other: tuple[int, int]) -> None:
        a, b = sorted((self._root(one), self._root(other)), key=lambda slot: (slot[1], slot[0]))
        self._first[b] = a

    def put(self, word: Word) -> bool:
        i = _slot(self.xs, (word.left + word.right) / 2)
        j = _slot(self.ys, (word.top + word.bottom) / 2)
        if i is None or j is None:
            return False
        self.cells[self._first[i, j]].append(word)
        return True

    def rows(self) -> list[tuple[str, ...]]:
        texts = {first: _text(words) for first, words in self.cells.items()}
        depth = self._header_depth()
        header = []
        for i in range(self.width):
            above = dict.fromkeys(self._first[i, j] for j in range(depth))
            header.append(" ".join(texts[first] for first in above if texts[first]))
        body: list[tuple[str, ...]] = []
        for j in range(depth, self.height):
            firsts = [self._first[i, j] for i in range(self.width)]
            shown = [first == (i, j) or (i == 0 and depth <= first[1] < j) for i, first in enumerate(firsts)]
            body.append(tuple(texts[first] if own else "" for first, own in zip(firsts, shown, strict=True)))
        return [tuple(header), *(row for row in body if any(row))]

    def _header_depth(self) -> int:
        """Return the number of header rows: several where header cells span columns or rows."""
        depth = 1
        while depth < min(4, self.height - 1):
            last, below = ([self._first[i, j] for i in range(self.width)] for j in (depth - 1, depth))
            wide = len(set(last)) > 1 and any(a == b for a, b in pairwise(last))
            if not wide and not any(map(operator.eq, last, below)):
                break
            depth += 1
        return depth


def _slot(places: Sequence[float], at: float) -> int | None:
    return bisect_right(places, at) - 1 if places[0] <= at < places[-1] else None


def _text(words: Sequence[Word]) -> str:
    text = ""
    for line in find_lines(words):
        text = joined(text, " ".join(piece.text for piece in whole(pieces(line))))
    return text
