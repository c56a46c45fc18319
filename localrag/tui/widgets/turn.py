"""One question and its answer, drawn from the events of `Assistant.ask` as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrag import results
from localrag.errors import LocalragError
from localrag.events import (
    Again,
    Answered,
    Delta,
    Event,
    Found,
    Notice,
    Planned,
    PromptRead,
    Surveyed,
    Thought,
    Tried,
)  # fmt: skip
from localrag.tui.inert import clean, clean_line, error_content
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.progress import ProgressLine
from localrag.tui.widgets.results import ResultsPreview
from localrag.types import Answer, Passage, Plan

# Citations of a survey that stand below its answer; the table has them all.
_MOST_CITED = 20

if TYPE_CHECKING:
    from localrag.sessions.values import SavedTurn
    from localrag.tui.widgets.answer import AnswerText


def get_ready() -> None:
    """Import what the first answer needs, which the first screen would have to wait for."""
    import localrag.marking
    import localrag.survey.quantities
    import localrag.tui.screens.results
    import localrag.tui.widgets.answer  # noqa: F401


class TurnView(Vertical):
    """Question, plan, progress, answer, citations, and what there is to know about them."""

    def __init__(self, question: str, clock: Callable[[], float]) -> None:
        from localrag.tui.widgets.answer import AnswerText  # see `get_ready`

        super().__init__()
        self.question = question
        self._plan: Plan | None = None
        self._looked_for = ""
        self._found: tuple[Passage, ...] = ()
        self.answered = False  # whether the whole answer is there
        self._question = Static(Content.styled(f"❯ {clean(question)}", "bold"), classes="question")
        self._plan_line = Static(classes="plan quiet")
        self._plan_line.display = False
        self._progress = ProgressLine(clock)
        self._thought_so_far = ""
        self._thought = Static(classes="thought quiet")
        self._thought.display = False
        self._answer: AnswerText = AnswerText()
        self.results = results.Results(question)
        self._preview = ResultsPreview(self.results)
        self._citations = Vertical(classes="citations")
        self._notes = Vertical(classes="notes")

    def compose(self) -> ComposeResult:
        yield self._question
        yield self._plan_line
        yield self._progress
        yield self._thought
        yield self._answer
        yield self._preview
        yield self._citations
        yield self._notes

    def wait(self, why: str) -> None:
        """Say that nothing has begun yet, and why."""
        self._progress.say(why)

    def stopping(self) -> None:
        self._progress.say("Stopped. What was said stays.")

    async def show(self, event: Event) -> None:
        match event:
            case Planned(plan, looked_for):
                self._plan = plan
                self._looked_for = looked_for
                self._draw_plan()
                self._progress.say("Looking …")
            case Found(passages):
                self._found = passages
                self._draw_plan()
            case Notice(text):
                await self._note(text)
            case PromptRead(done, total):
                self._progress.advance("Reading", done, total, "tokens")
            case Surveyed(done, total, row):
                asked = clean_line(str(row.get("document", "")))
                self._progress.advance("Asking", done, total, f"documents {asked}".rstrip())
                self.results.add(row)
                self._preview.refresh_rows()
            case Delta(text):
                self._progress.finish()
                await self._answer.add(text)
            case Thought(text):
                self._think(self._thought_so_far + text)
                self._progress.say(f"Thinking … {_count(len(self._thought_so_far.split()), 'word')}. F5 shows them.")
            case Again(why):
                self._think("")
                await self._answer.finish("")
                self._progress.say(f"Written again: {clean_line(why)}")
            case Tried(done, total):
                self._progress.advance("Trying", done, total, "tries")
            case Answered(answer):
                await self._finish(answer)

    async def fail(self, error: LocalragError) -> None:
        """Show an error in place of the rest of the answer; what was said stays."""
        self._progress.finish()
        await self._answer.finish()
        await self._notes.mount(Static(error_content(error), classes="error"))

    async def replay(self, saved: SavedTurn) -> None:
        """Show a turn that was saved; one without an answer shows how far it got."""
        if saved.answer is not None:
            await self._finish(saved.answer)
            return
        if saved.said:
            await self._answer.finish(saved.said)
        got = (
            "localrag ended before its answer was whole; nothing of it was checked"
            if saved.said
            else "It was not answered"
        )
        await self._note(f"{got}. Ask it again for an answer.")

    async def close(self) -> None:
        """The answer ended without a last word, or the view is about to leave the screen."""
        self._progress.finish()
        await self._answer.finish()

    async def _finish(self, answer: Answer) -> None:
        from localrag import marking

        self.answered = True
        self._progress.finish()
        self._plan = answer.plan
        self._looked_for = answer.looked_for
        self._draw_plan()
        self._think(answer.thought)
        tabled = results.has_table(answer)
        text = marking.marked(answer.answer, answer.unsupported, answer.flags)
        await self._answer.finish(results.without_rows(text) if tabled else text)
        self.results.settle(answer)
        self._preview.refresh_rows()
        self._preview.display = tabled
        lines = (Static(Content(clean_line(working.shown)), classes="working") for working in answer.workings)
        await self._citations.mount(*lines)
        differ = (Static(Content(f"! {clean_line(one.shown)}"), classes="remark") for one in answer.conflicts)
        await self._citations.mount(*differ)
        cited = answer.citations[: _MOST_CITED if tabled else None]
        await self._citations.mount(*(CitationLine(citation) for citation in cited))
        await self._notes.mount(Static(Content(_cost(answer)), classes="quiet"))
        if answer.looked_at or answer.context:
            await self._notes.mount(Static(Content(_looked_at(answer)), classes="quiet"))
        for text in remarks(answer):
            await self._note(text)
        if left := len(answer.citations) - len(cited):
            await self._note(f"{_count(left, 'more quote')}: Ctrl+T, then Enter on a row")
        elif answer.table and not tabled:
            await self._note(f"{_count(len(answer.table), 'row')} as a table: Ctrl+T")

    def show_thought(self, wanted: bool) -> bool:
        """Show or hide what the model thought; False where it thought nothing."""
        self._thought.display = wanted and bool(self._thought_so_far)
        return bool(self._thought_so_far)

    def _think(self, thought: str) -> None:
        self._thought_so_far = thought
        self._thought.update(Content(f"Thought: {clean(thought)}" if thought else ""))
        if not thought:
            self._thought.display = False

    def _draw_plan(self) -> None:
        if self._plan is None:
            return
        parts = [f"Plan: {self._plan.kind}", clean_line(self._plan.reason).rstrip(".")]
        if self._looked_for not in ("", self.question):
            parts.append(f"Looked for: {clean_line(self._looked_for)}")
        if self._found:
            documents = len({(passage.library, passage.document) for passage in self._found})
            parts.append(f"{_count(len(self._found), 'passage')} from {_count(documents, 'document')}")
        self._plan_line.display = True
        self._plan_line.update(Content(" · ".join(part for part in parts if part)))

    async def _note(self, text: str) -> None:
        from localrag.marking import MARK

        line = clean_line(text)
        shown = line if line.startswith(MARK) else f"! {line}"
        await self._notes.mount(Static(Content(shown), classes="remark"))


def _cost(answer: Answer) -> str:
    tokens, seconds = answer.tokens, answer.seconds
    parts = [f"{seconds.total:.1f} s"]
    if seconds.first_token is not None:
        parts.append(f"first word after {seconds.first_token:.1f} s")
    if tokens.prompt or tokens.generated:
        reused = f" ({tokens.reused:,} reused)" if tokens.reused else ""
        parts.append(f"{_count(tokens.prompt, 'token')} read{reused}, {tokens.generated:,} written")
    elif answer.model is None:
        parts.append("no model was asked")
    if answer.model:
        parts.append(clean_line(answer.model))
    return " · ".join(parts)


def _looked_at(answer: Answer) -> str:
    """What was put before the model, and how full its window was."""
    parts = [clean_line(answer.looked_at)] if answer.looked_at else []
    if answer.context:
        used = {name: tokens for name, tokens in answer.context.items() if name != "free" and tokens}
        filled = ", ".join(f"{name} {tokens:,}" for name, tokens in used.items())
        parts.append(f"Context: {sum(used.values()):,} of {sum(answer.context.values()):,} tokens ({filled}).")
    return " ".join(parts)


def remarks(answer: Answer) -> list[str]:
    """What a reader of the answer must know to trust it no further than it goes, a line each."""
    from localrag import marking

    lines = []
    if answer.stopped:
        lines.append("This answer is not complete: it was stopped or reached its longest length.")
    if not answer.found and not answer.stopped and "do not say" not in answer.answer:
        lines.append("The documents do not say.")
    if answer.split is not None and len(answer.split.votes) > 1:
        lines.append(answer.split.shown)
    if answer.citations_dropped:
        dropped = _count(answer.citations_dropped, "quote")
        lines.append(f"{dropped} left out: the words were not found in the documents.")
    lines += marking.told(answer.unsupported, answer.flags, answer.sureness if answer.found else None)
    for left in answer.not_read:
        page = f", p. {left.page}" if left.page is not None else ""
        where = f"{left.document}{page}: " if left.document else ""
        lines.append(f"Not read: {where}{left.reason}")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
