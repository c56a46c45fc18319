"""Take the answer that most of several tries give (self-consistency, Wang et al. 2023, arXiv 2203.11171; pure).

Two answers agree where one has all numbers of the other, whatever units stand around them, or where neither has numbers
and they share half of the words that the question does not have. Limits: only short answers can be compared so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.answer import prompts
from localrag.answer.verify.citations import terms

# A longer answer has parts, of which tries may share some and not others.
MAX_WORDS = 60
# The share of words in common (F1) from which answers without numbers agree.
_MIN_COMMON = 0.5
_MARKER = re.compile(r"(?<!\s)\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")
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


def grouped(tries: Sequence[str], question: str) -> list[list[int]]:
    """Return the numbers of the tries that agree: the largest group first, of two the one that began earlier."""
    groups: list[list[int]] = []
    for number, answer in enumerate(tries):
        group = next((group for group in groups if agree(tries[group[0]], answer, question)), None)
        if group is None:
            groups.append([number])
        else:
            group.append(number)
    return sorted(groups, key=len, reverse=True)


def decided(groups: Sequence[Sequence[int]], left: int) -> bool:
    """Return whether the tries that are left cannot change which answer leads."""
    sizes = [*map(len, groups), 0]
    return left <= 0 or sizes[0] > sizes[1] + left
