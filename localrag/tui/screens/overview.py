"""The first page of libraries: what they hold and what comes next, and the facts of each document, to be decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from localrag.answer.survey_table import Line, Results
from localrag.errors import LocalragError
from localrag.security.terminal import counted
from localrag.tui.screens.dialogs import InputScreen
from localrag.tui.screens.table import TableScreen
from localrag.tui.text import clean_line, error_line, list_some, shorten
from localrag.tui.threads import Core
from localrag.tui.widgets.panels import FirstPage, coming, held
from localrag.types import Citation, FactState

COLUMNS = ("title", "dated", "end", "notice", "law", "in force", "parties", "other", "kind", "library")
MAX_CELL, MAX_VALUE, MAX_LONG, MAX_COMING = 14, 26, 44, 8
MARKS = {"sure": ("", ""), "unclear": ("? ", "yellow"), "confirmed": ("✓ ", "green"), "rejected": ("✗ ", "red")}


class OverviewScreen(TableScreen):
    """Looks when it opens. The row of a line is a document with its facts, as the engine hands it out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Facts of the document: confirm, correct, reject"),
        Binding("slash", "filter", "Show only documents with these words"),
        Binding("escape", "back", "Stop reading; clear the filter; back to the conversation"),
        Binding("ctrl+g", "dismiss", "Back to the conversation"),
    ]
    HINT = "Enter facts of the document · / filter · Esc back · F1 help"
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = []
    FILLS = True

    def __init__(self, core: Core, libraries: Sequence[str]) -> None:
        super().__init__(core, Results(", ".join(libraries)))
        self._libraries = tuple(libraries)
        self._pages: Sequence[FirstPage] = ()
        self._ahead = Static(id="ahead")
        self._table.fixed_columns = 1

    def _panel(self) -> tuple[Widget, ...]:
        return (self._table, self._ahead)

    def on_mount(self) -> None:
        self._load()

    @work(exclusive=True)
    async def _load(self) -> None:
        self._progress.say("Reading facts … Esc stops")
        names, overview, stop = self._libraries, self._core.engine.overview, self._stop.is_set
        try:
            pages = await self.app.threads["pages"].result(lambda: [overview(name, stop=stop) for name in names])
        except LocalragError as error:
            self._finish([f"! {error_line(error)}"])
            return
        self._pages = pages
        self._results.lines = [_line(one) for page in pages for one in page["documents"]]
        failed = [f"{one['document']}: {one['reason']}" for page in pages for one in page["failed"]]
        unread = sum(page["without_facts"] for page in pages)
        notes = [f"! {len(failed):,} not read: {list_some(failed)}"] if failed else []
        self._finish([*notes, f"! {counted(unread, 'document')} without facts yet"] if unread else notes)
        self._draw()

    def _is_same(self, line: Line, current: Line | None) -> bool:
        return current is not None and all(line.row[name] == current.row[name] for name in ("library", "document"))

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        """Columns that no document fills are left out."""
        names = COLUMNS if len(self._libraries) > 1 else COLUMNS[:-1]
        lines = self._results.lines
        return tuple(name for name in names if any(line.cells.get(name) for line in lines)), super()._chosen()[1]

    def _cell(self, line: Line, name: str) -> Text:
        wide = self.size.width - 13 * min(4, len(self._columns) - 1)  # what the first of the others leave
        room = {"title": max(20, min(MAX_LONG, wide)), "parties": MAX_LONG}
        return Text(shorten(line.cells.get(name, ""), room.get(name, MAX_CELL)))

    def _draw_title(self) -> None:
        what = f" · {held(self._pages)}" if self._pages else ""
        self._title.update(Content.assemble((clean_line(self._results.question), "bold"), what))
        lines = coming(self._pages, max(20, self.size.width - 40))[:MAX_COMING] or ["No day that comes next is known."]
        self._ahead.update(Content.assemble(("What comes next\n", "bold"), "\n".join(lines)))
        self._ahead.display = bool(self._pages)

    def action_open_source(self) -> None:
        if (line := self._line) is not None:
            self._open(FactsScreen(self._core, line.row))

    @work
    async def _open(self, facts: FactsScreen) -> None:
        await self.app.push_screen_wait(facts)
        if facts.changed:
            self._load()

    def action_back(self) -> None:
        if self._filter.display or not self.stop_work():
            super().action_back()


