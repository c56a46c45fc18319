"""Errors of drafting in a document: what was found, each with its words, and the page where they stand."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import work

from localrag.answer.survey_table import Line, Results
from localrag.errors import LocalragError
from localrag.tui.screens.table import ResultsScreen
from localrag.tui.text import clean_line, error_line, list_some, shorten
from localrag.tui.threads import Core
from localrag.worker.branches import Name

WIDTHS = {"place": 8, "kind": 9, "quote": 18, "why": 35, "clause": 16}  # cells in a narrow terminal


class ProofreadScreen(ResultsScreen):
    """Proofreads when it opens. The row of a line is that of an export."""

    HINT = "Enter page · 1-5 sort · / filter · Ctrl+E export · Esc back · F1 help"
    FILLS = True

    def __init__(self, core: Core, document: Name) -> None:
        super().__init__(core, Results(f"Findings in {document[1]}"))
        self._document = document

    def on_mount(self) -> None:
        super().on_mount()
        self._progress.say("Proofreading … Esc stops")
        self._run()

    @work
    async def _run(self) -> None:
        engine, document, stop = self._core.engine, self._document, self._stop.is_set
        try:
            plain = await self.app.threads["pages"].result(lambda: engine.proofread(*document, stop=stop))
        except LocalragError as error:
            self._finish([f"! {error_line(error)}"])
            return
        library, path = self._document[0], plain["document"]
        self._results.lines = [_line(one, library, path) for one in plain["findings"]]
        self._finish([f"! Not read: {list_some(plain['not_read'])}"] if plain["not_read"] else [])

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        return tuple(WIDTHS), super()._chosen()[1]

    def _cell(self, line: Line, name: str) -> Text:
        spare = max(0, self.size.width - 96) // 2 if name in ("quote", "why") else 0
        return Text(shorten(line.cells[name], WIDTHS[name] + spare))

    def action_back(self) -> None:
        self.stop_work()
        super().action_back()


def _line(plain: dict[str, Any], library: str, document: str) -> Line:
    from localrag.redline.proofreading import Fault

    fault = Fault(**plain)
    row = {"library": library, "document": document, **fault.to_row()}
    cells = {name: clean_line(str(value)) for name, value in {**row, "why": fault.said}.items()}
    return Line(row, cells, fault.cited(library, document))
