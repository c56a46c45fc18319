"""Read what an amendment changes in another document, and find it there.

A change counts only if the clause, and in it the words or the row, are found in what it amends. Limits: English and
German.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localrag.grounding.citations import terms
from localrag.grounding.context import Span
from localrag.grounding.locate import locate
from localrag.quantities import lazy_re, phrases
from localrag.store.sentences import sentences

_ROW, _FOLLOWS = phrases("localrag.diff", "amendments", "row", "follows")
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
