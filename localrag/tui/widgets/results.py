"""The rows of a survey as a table: a few of them under an answer, all of them on a screen of their own.

Cells are one line each, cut with … where the column is narrow; the source pane has the whole quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import DataTable, Static

from localrag.answer.survey import survey_table as results
from localrag.answer.survey.survey_table import Line, Results
from localrag.tui import shortening
from localrag.tui.inert import clean_line

SHOWN = 8
# Rows that are looked at to tell how wide a column has to be.
_MEASURED = 200
_NARROWEST, _WIDEST = 6, 60
# The source pane has the whole of a quote, and a notice the whole of a reason.
_SHORT, _LONG_WORDS = 13, ("quote", "why_not")
# What tells least in few letters: a reader wants to know which document says what.
_SHORTER, _ASIDE = 9, ("quote", "page", "place", "why_not")
# Blanks beside a cell, and what the number and the arrow of a sorted column take.
_PADDING, _MARKS = 2, 4


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that is made ready when it comes into sight, since of thousands few ever do."""

    text: str
    path_within: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.drawn()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        # The column says how wide it is.
        return Measurement(1, 1)

    def drawn(self) -> Text:
        # Of a path the end tells more than the beginning.
        text = clean_line(self.text)
        text = shortening.middle(text, self.path_within) if self.path_within else text
        return Text(text, no_wrap=True, overflow="ellipsis")


class ResultsTable(DataTable[Cell]):
    """All rows; the screen says in which order. Columns take the room that there is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "First row"),
        Binding("end", "scroll_bottom", "Last row"),
    ]

    def __init__(self) -> None:
        super().__init__(id="results", cursor_type="row", zebra_stripes=True)
        self.lines: list[Line] = []
        self._titles: list[tuple[str, str]] = []
        self._widths: list[int] = []
        self._room = 0

    def draw(self, lines: Sequence[Line], columns: Sequence[str], marks: Sequence[str]) -> None:
        """Show these lines anew; the cursor stays on its line where that is still there.

        Args:
            marks: what stands behind each column's title.
        """
        at = self.line
        self._titles = list(zip(columns, marks, strict=True))
        self._room = self.size.width
        self.clear(columns=True)
        self.lines = list(lines)
        self._widths = _widths(lines, columns, self._room)
        for name, mark, width in zip(columns, marks, self._widths, strict=True):
            self.add_column(Cell(f"{results.title(name)}{mark}").drawn(), width=width, key=name)
        self.add_rows(_cells(line, columns, self._widths) for line in self.lines)
        # By identity: rows may well say the same.
        place = next((n for n, line in enumerate(self.lines) if line is at), 0)
        self.move_cursor(row=place, animate=False)

    def append(self, lines: Sequence[Line], columns: Sequence[str]) -> None:
        """Show more lines below those there are."""
        self.lines += lines
        self.add_rows(_cells(line, columns, self._widths) for line in lines)

    def on_resize(self) -> None:
        if self.size.width != self._room:
            self.draw(self.lines, [name for name, _ in self._titles], [mark for _, mark in self._titles])

    @property
    def line(self) -> Line | None:
        """The line that the cursor is on."""
        return self.lines[self.cursor_row] if 0 <= self.cursor_row < len(self.lines) else None


class ResultsPreview(Vertical):
    """The first rows under an answer. A click on it asks for all of them."""

    class Wanted(Message):
        """The whole table of an answer is wanted."""

        def __init__(self, results: Results) -> None:
            super().__init__()
            self.results = results

    def __init__(self, rows: Results) -> None:
        super().__init__(classes="results-preview")
        self._results = rows
        self._table: DataTable[Cell] = DataTable(cursor_type="none", show_cursor=False)
        self._table.can_focus = False
        self._more = Static(classes="quiet")
        self._drawn: tuple[int, bool, int] | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._table
        yield self._more

    def refresh_rows(self) -> None:
        """Show what has come since."""
        self.display = bool(self._results.lines)
        shown = min(SHOWN, len(self._results.lines))
        count = len(self._results.lines)
        rows = "1 row" if count == 1 else f"{count:,} rows"
        so_far = "" if self._results.complete else " so far"
        self._more.update(Content(f"{rows}{so_far}. Ctrl+T: all of them, to sort, filter and export"))
        if (state := (shown, self._results.complete, self.size.width)) == self._drawn or not self.size.width:
            return
        self._drawn = state
        lines = self._results.lines[:SHOWN]
        # Quotes stand below the answer.
        columns = [name for name in self._results.columns if name != "quote"]
        self._table.clear(columns=True)
        widths = _widths(lines, columns, self.content_size.width)
        for name, width in zip(columns, widths, strict=True):
            self._table.add_column(Cell(results.title(name)).drawn(), width=width, key=name)
        self._table.add_rows(_cells(line, columns, widths) for line in lines)

    def on_resize(self) -> None:
        if self.display:
            self.refresh_rows()

    def on_click(self) -> None:
        self.post_message(self.Wanted(self._results))


def _cells(line: Line, columns: Sequence[str], widths: Sequence[int]) -> list[Cell]:
    return [Cell(line.cells.get(name, ""), width if name == "document" else 0)
            for name, width in zip(columns, widths, strict=True)]  # fmt: skip


def _widths(lines: Sequence[Line], columns: Sequence[str], room: int) -> list[int]:
    """A width for each column: what its cells need, quotes and reasons giving up first what the room has not."""
    first = lines[:_MEASURED]
    needed = [max(len(results.title(name)) + _MARKS, *(len(line.cells.get(name, "")) for line in first), _NARROWEST)
              for name in columns]  # fmt: skip
    widths = [min(_WIDEST, width) for width in needed]
    room -= len(columns) * _PADDING + 1
    for least, of in ((_SHORT, _LONG_WORDS), (_SHORTER, _ASIDE), (_NARROWEST, columns)):
        while sum(widths) > room:
            wide = [n for n, name in enumerate(columns) if name in of and widths[n] > least]
            if not wide:
                break
            widths[max(wide, key=widths.__getitem__)] -= 1
    return widths
