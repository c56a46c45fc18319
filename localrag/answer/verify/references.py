"""A quote with its reference, in a form that can go into a letter or a memo.

The quote stays as it stands in the document but for its line breaks. The reference names what the file says of itself
(author, title, date), then where the words are found: file, page, library. Nothing is guessed: what is not known is
left out.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from localrag.types import Citation, Document

Form = Literal["text", "markdown", "words"]


def quoted(citation: Citation, document: Document | None, form: Form = "text") -> str:
    """The quote of a citation, with its reference unless only the words are wanted.

    Args:
        document: what is known of the document, where it is still in the library.
    """
    words = " ".join(citation.quote.split())
    if form == "words":
        return words
    if form == "markdown":
        return f"> {_escaped(words)}\n>\n> — {_escaped(reference(citation, document))}\n"
    return f"{in_marks(words)} — {reference(citation, document)}"


def in_marks(words: str) -> str:
    """Words in quotation marks; those that the document itself puts in such need no second pair."""
    return words if words[:1] in ('"', "“") and words[-1:] in ('"', "”") else f"“{words}”"


def reference(citation: Citation, document: Document | None = None) -> str:
    """Where the words are found.

    "Jane Doe, Master Services Agreement, 2023-04-01 (contracts/msa.pdf), p. 9 (printed 6), library contracts".
    """
    about = [] if document is None else _about(document, citation)
    named = f"{', '.join(about)} ({citation.document})" if about else citation.document
    parts = (named, citation.place, f"library {citation.library}")
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _about(document: Document, citation: Citation) -> list[str]:
    """What the file says of itself, without what the place says already (a mail's sender and day)."""
    name = PurePosixPath(document.path)
    titled = document.title if document.title.casefold() not in (name.stem.casefold(), name.name.casefold()) else ""
    if citation.unit == "mail":
        return [titled] if titled else []
    if not titled and not document.author:
        return []
    return [part for part in (document.author, titled, document.date[:10]) if part]


def _escaped(text: str) -> str:
    """Markdown's own signs as they stand."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in text)
