"""From a prompt to an answer: is it in the text at all, what does the model write, where does each claim stand.

Used by the plans that have the model write freely (retrieve, read). Yields events and prints nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from localrag.answer import answerability, checking, intent, prompts, shortening, translation, writing
from localrag.answer import context as material
from localrag.answer.answerability import Verdict
from localrag.answer.question import Prompted, Question
from localrag.answer.table_qa import calculation
from localrag.answer.verify.conflicts import finding as conflicts
from localrag.errors import ModelError
from localrag.events import Answered, Event
from localrag.llm import calibration
from localrag.llm.generation import Completed
from localrag.llm.generation import Generator as Model
from localrag.settings import Settings
from localrag.types import Turn, Usage

# Fewer tokens than these are no room for a passage.
_LEAST = 64


def budget(model: Model, settings: Settings, asked: Question, wanted: int) -> int:
    """Tokens for text and history: what is wanted, or what the window leaves.

    Raises:
        ModelError: the question alone is longer than the window.
    """
    fixed = (
        model.overhead(1 + 2 * len(asked.history))
        + model.count(prompts.PASSAGE_RULES)
        + model.count(asked.text + asked.instructions)
        + min(settings.answer_tokens, model.window // 4)
    )
    left = model.window - fixed
    if left < _LEAST:
        raise ModelError(
            f"the question has {model.count(asked.text):,} tokens, the window of {model.model!r} {model.window:,}",
            "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
        )
    return min(wanted, left)


def context(model: Model, documents: int, history: Sequence[Turn], asked: Question) -> dict[str, int]:
    """Of how many tokens a prompt consists, for whoever wants to see what fills the window."""
    parts = {
        "rules": model.count(f"{prompts.PASSAGE_RULES} {asked.instructions}") + model.overhead(1 + 2 * len(history)),
        "documents": documents,
        "history": sum(model.count(turn.question) + model.count(turn.answer) for turn in history),
        "question": model.count(asked.text),
    }
    return {**parts, "free": max(0, model.window - sum(parts.values()))}


def answer(asked: Question, prompted: Prompted, model: Model, settings: Settings) -> Iterator[Event]:
    """Calculate the answer, or weigh whether the text holds it and have it written and cited; `Answered` comes last."""
    asked.split, asked.thought, asked.confidence = (
        None,
        "",
        None,
    )  # of passages that did not answer, where the document is now read whole
    orders = material.orders_in(prompted.passages)
    asked.not_read = [*orders, *(item for item in asked.not_read if item not in orders)]
    calculated = calculation.answer(asked, prompted, short=settings.answer_form == "short")
    if calculated is not None:
        yield Answered(conflicts.shown(asked, calculated))
        return
    verdict = yield from _judge(asked, prompted, model, settings)
    if verdict is not None and not _enough(asked, verdict, settings):
        weighed = verdict.confidence is not None
        done = Completed(prompts.NOT_FOUND if weighed else "", verdict.usage, "end" if weighed else "stopped")
        yield Answered(checking.checked(asked, done, prompted, model.model))
        return
    if asked.instructions:
        # What an answer came about by is told with it, and these may be others tomorrow.
        asked.plan = replace(asked.plan, signals={**asked.plan.signals, "instructions": asked.instructions})
    short = settings.answer_form == "short"
    # With words put right; a follow-up is looked up with the words of the question before it, which may want more.
    full = intent.explains(asked.text if asked.history else asked.looked_for)
    told = replace(prompted, messages=prompts.worded(prompted.messages, asked.instructions, short, full))
    done = yield from writing.write(asked, told, model, settings)
    if short:
        done = replace(done, text=shortening.shortened(done.text, asked.text))
    if verdict is not None:
        # What the check read was not there before this question, so it does not count as kept.
        done = replace(done, usage=replace(done.usage, reused=verdict.usage.reused))
    _learn(verdict, done, model, settings)
    done, twin = _in_their_language(asked, done, prompted, model, settings)
    yield Answered(conflicts.shown(asked, checking.checked(asked, done, prompted, model.model, twin)))


def _in_their_language(
    asked: Question, done: Completed, prompted: Prompted, model: Model, settings: Settings
) -> tuple[Completed, str | None]:
    """Where an answer is in another language than the documents, the same in theirs, to be cited; else None.

    An answer that turns out to say that it is not there is put into the words by which that is known.
    """
    languages = translation.differing(done.text, prompted.passages) if done.ended != "stopped" else None
    if languages is None:
        return done, None
    twin = Completed("", Usage(), "stopped")
    messages = prompts.worded(prompted.messages, f"Answer in {languages.documents.capitalize()}.")
    for event in model.generate(
        messages, max_tokens=settings.answer_tokens, seed=settings.seed, stop=asked.stop, states=prompted.states
    ):
        if isinstance(event, Completed):
            twin = event
    usage = replace(done.usage, generated=done.usage.generated + twin.usage.generated)
    text = prompts.NOT_FOUND if prompts.says_nothing(twin.text) else done.text
    return replace(done, text=text, usage=usage), twin.text


def _judge(
    asked: Question, prompted: Prompted, model: Model, settings: Settings
) -> Generator[Event, None, Verdict | None]:
    """Weigh whether the text holds the answer; None where no single place of it would."""
    if asked.plan.kind == "read" and intent.of(asked.text).kind in ("summary", "compare", "whole"):
        return None
    answer_from = calibration.load(settings.calibration_file, model.model).answer_from
    return (yield from answerability.judge(asked, prompted, model, answer_from))


def _enough(asked: Question, verdict: Verdict, settings: Settings) -> bool:
    """Whether it is sure enough that the text holds the answer; noted in the question and among the plan's signals."""
    if verdict.confidence is None:
        return False
    asked.confidence = verdict.confidence
    asked.plan = replace(asked.plan, signals={**asked.plan.signals, "holds_answer": round(verdict.holds, 3)})
    return verdict.confidence >= settings.min_confidence


def _learn(verdict: Verdict | None, done: Completed, model: Model, settings: Settings) -> None:
    """Keep the speeds that were seen."""
    read = (done.usage.prompt - done.usage.reused, done.prompt_seconds)
    if verdict is not None:
        read = (verdict.usage.prompt - verdict.usage.reused, verdict.prompt_seconds)
    written = (done.usage.generated, done.answer_seconds)
    calibration.record(settings.calibration_file, model.model, read=read, written=written, after=done.usage.reused)
