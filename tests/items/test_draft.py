"""Playbooks that are drafted from a contract: its clauses, their types and texts."""

from pathlib import Path

import pytest

from localrag.errors import ReadError
from localrag.ingest.readers.headings import find_headings
from localrag.items import draft, playbook
from localrag.items.playbook import Expect
from localrag.types import Heading, Page

SOURCES = Path(__file__).parents[2] / "docs/examples-source/contracts"
FILL = "It binds both parties for as long as this agreement lasts and no longer."


def page(text, *titles):
    """A page, of whose headings a reader recognised these."""
    return Page(text, headings=tuple(Heading(text.index(title), 1, title) for title in titles))


def drafted(*pages):
    return [item.name for item in draft.from_pages(pages, "Model").items]


def test_clauses_whose_headings_a_reader_missed_are_found_by_their_numbers():
    lease = page(
        f"Lease\nDated today.\n1. Letting\n1.1 {FILL}\n2. Rent and deposit\n2.1 {FILL}\n3. Repair\n3.1 {FILL}\n",
        "1. Letting",
    )
    assert drafted(lease) == ["Letting", "Rent and deposit", "Repair"]
    run_on = page(
        f"Made today: 1. Grant of Rights 1.1 {FILL} 2. Fees; Taxes. {FILL} 3. Notices All notices are in writing. {FILL}"
    )
    assert drafted(run_on) == ["Grant of Rights", "Fees; Taxes", "Notices"]


def test_a_clause_of_one_line_is_an_item():
    text = "Supply\n1. Goods. The Seller sells bottles.\n2. Insurance. Neither party insures the goods.\n3. Law. Belgian law governs it.\n"
    assert drafted(page(text)) == ["Goods", "Insurance", "Law"]


@pytest.mark.parametrize(
    ("words", "expect"),
    [
        ("insurance of at least EUR 5,000 a year", Expect(at_least="5,000 EUR")),
        ("after the term notice of no fewer than thirty (30) days", Expect(at_least="30 days")),
        ("interest that shall not exceed 4% a year", Expect(at_most="4 %")),
    ],
)
def test_a_limit_of_the_model_contract_is_one_of_the_position(words, expect):
    text = f"1. One\n{FILL}\n2. Two\n{FILL}\n3. Three\nThe Supplier shall give the Client {words} and nothing else.\n"
    assert draft.from_pages([page(text)], "Model").items[2].expect == expect


def test_contents_lists_schedules_and_formal_clauses_become_no_items():
    contents = "1. Supply\n2. Price\n3. Liability\n4. Counterparts\n"
    body = f"1. Supply\n{FILL} Goods:\n1. apples\n2. pears\n2. Price\n{FILL}\n3. Liability\n{FILL}\n4. Counterparts\n{FILL}\n"
    schedule = f"Schedule A. Goods\n{FILL}\n1. Apples\n{FILL}\n2. Pears\n{FILL}\n"
    pages = (page(contents), page(body), page(schedule, "Schedule A. Goods", "1. Apples", "2. Pears"))
    assert drafted(*pages) == ["Supply", "Price", "Liability"]


def test_the_first_sentence_decides_the_type_and_dates_are_never_expected():
    clauses = {
        "Notice": f"Either party may end it with three (3) months' notice in writing. {FILL}",
        "Term": f"It begins on 3 May 2025 and goes on until it is ended by a party. {FILL}",
        "Rates": f"The price is EUR 5 for 3 months and then EUR 7 for each item that is sold. {FILL}",
        "Liability": "Each party is liable for up to EUR 250,000 for all that it does. " + FILL * 20,
    }
    text = "\n".join(f"{name}\n2.1 {words}" for name, words in clauses.items())
    items = draft.from_pages([page(text, *clauses)], "Model").items
    assert [(one.type, one.expect) for one in items] == [
        ("duration", "3 months"),
        ("yes/no", True),
        ("yes/no", True),
        ("money", "250,000 EUR"),
    ]
    assert items[0].like[0].startswith("Either party") and items[0].fallback == clauses["Notice"]
    assert items[3].fallback.endswith(".") and len(items[3].fallback) <= 600
    made = draft.from_pages([page(text, *clauses)], "Model")
    assert playbook.parse(playbook.to_yaml(made).encode(), "draft.yaml") == made


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("master-services-agreement.pdf.md", range(24, 31), {"Liability", "Termination", "Data protection"}),
        ("lease-corravane-wharf.pdf.md", range(10, 12), {"Rent and deposit", "Rent review", "Break option"}),
    ],
)
def test_a_draft_has_an_item_for_each_clause_of_a_contract(name, count, some):
    text = (SOURCES / name).read_text(encoding="utf-8")
    names = drafted(Page(text, headings=find_headings(text)))
    assert len(names) in count and some <= set(names), names


def test_a_text_without_clauses_is_refused():
    with pytest.raises(ReadError):
        drafted(page("Dear Anna,\nthe contract comes tomorrow."))
