from __future__ import annotations

import pytest
from asking import search

from localrag.store.library import Library
from localrag.types import Filter

# Documents long enough for names to count: what answers stands far behind the cover.
FILLER = [
    f"Paragraph {n} of filling text, which says very little about anything that is asked for. " * 12 for n in range(9)
]


def filing(company, answer):
    return [f"{company}\nAnnual report\nThis report is about {company}.", *FILLER, answer, *FILLER]


def first(found):
    return found[0].document, found[0].page


@pytest.fixture
def filings(shelf, put):
    library = shelf("filings", {})
    for n, company in enumerate(("Apple", "Boeing", "Costco")):
        for year in (2018, 2019):
            answer = f"The gross margin rose to {30 + n + year % 100} percent because of lower freight."
            put(library, f"{company}_{year}.pdf", filing("the company", answer), date=f"{year}-12-31")
    library.save_index()
    return library


@pytest.mark.parametrize("company", ["Apple", "Boeing", "Costco"])
def test_of_documents_that_say_alike_the_one_that_is_named_comes_first(filings, company):
    found = search(filings, f"Why did the gross margin of {company} rise in 2019?")
    assert first(found) == (f"{company}_2019.pdf", 11)


def test_a_title_and_first_lines_name_a_document_too(shelf, put):
    library = shelf("papers", {})
    put(library, "1.pdf", filing("the company", "The gross margin rose to 1 percent."), title="Report of Zeppelin")
    put(library, "2.pdf", filing("Montgolfier Ltd", "The gross margin rose to 2 percent."))
    put(library, "3.pdf", filing("the company", "The gross margin rose to 3 percent."))
    assert first(search(library, "How did the gross margin of Zeppelin rise?")) == ("1.pdf", 11)
    assert first(search(library, "How did the gross margin of Montgolfier rise?")) == ("2.pdf", 11)


def test_words_that_only_name_a_document_do_not_draw_its_cover(shelf, put):
    library = shelf("papers", {})
    for company in ("Zeppelin", "Montgolfier", "Wright"):
        put(library, f"{company}.pdf", filing(f"{company} {company} {company}", "The gross margin was 1 percent."))
    assert first(search(library, "What was the gross margin of Zeppelin?")) == ("Zeppelin.pdf", 11)


def test_each_of_several_documents_that_are_named_has_a_place(shelf, put):
    library = shelf("papers", {})
    many = [f"The gross margin of part {n} and the gross margin of part {n + 1} rose." for n in range(60)]
    put(library, "Apple.pdf", [*FILLER, *many])
    put(library, "Boeing.pdf", [*FILLER, "The gross margin of all parts fell in the year.", *FILLER])
    put(library, "Costco.pdf", [*FILLER, "Of the gross margin there is little to say.", *FILLER])
    for n in range(4):
        put(library, f"other{n}.pdf", [*FILLER, f"Nothing of the kind in number {n}."])
    found = search(library, "Compare the gross margin of Apple with Boeing and with Costco", k=8)
    assert {"Apple.pdf", "Boeing.pdf", "Costco.pdf"} <= {passage.document for passage in found}


def test_the_latest_is_the_newest_by_date_and_not_by_name_or_place(shelf, put):
    library = shelf("papers", {})
    for n, date in enumerate(("2019-05-01", "2023-02-01", "", "2021-12-31")):
        put(library, f"lease {n}.pdf", [*FILLER, f"The rent is {n} pounds, to be paid in advance."], date=date)
    assert first(search(library, "What rent does the latest lease name?")) == ("lease 1.pdf", 10)
    found = search(library, "What rent does the latest lease name?", documents=["lease 0.pdf", "lease 3.pdf"])
    assert first(found) == ("lease 3.pdf", 10)


@pytest.mark.parametrize(
    "question",
    ["Who are the parties to the lease?", "What is the date of the lease?", "What is the name of the lease?"],
)
def test_a_question_for_parties_date_or_name_finds_the_opening(shelf, question):
    body = [
        *FILLER,
        "Each of the parties has the lease in hand, under the name of a house, up to a date that both agree on.",
    ]
    library = shelf(
        "papers",
        {
            "lease.pdf": ["LEASE\n\nmade on 3 May 2021 between Ada Byron and Grace Hopper", *body],
            "loan.pdf": ["LOAN\n\nmade on 4 June 2022 between Alan Kay and Jean Bartik", *FILLER],
            "will.pdf": ["WILL\n\nof Joan Clarke", *FILLER],
        },
    )
    assert ("lease.pdf", 1) in [(p.document, p.page) for p in search(library, question)[:2]]
    assert ("lease.pdf", 1) in [(p.document, p.page) for p in search(library, question, documents=["lease.pdf"])[:2]]
    assert 1 not in {p.page for p in search(library, question, documents=Filter(("lease.pdf",), pages=(2, None)))}


def test_a_quoted_phrase_leads_before_a_document_that_is_named(filings, put):
    put(filings, "odd.pdf", [*FILLER, "Somebody wrote margin gross rose of it.", *FILLER])
    found = search(filings, 'Why did "margin gross rose" of Apple in 2019 rise?')
    assert first(found) == ("odd.pdf", 10)


def test_every_passage_of_a_phrase_comes_before_any_other(shelf):
    texts = {f"{n}.txt": f"Force majeure, number {n}." for n in range(6)}
    texts |= {f"x{n}.txt": f"Majeure and force and majeure and force, number {n}." for n in range(20)}
    found = search(shelf("law", texts), '"force majeure"', k=10)
    assert {p.document for p in found[:6]} == {f"{n}.txt" for n in range(6)} and len(found) == 10


