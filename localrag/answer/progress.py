"""What an answer is doing, in words, from its events."""

from __future__ import annotations

from dataclasses import dataclass

from localrag import events
from localrag.security.terminal import counted


@dataclass(frozen=True, slots=True)
class Step:
    """What happens: `words`, and where it can be counted, `done` of `total` in a `unit`."""

    words: str
    done: int = 0
    total: int = 0
    unit: str = ""


class Progress:
    """Follows the events of one answer."""

    def __init__(self) -> None:
        self.reasoning = ""
        self._written = 0  # pieces of the answer, each about a token

    def after(self, event: events.Event) -> Step | None:
        """Return what happens after an event; None for one that says nothing of it."""
        match event:
            case events.Planned():
                return Step("Looking …")
            case events.PromptRead(done, total):
                return Step("Reading", done, total, "tokens")
            case events.Surveyed(done, total, row):
                return Step("Asking", done, total, f"documents {row.get('document', '')}".rstrip())
            case events.Delta():
                self._written += 1
                return Step(f"Writing · {counted(self._written, 'token')}")
            case events.Writing(pieces):
                return Step(f"Writing · {counted(pieces, 'token')}, shown once they are checked")
            case events.Reasoning(text):
                self.reasoning += text
                return Step(f"Reasoning … {counted(len(self.reasoning.split()), 'word')}.")
            case events.Replaced(why):
                self.reasoning = ""
                return Step(f"Writing again: {why}")
        return None
