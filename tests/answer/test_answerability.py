"""How sure it is that a text holds an answer: from what the model says both ways round, and from how well it fits."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag.answer import answerability, prompts
from localrag.answer.question import Prompted, Question
from localrag.types import EVERYTHING, Passage, Plan


def passage(text: str) -> Passage:
    return Passage("papers", "a.txt", None, None, (), text, 0, len(text), 0.5)


def judged(model: ScriptedGenerator, score: float | None = None) -> answerability.Verdict:
    asked = Question("When does it end?", [], EVERYTHING, [], (), lambda: False)
    asked.plan = Plan("retrieve", "", {} if score is None else {"score": score})
    prompted = Prompted(prompts.passages_prompt(asked.text, [passage("It ends.")]), [])
    running = answerability.judge(asked, prompted, model, 0.7)
    while True:
        try:
            next(running)
        except StopIteration as done:
            verdict: answerability.Verdict = done.value
            return verdict


def test_a_model_that_finds_it_is_surer_than_one_that_does_not() -> None:
    finds, denies = judged(ScriptedGenerator(), 0.5), judged(ScriptedGenerator(weights=[("", "no")]), 0.5)
    assert finds.confidence is not None and denies.confidence is not None
    assert denies.confidence < 0.5 < finds.confidence and (finds.holds, denies.holds) == (1.0, 0.0)


@pytest.mark.parametrize("holds", [0.6, 0.9])
def test_the_fainter_what_was_found_the_less_sure_up_to_a_fair_fit(holds: float) -> None:
    sure = [answerability.confidence(holds, 0.7, score) for score in (-0.2, 0.1, 0.3, 0.4, 0.9)]
    assert sure[0] < sure[1] < sure[2] < sure[3] == sure[4]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_certainty_of_the_model_is_no_certainty(share: float) -> None:
    assert 0 < answerability.confidence(share, 0.7, None) < 1


def test_where_nothing_was_searched_the_models_own_threshold_is_the_middle() -> None:
    assert answerability.confidence(0.7, 0.7, None) == pytest.approx(0.5)
    assert answerability.confidence(0.6, 0.5, 0.4) > answerability.confidence(0.6, 0.7, 0.4)


def test_a_weighing_that_was_stopped_says_nothing() -> None:
    class Stopped(ScriptedGenerator):
        def weigh(self, *args: Any, **kwargs: Any) -> Any:
            for event in ScriptedGenerator.weigh(self, *args, **kwargs):
                yield event if not hasattr(event, "shares") else type(event)((), event.usage)

    assert judged(Stopped()).confidence is None
