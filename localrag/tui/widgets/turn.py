"""One question and its answer, drawn from the engine's events; imported late, as it takes Textual's Markdown along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Collapsible, Markdown, Static
from textual.widgets.markdown import MarkdownStream

from localrag import events
from localrag.answer import survey_table
from localrag.answer.checks import references
from localrag.answer.progress import Progress
from localrag.errors import LocalragError
from localrag.grounding import annotations as marks
from localrag.security.terminal import counted
from localrag.sessions.export.contents import markdown_parser
from localrag.tui.text import clean, clean_line, error_content, question_line, shorten, shorten_source
from localrag.tui.widgets.status import Column, ProgressLine
from localrag.types import Answer, Citation, Cost, Passage, Plan

if TYPE_CHECKING:
    from localrag.sessions.session_store import SavedTurn

MAX_SURVEY_CITATIONS = 20  # the table has them all
PREVIEW_ROWS, PREVIEW_NAME = 8, 28
MAX_UNREAD = 4  # lines shown at once; more are folded
DRAW_EVERY = 0.1  # seconds; each drawing lays out the conversation again, and keys wait for it


class AnswerText(Markdown):
    """Markdown that grows while it is written and is replaced by the checked answer. It has no live links."""

    def __init__(self) -> None:
        super().__init__(parser_factory=markdown_parser, open_links=False)
        self._stream: MarkdownStream | None = None
        self._waiting = ""
        self._timer: Timer | None = None
        self.display = False

    async def add(self, piece: str) -> None:
        self.display = True
        self._waiting += clean(piece)
        if self._timer is None:
            await self._draw()

    async def _draw(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if self._stream is None:
            self._stream = Markdown.get_stream(self)
        waiting, self._waiting = self._waiting, ""
        self._timer = self.set_timer(DRAW_EVERY, self._draw)
        await self._stream.write(waiting)

    async def finish(self, text: str | None = None) -> None:
        """End the stream; `text` replaces what was streamed."""
        await self._draw()
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()
        if text is not None:
            self.display = bool(text.strip())
            await self.update(clean(text))


class CitationLine(Static, can_focus=True):
    """Shows "[1] contract.pdf, p. 12: “quoted words”", with ▸ while its source is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "Next citation; after the last, the question"),
        Binding("up", "move(-1)", "Previous citation"),
    ]

    @dataclass
    class Moved(Message):
        """The neighbouring citation is wanted."""

        step: int

    @dataclass
    class Focused(Message):
        """The keyboard is on this citation."""

        line: CitationLine

    def __init__(self, citation: Citation, documents: Sequence[str]) -> None:
        super().__init__()
        self.citation = citation
        self._documents = tuple(clean_line(name) for name in documents)  # that the same answer cites
        self._shown = False
        self._width = 0
        self.mark(False)

    def mark(self, shown: bool) -> None:
        """Mark it as the citation whose source is shown."""
        self._shown = shown
        cited = self.citation
        room = max(30, self._width - 8 - len(str(cited.marker)))
        where = shorten_source(clean_line(cited.name), clean_line(cited.place), room, self._documents)
        self.set_class(shown, "-shown")
        head = (f"[{cited.marker}] {where}: " if cited.marker else f"{where}: ", "bold")
        self.update(Content.assemble("▸ " if shown else "  ", head, references.in_quotes(clean_line(cited.quote))))

    def on_resize(self) -> None:
        if self.content_size.width != self._width:
            self._width = self.content_size.width
            self.mark(self._shown)

    def action_move(self, step: int) -> None:
        self.post_message(self.Moved(step))

    def on_focus(self) -> None:
        self.post_message(self.Focused(self))


class Folded(Collapsible):
    """Text that is folded into one line; keys of the screen open it, so it takes no focus."""

    def __init__(self, body: Static, kind: str, title: str = "") -> None:
        super().__init__(body, title=title, classes=kind)

    def on_mount(self) -> None:
        for title in self.query("CollapsibleTitle"):
            title.can_focus = False


class Preview(Static):
    """The first rows of a survey."""

    def __init__(self) -> None:
        super().__init__(classes="results-preview")
        self.display = False

    def show(self, results: survey_table.Results) -> None:
        self.display = bool(results.lines)
        columns = [name for name in results.columns if name not in ("document", "quote")]  # quotes are below
        lines = []
        for line in results.lines[:PREVIEW_ROWS]:
            cells = [clean_line(line.cells.get(name, "")) for name in columns]
            document = shorten(clean_line(line.cells.get("document", "")), PREVIEW_NAME)
            lines.append(f"{document:<{PREVIEW_NAME}}  {' · '.join(cell for cell in cells if cell)}")
        so_far = "" if results.complete else " so far"
        words = f"{counted(len(results.lines), 'row')}{so_far}. Ctrl+T: all of them, to sort, filter and export"
        self.update(Content.assemble(*(f"{line}\n" for line in lines), (words, "$text-muted")))


