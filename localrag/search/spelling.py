"""Correct words of a question that no library holds, against the words that they do hold.

A word is a typing error where no library has it or its stem, and has one that differs by a letter, or by two in a long
word. Numbers, identifiers, short and common words, and words in quotes stay. Limits: the first letter must be right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.store.full_text import FullText
from localrag.store.text_analysis import COMMON, folded, stem

Shelf = tuple[FullText, Sequence[str]]

_WORD = re.compile(r'"[^"]*"|“[^“”]*”|«[^«»]*»|„[^„“”]*[“”]|\b[^\W\d_]{5,}\b')
_LONG = 8
# For pasted text: each error is compared with every word of its first letter.
_MAX_ERRORS = 16
_COMMON = frozenset(folded(word) for words in COMMON.values() for word in words)


def corrected(question: str, shelves: Sequence[Shelf]) -> str:
    """Return the question with its typing errors corrected by the full text of each library, in its languages."""
    seen: dict[str, str | None] = {}
    errors = 0

    def corrected_word(match: re.Match[str]) -> str:
        nonlocal errors
        word = match[0]
        plain = folded(word)
        if not word[0].isalpha() or not plain.isalpha() or plain in _COMMON:
            return word
        if plain not in seen:
            error = errors < _MAX_ERRORS and not any(
                text.has_word(plain, {stem(word.lower(), language) for language in (*languages, "")})
                for text, languages in shelves
            )  # a hyphen or an apostrophe may have cut off a stem
            errors += error
            seen[plain] = _nearest(plain, shelves) if error else None
        found = seen[plain]
        if found is None:
            return word
        return found.capitalize() if word[0].isupper() else found

    return _WORD.sub(corrected_word, question)


def _nearest(plain: str, shelves: Sequence[Shelf]) -> str | None:
    from rapidfuzz.distance import OSA

    most = 1 if len(plain) < _LONG else 2
    best: tuple[int, int, str] | None = None
    for text, _ in shelves:
        for other, held in text.words_starting(plain[0]):
            if abs(len(other) - len(plain)) <= most and other.isalpha():
                apart = OSA.distance(plain, other, score_cutoff=most)
                if apart <= most and (best is None or (apart, -held, other) < best):
                    best = apart, -held, other
    return best[2] if best else None
