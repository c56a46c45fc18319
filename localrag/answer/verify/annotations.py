"""An answer with marks where its reader must look twice, and the lines below it that say why (pure).

A mark is "⚠": right behind words that what is cited does not have, and at the end of a sentence that nothing in the
text supports. `Answer.answer` itself has no marks; whoever shows it puts them in. Words that cannot be found in the
answer again get no mark, but their line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.answer.verify.citations import claims, without_markers
from localrag.types import Flag

MARK = "⚠"
# Below this likelihood that the text holds the answer its reader is told so: between 0.5 and here 8 of 26 had
# nothing behind them in the study of docs/decisions/0034-sufficiency.md, above it 15 of 142.
DOUBTFUL = 0.65
_NAMED = {"link": "the link ", "command": "the command "}


def marked(text: str, unsupported: Sequence[str], flags: Sequence[Flag]) -> str:
    """The text of an answer with its marks."""
    text_only = [flag.text for flag in flags if flag.kind != "language"]
    places = {end: MARK for word in text_only for end in _ends(word, text)}
    wanted = {_even(sentence) for sentence in unsupported}
    for start, end in claims(text):
        if _even(text[start:end]) in wanted:
            places[start + len(text[start:end].rstrip())] = f" {MARK}"
    for at in sorted(places, reverse=True):
        text = text[:at] + places[at] + text[at:]
    return text


def _ends(words: str, text: str) -> list[int]:
    """Where words end in a text, each time that they stand there whole."""
    if not words.strip():
        return []
    parts = r"\s+".join(map(re.escape, words.split()))
    pattern = rf"(?<![^\W_])(?<!\d[.,]){parts}(?![^\W_]|[.,]\d)"
    return [match.end() for match in re.finditer(pattern, text)]


def _even(sentence: str) -> str:
    return re.sub(r"\s+(?=[.!?。！？]$)", "", " ".join(without_markers(sentence).split()))


def told(unsupported: Sequence[str], flags: Sequence[Flag], confidence: float | None = None) -> list[str]:
    """The lines below an answer that say what its marks mean, each with the mark; those of one reason together.

    Args:
        unsupported, flags: what the checks found.
        confidence: how likely it is that the text holds the answer, where it was answered and that was weighed.
    """
    lines: dict[str, list[str]] = {}
    for flag in flags:
        if flag.kind != "language":
            lines.setdefault(flag.reason, []).append(_NAMED.get(flag.kind, "") + flag.text)
    found = [f"{MARK} {', '.join(words)}: {reason}." for reason, words in lines.items()]
    found += [f"{MARK} The answer is in {flag.text}; {flag.reason}." for flag in flags if flag.kind == "language"]
    if confidence is not None and confidence < DOUBTFUL:
        found.append(f"{MARK} The text may not answer this at all (likelihood {confidence:.2f} that it does).")
    return [*found, *(f"{MARK} No source for: “{sentence}”" for sentence in unsupported)]
