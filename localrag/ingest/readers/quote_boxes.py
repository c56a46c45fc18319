"""Where on a page's picture a span of its text stands: found by its letters among the words that were drawn (pure).

The text of a page is not what its file draws: tables were made rows, columns put in order, hyphens taken out, lines in
right-to-left script turned. Letters and digits stay, so they are compared and all else is passed over. A span that is
not drawn in one piece is looked for piece by piece. Where less than most of it is found, nothing is: a box around the
wrong words would be worse than none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localrag.ingest.readers.pdf_words import Word

Box = tuple[float, float, float, float]  # left, top, right, bottom
_MOST = 0.6  # of the letters that must be found
_LEAST = 4  # letters of a piece that is told apart from others
_AROUND = 60  # letters on both sides by which two places with the same words are told apart


@dataclass(frozen=True, slots=True)
class _Letters:
    """The letters and digits of a text, and where each comes from (its place, or its word's number)."""

    text: str
    owners: tuple[int, ...]


def locate(text: str, start: int, end: int, words: Sequence[Word]) -> list[Box]:
    """A box for each line of the span [start, end) of a page's text, in the units of `words`; empty if not found."""
    said = _letters(enumerate(text))
    drawn = _letters((number, letter) for number, word in enumerate(words) for letter in word.text)
    inside = [index for index, owner in enumerate(said.owners) if start <= owner < end]
    if not inside:
        return []
    first, last = inside[0], inside[-1] + 1
    spans = [one] if (one := _whole(said, first, last, drawn)) else _pieces(said, first, last, drawn)
    if sum(end - start for start, end in spans) < _MOST * (last - first):
        return []
    numbers = sorted({drawn.owners[index] for start, end in spans for index in range(start, end)})
    return lines([words[number] for number in numbers])


def _letters(marked: Iterator[tuple[int, str]] | enumerate[str]) -> _Letters:
    kept: list[str] = []
    owners: list[int] = []
    for owner, letter in marked:
        for sign in letter if letter.isascii() else unicodedata.normalize("NFKC", letter):
            if sign.isalnum():
                kept.append(sign.lower() if len(sign.lower()) == 1 else sign)
                owners.append(owner)
    return _Letters("".join(kept), tuple(owners))


def _whole(said: _Letters, first: int, last: int, drawn: _Letters) -> tuple[int, int] | None:
    """Where all of it is drawn in one piece; of several such places, the one with the same words around it."""
    wanted = said.text[first:last]
    if places := _all(wanted, drawn.text):
        before, after = said.text[max(0, first - _AROUND) : first], said.text[last : last + _AROUND]
        at = max(places, key=lambda at: _alike(before, after, drawn.text, at, at + len(wanted)))
        return at, at + len(wanted)
    # A line in right-to-left script that is drawn from the left.
    turned = wanted[::-1]
    at = drawn.text.find(turned) if len(wanted) >= _LEAST else -1
    return (at, at + len(turned)) if at >= 0 else None


def _all(wanted: str, text: str) -> list[int]:
    places, at = list[int](), text.find(wanted)
    while at >= 0 and len(places) < 1000:
        places.append(at)
        at = text.find(wanted, at + 1)
    return places


def _alike(before: str, after: str, text: str, start: int, end: int) -> int:
    """How many letters right before and right behind a place are the same."""
    count = 0
    while count < len(before) and start - count > 0 and before[-count - 1] == text[start - count - 1]:
        count += 1
    more = 0
    while more < len(after) and end + more < len(text) and after[more] == text[end + more]:
        more += 1
    return count + more


def _pieces(said: _Letters, first: int, last: int, drawn: _Letters) -> list[tuple[int, int]]:
    """The longest pieces of it that are drawn, one after the other; each near the one before, where there are several.

    A word begins where the place of a letter does not follow the one before it.
    """
    begins = [at for at in range(first, last) if at == first or said.owners[at] > said.owners[at - 1] + 1]
    ends = [*begins[1:], last]
    found: list[tuple[int, int]] = []
    near, index = 0, 0
    while index < len(begins):
        size, at = _longest(said.text, begins[index], ends[index:], drawn.text, near)
        if not size:
            index += 1
            continue
        found.append((at, at + size))
        near, reached = at + size, begins[index] + size
        while index < len(begins) and begins[index] < reached:
            index += 1
    return found


def _longest(text: str, begin: int, ends: Sequence[int], drawn: str, near: int) -> tuple[int, int]:
    """The most words from `begin` on that are drawn together: how many letters, and where; (0, 0) if too few."""
    best = (0, 0)
    for end in ends:
        wanted = text[begin:end]
        places = _all(wanted, drawn) or _all(wanted[::-1], drawn)
        if not places:
            break
        at = min(places, key=lambda at: abs(at - near))
        if len(wanted) >= _LEAST or at == near:
            best = (end - begin, at)
    return best


def lines(words: Sequence[Word]) -> list[Box]:
    """One box for words that stand in one line, next to one another; on a page that lies on its side, it runs down."""
    long = [word for word in words if len(word.text) > 2]
    if sum(word.bottom - word.top > word.right - word.left for word in long) > 0.5 * len(long):
        turned = [Word(one.start, one.end, "", one.top, one.left, one.bottom, one.right) for one in words]
        return [(top, left, bottom, right) for left, top, right, bottom in lines(turned)]
    boxes: list[Box] = []
    for word in words:
        box = (word.left, word.top, word.right, word.bottom)
        if boxes:
            left, top, right, bottom = boxes[-1]
            height = min(bottom - top, word.bottom - word.top)
            shared = min(bottom, word.bottom) - max(top, word.top)
            gap = max(left, word.left) - min(right, word.right)
            if shared > 0.5 * height and gap < 2.5 * height:
                boxes[-1] = (min(left, box[0]), min(top, box[1]), max(right, box[2]), max(bottom, box[3]))
                continue
        boxes.append(box)
    return boxes
