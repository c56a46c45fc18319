"""What an amendment changes, by the words that lawyers use for it (pure).

    Clause 9.3 of the Agreement is deleted and replaced with the following: "9.3 The Trust shall pay ..."
    In paragraph B4 of Schedule B, the words "four (4) hours" are replaced with "two (2) hours".
    In the table in paragraph B2, the row for SL3 is replaced with the following row.

A change counts only where it is found again in what it changes: the clause is there, and in it the words or the row.

Limits: English and German; a change that is told in other words ("the parties now agree that ...") is not seen here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localrag.answer.verify.citations import terms
from localrag.answer.verify.locate import locate
from localrag.store.sentences import sentences

_ID = r"[A-Z]?\d{1,3}(?:\.\d{1,3})*(?:\s?\([a-z0-9]{1,4}\))*"
_REFERENCE = re.compile(
    rf"(?:\b(?:clause|section|paragraph|article|ziffer|abschnitt|klausel|artikel|absatz)|§)\s*(?P<id>{_ID})", re.I
)
_CHANGED = re.compile(
    r"\b(?:is|are|shall be|be|wird|werden)\s+(?:and\s+(?:hereby\s+)?(?:is|are)\s+)?(?:hereby\s+)?(?:further\s+)?"
    r"(?:deleted|replaced|amended|substituted|superseded|restated|changed|modified|revised|increased|reduced|extended)\b"
    r"|\b(?:wird|werden)\b.{0,200}?\b(?:ersetzt|geändert|gestrichen|aufgehoben|neu gefasst)\b",
    re.I | re.S,
)
_QUOTED = r"[\"“„«‟”]\s*{}\s*[\"“”»]"
_X, _Y = _QUOTED.format(r"(?P<old>[^\"“”„«»]{1,160}?)"), _QUOTED.format(r"(?P<new>[^\"“”„«»]{1,160}?)")
_WORDS = (
    re.compile(rf"substitut\w+\s+{_Y}\s+(?:for|in place of)\s+{_X}", re.I | re.S),
    re.compile(rf"{_X}[^\"“”„«»]{{0,60}}?(?:replac|substitut|chang|insert|durch)[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
    re.compile(rf"(?:replac|substitut|chang|delet)\w*[^\"“”„«»]{{0,60}}?{_X}[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
)  # fmt: skip
_ROW = re.compile(
    r"\b(?:row|line|entry|item)\s+(?:for|of|marked|headed)\s+(?P<row>[\w “”\"-]{2,60}?)\s+(?:is|are|shall)\b", re.I
)
_FOLLOWS = re.compile(r"\b(?:the\s+following|as\s+follows|to\s+read|folgende\w*|wie\s+folgt|lautet)\b|:\s*$", re.I)
_GONE = re.compile(r"\b(?:deleted|gestrichen|aufgehoben)\b(?!\W+(?:and|und)\b)", re.I)
_LINE = r"^[ \t]*(?:(?:clause|section|article|paragraph|§)\s*)?{}[.)]?(?=\s)"
_ANY_LINE = re.compile(_LINE.format(rf"(?P<id>{_ID})"), re.I | re.M)
_LONGEST_CLAUSE = 6000
_SHARED = 3
_ROWS = 5


@dataclass(frozen=True, slots=True)
class Spot:
    """Words of a document: the 0-based position of the page, half-open offsets there."""

    position: int
    start: int
    end: int

    def overlaps(self, position: int, start: int, end: int) -> bool:
        return self.position == position and self.start < end and start < self.end


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an amendment makes: where it says so, and what it puts there.

    `spot` is the sentence that tells it, `told` what is put in the place of the old (the same sentence, or the new text
    below it). `old` and `new` are the words exchanged, or empty where a whole clause is; `row` names a row of a table.
    `gone`: the clause is taken out and nothing is put in its place.
    """

    clause: str
    spot: Spot
    told: Spot
    old: str = ""
    new: str = ""
    row: str = ""
    gone: bool = False


def changes(pages: Sequence[str]) -> list[Change]:
    """The changes that an amendment of these pages makes, in order."""
    return [change for position, text in enumerate(pages) for change in _of_page(position, text)]


