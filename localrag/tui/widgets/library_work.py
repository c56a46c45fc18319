"""What goes on with libraries in the background, a line for each, and what came of it.

It looks at the works ten times a second, by a timer that stands still while nothing goes on, so that what the core
reports thousands of times is drawn as often as anybody can see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from localrag.errors import Cancelled
from localrag.tui.inert import clean_line, error_content
from localrag.tui.reading import at_hand, kept_up, summed_up
from localrag.tui.shelves import Name
from localrag.tui.widgets.progress import ProgressLine
from localrag.tui.working import Forgetting, Keeping, Reading, Work

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

EVERY = 0.1


class LibraryWork(Vertical):
    """Hidden while nothing goes on and nothing is to be said."""

    app: LocalragApp

    class Advanced(Message):
        """`working` are the documents at hand, and how much of each is done, in percent."""

        def __init__(self, working: dict[Name, int]) -> None:
            super().__init__()
            self.working = working

    class Changed(Message):
        """Libraries hold something else now, or more of it is kept ready."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(id="library-work")
        self._working: dict[Name, int] = {}
        self._bar = ProgressLine(clock)
        self._file = Static(classes="quiet")
        self._warm_bar = ProgressLine(clock)
        self._said = Static(id="library-said")
        self._scroll = VerticalScroll(self._said, id="library-said-scroll")
        self._timer: Timer | None = None
        self.display = self._file.display = self._scroll.display = False

    def compose(self) -> ComposeResult:
        yield self._bar
        yield self._file
        yield self._warm_bar
        yield self._scroll

    def on_mount(self) -> None:
        self._timer = self.set_interval(EVERY, self._look, pause=True)
        self.watch_works()

    def watch_works(self) -> None:
        """Look at what goes on until nothing does: something was begun."""
        if self.app.works.under_way and self._timer is not None:
            self.display = True
            self._look()
            self._timer.resume()

    def clear(self) -> None:
        """Take away what was said."""
        self._scroll.display = False
        self.display = bool(self.app.works.under_way)

    def tell(self, words: Content) -> None:
        self._said.update(words)
        self._scroll.display = bool(words.plain)
        self._scroll.scroll_home(animate=False)
        self.display = bool(self.app.works.under_way) or self._scroll.display

    # --- drawing --------------------------------------------------------------------------------------------

    def _look(self) -> None:
        done = self.app.works.take()
        reading, keeping = self.app.works.reading(), self.app.works.keeping()
        if done:
            self.tell(Content("\n").join([_came_of(work) for work in done]))
            self.post_message(self.Changed())
        self._draw_reading(reading)
        working = self._draw_keeping(keeping[0] if keeping else None)
        if working != self._working:
            self._working = working
            self.post_message(self.Advanced(dict(working)))
        if not self.app.works.under_way and self._timer is not None:
            self._timer.pause()

    def _draw_reading(self, work: Reading | None) -> None:
        now = work.latest if work is not None else None
        self._file.display = now is not None
        if work is None:
            self._bar.finish()
        elif work.stop.is_set():
            self._bar.say("Stopping after this document …")
        elif now is None or not now.total:
            self._bar.say("Getting ready to read …")
        else:
            of = f" into {clean_line(work.folders[work.at][0])}" if len({name for name, _ in work.folders}) > 1 else ""
            self._bar.advance(f"Reading{of}", now.done, now.total, "files")
        if now is not None:
            self._file.update(Content(at_hand(now)))

    def _draw_keeping(self, work: Keeping | None) -> dict[Name, int]:
        latest = work.latest if work is not None else None
        if work is None:
            self._warm_bar.finish()
        elif work.stop.is_set():
            self._warm_bar.say("Stopping …")
        elif not work.running or (latest is not None and latest.state == "waiting"):
            self._warm_bar.say(f"{len(work.left):,} to be kept ready; questions come first …")
        elif latest is None:
            self._warm_bar.say("Looking at what is to be kept ready …")
        else:
            self._warm_bar.advance("Keeping ready", *work.progress(), "tokens")
        if work is None or latest is None or latest.share >= 1:
            return {}
        return {(work.library, latest.piece.document.path): int(latest.share * 100)}


def _came_of(work: Work) -> Content:
    """What came of something that is done, or of its beginning, where it failed."""
    lines: list[str] = []
    stopped = False
    if isinstance(work, Reading):
        lines, stopped = [line for report in work.reports for line in summed_up(report)], work.stop.is_set()
    elif isinstance(work, Keeping):
        lines, stopped = kept_up(work.library, work.told), work.stop.is_set()
    elif isinstance(work, Forgetting) and work.error is None:
        lines = [f"What was read of {work.gone:,} document{'' if work.gone == 1 else 's'} is deleted."]
    said = [Content("\n".join(lines or (["Stopped."] if stopped else [])))]
    if work.error is not None and not (stopped and isinstance(work.error, Cancelled)):
        said.append(error_content(work.error))
    return Content("\n").join([one for one in said if one.plain])
