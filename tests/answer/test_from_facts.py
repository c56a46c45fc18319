"""Questions that facts answer: without a search, without a model, and only where both are beyond doubt."""

from __future__ import annotations

from datetime import date

import pytest
from asking import ask, verified

from localrag import api
from localrag.answer import from_facts, overview
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.events import ReviewEnded
from localrag.grounding.stages import Query
from localrag.items import fact_questions, facts, playbook
from localrag.question.question import Question
from localrag.search import retrieval
from localrag.types import Filter

LEASE = """LEASE AGREEMENT

This Lease Agreement is made on 22 March 2021 by and between Pellar Estates Ltd (the "Landlord") and Tarrow Trust (the
"Tenant"). Landlord shall let. Tenant shall pay.

1. This Lease shall commence on 1 April 2021 and shall continue for a term of ten (10) years.
2. Invoices shall be paid by the Tenant within forty-five (45) days after receipt of the invoice.
3. This Lease is governed by the laws of the State of Ohio.
"""
SUPPLY = """SUPPLY AGREEMENT

This Supply Agreement is made on 5 May 2022 by and between Larkspur Foods Ltd (the "Buyer") and Quill Paper GmbH (the
"Supplier"). Buyer shall buy. Supplier shall deliver.

1. This Agreement shall commence on 1 June 2022 and shall expire on 31 May 2026.
2. This Agreement is governed by the laws of the State of Texas.
"""
AMENDMENT = """AMENDMENT NO. 1 TO THE LEASE AGREEMENT

This Amendment No. 1 is made on 3 June 2023 between Pellar Estates Ltd (the "Landlord") and Tarrow Trust (the "Tenant")
and amends the Lease Agreement dated 22 March 2021.

Section 2 is replaced by the following:

2. Invoices shall be paid by the Tenant within thirty (30) days after receipt of the invoice.
"""


@pytest.fixture
def contracts(settings, models, folder, monkeypatch):
    """A library of two contracts, with its facts, and the encoder that ships."""
    monkeypatch.setattr(retrieval, "SentenceEncoder", SentenceEncoder)
    library = api.open_library("contracts", create=True)
    library.ingest(folder({"lease.txt": LEASE, "supply.txt": SUPPLY}))
    models.loaded.clear()
    return library


def asked(settings, question):
    assistant = Assistant(settings)
    try:
        answer = ask(assistant, question, "contracts")[1]
        verified(answer, assistant.library("contracts"))
        return answer
    finally:
        assistant.close()


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("When does the supply agreement end?", "31 May 2026"),
        ("When was the lease signed?", "22 March 2021"),
        ("Which law governs the supply agreement?", "Texas"),
        ("What is the term of the lease?", "10 years"),
        ("Who are the parties to the Larkspur agreement?", "Quill Paper"),
        ("Who is the landlord?", "Pellar Estates"),
        ("When does the lease end?", "31 March 2031"),
    ],
)
def test_a_fact_answers_without_a_model(settings, contracts, models, question, value):
    answer = asked(settings, question)
    assert value in answer.answer and answer.citations and answer.certainty == "sure"
    assert answer.plan.signals["fact"] and answer.model is None
    assert models.loaded == []


@pytest.mark.parametrize(
    "question",
    [
        "When does the exclusivity under the supply agreement end?",  # another thing that ends
        "When does the Orlo agreement end?",  # a document that is not there
        "When does the agreement end?",  # either of two
        "Does the lease end in 2031?",
        "Compare the law of the lease with that of the supply agreement.",
        "What happens when the lease ends?",
        "How long may dogs stay in the lease?",
        "When was Amendment No. 2 to the supply agreement signed?",
        "When does the 2019 supply agreement end?",
        "Who did not sign the supply agreement?",
        "How soon must the Tenant pay invoices under the lease?",  # it is known of the document, not of one party
    ],
)
def test_what_facts_do_not_surely_answer_is_read_for(settings, contracts, question):
    assert "fact" not in asked(settings, question).plan.signals


