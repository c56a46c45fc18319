"""Deadlines found by code: who, what, when, and what a date is counted from."""

from __future__ import annotations

import pytest
from waiting import cheap

from localrag.items import deadlines, facts
from localrag.types import Citation, Document, Looked, Page

DOCUMENT = Document(1, "/root", "a.pdf", "", "hash", 1, 1, 1, 1, False)


def find(*pages):
    read = [Page(text, number) for number, text in enumerate(pages, 1)]
    found = deadlines.find("lib", DOCUMENT, read, facts=facts.find(DOCUMENT, read))
    for one in found:
        for cited in filter(None, (one.citation, one.start)):
            page = pages[(cited.page or 1) - 1]
            assert page[cited.start : cited.end] == cited.quote
    return found


def only(*pages):
    (found,) = find(*pages)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "who", "when", "date"),
    [
        ("The Tenant shall pay the rent by 3 March 2030.", "payment", "Tenant", "3 March 2030", "2030-03-03"),
        (
            "Either party may terminate on 60 days' prior written notice.",
            "notice",
            "Either party",
            "60 days' prior written notice",
            "",
        ),
        (
            "The Supplier shall, within thirty (30) days after receipt of the goods, inspect them.",
            "duty",
            "Supplier",
            "thirty (30) days after receipt of the goods",
            "",
        ),
        (
            "The Seller shall give the Buyer at least 90 days from the date of this Agreement.",
            "duty",
            "Seller",
            "90 days from the date of this Agreement",
            "",
        ),
        ("The Buyer shall have at least 60 days from receipt.", "duty", "Buyer", "60 days from receipt", ""),
        (
            "The goods shall remain there not less than 30 days of the date of the order.",
            "duty",
            "goods",
            "30 days of the date of the order",
            "",
        ),
        ("The Buyer must answer by 31 January each year.", "duty", "Buyer", "31 January each year", ""),
        ("The parties shall review the fee in April 2026.", "payment", "parties", "April 2026", "2026-04"),
        ("If the Buyer fails to pay within 10 days, interest is due.", "condition", "Buyer", "within 10 days", ""),
        (
            "The Lessee may leave if the other Party fails to cure it within 9 days.",
            "condition",
            "other Party",
            "within 9 days",
            "",
        ),
        ("It is renewed unless either party gives 60 days' notice.", "notice", "either party", "60 days' notice", ""),
        ("X shall deliver the report signed by the Chair by 3 May 2030.", "duty", "X", "3 May 2030", "2030-05-03"),
        ("Der Mieter muss die Miete bis 3. März 2030 zahlen.", "payment", "Der Mieter", "3 March 2030", "2030-03-03"),
        ("Le locataire doit payer avant le 3 mars 2030.", "payment", "Le locataire", "3 March 2030", "2030-03-03"),
    ],
)
def test_a_deadline_says_who_and_when(text, kind, who, when, date):
    found = only(text)
    assert (found.kind, found.who, found.when, found.date) == (kind, who, when, date)
    assert found.citation.quote == text and found.start is None and found.what


@pytest.mark.parametrize(
    "text",
    [
        "Revenue for the year ended 31 December 2022 was higher.",
        "The agreement was signed on 3 March 2020.",
        '"Contract Year" means a period of twelve months from the Start Date.',
        "Liability is limited to the fees in the twelve months preceding the claim.",
        "The Tenant shall pay the fee within the first twelve months after 1 May 2021.",
        "Employees with five years of service have a locker.",
        "The rent is EUR 12,000 a year.",
        "Notices are deemed received two days after posting.",
        "12 March 2024 | 13 March 2025 | 99",
        "The Tenant is not obliged to pay the rent before 3 March 2030.",
        "On 31 May 2019, the shares in issue amounted to 5,129.",
        "Interest decreased by 5 %, mainly due to the sale in June 2019.",
        "We refinanced the agreement, which extended the loan until March 2023.",
        "You don't have to wait until 1 October 2030.",
        "With a deadline within one year, the team designed studies that did not need it.",
        "At 31 March 2018, we had a loss carryforward that expires, if unused, in 2031.",
        "Fiscal year end 31 March 2018 differences consist of two amounts.",
    ],
)
def test_what_only_tells_is_no_deadline(text):
    assert find(text) == []


def test_a_pronoun_is_who_the_sentence_before_is_about():
    assert [one.who for one in find("The Landlord holds the deposit. It shall return it within 9 days.")] == [
        "Landlord"
    ]


def test_items_of_a_list_have_the_subject_of_its_beginning():
    found = find("The Supplier shall:\n(a) deliver a plan within 10 days;\n(b) report by 5 May 2030.\n")
    assert [(one.who, one.when) for one in found] == [("Supplier", "within 10 days"), ("Supplier", "5 May 2030")]


@pytest.mark.parametrize(
    ("pages", "date", "origin"),
    [
        (
            ['"Start Date" means 1 March 2025.', "The Agent shall report within 30 days of the Start Date."],
            "2025-03-31",
            '"Start Date" means 1 March 2025.',
        ),
        (
            [
                "This Agreement is made on 31 January 2024. It ends today.",
                "A Ltd shall pay one month after the date of this Agreement.",
            ],
            "2024-02-29",
            "This Agreement is made on 31 January 2024.",
        ),
        (["The term begins on 1 April 2025 and continues for 12 months."], "2026-03-31", ""),
        (["Term: two years from and including 1 April 2025"], "2027-03-31", ""),
        (["A Ltd shall answer within six weeks after 4 May 2026."], "2026-06-15", ""),
    ],
)
def test_a_span_is_counted_from_the_date_that_it_names(pages, date, origin):
    (found,) = [one for one in find(*pages) if one.start]
    assert found.date == date and found.start is not None
    assert found.start.quote == (origin or found.citation.quote)


