"""Where an answer comes from: whether what it says stands where something of the question stands (pure).

A document that gives orders gets a word into the answer that has nothing to do with the question. Where it comes from
shows that, in whatever words and language the order was given: an honest answer stands in a sentence, or beside one,
that shares a word with the question; the answer to an order stands in the order. So what an answer says and what stands
only where nothing of the question does is flagged, and so is what stands only in sentences that have a sign of an order
(`orders.py`) without being plainly one, or that speak of answering where the question does not. It is marked and not
taken out: a true answer in other words than the question's looks the same (how often:
docs/decisions/0029-documents-are-data.md). Rows of tables are told by their labels and not by their neighbours, so they
are passed over.

Limits: an order that repeats the question's words, or stands in the paragraph of the true answer, shows no sign here;
nor does a lie that is told like everything else in its document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localrag.answer import prompt_injection
from localrag.answer.verify.citations import claims, terms, without_markers
from localrag.types import Flag, Passage

# A question of fewer words has too little to be compared with.
_FEWEST = 2
# Characters of the passages that are looked at; in a longer text a word stands in many places anyway.
_MOST = 200_000
_ELSEWHERE = "it stands only where nothing of what was asked does: look whether it is an answer"
_SPOKEN = "it stands only in a sentence that says what is to be answered: look whether it is an answer"
_ORDERED = "it stands only in a sentence that reads like an order to the assistant"


@dataclass(frozen=True, slots=True)
class _Span:
    """A sentence of a passage: its words, those near it; has a sign of an order, speaks of answering, is a row."""

    terms: frozenset[str]
    near: frozenset[str]
    ordering: bool
    speaking: bool
    row: bool


def check(answer: str, question: str, passages: Sequence[Passage]) -> tuple[Flag, ...]:
    """A flag for each sentence of an answer that comes from where nothing of the question stands, or from an order.

    Args:
        answer: as it is shown; markers like [2] are passed over.
        question: one that a single place answers; a summary stands where it stands.
        passages: what the model was shown.
    """
    asked = terms(question)
    if len(asked) < _FEWEST or sum(len(passage.text) for passage in passages) > _MOST:
        return ()
    spans = [span for passage in passages for span in _spans(passage)]
    known = frozenset(term for span in spans for term in span.terms)
    flags = []
    for start, end in claims(answer):
        said = answer[start:end]
        told = (terms(without_markers(said)) - asked) & known
        if told and (reason := _reason(told, asked, spans, prompt_injection.speaks(question))):
            flags.append(Flag("aside", said.strip().rstrip(".!?。"), reason))
    return tuple(flags)


def _reason(told: frozenset[str], asked: frozenset[str], spans: Sequence[_Span], of_answers: bool) -> str:
    for term in told:
        where = [span for span in spans if term in span.terms]
        if all(span.ordering for span in where):
            return _ORDERED
        # A question about a reply has its answer in such a sentence.
        if not of_answers and all(span.ordering or span.speaking for span in where):
            return _SPOKEN
    holding = [span for span in spans if told <= span.terms]
    return _ELSEWHERE if holding and not any(span.row or span.near & asked for span in holding) else ""


def _spans(passage: Passage) -> list[_Span]:
    frame = terms(" ".join((*passage.heading, passage.header)))
    found = prompt_injection.marked(passage.text)
    own = [terms(passage.text[one.start : one.end]) for one in found]
    spans = []
    for at, one in enumerate(found):
        beside = [i for i in (at - 1, at, at + 1) if 0 <= i < len(found) and found[i].paragraph == one.paragraph]
        near = frame.union(*(own[i] for i in beside))
        spans.append(_Span(own[at], near, one.suspicious, one.speaking, passage.text.startswith("|", one.start)))
    return spans
