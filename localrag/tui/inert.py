"""Text from documents and models, made harmless before it is drawn.

Escape sequences, control characters and direction overrides are taken out; markup stays as plain
characters, because everything is drawn as `Content`, which is never parsed. Limits: look-alike letters are
left as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from textual.content import Content

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from localrag.errors import LocalragError

# Whole sequences first, so that "\x1b[31m" leaves nothing behind; an unfinished one loses only its control
# characters, because text that follows it must not vanish.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]{0,2000}(?:\x07|\x1b\\|\x9c)"
)
_BLANKS = re.compile(r"[\t\r\x0b\x0c\x85\u2028\u2029]")
# Direction overrides can show the words of a quote in another order than the document has them.
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_FORBIDDEN_MARKDOWN = ["link", "image", "autolink", "html_inline", "html_block", "reference"]


def clean(text: str) -> str:
    """The text without escape sequences and control characters; line breaks stay."""
    text = _SEQUENCES.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub("", _BLANKS.sub(" ", text))


def clean_line(text: str) -> str:
    """The text on one line."""
    return " ".join(clean(text).split())


def clean_in_place(text: str) -> str:
    """The text with every unsafe character replaced by a safe one, so that offsets into it stay true."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _BLANKS.sub(" ", text))


def plain(text: str, style: str = "") -> Content:
    """The text as content that is drawn as it stands."""
    return Content.styled(clean(text), style)


def error_content(error: LocalragError) -> Content:
    """An error and what to do about it, told apart by words and not by colour."""
    parts = [Content.styled("Error: ", "bold"), plain(error.message)]
    if error.hint:
        parts += [Content("\n"), Content.styled("What to do: ", "bold"), plain(error.hint)]
    return Content.assemble(*parts)


def inert_markdown() -> MarkdownIt:
    """A Markdown parser that knows no link, image or HTML: what looks like one is shown as it was written."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable(_FORBIDDEN_MARKDOWN)
