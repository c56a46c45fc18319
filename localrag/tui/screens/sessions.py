"""The saved conversations: list, search, open, rename, branch, export, delete.

The list has the keyboard, so that single letters act; `/` goes to the search line. Everything is read from the disk in
a lane, and again after each change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from localrag.errors import LocalragError
from localrag.security.terminal import counted
from localrag.sessions import export as exports
from localrag.sessions.export import FORMS, Form
from localrag.sessions.session import Listed, Session
from localrag.sessions.session_search import Searched
from localrag.tui.chat_state import Resumed, load_resumed
from localrag.tui.lanes import Core
from localrag.tui.screens.dialogs import ConfirmScreen, InputScreen, export, field
from localrag.tui.text import clean_line, error_content

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

HINT = "Enter opens · / searches · r renames · b branches · e exports · d deletes · Esc closes"
MAX_HITS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation in the list, or a turn of one that the search has found."""

    session: Listed
    turn: int = 0


class SessionsScreen(Screen[Resumed | None]):
    """The result is the conversation to continue, or None."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Continue it, from the turn found"),
        Binding("slash", "search", "Search all conversations"),
        Binding("r", "rename", "Rename it"),
        Binding("b", "branch", "Continue in a copy that ends with the turn found"),
        Binding("e,ctrl+e", "export", "Export it"),
        Binding("d,delete", "delete", "Delete it"),
        Binding("escape", "close", "Clear the search, or close"),
    ]

    def __init__(self, core: Core, current: str = "") -> None:
        super().__init__()
        self._core = core
        self._current = current
        self._listed: list[Listed] | None = None  # until they are read
        self._searched = Searched(())
        self._rows: dict[str, Row] = {}
        self.deleted: set[str] = set()
        self._search = field(placeholder="Search titles, questions, answers and quotes", classes="search")
        self._list = OptionList(id="sessions-list")
        self._about = Static("Reading …", id="sessions-about")
        self._message = Static(classes="message")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            yield Static(Content.styled("Conversations", "bold"))
            yield from (self._search, self._list, self._about, self._message)
            yield Static(HINT, classes="quiet")

    def on_mount(self) -> None:
        self._list.focus()
        self._change(lambda: "")

    @work
    async def _change(self, change: Callable[[], str]) -> None:
        """Change something, read all again, and show what was done."""
        store = self._core.store

        def run() -> tuple[str, list[Listed], Searched]:
            return change(), store.list(), Searched(store.all())

        try:
            done, self._listed, self._searched = await self.app.lanes["pages"].result(run)
        except LocalragError as error:
            self._message.update(error_content(error))
            return
        self._message.update(Content(done))
        self._fill()

    @work
    async def _continue(self, load: Callable[[], Resumed]) -> None:
        try:
            self.dismiss(await self.app.lanes["pages"].result(load))
        except LocalragError as error:
            self._message.update(error_content(error))

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        option = self._list.highlighted_option
        return self._rows.get(option.id or "") if option is not None else None

    def on_input_changed(self) -> None:
        self._fill()

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        if self._listed is None:
            return
        words, before = self._search.value.strip(), self.chosen
        rows = self._found(words) if words else [(Row(one), self._line(one)) for one in self._listed]
        self._rows = {f"{row.session.id} {row.turn}": row for row, _ in rows}
        width = max(20, self._list.size.width - 4)
        self._list.set_options(
            Option(Content(line).truncate(width, ellipsis=True), id=f"{row.session.id} {row.turn}")
            for row, line in rows
        )
        same = [n for n, (row, _) in enumerate(rows) if before is not None and row.session.id == before.session.id]
        self._list.highlighted = (same or [0])[0] if rows else None
        self._explain()

    def _found(self, words: str) -> list[tuple[Row, str]]:
        lines: list[tuple[Row, str]] = []
        seen: set[str] = set()
        for hit in self._searched.find(words)[:MAX_HITS]:
            if hit.session.id not in seen:
                seen.add(hit.session.id)
                lines.append((Row(hit.session), self._line(hit.session)))
            if hit.turn:
                line = f"      {hit.turn}. {hit.where}: {clean_line(hit.snippet)}"
                lines.append((Row(hit.session, hit.turn), line))
        return lines

    def _line(self, one: Listed) -> str:
        if one.problem:
            return f"! {clean_line(one.id)}: cannot be read"
        mark = "▸" if one.id == self._current else " "
        when = clean_line(one.changed[:16].replace("T", " "))
        return f"{mark} {when}  {counted(one.turns, 'turn'):>9}  {clean_line(one.title)}"

    def on_option_list_option_highlighted(self) -> None:
        self._explain()

    def _explain(self) -> None:
        row = self.chosen
        if row is None:
            searching = bool(self._search.value.strip())
            words = (
                "Nothing found. All words must be in the same question, answer or quote."
                if searching
                else ("There is no conversation yet. Each is saved from its first question on.")
            )
            self._about.update(Content(words))
            return
        one = row.session
        if one.problem:
            self._about.update(Content(f"{clean_line(one.problem)} Delete it, or restore it from a backup."))
            return
        of = clean_line(", ".join(one.libraries)) or "no library"
        begun = clean_line(one.created[:16].replace("T", " "))
        turn = f"Turn {row.turn} of {one.turns}. " if row.turn else ""
        here = " This is the current conversation." if one.id == self._current else ""
        self._about.update(Content(f"{clean_line(one.title)}\n{turn}Library: {of}. Begun {begun} (UTC).{here}"))

    def on_key(self, event: Key) -> None:
        """Keys typed right after the slash go to the search line, even before it has the keyboard."""
        if self.focused is self._search and event.is_printable and event.character:
            event.stop()
            self._search.insert_text_at_cursor(event.character)
        elif event.key == "slash":  # a binding would come after the letters behind it
            event.stop()
            self.action_search()

    def action_search(self) -> None:
        self.set_focus(self._search)

    def action_close(self) -> None:
        if not self._search.value and self.focused is not self._search:
            self.dismiss(None)
            return
        self._search.value = ""
        self.set_focus(self._list)

    def on_input_submitted(self) -> None:
        self.set_focus(self._list)

    def on_option_list_option_selected(self) -> None:
        self.action_open()

    def _readable(self) -> Row | None:
        """The row under the cursor, if its conversation can be read."""
        row = self.chosen
        if row is not None and row.session.problem:
            self._message.update(Content("! This one cannot be read. It can only be deleted."))
            return None
        return row

    def action_open(self) -> None:
        if (row := self._readable()) is not None:
            self._continue(lambda: load_resumed(self._core, row.session.id, row.turn))

    def action_branch(self) -> None:
        if (row := self._readable()) is not None:
            store = self._core.store
            self._continue(lambda: load_resumed(self._core, store.branch(row.session.id, row.turn or None).id))

    @work
    async def action_rename(self) -> None:
        if (row := self._readable()) is not None:
            title = await self.app.push_screen_wait(InputScreen("New title", value=row.session.title))
            if title:
                store = self._core.store
                self._change(lambda: f"Renamed: {clean_line(store.retitle(row.session.id, title).title)}")

    @work
    async def action_export(self) -> None:
        if (row := self._readable()) is not None:
            try:
                session = await self.app.lanes["pages"].result(lambda: self._core.store.load(row.session.id))
            except LocalragError as error:
                self._message.update(error_content(error))
                return
            await export_session(self.app, self._core, session)

    @work
    async def action_delete(self) -> None:
        if (row := self.chosen) is None:
            return
        title = clean_line(row.session.title) or row.session.id
        about = "Its questions, answers and quotes are deleted for good. Libraries, documents and exports are kept."

        def delete() -> str:
            self._core.store.delete(row.session.id)
            self.deleted.add(row.session.id)
            return f"Deleted: {title}"

        if await self.app.push_screen_wait(ConfirmScreen(f"Delete “{title}”?", about)):
            self._change(delete)


async def export_session(app: LocalragApp, core: Core, session: Session, form: Form = "md") -> None:
    """Ask for a file and write a conversation to it."""
    folder = Path.home() / "Documents"
    proposed = (folder if folder.is_dir() else Path.home()) / exports.file_name(session, form)

    def write(path: Path) -> None:
        record = core.store.record_of(*session.libraries)
        exports.write(core.store.load(session.id), path, exports.form_of(path), record, replace=True)

    about = "The file holds questions, answers and quotes, readable by you only."
    endings = [f".{one}" for one in FORMS]
    await export(
        app,
        f"Export “{session.title}”",
        about,
        str(proposed),
        endings,
        exports.form_of,
        write,
        "the conversation",
        session.libraries,
    )
