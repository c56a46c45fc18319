"""Compare sentences of two documents, and read what an amendment changes.

Two sentences differ if their content words agree, in order, and one or two figures, amounts, dates or terms do not, or
one has a "not"; those on different periods do not. A change of an amendment counts only if the clause, and in it the
words or the row, are found in what it amends. Limits: English and German; other wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from localrag import quantities
from localrag.grounding.citations import terms
from localrag.grounding.context import Span
from localrag.grounding.locate import locate
from localrag.quantities import CARDINALS, DATE, QUANTITY, TIME_UNITS, lazy_re, parse_date, parse_quantity, phrases
from localrag.store.sentences import sentences

_NUMBERS = {word: n for word, n in CARDINALS.items() if n} | {"second": 2}
_ENGLISH = list(CARDINALS.items())  # the first ones: 0 to 19, then the tens
_NUMBERS |= {f"{tens}-{ones}": n + m for tens, n in _ENGLISH[20:28] for ones, m in _ENGLISH[1:10]}
_WORDS_OF = quantities.load_words("localrag.answer", "words.toml")["differences"]
# A number after one that is naming is a name and not a figure.
_EMPTY, _NOT, _NAMING = (frozenset(_WORDS_OF[name].split()) for name in ("empty", "not", "naming"))
_TIMED, _LASTS, _ROW, _FOLLOWS = phrases("localrag.answer", "differences", "timed", "lasts", "row", "follows")
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
class Difference:
    """The parts that differ in two sentences: half-open offsets into each, and the number of shared words."""

    one: tuple[int, int]
    other: tuple[int, int]
    shared: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A word or a value of a sentence."""

    kind: str
    value: str
    start: int
    end: int

    @property
    def key(self) -> str:
        return self.value if self.kind == "word" else "#"


def difference(one: str, other: str) -> Difference | None:
    """Return how two sentences about the same differ; None if they agree or are about different things."""
    ours, theirs = list(pieces(one)), list(pieces(other))
    if max(sum(piece.kind != "word" for piece in pieces) for pieces in (ours, theirs)) > _MAX_VALUES:
        return None
    pairs: list[tuple[Piece, Piece]] = []
    more: list[Piece] = []
    less: list[Piece] = []
    matcher = SequenceMatcher(None, [piece.key for piece in ours], [piece.key for piece in theirs], autojunk=False)
    for way, a, b, c, d in matcher.get_opcodes():
        if way == "equal":
            pairs += zip(ours[a:b], theirs[c:d], strict=True)
        else:
            more += ours[a:b]
            less += theirs[c:d]
    words = {mine.value for mine, _ in pairs if mine.kind == "word"} - _EMPTY - _NOT
    if len(words) < _MIN_WORDS or not (more_or_less := _only_more(more, less, len(words))):
        return None
    differing = [(mine, yours) for mine, yours in pairs if mine.value != yours.value]
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
        if (mine.kind == "term" and _SPAN.search(before)) or (mine.kind == "date" and _TIMED.search(before)):
            return False
        if mine.kind == "year" and not (_LASTS.search(before) and _LASTS.search(other[: yours.start])):
            return False
    return True


def pieces(sentence: str) -> Iterator[Piece]:
    """Yield the words and values of a sentence; numbers that name something, such as a clause, are words."""
    lead = _ITEM.match(sentence)
    before = ""
    held: Piece | None = None
    for match in _PIECE.finditer(sentence, lead.end() if lead else 0):
        piece = _piece(match, before)
        before = piece.value if piece.kind == "word" else ""
        if held is not None and (unit := TIME_UNITS.get(before)):
            yield Piece("term", f"{held.value} {unit}", held.start, piece.end)
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
    if found is None or before in _NAMING:
        return Piece("word", text.casefold(), start, end)
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return Piece("year", text, start, end)
    quantity = parse_quantity(found)
    if quantity.is_money or quantity.unit == "%":
        return Piece("money" if quantity.is_money else "share", str(quantity), start, end)
    kind = "term" if quantity.unit else "number"
    return Piece(kind, f"{quantity.value.normalize():f} {quantity.unit}".rstrip(), start, end)


def _folded(word: str) -> str:
    word = word.casefold().replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in TIME_UNITS:
        return TIME_UNITS[word]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


