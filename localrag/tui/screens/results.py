"""All rows of a survey: filled while documents are asked, sorted, filtered, exported, with its sources."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import DataTable, Input, Static

from localrag.answer.survey import survey_table, table_export
from localrag.answer.survey.survey_table import Line, Results
from localrag.errors import LocalragError
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.jobs import deliver
from localrag.tui.screens.save_table import SaveTableScreen
from localrag.tui.widgets.results import ResultsTable
from localrag.tui.widgets.source import SourcePane, SourceText
from localrag.tui.widgets.source_deeds import SourceDeeds

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

# How often rows that have come are shown; one by one they could come faster than they can be drawn.
CATCH_UP = 0.25
# A pause in typing after which the filter is applied: with thousands of rows it takes longer than a key.
PAUSE = 0.15
_LONGEST_NAME = 60


class ResultsScreen(Screen[None]):
    """Filter, table and source."""

    app: LocalragApp

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Source of the row"),
        Binding("1", "sort_by(1)", "Sort by the first column, 2 the second …; again: the other way, then as it was"),
        # No `Binding`s, so that the help does not list each.
        *((str(number), f"sort_by({number})", "Sort") for number in range(2, 10)),
        Binding("slash", "filter", "Show only rows that have these words"),
        Binding("ctrl+e,e", "export", "Export as Excel, CSV, Markdown or JSON"),
        Binding("f2", "toggle_source", "Show or hide the source"),
        Binding("f3", "step_citation(-1)", "Source of the row before"),
        Binding("f4", "step_citation(1)", "Source of the row after"),
        Binding("tab", "next_panel", "Next panel: table, source"),
        Binding("escape", "back", "Close the source; end the filter; back to the conversation"),
        Binding("ctrl+t", "dismiss", "Back to the conversation"),
    ]
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = [
        ("Table", ResultsTable), ("Source", SourceText), ("Its page, quote and file", SourceDeeds),
    ]  # fmt: skip

    class Exported(Message):
        """A file was written, or why not."""

        def __init__(self, words: str, error: LocalragError | None = None) -> None:
            super().__init__()
            self.words = words
            self.error = error

    def __init__(self, core: Core, rows: Results) -> None:
        super().__init__()
        self._core = core
        self._results = rows
        self._drawn: tuple[int, bool] | None = None
        self._columns: tuple[str, ...] = ()
        self._sorted_by = ""
        self._descending = False
        self._typed: Timer | None = None
        self._title = Static(id="results-title")
        self._filter = Input(id="results-filter", placeholder="words that a row has, in any column")
        self._filter.cursor_blink = False
        self._filter.display = False
        self._table = ResultsTable()
        self._source = SourcePane(core)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._filter
        with SourceDeeds(self._source, id="panels"):
            yield Vertical(self._table, id="results-panel")
            yield self._source
        yield Static("Enter source · 1-9 sort · / filter · Ctrl+E export · Esc back · F1 help", id="status")

    def on_mount(self) -> None:
        self._table.focus()
        self.set_interval(CATCH_UP, self._catch_up)
        self.call_after_refresh(self._draw)

    # --- rows -----------------------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Show rows that have come since; at the end of the table, where nothing else was asked for."""
        lines = self._results.lines
        if self._drawn is None or self._drawn == (len(lines), self._results.complete):
            return
        before, complete = self._drawn
        plainly = not (self._sorted_by or self._filter.value or self._results.complete)
        if plainly and not complete and self._columns == self._results.columns:
            self._table.append(lines[before:], self._columns)
            self._drawn = (len(lines), False)
            self._draw_title()
        else:
            self._draw()

    def _draw(self) -> None:
        self._drawn = (len(self._results.lines), self._results.complete)
        self._columns = self._results.columns
        lines = survey_table.matching(self._results.lines, self._filter.value)
        if self._sorted_by in self._columns:
            lines = survey_table.ordered(lines, self._sorted_by, descending=self._descending)
        self._table.draw(lines, self._columns, [self._mark(n, name) for n, name in enumerate(self._columns, 1)])
        self._draw_title()

    def _mark(self, number: int, name: str) -> str:
        """The key that sorts by a column, and the way in which it is sorted."""
        key = f" {number}" if number <= 9 else ""
        return key + ((" ▼" if self._descending else " ▲") if name == self._sorted_by else "")

    def _draw_title(self) -> None:
        count, shown = len(self._results.lines), len(self._table.lines)
        rows = f"{count:,} row{'' if count == 1 else 's'}"
        parts = [rows if shown == count else f"{shown:,} of {rows}"]
        if not self._results.complete:
            parts.append("more are coming")
        if self._sorted_by:
            way = "highest first" if self._descending else "lowest first"
            parts.append(f"sorted by {survey_table.title(self._sorted_by)}, {way}")
        self._title.update(
            Content.assemble((clean_line(self._results.question), "bold"), f"\n{clean_line(' · '.join(parts))}")
        )

    def _sort(self, column: str) -> None:
        """Sort by a column; by the same once more the other way, then as the rows came."""
        if column != self._sorted_by:
            self._sorted_by, self._descending = column, False
        elif not self._descending:
            self._descending = True
        else:
            self._sorted_by, self._descending = "", False
        self._draw()

    def action_sort_by(self, number: int) -> None:
        if number <= len(self._columns):
            self._sort(self._columns[number - 1])

    def on_data_table_header_selected(self, message: DataTable.HeaderSelected) -> None:
        self._sort(self._columns[message.column_index])

    # --- filter ---------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self._filter.display = True
        self._filter.focus()

    def on_input_changed(self) -> None:
        if self._typed is not None:
            self._typed.stop()
        self._typed = self.set_timer(PAUSE, self._draw)

    def on_input_submitted(self) -> None:
        self._filter.display = bool(self._filter.value.strip())
        self._table.focus()

    def action_back(self) -> None:
        if self._source.display:
            self._source.display = False
            self._table.focus()
        elif self._filter.display:
            self._filter.value = ""
            self._filter.display = False
            self._table.focus()
        else:
            self.dismiss()

    # --- source ---------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self) -> None:
        self.action_open_source()

    def on_data_table_row_highlighted(self) -> None:
        if self._source.display and (line := self._table.line) is not None and line.source is not None:
            self._open(line)

    def action_open_source(self) -> None:
        line = self._table.line
        if line is None or line.source is None:
            why = clean_line(line.cells.get("why_not", "")) if line is not None else ""
            self.notify(f"This row has no quote{f': {why}' if why else ''}.", markup=False)
            return
        self._open(line)

    def _open(self, line: Line) -> None:
        if line.source is None:
            return
        cited = [one for one in self._table.lines if one.source is not None]
        self._source.display = True
        self._source.open(line.source, next(n for n, one in enumerate(cited, 1) if one is line), len(cited))

    def action_toggle_source(self) -> None:
        if self._source.display:
            self._source.display = False
            self._table.focus()
        else:
            self.action_open_source()

    def action_step_citation(self, step: int, focus: bool = False) -> None:
        """Go to the next row, up or down, that has a quote."""
        at = self._table.cursor_row + step
        while 0 <= at < len(self._table.lines):
            if self._table.lines[at].source is not None:
                self._table.move_cursor(row=at, animate=False)
                self.action_open_source()
                return
            at += step

    def action_next_panel(self) -> None:
        if self._source.display and self.focused is self._table:
            self._source.focus_text()
        else:
            self._table.focus()

    # --- export ---------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        if not self._table.lines:
            self.notify("There is no row to export.", markup=False)
            return
        shown, count = len(self._table.lines), len(self._results.lines)
        what = f"{shown:,} of {count:,} rows" if shown < count else f"{count:,} row{'' if count == 1 else 's'}"
        screen = SaveTableScreen(f"{what}, in the order shown", Path(file_name(self._results.question)))
        self.app.push_screen(screen, self._export)

    def _export(self, path: Path | None) -> None:
        if path is None:
            return
        rows, question, record_of = (
            [line.row for line in self._table.lines],
            self._results.question,
            self._core.store.record_of,
        )

        def write() -> None:
            table_export.save(rows, path, question, record_of)
            deliver(self, self.Exported(f"Wrote {len(rows):,} row{'' if len(rows) == 1 else 's'} to {path}"))

        self.app.lanes["pages"].submit(write, lambda error: deliver(self, self.Exported("", error)))

    def on_results_screen_exported(self, message: Exported) -> None:
        if message.error is None:
            self.notify(clean_line(message.words), markup=False)
        else:
            words = clean_line(f"{message.error.message}. {message.error.hint}")
            self.notify(words, title="Not exported", severity="error", timeout=10, markup=False)


def file_name(question: str) -> str:
    """A name for the file of a question's table: "which-leases-allow-dogs.xlsx"."""
    words = re.sub(r"[^\w]+", "-", question.lower()).strip("-_")[:_LONGEST_NAME].strip("-_")
    return f"{words or 'table'}.xlsx"
