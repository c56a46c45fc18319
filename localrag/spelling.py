"""Words of a question that the library does not hold, put right against the words that it does hold.

A word is taken for a slip of the keyboard only where nothing in the library is written so or stems from it, and a word
that is there differs by one letter, or by two in a long word (optimal string alignment: a letter left out, added,
changed, or two changed about). Numbers, short words and words in quotes are left alone. What was put right is said
wherever the result is shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.analysis import folded, stem
from localrag.fulltext import FullText

_WORD = re.compile(r'"[^"]*"|“[^”]*”|«[^»]*»|„[^“”]*[“”]|[^\W\d_]{5,}')
_LONG = 8


def corrected(question: str, text: FullText, languages: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The question with its slips put right, and the words that were put in."""
    put_in: list[str] = []

    def right(match: re.Match[str]) -> str:
        word = match[0]
        if not word[0].isalpha():
            return word
        found = _nearest(word, text, languages)
        if found is None:
            return word
        put_in.append(found)
        return found.capitalize() if word[0].isupper() else found

    return _WORD.sub(right, question), tuple(put_in)


def _nearest(word: str, text: FullText, languages: Sequence[str]) -> str | None:
    plain = folded(word)
    # A hyphen or an apostrophe may have cut the word off; what is a word of the language stands somewhere by its stem.
    if text.knows(plain, {stem(word.lower(), spoken) for spoken in (*languages, "")}):
        return None
    from rapidfuzz.distance import OSA

    most = 1 if len(plain) < _LONG else 2
    best: tuple[int, int, str] | None = None
    for other, held in text.beginning(plain[0]):
        if abs(len(other) - len(plain)) <= most and other.isalpha():
            apart = OSA.distance(plain, other, score_cutoff=most)
            if apart <= most and (best is None or (apart, -held, other) < best):
                best = apart, -held, other
    return best[2] if best else None
