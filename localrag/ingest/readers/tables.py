"""Rows of cells as Markdown, the one form that tables have in stored text.

Chunking knows a table by this form: a line of cells, a line of dashes, more lines of cells. It repeats the first line
before rows that stand in a later chunk, so a number keeps the name of its column.
"""

from __future__ import annotations

from collections.abc import Sequence


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose first row is its header; rows are filled up to the widest."""
    width = max((len(row) for row in rows), default=0)
    lines = ["| " + " | ".join(cell(text) for text in [*row, *[""] * (width - len(row))]) + " |" for row in rows]
    if lines:
        lines.insert(1, "|" + " --- |" * width)
    return lines


def cell(text: str) -> str:
    """A cell on one line; a bar in it is escaped."""
    return " ".join(text.replace("|", "\\|").split())
