"""The conversation: widgets post messages, this screen connects them and moves the keyboard between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Callback, Event, Key, Paste
from textual.screen import Screen
from textual.widgets import OptionList, Static

from localrag.errors import LocalragError, UsageError
from localrag.search import filters
from localrag.security.terminal import counted
from localrag.tui.chat_state import ChatState, Resumed, Scope, Trouble, earlier_questions, restore_settings
from localrag.tui.commands import Known, names_in
from localrag.tui.text import clean, clean_line, shorten_all
from localrag.tui.threads import Core, Stop, deliver
from localrag.tui.widgets.asking import Asking, QuestionInput
from localrag.tui.widgets.library import LibraryPane, LibraryTree
from localrag.tui.widgets.panels import Conversation, FirstPage, Panels, SourceKeys
from localrag.tui.widgets.source import SourcePane, SourceText
from localrag.tui.widgets.status import Status, StatusLine
from localrag.worker.branches import Name, build
from localrag.worker.engine import Contents

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

MAX_NAMED, NAME_ROOM = 5, 28  # ticked documents that are named, and the cells for each


class ChatScreen(Screen[None]):
    """Library, conversation, source, question and status line."""

    app: LocalragApp

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Stop the answer; else back to the question"),
        Binding("tab", "next_panel(1)", "Next panel: question, citations, source, library"),
        Binding("shift+tab", "next_panel(-1)", "Previous panel"),
        Binding("f2", "toggle_source", "Show or hide the source"),
        Binding("f3", "step_citation(-1)", "Source of the previous citation"),
        Binding("f4", "step_citation(1)", "Source of the next citation"),
        Binding("alt+1", "cite(1)", "Source of the first citation of the newest answer, Alt+2 of the second …"),
        *(Binding(f"alt+{number}", f"cite({number})", show=False) for number in range(2, 10)),
        Binding("alt+left,alt+up", "resize(10)", "More room for the source"),
        Binding("alt+right,alt+down", "resize(-10)", "More room for the conversation"),
        Binding("ctrl+o", "open_file", "Open the file of the source in the system's viewer"),
        Binding("f5", "toggle_folded", "Show or hide reasoning, and what was not read"),
        Binding("f9", "again", "Answer again, with another plan"),
        Binding("ctrl+t", "table", "Table of the last survey: sort, filter, export"),
        Binding("ctrl+g", "overview", "First page: what there is, what comes next, facts of each document"),
        Binding("f6", "toggle_library", "Show or hide the library"),
        Binding("pageup", "page(-1)", "Scroll the conversation up"),
        Binding("pagedown", "page(1)", "Scroll the conversation down"),
        Binding("ctrl+up", "jump(-1)", "Question before"),
        Binding("ctrl+down", "jump(1)", "Question after; after the last, the end"),
        Binding("ctrl+l", "new_chat", "New conversation"),
        Binding("f7", "sessions", "Conversations: open, search, rename, branch, delete"),
        Binding("ctrl+e", "export", "Export this conversation"),
    ]
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = [
        ("Question", QuestionInput),
        ("Citation or source", Panels),
        ("Its page, quote and file", SourceKeys),
        ("Source", SourceText),
        ("Library", LibraryPane),
        ("Library, on a document or folder", LibraryTree),
    ]

    def __init__(self, core: Core, scope: Scope, resumed: Resumed | None = None) -> None:
        super().__init__()
        self._core = core
        self._resumed = resumed
        self._held: tuple[Contents, ...] = ()
        self._filled: Mapping[str, int] = {}  # of the last answer
        self._conversation = Conversation()
        self._source = SourcePane(core)
        self._panels = Panels(self._conversation, self._source)
        self._asking = Asking(core, scope, self._conversation, self._next_panel)
        self._library = LibraryPane(scope.libraries, scope.only.these)
        self._narrowed = Static(id="narrowed")
        self._narrowed.display = False
        self._status = StatusLine()

    def compose(self) -> ComposeResult:
        with Container(id="desk"):
            yield self._library
            yield self._panels
        yield from (self._narrowed, self._asking, self._asking.popup, self._status)

    def on_mount(self) -> None:
        self._asking.field.focus()
        self.watch(self.app, "model", self._model_changed)
        self.watch(self._asking, "scope", self._draw_status, init=False)
        if self._resumed is not None:
            self.call_after_refresh(self._resume, self._resumed)
        self.action_look(first=True)

    @property
    def scope(self) -> Scope:
        """What the next question is asked of."""
        return self._asking.scope

    @property
    def libraries(self) -> tuple[str, ...]:
        """All libraries there are, once they have been looked up."""
        return self._asking.known.libraries

    def type_in(self, text: str) -> None:
        """Put text into the question field."""
        self._asking.field.value = text
        self._asking.field.focus()

    @work(exclusive=True)
    async def action_look(self, first: bool = False) -> None:
        """Look up what the libraries hold, and what can be completed."""
        engine, libraries, pages = self._core.engine, self.scope.libraries, self.app.threads["pages"]
        try:
            held = await pages.result(lambda: tuple(engine.contents(name) for name in libraries))
            tops = await pages.result(lambda: build(held))
            found = await pages.result(lambda: (engine.models(), engine.libraries(), playbook_names()))
            if first:
                self._asking.field.remember(await pages.result(lambda: earlier_questions(self._core, libraries)))
        except LocalragError as error:
            self._library.show_error(error)
            await self._conversation.show_error(error)
            return
        # A name that cannot be typed as it is cannot be mentioned.
        paths = (one.document.path for each in held for one in each.documents)
        documents = tuple(dict.fromkeys(path for path in paths if clean_line(path) == path and '"' not in path))
        asking = self._asking
        names = tuple((each.library, one.document.path) for each in held for one in each.documents)
        asking.known = Known(documents, *found, names)
        asking.max_tokens = min((each.most for each in held), default=0)
        self._held = held
        self._library.show(held, tops)
        self._draw_status()
        self._look_further()

    def _look_further(self) -> None:
        """Look up the first pages for the greeting, while nothing else is looked up; an error leaves them out."""
        engine, libraries, conversation = self._core.engine, self.scope.libraries, self._conversation

        def introduce(pages: Sequence[FirstPage]) -> None:
            conversation.introduce(pages)
            self._asking.draw()

        def look(wanted: Stop) -> bool:
            pages = [engine.overview(name, stop=wanted) for name in libraries]
            if done := not wanted():
                deliver(conversation, Callback(partial(introduce, pages)))
            return done

        if conversation.greeting.display and not self.scope.only:
            self.app.threads["pages"].behind(look, lambda error: None)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        if message.option_list is self._conversation.examples:
            self.type_in(str(message.option.prompt))

    def on_key(self, event: Key) -> None:
        """Letters belong to the question wherever the keyboard is, but in the library, which has keys of its own."""
        letter = event.character or ""
        if event.is_printable and letter not in "[]" and not event.key.startswith("alt+"):
            self._type(event, letter)

    def on_paste(self, event: Paste) -> None:
        self._type(event, clean(event.text))

    def _type(self, event: Event, text: str) -> None:
        text = text if self._asking.field.value else text.lstrip(" ")  # a question does not begin with a space
        if not self._library.has_focus_within:
            event.stop()
            self._asking.field.focus()
            self._asking.field.insert(text)

    def stop_work(self) -> bool:
        """Stop the answer; False if there is none."""
        return self._asking.stop()

    def on_asking_done(self, message: Asking.Done) -> None:
        self._filled = message.answer.context or self._filled
        self._draw_status()
        if message.answer.citations or message.answer.nearest:
            self._panels.offer(message.view)

    async def on_trouble(self, message: Trouble) -> None:
        message.stop()
        await self._conversation.show_error(message.error)

    async def action_again(self) -> None:
        await self._asking.again()

    def action_step_citation(self, step: int) -> None:
        if not self._panels.step(step):
            self._say_no_citation()

    def action_cite(self, number: int) -> None:
        if not self._panels.cite(number):
            self.notify(f"The newest answer has no citation {number}.")

    def action_resize(self, step: int) -> None:
        self._panels.resize(step)

    def action_jump(self, step: int) -> None:
        self._conversation.jump(step)

    def action_toggle_source(self) -> None:
        if not self._panels.toggle():
            self._say_no_citation()

    def action_open_file(self) -> None:
        if self._panels.chosen or self._panels.step(1):
            self._panels.action_open_file()
        else:
            self._say_no_citation()

    def _say_no_citation(self) -> None:
        self.notify("There is no citation yet.")

    def action_back_to_question(self) -> None:
        self._asking.field.focus()

    def action_toggle_folded(self) -> None:
        if not self._conversation.toggle_folded():
            self.notify("Nothing is folded. For reasoning: localrag chat --think on")

    def action_table(self) -> None:
        views = reversed(self._conversation.views())
        if (results := next((view.results for view in views if view.results.lines), None)) is None:
            self.notify("No answer has a table. Ask what each document says, or how many do.")
        else:
            from localrag.tui.screens.table import ResultsScreen

            self.app.push_screen(ResultsScreen(self._core, results))

    @work
    async def action_review(self, named: str) -> None:
        """Check the ticked documents, or all, against a playbook: one that is shipped, by its name, or a file."""
        from localrag.items import playbook
        from localrag.tui.screens.review import ReviewScreen

        if self._asking.answering:
            self._asking.say_still_coming()
            return
        with self.app.errors_shown():
            loaded = await self.app.threads["pages"].result(lambda: playbook.load(str(Path(named).expanduser())))
            self.app.push_screen(ReviewScreen(self._core, loaded, self.scope))

    @work
    async def action_compare(self, argument: str) -> None:
        """Compare two or three documents or files; of one alone, offer its other versions."""
        from localrag.tui.screens.versions import VersionsScreen, ask_for_other

        named, libraries = names_in(argument), self.scope.libraries
        with self.app.errors_shown():
            chosen = named if len(named) in (2, 3) else await ask_for_other(self.app, named, libraries)
            if chosen:
                self.app.push_screen(VersionsScreen(self._core, chosen, libraries))

    def action_proofread(self, argument: str = "") -> None:
        """Find errors of drafting in a document: named, chosen in the library, or shown as the source."""
        from localrag.tui.screens.proofread import ProofreadScreen

        with self.app.errors_shown():
            self.app.push_screen(ProofreadScreen(self._core, self._document(argument)))

    def _document(self, argument: str) -> Name:
        """The document of a command. Raises UsageError where there is not one."""
        named, shown = names_in(argument), self._source.shown
        if argument:
            fits = (one for one in self._asking.known.names if named[0] in (one[1], one[1].rpartition("/")[2]))
            chosen = [next(fits, (self.scope.libraries[0], name)) for name in named]
        elif self._library.has_focus_within:
            chosen = [one.name for one in self._library.chosen()]
        else:
            chosen = [shown] if shown is not None else []
        if len(chosen) != 1:
            hint = "Name one (/proofread DOCUMENT), tick one in the library (F6), or open a page of one."
            raise UsageError(f"{counted(len(chosen), 'document')} chosen, and one is proofread", hint)
        return chosen[0]

    def action_overview(self) -> None:
        from localrag.tui.screens.overview import OverviewScreen

        self.app.push_screen(OverviewScreen(self._core, self.scope.libraries))

    def action_toggle_library(self) -> None:
        if self._library.has_focus_within:
            self._library.display = False
            self._asking.field.focus()
        else:
            self._library.open()
        self._asking.draw()

    def on_work_panel_finished(self) -> None:
        self.action_look()

    def on_library_pane_narrowed(self, message: LibraryPane.Narrowed) -> None:
        self._asking.scope = replace(self.scope, only=replace(self.scope.only, these=message.these))
        self._narrowed.display = bool(message.these)
        self._narrowed.update(narrowed_line(message.these, sum(len(each.documents) for each in self._held)))

    def on_library_pane_wanted(self, message: LibraryPane.Wanted) -> None:
        self._library.display = self.has_class("-wide")
        self._panels.read(message.library, message.document, message.page)
        self._asking.draw()

    @work
    async def action_add_folder(self) -> None:
        """Ask for a folder and read it into the library that the cursor is in."""
        from localrag.tui.screens.dialogs import ConfirmScreen, FolderSuggester, InputScreen, check_folder

        library = self._library.library
        typed = await self.app.push_screen_wait(
            InputScreen(f"Add a folder to {library}", suggester=FolderSuggester(), check=check_folder)
        )
        if not typed:
            return
        path = check_folder(typed)
        with self.app.errors_shown():
            found = await self.app.threads["reading"].result(lambda: self._core.engine.look_at(path))
            if not (found.known or found.files):
                self.notify(f"{clean_line(typed)} has no file that localrag can read.")
                return
            files = counted(found.files, "file")
            what = f"It is already in the library {found.library}." if found.known else f"{files}."
            if await self.app.push_screen_wait(ConfirmScreen(f"Read {typed} into {library}?", what)):
                self._library.read([(library, path)])

    @work
    async def action_forget(self) -> None:
        """Delete the text of the chosen documents, after a yes."""
        from localrag.tui.screens.dialogs import ConfirmScreen

        if not (names := [one.name for one in self._library.chosen()]):
            return
        what = clean_line(names[0][1]) if len(names) == 1 else counted(len(names), "document")
        about = "The files stay. Those in a folder of the library are read again with the folder."
        if await self.app.push_screen_wait(ConfirmScreen(f"Delete the text of {what}?", about)):
            self._library.forget(names)

    def on_question_input_submitted(self) -> None:
        # In a narrow terminal the library covers the answer.
        self._library.display = self._library.display and self.has_class("-wide")

    def action_escape(self) -> None:
        if self._asking.stop():
            return
        if self._library.display and not self.has_class("-wide"):
            self._library.display = False
        elif self._source.display and not self.has_class("-wide"):
            self._panels.hide()
        self._asking.field.focus()
        self._asking.draw()

    def _in_order(self) -> dict[str, Callable[[], object]]:
        """The panels that Tab goes through, and how to put the keyboard there."""
        examples = self._conversation.examples
        panels: dict[str, Callable[[], object]] = {"question": self._asking.field.focus}
        if self._conversation.greeting.display and examples.display:
            panels["examples"] = examples.focus
        if self._conversation.citations():
            panels["citations"] = self._panels.focus_citation
        if self._source.display:
            panels["source"] = self._source.focus_text
        if self._library.display:
            panels["library"] = self._library.open
        return panels

    def _next_panel(self) -> str:
        """Where Tab goes from the question; empty if there is nowhere to go."""
        return [*self._in_order(), ""][1]

    def action_next_panel(self, step: int) -> None:
        panels, examples = self._in_order(), self._conversation.examples
        here = "question"
        if examples.has_focus:
            here = "examples"
        elif self._library.has_focus_within:
            here = "library"
        elif self._panels.has_focus_within:
            here = "source" if self._panels.reading else "citations"
        names = list(panels)
        panels[names[(names.index(here) + step) % len(names)]]()

    def action_page(self, pages: int) -> None:
        if pages < 0:
            self._conversation.release_anchor()
        self._conversation.scroll_relative(y=pages * (self._conversation.size.height - 2), animate=False)

    async def action_new_chat(self) -> None:
        self._asking.switch(ChatState())
        self._filled = {}
        self._panels.forget()
        self._asking.field.focus()
        await self._conversation.clear()
        self._draw_status()

    @work
    async def _resume(self, resumed: Resumed) -> None:
        """Continue a saved conversation; a worker, because it waits for layouts, which need the message loop."""
        session = resumed.session
        self._asking.switch(ChatState.of(session))
        self._asking.field.value = session.draft
        self._library.tick(resumed.scope.only.these)
        answers = [turn.answer for turn in session.turns if turn.answer is not None]
        self._filled = next((answer.context for answer in reversed(answers) if answer.context), {})
        changed, notes = restore_settings(self.app.preferences, resumed, self.app.model.id)
        for name in changed:
            self.app.apply_setting(name)
        await self._conversation.replay(session, resumed.turn)
        for note in (*resumed.notes, *notes):
            await self._conversation.say(note)
        self._draw_status()

    @work
    async def action_sessions(self) -> None:
        from localrag.tui.screens.sessions import SessionsScreen

        session = self._asking.state.session
        listing = SessionsScreen(self._core, session.id if session else "")
        resumed = await self.app.push_screen_wait(listing)
        if resumed is not None:
            self.app.open_chat(resumed.scope, resumed)
        elif session is not None and session.id in listing.deleted:
            await self.action_new_chat()

    @work
    async def action_export(self, form: str = "") -> None:
        """Export this conversation; `form` is a format by name or ending."""
        from localrag.sessions.export import FORMS, NAMES
        from localrag.tui.screens.sessions import export_session

        session = self._asking.state.session
        if session is None or not session.turns:
            self.notify("There is nothing to export yet. F7 lists earlier conversations.")
            return
        named = next((one for one in FORMS if form.lower() in (one, NAMES[one].lower())), FORMS[0])
        await export_session(self.app, self._core, session, named)

    async def _model_changed(self) -> None:
        self._draw_status()
        if self.app.model.state == "failed" and self.app.model.error is not None:
            await self._conversation.show_error(self.app.model.error)

    def _draw_status(self) -> None:
        scope, model, held, session = self.scope, self.app.model, self._held, self._asking.state.session
        narrowed = filters.described(replace(scope.only, these=()))
        documents = [one for each in held for one in each.documents]
        warm = sum(one.tokens * min(1.0, one.share) for one in documents)
        self._status.show(
            Status(
                model.words,
                model.state == "ready",
                scope.libraries,
                documents=len(documents) if held else None,
                warm=warm / max(1, sum(one.tokens for one in documents)),
                max_tokens=self._asking.max_tokens,
                encrypted=bool(held) and all(one.encrypted for one in held),
                filter=narrowed,
                mode=scope.mode,
                title=session.title if session else "",
                context=self._filled,
            )
        )
        instructions = tuple(dict.fromkeys(each.instructions for each in held if each.instructions))
        self._conversation.greet(scope.libraries, narrowed, instructions)
        self._asking.draw()


def playbook_names() -> tuple[str, ...]:
    from localrag.items import playbook

    return tuple(playbook.names())


def narrowed_line(these: tuple[Name, ...], total: int) -> Content:
    """Which documents are ticked: "Only 3 of 120 documents: a.pdf, b.pdf, c.pdf"."""
    names = [clean_line(path.rsplit("/", 1)[-1]) for _, path in these[:MAX_NAMED]]
    short = shorten_all(names, NAME_ROOM)
    more = ", …" if len(these) > MAX_NAMED else ""
    number = f"{len(these):,} of {counted(total, 'document')}" if total else counted(len(these), "document")
    listed = ", ".join(short[name] for name in names)
    return Content.assemble((f"Only {number}", "bold"), f": {listed}{more} · F6, c: all again")
