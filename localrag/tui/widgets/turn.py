"""One question and its answer, drawn from the events of `Assistant.ask` as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrag.answer.survey import survey_table
from localrag.errors import LocalragError
from localrag.events import (
    Answered,
    Delta,
    Event,
    Found,
    Notice,
    Planned,
    PromptRead,
    Reasoning,
    Replaced,
    Surveyed,
    VoteProgress,
)  # fmt: skip
from localrag.tui.inert import clean, clean_line
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.notes import Notes, count
from localrag.tui.widgets.progress import ProgressLine
from localrag.tui.widgets.results import ResultsPreview
from localrag.types import Answer, Citation, Cost, Passage, Plan

# Of a long question, what stands above its answer.
_LINES, _CHARACTERS = 12, 1200
# Of what a long one was looked up by, in the line of the plan.
_LOOKED_FOR = 300
# Citations of a survey that stand below its answer; the table has them all.
_MOST_CITED = 20

if TYPE_CHECKING:
    from localrag.sessions.session import SavedTurn
    from localrag.tui.widgets.answer import AnswerText


def get_ready() -> None:
    """Import what the first answer needs, which the first screen would have to wait for."""
    import localrag.answer.survey.measures
    import localrag.answer.verify.annotations
    import localrag.tui.screens.results
    import localrag.tui.widgets.answer  # noqa: F401


class TurnView(Vertical):
    """Question, plan, progress, answer, citations, and what there is to know about them.

    Args:
        said: what the conversation has said before (`Notes`).
        heading: stands in the place of the question, where that stands above already.
    """

    def __init__(self, question: str, clock: Callable[[], float], said: set[str], heading: str = "") -> None:
        from localrag.tui.widgets.answer import AnswerText  # see `get_ready`

        super().__init__()
        self.question = question
        self._plan: Plan | None = None
        self._looked_for = ""
        self._found: tuple[Passage, ...] = ()
        self.answered = False  # whether the whole answer is there
        self._clock = clock
        self._writing: tuple[float, int] = (0.0, 0)  # since when, and how many pieces
        self._question = Static(Content.styled(heading or asked_line(question), "bold"), classes="question")
        self._plan_line = Static(classes="plan quiet")
        self._plan_line.display = False
        self._progress = ProgressLine(clock)
        self._thought_so_far = ""
        self._thought = Static(classes="thought quiet")
        self._thought.display = False
        self._answer: AnswerText = AnswerText()
        self.results = survey_table.Results(question)
        self._preview = ResultsPreview(self.results)
        self._citations = Vertical(classes="citations")
        self._notes = Notes(said)

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
                await self._notes.add(text)
            case PromptRead(done, total):
                self._progress.advance("Reading", done, total, "tokens")
            case Surveyed(done, total, row):
                asked = clean_line(str(row.get("document", "")))
                self._progress.advance("Asking", done, total, f"documents {asked}".rstrip())
                self.results.add(row)
                self._preview.refresh_rows()
            case Delta(text):
                self._progress.say(self._pace())
                await self._answer.add(text)
            case Reasoning(text):
                self._think(self._thought_so_far + text)
                self._progress.say(f"Thinking … {count(len(self._thought_so_far.split()), 'word')}. F5 shows them.")
            case Replaced(why):
                self._think("")
                await self._answer.finish("")
                self._progress.say(f"Written again: {clean_line(why)}")
            case VoteProgress(done, total):
                self._progress.advance("Trying", done, total, "tries")
            case Answered(answer):
                await self._finish(answer)

    async def fail(self, error: LocalragError) -> None:
        """Show an error in place of the rest of the answer; what was said stays."""
        self._progress.finish()
        await self._answer.finish()
        await self._notes.fail(error)

    async def replay(self, saved: SavedTurn) -> None:
        """Show a turn that was saved; one without an answer shows how far it got."""
        if saved.answer is not None:
            await self._finish(saved.answer)
            return
        if saved.partial:
            await self._answer.finish(saved.partial)
        got = (
            "localrag ended before its answer was whole; nothing of it was checked"
            if saved.partial
            else "It was not answered"
        )
        await self._notes.add(f"{got}. Ask it again for an answer.")

    async def close(self) -> None:
        """The answer ended without a last word, or the view is about to leave the screen."""
        self._progress.finish()
        await self._answer.finish()

    async def _finish(self, answer: Answer) -> None:
        from localrag.answer.verify import annotations

        self.answered = True
        self._progress.finish()
        self._plan = answer.plan
        self._looked_for = answer.looked_for
        self._draw_plan()
        self._think(answer.reasoning)
        tabled = survey_table.has_table(answer)
        text = annotations.mark(answer.answer, answer.unsupported, answer.flags)
        await self._answer.finish(survey_table.without_rows(text) if tabled else text)
        self.results.settle(answer)
        self._preview.refresh_rows()
        self._preview.display = tabled
        lines = (Static(Content(clean_line(working.shown)), classes="working") for working in answer.workings)
        await self._citations.mount(*lines)
        differ = (Static(Content(f"! {clean_line(one.shown)}"), classes="remark") for one in answer.conflicts)
        await self._citations.mount(*differ)
        cited = shown_citations(answer)
        await self._citations.mount(*(CitationLine(citation) for citation in cited))
        more = []
        if left := len(answer.citations) - len(cited):
            more.append(f"{count(left, 'more quote')}: Ctrl+T, then Enter on a row")
        elif answer.table and not tabled:
            more.append(f"{count(len(answer.table), 'row')} as a table: Ctrl+T")
        await self._notes.finish(answer, more)

    def _pace(self) -> str:
        """How many pieces of the answer there are, each about a token, and how fast they come."""
        since, pieces = self._writing
        now = self._clock()
        self._writing = (since if pieces else now, pieces + 1)
        rate = f" · {pieces / (now - since):.1f} a second" if pieces and now - since >= 1 else ""
        return f"Writing · {count(pieces + 1, 'token')}{rate}"

    @property
    def plan(self) -> Plan | None:
        """The plan, as far as there is one."""
        return self._plan

    async def offer_again(self, cost: Cost) -> None:
        await self._notes.offer(cost)

    def unfold_notes(self, wanted: bool) -> bool:
        """Show all lines below the answer, or fold them again; False where none are folded."""
        return self._notes.unfold(wanted)

    def show_thought(self, wanted: bool) -> bool:
        """Show or hide what the model thought; False where it thought nothing."""
        self._thought.display = wanted and bool(self._thought_so_far)
        return bool(self._thought_so_far)

    def _think(self, thought: str) -> None:
        self._thought_so_far = thought
        self._thought.update(Content(f"Reasoning: {clean(thought)}" if thought else ""))
        if not thought:
            self._thought.display = False

    def _draw_plan(self) -> None:
        if self._plan is None:
            return
        parts = [f"Plan: {self._plan.kind}", clean_line(self._plan.reason).rstrip(".")]
        if self._looked_for not in ("", self.question):
            parts.append(f"Looked for: {_cut(clean_line(self._looked_for), _LOOKED_FOR)}")
        if self._found:
            documents = len({(passage.library, passage.document) for passage in self._found})
            parts.append(f"{count(len(self._found), 'passage')} from {count(documents, 'document')}")
        self._plan_line.display = True
        self._plan_line.update(Content(" · ".join(part for part in parts if part)))


def shown_citations(answer: Answer) -> tuple[Citation, ...]:
    """The citations that stand below an answer."""
    return answer.citations[: _MOST_CITED if survey_table.has_table(answer) else None]


def asked_line(question: str) -> str:
    """A question as it stands above its answer: of a pasted text its beginning, and how long it is."""
    question = clean(question)
    return f"❯ {_cut(question, _CHARACTERS, _LINES)}"


def _cut(text: str, characters: int, lines: int = 1) -> str:
    """The beginning of a text that is longer than this, and how long it is."""
    cut = "\n".join(text.split("\n")[:lines])[:characters]
    return text if cut == text else f"{cut.rstrip()} … ({len(text):,} characters)"
