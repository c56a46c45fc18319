"""A turn of a conversation that was saved, in its place but not drawn yet: its question alone.

To draw an answer takes a twentieth of a second, so those of a long conversation are drawn when they come near what is
seen (`Conversation`), and until then this stands for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from localrag.answer.survey.survey_table import Results
from localrag.sessions.session import SavedTurn
from localrag.tui.widgets.notes import unread
from localrag.tui.widgets.turn import asked_line, shown_citations


class PastTurn(Static):
    """The turn `saved`, which stands `at` this place in its conversation, counted from 0."""

    def __init__(self, saved: SavedTurn, at: int) -> None:
        super().__init__(Content.styled(asked_line(saved.question), "bold"))
        self.saved = saved
        self.at = at

    @property
    def answered(self) -> bool:
        return self.saved.answer is not None

    @property
    def thought(self) -> bool:
        return self.saved.answer is not None and bool(self.saved.answer.reasoning)

    @property
    def citations(self) -> int:
        """How many will stand below its answer."""
        return len(shown_citations(self.saved.answer)) if self.saved.answer is not None else 0

    @property
    def results(self) -> Results:
        """The rows of its answer."""
        rows = Results(self.saved.question)
        if self.saved.answer is not None:
            rows.settle(self.saved.answer)
        return rows


def said_by(turns: Sequence[SavedTurn]) -> set[str]:
    """What turns have said that is not said again after them (`Notes`)."""
    return {line for saved in turns if saved.answer is not None for line in unread(saved.answer)}