def test_a_party_that_goes_by_its_name_calls_the_document(settings, contracts, folder):
    named = LEASE.replace('(the\n"Tenant")', '("Tarrow")').replace("Tenant", "Tarrow")
    contracts.ingest(folder({"lease.txt": named, "supply.txt": SUPPLY}))
    assert (
        "45 days" in asked(settings, "Within how many days must invoices be paid under the lease with Tarrow?").answer
    )


def test_an_unclear_or_rejected_fact_answers_nothing(settings, contracts):
    contracts.decide("supply.txt", "end", "rejected")
    contracts.close()
    assert "fact" not in asked(settings, "When does the supply agreement end?").plan.signals


def test_a_corrected_fact_answers(settings, contracts):
    contracts.decide("supply.txt", "end", "confirmed", "30 June 2026")
    contracts.close()
    assert "30 June 2026" in asked(settings, "When does the supply agreement end?").answer


def test_the_wording_in_force_answers_and_says_what_it_replaced(settings, contracts, folder):
    contracts.ingest(folder({"lease.txt": LEASE, "supply.txt": SUPPLY, "amendment.txt": AMENDMENT}))
    answer = asked(settings, "Within how many days must invoices be paid under the lease?")
    assert [one.document for one in answer.citations] == ["amendment.txt", "lease.txt"]
    assert answer.answer.index("30 days") < answer.answer.index("45 days")


def test_each_document_is_asked_by_its_facts_first(settings, contracts, models):
    answer = asked(settings, "Which agreements end in 2026?")
    assert {row["document"]: row["found"] for row in answer.table} == {"supply.txt": True, "lease.txt": False}
    assert answer.model is None


def of_each(library, question):
    held = library._storage()
    asked = [(held, one) for one in held.documents()]
    found = from_facts.findings(Query(Question(question), [held], Filter(), asked), SentenceEncoder())
    return {one.path: found["contracts", one.id].way for _, one in asked if ("contracts", one.id) in found}


@pytest.mark.parametrize(
    ("question", "ways"),
    [
        ("Which contracts end in 2026?", {"lease.txt": "no", "supply.txt": "yes"}),
        ("Which contracts with Larkspur end in 2026?", {}),
        ("In which contracts does the exclusivity end in 2026?", {}),
        ("Which contracts end in June 2026?", {}),
        ("Which contracts end in the first half of 2026?", {}),
        ("Which contracts end between 2024 and 2027?", {}),
        ("Which contracts are governed by the law of Texas?", {"lease.txt": "no", "supply.txt": "yes"}),
        ("Which contracts are governed by Texan law?", {}),
        (
            "Which contracts are with Quill?",
            {"supply.txt": "yes"},
        ),  # the second party, too; that none was found is no "no"
    ],
)
def test_facts_tell_of_each_document_only_what_is_surely_asked(contracts, question, ways):
    assert of_each(contracts, question) == ways


def test_a_document_with_an_amendment_is_read_again(contracts, folder):
    contracts.ingest(folder({"lease.txt": LEASE, "supply.txt": SUPPLY, "amendment.txt": AMENDMENT}))
    assert of_each(contracts, "Which contracts end in 2026?") == {"supply.txt": "yes"}


def test_a_review_takes_facts_first_and_the_wording_in_force(settings, contracts, models, folder):
    contracts.ingest(folder({"lease.txt": LEASE, "supply.txt": SUPPLY, "amendment.txt": AMENDMENT}))
    book = playbook.parse(
        b"title: Pay\nitems:\n  - {id: pay, type: duration, question: 'Within how long must an invoice be paid?'}\n"
        b"  - {id: law, type: text, question: 'Which law governs this agreement?'}\n",
        "a test",
    )
    assistant = Assistant(settings)
    *_, ended = Reviewer(assistant).review(book, libraries=["contracts"], documents=["lease.txt"])
    assert isinstance(ended, ReviewEnded)
    found = {one.item: one for one in ended.findings}
    assert found["law"].value == "Ohio" and found["law"].model == ""
    at = found["pay"].citation
    assert found["pay"].value == "30 days" and at and at.document == "amendment.txt"
    assert "45" in found["pay"].problem
    assistant.close()


