"""A conversation as Markdown that is inert: no link, image, HTML or heading of an answer or a document survives.

Limits: viewers may turn a bare address into a link, which localrag breaks where no source has it (`links.py`).
"""

from __future__ import annotations

import re

from localrag.sessions.export.contents import Contents, Told


def markdown(told: Contents) -> str:
    """The conversation: each answer with its quotes, their places and what limits it; all sources at the end."""
    parts = [f"# {_inert(told.title)}", *map(_inert, told.about)]
    for turn in told.turns:
        parts += _turn(turn)
    if told.sources:
        parts.append("## Sources")
        parts.append(
            "\n".join(
                f"{number}. {_inert(one.document)}{_inert(_places(one.places))} (library {_inert(one.library)})"
                for number, one in enumerate(told.sources, 1)
            )
        )
    return "\n\n".join(parts) + "\n"


def _turn(turn: Told) -> list[str]:
    parts = [f"## {_inert(turn.question)}"]
    if turn.answer.strip():
        parts.append(_inert_block(turn.answer.strip()))
    parts += map(_inert, turn.notes)
    if turn.quotes:
        parts.append("**Quotes**")
    for one in turn.quotes:
        parts.append(_inert(f"[{one.marker}] {one.where}"))
        parts.append(_fenced(one.quote))
    parts += map(_inert, turn.limits)
    parts.append(f"*{_inert(turn.how).replace('*', chr(92) + '*')}*")
    return parts


def _places(places: tuple[str, ...]) -> str:
    return f": {'; '.join(places)}" if places else ""


def _inert(text: str) -> str:
    # A viewer would load an image, and with it tell its address what stands in the answer. Backslashes before a
    # bracket are doubled, else one of them would take the escape for itself and set the bracket free.
    return re.sub(r"(\\*)([<\[\]])", r"\1\1\\\2", text)


def _inert_block(text: str) -> str:
    """An answer's own Markdown, without what would make a heading of it: it must not pass for a question."""
    text = re.sub(r"(?m)^((?:[ \t>*+-]|\d+[.)])*)(#{1,6}(?=\s|$))", r"\1\\\2", text)
    text = re.sub(r"(?m)^([ \t>]*)(=+|-+)(?=[ \t]*$)", r"\1\\\2", text)
    return _inert(text) + _closing(text)


def _closing(text: str) -> str:
    """The end of a code block that an answer left open, else all that follows would be code."""
    fence = ""
    for found in re.finditer(r"(?m)^ {0,3}(`{3,}|~{3,})([^\n]*)$", text):
        run = found[1]
        if not fence:
            fence = run if run[0] == "~" or "`" not in found[2] else ""
        elif run[0] == fence[0] and len(run) >= len(fence) and not found[2].strip():
            fence = ""
    return f"\n{fence}" if fence else ""


def _fenced(quote: str) -> str:
    """A quote in a code block, where every character stands for itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", quote)), default=0))
    return f"{fence}text\n{quote}\n{fence}"
