"""Whether two answers say the same, and what several tries at one question agree on (pure).

Self-consistency (Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning", arXiv 2203.11171), with
answers compared by what they say and not by how: numbers and dates by value, whatever units and words stand around; yes
against no; names and other words without case, articles and endings, and without what the question says already.

Limits: it compares short answers. Of two long ones it cannot tell whether they agree, so those are not voted on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from localrag import quantities
from localrag.answer import prompts
from localrag.answer.verify.citations import terms
from localrag.types import Split

# An answer of more words has parts, of which tries may share some and not others.
LONGEST = 60
# Answers that name no figures agree from this share of words in common on (F1).
_ALIKE = 0.5
_MARKER = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
_YES = re.compile(r"\W*(?:yes|ja|oui|sí|si)\b", re.I)
_NO = re.compile(r"\W*(?:no|nein|non)\b", re.I)
_NOT = re.compile(
    r"\b(?:not?|never|neither|nor|none|without|cannot|nicht|kein\w*|nie|pas|jamais|nunca)\b|n['’]t\b", re.I
)
# "One" is left out: it is an article as often as a number.
_WORDED = {word: n for n, word in enumerate(quantities.ONES) if n > 1} | {
    word: 10 * n for n, word in enumerate(quantities.TENS, 2)
}
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDED)})\b", re.I)
_SIGN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3]")


def too_long(answer: str) -> bool:
    """Whether an answer is too long to be compared with another."""
    return len(_MARKER.sub("", answer).split()) + len(_SIGN.findall(answer)) / 2 > LONGEST


def agree(first: str, second: str, question: str) -> bool:
    """Whether two short answers to a question say the same."""
    one, other = (_MARKER.sub("", answer) for answer in (first, second))
    nothing = [not re.search(r"\w", answer) or prompts.says_nothing(answer) for answer in (one, other)]
    if any(nothing):
        return all(nothing)
    if (_YES.match(one) and _NO.match(other)) or (_NO.match(one) and _YES.match(other)):
        return False
    asked = _values(question)
    mine, theirs = _values(one) - asked, _values(other) - asked
    if mine and theirs:
        return _within(mine, theirs) or _within(theirs, mine)
    if bool(_NOT.search(one)) != bool(_NOT.search(other)):
        return False
    return _alike(_content(one), _content(other), _content(question))


def _within(some: frozenset[str], all_of: frozenset[str]) -> bool:
    """Whether each value is among the others; a year or a month is, where a day in it is."""
    return all(
        any(one == other or f"{one}-".startswith(f"{other}-") or f"{other}-".startswith(f"{one}-") for other in all_of)
        for one in some
    )


def _values(text: str) -> frozenset[str]:
    """Dates and numbers of a text by value: "2030-05-31", "2030-05", "48000"."""
    found: set[str] = set()
    for written in quantities.find_dates(text):
        found |= {day.isoformat() for _, day in written.readings}
    text = quantities.DATE.sub(" ", text)
    for match in quantities.MONTH.finditer(text):
        if named := quantities.parse_month(match[0]):
            found.add(f"{named[0]}-{named[1]:02}")
    text = _WORD.sub(lambda match: str(_WORDED[match[0].lower()]), quantities.MONTH.sub(" ", text))
    found |= {f"{quantities.parse_quantity(match).value.normalize():f}" for match in quantities.QUANTITY.finditer(text)}
    return frozenset(found)


def _content(text: str) -> frozenset[str]:
    """Content words; of scripts without spaces each two signs in a row."""
    found: set[str] = set()
    for term in terms(text):
        if _SIGN.search(term):
            found |= {term[at : at + 2] for at in range(max(1, len(term) - 1))}
        else:
            found.add(term)
    return frozenset(found)


def _alike(one: frozenset[str], other: frozenset[str], asked: frozenset[str]) -> bool:
    """By the words that the question does not have; by all of them, where an answer has no others."""
    if one - asked and other - asked:
        one, other = one - asked, other - asked
    if not one or not other:
        return one == other
    common = len(one & other)
    return common == min(len(one), len(other)) or 2 * common / (len(one) + len(other)) >= _ALIKE


@dataclass(slots=True)
class Ballot:
    """The tries at a question so far, `most` of which are made.

    `groups` hold the places of the tries that say the same, in the order of their first ones.
    """

    question: str
    most: int
    tries: list[str] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)

    def add(self, answer: str) -> None:
        self.tries.append(answer)
        mine = len(self.tries) - 1
        for group in self.groups:
            if agree(self.tries[group[0]], answer, self.question):
                group.append(mine)
                return
        self.groups.append([mine])

    @property
    def decided(self) -> bool:
        """Whether the tries that are left cannot change who leads."""
        counts = sorted((len(group) for group in self.groups), reverse=True)
        left = self.most - len(self.tries)
        return left <= 0 or (bool(counts) and counts[0] > (counts[1] if len(counts) > 1 else 0) + left)

    def leading(self) -> Sequence[int]:
        """The first try of the largest group; of each of them, where several are as large."""
        most = max(len(group) for group in self.groups)
        return [group[0] for group in self.groups if len(group) == most]

    def split(self, shown: int) -> Split:
        """How the tries are divided, the group of the answer that is `shown` first, then the largest."""
        order = sorted(self.groups, key=lambda group: (shown not in group, -len(group), group[0]))
        return Split(tuple((" ".join(self.tries[group[0]].split()), len(group)) for group in order))
