"""Questions that ask several things: what counts as one, and how their answers are put together; with fakes."""

from __future__ import annotations

import pytest
from asking import DOGS, FILLER, LEASE, ask, verified

from localrag.events import Answered, Delta, Event, Found, Planned
from localrag.question.question import Question

BOTH = "When does the lease of Hall 3 end, and when is the kennel open?"
ENDS, OPEN = "The lease of Hall 3 ends on 31 May 2030.", "The kennel is open from 9 to 5."


@pytest.fixture
def large(shelf):
    return shelf("large", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS, "filler.txt": FILLER})


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is the rent and what is the deposit?", ("What is the rent?", "What is the deposit?")),
        ("When does it end? And what is the rent?", ("When does it end?", "What is the rent?")),
        ("Is the fee refundable, and how much is it?", ("Is the fee refundable?", "How much is it?")),
        (
            "Under the lease, who repairs the roof and when must it be done?",
            ("Under the lease, who repairs the roof?", "When must it be done?"),
        ),
    ],
)
def test_a_question_is_taken_apart_where_each_part_asks_by_itself(question, parts):
    assert Question(question).parts == parts


@pytest.mark.parametrize(
    "question",
    [
        "How many failed attempts lock an account, and for how long?",
        "What was bought and how much?",
        "Who signed the lease of Hall 3 and of Hall 4?",
        "Which clause says what is due and how long it lasts?",
        "What do the parties owe, and the guarantor?",
        "What happens if the tenant and the guarantor die?",
        "Compare the rent and what is paid for heating.",
        "When does it end? " * 9,
        "",
    ],
)
def test_what_is_one_question_stays_one(question):
    assert Question(question).parts == ()


def test_each_part_is_looked_up_answered_and_cited_by_itself(assistant, models, large):
    models.generator.script = [("Question: When does", ENDS), ("Question: When is the kennel", OPEN)]
    events, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert answer.found and answer.answer == (
        "1. The lease of Hall 3 ends on 31 May 2030 [1].\n\n2. The kennel is open from 9 to 5 [2]."
    )
    assert answer.looked_at.startswith("Part 1: ") and "Part 2: " in answer.looked_at
    assert [citation.document for citation in answer.citations] == ["leases/hall 3.txt", "dogs.pdf"]
    assert answer.question == BOTH and answer.plan.signals["parts"] == 2
    assert sum(isinstance(event, Found) for event in events) == 2
    assert len(answer.passages) == len({(p.document, p.page, p.start) for p in answer.passages})
    verified(answer, large)


def test_the_second_part_is_looked_up_with_the_words_of_the_first(assistant, models, large):
    models.generator.script = [("Question: When does", ENDS), ("", "It is EUR 48,000.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end and when is it paid?", "large", mode="retrieve")
    told = models.generator.written[-1]
    assert [message.text.strip() for message in told[1:3]] == ["When does the lease of Hall 3 end?", ENDS]
    assert "48,000" in told[1].whole and "48,000" in answer.answer


def test_a_part_that_is_not_in_the_documents_is_said_beside_one_that_is(assistant, models, large):
    models.generator.script = [("", ENDS)]
    models.generator.weights = [("When is the kennel", "no"), ("", "yes")]
    _, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert answer.found and answer.answer.endswith("\n\n2. The documents do not say.")
    models.generator.weights = [("", "no")]
    _, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert not answer.found and answer.answer == "The documents do not say." and not answer.citations


def test_a_source_of_both_parts_has_one_number(assistant, models, large):
    models.generator.script = [("", ENDS)]
    _, answer = ask(assistant, "When does the lease of Hall 3 end and what ends on 31 May 2030?", "large")
    assert answer.answer.count("[1]") == 2 and len(answer.citations) == 1


def test_stopped_between_the_parts_what_was_answered_stays(assistant, models, large):
    models.generator.script = [("", ENDS)]
    searched: list[Event] = []
    events = assistant.ask(BOTH, libraries=["large"], mode="retrieve", stop=lambda: len(searched) > 1)
    searched.extend(event for event in events if isinstance(event, (Found, Answered)))
    answer = next(event.answer for event in searched if isinstance(event, Answered))
    assert answer.found and answer.stopped
    assert answer.answer == f"1. {ENDS[:-1]} [1].\n\n2. Stopped before anything was answered."


def test_parts_are_numbered_while_they_are_written(assistant, models, large):
    models.generator.script = [("Question: When does", ENDS), ("", OPEN)]
    events, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert "".join(event.text for event in events if isinstance(event, Delta)) == f"1. {ENDS}\n\n2. {OPEN}"
    assert "2 things" in [event.plan.reason for event in events if isinstance(event, Planned)][-1]
    assert answer.seconds.first_token is not None and answer.seconds.first_token <= answer.seconds.total


def test_an_earlier_part_that_was_not_found_is_not_shown_to_the_model(assistant, models, large):
    models.generator.weights = [("Question: When does", "no"), ("", "yes")]
    models.generator.script = [("", OPEN)]
    _, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert answer.answer.startswith("1. The documents do not say.\n\n2. The kennel is open")
    assert [message.role for message in models.generator.written[-1]] == ["system", "user"]


def test_stopping_before_the_first_part_is_not_not_found(assistant, models, large):
    events = list(assistant.ask(BOTH, libraries=["large"], mode="retrieve", stop=lambda: True))
    answer = next(event.answer for event in events if isinstance(event, Answered))
    assert not answer.found and answer.stopped and answer.answer == "Stopped before anything was answered."


def test_what_was_withheld_of_a_part_is_told_beside_the_other(assistant, models, large):
    models.generator.script = [("Question: When does", ENDS), ("", "Membership: EUR 9,731.")]
    _, answer = ask(assistant, BOTH, "large", mode="retrieve")
    assert answer.found and answer.answer.endswith("2. The documents do not say.")
    assert "9,731" in "".join(answer.unsupported) and "9,731" in {flag.text.rpartition(" ")[2] for flag in answer.flags}


def test_each_part_is_weighed_by_how_well_its_own_passages_fit(assistant, models, large):
    models.generator.script = [("Question: When does", ENDS), ("", OPEN)]
    _, answer = ask(assistant, BOTH, "large", mode="retrieve")
    best = assistant.search(
        "When does the lease of Hall 3 end? When is the kennel open?", libraries=["large"], join=False
    )[0]
    assert answer.plan.signals["score"] == round(best.score, 4)
