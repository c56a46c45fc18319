"""Format a quote with its reference, ready for a letter or a memo.

The quote keeps the document's words but its line breaks. The reference names what the file says of itself (author,
title, date), then file, page and library; what is not known is left out.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from localrag.types import Citation, Document

Form = Literal["text", "markdown", "words"]


def format_quote(citation: Citation, document: Document | None, form: Form = "text") -> str:
    """Return the quote of a citation, with its reference unless `form` is "words"."""
    words = " ".join(citation.quote.split())
    if form == "words":
        return words
    if form == "markdown":
        return f"> {_escaped(words)}\n>\n> — {_escaped(reference(citation, document))}\n"
    return f"{in_quotes(words)} — {reference(citation, document)}"


def in_quotes(words: str) -> str:
    """Put words in quotation marks, unless the document already does."""
    return words if words[:1] in ('"', "“") and words[-1:] in ('"', "”") else f"“{words}”"


def reference(citation: Citation, document: Document | None = None) -> str:
    """Return the place of a citation.

    "Jane Doe, Master Services Agreement, 2023-04-01 (contracts/msa.pdf), p. 9 (printed 6), library contracts".
    """
    about = [] if document is None else _about(document, citation)
    named = f"{', '.join(about)} ({citation.document})" if about else citation.document
    parts = (named, citation.place, f"library {citation.library}")
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _about(document: Document, citation: Citation) -> list[str]:
    """Return what the file says of itself, without what the place says (a mail's sender and day)."""
    name = PurePosixPath(document.path)
    titled = document.title if document.title.casefold() not in (name.stem.casefold(), name.name.casefold()) else ""
    if citation.unit == "mail":
        return [titled] if titled else []
    if not titled and not document.author:
        return []
    return [part for part in (document.author, titled, document.date[:10]) if part]


def _escaped(text: str) -> str:
    """Escape the signs of Markdown."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in text)
