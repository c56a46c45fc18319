"""Take the answer that most of several tries give (self-consistency, Wang et al. 2023, arXiv 2203.11171; pure).

Two answers agree where one has all numbers of the other, whatever units stand around them, or where neither has numbers
and they share half of the words that the question does not have. Limits: only short answers can be compared so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from localrag.answer import prompts
from localrag.answer.verify.citations import terms
from localrag.types import Split

# A longer answer has parts, of which tries may share some and not others.
MAX_WORDS = 60
# The share of words in common (F1) from which answers without numbers agree.
_MIN_COMMON = 0.5
_MARKER = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
_YES = re.compile(r"\W*(?:yes|ja|oui|sí|si)\b", re.I)
_NO = re.compile(r"\W*(?:no|nein|non)\b", re.I)
_NOT = re.compile(r"\b(?:not?|never|none|without|cannot|nicht|kein\w*|nie|pas|jamais|nunca)\b|n['’]t\b", re.I)
_NUMBER = re.compile(r"\d+(?:[.,' ]\d{3}(?!\d))*(?:[.,]\d+)?")


def too_long(answer: str) -> bool:
    """Return whether an answer is too long to be compared with another."""
    return len(_MARKER.sub("", answer).split()) > MAX_WORDS


def agree(first: str, second: str, question: str) -> bool:
    """Return whether two short answers to a question say the same."""
    one, other = (_MARKER.sub("", answer) for answer in (first, second))
    nothing = [not re.search(r"\w", answer) or prompts.says_nothing(answer) for answer in (one, other)]
    if any(nothing):
        return all(nothing)
    if (_YES.match(one) and _NO.match(other)) or (_NO.match(one) and _YES.match(other)):
        return False
    own, theirs = (_numbers(answer) - _numbers(question) for answer in (one, other))
    if own and theirs:
        return own <= theirs or theirs <= own
    if bool(_NOT.search(one)) != bool(_NOT.search(other)):
        return False
    words = [terms(answer) - terms(question) or terms(answer) for answer in (one, other)]
    common, sizes = len(words[0] & words[1]), [len(some) for some in words]
    return common == min(sizes) > 0 or 2 * common >= _MIN_COMMON * sum(sizes)


def _numbers(text: str) -> set[str]:
    """Return the numbers of a text without separators and idle zeros: "48.000" and "48,000" are "48000"."""
    plain = (re.sub(r"[.,' ](?=\d{3}(?!\d))", "", found) for found in _NUMBER.findall(text))
    return {re.sub(r"^0+(?=\d)|[.,]0+$", "", number) for number in plain}


@dataclass(slots=True)
class Ballot:
    """The tries at a question so far; `groups` hold the numbers of those that agree, in the order of their first."""

    question: str
    tries: list[str] = field(default_factory=list)
    groups: list[list[int]] = field(default_factory=list)

    def add(self, answer: str) -> None:
        self.tries.append(answer)
        number = len(self.tries) - 1
        for group in self.groups:
            if agree(self.tries[group[0]], answer, self.question):
                group.append(number)
                return
        self.groups.append([number])

    def _ordered(self) -> list[list[int]]:
        return sorted(self.groups, key=lambda group: (-len(group), group[0]))

    def decided(self, left: int) -> bool:
        """Return whether the tries that are left cannot change which answer leads."""
        sizes = [len(group) for group in self._ordered()] + [0]
        return left <= 0 or sizes[0] > sizes[1] + left

    @property
    def winner(self) -> int:
        """The number of the first try of the largest group; of two that are as large, of the earlier."""
        return self._ordered()[0][0]

    @property
    def split(self) -> Split:
        """How the tries are divided, the winner first."""
        return Split(tuple((" ".join(self.tries[group[0]].split()), len(group)) for group in self._ordered()))
