"""Questions for a kind of clause: which are recognised, and what the classifier says of the document."""

import pytest
from asking import FILLER, LEASE, ask

from localrag import embeddings
from localrag.answer.answering import answerability
from localrag.errors import ModelMissing
from localrag.items.clause_questions import ClauseQuestions
from localrag.search.retrieval import Searcher

LAW = "12. Governing Law. This Agreement shall be governed by and construed in accordance with the laws of Ohio."
CONTRACT = f"SUPPLY AGREEMENT\n\n{FILLER}\n\n{LAW}\n"
# As the texts of these kinds have it, since the embedder of the tests knows words only.
ASKS_LAW = "Which state's or country's law governs this contract?"
ASKS_COPIES = "May the receiving party copy confidential information?"


@pytest.fixture
def contracts(shelf):
    return shelf("contracts", {"supply.txt": CONTRACT, "lease.txt": LEASE})


@pytest.fixture
def questions(models, contracts, settings):
    return ClauseQuestions(Searcher(settings))


def test_a_question_for_a_kind_of_clause_is_recognised(questions, contracts):
    for question, kind in ((ASKS_LAW, "governing-law"), (ASKS_COPIES, "copies")):
        item = questions.item(question, contracts)
        assert item is not None and item.clause == kind
    for question in ("What colour is the kennel?", "How many plans cover dental care?", "?"):
        assert questions.item(question, contracts) is None


def test_the_odds_tell_a_contract_with_the_clause_from_one_without(questions, contracts):
    supply, lease = ((contracts, contracts.document(name)) for name in ("supply.txt", "lease.txt"))
    has, lacks = questions.odds(ASKS_LAW, supply), questions.odds(ASKS_LAW, lease)
    assert has is not None and lacks is not None and has > 0 > lacks
    assert questions.odds("What colour is the kennel?", supply) is None


def test_a_clause_that_the_document_lacks_is_not_answered(assistant, models, contracts):
    models.generator.script = [("", "It is governed by the laws of Ohio.")]
    _, there = ask(assistant, ASKS_LAW, "contracts", mode="retrieve", documents=["supply.txt"])
    assert there.found and there.plan.signals["clause"] > 0
    _, absent = ask(assistant, ASKS_COPIES, "contracts", mode="retrieve", documents=["supply.txt"])
    assert not absent.found and absent.plan.signals["clause"] < 0


def test_the_odds_of_the_clause_count_alone():
    assert answerability(0.1, 0.7, 0.0, 3.0) > 0.9 > 0.1 > answerability(0.9, 0.7, 0.4, -6.0)


def test_a_document_that_is_read_whole_is_answered_without_an_embedder(assistant, models, contracts, monkeypatch):
    def missing(*args):
        raise ModelMissing("the embedder is not installed")

    monkeypatch.setattr(embeddings, "load_embedder", missing)
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease end?", "contracts", documents=["lease.txt"])
    assert answer.found and "clause" not in answer.plan.signals
