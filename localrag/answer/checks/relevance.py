"""Flag sentences of an answer that come from where nothing of the question is, or from a prompt injection.

An honest answer is in a sentence, or beside one, that shares a word with the question. Others are marked, not removed:
a true answer in other words looks the same (docs/decisions/0029-documents-are-data.md). Limits: an order in the
question's words, or in the paragraph of the true answer, is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from localrag.grounding import prompt_injection
from localrag.grounding.citations import claims, terms, without_markers
from localrag.grounding.stages import Findings
from localrag.types import Flag, Passage

_MIN_TERMS = 2  # of a question that can be compared; with fewer, only sentences that quote it are marked
_CLOSING = ("”", "“", '"', "»", "’", "」", "』")
_MAX_TEXT = 200_000  # characters of passages; in a longer text a word is in many places anyway
_ELSEWHERE = "it is only where nothing of the question is: check whether it is an answer"
_ABOUT_ANSWERING = "it is only in a sentence about what to answer: check whether it is an answer"
_ORDERED = "it is only in a sentence that reads like an order to the assistant"


@dataclass(frozen=True, slots=True)
class _Span:
    """A sentence of a passage with its terms, those near it, and its signs."""

    terms: frozenset[str]
    near: frozenset[str]
    ordering: bool
    speaking: bool
    row: bool


def check(findings: Findings, question: str, passages: Sequence[Passage]) -> Findings:
    """Flag each sentence of an answer that comes from elsewhere than the question, or from an order.

    The question is one that a single place answers, no summary.
    """
    question_terms = terms(question)
    if not question_terms or sum(len(passage.text) for passage in passages) > _MAX_TEXT:
        return findings
    spans = [span for passage in passages for span in _spans(passage, question_terms)]
    known = frozenset(term for span in spans for term in span.terms)
    flags = []
    for start, end in claims(findings.answer):
        sentence = findings.answer[start:end]
        own = (terms(without_markers(sentence)) - question_terms) & known
        if own and (reason := _reason(own, question_terms, spans, prompt_injection.speaks(question))):
            flags.append(Flag("aside", sentence.strip().rstrip(".!?。"), reason))
    return replace(findings, flags=(*findings.flags, *flags))


def _reason(own: frozenset[str], question: frozenset[str], spans: Sequence[_Span], of_answers: bool) -> str:
    for term in own:
        where = [span for span in spans if term in span.terms]
        if all(span.ordering for span in where):
            return _ORDERED
        # A question about a reply has its answer in such a sentence.
        if not of_answers and all(span.ordering or span.speaking for span in where):
            return _ABOUT_ANSWERING
    holding = [span for span in spans if own <= span.terms and len(question) >= _MIN_TERMS]
    return _ELSEWHERE if holding and not any(span.row or span.near & question for span in holding) else ""


def _spans(passage: Passage, question: frozenset[str]) -> list[_Span]:
    frame = terms(" ".join((*passage.heading, passage.header)))
    found = prompt_injection.read(passage.text)
    own = [terms(passage.text[one.start : one.end]) for one in found]
    spans, few, follows = [], len(question) < _MIN_TERMS, False
    for at, one in enumerate(found):
        following = found[at + 1].words if at + 1 < len(found) and one.words.endswith(_CLOSING) else ""
        # They quote the question, or nearly, and say what to answer.
        quoted = map(terms, prompt_injection.directed(f"{one.words} {following}"))
        directs = follows or any(2 * len(q & question) >= max(1, min(len(q), len(question))) for q in quoted)
        follows = bool(following) and directs
        around = range(max(0, at - 1), min(at + 2, len(found)))
        near = frame.union(*(own[i] for i in around if found[i].paragraph == one.paragraph))
        ordering, speaking = directs or (one.suspicious and not few), one.speaking and not few
        spans.append(_Span(own[at], near, ordering, speaking, passage.text.startswith("|", one.start)))
    return spans
