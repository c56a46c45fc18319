"""The playbooks that come with localrag, each on a contract of its kind: the words that are quoted, and positions."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.events import ReviewEnded
from localrag.items import playbook
from localrag.items.evidence import Clauses
from localrag.search.retrieval import Searcher
from localrag.settings import load_settings
from localrag.store.library import Library

Shelf = Callable[..., Library]
SOURCES = Path(__file__).parents[2] / "docs/examples-source/contracts"
OWN = Path(__file__).parent / "contracts"
CONTRACTS = {
    "nda": SOURCES / "Mutual NDA with Hesprin Laboratories.docx.md",
    "msa": SOURCES / "master-services-agreement.pdf.md",
    "lease": SOURCES / "lease-corravane-wharf.pdf.md",
    "dpa": OWN / "dpa.md",
    "employment": OWN / "employment.md",
}
# Words of the sentence that is quoted, by playbook and item.
WORDS = {
    "nda": {
        "purpose": "only for the Purpose",
        "exceptions": "becomes public without breach",
        "survival": "five years",
        "required-by-law": "If the law or a court requires",
        "return": "return or destroy",
        "non-solicitation": "offer of employment",
        "liability": "limited to EUR 250,000",
        "governing-law": "law of the",
        "no-licence": "No licence of any patent",
        "assignment": "may not be assigned",
        "equitable-relief": "ask a court for an order",
    },
    "msa": {
        "payment": "forty-five (45) days",
        "late-interest": "4 percent",
        "price-increase": "3.5 percent",
        "service-levels": "service level",
        "minimum": "12,000 Boxes",
        "non-solicitation": "solicit an employee",
        "term": "thirty-six months",
        "renewal": "further periods",
        "audit": "may inspect the Depots",
        "start": "1 March 2025",
    },
    "lease": {
        "term": "Ten years",
        "rent": "186,000 a year",
        "deposit": "| Deposit | EUR 46,500",
        "rent-review": "reviewed",
        "late-interest": "5 percent",
        "service-charge": "may not exceed EUR 31,000",
        "repair": "structure, roof",
        "rent-suspension": "suspended",
        "assignment": "unreasonably withheld",
        "break": "nine months' written notice",
        "governing-law": "Province",
        "landlord-break": "no right to break",
        "end-of-term": "empty and clean",
    },
    "dpa": {
        "instructions": "documented instructions",
        "unlawful-instructions": "infringes",
        "security": "encryption",
        "confidentiality": "bound to confidentiality",
        "subprocessors": "prior written authorisation",
        "flow-down": "same data protection obligations",
        "data-subjects": "erasure",
        "breach-notice": "(72) hours",
        "impact-assessment": "impact assessments",
        "deletion": "delete or return",
        "audit": "audits and inspections",
    },
    "employment": {
        "start": "1 September 2025",
        "probation": "nine months",
        "salary": "48,600",
        "hours": "38 hours",
        "overtime": "Overtime",
        "holiday": "thirty (30) days",
        "sickness": "six weeks",
        "notice": "three months",
        "non-compete": "competitor",
        "position": "laboratory technician",
    },
}


@pytest.mark.parametrize("name", WORDS)
def test_the_clause_itself_is_quoted(name, shelf, settings, models):
    library = shelf("law", {"a.md": CONTRACTS[name].read_text(encoding="utf-8")})
    book, searcher = playbook.load(name), Searcher(settings)
    clauses, document = Clauses(library, searcher), library.document("a.md")
    quotes = {item: clauses.evidence(book.item(item).asked, (library, document)).quote for item in WORDS[name]}
    missed = {
        item: quotes[item]
        for item, words in WORDS[name].items()
        if words not in " ".join(getattr(quotes[item], "quote", "").split())
    }
    assert missed == {}


def test_every_clause_of_a_shipped_playbook_is_one_that_is_known(shelf, settings, models):
    library = shelf("law", {"a.md": "Governing Law. The law of Iowa governs this agreement and nothing else does."})
    clauses, document = Clauses(library, Searcher(settings)), library.document("a.md")
    for book in map(playbook.load, playbook.names()):
        for item in book.items:
            assert clauses.evidence(item.asked, (library, document)).of == 1


@pytest.mark.parametrize(
    ("name", "item", "state", "value"),
    [
        ("employment", "probation", "deviates", "9 months"),
        ("employment", "salary", "found", "48,600 EUR"),
        ("employment", "start", "found", "2025-09-01"),
        ("employment", "non-compete", "deviates", "yes"),
        ("dpa", "breach-notice", "deviates", "72 hours"),
    ],
)
def test_positions_are_compared_with_what_a_contract_says(name, item, state, value, shelf, assistant, models):
    """The fake model says yes to whatever it is asked, so that code reads the value."""
    shelf("law", {"a.md": CONTRACTS[name].read_text(encoding="utf-8")})
    whole = playbook.load(name)
    book = playbook.Playbook(whole.title, (whole.item(item),), whole.applies_to)
    *_, ended = Reviewer(assistant).review(book, libraries=["law"])
    assert isinstance(ended, ReviewEnded)
    (found,) = ended.findings
    assert (found.state, found.value) == (state, value), found


@pytest.mark.model
@pytest.mark.slow
def test_the_small_model_reviews_a_contract(folder):
    """With real weights, whatever the model says: every quote is in the text, and what code decides is right."""
    from localrag import api

    text = CONTRACTS["employment"].read_text(encoding="utf-8")
    settings = load_settings().with_options(generator="smollm2-135m-instruct", threads=1)
    with closing(api.open_library("law", settings=settings, create=True)) as library:
        library.ingest(folder({"a.md": text}))
    assistant = Assistant(settings)
    *_, ended = Reviewer(assistant).review(playbook.load("employment"), libraries=["law"])
    assistant.close()
    assert isinstance(ended, ReviewEnded) and len(ended.findings) == 17 and not ended.stopped
    assert all(one.citation.quote in text for one in ended.findings if one.citation)
    assert all(one.read for one in ended.findings)
