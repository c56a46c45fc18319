"""Judge how sure an answer is: whether the words that it quotes hold the answer to the question.

The model is asked about the quotes alone: of all that it has read it takes for granted what only stands near. An answer
that is not sure gives way to its quotes (docs/decisions/0062-certainty.md). A yes-or-no question about a clause of one
document is put to the engine of items, which judges by the quote, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from localrag.errors import Cancelled
from localrag.grounding import context, prompt_injection, prompts
from localrag.grounding.citations import nearest, without_markers
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items import values
from localrag.items.item import Finding, Item
from localrag.items.reading import Reading
from localrag.llm import Generator as Model
from localrag.quantities import QUANTITY, find_dates, load_words, parse_quantity
from localrag.question.kinds import Value
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Passage, Plan

if TYPE_CHECKING:
    from localrag.items.engine import Engine

# Log odds that an answer is right, by a logistic regression of 84 answers of a 1.5B model: of its confidence, and of
# that the quotes hold an answer.
_BIAS, _CONFIDENCE, _HOLDS = -3.16, 1.21, 1.06
# The least log odds: that quotes say yes, or no, and that they hold an answer, added up; that they hold a list; and of
# being right where an answer may have to be calculated.
_WAY_SURE, _LIST, _WORKED_OUT = 2.0, 0.7, 1.0
_MAX_CITED, _MAX_QUOTES, _MAX_NAME = 2, 3, 60
_WAY = re.compile(r"(yes|no)\b", re.I)
_MEASURED: tuple[Value, ...] = ("date", "duration", "money", "share", "number")
_FIRM = re.compile(
    rf"\b(?:{'|'.join(load_words('localrag.grounding', 'words.toml')['subjects']['forms'].split())})\W*$", re.I
)


def answer(query: Query, pair: Pair, plan: Plan, engine: Engine) -> Findings:
    """Return yes or no with the quote that says so; else that the document does not say, with what comes nearest."""
    model = engine.workspace.model().model
    judged = engine.find(Item("asked", query.question.complete), pair, only=query.only, stop=query.stop)
    if judged is None:
        return Findings(prompts.STOPPED, False, plan, model=model, stopped=True)
    return worded(judged, plan, model)


def worded(judged: Finding, plan: Plan, model: str) -> Findings:
    """Put a finding into words: yes or no, what comes near where it is unsure, or that the document does not say."""
    at, confidence = judged.citation, judged.confidence
    found = Findings(
        prompts.WITHHELD if judged.withheld else prompts.NOT_FOUND,
        False,
        plan,
        confidence=confidence if judged.state != "unsure" else None,
        nearest=() if at is None else (replace(at, marker=0),),
        withheld="what the document says, because no text supports it throughout" if judged.withheld else "",
        looked_at=f"{judged.read[:1].upper()}{judged.read[1:]}.",
        not_read=judged.injections,
        tokens=judged.usage,
        model=model,
    )
    if judged.state == "unsure" and at is not None and not judged.withheld:
        return unclear(replace(found, found=True, citations=(replace(at, marker=1),), nearest=()))
    if at is None or judged.state != "found":
        return found
    if judged.way == "no" and confidence is not None:
        confidence = 1 - confidence  # of the answer, which is no
    text = f"{judged.way.capitalize()}: “{' '.join(at.quote.split())}” [1]"
    return replace(
        found, answer=text, found=True, confidence=confidence, citations=(replace(at, marker=1),), nearest=()
    )


def near(query: Query, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """Return the one or two sentences that come nearest to a question, at their places, with no number."""
    found = (one for one in nearest(query.search_text or query.text, passages) if not prompt_injection.find(one.quote))
    return context.placed(tuple(found), passages, query.libraries)


def unclear(findings: Findings, beside: Sequence[Citation] = ()) -> Findings:
    """Return findings that show what they quote and what is near the question, and claim nothing."""
    own = findings.citations[-1:] if "listed" in findings.plan.signals else findings.citations[:_MAX_CITED]
    cited = {(one.library, one.document, one.page, one.start): one for one in (*own, *beside)}
    quotes = tuple(replace(one, marker=number) for number, one in enumerate(list(cited.values())[:_MAX_QUOTES], 1))
    lines = [f"“{' '.join(one.quote.split())}” [{one.marker}]" for one in quotes]
    return replace(
        findings,
        answer="\n\n".join([prompts.UNCLEAR, *lines]),
        sure=False,
        unsupported=(),
        flags=(),
        citations=quotes,
        citations_dropped=0,
    )


def judge(findings: Findings, query: Query, passages: Sequence[Passage], model: Model) -> Findings:
    """Return findings with how sure they are; where they are not, their text is what they quote.

    What code calculated and what sums up a whole text stays as it is. What was stopped, or is in another language than
    the text, keeps its words, but is not sure.
    """
    question = query.question
    if not findings.found or findings.workings or question.kind in ("summary", "whole"):
        return findings
    if query.stop() or findings.flagged("language") or not findings.citations:
        return replace(findings, sure=False)
    listed = "listed" in findings.plan.signals
    quoted = _quoted(findings.citations[-1:] if listed else findings.citations[:_MAX_QUOTES], passages)
    # What the model compares by itself is hardly ever right.
    if question.kind == "compare" or not (listed or _valued(findings, query.text, question.value)):
        return unclear(findings, near(query, passages))
    read = Reading(model, None, query.stop)
    try:
        sure, holds = _sure(findings, query, quoted, read)
    except Cancelled:
        return replace(findings, stopped=True, sure=False)
    plan = findings.plan.with_signals(quotes_hold=round(holds, 2))
    findings = replace(findings, plan=plan, tokens=findings.tokens + read.usage)
    return findings if sure else unclear(findings, near(query, passages))


def _sure(findings: Findings, query: Query, quoted: Sequence[Passage], read: Reading) -> tuple[bool, float]:
    """Return whether the quotes bear out an answer, and the log odds that they hold one."""
    question = query.question.complete  # as it was typed: a spelling for the search changes what it asks
    holds = read.holds(quoted, question)
    if not read.measured:  # a word, not how likely it is
        return holds > 0, holds
    if query.question.kind == "list":
        return holds >= _LIST, holds
    if query.question.value == "yes or no" and (way := _WAY.match(findings.answer)):
        says = read.says_so(quoted, question)
        return (says if way[1].lower() == "yes" else -says) + holds >= _WAY_SURE, holds
    share = min(max(findings.confidence or 0.5, 0.001), 0.999)
    odds = _BIAS + _CONFIDENCE * math.log(share / (1 - share)) + _HOLDS * holds
    return odds >= (_WORKED_OUT if query.question.kind == "calculation" else 0), holds


def _valued(findings: Findings, question: str, value: Value) -> bool:
    """Return whether an answer has a figure of its quotes where one is asked for, and names no firm as a person."""
    quotes = " ".join(one.quote for one in findings.citations)
    if value in _MEASURED:
        return bool((_figures(findings.answer) - _figures(question)) & _figures(quotes))
    return value != "person" or not _FIRM.search(without_markers(findings.answer))


def _figures(text: str) -> set[object]:
    """Return the dates and the quantities of a text."""
    days: set[object] = {frozenset(found.days) for found in find_dates(text)}
    return days | {parse_quantity(match).value for match in QUANTITY.finditer(values.in_digits(text))}


def _quoted(citations: Sequence[Citation], passages: Sequence[Passage]) -> list[Passage]:
    """Return the sentences that are quoted, each in full, under the name of their document."""
    found = []
    for at in citations:
        start, text, header = at.start, at.quote, ""
        if (passage := next((one for one in passages if one.holds(at)), None)) is not None:
            first, last = at.start - passage.start, at.end - passage.start
            spans = [span for span in sentences(passage.text) if span[0] < last and span[1] > first]
            begin, end = min(first, *(a for a, _ in spans), first), max(last, *(b for _, b in spans), last)
            if end <= len(passage.text):
                start, text, header = passage.start + begin, passage.text[begin:end], passage.header
        name = f"[{PurePath(prompts.named(at.document)).stem[:_MAX_NAME]}]\n{header}".rstrip()
        end = start + len(text)
        found.append(Passage(at.library, at.document, at.page, at.label, (), text, start, end, 0.0, header=name))
    return found
