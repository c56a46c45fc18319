"""Whether two sentences say different things of the same (pure).

They do where all their words of content agree, in order, and one or two figures, amounts, dates or terms among them do
not, or where one of them has a "not" that the other has not. Two sentences on different periods do not ("as of 30 June
2023" and "as of 30 June 2022": the figures of both are right), nor two that tell different things apart by a word
("urgent retrieval", "standard retrieval"), nor rows of several figures.

Limits: numbers in words are known up to ninety-nine in English and in part in German; what is said in other words is
not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from localrag.quantities import CARDINALS, DATE, ONES, QUANTITY, TENS, TIME_UNITS, parse_date, parse_quantity

_NUMBERS = {f"{tens}-{ones}": 10 * t + n for t, tens in enumerate(TENS, 2) for n, ones in enumerate(ONES[1:10], 1)}
_NUMBERS |= {word: n for word, n in CARDINALS.items() if n} | {"second": 2}
_EMPTY = frozenset(
    """a all an and any as at be been by do does each for from had has have if in into is it its may must of on or per
    shall such than that the their then there these they this those to under until upon was were when where
    which while who will with within der die das den dem des ein eine einen einer eines und oder in im am an auf
    zu zum zur von vom mit bei ist sind wird werden innerhalb hat haben""".split()
)
_NOT = frozenset("not no never neither nor cannot nicht kein keine keinen keiner keinem nie niemals".split())
# The number behind these is a name of something, no figure.
_NAMING = frozenset(
    """section sections clause clauses article articles paragraph paragraphs page pages schedule exhibit no nos number
    note notes item items table figure step chapter annex appendix version part line amendment level phase stage type
    form rule ziffer abschnitt klausel artikel absatz anlage seite nummer nr""".split()
)
_TIMED = re.compile(
    r"\b(?:as (?:of|at)|ended|ending|during|since|dated?|of|at|for(?: the)?(?: fiscal)?(?: year| quarter| months?)?|"
    r"fiscal|calendar|fy|year|in|stand|per|zum)\s*:?\s*$",
    re.I,
)
_SPAN = re.compile(r"\b(?:during|in|for|over)\s+the\s+(?:(?:first|last|past|previous|next|same)\s+)?$", re.I)
_LASTS = re.compile(
    r"\b(?:until|till|by|through|to|on|before|after|expires?(?: in| on)?|ends?(?: in| on)?|bis|am)\s*$", re.I
)
_SPELLED = "|".join(sorted(map(re.escape, _NUMBERS), key=len, reverse=True))
_PIECE = re.compile(
    rf"(?P<date>{DATE.pattern})|(?P<spelled>\b(?:{_SPELLED})\b)(?:\s*\(\d+\))?|(?<!\w)(?P<figure>{QUANTITY.pattern})"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*\d*)",
    re.I | re.X,
)
_ITEM = re.compile(r"\s*[\"“„]?\s*(?:\(?[A-Za-z]?\d{1,3}(?:\.\d{1,3})*\)?[.)]?|\([a-z]{1,3}\))\s+(?=\D)")
_FEWEST_WORDS, _FEWEST_FOR_NOT, _FEWEST_FOR_MORE = 2, 4, 8
_MOST_DIFFERING, _MOST_MORE, _MOST_QUANTITYS = 2, 2, 4


@dataclass(frozen=True, slots=True)
class Difference:
    """What two sentences say differently: half-open offsets into each of them, and how many words they share."""

    one: tuple[int, int]
    other: tuple[int, int]
    shared: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or a value: its kind, what it is, where it stands."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.value if self.kind == "word" else "#"


def difference(one: str, other: str) -> Difference | None:
    """What two sentences say differently of the same; None where they agree, or speak of different things."""
    ours, theirs = list(_pieces(one)), list(_pieces(other))
    if max(sum(piece.kind != "word" for piece in pieces) for pieces in (ours, theirs)) > _MOST_QUANTITYS:
        return None
    pairs: list[tuple[_Piece, _Piece]] = []
    more: list[_Piece] = []
    less: list[_Piece] = []
    matcher = SequenceMatcher(None, [piece.key for piece in ours], [piece.key for piece in theirs], autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pairs += zip(ours[a:b], theirs[c:d], strict=True)
        else:
            more += ours[a:b]
            less += theirs[c:d]
    words = {mine.value for mine, _ in pairs if mine.kind == "word"} - _EMPTY - _NOT
    if len(words) < _FEWEST_WORDS or not (more_or_less := _only_more(more, less, len(words))):
        return None
    differing = [(mine, yours) for mine, yours in pairs if mine.value != yours.value]
    if not differing:
        return _negated(one, other, more, less, words)
    if more_or_less == "not" or not _of_the_same(differing, one, other):
        return None
    if ("|" in one and not _tells_one(differing, ours)) or _is_page(differing[-1][0], ours[-1], one):
        return None
    first, last = differing[0], differing[-1]
    return Difference((first[0].start, last[0].end), (first[1].start, last[1].end), len(words))


def same(one: str, other: str) -> bool:
    """Whether two sentences are the same, but for white space, case and punctuation."""
    return re.findall(r"\w+", one.casefold()) == re.findall(r"\w+", other.casefold())


def _only_more(more: Sequence[_Piece], less: Sequence[_Piece], shared: int) -> str:
    """Whether what is left over tells the two apart: "" where it does, else what it is ("same", "more", "not")."""
    left = [[piece for piece in pieces if piece.value not in _EMPTY] for pieces in (more, less)]
    if not any(left):
        return "same"
    if any(piece.kind != "word" for pieces in left for piece in pieces):
        return ""
    if all(piece.value in _NOT for pieces in left for piece in pieces):
        return "not"
    if not all(left) and sum(map(len, left)) <= _MOST_MORE and shared >= _FEWEST_FOR_MORE:
        return "more"
    return ""


def _of_the_same(differing: Sequence[tuple[_Piece, _Piece]], one: str, other: str) -> bool:
    """Whether values that differ are of one kind each, few, and not those of another period."""
    if len(differing) > _MOST_DIFFERING or any(mine.kind != yours.kind for mine, yours in differing):
        return False
    timed = [mine for mine, _ in differing if mine.kind in ("date", "year")]
    if timed and len(differing) > 1:
        return False
    for mine, yours in differing:
        if mine.kind == "term" and _SPAN.search(one[: mine.start]):
            return False
        if mine.kind == "date" and _TIMED.search(one[: mine.start]):
            return False
        if mine.kind == "year" and not (_LASTS.search(one[: mine.start]) and _LASTS.search(other[: yours.start])):
            return False
    return True


def _tells_one(differing: Sequence[tuple[_Piece, _Piece]], row: Sequence[_Piece]) -> bool:
    """Whether what differs in a row of a table is one value with a unit, of which there is no second.

    Columns are mostly periods, and a bare number may be in thousands, or that of a page.
    """
    kinds = [piece.kind for piece in row]
    kind = differing[0][0].kind
    return len(differing) == 1 and kind != "number" and kinds.count(kind) == 1


def _is_page(piece: _Piece, last: _Piece, sentence: str) -> bool:
    """Whether a number ends a line that is no sentence: a list of contents."""
    return piece is last and piece.kind == "number" and not sentence.rstrip().endswith((".", "!", "?", ";", ":", "|"))


def _negated(
    one: str, other: str, more: Sequence[_Piece], less: Sequence[_Piece], words: set[str]
) -> Difference | None:
    nots = [[piece for piece in pieces if piece.value in _NOT] for pieces in (more, less)]
    if len(words) < _FEWEST_FOR_NOT or len(nots[0]) + len(nots[1]) != 1:
        return None
    if any(piece.value not in _NOT and piece.value not in _EMPTY for piece in (*more, *less)):
        return None
    return Difference((0, len(one)), (0, len(other)), len(words))


# --- pieces -------------------------------------------------------------------------------------------------


def _pieces(sentence: str) -> Iterator[_Piece]:
    """The words and values of a sentence, in order; numbers that name something, such as a clause, are words."""
    lead = _ITEM.match(sentence)
    before = ""
    held: _Piece | None = None
    for match in _PIECE.finditer(sentence, lead.end() if lead else 0):
        piece = _piece(match, before)
        if held is not None:
            unit = TIME_UNITS.get(piece.value) if piece.kind == "word" and held.kind == "number" else None
            if unit:
                yield _Piece("term", f"{held.value} {unit}", held.start, piece.end)
                held, before = None, piece.value
                continue
            yield held
            held = None
        if piece.kind == "number":
            held = piece
        else:
            yield piece
        before = piece.value if piece.kind == "word" else ""
    if held is not None:
        yield held


def _piece(match: re.Match[str], before: str) -> _Piece:
    start, end = match.span()
    if match["word"]:
        return _Piece("word", _folded(match["word"]), start, end)
    if match["spelled"]:
        return _Piece("number", str(_NUMBERS[match["spelled"].lower()]), start, end)
    if match["date"]:
        written = parse_date(match[0])
        if written is not None:
            return _Piece("date", written.readings[0][1].isoformat(), start, end)
    return _figure(match[0].strip().rstrip("."), before, start + len(match[0]) - len(match[0].lstrip()))


def _figure(text: str, before: str, start: int) -> _Piece:
    found = QUANTITY.match(text)
    end = start + len(text)
    if found is None or before in _NAMING:
        return _Piece("word", text.casefold(), start, end)
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return _Piece("year", text, start, end)
    told = parse_quantity(found)
    if told.is_money:
        return _Piece("money", str(told), start, end)
    if told.unit == "%":
        return _Piece("share", str(told), start, end)
    if told.unit:
        return _Piece("term", f"{told.value.normalize():f} {told.unit}", start, end)
    return _Piece("number", f"{told.value.normalize():f}", start, end)


def _folded(word: str) -> str:
    word = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in TIME_UNITS:
        return TIME_UNITS[word]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
