from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag.evaluation.remembering import Remembering, call_of
from localrag.events import Delta
from localrag.llm.generation import Completed, Weighed
from localrag.types import Message, Usage

ASK = [Message("system", "Rules."), Message("user", "one two three four five six")]
CHECK = [ASK[0], Message("user", "one two three four five six", tail=" yes or no?")]


@dataclass(slots=True)
class Slow(ScriptedGenerator):
    """Says that each prompt took two seconds to read and three to answer, and that ten tokens were kept."""

    def generate(self, messages: Sequence[Message], **more: Any) -> Iterator[Any]:  # type: ignore[override]
        for event in ScriptedGenerator.generate(self, messages, **more):
            if isinstance(event, Completed):
                yield Completed(event.text, Usage(100, 10, 2), event.ended, 2.0, 3.0)
            else:
                yield event

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **more: Any) -> Iterator[Any]:  # type: ignore[override]
        for event in ScriptedGenerator.weigh(self, messages, options, **more):
            yield Weighed(event.shares, Usage(100, 90, 0), 2.0) if isinstance(event, Weighed) else event


@pytest.fixture
def model() -> Slow:
    return Slow([("three", "Three it is.")])


@pytest.fixture
def memory(model: Slow) -> Remembering:
    return Remembering(lambda: model)


def said(memory: Remembering, messages: Sequence[Message] = ASK, **more: Any) -> Completed:
    done = list(memory.generate(messages, **{"max_tokens": 20, **more}))[-1]
    assert isinstance(done, Completed)
    return done


def test_the_same_prompt_is_answered_from_memory_and_its_seconds_are_owed(memory: Remembering, model: Slow) -> None:
    first = said(memory)
    memory.begin()
    assert said(memory) == first and len(model.prompts) == 1
    assert (memory.owed, memory.owed_first) == (5.0, 2.0)
    assert [call.again for call in memory.calls] == [True]


@pytest.mark.parametrize(
    "other", [{"max_tokens": 21}, {"seed": 8}, {"temperature": 0.1}, {"grammar": "root ::= [a-z]"}]
)
def test_another_limit_seed_or_grammar_is_another_prompt(memory: Remembering, model: Slow, other: Any) -> None:
    said(memory)
    said(memory, **other)
    assert len(model.prompts) == 2


def test_another_word_or_another_part_is_another_prompt(memory: Remembering, model: Slow) -> None:
    said(memory)
    said(memory, [ASK[0], Message("user", "one two three four five seven")])
    said(memory, [ASK[0], Message("user", " five six", stable=("one two three four",))])
    assert len(model.prompts) == 3


def test_who_stops_it_and_where_states_are_kept_change_no_answer(memory: Remembering, model: Slow) -> None:
    said(memory)
    said(memory, stop=lambda: False, states=None)
    assert len(model.prompts) == 1


def test_a_stopped_answer_is_not_remembered(memory: Remembering, model: Slow) -> None:
    assert said(memory, stop=lambda: True).ended == "stopped"
    assert said(memory).text == "Three it is." and len(model.prompts) == 2


def test_anew_asks_the_model_and_remembers_that(memory: Remembering, model: Slow) -> None:
    said(memory)
    memory.begin(anew=True)
    said(memory)
    assert len(model.prompts) == 2 and memory.owed == 0.0


def test_weighing_is_remembered_apart_from_answering(memory: Remembering, model: Slow) -> None:
    for _ in range(2):
        last = list(memory.weigh(CHECK, ("yes", "no")))[-1]
        assert isinstance(last, Weighed) and last.shares == (1.0, 0.0)
    list(memory.weigh(CHECK, ("no", "yes")))
    assert len(model.prompts) == 2


def test_cold_tokens_count_what_was_kept_before_the_question_and_not_what_it_read_itself(memory: Remembering) -> None:
    memory.begin()
    list(memory.weigh(CHECK, ("yes", "no")))  # 90 of its 100 tokens were kept, by somebody else
    said(memory)  # 10 of its 100 tokens are there, since the check has just read them
    assert [call.cold for call in memory.calls] == [100, 90]


def test_what_a_run_wrote_down_is_remembered_by_the_next(memory: Remembering, model: Slow) -> None:
    said(memory)
    list(memory.weigh(CHECK, ("yes", "no")))
    again = Remembering(lambda: pytest.fail("asked"))
    again.remember(call_of(call.to_dict()) for call in memory.calls)
    assert said(again).text == "Three it is."
    assert any(isinstance(event, Weighed) for event in again.weigh(CHECK, ("yes", "no")))


def test_the_first_word_of_a_model_that_is_asked_comes_after_what_was_owed_before(memory: Remembering) -> None:
    list(memory.weigh(CHECK, ("yes", "no")))
    memory.begin()
    list(memory.weigh(CHECK, ("yes", "no")))
    assert any(isinstance(event, Delta) for event in memory.generate(ASK, max_tokens=20))
    assert memory.owed_first == 2.0
