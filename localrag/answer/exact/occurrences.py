"""Where a word or a phrase stands in a text (pure), and what a full text can be asked, so that few texts are read.

Whole words, of any case, whatever quotation marks, apostrophes and dashes they are written with, and wherever their
lines break. Nothing is stemmed: "notice" is not "notices".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from localrag.store.text_analysis import folded

_APOSTROPHES, _QUOTES, _DASHES = "'’‘ʼ´`", '"“”„«»', "-‐‑‒–—−"
# A run of letters shorter than this is part of too many words to narrow anything.
_LEAST = 3
_ANCHOR = re.compile("[0-9A-Za-z]+")
# What a pattern takes for s, or for i, and `lower` does not; the last one is longer in lower case.
_OTHER_CASES = "\u017f\u0131\u0130"
# Scripts of letters that are cut into words at their ends, as patterns here are: Latin, Greek, Cyrillic.
_LETTERS = re.compile("[0-9a-z\u00df-\u024f\u0370-\u052f]+")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place of a term: half-open code-point offsets into the text searched."""

    start: int
    end: int


def occurrences(text: str, term: str) -> Iterator[Occurrence]:
    """The places of a whole word or phrase in a text."""
    if (pattern := _pattern(term)) is None:
        return
    anchor = _ANCHOR.search(term.split()[0])
    if anchor is None or any(sign in text for sign in _OTHER_CASES):
        matches = pattern.finditer(text)
    else:
        matches = _anchored(text, pattern, anchor[0].lower(), anchor.start())
    for match in matches:
        yield Occurrence(match.start(), match.end())


def _anchored(text: str, pattern: re.Pattern[str], anchor: str, before: int) -> Iterator[re.Match[str]]:
    """What `pattern.finditer` gives, a hundred times as quickly: it is only tried where `anchor` stands.

    Args:
        anchor: letters of the pattern's first word, in lower case.
        before: how many signs of the pattern stand before them.
    """
    low, at, end = text.lower(), 0, 0
    while (at := low.find(anchor, at)) >= 0:
        match = pattern.match(text, at - before) if at - before >= end else None
        if match:
            yield match
            end = match.end()
        at += 1


@lru_cache(maxsize=16)
def _pattern(term: str) -> re.Pattern[str] | None:
    words = [_sign(word) for word in term.split()]
    if not words:
        return None
    plain = "".join(term.split())
    before, after = (r"(?<!\w)" if plain[0].isalnum() else ""), (r"(?!\w)" if plain[-1].isalnum() else "")
    return re.compile(before + r"\s+".join(words) + after, re.I)


def _sign(word: str) -> str:
    for signs in (_APOSTROPHES, _QUOTES, _DASHES):
        word = re.sub(f"[{signs}]", signs[0], word)
    return "".join(
        next((f"[{re.escape(signs)}]" for signs in (_APOSTROPHES, _QUOTES, _DASHES) if sign in signs), re.escape(sign))
        for sign in word
    )


def parts(term: str) -> tuple[str, ...]:
    """Runs of letters, folded, each of which stands inside a word of every text that holds the term; longest first.

    Empty where there is none that a full text can be asked for: then every text has to be read.
    """
    runs = {folded(run) for run in re.findall(r"[^\W_]+", term)}
    fitting = [run for run in runs if len(run) >= _LEAST and _LETTERS.fullmatch(run)]
    return tuple(sorted(fitting, key=lambda run: (-len(run), run)))
