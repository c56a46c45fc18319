"""Questions for a kind of clause: which are recognised, and what the classifier says of the document."""

import pytest
from asking import FILLER, LEASE, ask

from localrag import embeddings
from localrag.answer.answering import answerability
from localrag.errors import ModelMissing
from localrag.items import playbook
from localrag.items.clause_questions import ClauseQuestions, named
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


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("Does this contract require insurance?", ["insurance"]),
        ("Does this agreement have a limitation of liability clause?", ["cap-on-liability"]),
        ("Does this contract cap the liability?", ["cap-on-liability"]),
        ("Does this contract have an exclusivity provision?", ["exclusivity"]),
        ("Does this contract have a termination for convenience clause?", ["termination-for-convenience"]),
        ("Does this contract forbid assignment?", ["anti-assignment"]),
        ("Can this contract be assigned?", []),
        ("Does this contract allow assignment?", []),
        ("Does this contract require insurance of 1,000,000 dollars?", []),
        ("Does this contract require insurance by Zurich?", []),
        ("Does this contract exclude insurance?", []),
        ("Does this contract let only the buyer terminate for convenience?", []),
        ("Does this contract renew automatically?", []),
    ],
)
def test_a_clause_is_asked_for_by_its_name_without_a_word_more(question, kinds):
    assert [item.id for item in playbook.load("cuad").items if named(question, item.asked)] == kinds


def test_the_kind_that_a_question_names_goes_before_one_that_is_near(questions, contracts):
    item = questions.item("Does this contract have a limitation of liability?", contracts)
    assert item is not None and item.clause == "cap-on-liability"


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
