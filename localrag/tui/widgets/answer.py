"""The streamed Markdown of one answer. It holds no link that could be opened."""

from __future__ import annotations

import re

from textual.events import Click
from textual.message import Message
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from localrag.tui.inert import clean, inert_markdown

_MARKER = re.compile(r"\[(\d{1,4})\]")


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
        if self._stream is None:
            self._stream = Markdown.get_stream(self)
        await self._stream.write(clean(piece))

    async def finish(self, text: str | None = None) -> None:
        """End the stream; with `text`, show that instead of what was streamed."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()
        if text is not None:
            self.display = bool(text.strip())
            await self.update(clean(text))
