"""Questions that ask several things in one sentence: taken apart by their words, answered one by one, put together.

"How are benefits coordinated, and what are the copayments?" is answered from two places. A search for the whole of it
finds the one that more of its words name, and a small model told of both answers the first. So each part gets its own
search, its own weighing whether the text holds the answer, and its own answer, as in a conversation in which the parts
are asked one after the other: what the second leaves out is looked up with the words of the first. The figures are in
docs/decisions/0044-compound-questions.md.

Only what is surely several questions is taken apart: an "and", or a question mark, before a word that asks, with a
question of its own on either side. "How many attempts lock an account, and for how long?" is one. Limits: English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from localrag.answer import followups, prompts
from localrag.answer.question import Question
from localrag.events import Answered, Delta, Event, Planned
from localrag.types import Answer, Citation, Passage, Turn, Usage

_ASKS = r"(?:what|which|who|whom|whose|when|where|why|how)\b"
_JOINED = re.compile(rf"(?:[,;]\s*)?\band\s+(?:also\s+)?(?={_ASKS})|\?\s+(?:and\s+)?(?={_ASKS})", re.I)
# Of "what was bought and how much", the second is no question of its own.
_LEAST_WORDS = 4
# Each part is read for anew; who asks more at once is better served by one look at what fits best.
_MOST = 4
# "... and how long it lasts" is told of, and not asked.
_TOLD = re.compile(
    rf"^{_ASKS}(?:\s+(?:long|much|many|often|far|soon|\w+ly))?\s+"
    r"(?:i|you|we|they|he|she|it|this|that|these|those|an?|the|my|our|your|their|its)\b",
    re.I,
)
_FIRST = re.compile(
    rf"^\W*(?:.*,\s*)?(?:{_ASKS}|(?:is|are|was|were|do|does|did|has|have|had|can|could|may|must|will|would|should)\b)",
    re.I,
)
# What tells one document or plan from another, unless it begins a sentence.
_NAME = re.compile(r"(?<=[\w,;:)] )(?:[A-Z][\w.&-]*|\w*\d[\w.-]*)")
Item = TypeVar("Item")

_MARKER = re.compile(r"(?P<space>\s*)\[(?P<number>\d{1,3})\]")


def parts(question: str) -> tuple[str, ...]:
    """The questions that a question consists of, in its order; empty where it is one."""
    found = [part.strip(" ,;?") for part in _JOINED.split(" ".join(question.split()))]
    alone = any(len(part.split()) < _LEAST_WORDS or _TOLD.match(part) for part in found)
    if not 2 <= len(found) <= _MOST or alone or not _FIRST.match(found[0]):
        return ()
    return tuple(f"{part[:1].upper()}{part[1:]}?" for part in found)


def answer(asked: Question, parts: Sequence[str], one: Callable[[Question], Iterator[Event]]) -> Iterator[Event]:
    """Answer the parts one after the other; `Answered` comes last, with all of them.

    Args:
        asked: the whole question, planned.
        parts: of it.
        one: answers a question that is one.
    """
    several = f"It asks {len(parts)} things: each is looked up and answered by itself."
    asked.plan = replace(asked.plan, reason=f"{asked.plan.reason} {several}")
    yield Planned(asked.plan)
    answers: list[Answer] = []
    for number, part in enumerate(parts, 1):
        if asked.stop():
            break
        under = _under(asked, part, parts, answers)
        lead = f"{number}. " if number == 1 else f"\n\n{number}. "
        for event in one(under):
            if isinstance(event, Answered):
                answers.append(event.answer)
                continue
            if isinstance(event, Delta) and lead:
                yield Delta(lead)
                lead = ""
            yield event
        _learn(asked, under, len(parts))
    yield Answered(_together(asked, answers, len(parts)))


def _learn(asked: Question, under: Question, parts: int) -> None:
    """What a part brought to light belongs to the whole question."""
    asked.first_token = asked.first_token or under.first_token
    asked.retrieve_seconds += under.retrieve_seconds
    asked.looked_at = under.looked_at
    asked.not_read += [item for item in under.not_read if item not in asked.not_read]
    asked.thought = "\n\n".join(thought for thought in (asked.thought, under.thought) if thought)
    asked.plan = replace(asked.plan, signals={**under.plan.signals, "parts": parts})


def _under(asked: Question, part: str, parts: Sequence[str], answers: Sequence[Answer]) -> Question:
    """One part as a question that follows those before it."""
    done = list(zip(parts, answers, strict=False))
    before = [Turn(earlier, _MARKER.sub("", answer.answer)) for earlier, answer in done]
    # That an earlier part was not found is nothing to go on from: a small model then says so again.
    told = [turn for turn, (_, answer) in zip(before, done, strict=True) if answer.found]
    looked_for = followups.joined(part, before) if followups.leans(part, before) else part
    names = dict.fromkeys(name.rstrip(".") for other in parts for name in _NAME.findall(other))
    looked_for = " ".join([looked_for, *(name for name in names if name not in looked_for)])
    return replace(
        asked, text=part, looked_for=looked_for, history=(*asked.history, *told), mode="retrieve", reading=[],
        hits=[], not_read=list(asked.not_read), spent=Usage(), retrieve_seconds=0.0, first_token=None, thought="",
    )  # fmt: skip


def _together(asked: Question, answers: Sequence[Answer], parts: int) -> Answer:
    """The answers as one, numbered like the parts. A source that several of them rest on has one number."""
    numbers: dict[tuple[Citation, ...], int] = {}
    numbered = [_renumbered(answer, numbers) for answer in answers]
    found = [answer for answer in numbered if answer.found]
    text = "\n\n".join(f"{number}. {answer.answer}" for number, answer in enumerate(numbered, 1))
    sure = [answer.confidence for answer in found if answer.confidence is not None]
    asked.confidence = min(sure, default=max((answer.confidence or 0.0 for answer in answers), default=None))
    stopped = len(answers) < parts or any(answer.stopped for answer in answers)
    nothing = prompts.STOPPED if stopped else prompts.NOT_FOUND
    return asked.answer(
        text if found else nothing, bool(found), model=next((answer.model for answer in answers), None),
        citations=tuple(
            replace(citation, marker=marker) for cited, marker in numbers.items() for citation in cited
        ),
        citations_dropped=sum(answer.citations_dropped for answer in answers),
        # What was withheld of a part that is not found is told, too.
        unsupported=_all(answer.unsupported for answer in numbered),
        flags=_all(answer.flags for answer in numbered),
        workings=_all(answer.workings for answer in found), conflicts=_all(answer.conflicts for answer in found),
        passages=_all((answer.passages for answer in answers), _place),
        tokens=sum((answer.tokens for answer in answers), Usage()),
        stopped=stopped,
        context=max((answer.context for answer in answers), key=lambda parts: sum(parts.values()), default=None),
    )  # fmt: skip


def _renumbered(answer: Answer, numbers: dict[tuple[Citation, ...], int]) -> Answer:
    """An answer with the numbers that its sources have in the whole; `numbers` learns those that are new."""
    own: dict[int, list[Citation]] = {}
    for citation in answer.citations:
        own.setdefault(citation.marker, []).append(replace(citation, marker=0))
    to = {marker: numbers.setdefault(tuple(cited), len(numbers) + 1) for marker, cited in own.items()}

    def told(text: str) -> str:
        return _MARKER.sub(lambda match: f"{match['space']}[{to.get(int(match['number']), match['number'])}]", text)

    return replace(
        answer, answer=told(answer.answer), unsupported=tuple(told(text) for text in answer.unsupported),
        workings=tuple(
            replace(done, figures=tuple(replace(figure, marker=to[figure.marker]) for figure in done.figures))
            for done in answer.workings
        ),
        conflicts=tuple(
            replace(conflict, sides=tuple(replace(side, marker=to[side.marker]) for side in conflict.sides))
            for conflict in answer.conflicts
        ),
    )  # fmt: skip


def _place(passage: Passage) -> tuple[object, ...]:
    return passage.library, passage.document, passage.page, passage.start


def _all(several: Iterable[Sequence[Item]], key: Callable[[Item], object] = lambda item: item) -> tuple[Item, ...]:
    """Each once, in the order of the parts."""
    return tuple({key(item): item for items in several for item in items}.values())
