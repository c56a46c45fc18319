"""One figure for one answer, from 0 to 1, so that ways of answering can be compared over questions of any kind.

What is there of the known answer decides, and the first rule that fits holds:

- a `label` (Yes, No, Not mentioned): 1 for the right choice; declining is "Not mentioned",
- no answer in the documents: 1 for declining, 0 for an answer,
- an answer that was declined: 0,
- a bare figure ("12.5 %", "46,000"): 1 where the answer has that number,
- evidence in other words than the known answer (a clause for "Yes", "January 13, 2005" for "1/13/05"): the share of the
  evidence's words that the answer and its quotes hold, since saying yes shows nothing,
- anything else: the greater of F1 and the share of the known answer's words that the answer holds, so that a whole
  sentence around a right name is right; where the known answer has numbers, the mean of that and of the share of them
  that the answer gives.

It is no judgement of free text: it ranks ways by the same measure, and its height says little by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question
from localrag.evaluation.metrics import MARKER
from localrag.types import Answer

# A known answer of at most so many words that is a number and its unit.
_FIGURE_WORDS = 4
_RIGHT, _TOUCHES = 0.5, 1e-9
_DATE = re.compile(r"\d\s*/|/\s*\d")


def worth(question: Question, documents: Sequence[str], answer: Answer, figures: Mapping[str, Any]) -> float:
    """How much an answer is worth.

    Args:
        question: with its known answer.
        documents: the paths, in the library, of the documents it is about.
        answer: what was answered.
        figures: `answers.score` of the same.
    """
    return judged(question, documents, answer, figures)[0]


def judged(
    question: Question, documents: Sequence[str], answer: Answer, figures: Mapping[str, Any]
) -> tuple[float, bool]:
    """What an answer is worth, and whether it counts as right; arguments are those of `worth`.

    Right is what is worth at least a half, and where evidence stands for the answer, what has three words of it in a
    row. It is what code can decide, for counting and for thresholds, and no judgement of free text.
    """
    value, least = _value(question, documents, answer, figures)
    return value, value >= least


def _value(
    question: Question, documents: Sequence[str], answer: Answer, figures: Mapping[str, Any]
) -> tuple[float, float]:
    """What an answer is worth, and from what on it is right."""
    if question.label:
        return float(figures["choice"]), _RIGHT
    if not question.answerable:
        return float(not answer.found), _RIGHT
    if not answer.found:
        return 0.0, _RIGHT
    known, said = MARKER.sub("", question.answer), MARKER.sub("", answer.answer)
    numbers = [] if _DATE.search(known) else metrics.numbers(known)
    if len(numbers) == 1 and len(metrics.words(known)) <= _FIGURE_WORDS and not metrics.exact_match(said, known):
        return float(bool(metrics.numeric_match(said, known))), _RIGHT
    if question.evidence and not _stands(known, question.evidence):
        quotes = [citation.quote for citation in answer.citations if citation.document in documents]
        return metrics.covered(question.evidence, [said, *quotes]) or 0.0, _TOUCHES
    return _words(said, known, numbers), _RIGHT


def _stands(known: str, evidence: str) -> bool:
    """True where the evidence says the known answer in its own words."""
    return (metrics.covered(known, [evidence]) or 0.0) >= metrics.COVERED and known.lower() not in ("yes", "no")


def _words(said: str, known: str, numbers: Sequence[metrics.Number]) -> float:
    words = max(metrics.f1(said, known), metrics.covered(known, [said]) or 0.0)
    if not numbers:
        return words
    given = metrics.numbers(said)
    right = sum(any(metrics.same_number(one, wanted) for one in given) for wanted in numbers)
    return (words + right / len(numbers)) / 2
