"""The questions and answers, oldest first; it follows the newest words until the person scrolls away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from localrag.errors import LocalragError
from localrag.results import Results
from localrag.tui.inert import clean_line, error_content
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.turn import TurnView

if TYPE_CHECKING:
    from localrag.sessions.values import Session


class Conversation(VerticalScroll, can_focus=False):
    """Turns, and the errors that belong to none of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(id="conversation")
        self._clock = clock
        self._said: set[str] = set()  # what limits answers, as far as it was said
        self._unfolded = False
        self._greeting = Static(id="greeting")
        self._kept: tuple[Widget, float, int] | None = None  # what stays where it is
        self._seen: Widget | None = None
        # At least as high as the view, because an anchored view pushes shorter content to its lower edge.
        self._turns = Vertical(id="turns")

    def compose(self) -> ComposeResult:
        with self._turns:
            yield self._greeting

    def on_mount(self) -> None:
        self.anchor()

    def greet(self, text: Content) -> None:
        """Say what can be done here; goes away with the first question."""
        self._greeting.update(text)

    async def begin(self, question: str, heading: str = "") -> TurnView:
        """A new turn at the end; `heading` stands in the place of a question that stands above already."""
        self._greeting.display = False
        turn = TurnView(question, self._clock, self._said, heading)
        await self._turns.mount(turn)
        self.anchor()
        return turn

    async def replay(self, session: Session) -> None:
        """Show the turns of a conversation that was saved."""
        if session.turns:
            self._greeting.display = False
        origin = session.origin
        if origin is not None:
            await self.say(f"Branched from “{origin.title}” after turn {origin.turns}.")
        views = [TurnView(saved.question, self._clock, self._said) for saved in session.turns]
        await self._turns.mount(*views)
        for view, saved in zip(views, session.turns, strict=True):
            await view.replay(saved)
        self.anchor()

    async def say(self, text: str) -> None:
        """A remark that belongs to no answer."""
        self._greeting.display = False
        await self._turns.mount(Static(Content(f"! {clean_line(text)}"), classes="remark"))

    async def show_error(self, error: LocalragError) -> None:
        await self._turns.mount(Static(error_content(error), classes="error"))

    def show_thoughts(self, wanted: bool) -> bool:
        """Show or hide what the model thought before each answer; False where it never thought."""
        thought = [turn.show_thought(wanted) for turn in self.query(TurnView)]
        return any(thought)

    def unfold_notes(self) -> bool:
        """Show every line below the answers, or fold them again; False where none are folded."""
        self._unfolded = not self._unfolded
        folded = [turn.unfold_notes(self._unfolded) for turn in self.query(TurnView)]
        return any(folded)

    def keep_place(self, seen: Widget | None = None) -> None:
        """Stay at what is read now when the next layout gives it another size; `seen` is to be in view."""
        self._seen = seen
        if self.is_anchored and self.scroll_y >= self.max_scroll_y:
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

    def newest_results(self) -> Results | None:
        """The table of the last answer that has one, also while it is being filled."""
        return next((turn.results for turn in reversed(self.query(TurnView)) if turn.results.lines), None)

    def answered(self, focused: Widget | None) -> int:
        """Which answer the keyboard is in, counted from 1; else the last; 0 where there is none."""
        views = [view for view in self.query(TurnView) if view.answered]
        inside = [at for at, view in enumerate(views, 1) if focused is not None and view in focused.ancestors]
        return inside[0] if inside else len(views)

    def show_turn(self, number: int) -> None:
        """Scroll to a turn, counted from 1."""
        views = list(self.query(TurnView))
        if 1 <= number <= len(views):
            self.release_anchor()
            self.call_after_refresh(views[number - 1].scroll_visible, animate=False, top=True)

    async def clear(self) -> None:
        for turn in self.query(TurnView):
            await turn.close()
        await self._turns.query("#turns > *").exclude("#greeting").remove()
        self._said.clear()
        self._greeting.display = True
        self.anchor()
