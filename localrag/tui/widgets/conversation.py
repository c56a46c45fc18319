"""The questions and answers, oldest first; it follows the newest words until the person scrolls away.

Of a conversation that is gone on with, the newest answers are drawn at once, each other one when it comes within a
screen of what is seen, or is gone to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import MountError, Widget
from textual.widgets import Static

from localrag.answer.survey.survey_table import Results
from localrag.errors import LocalragError
from localrag.tui.inert import clean_line, error_content
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.greeting import Greeting
from localrag.tui.widgets.past import PastTurn, said_by
from localrag.tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from localrag.sessions.session import SavedTurn, Session

# Of a saved conversation, the turns that are drawn at once.
NEWEST = 2


class Conversation(VerticalScroll, can_focus=False):
    """Turns, and the errors that belong to none of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(id="conversation")
        self._clock = clock
        self._said: set[str] = set()  # what limits answers, as far as it was said
        self._unfolded = self._thoughts = False
        self._saved: tuple[SavedTurn, ...] = ()
        self._drawing = False
        self._gone_to: TurnView | None = None  # what stays in sight until the person scrolls away
        self._going = False
        self.greeting = Greeting()
        self._kept: tuple[Widget, float, int] | None = None  # what stays where it is
        self._seen: Widget | None = None
        # At least as high as the view, because an anchored view pushes shorter content to its lower edge.
        self._turns = Vertical(id="turns")

    def compose(self) -> ComposeResult:
        with self._turns:
            yield self.greeting

    def on_mount(self) -> None:
        self.anchor()
        self.watch(self, "scroll_y", self._moved, init=False)

    async def begin(self, question: str, heading: str = "") -> TurnView:
        """A new turn at the end; `heading` stands in the place of a question that stands above already."""
        self.greeting.display = False
        turn = TurnView(question, self._clock, self._said, heading)
        await self._turns.mount(turn)
        self.anchor()
        return turn

    async def replay(self, session: Session) -> None:
        """Show the turns of a conversation that was saved."""
        if session.turns:
            self.greeting.display = False
        origin = session.origin
        if origin is not None:
            await self.say(f"Branched from “{origin.title}” after turn {origin.turns}.")
        self._saved, self._drawing = session.turns, True
        past = [PastTurn(saved, at) for at, saved in enumerate(session.turns)]
        await self._turns.mount(*past)
        for one in past[-NEWEST:]:
            await self._draw(one)
        self._said.update(said_by(session.turns))
        self.anchor()
        self.call_after_refresh(self._draw_nearest)

    async def say(self, text: str) -> None:
        """A remark that belongs to no answer."""
        self.greeting.display = False
        await self._turns.mount(Static(Content(f"! {clean_line(text)}"), classes="remark"))

    async def show_error(self, error: LocalragError) -> None:
        await self._turns.mount(Static(error_content(error), classes="error"))

    def turns(self) -> list[TurnView | PastTurn]:
        """All turns, drawn or not, oldest first."""
        return [one for one in self._turns.children if isinstance(one, TurnView | PastTurn)]

    def show_thoughts(self, wanted: bool) -> bool:
        """Show or hide what the model thought before each answer; False where it never thought."""
        self._thoughts = wanted
        thought = [one.thought if isinstance(one, PastTurn) else one.show_thought(wanted) for one in self.turns()]
        return any(thought)

    def unfold_notes(self) -> bool:
        """Show every line below the answers, or fold them again; False where none are folded."""
        self._unfolded = not self._unfolded
        folded = [turn.unfold_notes(self._unfolded) for turn in self.query(TurnView)]
        return any(folded)

    def keep_place(self, seen: Widget | None = None) -> None:
        """Stay at what is read now when the next layout gives it another size; `seen` is to be in view."""
        self._seen = seen
        if self._at_end:
            return  # it stays at its end by itself
        for part in self.query("TurnView *").results(Widget):
            if not part.children and part.region.height and part.region.bottom > self.region.y:
                share = max(0, self.region.y - part.region.y) / part.region.height
                above = max(0, part.region.y - self.region.y)
                self._kept = part, share, above
                return

    def on_resize(self) -> None:
        if self._kept is not None:
            # Its parts have their new places only when all is laid out.
            self.call_after_refresh(self._return)

    def _return(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None and kept[0].is_attached:
            part, share, above = kept
            top = part.region.y - self.region.y + self.scroll_offset.y
            self.scroll_to(y=top + share * part.region.height - above, animate=False, immediate=True)
        seen, self._seen = self._seen, None
        if seen is not None and seen.is_attached:
            self.call_after_refresh(seen.scroll_visible, animate=False)

    def citations(self) -> list[CitationLine]:
        return list(self.query(CitationLine))

    def place_of(self, line: CitationLine) -> tuple[int, int]:
        """Which citation of the conversation this is, counted from 1, and how many there are."""
        number = count = 0
        for one in self.turns():
            here = [] if isinstance(one, PastTurn) else list(one.query(CitationLine))
            number = count + here.index(line) + 1 if line in here else number
            count += one.citations if isinstance(one, PastTurn) else len(here)
        return number, count

    def newest_results(self) -> Results | None:
        """The table of the last answer that has one, also while it is being filled."""
        return next((rows for one in reversed(self.turns()) if (rows := one.results).lines), None)

    def answered(self, focused: Widget | None) -> int:
        """Which answer the keyboard is in, counted from 1; else the last; 0 where there is none."""
        views = [one for one in self.turns() if one.answered]
        inside = [at for at, view in enumerate(views, 1) if focused is not None and view in focused.ancestors]
        return inside[0] if inside else len(views)

    async def show_turn(self, number: int) -> None:
        """Scroll to a turn, counted from 1."""
        turns = self.turns()
        if 1 <= number <= len(turns):
            self.release_anchor()
            turn = turns[number - 1]
            self._gone_to = await self._draw(turn) if isinstance(turn, PastTurn) else turn
            self._going = True
            self.call_after_refresh(self._go)

    def _go(self) -> None:
        self._going = False
        if self._gone_to is not None:
            self.scroll_to(y=self._gone_to.virtual_region.y, animate=False, immediate=True)

    # --- turns that were saved, drawn when they are wanted ---------------------------------------------------

    def _moved(self) -> None:
        if self._saved and not self._drawing:
            self._drawing = True
            self.call_after_refresh(self._draw_nearest)

    async def _draw_nearest(self) -> None:
        """Draw what is in sight or within a screen of it, a turn at a time, so that keys come between."""
        if (past := self._nearest()) is None:
            self._drawing = False
            return
        following, parts = self._at_end, self._turns.children
        behind = None if following or past is parts[-1] else parts[parts.index(past) + 1]
        places = past.virtual_region.bottom, behind.virtual_region.y if behind is not None else 0
        try:
            await self._draw(past)
        except MountError:  # the screen was left meanwhile
            return
        self.call_after_refresh(self._drawn, behind, *places)

    async def _drawn(self, behind: Widget | None, end: int, at: int) -> None:
        """Scroll along what is seen, where a turn above it pushed it down.

        Args:
            behind: what stands behind that turn; None where nothing is to be done.
            end, at: where the turn ended and `behind` began, before it was drawn.
        """
        if behind is not None and behind.is_attached:
            pushed = behind.virtual_region.y - at
            if self._looked_at(behind, pushed) >= end:
                self.scroll_relative(y=pushed, animate=False, immediate=True)
        await self._draw_nearest()

    def _looked_at(self, behind: Widget, pushed: int) -> int:
        """Where what is to stay in sight was before `behind` and all after it was pushed down."""
        top = self.scroll_offset.y
        if self._gone_to is None or not self._gone_to.is_attached:
            return top
        gone_to = self._gone_to.virtual_region.y
        gone_to -= pushed if gone_to >= behind.virtual_region.y else 0
        return gone_to if self._going or top <= gone_to < top + self.size.height else top

    async def _draw(self, past: PastTurn) -> TurnView:
        view = TurnView(past.saved.question, self._clock, said_by(self._saved[: past.at]))
        with self.app.batch_update():
            await self._turns.mount(view, before=past)
            await view.replay(past.saved)
            await past.remove()
        view.show_thought(self._thoughts)
        view.unfold_notes(self._unfolded)
        return view

    def _nearest(self) -> PastTurn | None:
        """The turn to be drawn next; None where none is near what is seen."""
        top, height = self.scroll_offset.y, self.size.height

        def away(past: PastTurn) -> int:
            where = past.virtual_region
            return max(0, top - where.bottom + 1, where.y - top - height + 1)

        near = [past for past in self.query(PastTurn) if away(past) <= height]
        # At the end what is above is pushed out of sight, elsewhere what is below.
        return min(reversed(near) if self._at_end else near, key=away, default=None)

    @property
    def _at_end(self) -> bool:
        """True while it follows the newest words."""
        return self.is_anchored and self.scroll_y >= self.max_scroll_y

    async def clear(self) -> None:
        for turn in self.query(TurnView):
            await turn.close()
        await self._turns.query("#turns > *").exclude("#greeting").remove()
        self._said.clear()
        self._saved, self._gone_to = (), None
        self.greeting.display = True
        self.anchor()
