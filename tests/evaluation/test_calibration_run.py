import math

import pytest
from fakes import ScriptedGenerator

from localrag.evaluation import calibration_run
from localrag.llm import Weighed
from localrag.types import Usage


class Joining(ScriptedGenerator):
    def __init__(self, apart):
        super().__init__()
        self.holds = {task.question: task.holds for task in calibration_run.tasks()}
        self.apart = apart

    def weigh(self, messages, options, **rest):
        holds = next(holds for question, holds in self.holds.items() if question in messages[-1].whole)
        odds = (2.0 if holds else -2.0) * (self.apart if any(one.blocks for one in messages) else 1.0)
        yes = 1 / (1 + math.exp(-odds))
        yield Weighed((yes, 1 - yes), Usage())


def measured(model):
    return calibration_run.measure(model, lambda: False, lambda done, total: None)


def test_the_threshold_is_between_the_texts_with_and_without_the_answer():
    sure = {task.id: 0.9 if task.holds else 0.5 for task in calibration_run.tasks()}
    # Halfway in log odds between 0.9 and 0.5 is 0.75; 0.7 below that is 0.6.
    assert calibration_run.answer_threshold(sure) == 0.6
    assert calibration_run.answer_threshold({id: 1 - share for id, share in sure.items()}) == pytest.approx(
        0.14, abs=0.01
    )
    assert calibration_run.answer_threshold({**sure, "0/held/0": 1.0}) == pytest.approx(0.6, abs=0.05)


@pytest.mark.parametrize(("kept", "apart"), [(1.0, True), (0.9, True), (0.5, False), (-1.0, False)])
def test_passages_are_read_apart_only_where_nothing_is_lost(kept, apart):
    shares = measured(Joining(kept))
    assert shares is not None and calibration_run.figures(shares)["apart"] == apart
