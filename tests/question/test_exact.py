"""Code takes the questions that plainly ask for it, and leaves all others to the model."""

from __future__ import annotations

import pytest
from waiting import cheap

from localrag.question.exact import CommentSearch, DocumentList, Task, TermSearch, parse

TASKS: dict[str, Task] = {
    'How many times does "force majeure" occur?': TermSearch("force majeure"),
    'How often is the word "notice" used in the contracts?': TermSearch("notice"),
    "How many times does 'the landlord’s intent' appear in lease.pdf?": TermSearch(
        "the landlord’s intent", "count", "lease.pdf"
    ),
    'How many times does the Orlo lease say "notice"?': TermSearch("notice", "count", "Orlo lease"),
    "Please count “notice”": TermSearch("notice"),
    'Wie oft kommt "Frist" im Mietvertrag vor?': TermSearch("Frist", "count", "Mietvertrag"),
    'Find "force majeure"': TermSearch("force majeure", "find"),
    'find every mention of "DE44 5001 0517" in the letters': TermSearch("DE44 5001 0517", "find"),
    'Where does the phrase "best efforts" appear?': TermSearch("best efforts", "find"),
    'On which pages is "notice" mentioned?': TermSearch("notice", "find"),
    "Suche nach „höhere Gewalt“": TermSearch("höhere Gewalt", "find"),
    'Which documents contain "arbitration"?': TermSearch("arbitration", "documents"),
    'List all contracts that mention "Delaware"': TermSearch("Delaware", "documents"),
    'In which documents does "Hesprin" appear?': TermSearch("Hesprin", "documents"),
    "Welche Dokumente enthalten „Kündigung“?": TermSearch("Kündigung", "documents"),
    'Which contracts do not mention "insurance"?': TermSearch("insurance", "without"),
    "How many documents are there?": DocumentList("count"),
    "How many PDFs do we have from 2023?": DocumentList("count", "pdfs", ("pdf",), since="2023", until="2023"),
    "list the documents": DocumentList("list"),
    "List the documents by date": DocumentList("list", order="date", descending=True),
    "show all PDFs by size, smallest first": DocumentList("list", "pdfs", ("pdf",), "size"),
    "list the files by type": DocumentList("list", "files", order="type"),
    "List the contracts between March 2020 and 2022": DocumentList("list", "contracts", since="2020-03", until="2022"),
    "show the emails since 1 May 2024": DocumentList("list", "emails", ("mail",), since="2024-05-01"),
    "the 3 newest documents": DocumentList("list", order="date", descending=True, limit=3),
    "Which is the largest file in the library?": DocumentList("list", "file", (), "size", True, 1),
    "What did the other side comment on clause 9?": CommentSearch("9", side=True),
    "List the comments by Jane Doe in msa.docx": CommentSearch(by="Jane Doe", within="msa.docx"),
    "Who commented on clause 7.2?": CommentSearch("7.2"),
    "What did they comment on clause 9.2 of the lease?": CommentSearch("9.2", within="lease"),
}


@pytest.mark.parametrize("question", TASKS)
def test_an_explicit_question_for_code_is_understood(question):
    assert parse(question) == TASKS[question]


@pytest.mark.parametrize(
    "question",
    [
        "Which documents mention Delaware?",
        "How many times is Delaware mentioned?",
        "How often does fever occur?",
        "Find the rent",
        "Where is INV-2024-0117?",
        'What does "Affiliate" mean?',
        'Where is "Effective Date" defined?',
        'How many times was "The Simpsons" cited in 2019 and by whom?',
        "How many contracts renew automatically?",
        "How many contracts were signed in the last quarter?",
        "What is the oldest agreement about?",
        "List the parties to the contract",
        "List all invoices over 5,000",
        "What did the CEO comment on the results?",
        "How should I comment on the draft?",
        "List the documents from the other day",
        "contracts",
        "",
    ],
)
def test_any_other_question_is_left_to_the_model(question):
    assert parse(question) is None


def test_a_document_that_narrows_the_question_may_stand_beside_it():
    assert parse('a.pdf: how many times does "x" occur?', ["a.pdf"]) == TermSearch("x")
    assert parse('How many times does "x" occur? “a.pdf”', ["a.pdf"]) == TermSearch("x")


@pytest.mark.parametrize(
    "text",
    ["how many times does " * 29, 'find "' * 99, "'" * 600, "list the documents from " * 25, "find " + "A1-" * 190],
)
def test_no_question_takes_long_to_understand(text):
    with cheap(10):  # a runaway pattern takes hours
        parse(text)
        parse(text + '?"')
