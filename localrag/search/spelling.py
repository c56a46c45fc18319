"""Words of a question that no library holds, put right against the words that they do hold.

A word is taken for a slip of the keyboard only where nothing in any library is written so or stems from it, and a word
that is there differs by one letter, or by two in a long word (optimal string alignment: a letter left out, added,
changed, or two changed about). Numbers, identifiers, short words, the commonest words of a language and words in quotes
are left alone. What was put right is said wherever the result is shown.

Limits: the first letter is taken to be right. What is put in is as the full text keeps it: without diacritics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.store.full_text import FullText
from localrag.store.text_analysis import COMMON, folded, stem

Shelf = tuple[FullText, Sequence[str]]

_WORD = re.compile(r'"[^"]*"|“[^“”]*”|«[^«»]*»|„[^„“”]*[“”]|\b[^\W\d_]{5,}\b')
_LONG = 8
# What nobody types, but somebody may paste: each slip is compared with every word of its first letter.
_MOST_SLIPS = 16
_COMMON = frozenset(folded(word) for words in COMMON.values() for word in words)


def corrected(question: str, shelves: Sequence[Shelf]) -> str:
    """The question with its slips put right.

    Args:
        question: any text.
        shelves: the full text of each library, and the languages of its documents.
    """
    seen: dict[str, str | None] = {}
    slips = 0

    def right(match: re.Match[str]) -> str:
        nonlocal slips
        word = match[0]
        plain = folded(word)
        if not word[0].isalpha() or not plain.isalpha() or plain in _COMMON:
            return word
        if plain not in seen:
            slip = slips < _MOST_SLIPS and not any(_held(word, plain, shelf) for shelf in shelves)
            slips += slip
            seen[plain] = _nearest(plain, shelves) if slip else None
        found = seen[plain]
        if found is None:
            return word
        return found.capitalize() if word[0].isupper() else found

    return _WORD.sub(right, question)


def _held(word: str, plain: str, shelf: Shelf) -> bool:
    """A hyphen or an apostrophe may have cut the word off; what is a word of the language stands there by its stem."""
    text, languages = shelf
    return text.knows(plain, {stem(word.lower(), spoken) for spoken in (*languages, "")})


def _nearest(plain: str, shelves: Sequence[Shelf]) -> str | None:
    from rapidfuzz.distance import OSA

    most = 1 if len(plain) < _LONG else 2
    best: tuple[int, int, str] | None = None
    for text, _ in shelves:
        for other, held in text.beginning(plain[0]):
            if abs(len(other) - len(plain)) <= most and other.isalpha():
                apart = OSA.distance(plain, other, score_cutoff=most)
                if apart <= most and (best is None or (apart, -held, other) < best):
                    best = apart, -held, other
    return best[2] if best else None
