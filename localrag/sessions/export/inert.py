"""The Markdown of an answer, read so that nothing in it is live: no link, image or HTML.

What looks like one is text, and shown as it was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_FORBIDDEN = ["link", "image", "autolink", "html_inline", "html_block", "reference"]


def parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(_FORBIDDEN)
