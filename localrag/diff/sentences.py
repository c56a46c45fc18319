"""Read the words and figures of a sentence, and tell whether two in one place contradict each other.

Limits: English and German; other wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from localrag.diff.alignment import between, pairs
from localrag.quantities import (
    CARDINALS,
    DATE,
    QUANTITY,
    TIME_UNITS,
    lazy_re,
    load_words,
    parse_date,
    parse_quantity,
    phrases,
)

_NUMBERS = {word: n for word, n in CARDINALS.items() if n} | {"second": 2}
_ENGLISH = list(CARDINALS.items())  # the first ones: 0 to 19, then the tens
_NUMBERS |= {f"{tens}-{ones}": n + m for tens, n in _ENGLISH[20:28] for ones, m in _ENGLISH[1:10]}
_WORDS = load_words("localrag.diff", "words.toml")
_EMPTY, _NOT = frozenset(_WORDS["sentences"]["empty"].split()), frozenset(_WORDS["substance"]["negation"].split())
NAMING = frozenset(_WORDS["sentences"]["naming"].split())
(_LASTS,) = phrases("localrag.diff", "sentences", "lasts")
_SPELLED = "|".join(sorted(map(re.escape, _NUMBERS), key=len, reverse=True))
_PIECE = lazy_re(
    rf"(?P<date>{DATE.pattern})|(?P<spelled>\b(?:{_SPELLED})\b)(?:\s*\(\d+\))?|(?<!\w)(?P<figure>{QUANTITY.pattern})"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*\d*)",
    re.I | re.X,
)
_ITEM = re.compile(r"\s*+[\"“„]?\s*+(?:\(?[A-Za-z]?\d{1,3}(?:\.\d{1,3})*\)?[.)]?|\([a-z]{1,3}\))\s+(?=\D)")
_MAX_DIFFERING, _MAX_MORE = 2, 2  # figures that differ, and words that only one sentence has


@dataclass(frozen=True, slots=True)
class Piece:
    """A word or a value of a sentence: "amount", "percent", "duration", "date", "year" or "number"."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.value if self.kind == "word" else "#"


def pieces(sentence: str) -> Iterator[Piece]:
    """Yield the words and values of a sentence; numbers that name something, such as a clause, are words."""
    lead = _ITEM.match(sentence)
    before = ""
    held: Piece | None = None  # a number, until what follows says whether it counts days
    for match in _PIECE.finditer(sentence, lead.end() if lead else 0):
        piece = _piece(match, before)
        before = piece.value if piece.kind == "word" else ""
        unit = TIME_UNITS.get(before)
        if held is not None and unit:
            yield Piece("duration", f"{held.value} {unit}", held.start, piece.end)
            held = None
            continue
        if held is not None:
            yield held
        held = piece if piece.kind == "number" else None
        if held is None:
            yield piece
    if held is not None:
        yield held


def _piece(match: re.Match[str], before: str) -> Piece:
    start, end = match.span()
    if match["word"]:
        return Piece("word", _folded(match["word"]), start, end)
    if match["spelled"]:
        return Piece("number", str(_NUMBERS[match["spelled"].lower()]), start, end)
    if match["date"] and (written := parse_date(match[0])) is not None:
        return Piece("date", written.readings[0][1].isoformat(), start, end)
    text = match[0].strip().rstrip(".")
    start += len(match[0]) - len(match[0].lstrip())
    end = start + len(text)
    found = QUANTITY.match(text)
    if found is None or before in NAMING:
        return Piece("word", text.casefold(), start, end)
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return Piece("year", text, start, end)
    quantity = parse_quantity(found)
    if quantity.is_money or quantity.unit == "%":
        return Piece("amount" if quantity.is_money else "percent", str(quantity), start, end)
    kind = "duration" if quantity.unit else "number"
    return Piece(kind, f"{quantity.value.normalize():f} {quantity.unit}".rstrip(), start, end)


def _folded(word: str) -> str:
    word = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in TIME_UNITS:
        return TIME_UNITS[word]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def contradiction(one: str, other: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return where two sentences in one place of two texts contradict each other, as half-open offsets into each.

    One or two figures of one kind differ, and hardly another word, or one sentence has a "not". Dates and years count
    only where something lasts to them, since others are mostly those of another period.
    """
    ours, theirs = list(pieces(one)), list(pieces(other))
    same = list(pairs([piece.key for piece in ours], [piece.key for piece in theirs]))
    apart = between([*same, (len(ours), len(theirs))])
    left = [piece for hunk in apart for piece in (*ours[hunk.a : hunk.b], *theirs[hunk.c : hunk.d])]
    left = [piece for piece in left if piece.value not in _EMPTY]
    differing = [(ours[a], theirs[c]) for a, c in same if ours[a].value != theirs[c].value]
    if not differing:
        negated = len(left) == 1 and left[0].value in _NOT
        return ((0, len(one)), (0, len(other))) if negated else None
    if len(differing) > _MAX_DIFFERING or len(left) > _MAX_MORE:
        return None
    if any(piece.kind != "word" or piece.value in _NOT for piece in left):
        return None
    for mine, yours in differing:
        dated = mine.kind in ("date", "year")
        if mine.kind != yours.kind or (dated and not (len(differing) == 1 and _LASTS.search(one[: mine.start]))):
            return None
    first, last = differing[0], differing[-1]
    return (first[0].start, last[0].end), (first[1].start, last[1].end)
