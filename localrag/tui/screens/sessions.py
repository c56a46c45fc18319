"""The conversations that were kept: listed and searched, opened, renamed, branched, exported, deleted.

The list has the keyboard, so that single letters act; `/` goes to the search line, where typing searches titles,
questions, answers and quotes. Everything is read from the disk in a lane, and again after each change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from localrag.errors import LocalragError
from localrag.sessions.session import Listed, Session
from localrag.sessions.session_search import Hit, Searched
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import deliver
from localrag.tui.resuming import Resumed, ready
from localrag.tui.screens.export import ExportScreen
from localrag.tui.screens.small import LineScreen, SureScreen

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

HINT = "Enter opens · / searches · r renames · b branches · e exports · d deletes · Esc closes"
MOST_HITS = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list: a conversation, or a turn of one in which the words were found."""

    session: Listed
    turn: int = 0


class SessionsScreen(Screen[Resumed | None]):
    """The result is the conversation to go on with, or None."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Go on with it, from the turn that was found"),
        Binding("slash", "search", "Search all that was said"),
        Binding("r", "rename", "Give it another title"),
        Binding("b", "branch", "Go on with a copy, which ends with the turn that was found"),
        Binding("e,ctrl+e", "export", "Export it"),
        Binding("d,delete", "delete", "Delete it for good"),
        Binding("tab,shift+tab", "switch", "From the list to the search line, and back"),
        Binding("escape", "close", "Clear the search, or close"),
    ]

    class Read(Message):
        """What there is, read again; `said` is what was done to it."""

        def __init__(self, there: list[Listed], searched: Searched, said: str) -> None:
            super().__init__()
            self.there = there
            self.searched = searched
            self.said = said

    class Opened(Message):
        """A conversation that was asked for."""

        def __init__(self, resumed: Resumed) -> None:
            super().__init__()
            self.resumed = resumed

    class Loaded(Message):
        """A conversation to be exported."""

        def __init__(self, session: Session) -> None:
            super().__init__()
            self.session = session

    class Failed(Message):
        def __init__(self, error: LocalragError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, core: Core, current: str = "") -> None:
        super().__init__()
        self._core = core
        self._current = current
        self._there: list[Listed] | None = None  # until they are read
        self._searched = Searched(())
        self._rows: dict[str, Row] = {}
        self.deleted: set[str] = set()
        self._search = Input(placeholder="Search titles, questions, answers and quotes", id="sessions-search")
        self._search.cursor_blink = False
        self._list = OptionList(id="sessions-list")
        self._about = Static(id="sessions-about")
        self._said = Static(id="sessions-said")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            yield Static(Content.styled("Conversations", "bold"))
            yield self._search
            yield self._list
            yield self._about
            yield self._said
            yield Static(HINT, classes="quiet")

    def on_mount(self) -> None:
        self._list.focus()
        self._about.update("Reading …")
        self._do(lambda: "")

    # --- reading and changing -------------------------------------------------------------------------------

    def _do(self, change: Callable[[], str]) -> None:
        """Change something and read all again."""

        def work() -> None:
            said = change()
            deliver(self, self.Read(self._core.store.list(), Searched(self._core.store.all()), said))

        self._submit(work)

    def _submit(self, work: Callable[[], None]) -> None:
        self.app.lanes["pages"].submit(work, lambda error: deliver(self, self.Failed(error)))

    def on_sessions_screen_read(self, message: Read) -> None:
        self._there, self._searched = message.there, message.searched
        self._said.update(Content(message.said))
        self._fill()

    def on_sessions_screen_failed(self, message: Failed) -> None:
        self._said.update(error_content(message.error))

    # --- the list -------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> Row | None:
        """What the cursor is on."""
        option = self._list.highlighted_option
        return self._rows.get(option.id or "") if option is not None else None

    def on_input_changed(self) -> None:
        self._fill()

    def _fill(self) -> None:
        if self._there is None:
            return
        words = self._search.value.strip()
        before = self.chosen
        self._rows = {}
        options = []
        for row, line in self._found(words) if words else [(Row(one), self._line(one)) for one in self._there]:
            name = f"{row.session.id} {row.turn}"
            self._rows[name] = row
            options.append(Option(Content(line).truncate(max(20, self._list.size.width - 4), ellipsis=True), id=name))
        self._list.set_options(options)
        rows = list(self._rows.values())
        same = [at for at, row in enumerate(rows) if before is not None and row.session.id == before.session.id]
        self._list.highlighted = (same or [0])[0] if rows else None
        self._explain()

    def _found(self, words: str) -> list[tuple[Row, str]]:
        lines: list[tuple[Row, str]] = []
        seen: set[str] = set()
        for hit in self._searched.find(words)[:MOST_HITS]:
            if hit.session.id not in seen:
                seen.add(hit.session.id)
                lines.append((Row(hit.session), self._line(hit.session)))
            if hit.turn:
                lines.append((Row(hit.session, hit.turn), _hit(hit)))
        return lines

    def _line(self, one: Listed) -> str:
        if one.problem:
            return f"! {clean_line(one.id)}: cannot be read"
        mark = "▸" if one.id == self._current else " "
        turns = f"{one.turns} turn{'' if one.turns == 1 else 's'}"
        when = clean_line(one.changed[:16].replace("T", " "))
        return f"{mark} {when}  {turns:>9}  {clean_line(one.title)}"

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def on_option_list_option_highlighted(self) -> None:
        self._explain()

    def _explain(self) -> None:
        row = self.chosen
        if row is None:
            nothing = "Nowhere. Each word must stand in the same question, answer or quote."
            none = "There is no conversation yet: each is kept here from its first question on."
            self._about.update(Content(nothing if self._search.value.strip() else none))
            return
        one = row.session
        if one.problem:
            self._about.update(Content(f"{clean_line(one.problem)} It can be deleted, or restored from a copy."))
            return
        of = clean_line(", ".join(one.libraries)) or "no library"
        begun = clean_line(one.created[:16].replace("T", " "))
        where = f"Turn {row.turn} of {one.turns}. " if row.turn else ""
        here = " You are in it." if one.id == self._current else ""
        self._about.update(Content(f"{clean_line(one.title)}\n{where}Asked of {of}; begun {begun} (UTC).{here}"))

    # --- keys -----------------------------------------------------------------------------------------------

    def on_key(self, event: Key) -> None:
        """Lead keys to the search line that were pressed behind the slash before it had the keyboard."""
        if self.focused is self._search and event.is_printable and event.character:
            event.stop()  # the line takes what is typed in it itself, so this was on its way to the list
            self._search.insert_text_at_cursor(event.character)
        elif event.key == "slash":
            event.stop()  # here and not as a binding, which would come later than the letters behind it
            self.action_search()

    def action_search(self) -> None:
        self.set_focus(self._search)

    def action_switch(self) -> None:
        self.set_focus(self._list if self.focused is self._search else self._search)

    def action_close(self) -> None:
        if self._search.value:
            self._search.value = ""
            self.set_focus(self._list)
        elif self.focused is self._search:
            self.set_focus(self._list)
        else:
            self.dismiss(None)

    def on_input_submitted(self) -> None:
        self.set_focus(self._list)

    def on_option_list_option_selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        if (row := self._sound()) is not None:
            self._submit(
                lambda: deliver(self, self.Opened(self._ready(self._core.store.load(row.session.id), row.turn)))
            )

    def _ready(self, session: Session, turn: int) -> Resumed:
        return ready(self._core, session, turn)

    def on_sessions_screen_opened(self, message: Opened) -> None:
        self.dismiss(message.resumed)

    def action_rename(self) -> None:
        if (row := self._sound()) is None:
            return

        def renamed(title: str | None) -> None:
            if title:
                self._do(lambda: f"Renamed: {clean_line(self._core.store.retitle(row.session.id, title).title)}")

        self.app.push_screen(LineScreen("Another title", row.session.title), renamed)

    def action_branch(self) -> None:
        if (row := self._sound()) is not None:
            self._submit(
                lambda: deliver(
                    self, self.Opened(self._ready(self._core.store.branch(row.session.id, row.turn or None), 0))
                )
            )

    def action_export(self) -> None:
        if (row := self._sound()) is not None:
            self._submit(lambda: deliver(self, self.Loaded(self._core.store.load(row.session.id))))

    def on_sessions_screen_loaded(self, message: Loaded) -> None:
        self.app.push_screen(ExportScreen(self._core, message.session))

    def action_delete(self) -> None:
        row = self.chosen
        if row is None:
            return
        title = clean_line(row.session.title) or row.session.id

        def sure(yes: bool | None) -> None:
            if yes:
                self._do(lambda: self._delete(row.session.id, title))

        about = "Its questions, answers and quotes are gone then. Libraries and documents stay, and so do exports."
        self.app.push_screen(SureScreen(f"Delete “{title}” for good?", about), sure)

    def _delete(self, session_id: str, title: str) -> str:
        self._core.store.delete(session_id)
        self.deleted.add(session_id)
        return f"Deleted: {title}"

    def _sound(self) -> Row | None:
        """What the cursor is on, where it can be read."""
        row = self.chosen
        if row is not None and row.session.problem:
            self._said.update(Content("! This one cannot be read. It can only be deleted."))
            return None
        return row


def _hit(hit: Hit) -> str:
    return f"      {hit.turn}. {hit.where}: {clean_line(hit.snippet)}"
