"""Read the figures of a sentence, and tell whether two sentences about the same differ in them.

They differ if their content words agree, in order, and one or two figures, amounts, dates or durations do not, or one
has a "not"; those on different periods do not. Limits: English and German; other wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
_TIMED, _LASTS = phrases("localrag.diff", "sentences", "timed", "lasts")
_SPAN = re.compile(r"\b(?:during|in|for|over)\s+the\s+(?:(?:first|last|past|previous|next|same)\s+)?$", re.I)
_SPELLED = "|".join(sorted(map(re.escape, _NUMBERS), key=len, reverse=True))
_PIECE = lazy_re(
    rf"(?P<date>{DATE.pattern})|(?P<spelled>\b(?:{_SPELLED})\b)(?:\s*\(\d+\))?|(?<!\w)(?P<figure>{QUANTITY.pattern})"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*\d*)",
    re.I | re.X,
)
_ITEM = re.compile(r"\s*+[\"“„]?\s*+(?:\(?[A-Za-z]?\d{1,3}(?:\.\d{1,3})*\)?[.)]?|\([a-z]{1,3}\))\s+(?=\D)")
_MIN_WORDS, _MIN_FOR_NOT, _MIN_FOR_MORE = 2, 4, 8
_MAX_DIFFERING, _MAX_MORE, _MAX_VALUES = 2, 2, 4


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


# --- two sentences ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """The parts that differ in two sentences: half-open offsets into each, and the number of shared words."""

    one: tuple[int, int]
    other: tuple[int, int]
    shared: int


def difference(one: str, other: str) -> Difference | None:
    """Return how two sentences about the same differ; None if they agree or are about different things."""
    ours, theirs = list(pieces(one)), list(pieces(other))
    if max(sum(piece.kind != "word" for piece in pieces) for pieces in (ours, theirs)) > _MAX_VALUES:
        return None
    same = list(pairs([piece.key for piece in ours], [piece.key for piece in theirs]))
    apart = between([*same, (len(ours), len(theirs))])
    more = [piece for hunk in apart for piece in ours[hunk.a : hunk.b]]
    less = [piece for hunk in apart for piece in theirs[hunk.c : hunk.d]]
    words = {ours[a].value for a, _ in same if ours[a].kind == "word"} - _EMPTY - _NOT
    if len(words) < _MIN_WORDS or not (more_or_less := _only_more(more, less, len(words))):
        return None
    differing = [(ours[a], theirs[c]) for a, c in same if ours[a].value != theirs[c].value]
    if not differing:
        nots = [piece for piece in (*more, *less) if piece.value in _NOT]
        negated = more_or_less == "not" and len(words) >= _MIN_FOR_NOT and len(nots) == 1
        return Difference((0, len(one)), (0, len(other)), len(words)) if negated else None
    if more_or_less == "not" or not _of_the_same(differing, one, other):
        return None
    first, last = differing[0], differing[-1]
    # Columns of a table are mostly periods, and a bare number may be in thousands, or a page: only one value with a
    # unit, the only one of its kind, tells two rows apart.
    kind = first[0].kind
    if "|" in one and (len(differing) > 1 or kind == "number" or sum(piece.kind == kind for piece in ours) > 1):
        return None
    # The number at the end of a line of a table of contents is a page.
    if last[0] is ours[-1] and last[0].kind == "number" and not one.rstrip().endswith(tuple(".!?;:|")):
        return None
    return Difference((first[0].start, last[0].end), (first[1].start, last[1].end), len(words))


def _only_more(more: Sequence[Piece], less: Sequence[Piece], shared: int) -> str:
    """Return what the words beyond the shared ones mean: "same", "more", "not", or "" for another subject."""
    left = [[piece for piece in pieces if piece.value not in _EMPTY] for pieces in (more, less)]
    if not any(left):
        return "same"
    if any(piece.kind != "word" for pieces in left for piece in pieces):
        return ""
    if all(piece.value in _NOT for pieces in left for piece in pieces):
        return "not"
    if not all(left) and sum(map(len, left)) <= _MAX_MORE and shared >= _MIN_FOR_MORE:
        return "more"
    return ""


def _of_the_same(differing: Sequence[tuple[Piece, Piece]], one: str, other: str) -> bool:
    """Whether differing values are few, of one kind each, and not of another period."""
    if len(differing) > _MAX_DIFFERING or any(mine.kind != yours.kind for mine, yours in differing):
        return False
    if len(differing) > 1 and any(mine.kind in ("date", "year") for mine, _ in differing):
        return False
    for mine, yours in differing:
        before = one[: mine.start]
        if (mine.kind == "duration" and _SPAN.search(before)) or (mine.kind == "date" and _TIMED.search(before)):
            return False
        if mine.kind == "year" and not (_LASTS.search(before) and _LASTS.search(other[: yours.start])):
            return False
    return True
