"""The conversation with a library: ask, watch the answer come, look at its sources.

A composition: each part does its own work (asking, the conversation, the source), and the screen leads the keyboard
between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen

from localrag.search import filters
from localrag.tui.completing import Known
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.jobs import Lane, deliver
from localrag.tui.resuming import Resumed, branched, set_back, wanted_form
from localrag.tui.talk import Held, Scope, Talk, Trouble, counted, look_at
from localrag.tui.widgets.asking import Asking
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.completions import Completions
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.library import LibraryPane
from localrag.tui.widgets.library_tree import LibraryTree
from localrag.tui.widgets.narrowed import NarrowedLine
from localrag.tui.widgets.panels import Panels
from localrag.tui.widgets.question import QuestionInput
from localrag.tui.widgets.results import ResultsPreview
from localrag.tui.widgets.source import SourcePane, SourceText
from localrag.tui.widgets.source_deeds import SourceDeeds
from localrag.tui.widgets.status import Standing, StatusLine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp


class ChatScreen(Screen[None]):
    """Conversation, source pane, question line, status line."""

    app: LocalragApp

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Stop the answer; else back to the question"),
        Binding("tab", "next_panel(1)", "Next panel: question, library, citations, source"),
        Binding("shift+tab", "next_panel(-1)", "Previous panel"),
        Binding("f2", "toggle_source", "Show or hide the source"),
        Binding("f3", "step_citation(-1)", "Source of the previous citation"),
        Binding("f4", "step_citation(1)", "Source of the next citation"),
        Binding("ctrl+o", "open_file", "Open the file of the source in the system's viewer"),
        Binding("f5", "toggle_thoughts", "Show or hide what the model thought"),
        Binding("f9", "again", "Answer again, by another plan"),
        Binding("ctrl+n", "unfold_notes", "Show or fold all that limits the answers"),
        Binding("ctrl+t", "table", "Table of the last survey: sort, filter, export"),
        Binding("f6", "toggle_library", "Show or hide the library"),
        Binding("pageup", "page(-1)", "Scroll the conversation up"),
        Binding("pagedown", "page(1)", "Scroll the conversation down"),
        Binding("ctrl+l", "new_talk", "New conversation"),
        Binding("f7", "sessions", "Conversations: open, search, rename, branch, delete"),
        Binding("ctrl+e", "export", "Export this conversation"),
    ]
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = [
        ("Question", QuestionInput),
        ("Citation or source", Panels),
        ("Its page, quote and file", SourceDeeds),
        ("Citation", CitationLine),
        ("Source", SourceText),
        ("Library", LibraryPane),
        ("Library, on a document or folder", LibraryTree),
    ]

    class Counted(Message):
        """What the libraries hold."""

        def __init__(self, held: Held) -> None:
            super().__init__()
            self.held = held

    def __init__(
        self, core: Core, scope: Scope, clock: Callable[[], float], resumed: Resumed | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        self._core = core
        self._clock = clock
        self._resumed = resumed
        self._held: Held | None = None
        self._filled: Mapping[str, int] = {}  # of the last answer
        self._thoughts = False
        self._conversation = Conversation(clock)
        self._source = SourcePane(core)
        self._panels = Panels(self._conversation, self._source)
        self._asking = Asking(core, scope, self._conversation)
        self._library = LibraryPane(core, scope.libraries, clock, scope.only.these)
        self._narrowed = NarrowedLine()
        self._status = StatusLine()

    def compose(self) -> ComposeResult:
        with Container(id="desk"):
            yield self._library
            yield self._panels
        yield self._narrowed
        yield self._asking
        yield self._asking.popup
        yield self._status

    def on_mount(self) -> None:
        self._asking.field.focus()
        self.watch(self.app, "model", self._model_changed)
        if self._resumed is not None:
            self.call_after_refresh(self._resume, self._resumed)
        self.pages.submit(
            lambda: deliver(self, self.Counted(look_at(self._core, self.scope.libraries))),
            lambda error: deliver(self, Trouble(error)),
        )

    @property
    def pages(self) -> Lane:
        return self.app.lanes["pages"]

    @property
    def scope(self) -> Scope:
        """What the next question is asked of."""
        return self._asking.scope

    @property
    def known(self) -> Known:
        """Documents, models and libraries, as far as they have been looked up."""
        return self._asking.known

    def type_in(self, text: str) -> None:
        """Put words into the question field, for the person to go on with."""
        self._asking.field.value = text
        self._asking.field.focus()

    # --- asking ---------------------------------------------------------------------------------------------

    @property
    def answering(self) -> bool:
        """True while an answer is on its way and was not stopped."""
        return self._asking.answering

    def stop_answer(self) -> bool:
        """Stop the answer that is on its way, and take waiting questions back; False if there is nothing to do."""
        return self._asking.stop_all()

    async def on_asking_commanded(self, message: Asking.Commanded) -> None:
        await self.run_action(message.command.call(message.argument))

    def on_asking_rescoped(self) -> None:
        self._draw_status()

    def on_completions_chosen(self, message: Completions.Chosen) -> None:
        self._asking.take_offer(message.offer)

    def on_asking_done(self, message: Asking.Done) -> None:
        self._filled = message.answer.context or self._filled
        self._draw_status()
        if message.answer.citations:
            self._panels.offer(message.asked.view)

    async def action_again(self, way: str = "") -> None:
        await self._asking.again(way)

    async def on_trouble(self, message: Trouble) -> None:
        await self._conversation.show_error(message.error)

    def action_instructions(self) -> None:
        told = " ".join(clean_line(text) for text in self._instructions)
        words = f"Answers are worded as you said: {told}" if told else "Answers are worded as the model words them."
        self.notify(f"{words} To change it: localrag instruct {self.scope.libraries[0]} TEXT", markup=False)

    # --- sources --------------------------------------------------------------------------------------------

    def action_step_citation(self, step: int) -> None:
        if not self._panels.step(step):
            self._no_citation()

    def action_focus_source(self) -> None:
        self._source.focus_text()

    def action_toggle_source(self) -> None:
        if not self._panels.toggle():
            self._no_citation()

    def action_open_file(self) -> None:
        if self._panels.chosen or self._panels.step(1):
            self._panels.action_open_file()
        else:
            self._no_citation()

    def _no_citation(self) -> None:
        self.notify("There is no citation yet.", markup=False)

    def on_panels_left(self) -> None:
        self._asking.field.focus()

    # --- the library ----------------------------------------------------------------------------------------

    def action_toggle_library(self) -> None:
        if self._library.has_focus_within:
            self._library.display = False
            self._asking.field.focus()
        else:
            self._library.show()

    def on_library_pane_narrowed(self, message: LibraryPane.Narrowed) -> None:
        self._asking.scope = replace(self.scope, only=replace(self.scope.only, these=message.these))
        self._narrowed.show(message.these, self._held.documents if self._held is not None else None)

    def on_library_pane_wanted(self, message: LibraryPane.Wanted) -> None:
        self._library.display = self.has_class("-wide")
        self._panels.read(message.library, message.document, message.page)

    def on_library_pane_changed(self, message: LibraryPane.Changed) -> None:
        self.post_message(self.Counted(counted(message.shelves)))

    def on_question_input_submitted(self) -> None:
        # In a narrow terminal the library covers the answer.
        self._library.display = self._library.display and self.has_class("-wide")

    def action_toggle_thoughts(self) -> None:
        self._thoughts = not self._thoughts
        if not self._conversation.show_thoughts(self._thoughts):
            self._thoughts = False
            self.notify("Nothing was thought. Models that can: localrag chat --think on", markup=False)

    def action_unfold_notes(self) -> None:
        if not self._conversation.unfold_notes():
            self.notify("All that limits the answers is shown.", markup=False)

    def action_table(self) -> None:
        from localrag.tui.screens.results import ResultsScreen

        if (rows := self._conversation.newest_results()) is None:
            self.notify("No answer here has a table. Ask what each document says, or how many do.", markup=False)
        else:
            self.app.push_screen(ResultsScreen(self._core, rows))

    def on_results_preview_wanted(self, message: ResultsPreview.Wanted) -> None:
        from localrag.tui.screens.results import ResultsScreen

        self.app.push_screen(ResultsScreen(self._core, message.results))

    # --- moving about ---------------------------------------------------------------------------------------

    def action_escape(self) -> None:
        if self._asking.stop():
            return
        if self._library.display and not self.has_class("-wide"):
            self._library.display = False
        elif self._source.display and not self.has_class("-wide"):
            self._panels.hide()
        self._asking.field.focus()

    def action_next_panel(self, step: int) -> None:
        panels = [
            "question",
            *(["library"] if self._library.display else []),
            *(["citations"] if self._conversation.citations() else []),
            *(["source"] if self._source.display else []),
        ]
        here = "question"
        if self._library.has_focus_within:
            here = "library"
        elif isinstance(self.focused, CitationLine) or self._panels.reading:
            here = "source" if self._panels.reading else "citations"
        there = panels[(panels.index(here) + step) % len(panels)]
        if there == "question":
            self._asking.field.focus()
        elif there == "library":
            self._library.show()
        elif there == "source":
            self.action_focus_source()
        else:
            self._panels.focus_citation()

    def action_page(self, pages: int) -> None:
        if pages < 0:
            self._conversation.release_anchor()
        self._conversation.scroll_relative(y=pages * (self._conversation.size.height - 2), animate=False)

    async def action_new_talk(self) -> None:
        self._asking.begin(Talk())
        self._filled = {}
        self._draw_status()
        self._panels.forget()
        self._asking.field.focus()
        await self._conversation.clear()
        self._draw_status()

    # --- conversations --------------------------------------------------------------------------------------

    async def _resume(self, resumed: Resumed) -> None:
        """Show what was said, and go on as it was left."""
        self._asking.begin(resumed.talk())
        self._asking.field.value = resumed.session.draft
        await self._conversation.replay(resumed.session)
        answers = [turn.answer for turn in resumed.session.turns if turn.answer is not None]
        self._filled = next((answer.context for answer in reversed(answers) if answer.context), {})
        self._library.tick(resumed.scope.only.these)
        changed, notes = set_back(self.app.preferences, resumed, self.app.model.id)
        for name in changed:
            self.app.settings_changed(name)
        for note in (*resumed.notes, *notes):
            await self._conversation.say(note)
        await self._conversation.show_turn(resumed.turn)
        self._draw_status()

    @work
    async def action_sessions(self) -> None:
        """Choose a conversation to go on with."""
        from localrag.tui.screens.sessions import SessionsScreen

        session = self._asking.talk.session
        listing = SessionsScreen(self._core, session.id if session else "")
        resumed = await self.app.push_screen_wait(listing)
        if resumed is not None:
            self.app.go_on(resumed)
        elif session is not None and session.id in listing.deleted:
            await self.action_new_talk()

    def action_export(self, form: str = "") -> None:
        """Write this conversation to a file; `form` is a format by name or ending."""
        from localrag.tui.screens.export import ExportScreen

        session = self._asking.talk.session
        if session is None or not session.turns:
            self.notify("There is nothing to export yet. F7 lists earlier conversations.", markup=False)
            return
        self.app.push_screen(ExportScreen(self._core, session, wanted_form(form)))

    def action_branch(self) -> None:
        """Go on in a copy of this conversation up to the answer that the keyboard is in, else to the last."""
        session = self._asking.talk.session
        number = self._conversation.answered(self.focused)
        if session is None or number == 0:
            self.notify("There is no answer yet to branch from.", markup=False)
            return
        self.app.make_ready(lambda: branched(self._core, session.id, number))

    # --- status ---------------------------------------------------------------------------------------------

    def on_chat_screen_counted(self, message: Counted) -> None:
        self._held = message.held
        self._narrowed.show(self.scope.only.these, message.held.documents)
        self._draw_status()

    async def _model_changed(self) -> None:
        self._draw_status()
        if self.app.model.state == "failed" and self.app.model.error is not None:
            await self._conversation.show_error(self.app.model.error)

    @property
    def _instructions(self) -> tuple[str, ...]:
        return self._held.instructions if self._held is not None else ()

    def _draw_status(self) -> None:
        scope = self.scope
        narrowed = filters.described(replace(scope.only, these=()))
        session = self._asking.talk.session
        title = session.title if session else ""
        standing = Standing(self.app.model.words, scope.libraries, narrowed=narrowed, mode=scope.mode, title=title,
                            context=self._filled, ready=self.app.model.state == "ready")  # fmt: skip
        self._status.show(standing if self._held is None else standing.with_held(self._held))
        self._conversation.greeting.show(scope.libraries, narrowed, self._instructions)
