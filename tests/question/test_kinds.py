"""What kind a question is of: a table, and what it must not be taken in by."""

from __future__ import annotations

import pytest

from localrag.question.question import Question

KINDS = {
    "each": """
        Which contracts renew automatically?
        Which of the contracts have a non-compete?
        In which agreements is there a cap on liability?
        Which of our cases were settled?
        Which of these leases ends first?
        Which lease has the highest rent?
        How many of these agreements have a cap?
        How many contracts are governed by the law of Delaware?
        How many supply agreements allow assignment?
        What is the governing law of each contract?
        What does each lease say about pets?
        What is the notice period in every license agreement?
        List all contracts that expire in 2025.
        List the invoices over 500 euros.
        Find every lease with a break clause.
        Show me all NDAs without a term.
        Do all of the leases allow subletting?
        Do any of our contracts mention arbitration?
        Summarise every chapter.
        Summarize each document in one sentence.
        Make a table of parties, dates and amounts.
        Table of all governing laws
        What are the payment terms across all the invoices?
        Give me the termination notice per contract.
        Welche Verträge enthalten eine Vertragsstrafe?""",
    "summary": """
        Summarise the contract.
        Summarize this.
        Please summarise the Orlo lease in three sentences.
        Can you summarize it?
        Give me an overview of the handbook.
        I need a short summary of the report.
        What is this document about?
        What are the key points of the agreement?
        What are the main terms of this lease?
        TL;DR of the policy?
        Fasse den Vertrag zusammen.""",
    "compare": """
        Compare the two leases.
        Please compare the old and the new policy.
        What is the difference between the two agreements?
        What are the differences between the Standard and the Plus plan?
        What changed in the new version?
        What has changed since the 2022 policy?
        What are the changes between the drafts?
        How do the leases differ?""",
    "whole": """
        What is missing from the agreement?
        Is anything unusual in this contract?
        What are the risks in this agreement?
        List all deadlines.
        Summarize the risk factors to the business.
        Review this lease.""",
    "existence": """
        Is there a non-compete clause?
        Does the lease allow dogs?
        Has the fee been changed?
        Can either party assign the contract?
        Is the report audited?""",
    "look-up": """
        When does the lease end?
        What is the notice period?
        Who signed the contract?
        What charges does the table summarize for the program?
        What did the studies reveal about transmission?
        How many reports did the committee publish?
        How many employees are there?
        Which party pays the costs?
        Which section of the law applies?
        What does the summary compensation table show for 2018?
        Welche beiden Verträge schufen die Union?
        Wie viele Mitglieder hat der Rat?""",
}


@pytest.mark.parametrize(
    ("question", "kind"), [(line.strip(), kind) for kind, lines in KINDS.items() for line in lines.strip().splitlines()]
)
def test_the_kind_of_a_question(question: str, kind: str) -> None:
    assert Question(question).kind == kind


WORKED_OUT = [
    "What is the difference between the rent of 2018 and of 2019?",
    "By how much did sales grow from 2018 to 2019?",
    "How many more halls are let than in 2020?",
    "What is the average of the three fees?",
    "Compare the two leases.",
    "Wie hoch ist die Miete insgesamt?",
]
LOOKED_UP = [
    "When does the lease end?",
    "Who signed the lease?",
    "What is the yearly rent?",
    "How many halls are there?",
    "Which court has jurisdiction?",
    "Is subletting allowed?",
    "What does the tenant pay in addition?",
]


@pytest.mark.parametrize("question", WORKED_OUT)
def test_what_has_to_be_worked_out_is_worth_reasoning(question: str) -> None:
    assert Question(question).needs_reasoning


@pytest.mark.parametrize("question", LOOKED_UP)
def test_what_is_only_looked_up_is_not(question: str) -> None:
    assert not Question(question).needs_reasoning


EXPLAINED = [
    "What are the treatments for Krabbe disease?",
    "How does the review process work?",
    "Why was the claim refused?",
    "What is prior authorization?",
    "Can you explain the eligibility criteria?",
    "What happens if the tenant dies?",
    "What is the process for filing a claim?",
    "What does balance billing mean?",
    "How to prevent gout?",
    "What should I do after an accident?",
    "What types of therapy are covered?",
    "Who is at risk for gout?",
]


@pytest.mark.parametrize("question", EXPLAINED)
def test_what_is_to_be_explained_is_told_in_full(question: str) -> None:
    assert Question(question).value == "explanation"


@pytest.mark.parametrize(
    "question",
    [
        *LOOKED_UP,
        "What is the rent?",
        "How much is the fee?",
        "How long is the notice period?",
        "What is our discount?",
        "What were the revenues in 2019?",
        "What are the deductible amounts?",
        "What is the share of costs in 2020?",
    ],
)
def test_one_fact_is_told_in_a_sentence(question: str) -> None:
    assert Question(question).value != "explanation"
