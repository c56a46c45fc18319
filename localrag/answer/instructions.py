"""How the owner of a library wants answers worded: "Answer in German; cite clause numbers."

The model reads them behind the question, and only where it writes, so they change neither what is searched nor whether
the text holds the answer (docs/decisions/0033-instructions-and-conflicts.md). Survey rows ignore them.
"""

from __future__ import annotations

from collections.abc import Sequence

from localrag.errors import UsageError
from localrag.ingest.readers.cleaning import clean
from localrag.store.library import Library

MAX_LENGTH = 600


def checked(text: str) -> str:
    """Return instructions on one line, without control characters."""
    text = " ".join(clean(text).split())
    if not text:
        raise UsageError(
            "the instructions are empty",
            "Write some, such as 'Answer in German; cite clause numbers.', or remove them with --clear.",
        )
    if len(text) > MAX_LENGTH:
        raise UsageError(
            f"the instructions have {len(text):,} characters, and at most {MAX_LENGTH} are read with every question",
            "Say how answers should be worded, in a few sentences. Put facts into a document instead.",
        )
    return text


def of(libraries: Sequence[Library]) -> str:
    """Return the instructions of these libraries, each under its library's name where several differ."""
    given = [(library.name, library.instructions) for library in libraries if library.instructions]
    if len({text for _, text in given}) < 2 and len(given) in (0, len(libraries)):
        return given[0][1] if given else ""
    return " ".join(f"For documents of {name!r}: {text}" for name, text in given)
