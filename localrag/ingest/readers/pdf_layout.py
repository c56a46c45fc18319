"""The order and form of a PDF page's text: tables as Markdown rows, interleaved columns one after the other.

Everything else stays in the order of the file, which is the reading order in nearly every file. A page is taken apart
only if lines have gaps or figures, or rules go down the page; most pages pass unchanged. Columns are reordered only if
both sides are prose and the file draws them line by line across.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.pdf_grid import find_grids
from localrag.ingest.readers.pdf_tables import find_tables, is_figure
from localrag.ingest.readers.pdf_words import Line, Piece, Rules, Word, find_lines, find_rules, find_words, pieces

_MAX_RUNS = 700  # a page with more is taken apart anyway
_MAX_LETTERS = 60_000
_MIN_LINES = 3
_COLUMN_GAP = 0.9  # heights
_MIN_BAND = 8  # lines side by side
_MAX_DEPTH = 2  # gutters in gutters: three or four columns


def page_text(page: Any, textpage: Any, raw: str, paths: Sequence[native.Item], ruled: bool) -> str:
    """Return the page's raw text with tables and columns in order.

    Args:
        paths: the page's drawings.
        ruled: whether some of them may be rules down the page.
    """
    if not 3 < len(raw) < _MAX_LETTERS or not (ruled or _looks_set(textpage, raw)):
        return raw
    turns = native.turns_of_text(textpage, raw)
    matrix = native.view(page, turns)
    words = find_words(textpage, raw, matrix)
    turned = native.turned(page, turns)
    rules = find_rules(item._replace(around=turned.after(item.around)) for item in paths)
    return _replaced(raw, _blocks(words, rules))


# --- is there anything to move? ----------------------------------------------------------------------------

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
    runs = native.runs(textpage, _MAX_RUNS)
    if runs is None:
        return True
    gaps = 0
    for (start, top, right, bottom), (left, other_top, _, other_bottom) in pairwise(runs):
        height = max(top - bottom, other_top - other_bottom)
        # A gap also follows a bullet or a number.
        if left - right > _COLUMN_GAP * height > 0 and right - start > 2.5 * height:
            gaps += abs(top + bottom - other_top - other_bottom) < height
            if gaps >= _MIN_LINES:
                return True
    return False


# --- moving text -------------------------------------------------------------------------------------------

Block = tuple[Sequence[Word], str]


def _blocks(words: Sequence[Word], rules: Rules) -> list[Block]:
    """Return the words that become tables or are reordered, with the text that replaces them."""
    grids = find_grids(words, rules) if len(rules.upright) > 1 else []
    used = {word for grid in grids for word in grid.words}
    free = [word for word in words if word not in used] if used else words
    blocks: list[Block] = [(grid.words, _markdown(grid.rows)) for grid in grids]
    for lines, mixed in find_regions(find_lines(free)):
        tables = find_tables(lines, rules.flat)
        if mixed and not tables:
            blocks.append(([word for line in lines for word in line.words], _prose(lines)))
        blocks += [(table.words, _markdown(table.rows)) for table in tables]
    return blocks


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(markdown_rows(list(rows)))


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


# --- columns -------------------------------------------------------------------------------------------------


def find_regions(lines: Sequence[Line], depth: int = 0) -> list[tuple[list[Line], bool]]:
    """Part a page into regions in reading order; True where the file mixes a region with its neighbour."""
    regions: list[tuple[list[Line], bool]] = []
    rest: list[Line] = []
    at = 0
    for first, last, gutter in _bands(lines) if depth < _MAX_DEPTH else ():
        left, right = _cut(lines[first:last], gutter)
        mixed = _mixed(left, right)
        regions.append(([*rest, *lines[at:first]], False))
        rest, at = [], last
        for side in (left, right):
            regions += [(part, mixed or inner) for part, inner in find_regions(side, depth + 1)]
    regions.append(([*rest, *lines[at:]], False))
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
    if len(middles) < _MIN_BAND:
        return []
    centre = median(middles)
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


def _cut(lines: Sequence[Line], gutter: float) -> tuple[list[Line], list[Line]]:
    words = [word for line in lines for word in line.words]
    left = [word for word in words if (word.left + word.right) / 2 < gutter]
    right = [word for word in words if (word.left + word.right) / 2 >= gutter]
    return find_lines(left), find_lines(right)


def _mixed(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether the file alternates between two columns."""
    sides = [(word.start, True) for line in left for word in line.words]
    sides += [(word.start, False) for line in right for word in line.words]
    order = [side for _, side in sorted(sides)]
    changes = sum(a != b for a, b in pairwise(order))
    return changes > max(4, 0.3 * min(len(left), len(right)))