def test_words_that_no_question_for_a_fact_has_are_told():
    assert fact_questions.others("When does the exclusivity end?", "end") == {"exclusivity"}
    assert fact_questions.others("When does it end?", "end") == set()


def test_the_overview_counts_the_end_and_lists_what_comes_next(settings, contracts):
    made = overview.make([contracts._storage()], facts.VERSION, date(2025, 1, 1))
    ahead = {(one.day, one.document): one for one in made.ahead}
    assert ("2026-05-31", "supply.txt") in ahead
    end = ahead["2031-03-31", "lease.txt"]
    assert end.counted and end.what == "ends"
    assert made.kinds == {"contract": 2} and made.unread == 0
    assert len(made.questions) == 5
    assert [own.cell("law") for own in made.documents] == ["Ohio", "Texas"]


def test_every_suggested_question_is_answered_by_facts(settings, contracts):
    made = overview.make([contracts._storage()], facts.VERSION, date(2025, 1, 1))
    contracts.close()
    answered = [question for question in made.questions if "fact" in asked(settings, question).plan.signals]
    assert len(answered) >= 4


def test_an_amendment_stands_with_what_it_amends(settings, contracts, folder):
    contracts.ingest(folder({"lease.txt": LEASE, "supply.txt": SUPPLY, "amendment.txt": AMENDMENT}))
    made = contracts.overview()
    assert {own.path: own.base for own in made.documents}["amendment.txt"] == "lease.txt"


LONG = (
    "received/2021/PELLAR_20210322_EX-10.16_3074935_EX-10.16_Lease Agreement with Tarrow Trust and its appendices.txt"
)
MAIL = b"From: Ann Lee <ann@x.test>\r\nTo: Bo <bo@x.test>\r\nDate: Tue, 3 Mar 2026 10:00:00 +0000\r\nSubject: Roof repair\r\n\r\nHi\r\n"
HANDBOOK = "Employee Handbook\n\nVersion: 4.2\nLast updated: 5 March 2026\n\nWork is from nine to five.\n"


@pytest.fixture
def papers(settings, models, folder, monkeypatch):
    """A contract under a long path, a mail and a handbook."""
    monkeypatch.setattr(retrieval, "SentenceEncoder", SentenceEncoder)
    library = api.open_library("contracts", create=True)
    library.ingest(folder({LONG: LEASE, "roof.eml": MAIL, "handbook.txt": HANDBOOK}))
    models.loaded.clear()
    return library


def test_every_question_that_is_offered_is_answered_from_facts(settings, papers, models):
    offered = papers.overview().questions
    assert len(offered) == 5
    for question in offered:
        assert asked(settings, question).plan.signals.get("fact"), question
    assert "generator" not in models.loaded


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("Who wrote the e-mail about the roof?", "Ann Lee"),
        ("When was the mail “Roof repair” sent?", "3 March 2026"),
        ("When was the employee handbook last updated?", "5 March 2026"),
        ("Which version of the employee handbook is this?", "4.2"),
    ],
)
def test_facts_of_mails_and_papers_answer(settings, papers, question, value):
    answer = asked(settings, question)
    assert value in answer.answer and answer.plan.signals["fact"] and answer.citations


def test_a_document_is_called_by_its_title_where_that_is_shorter(settings, papers):
    answer = asked(settings, "Which law governs the lease?")
    assert [one.name for one in answer.citations] == ["Lease agreement, Pellar Estates and Tarrow Trust, 2021"]
    assert answer.citations[0].document == LONG
    assert asked(settings, "When was the employee handbook last updated?").citations[0].name == "handbook.txt"
    assert papers.titles([LONG, "handbook.txt"]) == {LONG: "Lease agreement, Pellar Estates and Tarrow Trust, 2021"}


def test_two_documents_of_one_title_keep_their_paths(settings, papers, folder):
    papers.ingest(folder({LONG: LEASE, f"copy of {LONG}": LEASE + "\nPage 2 of the copy.\n"}))
    assert not papers.titles([LONG]) and not papers.titles([LONG, f"copy of {LONG}"])


