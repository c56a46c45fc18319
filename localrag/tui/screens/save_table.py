"""Where a table is to be written, and as what; a file that is there is replaced only after a second yes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from localrag.answer.survey import table_export
from localrag.errors import LocalragError
from localrag.tui.inert import clean_line


class SaveTableScreen(ModalScreen[Path | None]):
    """A line for the file's name; the result is the file, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "Do not export")]

    def __init__(self, what: str, proposed: Path) -> None:
        super().__init__()
        self._what = what
        self._file = Input(str(proposed), id="save-as", select_on_focus=False)
        self._file.cursor_blink = False
        self._problem = Static(id="save-problem")
        self._asked: Path | None = None  # the file that Enter would replace

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled("Export the table", "bold"), classes="dialog-title")
            yield Static(Content(f"{self._what}. The ending says as what: {', '.join(table_export.SUFFIXES)}"))
            yield self._file
            yield self._problem
            yield Static(
                Content(f"Enter writes it below {clean_line(str(Path.cwd()))}, or where the name says · Esc does not"),
                classes="quiet",
            )

    def on_mount(self) -> None:
        self._file.focus()

    def on_input_submitted(self) -> None:
        typed = self._file.value.strip()
        if not typed:
            return
        path = Path(typed).expanduser()
        try:
            table_export.check(path)
        except LocalragError as error:
            self._say(f"{error.message}. {error.hint}")
            return
        if path.is_dir() or not path.parent.is_dir():
            self._say("that is a folder" if path.is_dir() else f"there is no folder {path.parent}")
        elif path.exists() and path != self._asked:
            self._asked = path
            self._say("a file of this name is there. Enter once more replaces it.")
        else:
            self.dismiss(path)

    def on_input_changed(self) -> None:
        self._asked = None
        self._problem.update("")

    def _say(self, words: str) -> None:
        self._problem.update(Content(f"! {clean_line(words)}"))
