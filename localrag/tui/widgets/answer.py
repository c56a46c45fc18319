"""The streamed Markdown of one answer. It holds no link that could be opened."""

from __future__ import annotations

from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownStream

from localrag.tui.inert import clean, inert_markdown


class AnswerText(Markdown):
    """Markdown that grows by pieces and is replaced by the checked answer in the end."""

    def __init__(self) -> None:
        super().__init__(parser_factory=inert_markdown, open_links=False)
        self._stream: MarkdownStream | None = None
        self.display = False

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