class FactsScreen(TableScreen):
    """The facts of a document. The row of a line is a fact; one that is rejected stays until the screen is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Page of the quote"),
        Binding("c", "decide('confirmed')", "Confirm the fact"),
        Binding("e", "decide('confirmed', True)", "Correct its value"),
        Binding("x", "decide('rejected')", "Reject the fact"),
        Binding("u", "decide('sure')", "Take back what was decided"),
        Binding("slash", "filter", "Show only facts with these words"),
        Binding("tab", "next_panel", "Next panel: facts, source"),
        Binding("escape", "back", "Close the source; clear the filter; back to the documents"),
    ]
    HINT = "Enter page · c confirm · e correct · x reject · u undo · / filter · Esc · F1"

    def __init__(self, core: Core, own: Mapping[str, Any]) -> None:
        super().__init__(core, Results(own["title"]))
        self.changed = False  # whether anything was decided
        self._own = own
        self._about = Static()
        self._results.lines = [self._line_of(one) for one in own["facts"]]
        self._results.complete = True

    def _panel(self) -> tuple[Widget, ...]:
        return (self._table, VerticalScroll(self._about, id="finding", can_focus=False))

    def _line_of(self, one: Mapping[str, Any]) -> Line:
        where = (one["place"], one["quote"], one["start"], one["end"], 1)
        cited = Citation(self._own["library"], self._own["document"], one["page"], None, *where)
        state = "corrected" if one["was"] and one["state"] == "confirmed" else one["state"]
        cells = {"role": one["role"], "value": one["shown"], "state": f"{MARKS[one['state']][0]}{state}"}
        cells |= {"page": one["place"], "quote": one["quote"]}
        return Line(one, {name: clean_line(text) for name, text in cells.items()}, cited if one["quote"] else None)

    def _is_same(self, line: Line, current: Line | None) -> bool:
        return current is not None and bool(line.row["id"] == current.row["id"])

    def _cell(self, line: Line, name: str) -> Text:
        text = shorten(line.cells[name], max(20, self.size.width - 64) if name == "quote" else MAX_VALUE)
        return Text(text, MARKS[line.row["state"]][1] if name == "state" else "")

    def _draw_title(self) -> None:
        facts = (line.row for line in self._results.lines)
        named = {one["role"]: one["value"] for one in facts if one["state"] != "rejected"}
        own = {**self._own, **{role: named[role] for role in ("kind", "title") if role in named}}
        about = [own["document"], own["kind"], own["pages"] and counted(own["pages"], "page")]
        about += [own["base"] and f"{own['relation']} {own['base']}", "" if self._lines else "no facts"]
        title = (clean_line(own["title"]), "bold")
        self._title.update(Content.assemble(title, "\n", clean_line(" · ".join(filter(None, about)))))
        self.on_data_table_row_highlighted()

    def on_data_table_row_highlighted(self) -> None:
        """Show the whole fact, and its page if the source is open."""
        if (line := self._line) is None:
            self._about.update("")
            return
        one, cells = line.row, line.cells
        head = [f"{cells['role']}: {cells['value']}", *one["terms"], one["why"], one["was"] and f"read as {one['was']}"]
        head += [one["by"] and f"{one['state']} by {one['by']}, {one['at'][:10]}"]
        quote = cells["quote"] or "It has no quote."
        self._about.update(Content.assemble((clean_line(" · ".join(filter(None, head))), "bold"), "\n", quote))
        if self._source.display and line.source != self._source.citation:
            self.action_open_source()

    def action_open_source(self) -> None:
        cited = [line for line in self._lines if line.source is not None]
        self._source.display = self._line in cited
        if self._line is not None and self._line.source is not None:
            self._source.open(self._line.source, cited.index(self._line) + 1, len(cited))

    @work
    async def action_decide(self, state: FactState, corrected: bool = False) -> None:
        """Keep what is decided of a fact, with the value that is asked for if it is corrected, and show it."""
        if (line := self._line) is None:
            return
        value: str | None = ""
        role, quote = line.cells["role"], line.cells["quote"]
        if corrected:
            value = await self.app.push_screen_wait(InputScreen(f"The right {role}", quote, line.cells["value"]))
        if value is None:
            return
        decided = partial(self._decided, line.row["id"], state, value)
        with self.app.errors_shown("Not kept"):
            row = await self.app.threads["pages"].result(decided)
            self.changed = True
            shown = ((row if self._is_same(one, line) else one.row) for one in self._results.lines)
            self._results.lines = [self._line_of(one) for one in shown if one is not None]
            self._draw()

    def _decided(self, id: str, state: FactState, value: str) -> Mapping[str, Any] | None:
        """Decide a fact and return it; where that is taken back, return what code reads, if it still does."""
        engine, library, document = self._core.engine, self._own["library"], self._own["document"]
        decided = engine.decide_fact(library, document, id, state, value).to_dict()
        if state != "sure":
            return decided
        own = (one for one in engine.overview(library)["documents"] if one["document"] == document)
        return next((fact for one in own for fact in one["facts"] if fact["id"] == id), None)


def _line(one: Mapping[str, Any]) -> Line:
    cells = {**one, **one["cells"]}
    return Line(one, {name: clean_line(cells[name]) for name in (*COLUMNS, "document")}, None)
