"""Documents that a question names with an `@`, which narrow it to them (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from localrag.errors import UsageError

_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]+)"|([^\s"@]+))')
PUNCTUATION = ".,;:!?)"  # may follow a name without being part of it


def mention(name: str) -> str:
    """A document's name as it is typed after an `@`."""
    return f'@"{name}"' if re.search(r"[\s@]|[.,;:!?)]\Z", name) else f"@{name}"


def mentioned(
    question: str, documents: Iterable[tuple[str, str]], *, drop: bool = False
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Replace @mentions by the paths of documents, or drop them; return the question and the documents mentioned.

    Documents are libraries and paths; a mention is a path, or library/path. Where no documents are known, nothing is
    replaced. Raises UsageError for a mention that fits none of them.
    """
    known, found = dict[str, list[tuple[str, str]]](), dict[tuple[str, str], None]()
    for one in documents:
        known.setdefault(one[1], []).append(one)
        known.setdefault("/".join(one), []).append(one)

    def named(match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], ""
        while match[2] and name not in known and name[-1:] in PUNCTUATION and name:
            name, rest = name[:-1], name[-1] + rest
        if not known or not name:
            return match[0]
        if name not in known:
            hint = "Name one as the library lists it, or leave out the @."
            raise UsageError(f"no document here is named {match[1] or match[2].rstrip(PUNCTUATION)!r}", hint)
        found.update(dict.fromkeys(known[name]))
        name = known[name][0][1]
        if drop:
            return rest
        return f"“{name}”{rest}" if match[1] else name + rest

    return _MENTION.sub(named, question), tuple(found)
