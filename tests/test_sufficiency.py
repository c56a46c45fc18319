"""How sure it is that a text holds an answer: from what the model says both ways round, and from how well it fits."""

from __future__ import annotations

from typing import Any

import pytest

from localrag import prompt, sufficiency
from localrag.generation import ScriptedGenerator
from localrag.question import Prompted, Question
from localrag.types import EVERYTHING, Passage, Plan


def passage(text: str) -> Passage:
    return Passage("papers", "a.txt", None, None, (), text, 0, len(text), 0.5)


def judged(weights: list[tuple[str, str]], score: float | None = None, **options: Any) -> sufficiency.Verdict:
    asked = Question("When does it end?", [], EVERYTHING, [], (), options.get("stop", lambda: False))
    asked.plan = Plan("retrieve", "", {} if score is None else {"score": score})
    model = options.get("model") or ScriptedGenerator(weights=weights)
    running = sufficiency.judge(asked, Prompted(prompt.passages_prompt(asked.text, [passage("It ends.")]), []), model)
    while True:
        try:
            next(running)
        except StopIteration as done:
            verdict: sufficiency.Verdict = done.value
            return verdict


def test_a_model_that_says_yes_to_everything_is_less_sure_than_one_that_tells_the_two_apart() -> None:
    says_yes = judged([("", "yes")], 0.5).sureness
    tells = judged([("missing", "no"), ("", "yes")], 0.5).sureness
    denies = judged([("missing", "yes"), ("", "no")], 0.5).sureness
    assert denies is not None and says_yes is not None and tells is not None
    assert denies < says_yes < tells


@pytest.mark.parametrize("holds", [0.6, 0.9])
def test_the_fainter_what_was_found_the_less_sure(holds: float) -> None:
    sure = [sufficiency.sureness(holds, 0.6, score) for score in (0.0, 0.1, 0.3, 0.6)]
    assert sure == sorted(sure) and len(set(sure)) == 4


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_certainty_of_the_model_is_no_certainty(share: float) -> None:
    assert 0 < sufficiency.sureness(share, 1 - share, None) < 1


def test_both_questions_stand_behind_the_same_prompt() -> None:
    model = ScriptedGenerator()
    judged([], model=model)
    first, second = model.prompts
    assert [(m.stable, m.text) for m in first] == [(m.stable, m.text) for m in second]
    assert first[-1].tail != second[-1].tail


def test_a_weighing_that_was_stopped_says_nothing() -> None:
    class Stopped(ScriptedGenerator):
        def weigh(self, *args: Any, **kwargs: Any) -> Any:
            for event in super().weigh(*args, **kwargs):
                yield event if not hasattr(event, "shares") else type(event)((), event.usage)

    assert judged([], model=Stopped()).sureness is None
