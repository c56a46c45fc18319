"""The conversation, and beside it the source of the chosen citation, with the keys that work on both."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Collapsible, OptionList, Static

from localrag.answer.checks import references
from localrag.answer.checks.cited_page import STATES
from localrag.answer.checks.references import Form
from localrag.errors import LocalragError
from localrag.security.offline import viewer_process
from localrag.security.terminal import counted
from localrag.tui import viewing
from localrag.tui.text import clean_line, error_content, error_line, question_line, shorten
from localrag.tui.widgets.source import SourcePane
from localrag.tui.widgets.status import Column
from localrag.worker.engine import Opened

if TYPE_CHECKING:
    from localrag.sessions.session_store import SavedTurn, Session
    from localrag.tui.app import LocalragApp
    from localrag.tui.widgets.turn import CitationLine, TurnView

FirstPage = Mapping[str, Any]  # of a library, as the engine hands it out

MAX_COMING, MAX_EXAMPLES, MAX_TITLE = 3, 5, 60
LEAST = 20  # hundredths of the room for the conversation, and for the source
NEWEST = 2  # turns of a saved conversation that are drawn at once; drawing one takes 50 ms
_COPIED: dict[Form, str] = {
    "text": "Copied the quote with its reference.",
    "markdown": "Copied the quote with its reference, as Markdown.",
    "words": "Copied the quoted words.",
}


class PastTurn(Static):
    """A saved turn that is not drawn yet: its question alone."""

    def __init__(self, saved: SavedTurn) -> None:
        super().__init__(Content.styled(question_line(saved.question), "bold"))
        self.saved = saved


class Conversation(VerticalScroll, can_focus=False):
    """Turns, oldest first, and errors that belong to none.

    It follows the newest words until it is scrolled, or until their turn fills it: then it stays at the question.
    """

    def __init__(self) -> None:
        super().__init__(id="conversation")
        self._how, self._held, self.examples = Static(), Static(id="held"), OptionList(id="examples")
        self.greeting = Vertical(self._how, self._held, self.examples, id="greeting")
        self.examples.display = False
        self._kept: TurnView | None = None  # the turn whose beginning stays in view
        # At least as high as the view, because an anchored view pushes shorter content to its lower edge.
        self._turns = Column(id="turns")

    def compose(self) -> ComposeResult:
        with self._turns:
            yield self.greeting

    def on_mount(self) -> None:
        self.anchor()

    def greet(self, libraries: Sequence[str], narrowed: str, instructions: Sequence[str]) -> None:
        """Say what is asked (`narrowed` is the filter in words) and how to begin, until there is a question."""
        of = ", ".join(clean_line(name) for name in libraries)
        only = f", only documents {clean_line(narrowed)}" if narrowed else ""
        follow = "".join(f"Instructions for answers: {clean_line(text)}\n\n" for text in instructions)
        self._how.update(
            Content.assemble(
                (f"Ask about {of}{only}.\n\n", "bold"),
                "Every answer quotes the documents, with the page.\nIf they do not say, it tells you so.\n\n",
                f"{follow}Type a question below and press Enter.\n"
                "F1 lists the keys, / the commands. @ names a document. F6 shows all documents.",
            )
        )

    def introduce(self, pages: Sequence[FirstPage]) -> None:
        """Add to the greeting what the libraries hold, what comes next there, and questions that facts answer."""
        questions = [clean_line(one) for page in pages for one in page["questions"]][:MAX_EXAMPLES]
        lines = [f"\nFirst page (Ctrl+G): {held(pages)}"] if any(page["documents"] for page in pages) else []
        lines += coming(pages, MAX_TITLE)[:MAX_COMING]
        lines += ["Some questions; Tab goes to them, Enter takes one:"] if questions else []
        self._held.update(Content("\n".join(lines)))
        self.examples.set_options(Content(one) for one in questions)
        self.examples.highlighted = 0 if questions else None
        self.examples.display = bool(questions)

    async def begin(self, question: str, heading: str = "") -> TurnView:
        """Add a turn; `heading` replaces a question that is shown above already."""
        from localrag.tui.widgets.turn import TurnView

        self.greeting.display = False
        turn = TurnView(question, heading)
        await self._turns.mount(turn)
        self.anchor()
        self._kept = turn
        return turn

    def release_anchor(self) -> None:
        """Stay where the person scrolls to."""
        self._kept = None
        super().release_anchor()

    @property
    def at_beginning(self) -> bool:
        """Whether the newest turn has been shown from its beginning, and nobody scrolled since."""
        return self._kept is not None

    def on_resize(self) -> None:
        self.on_turn_view_resized()

    def on_turn_view_resized(self) -> None:
        turn = self._kept
        if turn is not None and turn.is_attached and turn.size.height >= self.size.height:
            super().release_anchor()
            self.scroll_to(y=turn.virtual_region.y, animate=False, immediate=True, release_anchor=False)

    async def say(self, text: str) -> None:
        """Add a remark that belongs to no answer."""
        self.greeting.display = False
        await self._turns.mount(Static(Content(f"! {clean_line(text)}"), classes="remark"))

    async def show_error(self, error: LocalragError) -> None:
        await self._turns.mount(Static(error_content(error), classes="error"))

    async def clear(self) -> None:
        for turn in self.views():
            await turn.close()
        await self._turns.query("#turns > *").exclude("#greeting").remove()
        self._kept = None
        self.greeting.display = True
        self.anchor()

    def views(self) -> list[TurnView]:
        """The turns that are drawn, oldest first."""
        return cast("list[TurnView]", list(self.query("TurnView")))

    def citations(self) -> list[CitationLine]:
        return cast("list[CitationLine]", list(self.query("CitationLine")))

    def jump(self, step: int) -> None:
        """Go to the question after (1) or before (-1) what is at the top of the view."""
        tops, now = [view.virtual_region.y for view in self.views()], round(self.scroll_y)
        beyond = [top for top in tops if (top > now if step > 0 else top < now)]
        if beyond:
            self.scroll_to(y=beyond[0 if step > 0 else -1], animate=False)
        elif step > 0:
            self.anchor()

    def toggle_folded(self) -> bool:
        """Unfold all that is folded, or fold it again; False if there is nothing."""
        folded = [one for one in self.query(Collapsible) if one.display]
        collapse = not any(one.collapsed for one in folded)
        for one in folded:
            one.collapsed = collapse
        return bool(folded)

    async def replay(self, session: Session, turn: int = 0) -> None:
        """Show a saved conversation from turn `turn` (counted from 1; 0 is the end)."""
        if session.turns:
            self.greeting.display = False
        if session.origin is not None:
            await self.say(f"Branched from “{session.origin.title}” after turn {session.origin.turns}.")
        past = [PastTurn(saved) for saved in session.turns]
        await self._turns.mount(*past)
        for one in past if turn else past[-NEWEST:]:
            await self._draw(one)
        if 1 <= turn <= len(past):
            self.release_anchor()
            await self._laid_out()
            self.scroll_to(y=self.views()[turn - 1].virtual_region.y, animate=False, immediate=True)
        self._draw_older()

    @work(exclusive=True)
    async def _draw_older(self) -> None:
        """Draw the other turns, newest first, and keep what is in view in its place."""
        for past in reversed(list(self.query(PastTurn))):
            end, top = past.virtual_region.bottom, self.scroll_offset.y
            height = past.virtual_region.height
            view = await self._draw(past)
            await self._laid_out()
            at_end = self.is_anchored and self.scroll_y >= self.max_scroll_y
            if end <= top and not at_end:
                self.scroll_relative(y=view.virtual_region.height - height, animate=False, immediate=True)

    async def _draw(self, past: PastTurn) -> TurnView:
        from localrag.tui.widgets.turn import TurnView

        view = TurnView(past.saved.question)
        with self.app.batch_update():
            await self._turns.mount(view, before=past)
            await view.replay(past.saved)
            await past.remove()
        return view

    async def _laid_out(self) -> None:
        done = asyncio.Event()
        self.call_after_refresh(done.set)
        await done.wait()


class SourceKeys(Container):
    """A container whose keys work on the source in it."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "turn(-1)", "Previous page"),
        Binding("right_square_bracket", "turn(1)", "Next page"),
        Binding("alt+y,ctrl+y", "copy('text')", "Copy the quote with its reference"),
        Binding("alt+m", "copy('markdown')", "Copy it as Markdown"),
        Binding("alt+w", "copy('words')", "Copy the quoted words alone"),
        Binding("alt+i", "picture", "Show the page as a picture, or as text"),
        Binding("alt+o,ctrl+o", "open_file", "Open the file at this page in the system's viewer"),
    ]

    def __init__(self, source: SourcePane, **given: Any) -> None:
        super().__init__(**given)
        self.source = source
        self._warned: Path | None = None  # a file whose viewer may use the network, not opened yet

    def on_descendant_focus(self) -> None:
        self.set_class(self.has_focus_within, "-focused")

    def on_descendant_blur(self) -> None:
        self.set_class(self.has_focus_within, "-focused")  # the blur may come after the focus

    def action_turn(self, step: int) -> None:
        if not self.source.turn(step):
            self._say("This is the last page." if step > 0 else "This is the first page.")

    def action_picture(self) -> None:
        """Switch between picture and text, and save the choice."""
        if why_not := self.source.toggle_picture():
            self._say(why_not, warning=True)
            return
        preferences = self.app.preferences
        try:
            choice = "picture" if self.source.as_picture else "text"
            preferences.change(preferences.knob("source_view"), "file", choice)
        except LocalragError as error:  # it is shown anyway
            self._say(error_line(error), warning=True)

    def action_copy(self, form: Form) -> None:
        """Copy the quote through the terminal (OSC 52), which also works over SSH."""
        citation, opened = self.source.citation, self.source.opened
        if citation is None:
            self._say("There is no quote here.")
            return
        self.app.copy_to_clipboard(references.format_quote(citation, opened.document if opened else None, form))
        in_tmux = " In tmux this needs: set -s set-clipboard on" if os.environ.get("TMUX") else ""
        self._say(_COPIED[form] + in_tmux)

    def action_open_file(self) -> None:
        self.source.when_opened(self._open_file)

    @work
    async def _open_file(self, opened: Opened) -> None:
        file = Path(opened.recording or opened.file)
        if opened.state in ("missing", "elsewhere"):
            self._say(f"{STATES[opened.state]} {opened.file}", warning=True)
            return
        if viewing.loads_remote_content(file) and self._warned != file:
            self._warned = file
            self._say("Its viewer may load pictures from the network. Press the key again to open it.", warning=True)
            return
        # Inside a mail or an archive, page numbers are not those of the file.
        own = opened.document.path == (opened.document.file or opened.document.path)
        page = opened.page.number if own and opened.page.unit == "page" else None
        engine, citation = self.app.core.engine, self.source.citation

        def show() -> bool:
            if citation is not None:  # recorded first: what cannot be recorded is not opened
                engine.note_opened(citation.library, opened.document.path, opened.page.number)
            return viewer_process.show(file.absolute(), page, viewing.show)

        try:
            at_page = await self.app.threads["viewing"].result(show)
        except LocalragError as error:
            self._say(error_line(error), warning=True)
            return
        lines = [f"Opened {file.name}."]
        if opened.document.file and opened.document.file != opened.document.path:
            lines.append(f"Look in it for {opened.document.path.removeprefix(opened.document.file).strip('/')}.")
        if page is not None and not at_page:
            lines.append(f"Go to page {page}: this viewer cannot be sent there.")
        if opened.recording and citation is not None and citation.place:
            lines.append(f"Listen from {citation.place}.")
        if opened.state == "changed":
            lines.append("The file has changed since it was read.")
        self._say(" ".join(lines))

    def _say(self, text: str, warning: bool = False) -> None:
        self.notify(clean_line(text), severity="warning" if warning else "information", timeout=8)


