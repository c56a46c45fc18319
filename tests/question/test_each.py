"""From the question of the whole to that of one document: a table of forms, and what must stand in a document."""

import pytest

from localrag.question.each import DocumentQuestion, document_question, nations, required, topic_of

EXISTENCE = [
    ("Which contracts have a non-compete clause?", "Does this contract have a non-compete clause?"),
    ("Which contracts renew automatically?", "Does this contract renew automatically?"),
    ("Which of these agreements were signed in 2019?", "Was this agreement signed in 2019?"),
    ("Which agreements are governed by the law of Delaware?", "Is this agreement governed by the law of Delaware?"),
    ("Show me all letters from Jane Doe.", "Is this letter from Jane Doe?"),
    ("Are there any leases that allow pets?", "Does this lease allow pets?"),
    ("In which contracts is there a penalty?", "Is there a penalty in this contract?"),
    ("Could you tell me which NDAs cover affiliates?", "Does this NDA cover affiliates?"),
    ("Which contracts expiring soon?", "Does this contract expire soon?"),
    ("Which contracts obtained consent?", "Is this one of the contracts that obtained consent?"),
]
VALUE = [
    ("What is the governing law of each contract?", "What is the governing law of this contract?"),
    ("What does each lease say about pets?", "What does this lease say about pets?"),
    ("For each contract, what is the notice period?", "What is the notice period in this contract?"),
]
ORDERED = [
    ("Which contract has the longest notice period?", "What is the notice period of this contract?", "greatest"),
    ("Which lease sets the lowest rent?", "What is the rent of this lease?", "least"),
    ("Which contract expires first?", "When does this contract expire?", "least"),
    ("Which contract runs the longest?", "How long does this contract run?", "greatest"),
]


@pytest.mark.parametrize(("whole", "one"), EXISTENCE)
def test_a_question_for_those_that_do_becomes_a_question_of_yes_and_no(whole, one):
    asked = document_question(whole)
    assert (asked.kind, asked.text, asked.negated) == ("existence", one, False)


@pytest.mark.parametrize(("whole", "one"), VALUE)
def test_a_question_of_each_becomes_a_question_of_this_one(whole, one):
    asked = document_question(whole)
    assert (asked.kind, asked.text, asked.order) == ("value", one, "")


@pytest.mark.parametrize(("whole", "one", "order"), ORDERED)
def test_which_comes_first_is_asked_as_a_value_and_sorted_by_code(whole, one, order):
    asked = document_question(whole)
    assert (asked.kind, asked.text, asked.order) == ("value", one, order)


def test_how_many_counts():
    asked = document_question("How many of the leases allow subletting?")
    assert asked == DocumentQuestion("existence", "Does this lease allow subletting?", "lease")


@pytest.mark.parametrize(
    ("whole", "one"),
    [
        ("Which leases do not allow pets?", "Does this lease allow pets?"),
        ("Which contracts have no termination clause?", "Does this contract have a termination clause?"),
    ],
)
def test_a_negated_question_is_asked_positively(whole, one):
    asked = document_question(whole)
    assert (asked.text, asked.negated) == (one, True)


@pytest.mark.parametrize(
    ("whole", "one", "limit"),
    [
        ("Which contracts have a rent of more than $60?", "What is the rent of this contract?", "more than $60"),
        ("List all invoices over 500 euros.", "What is the total amount of this invoice?", "over 500 euros"),
        ("Which agreements were signed after May 2020?", "When was this agreement signed?", "after May 2020"),
    ],
)
def test_limits_are_taken_out_of_the_question_for_code_to_compare(whole, one, limit):
    asked = document_question(whole)
    assert (asked.kind, asked.text, asked.limit) == ("value", one, limit)
    assert document_question("Which contracts have at least two parties?").limit == ""


def test_several_fields_make_a_table():
    asked = document_question("List the parties, effective date and term of every contract.")
    assert (asked.kind, asked.columns, asked.noun) == ("fields", ("parties", "effective date", "term"), "contract")
    asked = document_question("Make a table of parties, dates and amounts")
    assert (asked.kind, asked.columns, asked.noun) == ("fields", ("parties", "dates", "amounts"), "document")


def test_summaries_are_told_apart_by_whether_each_is_wanted():
    every = document_question("Summarise every chapter")
    assert (every.kind, every.each) == ("summary", True)
    assert not document_question("Please summarize this contract.").each
    assert not document_question("Give me a short summary of this folder").each


def test_a_question_of_another_form_is_put_as_it_is():
    for question in ("Welche Verträge enden 2024?", "Compare the notice periods of the contracts", "Pets?"):
        asked = document_question(question)
        assert (asked.kind, asked.text) == ("open", question)


def test_names_years_and_quoted_words_must_stand_there():
    assert required('Which contracts mention "force majeure"?') == ("force majeure",)
    assert required("Which contracts were signed by Tess Orlo in 2019?") == ("Tess Orlo", "2019")
    assert required("Which agreements are governed by the law of New York?") == ("New York",)
    assert required("Which Northwind policies cover dental care?") == ("Northwind",)
    assert required("Which invoices bill 12,500 euros?") == ("12,500",)


def test_what_a_document_may_write_otherwise_is_not_required():
    for question in (
        "Which contracts are governed by German law?",  # the laws of Germany
        "Which contracts follow the GDPR?",  # General Data Protection Regulation
        "Which contracts have a notice period of 30 days?",  # one month
        "Which letters were sent in May?",
        "Which Contracts Have A Non-Compete Clause?",
    ):
        assert required(question) == (), question


def test_words_to_look_up_leave_out_the_frame():
    assert topic_of("Does this contract have a non-compete clause?") == "non-compete clause"
    assert topic_of("What is the governing law of this contract?") == "governing law of this contract"


def test_a_nation_may_stand_by_its_adjective_or_its_name():
    assert nations("Which contracts are under English law or Dutch courts?") == (
        ("English", "England"),
        ("Dutch", "Netherlands", "Holland"),
    )
    assert nations("Which contracts are in English?") == ()
