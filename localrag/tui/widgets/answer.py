"""The streamed Markdown of one answer. It holds no link that could be opened."""

from __future__ import annotations

import re

from textual.events import Click
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from localrag.tui.inert import clean, inert_markdown

_MARKER = re.compile(r"\[(\d{1,4})\]")
# Seconds between two drawings while it is written: each lays out the conversation anew, and keys wait for it.
_PACE = 0.1


class AnswerText(Markdown):
    """Markdown that grows by pieces and is replaced by the checked answer in the end."""

    class MarkerClicked(Message):
        """Somebody clicked on the number of a citation, "[2]"."""

        def __init__(self, answer: AnswerText, marker: int) -> None:
            super().__init__()
            self.answer = answer
            self.marker = marker

    def __init__(self) -> None:
        super().__init__(parser_factory=inert_markdown, open_links=False)
        self._stream: MarkdownStream | None = None
        self._waiting = ""
        self._timer: Timer | None = None
        self.display = False

    def on_click(self, event: Click) -> None:
        block, at = self.screen.get_widget_and_offset_at(event.screen_x, event.screen_y)
        if at is None or not isinstance(block, Static) or self not in block.ancestors:
            return
        lines = str(block.content).split("\n")
        for found in _MARKER.finditer(lines[at.y] if at.y < len(lines) else ""):
            if found.start() <= at.x < found.end():
                self.post_message(self.MarkerClicked(self, int(found[1])))

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
        self._timer = self.set_timer(_PACE, self._draw)
        await self._stream.write(waiting)

    async def finish(self, text: str | None = None) -> None:
        """End the stream; with `text`, show that instead of what was streamed."""
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
