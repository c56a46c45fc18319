"""Follow-ups: which questions lean on the conversation, what is made of them, and what of a model's words is refused."""

import json
from pathlib import Path

import pytest
from fakes import ScriptedGenerator

from localrag.answer.followups import keeps_meaning, rewritten
from localrag.grounding import prompts
from localrag.question.followups import joined, leans
from localrag.types import Turn

HISTORY = [Turn("When does the lease of Hall 3 end?", "The lease ends on 31 May 2030 [1].")]

LEANING = [
    "And for the second one?",
    "What about Hall 4?",
    "How much is its deposit?",
    "Who else attended the meeting in March?",
    "How are these invoices approved by the department?",
    "Can the landlord end it early?",
    "What is the notice period?",
]

STANDING = [
    "When does the lease of Hall 3 end?",
    "Is there a penalty for late payment in the agreement with Quillfen?",
    "What is the notice period that the Trust must give to Quillfen?",
    "May one month's notice be given by either party to the lease?",
    '"force majeure"',
    "What does one of the trustees say about the budget for 2026?",
    "If an employee leaves, what must they return on the last day?",
    "Wie lange ist die Kündigungsfrist im Mietvertrag?",
    "¿Cuándo termina el contrato de arrendamiento?",
    "May a tenant that moves out early sublet the rooms that it leaves to those with a lease of their own?",
    *(json.loads(line)["question"] for line in Path("examples/qa.jsonl").read_text(encoding="utf-8").splitlines()),
]


@pytest.mark.parametrize("question", LEANING)
def test_a_question_that_says_less_than_it_asks_leans_on_the_conversation(question):
    assert leans(question, HISTORY)


@pytest.mark.parametrize("question", STANDING)
def test_a_question_that_stands_alone_is_not_touched(question):
    assert not leans(question, HISTORY)


@pytest.mark.parametrize("question", LEANING[:5])
def test_the_first_question_has_nothing_to_lean_on(question):
    assert not leans(question, [])


def test_questions_are_joined_back_to_one_that_stands_alone():
    history = [*HISTORY, Turn("And the deposit?", "EUR 4,000."), Turn("Why?", "It was agreed.")]
    whole = "When does the lease of Hall 3 end? And the deposit? Why? And for Hall 4?"
    assert joined("And for Hall 4?", history) == whole
    assert joined("And the rent?", HISTORY) == "When does the lease of Hall 3 end? And the rent?"
    assert joined("Why?", HISTORY * 9) == "When does the lease of Hall 3 end? Why?"
    assert len(joined("Why?", [Turn("Why?", "So.")] * 9).split()) <= 4


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("When does the lease of Hall 4 end?", "And for Hall 4?"),
        ("What is the deposit of Hall 3?", "How much is its deposit?"),
        ("Why does the lease of Hall 3 end on 31 May 2030?", "Why?"),
    ],
)
def test_a_rewritten_question_that_keeps_what_was_asked_is_taken(text, question):
    assert keeps_meaning(text, question, HISTORY)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("", "Why?"),
        ("It ends on 31 May 2030.", "And its end?"),  # an answer
        ("The deposit is EUR 4,000?", "And its deposit?"),  # a number from nowhere
        ("What deposit did Mr Smith pay for Hall 3?", "And its deposit?"),  # a name from nowhere
        ("When does the lease of Hall 3 end?", "And its deposit?"),  # the earlier question again
        ("When does the lease of Hall 3 end?", "In the contract with the caretaker?"),
    ],
)
def test_a_rewritten_question_that_lost_or_made_up_something_is_refused(text, question):
    assert not keeps_meaning(text, question, HISTORY)


def completed(reply, question="And for Hall 4?", **more):
    model = ScriptedGenerator(script=[("Follow-up", reply)], **more)  # type: ignore[arg-type]
    return rewritten(question, HISTORY, model, stop=lambda: False)[0]


def test_only_the_first_line_of_the_models_words_is_taken():
    assert completed("When does the lease of Hall 4 end?\n It ends in May. " + "word " * 40) == (
        "When does the lease of Hall 4 end?"
    )


def test_what_is_cut_off_or_does_not_hold_is_not_taken():
    assert completed("When does the lease of Hall 4 end " + "and so on " * 40) == ""
    assert completed("When does the lease of Hall 4 end " + "and " * 39 + "when? And why?") == ""
    assert completed("When does the lease of Hall 4 end " + "and " * 38 + "when?").endswith("and when?")
    assert completed("It ends in May.") == ""
    assert completed("When does the lease of Hall 4 end?", window=100) == ""
    assert completed("When does it end? " * 40, question="And for Hall 4? " * 30) == ""


def test_stopping_ends_the_rewriting():
    model = ScriptedGenerator(script=[("", "When does the lease of Hall 4 end?")])
    assert rewritten("And for Hall 4?", HISTORY, model, stop=lambda: True)[0] == ""


def test_the_prompt_shows_the_last_two_turns_shortened():
    count = ScriptedGenerator().count
    history = [Turn("Oldest?", "Gone."), Turn("older " * 300, "answer " * 300), Turn("Newest?", "Yes.")]
    last = prompts.followup_prompt("And for Hall 4?", history, count)[-1].text
    assert last.endswith("Question: Newest?\nAnswer: Yes.\nFollow-up: And for Hall 4?") and "Oldest" not in last
    assert 40 < count(last) <= 110
