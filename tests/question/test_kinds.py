"""What kind a question is of, and what kind of value it asks for; the weights are measured in benchmarks."""

import pytest

from localrag.question.kinds import KINDS, VALUES, features, tell
from localrag.question.question import Question

OF_KIND = {
    "Which contracts renew automatically?": "each",
    "What is the governing law of each contract?": "each",
    "List all contracts that expire in 2025.": "each",
    "Make a table of parties, dates and amounts.": "each",
    "For every euro of equity, how much long-term debt was there?": "calculation",
    "tl;dr": "summary",
    "Résume ce document": "summary",
    "Welche Verträge enthalten eine Vertragsstrafe?": "each",
    "Summarise the contract.": "summary",
    "Summarise this document": "summary",
    "What is this document about?": "summary",
    "hall 3 lease summary": "summary",
    "Compare the two leases.": "compare",
    "What has changed since the 2022 policy?": "compare",
    "What is missing from the agreement?": "whole",
    "Review this lease.": "whole",
    "Does the lease allow dogs?": "existence",
    "Is there a non-compete clause?": "existence",
    "When does the lease end?": "look-up",
    "Which law governs this contract?": "look-up",
    "By how much did sales grow from 2018 to 2019?": "calculation",
    "Which services are covered?": "list",
}


@pytest.mark.parametrize("question", OF_KIND)
def test_the_kind_of_a_question(question):
    asked = Question(question)
    assert asked.kind == OF_KIND[question]
    assert asked.about_whole == (asked.kind in ("summary", "compare", "whole"))
    assert asked.needs_reasoning == (asked.kind == "calculation")


@pytest.mark.parametrize(
    ("question", "explained"),
    [
        ("How does the review process work?", True),
        ("Why was the claim refused?", True),
        ("What does balance billing mean?", True),
        ("What is the rent?", False),
        ("How long is the notice period?", False),
        ("Which court has jurisdiction?", False),
    ],
)
def test_an_explanation_is_told_from_one_fact(question, explained):
    assert (Question(question).value == "explanation") is explained


def test_the_model_is_asked_where_every_document_may_be_meant():
    assert not Question("What fees are named in the contracts?").sure
    assert Question("What fees are named in the contract?").sure
    assert Question("Which contracts renew automatically?").sure


@pytest.mark.parametrize("question", ["", "?", "(", "x " * 9000, "Frage\x00" * 99])
def test_any_text_has_a_kind(question):
    kinds, values = tell(question)
    assert tuple(kinds) == KINDS and tuple(values) == VALUES
    assert all(0 <= share <= 1 for share in (*kinds.values(), *values.values()))


def test_names_years_and_nouns_for_documents_count_as_such():
    assert features("Does Orlo's lease of 2019 end?") == features("Does Tess's contract of 2021 end?")
