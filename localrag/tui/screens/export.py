"""Writes a conversation to a file: asks for the format and the place, and never replaces a file unasked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from localrag.errors import LocalragError
from localrag.sessions import export
from localrag.sessions.export import FORMS, NAMES, Form
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import deliver

if TYPE_CHECKING:
    from localrag.sessions import Session
    from localrag.tui.app import LocalragApp


class ExportScreen(ModalScreen[Path | None]):
    """The result is the file that was written, or None."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "form(-1)", "Format above"),
        Binding("down", "form(1)", "Format below"),
        Binding("enter", "write", "Write the file"),
        Binding("escape", "dismiss(None)", "Go back"),
    ]

    class Written(Message):
        """The file is there, or why it is not."""

        def __init__(self, path: Path, error: LocalragError | None = None, remark: str = "") -> None:
            super().__init__()
            self.path = path
            self.error = error
            self.remark = remark

    def __init__(self, core: Core, session: Session, form: Form = "md", folder: Path | None = None) -> None:
        super().__init__()
        self._core = core
        self._session = session
        self._folder = folder or usual_folder()
        self._list = OptionList(*(Content(f"{NAMES[one]}") for one in FORMS))
        self._list.can_focus = False  # the path keeps the keyboard
        self._path = Input(str(self._folder / export.file_name(session, form)), id="export-path")
        self._path.cursor_blink = False
        self._said = Static(id="export-said")
        self._replacing: Path | None = None
        self._chosen = FORMS.index(form)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            title = f"Export “{clean_line(self._session.title)}”"
            yield Static(Content.styled(title, "bold"), classes="dialog-title")
            yield self._list
            yield Static("Where to? The file will hold questions, answers and quotes, readable by you only.")
            yield self._path
            yield self._said
            yield Static("↑ ↓ choose the format · Enter writes · Esc goes back", classes="quiet")

    def on_mount(self) -> None:
        self._list.highlighted = self._chosen
        self._path.focus()
        self._path.cursor_position = len(self._path.value)
        self.call_after_refresh(self._tell_path)

    def _tell_path(self) -> None:
        """Say the whole path where the field shows only its end."""
        typed = self._path.value
        self._said.update(Content(clean_line(typed) if len(typed) >= self._path.content_size.width else ""))

    def action_form(self, step: int) -> None:
        self._list.action_cursor_up() if step < 0 else self._list.action_cursor_down()

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        if message.option_index == self._chosen:  # what it began with: by now a path may be half typed
            return
        self._chosen = message.option_index
        typed = self._path.value
        with suppress(ValueError):  # a path without a name has no ending to change
            self._path.value = str(Path(typed).with_suffix(f".{FORMS[message.option_index]}"))

    def on_option_list_option_selected(self) -> None:
        self._path.focus()

    def on_input_changed(self) -> None:
        self._replacing = None
        self._tell_path()

    def on_input_submitted(self) -> None:
        self.action_write()

    def action_write(self) -> None:
        typed = self._path.value.strip()
        if not typed:
            return
        path = Path(typed).expanduser()
        if path.is_file() and self._replacing != path:
            self._replacing = path
            self._said.update(Content(f"! There is a file {clean_line(path.name)} already. Enter again replaces it."))
            return
        replace = self._replacing == path
        self._said.update(Content("Writing …"))
        self.app.lanes["pages"].submit(
            lambda: self._write(path, replace), lambda error: deliver(self, self.Written(path, error))
        )

    def _write(self, path: Path, replace: bool) -> None:
        form = export.form_of(path)
        session = self._core.store.load(self._session.id)
        export.write(session, path, form, self._core.store.record_of(*session.libraries), replace=replace)
        deliver(self, self.Written(path, remark=self._remark(path)))

    def _remark(self, path: Path) -> str:
        """A warning where the export lies among the documents, from where the next ingest would read it."""
        with suppress(LocalragError):
            for name in self._session.libraries:
                if name not in self._core.engine.libraries():
                    continue
                if any(path.resolve().is_relative_to(root) for root in self._core.engine.shelf(name).roots):
                    return f" It lies among the documents of {clean_line(name)}: the next ingest would read it, too."
        return ""

    def on_export_screen_written(self, message: Written) -> None:
        if message.error is not None:
            self._said.update(error_content(message.error))
            return
        self.app.notify(f"Wrote {clean_line(str(message.path))}.{message.remark}", timeout=10, markup=False)
        self.dismiss(message.path)


def usual_folder() -> Path:
    """Where people look for what they have written: not the folder of the documents, which is read by ingest."""
    home = Path.home()
    return home / "Documents" if (home / "Documents").is_dir() else home
