"""Statements about duties and permissions, confirmed or denied by clauses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from asking import Shelf, ask, verified
from fakes import HashingEmbedder

from localrag.answer import statements
from localrag.answer.assistant import Assistant
from localrag.answer.statements import Reader, Verdict
from localrag.types import Passage

FIT = (0.7, 8.0, 0.45, 0.8)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "_FIT", {"hashing": FIT})


def verdict(question: str, *clauses: str) -> Verdict | None:
    asked = statements.statement(question)
    assert asked is not None
    text = "\n\n".join(clauses)
    passage = Passage("x", "lease.txt", 1, None, (), text, 0, len(text), 1.0)
    return Reader(HashingEmbedder()).verdict(asked, [passage])


@pytest.mark.parametrize(
    "question",
    [
        "May the tenant sublet the flat?",
        "Is the tenant allowed to keep pets?",
        "Does the tenant have to insure the flat?",
        "Does this agreement say that the tenant shall insure the flat?",
        "Does the lease say the following: Tenant may sublet what was rented.",
    ],
)
def test_questions_of_duty_and_permission_are_statements(question: str) -> None:
    assert statements.statement(question) is not None


@pytest.mark.parametrize(
    "question",
    [
        "When may the tenant sublet?",
        "May the tenant sublet, and what does it cost?",
        "Must the landlord or the tenant insure the flat?",
        "Can you summarise the lease?",
        "Is there a pool?",
        "May the tenant sublet",
    ],
)
def test_other_questions_are_none(question: str) -> None:
    assert statements.statement(question) is None


SUBLET = "The tenant shall not sublet the flat without the written consent of the landlord."
ONLY = "Tenant and landlord may terminate the lease by written notice."


@pytest.mark.parametrize(
    ("question", "clause", "yes"),
    [
        ("May the tenant keep pets in the flat?", "The tenant may keep pets in the flat.", True),
        ("May the tenant keep pets in the flat?", "The tenant shall not keep pets in the flat.", False),
        ("May the tenant keep pets in the flat?", "In no event may the tenant keep pets in the flat.", False),
        ("May pets be kept in the flat?", "Neither pets nor birds may be kept in the flat.", False),
        ("Must the tenant insure the flat?", "The tenant is under no obligation to insure the flat.", False),
        ("Must the tenant insure the flat?", "The tenant shall, without limitation, insure the flat.", True),
        ("May the tenant sublet the flat?", SUBLET, False),
        ("May the tenant sublet without the written consent?", SUBLET, False),
        ("May the tenant sublet with written consent of the landlord?", SUBLET, True),
        ("Does the lease say that tenant shall not sublet the flat?", SUBLET, True),
        ("Does the lease say that tenant shall not keep pets?", "The tenant may keep pets in the flat.", False),
        ("Does the lease say that only tenant may terminate the lease?", ONLY, False),
        ("Does the lease say that tenant may terminate the lease?", ONLY, True),
    ],
)
def test_a_clause_confirms_or_denies(question: str, clause: str, yes: bool) -> None:
    found = verdict(question, "The rent is due on the third day.", clause, "The keys are with the porter.")
    assert found is not None and found.passage.text[found.start : found.end] == clause
    assert found.yes is yes


def test_an_item_is_denied_by_the_head_of_its_list() -> None:
    found = verdict("May the tenant keep pets indoors?", "The tenant shall not:", "(a) keep any pets indoors, ever;")
    assert found is not None and not found.yes


def test_what_no_clause_mentions_is_unlikely() -> None:
    there = verdict("May the tenant keep pets?", "The tenant may keep pets.")
    absent = verdict("May the tenant keep pets?", "The rent is due on the third day.")
    assert there is not None and absent is not None
    assert absent.likelihood < 0.5 < there.likelihood
    assert there.clear and not absent.clear


def test_a_clause_that_lacks_the_point_is_not_clear() -> None:
    found = verdict("May the lease be amended orally?", "The lease may only be amended by a signed writing.")
    assert found is not None and not found.clear


def test_clauses_that_disagree_are_not_clear() -> None:
    found = verdict(
        "May the tenant keep pets in the flat?",
        "The tenant may keep pets in the flat.",
        "The tenant may not keep pets in the flat.",
    )
    assert found is not None and not found.clear


def test_an_embedder_that_was_not_measured_decides_nothing() -> None:
    embedder = HashingEmbedder()
    embedder._identity = replace(embedder.identity, model="other")
    passage = Passage("x", "lease.txt", 1, None, (), SUBLET, 0, len(SUBLET), 1.0)
    asked = statements.statement("May the tenant sublet the flat?")
    assert asked is not None and Reader(embedder).verdict(asked, [passage]) is None


def test_no_is_answered_with_the_clause_and_without_the_model(assistant: Assistant, models: Any, shelf: Shelf) -> None:
    library = shelf("flat", {"lease.txt": f"The rent is due on the third day.\n\n{SUBLET}"})
    _, answer = ask(assistant, "May the tenant sublet the flat?", "flat")
    assert answer.found and answer.answer.startswith("No: ")
    assert [citation.quote for citation in answer.citations] == [SUBLET]
    verified(answer, library)
    assert not models.generator.prompts


def test_clauses_of_several_documents_go_to_the_model(assistant: Assistant, models: Any, shelf: Shelf) -> None:
    shelf("flats", {"hall.txt": "The tenant may keep pets.", "mill.txt": "The tenant may keep pets."})
    ask(assistant, "May the tenant keep pets?", "flats")
    assert models.generator.prompts


def test_a_question_in_doubt_goes_to_the_model(assistant: Assistant, models: Any, shelf: Shelf) -> None:
    shelf("flat", {"lease.txt": "The rent is due on the third day. The keys are with the porter."})
    ask(assistant, "May the tenant keep pets in the flat?", "flat")
    assert models.generator.prompts


def test_a_statement_put_word_by_word_may_not_be_mentioned(assistant: Assistant, models: Any, shelf: Shelf) -> None:
    shelf("flat", {"lease.txt": "The rent is due on the third day. The keys are with the porter."})
    _, answer = ask(assistant, "Does the lease say that tenant may keep pets?", "flat")
    assert not answer.found and not models.generator.prompts
