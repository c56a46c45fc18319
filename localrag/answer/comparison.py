"""Answer a question that compares: by figures of both sides; else show what comes nearest to each, and claim nothing.

A small model takes the question apart by examples, but what it then reads for a side is too often wrong
(docs/decisions/0064-comparisons.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePath

from localrag.answer import checking, followups, from_figures, judging
from localrag.errors import Cancelled, ModelError
from localrag.figures import periods, reading
from localrag.figures.reports import Reports
from localrag.grounding import context, prompts
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items.reading import Reading
from localrag.question import naming
from localrag.question.question import Question
from localrag.search import retrieval
from localrag.types import Citation, Passage, Plan

Search = Callable[[Query, int], Sequence[Passage]]
FindFigure = Callable[[Query], from_figures.Result | None]
# Questions of which a comparison is made, in lines that end in a question mark.
_LINES = r"""
root ::= line ("\n" line){1,3}
line ::= [^\n?]{8,160} "?" """
_LINE_TOKENS, _MAX_SIDES = 120, 4
# Documents that the model is told of, by so many characters of their names.
_DOCUMENTS, _MAX_NAME = 2, 60
# Hits in which a side is looked for, and sentences shown of it.
_HITS, _EACH = 15, 3
# How a question compares, which says nothing of the figure of one side; what ends what it says of the last company.
_COMPARES = re.compile(
    r"\b(?:more|less|fewer|higher|lower|greater|larger|smaller|bigger|better|worse|most|least|highest|lowest|greatest"
    r"|largest|smallest|or|than|against|versus|vs|compare[ds]?|between|both|each)\b",
    re.I,
)
# More than one figure of each, or one that companies count in several ways.
_WORKED_OUT = re.compile(
    r"\b(?:twice|half|times|together|combined|total of|sum|average|mean|faster|slower|relative|share|per (?!share)"
    r"|excluding|without|second|third(?! quarter)|improve\w*|ratio|loss(?:es)?|lost|lose|margins?(?! ?(?:percent|%))"
    r"|opex|operating (?:expenses|costs))\b",
    re.I,
)
_LOWEST = re.compile(r"\b(?:lowest|least|smallest|fewest)\b", re.I)
_ENDS = re.compile(r"[?;]")
_ASIDE = re.compile(r"^\s?\([^()]{0,80}\)")
_POSSESSIVE = re.compile(r"[’']s$")
_WORD = re.compile(r"\w+(?:[&./-]\w+)*")


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its name, what it is asked and looked up by, and its documents; without any, all."""

    name: str
    question: str
    search_text: str
    documents: tuple[Pair, ...] = ()


def answer(
    query: Query, plan: Plan, hits: Sequence[Passage], read: Reading, search: Search, figure: FindFigure
) -> Findings:
    """Compare the figures of all sides if each has one, else show what comes nearest to each.

    `hits` are those of the whole question. Raises Cancelled if stopped.
    """
    found = _sides(query, hits, read)
    if (compared := _figures(query, plan, found, figure)) is not None:
        return replace(compared, tokens=read.usage, model=read.model.model)
    best = [naming.of_passage(own[0], query.documents) for side in found if (own := search(_query(query, side), 1))]
    if len({(library.name, document.id) for pairs in best for library, document in pairs}) == len(found):
        found = [replace(side, documents=documents) for side, documents in zip(found, best, strict=True)]
    if not found:  # the documents that fit best are its sides
        fitting = dict.fromkeys(naming.of_passage(hit, query.documents) for hit in hits[:_HITS])
        asked = (query.question.complete, query.search_text)
        found = [Side(prompts.named(pair[0][1].path), *asked, pair) for pair in fitting if pair][:_DOCUMENTS]
    numbers: dict[Citation, int] = {}
    passages: dict[object, Passage] = {}
    lines = []
    for side in found:
        if query.stop():
            raise Cancelled("stopped")
        own = search(_query(query, side), _HITS)
        near = judging.near(_query(query, side), own, _EACH)
        quotes = [f"“{' '.join(one.quote.split())}” [{numbers.setdefault(one, len(numbers) + 1)}]" for one in near]
        lines.append(f"- {side.name}: {' '.join(quotes) or prompts.NOT_FOUND}")
        passages |= {(one.library, one.document, one.page, one.start): one for one in own}
    read_in = tuple(passages.values())
    shown = Findings(
        "\n".join([prompts.UNCLEAR, "", *lines]) if numbers else prompts.NOT_FOUND,
        bool(numbers),
        _told(plan, [side.name for side in found]) if numbers else plan,
        citations=tuple(replace(one, marker=number) for one, number in numbers.items()),
        passages=read_in,
        tokens=read.usage,
        model=read.model.model,
        looked_at=context.share_read(read_in, query.documents, query.only),
        not_read=context.injections_in(read_in),
        sure=False,
    )
    return checking.closed(checking.check(shown, query, read_in, checking.EVERY), query, read_in)