def test_a_range_of_pages_holds_for_all_that_a_question_names(filings):
    only = Filter(pages=(2, 10))
    for question in (
        "Why did the gross margin of Apple rise in 2019?",
        '"gross margin rose"',
        "What is the date of Apple?",
    ):
        found = search(filings, question, documents=only)
        assert found and all(p.page is not None and 2 <= p.page <= 10 for p in found)


def test_a_document_that_a_filter_leaves_out_is_not_found_by_its_name(filings):
    found = search(filings, "gross margin of Apple in 2019", documents=["Boeing*"])
    assert {p.document for p in found} <= {"Boeing_2018.pdf", "Boeing_2019.pdf"}


def test_each_library_answers_for_its_own_names(filings, shelf, put):
    others = shelf("others", {})
    for company in ("Apple", "Danone"):
        put(
            others,
            f"{company}_2017.pdf",
            filing("the company", "The gross margin rose to 7 percent because of lower freight."),
        )
    both: list[Library] = [filings, others]
    for libraries in (both, both[::-1]):
        found = search(libraries, "Why did the gross margin of Danone rise?")
        assert (found[0].library, found[0].document) == ("others", "Danone_2017.pdf")
        found = search(libraries, "Why did the gross margin of Boeing rise in 2018?")
        assert (found[0].library, found[0].document) == ("filings", "Boeing_2018.pdf")


def test_the_number_of_a_clause_in_a_short_question_leads(shelf):
    library = shelf(
        "law",
        {
            "a.txt": "Section and clause and article of this section, which is a section of the agreement on sections.",
            "b.txt": "12.3 The tenant keeps the garden in the state in which it was handed over.",
            "c.txt": "4.1(b) Pets are kept on a lead. Section 12.30 of the Act holds.",
            **{f"{n}.txt": f"Something else entirely, number {n}." for n in range(6)},
        },
    )
    assert search(library, "section 12.3")[0].document == "b.txt"
    assert search(library, "clause 4.1(b)")[0].document == "c.txt"


STATEMENTS = {
    "Consolidated Balance Sheets": ("Inventories", "Total current liabilities", "Accounts payable"),
    "Consolidated Statements of Operations": ("Revenue", "Cost of sales", "Operating income"),
    "Consolidated Statements of Cash Flows": ("Dividends paid", "Net income", "Change in inventories"),
}


@pytest.fixture
def report(shelf, put):
    library = shelf("report", {})
    pages = [
        f"{title}\n| Line | 2022 |\n" + "\n".join(f"| {row} | {n} |" for n, row in enumerate(rows, 7))
        for title, rows in STATEMENTS.items()
    ]
    notes = [f"Note {n} - Details\nTheir inventories are told here." for n in (4, 5)]
    put(library, "report.pdf", [*FILLER[:4], *pages, *notes, *FILLER[4:]])
    library.save_index()
    return library


@pytest.mark.parametrize(
    ("part", "page"),
    [
        ("balance sheet", 5),
        ("statement of financial position", 5),
        ("income statement", 6),
        ("P&L statement", 6),
        ("cash flow statement", 7),
    ],
)
def test_the_part_that_a_question_points_to_leads_also_by_another_name(report, part, page):
    question = f"Which line is the largest in 2022? Answer by relying on the {part}."
    assert first(search(report, question)) == ("report.pdf", page)


def test_the_number_of_a_part_is_no_mere_word(report):
    assert search(report, "What are the inventories in Note 5?")[0].page == 9
    assert search(report, "What are the inventories in Note 4?")[0].page == 8


def test_the_figures_of_a_formula_are_looked_up_one_by_one(report):
    formula = "Turnover is defined as: cost of sales / average inventories between 2021 and 2022."
    pages = [passage.page for passage in search(report, f"What is the turnover? {formula} Round to one decimal.", k=3)]
    assert {5, 6} <= set(pages)
    assert len(pages) == len(set(pages)) == 3


def test_a_name_of_several_words_leads_in_a_long_question(shelf):
    library = shelf(
        "letters",
        {
            **{
                f"{n}.txt": f"The supplier confirms the delivery of goods and the terms of payment, letter {n}."
                for n in range(9)
            },
            "signed.txt": "Agreed on behalf of the other side by Jan T. Orlo.",
        },
    )
    question = "Which supplier confirms the delivery of goods and the terms of payment in a letter to Jan T. Orlo?"
    assert search(library, question)[0].document == "signed.txt"


def test_a_definition_leads_where_the_meaning_of_a_term_is_asked_for(shelf):
    uses = {
        f"{n}.txt": f"Service Credit and Service Credit are due, what Service Credit {n} means is open."
        for n in range(5)
    }
    library = shelf(
        "terms", {**uses, "means.txt": "In this long agreement of many words “Service Credit” means a sum."}
    )
    for question in ("What does Service Credit mean?", "What is the definition of 'Service Credit'?"):
        assert search(library, question)[0].document == "means.txt"


def test_words_that_tell_no_document_from_all_others_name_none(shelf, put):
    library = shelf("deals", {})
    for n in range(8):
        put(library, f"{n}.pdf", filing("Licensed Software" if n < 3 else "the company", "Nothing is said."))
    put(library, "goal.pdf", filing("the company", "There is no liability if iPass modifies the Licensed Software."))
    question = "When is there no liability if iPass modifies the Licensed Software?"
    assert first(search(library, question)) == ("goal.pdf", 11)
