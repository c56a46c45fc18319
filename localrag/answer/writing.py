"""From a prompt to the text that the model writes to it: with thought, by a vote, or once more where a check failed.

Yields events and prints nothing. Each of the three costs seconds, and what each brings was measured
(docs/decisions/0032-more-thought.md). All tries go on from the same prompt, which is read once.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from localrag.answer import checking, intent, prompts, rechecking
from localrag.answer.question import Prompted, Question
from localrag.answer.voting import LONGEST, Ballot, too_long
from localrag.events import Delta, Event, Notice, Replaced, VoteProgress
from localrag.llm.generation import Completed
from localrag.llm.generation import Generator as Model
from localrag.settings import Settings
from localrag.types import Answer, Message, Usage

# Tries must differ to tell anything. The first is written as the settings say, so that a vote which it wins shows the
# answer that there would be without one.
_VOTING_TEMPERATURE = 0.7


@dataclass(frozen=True, slots=True)
class _Way:
    """How an answer is written: what stays the same over all tries at it."""

    asked: Question
    prompted: Prompted
    model: Model
    settings: Settings
    think: int

    def checked(self, done: Completed) -> Answer:
        return checking.checked(self.asked, done, self.prompted, self.model.model)


def write(asked: Question, prompted: Prompted, model: Model, settings: Settings) -> Generator[Event, None, Completed]:
    """Have the answer written; returns the whole of it. How tries were divided is noted in the question."""
    if settings.think == "on" and not model.thinks:
        yield Notice(f"The model {model.model} has no thinking mode that localrag knows, so it answers at once.")
    way = _Way(asked, prompted, model, settings, _thinking(asked, model, settings))
    done = yield from _shown(way, prompted.messages)
    if settings.votes > 1 and done.ended != "stopped":
        done = yield from _vote(way, done)
    if settings.retry == "on" and done.ended != "stopped":
        done = yield from _again(way, done)
    asked.thought = done.thought
    return done


def _thinking(asked: Question, model: Model, settings: Settings) -> int:
    """Tokens that may be thought before the answer."""
    wanted = settings.think == "on" or (settings.think == "auto" and intent.needs_thought(asked.text))
    return settings.think_tokens if wanted and model.thinks else 0


def _shown(way: _Way, messages: Sequence[Message]) -> Generator[Event, None, Completed]:
    """A try as the settings say, whose words are shown as they come."""
    done = Completed("", Usage(), "stopped")
    for event in way.model.generate(
        messages, max_tokens=way.settings.answer_tokens, temperature=way.settings.temperature, seed=way.settings.seed,
        stop=way.asked.stop, states=way.prompted.states, think=way.think,
    ):  # fmt: skip
        if isinstance(event, Completed):
            done = event
            continue
        if isinstance(event, Delta) and way.asked.first_token is None:
            way.asked.first_token = way.asked.elapsed()
        yield event
    return done


# --- votes --------------------------------------------------------------------------------------------------


def _vote(way: _Way, first: Completed) -> Generator[Event, None, Completed]:
    """More tries at the same prompt, until it is decided what most of them say; Ctrl-C ends it with those there are."""
    asked, settings = way.asked, way.settings
    if too_long(first.text):
        yield Notice(f"Not voted on: tries are compared where the answer has at most {LONGEST} words.")
        return first
    ballot, tries = Ballot(asked.text, settings.votes), [first]
    ballot.add(first.text)
    while not ballot.decided:
        yield VoteProgress(len(tries), settings.votes)
        done = _unseen(way, settings.seed + len(tries))
        if done.ended == "stopped":
            break
        tries.append(done)
        ballot.add(done.text)
    leading = ballot.leading()
    # Of answers that as many tries gave, the one that fails least by the checks, then the earlier.
    chosen = min(leading, key=lambda at: rechecking.weight(way.checked(tries[at]), tries[at]))
    asked.split = ballot.split(chosen)
    if chosen != 0:
        tied = (
            "As many tries say something else, and it fails less." if leading[1:] else "Most tries say something else."
        )
        yield Replaced(tied)
        yield Delta(tries[chosen].text)
    return _billed(tries[chosen], tries)


def _unseen(way: _Way, seed: int) -> Completed:
    """Another try, by chance."""
    done = Completed("", Usage(), "stopped")
    for event in way.model.generate(
        way.prompted.messages, max_tokens=way.settings.answer_tokens,
        temperature=max(way.settings.temperature, _VOTING_TEMPERATURE), seed=seed, stop=way.asked.stop,
        states=way.prompted.states, think=way.think,
    ):  # fmt: skip
        if isinstance(event, Completed):
            done = event
    return done


# --- once more ----------------------------------------------------------------------------------------------


def _again(way: _Way, first: Completed) -> Generator[Event, None, Completed]:
    """Where the answer fails a check, have it written once more by a model that is told which; keep the better one."""
    before = way.checked(first)
    found = rechecking.complaints(before, first)
    if not found:
        return first
    told = rechecking.told(found)
    yield Replaced(prompts.said(told, way.prompted.messages))
    second = yield from _shown(way, prompts.again_prompt(way.prompted.messages, first.text, told))
    if second.ended == "stopped":
        return _billed(first, [first, second])
    if rechecking.better((before, first), (way.checked(second), second)):
        return _billed(second, [first, second])
    yield Replaced("The first answer stays: the second fails as much.")
    yield Delta(first.text)
    return _billed(first, [first, second])


def _billed(chosen: Completed, tries: Sequence[Completed]) -> Completed:
    """One of several tries, at the cost of all of them; the prompt is counted as it was first read."""
    first = tries[0]
    usage = Usage(first.usage.prompt, first.usage.reused, sum(done.usage.generated for done in tries))
    return replace(
        chosen, usage=usage, prompt_seconds=first.prompt_seconds,
        answer_seconds=sum(done.answer_seconds for done in tries),
    )  # fmt: skip