_ID = r"[A-Z]?\d{1,3}(?:\.\d{1,3})*(?:\s?\([a-z0-9]{1,4}\))*"
_REFERENCE = lazy_re(
    rf"(?:\b(?:clause|section|paragraph|article|ziffer|abschnitt|klausel|artikel|absatz)|§)\s*(?P<id>{_ID})", re.I
)
_CHANGED = lazy_re(
    r"\b(?:is|are|shall be|be|wird|werden)\s+(?:and\s+(?:hereby\s+)?(?:is|are)\s+)?(?:hereby\s+)?(?:further\s+)?"
    r"(?:deleted|replaced|amended|substituted|superseded|restated|changed|modified|revised|increased|reduced|extended)\b"
    r"|\b(?:wird|werden)\b.{0,200}?\b(?:ersetzt|geändert|gestrichen|aufgehoben|neu gefasst)\b",
    re.I | re.S,
)
_QUOTED = r"[\"“„«‟”]\s{{0,9}}{}\s{{0,9}}[\"“”»]"
_X, _Y = _QUOTED.format(r"(?P<old>[^\"“”„«»]{1,160}?)"), _QUOTED.format(r"(?P<new>[^\"“”„«»]{1,160}?)")
_WORDS = (
    lazy_re(rf"substitut\w{{1,20}}\s{{1,9}}{_Y}\s{{1,9}}(?:for|in place of)\s{{1,9}}{_X}", re.I | re.S),
    lazy_re(rf"{_X}[^\"“”„«»]{{0,60}}?(?:replac|substitut|chang|insert|durch)[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
    lazy_re(rf"(?:replac|substitut|chang|delet)[^\"“”„«»]{{0,80}}?{_X}[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
)
_DELETED = re.compile(r"\b(?:deleted|gestrichen|aufgehoben)\b(?!\W+(?:and|und)\b)", re.I)
_LINE = r"^[ \t]*(?:(?:clause|section|article|paragraph|§)\s*)?{}[.)]?(?=\s)"
_ANY_LINE = lazy_re(_LINE.format(rf"(?P<id>{_ID})"), re.I | re.M)
_MAX_CLAUSE = 6000
_MIN_SHARED = 3
_MAX_ROWS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an amendment makes to a clause.

    `replacement` is the new text, or the sentence of the change. `old` and `new` are the words exchanged, empty if a
    whole clause is; `row` names a row of a table; `deleted` says that nothing replaces the clause.
    """

    clause: str
    replacement: Span
    old: str = ""
    new: str = ""
    row: str = ""
    deleted: bool = False


def changes(pages: Sequence[str]) -> list[Change]:
    """Return the changes that an amendment of these pages makes, in order."""
    return [change for position, text in enumerate(pages) for change in _of_page(position, text)]


def _of_page(position: int, text: str) -> Iterator[Change]:
    spans = sentences(text)
    for n, (start, end) in enumerate(spans):
        # A quote may contain a full stop.
        last = next((k for k, (_, stop) in enumerate(spans[n : n + 3], n) if _balanced(text[start:stop])), n)
        end = spans[last][1]
        sentence = text[start:end]
        named, verb = _REFERENCE.search(sentence), _CHANGED.search(sentence)
        if named is None or verb is None or verb.end() < named.start():
            continue
        clause, replacement = re.sub(r"\s", "", named["id"]), Span(position, start, end)
        if words := next((found for pattern in _WORDS if (found := pattern.search(sentence))), None):
            yield Change(clause, replacement, old=words["old"].strip(), new=words["new"].strip())
            continue
        follows, row = bool(_FOLLOWS.search(sentence)), _ROW.search(sentence)
        name = row["row"].strip(' "“”') if row else ""
        below = spans[last + 1 : last + 2 + _MAX_ROWS]
        if follows and below and not re.search(r"[\"“„][^\"“„]{20,}", sentence):
            # The new text is below: of a table the named row, not the header.
            rows = (span for span in below if name and locate(name, text[slice(*span)]) is not None)
            replacement = Span(position, *next(rows, below[0]))
        if row:
            yield Change(clause, replacement, row=name)
        elif follows:
            yield Change(clause, replacement)
        elif _DELETED.search(sentence):
            yield Change(clause, replacement, deleted=True)


def _balanced(text: str) -> bool:
    opened, closed = len(re.findall(r"[“„«]", text)), len(re.findall(r"[”»]", text))
    return opened <= closed + text.count("„") and text.count('"') % 2 == 0


def find_changed(change: Change, replacement: str, pages: Sequence[str]) -> Span | None:
    """Return the sentence or clause of an amended document that a change replaces, or None if it is not found.

    `replacement` are the words at `change.replacement`.
    """
    best: tuple[int, Span] | None = None
    for position, text in enumerate(pages):
        for start, end in _clauses(change.clause, text):
            if change.deleted:
                last = start + len(text[start:end].rstrip())
                if best is None or last - start > best[0]:  # in a table of contents it is shorter
                    best = last - start, Span(position, start, last)
                continue
            for first, last in sentences(text[start:end]):
                sentence = text[start + first : start + last]
                if change.old or change.row:
                    fits = int(locate(change.old or change.row, sentence) is not None) * 100
                    if change.old and change.new and locate(change.new, sentence) is not None:
                        fits = 0  # it is there already
                else:
                    shared = len(terms(sentence) & terms(replacement))
                    fits = shared if shared >= _MIN_SHARED and sentence.split() != replacement.split() else 0
                if fits and (best is None or fits > best[0]):
                    best = fits, Span(position, start + first, start + last)
    return best[1] if best else None


def _clauses(clause: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a clause: from its number to the next number that is not part of it."""
    wanted = _LINE.format(r"\s?".join(map(re.escape, re.findall(r"\(\w+\)|[^()]+", clause))))
    parts = (f"{clause.casefold()}.", f"{clause.casefold()}(")  # 9.3 and 9(a) are parts of 9
    for match in re.finditer(wanted, text, re.I | re.M):
        end = min(len(text), match.start() + _MAX_CLAUSE)
        for line in _ANY_LINE.finditer(text, match.end(), end):
            number, shown = re.sub(r"\s", "", line["id"]), line[0].strip()
            # Any number may follow a line break: this one must be written like that of a clause.
            numbers = "." in number or shown.endswith((".", ")")) or shown[0] in "§csapCSAP"
            if clause[0].isalpha():
                numbers = number[0].isalpha()
            if numbers and not number.casefold().startswith(parts):
                end = line.start()
                break
        yield match.start(), end
