"""How likely a text holds an answer: from the model's share of yes and from how well the best passage fits."""

import pytest
from asking import LEASE, ask
from fakes import ScriptedGenerator

from localrag.answer.answering import answerability
from localrag.answer.assistant import Assistant
from localrag.llm import Weighed


@pytest.mark.parametrize("holds", [0.6, 0.9])
def test_a_better_fit_raises_it_up_to_a_fair_one(holds):
    found = [answerability(holds, 0.7, score) for score in (-0.2, 0.1, 0.3, 0.4, 0.9)]
    assert found[0] < found[1] < found[2] < found[3] == found[4]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_certain_model_is_not_certainty(share):
    assert 0 < answerability(share, 0.7, None) < 1


def test_without_a_search_the_models_threshold_is_the_middle():
    assert answerability(0.7, 0.7, None) == pytest.approx(0.5)
    assert answerability(0.6, 0.5, 0.4) > answerability(0.6, 0.7, 0.4)


def test_a_stopped_weighing_gives_no_answer(settings, models, shelf):
    class Stopped(ScriptedGenerator):
        def weigh(self, *args, **kwargs):
            for event in ScriptedGenerator.weigh(self, *args, **kwargs):
                yield Weighed((), event.usage) if isinstance(event, Weighed) else event

    shelf("one", {"lease.txt": LEASE})
    _, answer = ask(Assistant(settings, Stopped()), "When does the lease end?", "one")
    assert answer.stopped and not answer.found and answer.confidence is None and answer.looked_at == ""


def test_the_score_of_a_short_document_that_is_read_whole_does_not_withhold_its_answer(assistant, shelf, models):
    shelf("one", {"lease.txt": LEASE})
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    _, answer = ask(assistant, "How much is owed to the lessor?", "one")
    assert answer.plan.kind == "read" and "score" not in answer.plan.signals and answer.found
