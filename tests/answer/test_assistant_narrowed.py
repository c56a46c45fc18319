"""What the assistant makes of a narrowed question and of a follow-up, with fakes in place of models."""

import json

import pytest
from asking import DOGS, FILLER, LEASE, ask

from localrag.events import Notice, Planned
from localrag.types import Filter, NotRead, Turn


@pytest.fixture
def small(shelf):
    return shelf("small", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS})


@pytest.fixture
def large(shelf):
    return shelf("large", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS, "filler.txt": FILLER})


NINE = [f"Page {n} of the lease speaks of kennel {n} and no other." for n in range(1, 10)]


@pytest.mark.parametrize("mode", ["retrieve", "read", "survey"])
def test_the_prompt_holds_only_the_pages_asked_for(assistant, models, shelf, mode):
    shelf("long", {"long.pdf": NINE, "mail.eml": "A kennel in a mail."})
    _, answer = ask(assistant, "Which kennel is it?", "long", mode=mode, documents=Filter(pages=(3, 4)))
    told = "".join(message.whole for message in models.generator.prompts[0])
    assert {n for n in range(1, 10) if f"kennel {n}" in told} == {3, 4} and "in a mail" not in told
    assert answer.plan.reason.endswith("Only pages 3-4 are looked at.")
    assert answer.not_read == (
        NotRead("long", "", "1 document without pages: left out by the range of pages that was asked for"),
    )


def test_an_exact_answer_counts_only_on_the_pages_asked_for(assistant, models, shelf):
    shelf("long", {"long.pdf": NINE})
    _, answer = ask(assistant, 'How many times does "kennel" occur?', "long", documents=Filter(pages=(8, None)))
    assert answer.answer.startswith("“kennel” occurs 2 times") and {c.page for c in answer.citations} == {8, 9}


def test_a_page_range_makes_a_long_document_short_enough_to_be_read(assistant, models, shelf):
    shelf("long", {"long.pdf": [FILLER, "The kennel is open from 9 to 5.", FILLER]})
    assert ask(assistant, "When is it open?", "long")[1].plan.kind == "retrieve"
    _, answer = ask(assistant, "When is it open?", "long", documents=Filter(pages=(2, 2)), mode="read")
    assert answer.plan.kind == "read" and "Clause" not in models.generator.written[-1][0].whole


def test_failed_files_are_listed_where_the_filter_might_pass_them(assistant, models, small):
    for path in ("leases/locked.pdf", "board/locked.docx"):
        small.note_failure("/root", path, "is encrypted")
    told = {
        only: {left.document for left in ask(assistant, "When?", "small", documents=only)[1].not_read}
        for only in (Filter(folder="leases"), Filter(types=("pdf",)), Filter(("leases/*",)), Filter(pages=(1, 2)))
    }
    assert told == {
        Filter(folder="leases"): {"leases/locked.pdf"},
        Filter(types=("pdf",)): {"leases/locked.pdf"},
        Filter(("leases/*",)): {"leases/locked.pdf"},
        Filter(pages=(1, 2)): {"leases/locked.pdf", "board/locked.docx", ""},
    }


BEFORE = [Turn("When does the lease of Hall 3 end?", "It ends on 31 May 2030.")]
JOINED = "When does the lease of Hall 3 end? And its rent?"


def test_a_follow_up_is_looked_up_with_the_question_before(assistant, models, large):
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    events, answer = ask(assistant, "And its rent?", "large", history=BEFORE)
    assert answer.looked_for == JOINED and answer.to_dict()["looked_for"] == JOINED
    assert [event.looked_for for event in events if isinstance(event, Planned)] == [JOINED]
    assert models.generator.written[-1][-1].text.endswith("Question: And its rent?")
    assert not any("Follow-up" in prompt[-1].text for prompt in models.generator.prompts)


@pytest.mark.parametrize(
    ("question", "completed"),
    [("What is the yearly rent?", True), ("Are dogs allowed?", False), ("And the dogs?", True)],
)
def test_a_short_question_leans_only_on_what_its_documents_speak_of(assistant, models, large, question, completed):
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    events, answer = ask(assistant, question, "large", history=BEFORE)
    assert answer.looked_for == (f"{BEFORE[0].question} {question}" if completed else question)
    assert any("by itself" in event.text for event in events if isinstance(event, Notice)) is not completed


def test_a_survey_asks_each_document_the_completed_follow_up(assistant, models, large):
    whole = "What is the yearly rent of Hall 3?"
    leaf = json.dumps({"found": False, "answer": "", "quote": ""})
    models.generator.script = [("Follow-up", whole), ("", leaf)]
    ask(assistant, "And its rent?", "large", history=BEFORE, mode="survey")
    asked = ["".join(message.whole for message in prompt) for prompt in models.generator.prompts[1:]]
    assert asked and all(whole in told for told in asked)


def test_a_survey_asks_each_document_what_was_typed_where_it_cannot_be_completed(assistant, models, large):
    leaf = json.dumps({"found": False, "answer": "", "quote": ""})
    models.generator.script = [("Follow-up", "No."), ("", leaf)]
    _, answer = ask(assistant, "And its rent?", "large", history=BEFORE, mode="survey")
    asked = ["".join(message.whole for message in prompt) for prompt in models.generator.prompts[1:]]
    assert asked and all("And its rent?" in one and BEFORE[0].question not in one for one in asked)
    assert answer.question == answer.looked_for == "And its rent?"


def test_a_slip_that_was_put_right_is_said_with_the_answer(assistant, models, large):
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    events, answer = ask(assistant, "What is the yaerly rent of Hall 3?", "large")
    assert answer.looked_for == "What is the yearly rent of Hall 3?"
    assert [event.looked_for for event in events if isinstance(event, Planned)] == [answer.looked_for]
    assert answer.question == "What is the yaerly rent of Hall 3?"