@pytest.fixture
def without_answer(settings, models, folder, monkeypatch):
    """Return whether facts leave a question about some files to reading."""
    monkeypatch.setattr(retrieval, "SentenceEncoder", SentenceEncoder)

    def leave(files, question):
        library = api.open_library("contracts", create=True)
        library.ingest(folder(files))
        library.close()
        assistant = Assistant(settings)
        try:
            query = assistant.prepare(question, ["contracts"], Filter(), "auto", (), lambda: False)
            return from_facts.answer(query, assistant.searcher.sentences) is None
        finally:
            assistant.close()

    return leave


TRAVEL = {
    "travel-policy.txt": "TRAVEL POLICY\n\nTrips are paid.\n",
    "travel-expenses-policy.txt": "TRAVEL EXPENSES POLICY\n\nOwner: Jane Doe\nEffective date: 1 May 2020\n",
}
KARL = {
    "a.eml": b"From: Karl Kay <k@x.test>\r\nTo: Ann Lee <a@x.test>\r\nDate: Sun, 3 May 2026 10:00:00 +0000\r\nSubject: Roof\r\n\r\nHi\r\n",
    "b.eml": b"From: Ann Lee <a@x.test>\r\nTo: Karl Kay <k@x.test>\r\nDate: Sun, 7 Jun 2026 10:00:00 +0000\r\nSubject: Re: Roof\r\n\r\nHi\r\n",
}
SOLD = {
    "sold.eml": b"From: Ann <a@x.test>\r\nDate: Wed, 3 May 2023 10:00:00 +0000\r\nSubject: The lease\r\n\r\nSigned on 1 May.\r\n"
}
SIDE = (
    "SIDE LETTER\n\nDear Sirs, this letter amends the Supply Agreement dated 5 May 2022 between Larkspur Foods Ltd and Quill "
    "Paper GmbH, which shall expire on 31 December 2027.\n"
)


@pytest.mark.parametrize(
    ("files", "question"),
    [
        (TRAVEL, "Who owns the travel policy?"),
        (TRAVEL, "Who approved the travel expenses policy in our town?"),
        (TRAVEL, "When was the holiday policy last updated?"),
        (KARL, "Who sent the mail about the garden?"),
        (TRAVEL, "When did the travel policy take effect?"),
        (TRAVEL, "Who approved the travel expenses policy?"),
        (KARL, "When was the mail to Karl sent?"),
        (KARL, "Who sent the mail to Karl?"),
        (SOLD, "When was the lease signed?"),
        ({"supply.txt": SUPPLY, "side.txt": SIDE}, "When does the supply agreement end?"),
    ],
)
def test_what_another_document_or_person_is_asked_for_is_read(without_answer, files, question):
    assert without_answer(files, question)


def test_titles_of_two_folders_with_one_path_are_not_mixed_up(settings, models, tmp_path):
    library = api.open_library("contracts", create=True)
    for name, text in (("one", LEASE), ("two", SUPPLY)):
        path = (
            tmp_path
            / name
            / "legal/contract-final-with-a-long-name-that-nobody-would-say-in-a-sentence-of-a-letter.txt"
        )
        path.parent.mkdir(parents=True)
        path.write_text(text)
        library.ingest(tmp_path / name)
    assert len(library.documents()) == 2 and not library.titles([one.path for one in library.documents()])


def test_a_term_until_an_anniversary_ends_on_it():
    words, start = "five (5) years", facts.Fact("start", "2020-05-01", "1 May 2020", "on 1 May 2020")

    def ends(quote):
        term = facts.Fact("term", "P5Y", words, quote)
        own = overview.DocumentFacts("l", "a.txt", "A", "contract", "english", None, (start, term))
        return overview.end_of(own)[0].value

    assert ends("The term shall be five (5) years from 1 May 2020.") == "2025-04-30"
    assert ends("It shall continue until the five (5) year anniversary of 1 May 2020.") == "2025-05-01"
