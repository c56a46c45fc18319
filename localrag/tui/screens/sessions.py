"""The saved conversations: list, search, open, rename, branch, export, delete; read again after each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrag.answer.survey_table import Line, Results
from localrag.errors import LocalragError
from localrag.security.terminal import counted
from localrag.sessions import export as exports
from localrag.sessions.export import FORMS, Form, binder
from localrag.sessions.session_store import Listed, Searched, Session
from localrag.tui.chat_state import Resumed, load_resumed
from localrag.tui.screens.dialogs import ConfirmScreen, InputScreen, export
from localrag.tui.screens.table import TableScreen
from localrag.tui.text import clean_line, error_content
from localrag.tui.threads import Core

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

MAX_HITS = 200


class SessionsScreen(TableScreen):
    """The result is a conversation to continue, or None. A row has its `session` and the `turn` found, else 0."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Continue it, from the turn found"),
        Binding("slash", "filter", "Search all conversations"),
        Binding("r", "rename", "Rename it"),
        Binding("b", "branch", "Continue in a copy that ends with the turn found"),
        Binding("e,ctrl+e", "export", "Export it"),
        Binding("d,delete", "delete", "Delete it"),
        Binding("escape", "back", "Clear the search, or close"),
    ]
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = []
    HINT = "Enter opens · / searches · r renames · b branches · e exports · d deletes · Esc closes"

    def __init__(self, core: Core, current: str = "") -> None:
        super().__init__(core, Results("Conversations"))
        self._current = current
        self._listed: list[Listed] | None = None  # until they are read
        self._searched = Searched(())
        self.deleted: set[str] = set()
        self._filter.display = True
        self._filter.placeholder = "Search titles, questions, answers and quotes"
        self._table.show_header = self._table.zebra_stripes = False
        self._about = Static("Reading …", id="sessions-about")
        self._message = Static(classes="message")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            yield Static(Content.styled("Conversations", "bold"))
            yield from (self._filter, self._table, self._about, self._message)
            yield Static(self.HINT, classes="quiet")

    def on_mount(self) -> None:
        self._change(lambda: "")

    @contextmanager
    def _errors_shown(self) -> Iterator[None]:
        try:
            yield
        except LocalragError as error:
            self._message.update(error_content(error))

    @work
    async def _change(self, change: Callable[[], str]) -> None:
        """Change something, read all again, and show what was done."""
        store = self._core.store

        def run() -> tuple[str, list[Listed], Searched]:
            return change(), store.list(), Searched(store.all())

        with self._errors_shown():
            done, self._listed, self._searched = await self.app.threads["pages"].result(run)
            self._message.update(Content(done))
            self._draw()

    @work
    async def _continue(self, load: Callable[[], Resumed]) -> None:
        with self._errors_shown():
            self.dismiss(await self.app.threads["pages"].result(load))

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        words = self._filter.value.strip()
        if not words:
            return ("line",), [self._line_of(one) for one in self._listed or ()]
        lines: list[Line] = []
        seen: set[str] = set()
        for hit in self._searched.find(words)[:MAX_HITS]:
            if hit.session.id not in seen:
                seen.add(hit.session.id)
                lines.append(self._line_of(hit.session))
            if hit.turn:
                text = f"      {hit.turn}. {hit.where}: {clean_line(hit.snippet)}"
                lines.append(Line({"session": hit.session, "turn": hit.turn}, {"line": text}, None))
        return ("line",), lines

    def _line_of(self, one: Listed) -> Line:
        text = f"! {clean_line(one.id)}: cannot be read"
        if not one.problem:
            mark = "▸" if one.id == self._current else " "
            when = clean_line(one.changed[:16].replace("T", " "))
            text = f"{mark} {when}  {counted(one.turns, 'turn'):>9}  {clean_line(one.title)}"
        return Line({"session": one, "turn": 0}, {"line": text}, None)

    def _cell(self, line: Line, name: str) -> Text:
        text, width = Text(line.cells[name]), max(20, self._table.size.width - 4)
        text.truncate(width, overflow="ellipsis", pad=True)
        return text

    def _is_same(self, line: Line, current: Line | None) -> bool:
        return current is not None and line.row["session"].id == current.row["session"].id

    def _draw_title(self) -> None:
        self.on_data_table_row_highlighted()

    def on_data_table_row_highlighted(self) -> None:
        """Describe the conversation under the cursor."""
        if self._listed is None:
            return
        if (line := self._line) is None:
            empty = "There is no conversation yet. Each is saved from its first question on."
            nothing = "Nothing found. All words must be in the same question, answer or quote."
            self._about.update(nothing if self._filter.value.strip() else empty)
            return
        one: Listed = line.row["session"]
        if one.problem:
            self._about.update(Content(f"{clean_line(one.problem)} Delete it, or restore it from a backup."))
            return
        of = clean_line(", ".join(one.libraries)) or "no library"
        begun = clean_line(one.created[:16].replace("T", " "))
        turn = f"Turn {line.row['turn']} of {one.turns}. " if line.row["turn"] else ""
        here = " This is the current conversation." if one.id == self._current else ""
        self._about.update(Content(f"{clean_line(one.title)}\n{turn}Library: {of}. Begun {begun} (UTC).{here}"))

    def on_input_submitted(self) -> None:
        self._filter.display = True
        self._draw()  # the pause after the last letter may not be over

    def action_back(self) -> None:
        if not self._filter.value and self.focused is not self._filter:
            self.dismiss(None)
            return
        self._filter.value = ""
        self._table.focus()

    def _readable(self) -> tuple[Listed, int] | None:
        """The conversation under the cursor and its turn, if it can be read."""
        if (line := self._line) is None:
            return None
        if line.row["session"].problem:
            self._message.update("! This one cannot be read. It can only be deleted.")
            return None
        return line.row["session"], line.row["turn"]

    def action_open_source(self) -> None:
        if (found := self._readable()) is not None:
            self._continue(lambda: load_resumed(self._core, found[0].id, found[1]))

    def action_branch(self) -> None:
        if (found := self._readable()) is not None:
            branch = self._core.store.branch
            self._continue(lambda: load_resumed(self._core, branch(found[0].id, found[1] or None).id))

    @work
    async def action_rename(self) -> None:
        if (found := self._readable()) is not None:
            one, store = found[0], self._core.store
            title = await self.app.push_screen_wait(InputScreen("New title", value=one.title))
            if title:
                self._change(lambda: f"Renamed: {clean_line(store.retitle(one.id, title).title)}")

    @work
    async def action_export(self) -> None:
        if (found := self._readable()) is not None:
            with self._errors_shown():
                session = await self.app.threads["pages"].result(lambda: self._core.store.load(found[0].id))
                await export_session(self.app, self._core, session)

    @work
    async def action_delete(self) -> None:
        if (line := self._line) is None:
            return
        one: Listed = line.row["session"]
        title = clean_line(one.title) or one.id
        about = "Its questions, answers and quotes are deleted for good. Libraries, documents and exports are kept."

        def delete() -> str:
            self._core.store.delete(one.id)
            self.deleted.add(one.id)
            return f"Deleted: {title}"

        if await self.app.push_screen_wait(ConfirmScreen(f"Delete “{title}”?", about)):
            self._change(delete)


async def export_session(app: LocalragApp, core: Core, session: Session, form: Form = "md") -> None:
    """Ask for a file and write a conversation to it."""
    folder = Path.home() / "Documents"
    proposed = (folder if folder.is_dir() else Path.home()) / exports.file_name(session, form)

    def write(path: Path) -> None:
        record = core.store.record_of(*session.libraries)
        bind = partial(binder.pdf, engine=core.engine)
        exports.write(core.store.load(session.id), path, exports.form_of(path), record, replace=True, bind=bind)

    await export(
        app,
        f"Export “{session.title}”",
        "The file holds questions, answers and quotes, readable by you only.",
        str(proposed),
        [f".{one}" for one in FORMS],
        exports.form_of,
        write,
        "the conversation",
        session.libraries,
    )
