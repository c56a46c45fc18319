"""The scripted fake keeps to what a generator promises."""

from __future__ import annotations

from fakes import ScriptedGenerator

from localrag.events import Delta, PromptRead
from localrag.llm import Completed, Weighed
from localrag.types import Message

ASKED = [Message("system", "Rules."), Message("user", "When does the lease end?")]


def test_it_answers_by_the_first_pattern_in_the_last_message() -> None:
    model = ScriptedGenerator(script=[("lease", "In May 2030."), ("end", "Never.")])
    events = list(model.generate(ASKED, max_tokens=50))
    assert isinstance(events[0], PromptRead) and isinstance(events[-1], Completed)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "In May 2030."
    assert (events[-1].text, events[-1].ended) == ("In May 2030.", "end")
    assert (events[-1].usage.prompt, events[-1].usage.generated) == (6, 3)
    assert model.prompts == [tuple(ASKED)]


def test_it_ends_at_the_limit_and_when_stopped() -> None:
    model = ScriptedGenerator(otherwise="one two three")
    last = list(model.generate(ASKED, max_tokens=2))[-1]
    assert isinstance(last, Completed) and (last.text, last.ended) == ("one two", "length")
    last = list(model.generate(ASKED, max_tokens=9, stop=lambda: True))[-1]
    assert isinstance(last, Completed) and (last.text, last.ended) == ("", "stopped")


def test_it_weighs_as_told() -> None:
    model = ScriptedGenerator(weights=[("lease", "no")])
    last = list(model.weigh(ASKED, ["yes", "no"]))[-1]
    assert isinstance(last, Weighed) and last.shares == (0, 1)
    last = list(ScriptedGenerator().weigh(ASKED, ["yes", "no"]))[-1]
    assert isinstance(last, Weighed) and last.shares == (1, 0)
