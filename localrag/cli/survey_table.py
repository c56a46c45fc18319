"""How a survey looks while it runs and when it is done: progress with the time left, and its table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from localrag.answer.survey import table_files
from localrag.cli.options import shown
from localrag.events import Surveyed
from localrag.types import Answer

# Columns of a row that are shown elsewhere: quotes below the answer, the library where there are several.
_ELSEWHERE = ("library", "quote", "found", "read", "likelihood", "why_not", "page", "start", "end")
_EVERY = 30.0


class Pace:
    """How far a survey is, and how long it will go on as it has gone so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._told = clock()

    def line(self, event: Surveyed) -> str:
        said = f"asking each document… {event.done} of {event.total}"
        left = event.total - event.done
        if event.done and left:
            said += f", about {_spoken((self._clock() - self._began) / event.done * left)} left"
        return said

    def due(self) -> bool:
        """Whether half a minute has passed since something was told; where no terminal shows progress."""
        if self._clock() - self._told < _EVERY:
            return False
        self._told = self._clock()
        return True


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_table(answer: Answer) -> None:
    """Print the rows: drawn on a terminal, in plain aligned columns elsewhere."""
    heads, rows = _cells(answer)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(show_edge=False, pad_edge=False)
        for head in heads:
            table.add_column(Text(head), overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(line[n]) for line in [heads, *rows]) for n in range(len(heads))]
    for line in [heads, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cells(answer: Answer) -> tuple[list[str], list[list[str]]]:
    """Heads and cells: what was answered with the number of its quote, the fields of a table, the place."""
    libraries = {row.get("library") for row in answer.table}
    hidden = {*_ELSEWHERE} - ({"library"} if len(libraries) > 1 else set())
    names = [name for name in table_files.columns(answer.table) if name not in hidden]
    if _has_fields(names):
        names.remove("answer")  # it only repeats them
    marks = {(citation.document, citation.place, citation.quote): citation.marker for citation in answer.citations}
    return names, [[_cell(name, row, marks) for name in names] for row in answer.table]


def _has_fields(names: Sequence[str]) -> bool:
    return bool(set(names) - {"library", "document", "part", "answer", "place"})


def _cell(name: str, row: Mapping[str, Any], marks: Mapping[tuple[str, str, str], int]) -> str:
    text = " ".join(shown(table_files.cell(row.get(name))).split())
    if name == "answer" and not row.get("found"):
        return "nothing found"
    mark = marks.get((str(row.get("document")), str(row.get("place")), str(row.get("quote"))))
    return f"{text} [{mark}]" if name == "place" and mark else text
