"""What the assistant makes of a question for code: no model, its places verified, its table whole, and it can be stopped."""

from __future__ import annotations

import pytest
from asking import ask

from localrag.events import Answered
from localrag.types import Filter


@pytest.fixture
def library(shelf):
    return shelf(
        "papers", {"lease.txt": "Notice of notice, to jane@example.com.", "b.pdf": ["none", "notice"], "c.txt": "-"}
    )


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Which documents mention 'notice'?", 2),
        ('Which documents do not mention "notice"?', 1),
        ("list the documents by size", 3),
    ],
)
def test_code_answers_without_a_model(assistant, models, library, question, rows):
    _, answer = ask(assistant, question, "papers")
    assert answer.plan.kind == "exact" and answer.found and models.loaded == [] and answer.model is None
    assert len(answer.table) == rows


@pytest.mark.parametrize(
    "question", ['lease.txt How often does "notice" occur?', 'How often does "notice" occur? lease.txt']
)
def test_a_document_that_narrows_may_stand_beside_the_question(assistant, library, question):
    _, answer = ask(assistant, question, "papers", documents=Filter(documents=("lease.txt",)))
    assert answer.plan.kind == "exact" and answer.answer == "“notice” occurs 2 times in lease.txt."
    assert answer.question == question


def test_it_is_stopped_with_what_there_is(assistant, library):
    polled: list[int] = []

    def stop():
        polled.append(1)
        return len(polled) > 2

    events = list(assistant.ask('Find "notice"', libraries=["papers"], mode="exact", stop=stop))
    assert isinstance(events[-1], Answered) and events[-1].answer.stopped and "stopped" in events[-1].answer.answer
