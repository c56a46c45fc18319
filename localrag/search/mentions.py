"""Documents that a question names with an `@`, which narrow it to them (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]+)"|([^\s"@]+))')
PUNCTUATION = ".,;:!?)"  # may follow a name without being part of it


def mention(name: str) -> str:
    """A document's name as it is typed after an `@`."""
    return f'@"{name}"' if re.search(r"[\s@]|[.,;:!?)]\Z", name) else f"@{name}"


def mentioned(question: str, documents: Iterable[str], *, drop: bool = False) -> tuple[str, tuple[str, ...]]:
    """Replace @mentions by the names of documents, or drop them; return the question and the documents mentioned.

    An `@` before anything but a document's exact name is left alone.
    """
    known, found = frozenset(documents), dict[str, None]()

    def named(match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], ""
        while match[2] and name not in known and name[-1:] in PUNCTUATION and name:
            name, rest = name[:-1], name[-1] + rest
        if name not in known:
            return match[0]
        found[name] = None
        if drop:
            return rest
        return f"“{name}”{rest}" if match[1] else name + rest

    return _MENTION.sub(named, question), tuple(found)
