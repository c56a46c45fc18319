import pytest

from localrag.errors import NotFoundError
from localrag.search import clauses
from localrag.search.clauses import Clauses

LAW = "This Agreement shall be governed by and construed in accordance with the laws of the State of Ohio."
INSURANCE = (
    "Supplier shall maintain comprehensive general liability insurance with a limit of $1,000,000 per occurrence "
    "and shall name Buyer as an additional insured."
)
REST = "The parties met in the morning. They drank coffee and looked at the river. The weather was fine.\n\n"


@pytest.fixture
def contracts(shelf, put):
    library = shelf("contracts", {})
    put(library, "supply.txt", f"SUPPLY AGREEMENT\n\n{REST}12. Governing Law. {LAW}\n\n13. Insurance. {INSURANCE}\n")
    put(library, "walk.txt", REST * 3)
    put(library, "empty.txt", "\n")
    return library


def test_a_clause_is_found_at_its_place(contracts):
    finder, document = Clauses(contracts), contracts.document("supply.txt")
    for clause, text in (("governing-law", LAW), ("insurance", INSURANCE)):
        best = finder.find(document.id, clause)[0]
        position, start, end = best.sentence
        assert text in (best.text, contracts.pages(document.id)[position].text[start:end])
        assert best.probability >= finder.threshold(clause)


def test_a_text_without_the_clause_is_below_the_threshold(contracts):
    finder, document = Clauses(contracts), contracts.document("walk.txt")
    for clause in ("governing-law", "insurance", "non-compete", "audit-rights", "cap-on-liability"):
        found = finder.find(document.id, clause)
        assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
        assert found[0].probability < finder.threshold(clause)


def test_a_line_without_words_is_no_clause(contracts, put):
    put(contracts, "table.md", "| Ref | Action |\n| --- | --- |\n| 25/01 | Recovery plan |\n")
    found = Clauses(contracts).find(contracts.document("table.md").id, "document-name", k=9)
    assert found and all(any(map(str.isalnum, one.text)) for one in found)


def test_an_empty_document_has_no_sentences_and_an_unknown_clause_is_an_error(contracts):
    finder = Clauses(contracts)
    with pytest.raises(NotFoundError):
        finder.find(contracts.document("walk.txt").id, "weather")
    assert finder.find(contracts.document("empty.txt").id, "insurance") == []


def test_long_text_is_split_without_losing_words():
    text = "word " * 700
    spans = clauses.split(text)
    assert max(end - start for start, end in spans) <= 1200
    assert " ".join(text[start:end] for start, end in spans).split() == text.split()
