"""Judge how sure an answer is: whether the words that it quotes hold the answer to the question.

The model is asked about the quotes alone: of all that it has read it takes for granted what only stands near. An answer
that is not sure gives way to the sentences nearest to the question (docs/decisions/0062-certainty.md). A yes-or-no
question about a clause of one document is put to the engine of items, which judges by the quote, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
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
# being right where an answer may have to be calculated. Below the next a look-up has no answer: of 25 in two wordings
# of half A 15 had none. An answer that lacks what is asked for is at most the last.
_WAY_SURE, _LIST, _WORKED_OUT, _ABSENT, _LACKING = 2.0, 1.35, 1.0, -1.4, -0.1
MAX_QUOTES, _MAX_NAME = 3, 60
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


def near(query: Query, passages: Sequence[Passage], count: int = 2) -> tuple[Citation, ...]:
    """Return the sentences that come nearest to a question, best first, at their places, with no number."""
    best = nearest(query.search_text or query.text, passages, query.nearness, count)
    clean = tuple(one for one in best if not _injected(one, passages))
    return context.placed(clean, passages, query.libraries)


def _injected(at: Citation, passages: Sequence[Passage]) -> bool:
    """Return whether a quote has words of a prompt injection, as its passage shows them."""
    passage = next((one for one in passages if one.holds(at)), None)
    if passage is None:
        return bool(prompt_injection.find(at.quote))
    spans = prompt_injection.find(passage.text)
    return any(passage.start + start < at.end and at.start < passage.start + end for start, end in spans)


def unclear(findings: Findings, beside: Sequence[Citation] = (), count: int = MAX_QUOTES) -> Findings:
    """Return findings that show what is near the question, else what they quote, and claim nothing."""
    cited = {(one.library, one.document, one.page, one.start): one for one in (*beside, *findings.citations)}
    quotes = tuple(replace(one, marker=number) for number, one in enumerate(list(cited.values())[:count], 1))
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
    """Return findings with how sure they are: their claim, what is near the question, or that nothing is said.

    What code calculated and what sums up a whole text stays as it is. What was stopped, or is in another language than
    the text, keeps its words, but is not sure.
    """
    question = query.question
    if not findings.found or findings.workings or question.kind in ("summary", "whole"):
        return findings
    if query.stop() or findings.flagged("language") or not findings.citations:
        return replace(findings, sure=False)
    if question.kind == "compare":  # half of what a small model compares is wrong (docs/decisions/0064-comparisons.md)
        return unclear(findings, near(query, passages, MAX_QUOTES))
    quoted = in_full(findings.citations[:MAX_QUOTES], passages)
    read = Reading(model, None, query.stop)
    try:
        odds, holds = _odds(findings, query, quoted, read)
    except Cancelled:
        return replace(findings, stopped=True, sure=False)
    if holds is not None:
        findings = replace(findings, plan=findings.plan.with_signals(quotes_hold=round(holds, 2)))
    findings = replace(findings, tokens=findings.tokens + read.usage)
    if odds >= 0:
        return findings
    if odds < _ABSENT and question.kind == "look-up":
        nothing = replace(findings, answer=prompts.NOT_FOUND, found=False, sure=False, citations=(), unsupported=())
        return replace(nothing, flags=(), citations_dropped=0)
    return unclear(findings, near(query, passages, MAX_QUOTES))


def _odds(findings: Findings, query: Query, quoted: Sequence[Passage], read: Reading) -> tuple[float, float | None]:
    """Return the log odds, above what is taken for sure, of an answer, and those that its quotes hold one.

    They fall below `_LACKING` only for a fact, the one answer that may not be there at all.
    """
    asked = query.question
    question = asked.complete  # as it was typed: a spelling for the search changes what it asks
    confidence = findings.confidence
    if asked.kind != "list" and asked.value == "person" and _FIRM.search(without_markers(findings.answer)):
        return _LACKING, None
    if (
        asked.kind != "list"
        and asked.value in _MEASURED
        and not _own_figures(findings, query.text) & _scaled(_text(quoted))
    ):
        return (_LACKING if confidence is None else min(_fact_odds(confidence, 0.0), _LACKING)), None
    holds = read.holds(quoted, question)
    if not read.measured:  # a word, not how likely it is
        return (0.0 if holds > 0 else _LACKING), holds
    if asked.kind == "list":
        return max(holds - _LIST, _LACKING), holds
    if asked.value == "yes or no" and (way := _WAY.match(findings.answer)):
        says = read.says_so(quoted, question)
        return max((says if way[1].lower() == "yes" else -says) + holds - _WAY_SURE, _LACKING), holds
    odds = _fact_odds(confidence, holds)
    if asked.kind == "calculation":
        return max(odds - _WORKED_OUT, _LACKING), holds
    if odds >= 0 and asked.value in _MEASURED and _several(_text(quoted), query.text):
        again = _scaled(read.value(quoted, question))
        odds = odds if _own_figures(findings, query.text) & again else _LACKING
    return odds, holds


def _fact_odds(confidence: float | None, holds: float) -> float:
    share = min(max(confidence or 0.5, 0.001), 0.999)
    return _BIAS + _CONFIDENCE * math.log(share / (1 - share)) + _HOLDS * holds


# --- figures ------------------------------------------------------------------------------------------------


def _own_figures(findings: Findings, question: str) -> set[object]:
    """Return the figures and dates of an answer that its question has not."""
    return _figures(without_markers(findings.answer)) - _figures(question)


def _figures(text: str) -> set[object]:
    """Return the days of a text and its quantities without their units, those within dates, too: "in 2019"."""
    days = {day for found in find_dates(text) for day in found.days}
    return days | {parse_quantity(match).value for match in QUANTITY.finditer(values.in_digits(text))}


def _scaled(text: str) -> set[object]:
    """Return the figures of a text, and those of a table in thousands or millions in full."""
    found = _figures(text)
    return found | {one * scale for one in found for scale in (1000, 1_000_000) if isinstance(one, Decimal)}


def _several(text: str, question: str) -> bool:
    """Return whether a text has several dates or figures that a question has not."""
    dates = list(find_dates(text))
    for date in reversed(dates):
        text = f"{text[: date.start]} {text[date.end :]}"
    return len({date.days for date in dates}) + len(_figures(text) - _figures(question)) > 1


def _text(quoted: Sequence[Passage]) -> str:
    return " ".join(one.text for one in quoted)


def in_full(citations: Sequence[Citation], passages: Sequence[Passage]) -> list[Passage]:
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
        found.append(
            Passage(at.library, at.document, at.page, at.label, (), text, start, end, 0.0, unit=at.unit, header=name)
        )
    return found
