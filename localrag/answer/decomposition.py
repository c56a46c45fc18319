"""Answer a question that asks several things: split it by its words, answer each part, join the answers.

Each part has its own search, answerability check and answer, as if they were asked in turn
(docs/decisions/0044-compound-questions.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from localrag.events import Delta, Event, Planned
from localrag.grounding import prompts
from localrag.grounding.stages import Findings, Query, Route
from localrag.question.question import Question
from localrag.types import Citation, Plan, Turn, Usage

Item = TypeVar("Item")

# What tells one document or plan from another, unless it begins a sentence.
_NAME = re.compile(r"(?<=[\w,;:)] )(?:[A-Z][\w.&-]*|\w*\d[\w.-]*)")
_MARKER = re.compile(r"(?P<space>(?<!\s)\s*)\[(?P<number>\d{1,3})\]")


AnswerPart = Callable[[Query, Route], Generator[Event, None, Findings]]


def answer(
    query: Query, route: Route, parts: Sequence[str], answer_part: AnswerPart
) -> Generator[Event, None, Findings]:
    """Answer the parts in turn, and join what was found."""
    reason = f"{route.plan.reason} It asks {len(parts)} things: each is looked up and answered by itself."
    plan = replace(route.plan, reason=reason)
    yield Planned(plan)
    found: list[Findings] = []
    for number, part in enumerate(parts, 1):
        if query.stop():
            break
        lead = f"{number}. " if number == 1 else f"\n\n{number}. "
        found.append((yield from led(answer_part(_part_query(query, part, parts, found), Route(plan)), lead)))
    if found:
        plan = replace(plan, signals={**found[-1].plan.signals, "parts": len(parts)})
    numbered = renumbered(found)
    text = "\n\n".join(f"{number}. {one.answer}" for number, one in enumerate(numbered, 1))
    return joined(plan, numbered, len(parts), text)


def led(events: Generator[Event, None, Findings], lead: str) -> Generator[Event, None, Findings]:
    """Pass events on, with `lead` before the first words."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            found: Findings = end.value
            return found
        if isinstance(event, Delta) and lead:
            yield Delta(lead)
            lead = ""
        yield event


def _part_query(query: Query, part: str, parts: Sequence[str], answers: Sequence[Findings]) -> Query:
    """Return one part as a question that follows those before it."""
    before = [Turn(one, _MARKER.sub("", answer.answer)) for one, answer in zip(parts, answers, strict=False)]
    # A small model that sees an earlier part not found says so again.
    seen = [turn for turn, answer in zip(before, answers, strict=True) if answer.found and answer.sure]
    search_text = Question(part, before).complete
    names = dict.fromkeys(name.rstrip(".") for other in parts for name in _NAME.findall(other))
    search_text = " ".join([search_text, *(name for name in names if name not in search_text)])
    question = Question(part, (*query.history, *seen), query.documents, search_text)
    return replace(query, question=question, mode="retrieve")


def joined(plan: Plan, answers: Sequence[Findings], parts: int, text: str) -> Findings:
    """Join `renumbered` findings of so many parts under a text."""
    found = [answer for answer in answers if answer.found]
    confidences = [answer.confidence for answer in found if answer.confidence is not None]
    stopped = len(answers) < parts or any(answer.stopped for answer in answers)
    withheld = [f"{answer.withheld} (part {number})" for number, answer in enumerate(answers, 1) if answer.withheld]
    nothing = prompts.STOPPED if stopped else prompts.WITHHELD if withheld else prompts.NOT_FOUND
    return Findings(
        text if found else nothing,
        bool(found),
        plan,
        model=next((answer.model for answer in answers), None),
        citations=_all(answer.citations for answer in answers),
        citations_dropped=sum(answer.citations_dropped for answer in answers),
        # Also what was withheld of a part that is not found.
        unsupported=_all(answer.unsupported for answer in answers),
        flags=_all(answer.flags for answer in answers),
        workings=_all(answer.workings for answer in found),
        conflicts=_all(answer.conflicts for answer in found),
        not_read=_all(answer.not_read for answer in answers),
        passages=_all(
            (answer.passages for answer in answers), lambda one: (one.library, one.document, one.page, one.start)
        ),
        tokens=sum((answer.tokens for answer in answers), Usage()),
        searching=sum(answer.searching for answer in answers),
        stopped=stopped,
        looked_at=" ".join(f"Part {n}: {answer.looked_at}" for n, answer in enumerate(answers, 1) if answer.looked_at),
        context=max((answer.context for answer in answers), key=lambda parts: sum(parts.values()), default={}),
        confidence=min(confidences, default=max((answer.confidence or 0.0 for answer in answers), default=None)),
        reasoning="\n\n".join(answer.reasoning for answer in answers if answer.reasoning),
        nearest=_all(answer.nearest for answer in answers),
        withheld="; ".join(withheld),
        sure=all(answer.withheld or (answer.found and answer.sure) for answer in answers),
    )


def renumbered(answers: Sequence[Findings]) -> list[Findings]:
    """Return findings with the numbers that their sources have in the whole: one that several cite has one number."""
    numbers: dict[tuple[Citation, ...], int] = {}
    return [_renumbered(answer, numbers) for answer in answers]


def _renumbered(findings: Findings, numbers: dict[tuple[Citation, ...], int]) -> Findings:
    own: dict[int, list[Citation]] = {}
    for citation in findings.citations:
        own.setdefault(citation.marker, []).append(replace(citation, marker=0))
    to = {marker: numbers.setdefault(tuple(cited), len(numbers) + 1) for marker, cited in own.items()}

    def marked(text: str) -> str:
        return _MARKER.sub(lambda match: f"{match['space']}[{to.get(int(match['number']), match['number'])}]", text)

    return replace(
        findings,
        answer=marked(findings.answer),
        citations=tuple(replace(citation, marker=to[citation.marker]) for citation in findings.citations),
        unsupported=tuple(map(marked, findings.unsupported)),
        workings=tuple(
            replace(done, figures=tuple(replace(figure, marker=to[figure.marker]) for figure in done.figures))
            for done in findings.workings
        ),
        conflicts=tuple(
            replace(conflict, sides=tuple(replace(side, marker=to[side.marker]) for side in conflict.sides))
            for conflict in findings.conflicts
        ),
    )


def _all(several: Iterable[Sequence[Item]], key: Callable[[Item], object] = lambda item: item) -> tuple[Item, ...]:
    """Return each item once, in the order of the parts."""
    return tuple({key(item): item for items in several for item in items}.values())