def test_a_renewal_is_counted_from_the_end_of_the_term():
    found = find("This Agreement begins on 1 April 2025, ends on 31 August 2025 and renews for a term of 6 months.")
    assert [(one.kind, one.date, one.start is not None) for one in found] == [
        ("renewal", "2026-02-28", True),
        ("end", "2025-08-31", False),
    ]
    found = find(
        "The term of this Agreement begins on 1 April 2025 and continues for two years. It is renewed for "
        "successive terms of one year each."
    )
    assert [(one.kind, one.date) for one in found] == [("end", "2027-03-31"), ("renewal", "2028-03-31")]
    assert find("The term begins on 1 April 2025. It is renewed for 6 months.")[0].date == ""


def test_notice_is_counted_back_from_the_end_of_the_term():
    found = find("Notice must be given 60 days before the end of the term.", "This agreement ends on 31 May 2030.")
    assert [(one.date, one.start is not None) for one in found] == [("2030-04-01", True), ("2030-05-31", False)]
    two = find(
        "Notice must be given 60 days before the end of the term.",
        "This agreement ends on 31 May 2030.",
        "This agreement ends on 30 June 2031.",
    )
    assert two[0].date == ""  # which of both is not guessed


@pytest.mark.parametrize(
    "text",
    [
        "“Start Date” means 1 March 2025. “Start Date” means 1 April 2025. X shall pay within 9 days of the Start Date.",
        "“Start Date” means 1 March 2025. X shall pay within 9 business days of the Start Date.",
        "“Start Date” means 1 March 2025. X shall pay within 9 hours of the Start Date.",
        "“Start Date” means 1 March 2025. X shall pay within 9999 years of the Start Date.",
        "X shall pay within 9 days of the Start Date.",
    ],
)
def test_what_is_in_doubt_is_not_counted(text):
    assert [one.date for one in find(text) if "pay" in one.citation.quote] == [""]


def test_a_span_that_explains_a_stated_day_adds_no_other():
    start = "This Agreement is dated 22 March 2021."
    day = "The Tenant may object by notice by 25 November 2025"
    assert only(start, f"{day}, which is 42 days after the date of this Agreement.").date == "2025-11-25"
    assert [one.date for one in find(start, f"{day}, or 42 days after the date of this Agreement.") if one.start] == [
        "2021-05-03"
    ]


def test_a_date_that_is_stated_and_counted_is_one_deadline():
    text = "The Tenant may object by 25 November 2025, which is 42 days after 14 October 2025."
    assert [(one.date, one.start) for one in find(text)] == [("2025-11-25", None)]


@pytest.mark.parametrize(
    "text", ["within " * 20_000, "(" * 50_000 + "by 3 May 2030", "a b, " * 30_000 + "3 days", "if the " * 9000]
)
def test_odd_text_takes_no_time(text):
    with cheap(5):
        find(text, "\x00\ud800 shall \u202e by 3 May 2030")


@pytest.mark.parametrize(("signed", "day"), [("The lease was signed on 3 May 2030. ", "2030-06-02"), ("", "")])
def test_a_span_of_a_review_counts_from_the_date_that_its_sentence_refers_to(signed, day):
    text = f"{signed}It lasts for 30 days after that date."
    at = text.index("30 days")
    cited = Citation("lib", "a.pdf", 1, None, "p. 1", text[at:], at, len(text), 1)
    looked = Looked(True, "30 days after that date", cited, 0.9, "", "", "2026-01-01", "term", "duration", "Book")
    (found,) = deadlines.find("lib", DOCUMENT, [Page(text, 1)], [looked])
    assert (found.kind, found.date) == ("item", day)


def test_a_sentence_is_searched_for_dates_once_however_many_deadlines_there_are(monkeypatch):
    searched: list[str] = []
    find_dates = deadlines.find_dates

    def counted(text):
        searched.append(text)
        return find_dates(text)

    monkeypatch.setattr(deadlines, "find_dates", counted)
    start = "The Start Date is 1 March 2030."
    found = find(
        " ".join([start, *(f"The Tenant shall pay within {n} days after the Start Date." for n in range(1, 31))])
    )
    assert [one.date for one in found][:2] == ["2030-03-02", "2030-03-03"] and len(found) == 30
    assert searched.count(start) == 1


def test_what_must_not_be_done_is_said_so_where_the_time_comes_first():
    for text in (
        "Finch shall not, for 24 months after 3 March 2026, employ any employee of Alder.",
        "Finch shall not employ any employee of Alder before 3 March 2028.",
    ):
        assert [one.what[:10] for one in find(text)] == ["not employ"]


def test_no_day_is_counted_from_a_footer_or_a_term_that_begins_alike():
    made = "This Agreement is made on 26 January 2007 (the “Effective Date”)."
    duty = "Within 10 days of the Effective Date of Termination, Customer shall return the Software."
    footer = "Source: ACME CORP, 8-K, 3/26/2019"
    pages = [
        f"{made}\n{footer}",
        f"{duty}\n{footer}",
        f"Customer shall pay within 5 days of the Effective Date.\n{footer}",
    ]
    assert [one.date for one in find(*pages) if one.start] == ["2007-01-31"]


def test_what_is_effective_until_a_day_ends_then():
    (one,) = find("This Agreement shall be effective until 30 June 2027.")
    assert (one.kind, one.date) == ("end", "2027-06-30")


def test_a_day_beside_a_signature_alone_is_not_counted_from():
    found = find(
        "Licensor shall deliver within 14 days after the signing of this Agreement.", "/s/ Ann Lee\nDate: March 3, 2006"
    )
    assert [one.date for one in found] == [""]