class TurnView(Vertical):
    """Question (or a heading, if it is shown above), plan, progress, reasoning, answer, citations and notes."""

    class Resized(Message):
        """It is as large as its words need now."""

    def __init__(self, question: str, heading: str = "") -> None:
        super().__init__()
        self.question = question
        self.plan: Plan | None = None
        self.results = survey_table.Results(question)
        self._looked_for = ""
        self._found: tuple[Passage, ...] = ()
        self._steps = Progress()
        self._question = Static(Content.styled(heading or question_line(question), "bold"), classes="question")
        self._plan_line = Static(classes="plan quiet")
        self._progress = ProgressLine()
        self._reasoning_body = Static()
        self._reasoning = Folded(self._reasoning_body, "reasoning")
        self._answer = AnswerText()
        self._preview = Preview()
        self._citations = Column(classes="citations")
        self._notes = Column(classes="notes")
        self._plan_line.display = self._reasoning.display = False

    def compose(self) -> ComposeResult:
        yield from (self._question, self._plan_line, self._progress, self._reasoning)
        yield from (self._answer, self._preview, self._citations, self._notes)

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def wait(self, why: str) -> None:
        """Say why nothing happens yet."""
        self._progress.say(why)

    async def show(self, event: events.Event) -> None:
        if (step := self._steps.after(event)) is not None:
            words, unit = clean_line(step.words), clean_line(step.unit)
            if isinstance(event, events.Reasoning):
                words += " F5 shows them."
            self._progress.advance(words, step.done, step.total, unit) if unit else self._progress.say(words)
        match event:
            case events.Planned(plan, looked_for):
                self.plan, self._looked_for = plan, looked_for
                self._draw_plan()
            case events.Found(passages):
                self._found = passages
                self._draw_plan()
            case events.Notice(text):
                await self._note(text)
            case events.Surveyed(row=row):
                self.results.add(row)
                self._preview.show(self.results)
            case events.Delta(text):
                await self._answer.add(text)
            case events.Reasoning():
                self._reason(self._steps.reasoning)
            case events.Replaced():
                self._reason("")
                await self._answer.finish("")
            case events.Answered(answer):
                await self._finish(answer)

    async def fail(self, error: LocalragError) -> None:
        """Show an error after what has been written."""
        await self.close()
        await self._notes.mount(Static(error_content(error), classes="error"))

    async def close(self) -> None:
        """End without an answer, or leave the screen."""
        self._progress.finish()
        await self._answer.finish()

    async def replay(self, saved: SavedTurn) -> None:
        """Show a saved turn; one without an answer shows how far it got."""
        if saved.answer is not None:
            await self._finish(saved.answer)
        elif saved.partial:
            await self._answer.finish(saved.partial)
            await self._note("localrag ended during this answer, and nothing of it was checked. Ask again.")
        else:
            await self._note("This question was not answered. Ask again.")

    async def offer_again(self, cost: Cost) -> None:
        """Say with which other plan the question could be answered."""
        words = f"F9 answers again by {marks.PLAN_NAMES[cost.kind]} ({marks.price(cost)})."
        await self._notes.mount(Static(Content(words), classes="quiet"))

    async def _finish(self, answer: Answer) -> None:
        self._progress.finish()
        self.plan, self._looked_for = answer.plan, answer.looked_for
        self._draw_plan()
        self._reason(answer.reasoning)
        has_table = survey_table.has_table(answer)
        text = marks.shown(answer)
        await self._answer.finish(survey_table.without_rows(text) if has_table else text)
        self._answer.set_class(answer.certainty == "unclear", "unclear")
        self.results.settle(answer)
        self._preview.show(self.results)
        self._preview.display = has_table
        cited = answer.citations[: MAX_SURVEY_CITATIONS if has_table else None]
        documents = tuple(dict.fromkeys(one.name for one in cited))
        await self._citations.mount(
            *(Static(Content(clean_line(one.shown)), classes="working") for one in answer.workings),
            *(Static(Content(f"! {clean_line(one.shown)}"), classes="remark") for one in answer.conflicts),
            *(CitationLine(one, documents) for one in cited),
            *((Static(marks.NEAREST, classes="quiet working"),) if answer.nearest else ()),
            *(CitationLine(one, tuple(near.name for near in answer.nearest)) for one in answer.nearest),
        )
        await self._show_notes(answer, len(answer.citations) - len(cited), has_table)

    async def _show_notes(self, answer: Answer, more_quotes: int, has_table: bool) -> None:
        remarks = marks.remarks(answer)
        if more_quotes:
            remarks.append(f"{counted(more_quotes, 'more quote')}: Ctrl+T, then Enter on a row")
        elif answer.table and not has_table:
            remarks.append(f"{counted(len(answer.table), 'row')} as a table: Ctrl+T")
        quiet = [marks.cost(answer), " ".join(filter(None, (answer.looked_at, marks.context(answer.context))))]
        await self._notes.mount(*(Static(Content(clean_line(line)), classes="quiet") for line in quiet if line))
        for line in remarks:
            await self._note(line)
        unread = [f"! {clean_line(line)}" for line in marks.unread(answer)]
        if len(unread) <= MAX_UNREAD:
            for line in unread:
                await self._note(line)
        elif unread:
            body = Static(Content("\n".join(unread)), classes="remark")
            title = f"! {counted(len(unread), 'part')} of the documents not read (F5 shows them)"
            await self._notes.mount(Folded(body, "unread", title))

    async def _note(self, text: str) -> None:
        line = clean_line(text)
        line = line if line.startswith((marks.MARK, "! ")) else f"! {line}"
        await self._notes.mount(Static(Content(line), classes="remark"))

    def _reason(self, text: str) -> None:
        self._reasoning_body.update(Content(clean(text)))
        self._reasoning.title = f"Reasoning, {counted(len(text.split()), 'word')} (F5 shows it)"
        self._reasoning.display = bool(text)

    def _draw_plan(self) -> None:
        if self.plan is not None:
            line = marks.planned(self.plan, self.question, self._looked_for, self._found)
            self._plan_line.display = True
            self._plan_line.update(Content(clean_line(line)))
