"""Ruled tables: cells between lines that go down and across.

Cells without a line between them are merged. In the header, a merged cell counts for each of its columns, elsewhere for
the first; a label over several rows is repeated in each. A grid that is mostly empty, or a form, is no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from localrag.ingest.readers.pdf_tables import Table, is_figure, whole
from localrag.ingest.readers.pdf_words import Rule, Rules, Word, find_lines, joined, pieces

_TOUCH = 3.0
_MAX_SLOTS = 6000
_MIN_FILLED = 0.3
_MIN_REGULAR = 0.5
_MAX_CELL = 700  # characters, on average


def find_grids(words: Sequence[Word], rules: Rules) -> list[Table]:
    return [table for group in _groups(rules) if (table := _table(words, group))]


def _groups(rules: Rules) -> list[Rules]:
    """Group rules that touch, directly or through others."""
    ends: list[tuple[float, float, float, float]] = [
        *((rule.start, rule.at, rule.end, rule.at) for rule in rules.flat),
        *((rule.at, rule.start, rule.at, rule.end) for rule in rules.upright),
    ]
    parent = list(range(len(ends)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    count = len(rules.flat)
    for i, (left, y, right, _) in enumerate(ends[:count]):
        for j, (x, top, _, bottom) in enumerate(ends[count:], count):
            if left - _TOUCH <= x <= right + _TOUCH and top - _TOUCH <= y <= bottom + _TOUCH:
                parent[root(i)] = root(j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for index in range(len(ends)):
        flat, upright = groups.setdefault(root(index), ([], []))
        if index < count:
            flat.append(rules.flat[index])
        else:
            upright.append(rules.upright[index - count])
    return [Rules(tuple(flat), tuple(upright)) for flat, upright in groups.values() if flat and upright]


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
    if any(_is_frame(cell) for cell in filled):
        return None
    characters = sum(len(word.text) + 1 for word in inside)
    if characters > _MAX_CELL * len(filled) or len(rows) < 2 or _used(rows) < 2:
        return None
    if any(_is_heap(text) for row in rows for text in row):
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


def _used(rows: Sequence[Sequence[str]]) -> int:
    return sum(any(row[index] for row in rows) for index in range(len(rows[0])))


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
                middle_x, middle_y = (xs[i] + xs[i + 1]) / 2, (ys[j] + ys[j + 1]) / 2
                if i + 1 < self.width and not _parts(upright[i + 1], middle_y):
                    self._join((i, j), (i + 1, j))
                if j + 1 < self.height and not _parts(flat[j + 1], middle_x):
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
            firsts = dict.fromkeys(self._first[i, j] for j in range(depth))
            header.append(" ".join(texts[first] for first in firsts if texts[first]))
        body: list[tuple[str, ...]] = []
        for j in range(depth, self.height):
            body.extend(self._lined(j) or [self._row(j, depth, texts)])
        return [tuple(header), *(row for row in body if any(row))]

    def _row(self, j: int, depth: int, texts: dict[tuple[int, int], str]) -> tuple[str, ...]:
        row = []
        for i in range(self.width):
            first = self._first[i, j]
            again = i == 0 and first[1] < j and first[1] >= depth
            row.append(texts[first] if first == (i, j) or again else "")
        return tuple(row)

    def _header_depth(self) -> int:
        """Return the number of header rows: several where header cells span columns or rows."""
        depth = 1
        while depth < min(4, self.height - 1):
            wide = (
                any(self._first[i, depth - 1] == self._first[i + 1, depth - 1] for i in range(self.width - 1))
                and len({self._first[i, depth - 1] for i in range(self.width)}) > 1
            )
            deep = any(self._first[i, depth] == self._first[i, depth - 1] for i in range(self.width))
            if not wide and not deep:
                break
            depth += 1
        return depth

    def _lined(self, j: int) -> list[tuple[str, ...]]:
        """Return the rows inside one row of the grid, where figures are set line by line without rules."""
        firsts = [self._first[i, j] for i in range(self.width)]
        if any(first != (i, j) for i, first in enumerate(firsts)):
            return []
        lines = find_lines(word for first in firsts for word in self.cells[first])
        if len(lines) < 2:
            return []
        rows: list[tuple[str, ...]] = []
        figured = 0
        for line in lines:
            made = [""] * self.width
            for piece in whole(pieces(line)):
                i = _slot(self.xs, (piece.left + piece.right) / 2)
                if i is not None:
                    made[i] = f"{made[i]} {piece.text}".strip()
            figured += sum(is_figure(text) for text in made[1:]) >= max(1, (self.width - 1) // 2)
            rows.append(tuple(made))
        return rows if figured > 0.6 * len(lines) else []


def _slot(places: Sequence[float], at: float) -> int | None:
    for index in range(len(places) - 1):
        if places[index] <= at < places[index + 1]:
            return index
    return None


def _parts(rules: Sequence[Rule], across: float) -> bool:
    return any(rule.start - 1 <= across <= rule.end + 1 for rule in rules)


def _text(words: Sequence[Word]) -> str:
    text = ""
    for line in find_lines(words):
        text = joined(text, " ".join(piece.text for piece in whole(pieces(line))))
    return text
