"""Tables of web pages: which hold data and which only lay out a page; their cells, also those that span others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_MOST_CELLS = 500_000


def rows_of(table: Any) -> list[list[Any]]:
    """The cells of a table's own rows, without those of tables inside it."""
    groups = [child for child in table.iter() if child.tag in ("thead", "tbody", "tfoot", "tr")]
    rows = [row for group in groups for row in ([group] if group.tag == "tr" else group.iter()) if row.tag == "tr"]
    return [cells for row in rows if (cells := [cell for cell in row.iter() if cell.tag in ("td", "th")])]


def is_simple(cell: Any, headed: bool) -> bool:
    """Whether a cell holds words, not a piece of a page."""
    stack, paragraphs = list(cell.iter()), 0
    while stack:
        node = stack.pop()
        paragraphs += node.tag in ("p", "div")
        if node.tag in _NEVER_IN_CELLS or (not headed and (node.tag in _BLOCKS_IN_CELLS or paragraphs > 4)):
            return False
        stack.extend(node.iter())
    return True


_NEVER_IN_CELLS = frozenset(("table", "form", "main", "article"))
_BLOCKS_IN_CELLS = frozenset("h1 h2 h3 h4 h5 h6 ul ol dl blockquote pre hr section input select textarea".split())


def laid_out(rows: list[list[Any]], words: Callable[[Any], str]) -> tuple[list[list[str]], int]:
    """The words of each row with spans filled in, and how many rows are the header.

    What a header cell spans has its words everywhere, so that each column is named; other spans are empty.
    """
    grid: list[list[str]] = []
    heads, opening = 0, True
    below: dict[int, tuple[int, str]] = {}  # column -> rows that a cell from above still takes, and its words there
    room = _MOST_CELLS
    for cells in rows:
        row: list[str] = []

        def from_above(row: list[str] = row) -> None:
            while len(row) in below:
                left, text = below.pop(len(row))
                if left > 1:
                    below[len(row)] = (left - 1, text)
                row.append(text)

        head = all(cell.tag == "th" for cell in cells) or cells[0].parent.parent.tag == "thead"
        for cell in cells:
            from_above()
            text, attributes = words(cell), cell.attributes
            again = text if (head or cell.tag == "th") and len(text) < 200 else ""
            wide = min(_span(attributes.get("colspan")), 100, max(room, 1))
            deep = min(_span(attributes.get("rowspan")), len(rows)) - 1
            for index in range(wide):
                if deep:
                    below[len(row)] = (deep, again)
                row.append(again if index else text)
        from_above()
        room -= len(row)
        if room < 0:
            return [], 0
        if any(row):
            opening = opening and head and heads < 4 and not (heads and _is_label(cells))
            heads += opening
            grid.append(row)
    width = max(map(len, grid), default=0)
    if width * len(grid) > _MOST_CELLS:
        return [], 0
    if not heads and not any(cell.tag == "th" for row in rows for cell in row):
        heads = 1
    return [[*row, *[""] * (width - len(row))] for row in grid], heads


def _is_label(cells: list[Any]) -> bool:
    """Whether a row only names the rows below it: all that is in it reaches down into them."""
    return cells[0].parent.parent.tag != "thead" and all(_span(cell.attributes.get("rowspan")) > 1 for cell in cells)


def _span(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and 0 < len(value) < 6 and int(value) else 1