def _of_page(position: int, text: str) -> Iterator[Change]:
    spans = sentences(text)
    for n, (start, end) in enumerate(spans):
        # What is quoted may itself hold a full stop.
        whole_end = next((stop for _, stop in spans[n : n + 3] if _balanced(text[start:stop])), end)
        sentence = text[start:whole_end]
        named, verb = _REFERENCE.search(sentence), _CHANGED.search(sentence)
        if named is None or verb is None or verb.end() < named.start():
            continue
        clause, spot = re.sub(r"\s", "", named["id"]), Spot(position, start, whole_end)
        if words := next((found for pattern in _WORDS if (found := pattern.search(sentence))), None):
            yield Change(clause, spot, spot, old=words["old"].strip(), new=words["new"].strip())
            continue
        follows = bool(_FOLLOWS.search(sentence))
        last = next((k for k, span in enumerate(spans) if span[1] == whole_end), n)
        below = spans[last + 1] if last + 1 < len(spans) else None
        told = spot
        if follows and below is not None and not re.search(r"[\"“„][^\"“„]{20,}", sentence):
            told = Spot(position, *_without_header(text, spans[last + 1 : last + 2 + _ROWS], _ROW.search(sentence)))
        if row := _ROW.search(sentence):
            yield Change(clause, spot, told, row=row["row"].strip(' "“”'))
        elif follows:
            yield Change(clause, spot, told)
        elif _GONE.search(sentence):
            yield Change(clause, spot, spot, gone=True)


def _balanced(text: str) -> bool:
    opened, closed = len(re.findall(r"[“„«]", text)), len(re.findall(r"[”»]", text))
    return opened <= closed + text.count("„") and text.count('"') % 2 == 0


def _without_header(text: str, below: Sequence[tuple[int, int]], row: re.Match[str] | None) -> tuple[int, int]:
    """The new text below: of a table the row that is named, not its header."""
    if row is not None:
        name = row["row"].strip(' "“”')
        for start, end in below:
            if locate(name, text[start:end]) is not None:
                return start, end
    return below[0]


def changed(change: Change, told: str, pages: Sequence[str]) -> Spot | None:
    """The sentence of the old document that a change is about, or the clause; None where it cannot be found again.

    Args:
        change: of an amendment.
        told: the words at `change.told`.
        pages: of the document that is amended.
    """
    best: tuple[int, Spot] | None = None
    for position, text in enumerate(pages):
        for start, end in _clauses(change.clause, text):
            if change.gone:
                last = start + len(text[start:end].rstrip())
                if best is None or last - start > best[0]:  # in a list of contents it is shorter
                    best = last - start, Spot(position, start, last)
                continue
            for first, last in _whole(sentences(text[start:end]), start):
                sentence = text[first:last]
                if change.old or change.row:
                    fits = int(locate(change.old or change.row, sentence) is not None) * 100
                    if change.old and change.new and locate(change.new, sentence) is not None:
                        fits = 0  # it was put in already
                else:
                    shared = len(terms(sentence) & terms(told))
                    fits = shared if shared >= _SHARED and sentence.split() != told.split() else 0
                if fits and (best is None or fits > best[0]):
                    best = fits, Spot(position, first, last)
    return best[1] if best else None


def _whole(spans: Sequence[tuple[int, int]], start: int) -> Iterator[tuple[int, int]]:
    for first, last in spans:
        yield start + first, start + last


def _clauses(clause: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a clause of this number stands: from its number to the next that is no part of it."""
    wanted = _LINE.format(r"\s?".join(map(re.escape, re.findall(r"\(\w+\)|[^()]+", clause))))
    for match in re.finditer(wanted, text, re.I | re.M):
        end = min(len(text), match.start() + _LONGEST_CLAUSE)
        for line in _ANY_LINE.finditer(text, match.end(), end):
            number = re.sub(r"\s", "", line["id"])
            if _of_its_kind(number, line[0], clause) and not _inside(number, clause):
                end = line.start()
                break
        yield match.start(), end


def _of_its_kind(number: str, line: str, clause: str) -> bool:
    """Whether a number at the beginning of a line numbers a clause: a line may be broken before any number."""
    if clause[0].isalpha():
        return number[0].isalpha()
    return "." in number or line.strip().endswith((".", ")")) or line.strip()[0] in "§csapCSAP"


def _inside(number: str, clause: str) -> bool:
    """Whether a number is that of a part of a clause: 9.3 and 9.3(a) are parts of 9."""
    return number.casefold().startswith((f"{clause.casefold()}.", f"{clause.casefold()}("))
