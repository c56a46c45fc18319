import pytest

from localrag.ingest.readers.headings import document_headings, drop_running, find_headings
from localrag.text import structure_number
from localrag.types import Heading

PROSE = "Either party may end this Agreement upon thirty days of written notice to the other party."


def found(text):
    return [(item.level, item.title) for item in find_headings(text)]


@pytest.mark.parametrize(
    "line, level",
    [
        ("ARTICLE V DEFINITIONS", 1),
        ("SECTION 3.2.1 Late Fees", 3),
        ("Item 1A. Risk Factors", 2),
        ("12. TERMINATION", 1),
        ("3.2.1. Late Payment", 3),
        ("GOVERNING LAW AND VENUE", 1),
        ("Next Steps", 5),
        ("Schedule B", 1),
    ],
)
def test_headings_of_contracts_and_filings_are_seen(line, level):
    assert found(f"The fee is due.\n{line}\n{PROSE}\n") == [(level, line)]
    assert found(f"The fee is due.\n\n{line}\n\n{PROSE}\n") == [(level, line)]


@pytest.mark.parametrize(
    "line, title",
    [
        ("7. Non-Solicitation. While employed, the Consultant shall solicit nobody.", "7. Non-Solicitation"),
        ("5.2 ERROR CORRECTION: E.piphany shall use reasonable efforts.", "5.2 ERROR CORRECTION"),
    ],
)
def test_headings_run_into_their_paragraph_are_seen(line, title):
    assert [name for _, name in found(f"It ends here.\n{line}\n")] == [title]


def test_a_part_takes_its_name_from_the_line_below_and_wide_gaps_end_lines():
    assert found(f"ARTICLE V\nTERM AND TERMINATION\n{PROSE}") == [(1, "ARTICLE V TERM AND TERMINATION")]
    assert found(f"Exhibit A\nPRICE LIST AND TERMS\n{PROSE}") == [(1, "Exhibit A PRICE LIST AND TERMS")]
    assert found(f"EXHIBIT A\nACME WIDGETS, INC.\n{PROSE}")[0] == (1, "EXHIBIT A")
    text = f"{PROSE} {PROSE}   ARTICLE I DEFINITIONS   {PROSE}   2.   GRANT OF LICENSE   {PROSE}"
    headings = find_headings(text)
    assert [item.title for item in headings] == ["ARTICLE I DEFINITIONS", "2.   GRANT OF LICENSE"]
    assert all(text.startswith(item.title, item.start) for item in headings)


@pytest.mark.parametrize(
    "text",
    [
        "Net sales:\nProducts $ 63,355 $ 63,948\nServices 19,604 17,486\nTotal net sales 82,959 81,434\n",
        "12 Main Street\nSpringfield, IL 62701\n",
        "ACME WIDGETS, INC.\n100 INDUSTRIAL WAY\nNEW YORK, NY 10036\n",
        "1. Apples\n2. Pears\n3. Plums and Cherries\n",
        "1. Quality: We make good things and improve them.\n2. Integrity: We tell the truth to everyone we deal with.\n",
        "THE SOFTWARE IS PROVIDED AS IS AND WITH\nALL FAULTS AND THE ENTIRE RISK IS WITH\nTHE BUYER OF THE SOFTWARE\n",
        f"1.1 Definitions and Terms ........ 4\n{PROSE}",
        "12. Total Amounts\n1,200 3,400 (5)\n",
        "By: ______________\nName: John Smith\nTitle: President\n",
        "10.1 EXCEPT FOR A BREACH OF SECTION 8, IN NO EVENT WILL EITHER\nPARTY BE LIABLE FOR ANYTHING AT ALL UNDER THIS\n",
        "The Company shall pay the amounts that are set out in the table of fees under\nSection 3.2 Fees\nand no more.\n",
        "31.1 Certification of Andrew R. Jassy, who signed it.\n",
        "Yes ☒ No ☐\n" + PROSE,
    ],
)
def test_rows_addresses_lists_and_wrapped_lines_are_no_headings(text):
    assert found(text) == []


def test_running_headers_are_no_headings():
    pages = []
    for number in range(8):
        text = f"EMPLOYEE HANDBOOK\n{PROSE}\n{number + 1}. Leave\n" + "line\n" * 9
        pages.append((text, (Heading(0, 1, "EMPLOYEE HANDBOOK"), Heading(text.index("Leave"), 1, f"{number} Leave"))))
    assert [[item.title for item in page] for page in drop_running(pages)] == [[f"{n} Leave"] for n in range(8)]