def of_companies(query: Query, reports: Reports) -> Findings | None:
    """Compare a figure of several companies that a question names; None where one has none, or it names one alone.

    Each has the whole question without the names of the others, and without their periods where each has its own.
    """
    text = query.question.alone
    named = reports.companies(text, query.documents)
    if reading.moves(text) or _WORKED_OUT.search(text):
        return None
    if not 1 < len(named) <= _MAX_SIDES or query.mode != "auto" or query.only.pages or query.question.parts:
        return None
    end = next((at.start() for at in _ENDS.finditer(text, named[-1].stop)), len(text))
    own = [slice(one.start, stop) for one, stop in zip(named, [*(one.start for one in named[1:]), end], strict=True)]
    dated = all(periods.asked(text[one]).periods for one in own)
    sides = []
    for at in range(len(named)):
        rest = text
        for other in reversed([own[n] if dated else named[n] for n in range(len(named)) if n != at]):
            rest = f"{rest[: other.start]} {_ASIDE.sub(' ', rest[other.stop :], count=1)}"
        name = _POSSESSIVE.sub("", text[named[at]])
        sides.append(Side(name, " ".join(_COMPARES.sub(" ", rest).split()), text))
    plan = Plan("exact", "", {"read": "figures"})
    return _figures(query, plan, sides, lambda one: from_figures.solve(one, reports, None, side=True), dated=dated)


def _figures(
    query: Query, plan: Plan, sides: Sequence[Side], figure: FindFigure, *, dated: bool = True
) -> Findings | None:
    """Return the comparison of the sides' figures; None where a side has none, or they are of several kinds."""
    found = [(side.name, result) for side in sides if (result := figure(_query(query, side))) is not None]
    if not sides or len(found) < len(sides):
        return None
    try:
        lower = reading.direction(query.question.alone) == "less" or _LOWEST.search(query.question.alone) is not None
        text, citations = from_figures.compared(found, lower=lower, dated=dated)
    except ValueError:
        return None
    plan = replace(_told(plan, [name for name, _ in found]), reason="Code found the figure of each side in tables.")
    return checking.check(Findings(text, True, plan, citations=citations), query, (), checking.EVERY)


def _told(plan: Plan, names: Sequence[str]) -> Plan:
    reason = f"{plan.reason} It compares {' and '.join(names)}: what comes nearest to each is shown."
    return replace(plan, reason=reason).with_signals(sides=list(names))


def _query(query: Query, side: Side) -> Query:
    """Return the question to one side, in its documents."""
    these = tuple((library.name, document.path) for library, document in side.documents)
    only = replace(query.only, these=these) if these else query.only
    search_text = retrieval.spelled(query.libraries, side.search_text)
    question = Question(side.question, documents=query.documents, search_text=search_text)
    return replace(query, question=question, only=only)


def _sides(query: Query, hits: Sequence[Passage], read: Reading) -> list[Side]:
    """Return the sides of a question as the model takes it apart; empty where it finds no two."""
    question = query.question.alone
    if not hits:
        return []
    documents = list(dict.fromkeys(hit.document for hit in hits))[:_DOCUMENTS]
    names = ", ".join(PurePath(prompts.named(one)).stem[:_MAX_NAME] for one in documents)
    try:
        written = read.write(prompts.comparison_prompt(question, names), _LINES, _LINE_TOKENS)
    except ModelError:  # a window too small for the examples
        return []
    lines = [line for line in dict.fromkeys(written.split("\n")) if line.endswith("?")]
    # A small model may add another question before or after them, such as which is greater.
    lines = [line for line in lines if line.split()[0] == lines[min(1, len(lines) - 1)].split()[0]]
    if len(lines) < 2 or not all(followups.makes_nothing_up(line, f"{question} {names}") for line in lines):
        return []
    return [_side(line, [one for one in lines if one != line], question) for line in lines[:_MAX_SIDES]]


def _side(line: str, others: Sequence[str], whole: str) -> Side:
    """Return the side that a line asks, named by its words from where they differ to where they are alike.

    It is looked up by the words of the whole question, too, unless only the other sides have them.
    """
    own, rest = _WORD.findall(line), [word for other in others for word in _WORD.findall(other)]
    firsts = [_WORD.findall(other) for other in others]
    same = next((n for n, word in enumerate(own) if any(word not in other[n : n + 1] for other in firsts)), len(own))
    name = list(takewhile(lambda word: word[0].isupper() or word not in rest, own[same:])) or own[same:] or own
    known = {word.lower() for word in [*own, *rest]}
    more = [word for word in _WORD.findall(whole) if word.lower() not in known]
    return Side(" ".join(name), line, " ".join([line, *more]))