class Panels(SourceKeys):
    """Conversation and source. A chosen citation stays chosen while its source is hidden."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+n", "step(1)", "Next citation; on a citation also Down"),
        Binding("alt+p", "step(-1)", "Previous citation; on a citation also Up"),
        Binding("alt+r", "screen.proofread", "Proofread the document of the source"),
        Binding("enter", "enter", "From a citation to its source; in the source, back to the quote"),
    ]

    def __init__(self, conversation: Conversation, source: SourcePane) -> None:
        super().__init__(source, id="panels")
        self.conversation = conversation
        self._chosen: CitationLine | None = None
        self._share = 50  # of the room, for the source

    def compose(self) -> ComposeResult:
        yield self.conversation
        yield self.source

    @property
    def chosen(self) -> CitationLine | None:
        """The citation whose source is or was shown."""
        return self._chosen if self._chosen is not None and self._chosen.is_attached else None

    @property
    def reading(self) -> bool:
        """Whether the keyboard is in the source."""
        return self.source.has_focus_within

    def offer(self, view: TurnView) -> None:
        """Show the first source of a new answer if there is room beside the conversation."""
        lines = [line for line in self.conversation.citations() if view in line.ancestors]
        if lines and self.screen.has_class("-wide") and not self.has_focus_within:
            self.choose(lines[0])

    def choose(self, line: CitationLine) -> None:
        """Show the source of a citation."""
        self._unmark()
        self._chosen = line
        line.mark(True)
        self.source.display = True
        siblings = [one for one in self.conversation.citations() if one.parent is line.parent]
        others = [one.citation for one in siblings if one is not line]
        self.source.open(line.citation, siblings.index(line) + 1, len(siblings), others)

    def read(self, library: str, document: str, page: int | None) -> None:
        """Show a page of a document without a citation, and put the keyboard there."""
        self._unmark()
        self.source.display = True
        self.source.read(library, document, page)
        self.source.focus_text()

    def step(self, step: int, focus: bool = False) -> bool:
        """Go to another citation (with `focus` the keyboard too, and at the end to the question); False without one."""
        lines = self.conversation.citations()
        if not lines:
            return False
        if self._chosen in lines:
            at = lines.index(self._chosen) + step
        else:
            at = _newest(lines) if step > 0 else len(lines) - 1
        if focus and at >= len(lines):
            self.call_next(self.screen.run_action, "back_to_question")
            return True
        line = lines[max(0, min(len(lines) - 1, at))]
        if focus:
            line.focus(scroll_visible=False)
        else:
            self.choose(line)
        self.conversation.release_anchor()
        self.call_after_refresh(line.scroll_visible, animate=False)  # the source may just have taken room
        return True

    def cite(self, number: int) -> bool:
        """Show the source of this citation of the newest answer; False if there is none."""
        lines = self.conversation.citations()
        if not lines or len(lines) - _newest(lines) < number:
            return False
        self.choose(lines[_newest(lines) + number - 1])
        return True

    def resize(self, step: int) -> None:
        """Give the source more or fewer hundredths of the room."""
        self._share = max(LEAST, min(100 - LEAST, self._share + step))
        self._divide()

    def _divide(self) -> None:
        """Share the room in the direction in which the two stand. In the other, 2fr would be twice the room."""
        wide = self.screen.has_class("-wide")
        for panel, share in ((self.source, self._share), (self.conversation, 100 - self._share)):
            panel.styles.width = f"{share}fr" if wide else "1fr"
            panel.styles.height = "1fr" if wide else f"{share}fr"

    def focus_citation(self) -> None:
        """Put the keyboard on the chosen citation, or on the first of the newest answer."""
        if lines := self.conversation.citations():
            (self._chosen if self._chosen in lines else lines[_newest(lines)]).focus()

    def toggle(self) -> bool:
        """Show or hide the source; False if there is none."""
        if self.source.display:
            self.hide()
        elif (line := self.chosen) is None:
            return self.step(1)
        else:
            self.choose(line)
        return True

    def hide(self) -> None:
        if self.reading:
            self.call_next(self.screen.run_action, "back_to_question")
        self.source.display = False
        self._unmark()

    def forget(self) -> None:
        """Hide the source and choose nothing, for a new conversation."""
        self.hide()
        self._chosen = None

    def _unmark(self) -> None:
        if (line := self.chosen) is not None:
            line.mark(False)

    def on_citation_line_focused(self, message: CitationLine.Focused) -> None:
        self.conversation.release_anchor()
        self.choose(message.line)

    def on_citation_line_moved(self, message: CitationLine.Moved) -> None:
        self.step(message.step, focus=True)

    def on_resize(self) -> None:
        self.call_after_refresh(self._divide)  # the terminal may have become wide or narrow
        line = self.chosen if self.source.display and not self.conversation.at_beginning else None
        if line is not None:
            self.call_after_refresh(line.scroll_visible, animate=False)

    def action_step(self, step: int) -> None:
        self.step(step, focus=not self.reading)

    def action_enter(self) -> None:
        if self.reading:
            self.source.return_to_quote()
        else:
            self.source.focus_text()


def _newest(lines: Sequence[CitationLine]) -> int:
    """The index of the first citation of the newest answer."""
    return next(at for at, line in enumerate(lines) if line.parent is lines[-1].parent)


def held(pages: Sequence[FirstPage]) -> str:
    """How many documents there are of each kind, and of which years: "2 documents: contract 2, 2019 to 2021"."""
    kinds = sum((Counter(page["kinds"]) for page in pages), Counter[str]())
    years = sorted({year for page in pages for year in page["years"]})
    each = [f"{clean_line(kind)} {count:,}" for kind, count in kinds.most_common()]
    each += [" to ".join(dict.fromkeys((years[0], years[-1])))] if years else []
    return counted(kinds.total(), "document") + ": " * bool(each) + ", ".join(each)


def coming(pages: Sequence[FirstPage], room: int) -> list[str]:
    """What comes next, the nearest first; a title is cut to fit into `room` cells."""
    rows = sorted((one for page in pages for one in page["ahead"]), key=lambda one: str(one["date"]))
    how = (f" ({clean_line(one['counted'])})" if one["counted"] else "" for one in rows)
    words = (f"{one['date']} {one['what']}: {shorten(clean_line(one['title']), room)}" for one in rows)
    return list(map("".join, zip(words, how, strict=True)))