@pytest.mark.parametrize(
    "heading, number",
    [
        ("Item 7A", ("item", "7a")),
        ("EXHIBIT A-1", ("exhibit", "a-1")),
        ("§ 3.2 Fees", ("section", "3.2")),
        ("14. Deposits", ("section", "14")),
        ("Section 5.2(b)", ("section", "5.2")),
        ("Note payable", None),
        ("Risk Factors in Item 1A", None),
    ],
)
def test_numbers_of_headings_are_told(heading, number):
    assert structure_number(heading) == number


ROWS = "| (in thousands) | 2023 | 2022 |\n| --- | --- | --- |\n| Net sales | 1,200 | 1,100 |"
BOLD = (1.0, True)


def tree(*pages):
    stack, paths = [], []
    for page in document_headings([(page, {}) if isinstance(page, str) else page for page in pages]):
        for heading in page:
            stack = [*(item for item in stack if item.level < heading.level), heading]
        paths.append([item.title for item in stack])
    return paths


@pytest.mark.parametrize(
    "above, title",
    [
        ("Consolidated Statements of Cash Flows", "Consolidated Statements of Cash Flows"),
        ("ACME WIDGETS, INC.\nBALANCE SHEETS (Continued)\nDecember 31, 2023 and 2022\n(Unaudited)", "BALANCE SHEETS"),
    ],
)
def test_a_title_over_the_table_at_the_top_of_a_page_is_a_heading(above, title):
    assert found(f"{above}\n{ROWS}\n") == [(3, title)]
    assert found(f"{above}\n(in thousands, except per share data)\nShares\nBalance, 1 January 9 8 7\n") == [(3, title)]


@pytest.mark.parametrize(
    "above", ["The following table shows the sales:", "Acme Widgets, Inc.", f"{PROSE}\nof our\nNet sales are"]
)
def test_other_lines_over_a_table_are_no_headings(above):
    assert found(f"{above}\n{ROWS}\n") == []


def test_the_title_of_a_page_ends_what_came_before_except_a_note():
    item = ["PART II", "Item 8. Financial Statements"]
    assert tree(
        f"PART II\nItem 8. Financial Statements\n{PROSE}\nBASIS FOR OPINIONS\n{PROSE}",
        f"Balance Sheets\n{ROWS}",
        f"Statements of Cash Flows\n{ROWS}",
        f"Note 7 - Debt\n{PROSE}",
        f"Maturities of Debt\n{ROWS}",
        PROSE,
        f"8. Taxes\n{PROSE}",
    ) == [
        [*item, "BASIS FOR OPINIONS"],
        *([*item, "Balance Sheets"], [*item, "Statements of Cash Flows"]),
        [*item, "Note 7 - Debt"],
        *[[*item, "Note 7 - Debt", "Maturities of Debt"]] * 2,
        [*item, "8. Taxes"],
    ]


def test_lines_in_bold_are_headings_and_rows_and_labels_in_bold_are_not():
    for line in ("Use of estimates", "Changes in the fair value of debt"):
        text = f"It is\n{line}\nshort text under it\n"
        assert found(text) == [] and [item.title for item in find_headings(text, {line: BOLD})] == [line]
    for line in ("Total net sales", "Flight Time:", "Year ended December 31, 2023", "We may fail. Or not"):
        assert find_headings(f"Net sales 1,200 1,100\n{line}\nCost of sales 800 700\n", {line: BOLD}) == ()
    warning = ["The goods come as they are", "and the risk is with you", "who bought them from us", "for gold", "once"]
    assert find_headings("\n".join([*warning, PROSE]), dict.fromkeys(warning, BOLD)) == ()
    lines = ["Item 5. Market for the Common", "Stock, and Purchases of", "Securities"]
    text = "\n".join([*lines, "The shares are traded on", "the exchange of the town."])
    (heading,) = find_headings(text, dict.fromkeys(lines, BOLD))
    assert (heading.level, heading.title) == (2, " ".join(lines))
    two = find_headings(f"Note 5\nBorrowings\n{PROSE}", {"Note 5": (1.3, True), "Borrowings": BOLD})
    assert [item.title for item in two] == ["Note 5 Borrowings"]


def test_what_is_set_in_large_letters_is_above_capitals_and_these_above_title_case():
    page = f"Our Plans\n{PROSE}\nVISION CARE\n{PROSE}\nTips for You\n{PROSE}"
    strong = {"Our Plans": (1.5, True), "VISION CARE": BOLD}
    assert tree(*[(page, strong)] * 3)[-1] == ["Our Plans", "VISION CARE", "Tips for You"]
