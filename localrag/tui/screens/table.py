"""A table that fills the screen, of a survey, a review, a comparison or the conversations: filter, export, sources."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import DataTable, Static

from localrag.answer import survey_table
from localrag.answer.survey_table import Line, Results
from localrag.security.terminal import counted
from localrag.sessions import table_export
from localrag.tui.screens.dialogs import export, field
from localrag.tui.text import clean_line, shorten
from localrag.tui.threads import Core
from localrag.tui.widgets.panels import SourceKeys
from localrag.tui.widgets.source import SourcePane, SourceText
from localrag.tui.widgets.status import ProgressLine
from localrag.types import Citation

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

UPDATE_EVERY = 0.25  # seconds; rows can come faster than they can be drawn
FILTER_PAUSE = 0.15  # seconds; filtering thousands of rows takes longer than a key
MAX_FILE_NAME = 60
MAX_CELL = 40


class TableScreen(Screen[Any]):
    """Title, filter and table, with the source of the row under the cursor beside them.

    A subclass names its keys and overrides what is drawn: `_chosen`, `_head`, `_cell` and `_draw_title`. One that
    fills its table itself says so (`FILLS`), looks at `_stop` meanwhile, and calls `_finish` at the end.
    """

    app: LocalragApp

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = [("Source", SourceText), ("Its page, quote and file", SourceKeys)]
    HINT = ""
    FILLS = False

    def __init__(self, core: Core, results: Results) -> None:
        super().__init__()
        self._core = core
        self._results = results
        self._drawn: tuple[int, bool] | None = None  # the stage that was drawn
        self._columns: tuple[str, ...] = ()
        self._lines: list[Line] = []  # in the order shown
        self._sorted_by = ""
        self._descending = False
        self._only = ""  # a class of lines; empty for all
        self._stop = threading.Event()
        self._timer: Timer | None = None
        self._title = Static(id="results-title")
        self._progress = ProgressLine()
        self._filter = field(id="results-filter", placeholder="words in any column of a row")
        self._filter.display = False
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True, id="results")
        self._source = SourcePane(core)

    def compose(self) -> ComposeResult:
        yield from (self._title, self._progress, self._filter)
        with SourceKeys(self._source, id="panels"):
            yield Vertical(*self._panel(), id="results-panel")
            yield self._source
        yield Static(self.HINT, id="status")

    def _panel(self) -> tuple[Widget, ...]:
        return (self._table,)

    def on_mount(self) -> None:
        self._table.focus()
        self.set_interval(UPDATE_EVERY, self._update)
        self.call_after_refresh(self._draw)

    def stop_work(self) -> bool:
        """Stop what this screen does to fill the table; False if there is nothing to stop."""
        if not self.FILLS or self._stop.is_set() or self._results.complete:
            return False
        self._stop.set()
        self._progress.say("Stopping …")
        return True

    def _finish(self, notes: list[str]) -> None:
        """Show how the work that filled the table ended."""
        self._results.complete = True
        self._progress.say("\n".join(notes))
        self._progress.display = bool(notes)

    def _update(self) -> None:
        """Show rows that have come since."""
        if self._drawn not in (None, self._stage):
            self._draw()

    @property
    def _stage(self) -> tuple[int, bool]:
        """How much has come, and whether that is all."""
        return len(self._results.lines), self._results.complete

    def _draw(self) -> None:
        self._drawn = self._stage
        current, column = self._line, self._column if self._lines else ""
        self._columns, self._lines = self._chosen()
        self._table.clear(columns=True)
        rows = [[self._cell(line, name) for name in self._columns] for line in self._lines]
        for number, name in enumerate(self._columns):
            head = self._head(number + 1, name)
            # A table that finds its widths itself shows narrow columns first, each time that rows come.
            width = max(head.cell_len, *(row[number].cell_len for row in rows), 1)
            self._table.add_column(head, width=width, key=name)
        self._table.add_rows(rows)
        row = next((at for at, line in enumerate(self._lines) if self._is_same(line, current)), 0)
        at = self._columns.index(column) if column in self._columns else min(1, len(self._columns))
        self._table.move_cursor(row=row, column=at, animate=False)
        self._draw_title()

    def _is_same(self, line: Line, current: Line | None) -> bool:
        """Whether the cursor stays on a line. Two lines may be equal, so their identity counts."""
        return line is current

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        """The columns and lines to show, in their order."""
        columns = self._results.columns
        lines = survey_table.matching(self._results.lines, self._filter.value)
        if self._sorted_by in columns:
            lines = survey_table.ordered(lines, self._sorted_by, descending=self._descending)
        return columns, lines

    def _head(self, number: int, name: str) -> Text:
        return Text(name)

    def _cell(self, line: Line, name: str) -> Text:
        return _cell(line.cells.get(name, ""))

    def _draw_title(self) -> None:
        """Draw what stands above the table."""

    @property
    def _column(self) -> str:
        """The name of the column under the cursor."""
        at = self._table.cursor_column
        return self._columns[at] if at < len(self._columns) else ""

    @property
    def _line(self) -> Line | None:
        """The line under the cursor."""
        return self._lines[self._table.cursor_row] if 0 <= self._table.cursor_row < len(self._lines) else None

    def _keys(self, classes: Mapping[str, str]) -> list[tuple[str, str]]:
        """What is said of each class behind the key that shows it alone, the class chosen in reverse."""
        return [
            (f"{at} {text}", "reverse" if name == self._only else "")
            for at, (name, text) in enumerate(classes.items(), 1)
        ]

    def _sort(self, column: str) -> None:
        """Sort by a column: ascending, descending, then unsorted."""
        if column != self._sorted_by:
            self._sorted_by, self._descending = column, False
        elif not self._descending:
            self._descending = True
        else:
            self._sorted_by, self._descending = "", False
        self._draw()

    def on_data_table_header_selected(self, message: DataTable.HeaderSelected) -> None:
        self._sort(self._columns[message.column_index])

    def action_only(self, name: str) -> None:
        self._only = "" if name == self._only else name
        self._draw()

    def on_key(self, event: Key) -> None:
        """Keys typed right after the slash go to the filter, even before it has the keyboard."""
        if self.focused is self._filter and event.is_printable and event.character:
            event.stop()
            self._filter.insert_text_at_cursor(event.character)
        elif event.key == "slash":  # a binding would come after the letters behind it
            event.stop()
            self.action_filter()

    def action_filter(self) -> None:
        self._filter.display = True
        self.set_focus(self._filter)

    def on_input_changed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(FILTER_PAUSE, self._draw)

    def on_input_submitted(self) -> None:
        self._filter.display = bool(self._filter.value.strip())
        self._table.focus()

    def action_back(self) -> None:
        if self._source.display:
            self._source.display = False
        elif self._filter.display:
            self._filter.value = ""
            self._filter.display = False
        else:
            self.dismiss()
            return
        self._table.focus()

    def on_data_table_row_selected(self) -> None:
        self.action_open_source()

    on_data_table_cell_selected = on_data_table_row_selected

    def action_open_source(self) -> None:
        raise NotImplementedError

    def action_next_panel(self) -> None:
        if self._source.display and self.focused is self._table:
            self._source.focus_text()
        else:
            self._table.focus()


class ResultsScreen(TableScreen):
    """The rows of a survey, which another screen fills."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Source of the row"),
        Binding("1", "sort_by(1)", "Sort by the first column, 2 the second …; again: reversed, then unsorted"),
        *(Binding(str(number), f"sort_by({number})", "Sort", show=False) for number in range(2, 10)),
        Binding("slash", "filter", "Show only rows that contain these words"),
        Binding("ctrl+e,e", "export", "Export as Excel, CSV, Markdown or JSON"),
        Binding("tab", "next_panel", "Next panel: table, source"),
        Binding("escape", "back", "Close the source; clear the filter; back to the conversation"),
        Binding("ctrl+t", "dismiss", "Back to the conversation"),
    ]
    HINT = "Enter source · 1-9 sort · / filter · Ctrl+E export · Esc back · F1 help"

    def _draw(self) -> None:
        if any(line.sources for line in self._results.lines):
            self._table.cursor_type = "cell"
        super()._draw()

    def _head(self, number: int, name: str) -> Text:
        """The title of a column, the key that sorts by it, and its direction."""
        key = f" {number}" if number <= 9 else ""
        direction = " ▼" if self._descending else " ▲"
        return _cell(survey_table.title(name) + key + (direction if name == self._sorted_by else ""))

    def _draw_title(self) -> None:
        parts = [self._count()]
        if not self._results.complete:
            parts.append("more are coming")
        if self._sorted_by:
            direction = "descending" if self._descending else "ascending"
            parts.append(f"sorted by {survey_table.title(self._sorted_by)}, {direction}")
        question = (clean_line(self._results.question), "bold")
        self._title.update(Content.assemble(question, f"\n{clean_line(' · '.join(parts))}"))

    def _count(self) -> str:
        rows = counted(len(self._results.lines), "row")
        return rows if len(self._lines) == len(self._results.lines) else f"{len(self._lines):,} of {rows}"

    def action_sort_by(self, number: int) -> None:
        if number <= len(self._columns):
            self._sort(self._columns[number - 1])

    def on_data_table_row_highlighted(self) -> None:
        if self._source.display and (line := self._line) is not None:
            self._open(line)

    on_data_table_cell_highlighted = on_data_table_row_highlighted

    def _cited(self, line: Line) -> Citation | None:
        """The citation of a line, or that of the field under the cursor."""
        if self._column not in line.cells or self._column in ("library", "document") or not line.sources:
            return line.source
        return line.sources.get(self._column.removesuffix(" currency"))

    def action_open_source(self) -> None:
        line = self._line
        if line is not None and self._cited(line) is not None:
            self._open(line)
            return
        why = clean_line(line.cells.get("why_not", "")) if line is not None else ""
        what = "field" if line is not None and line.sources else "row"
        self.notify(f"This {what} has no quote{f': {why}' if why else ''}.")

    def _open(self, line: Line) -> None:
        if (source := self._cited(line)) is not None:
            cited = [one for one in self._lines if one.source is not None]
            self._source.display = True
            self._source.open(source, next(n for n, one in enumerate(cited, 1) if one is line), len(cited))

    @work
    async def action_export(self) -> None:
        rows, question = [line.row for line in self._lines], self._results.question
        if not rows:
            self.notify("There is no row to export.")
            return
        record_of = self._core.store.record_of
        await export(
            self.app,
            "Export the table",
            f"{self._count()}, in the order shown",
            file_name(question),
            table_export.SUFFIXES,
            table_export.check,
            lambda path: table_export.save(rows, path, question, record_of, originals=self._core.originals),
            counted(len(rows), "row"),
            {str(row["library"]) for row in rows if "library" in row},
        )


def _cell(text: str) -> Text:
    return Text(shorten(clean_line(text), MAX_CELL))


def file_name(question: str) -> str:
    """A file name for the table of a question: "which-leases-allow-dogs.xlsx"."""
    words = re.sub(r"[^\w]+", "-", question.lower()).strip("-_")[:MAX_FILE_NAME].strip("-_")
    return f"{words or 'table'}.xlsx"
