"""What the owner of a library says of how answers shall be worded: "Answer in German; cite clause numbers."

Instructions are kept in the library, a few hundred characters long. They shape an answer's words and nothing else: the
model reads them behind the documents and the question, and only where it writes, so that whether the text holds the
answer is weighed without them, and what was read of a document serves whatever they say
(docs/decisions/0033-instructions-and-conflicts.md). The rows of a survey and what code answers are told by code.
"""

from __future__ import annotations

from collections.abc import Sequence

from localrag.errors import UsageError
from localrag.ingest.readers.cleaning import clean
from localrag.store.library import Library

LONGEST = 600


def checked(text: str) -> str:
    """Instructions as they are kept: on one line, without control characters.

    Raises:
        UsageError: they are empty, or longer than LONGEST characters.
    """
    text = " ".join(clean(text).split())
    if not text:
        raise UsageError(
            "the instructions are empty",
            "Give some words, such as 'Answer in German; cite clause numbers.', or take away those there are: --clear.",
        )
    if len(text) > LONGEST:
        raise UsageError(
            f"the instructions have {len(text):,} characters, and at most {LONGEST} are read with every question",
            "Say how answers shall be worded, in a few sentences. What they shall know belongs into a document.",
        )
    return text


def of(libraries: Sequence[Library]) -> str:
    """The instructions of these libraries together, each under its library's name where several differ."""
    told = [(library.name, library.instructions) for library in libraries if library.instructions]
    if len({text for _, text in told}) < 2 and len(told) in (0, len(libraries)):
        return told[0][1] if told else ""
    return " ".join(f"For documents of {name!r}: {text}" for name, text in told)
