"""Reasoning before the answer, and the wording of the answer."""

import pytest
from asking import LEASE
from fakes import ScriptedGenerator

from localrag.answer.assistant import Assistant
from localrag.events import Answered, Delta, Notice, Reasoning

ASKED = "What is the yearly rent of Hall 3?"
RIGHT = "The yearly rent is EUR 48,000."


@pytest.fixture
def library(shelf):
    return shelf("papers", {"lease.txt": LEASE, "dogs.txt": "Dogs are kept on a lead."})


def ask(settings, model, question=ASKED, **options):
    assistant = Assistant(settings.with_options(**options), model)
    events = list(assistant.ask(question, libraries=["papers"]))
    last = events[-1]
    assert isinstance(last, Answered)
    return events, last.answer


def kinds(events, *wanted):
    return [event for event in events if isinstance(event, wanted)]


@pytest.fixture(autouse=True)
def _fakes(models):
    """No model is loaded."""


def test_a_thought_comes_before_the_answer_and_is_no_part_of_it(settings, library):
    model = ScriptedGenerator(otherwise=RIGHT, thought="The rent. Let me see.")
    events, answer = ask(settings, model, think="on")
    assert "".join(event.text for event in kinds(events, Reasoning)) == "The rent. Let me see."
    assert "".join(event.text for event in kinds(events, Delta)) == RIGHT
    assert answer.reasoning == "The rent. Let me see." and answer.answer == "The yearly rent is EUR 48,000 [1]."
    assert answer.to_dict()["reasoning"] == answer.reasoning and answer.citations


def test_a_thought_has_its_budget(settings, library):
    _, answer = ask(settings, ScriptedGenerator(otherwise=RIGHT, thought="one two three"), think="on", think_tokens=2)
    assert answer.reasoning == "one two" and answer.answer.startswith("The yearly rent")


def test_off_and_auto_on_a_look_up_think_nothing(settings, library):
    for think in ("off", "auto"):
        events, answer = ask(settings, ScriptedGenerator(otherwise=RIGHT, thought="Hm."), think=think)
        assert answer.reasoning == "" and not kinds(events, Reasoning)


def test_auto_thinks_where_something_is_to_be_worked_out(settings, library):
    question = "What is the difference between the rent of Hall 3 and the rent of Hall 4?"
    _, answer = ask(settings, ScriptedGenerator(otherwise=RIGHT, thought="Hm."), question, think="auto")
    assert answer.reasoning == "Hm."


def test_a_model_without_the_mode_answers_and_it_is_said(settings, library):
    events, answer = ask(settings, ScriptedGenerator(otherwise=RIGHT), think="on")
    assert ["no thinking mode" in event.text for event in kinds(events, Notice)] == [True]
    assert answer.found and answer.reasoning == ""
    assert not kinds(ask(settings, ScriptedGenerator(otherwise=RIGHT), think="auto")[0], Notice)


def test_whether_the_text_holds_the_answer_is_weighed_without_thought(settings, library):
    model = ScriptedGenerator(otherwise=RIGHT, thought="Hm.", weights=[("", "no")])
    events, answer = ask(settings, model, think="on")
    assert not answer.found and not kinds(events, Reasoning)
