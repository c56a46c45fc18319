"""Turn a prompt into an answer: calculate it, or weigh whether it is there, have it written and checked.

Answerability is weighed by the model ("Do the passages contain the answer?") and by how well the best passage fits; a
logistic regression makes one likelihood of both. Beyond a fair fit a better one says nothing more, since scores also
tell how surely the question names a document (docs/decisions/0034-sufficiency.md).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar, cast

from localrag.errors import ModelError
from localrag.events import Event, Notice
from localrag.grounding import context, prompts, repetition
from localrag.grounding.stages import Draft, Findings, Prompt, Query, Route
from localrag.llm import Completed, Weighed, calibration
from localrag.llm import Generator as Model
from localrag.settings import Settings
from localrag.types import Turn

Result = TypeVar("Result", Completed, Weighed)

# The fewest tokens that are room for a passage.
_MIN_ROOM = 64
# Log odds beyond the first say nothing more, nor does a score beyond the second.
_MAX_LOG_ODDS, _FAIR_SCORE = 4.6, 0.4
# Coefficients: of the log odds above the model's threshold, of the score, and of having searched at all.
_HOLDS, _FITS, _SEARCHED = 1.44, 18.2, -6.84
_ABSENT = -1.5  # log odds below which a clause is taken for absent


def budget(model: Model, settings: Settings, query: Query, wanted: int) -> int:
    """Return the tokens for text and history: those wanted, or what the window leaves beside the question."""
    fixed = (
        model.overhead(1 + 2 * len(query.history))
        + model.count(prompts.PASSAGE_RULES)
        + model.count(query.text + query.instructions)
        + min(settings.answer_tokens, model.window // 4)
    )
    left = model.window - fixed
    if left < _MIN_ROOM:
        raise ModelError(
            f"the question has {model.count(query.text):,} tokens, the window of {model.model!r} {model.window:,}",
            "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
        )
    return min(wanted, left)


def window_use(model: Model, documents: int, history: Sequence[Turn], query: Query) -> dict[str, int]:
    """Return the tokens of a prompt by part, with what is free in the window."""
    parts = {
        "rules": model.count(f"{prompts.PASSAGE_RULES} {query.instructions}") + model.overhead(1 + 2 * len(history)),
        "documents": documents,
        "history": sum(model.count(turn.question) + model.count(turn.answer) for turn in history),
        "question": model.count(query.text),
    }
    return {**parts, "free": max(0, model.window - sum(parts.values()))}


def answer(
    query: Query, route: Route, prompt: Prompt, model: Model, settings: Settings
) -> Generator[Event, None, Findings]:
    """Answer from a prompt: by code, from one place, or as the model words it."""
    from localrag.answer import checking, extractive_qa
    from localrag.answer.table_qa import calculation

    short = settings.answer_form == "short"
    hits = route.hits if route.plan.kind == "retrieve" else ()  # what is read whole is looked through as a whole
    found = calculation.answer(query, route, prompt, short=short)
    tried = None
    if found is None and not _think_tokens(query, model, settings):
        found = tried = yield from extractive_qa.answer(query, route.plan, prompt, model, hits, settings.min_confidence)
    if found is None or not found.answer:
        found = yield from _answer(query, route, prompt, model, settings)
        found = replace(found, tokens=found.tokens + tried.tokens) if tried is not None else found
    found = checking.check(found, query, prompt.passages, checking.EVERY)
    return replace(found, not_read=context.injections_in(prompt.passages))


def _answer(
    query: Query, route: Route, prompt: Prompt, model: Model, settings: Settings
) -> Generator[Event, None, Findings]:
    from localrag.answer import checking

    plan = route.plan
    weighed = confidence = None
    short, full = settings.answer_form == "short", explains(query)
    messages = prompts.worded(prompt.messages, query.instructions, short, full, query.text)
    if plan.kind != "read" or not query.question.about_whole:
        # Behind the prompt, which is read once for this and for the answer.
        check = prompts.check_prompt(prompt.messages)
        weighed = yield from _passed_on(
            model.weigh(
                check,
                prompts.CHECK_OPTIONS,
                stop=query.stop,
                cache=prompt.cache,
                room=settings.answer_tokens,
                then=None if _think_tokens(query, model, settings) else messages,
            ),
            Weighed,
        )
        if not weighed.shares:
            return checking.checked(query, plan, Draft(Completed("", weighed.usage, "stopped")), prompt, model)
        answer_from = calibration.load(settings.calibration_file, model.model).answer_from
        if weighed.measured:
            confidence = answerability(
                weighed.shares[0], answer_from, plan.signals.get("score"), plan.signals.get("clause")
            )
            plan = plan.with_signals(holds_answer=round(weighed.shares[0], 3))
        else:
            yield Notice(prompts.UNMEASURED)
        if confidence is not None and confidence < settings.min_confidence:
            draft = Draft(Completed(prompts.NOT_FOUND, weighed.usage, "end"), confidence=confidence)
            return checking.checked(query, plan, draft, prompt, model)
    if query.instructions:
        # They belong to the record of this answer, because they may be others tomorrow.
        plan = plan.with_signals(instructions=query.instructions)
    done = yield from _write(query, replace(prompt, messages=messages), model, settings)
    if weighed is not None:
        # What the check read was new, so it does not count as cached.
        done = replace(done, usage=replace(done.usage, reused=weighed.usage.reused))
    reading = done if weighed is None else weighed
    calibration.record(
        settings.calibration_file,
        model.model,
        tokens=reading.usage.prompt - reading.usage.reused,
        seconds=reading.prompt_seconds,
        after=done.usage.reused,
    )
    return checking.checked(query, plan, Draft(done, confidence), prompt, model)


def explains(query: Query) -> bool:
    """Return whether a question asks for everything that the text says about something."""
    return query.question.value == "explanation" or query.question.kind == "summary"


def answerability(holds: float, answer_from: float, score: float | None, clause: float | None = None) -> float:
    """Return the likelihood that the text holds the answer, from the model's share of "yes" and the best passage.

    `answer_from` is the share from which this model is more often right than not. `clause` are the log odds that the
    document has the kind of clause asked for; where they are known they alone count, since the model's share adds
    nothing to them (docs/decisions/0051-right-or-silent.md).
    """
    if clause is not None:
        return 1 / (1 + math.exp(-(clause - _ABSENT)))
    fits = 0.0 if score is None else _SEARCHED + _FITS * min(max(score, 0.0), _FAIR_SCORE)
    return 1 / (1 + math.exp(-(_HOLDS * (_log_odds(holds) - _log_odds(answer_from)) + fits)))


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_MAX_LOG_ODDS), _MAX_LOG_ODDS)


def _write(query: Query, prompt: Prompt, model: Model, settings: Settings) -> Generator[Event, None, Completed]:
    """Have the answer written, after reasoning where the settings ask for it."""
    if settings.think == "on" and not model.thinks:
        yield Notice(f"The model {model.model} has no thinking mode that localrag knows, so it answers at once.")
    written = repetition.written(
        model,
        prompt.messages,
        max_tokens=settings.answer_tokens,
        temperature=settings.temperature,
        seed=settings.seed,
        stop=query.stop,
        cache=prompt.cache,
        think=_think_tokens(query, model, settings),
    )
    return (yield from _passed_on(written, Completed))


def _passed_on(events: Iterator[Event | Result], kind: type[Result]) -> Generator[Event, None, Result]:
    """Pass events on; return the result, which is the last."""
    for event in events:
        if isinstance(event, kind):
            return event
        yield cast(Event, event)
    raise AssertionError("a model always ends with its result")


def _think_tokens(query: Query, model: Model, settings: Settings) -> int:
    thinks = settings.think == "on" or (settings.think == "auto" and query.question.needs_reasoning)
    return settings.think_tokens if thinks and model.thinks else 0
