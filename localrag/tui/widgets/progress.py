"""One line that says how far something is and how long it will take.

Drawn from what the core reports; between reports only the seconds left count down, once a second. The estimate
assumes an even pace from the first report on, and is not shown before there is a pace.
"""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

BAR = 20


class ProgressLine(Static):
    """ "Reading ████████░░░░░░░░░░░░ 40% · 400 of 1,000 tokens · about 6 s left"."""

    def __init__(self, clock: Callable[[], float], *, id: str | None = None) -> None:
        super().__init__(id=id, classes="progress")
        self._clock = clock
        self._began: tuple[float, int] | None = None
        self._words: list[str] = []
        self._ends_at: float | None = None
        self._countdown: Timer | None = None
        self.display = False

    def on_mount(self) -> None:
        self._countdown = self.set_interval(1.0, self._draw, pause=self._ends_at is None)

    def say(self, text: str) -> None:
        """Show words only, where there is nothing to count yet."""
        self._show([text], None)
        self._began = None

    def advance(self, verb: str, done: int, total: int, unit: str) -> None:
        now = self._clock()
        if self._began is None or done < self._began[1]:
            self._began = (now, done)
        seconds, steps = now - self._began[0], done - self._began[1]
        paced = steps > 0 and seconds >= 0.2 and done < total
        share = min(1.0, done / total) if total else 1.0
        bar = "█" * round(share * BAR) + "░" * (BAR - round(share * BAR))
        self._show(
            [f"{verb} {bar} {int(share * 100)}%", f"{done:,} of {total:,} {unit}"],
            now + seconds / steps * (total - done) if paced else None,
        )

    def finish(self) -> None:
        self._show([], None)
        self._began = None
        self.display = False

    def _show(self, words: list[str], ends_at: float | None) -> None:
        self._words, self._ends_at = words, ends_at
        if self._countdown is not None:
            self._countdown.pause() if ends_at is None else self._countdown.resume()
        self.display = True
        self._draw()

    def _draw(self) -> None:
        left = [] if self._ends_at is None else [f"about {duration(self._ends_at - self._clock())} left"]
        self.update(Content(" · ".join([*self._words, *left])))


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
