"""Errors of drafting, one for each kind, and what only looks like one."""

import pytest

from localrag.diff.changes import Version
from localrag.errors import Cancelled, UsageError
from localrag.redline import proofreading
from localrag.types import Page

SOUND = """Supply Agreement

This agreement is made on March 3, 2024 between Larkspur Trading Ltd. (the “Supplier”) and Quillfeather Foods GmbH (the “Buyer”).

1. Definitions

1.1 “Products” means the goods named in Schedule 1.

1.2 “Fee” has the meaning set forth in Section 2.2.

2. Delivery and fee

2.1 The Supplier shall deliver the Products within thirty (30) days, as Section 2.2 says.

2.2 The Buyer shall pay a fee (the “Fee”) of $100 for the Products to Larkspur Trading Ltd. on March 1 of each year.

2.3 The Buyer may return the Products and need not pay the Fee. Section 409 of the Companies Act applies.

3. Term

3.1 This agreement runs from March 3, 2024 to March 2, 2027.

Schedule 1

| Product | Price |
| --- | --- |
| Flour | $60 |
| Sugar | $40 |
| Total | $100 |

Signed: ____________________
"""


def faults(text):
    return proofreading.proofread(Version("draft.txt", (Page(text),), ""))


def test_a_sound_draft_has_no_fault():
    assert faults(SOUND) == []


@pytest.mark.parametrize(
    "was, is_now, kind, quote",
    [
        ("as Section 2.2 says", "as Section 2.7 says", "reference", "2.7"),
        ("as Section 2.2 says", "as Sections 2.2 and 4 say", "reference", "4"),
        ("as Section 2.2 says", "as\nSection 2.9 says", "reference", "2.9"),  # no heading
        ("in Schedule 1.", "in Schedule 3.", "missing", "Schedule 3"),
        ("Signed: ____________________", "", "missing", ""),
        ("thirty (30)", "thirty (45)", "figure", "thirty (45)"),
        ("March 3, 2024 between", "February 30, 2024 between", "date", "February 30, 2024"),
        ("to March 2, 2027", "to March 2, 2023", "date", "March 3, 2024 to March 2, 2023"),
        ("for the Products to Larkspur Trading", "for the Products to Larkspur Tradng", "party", "Larkspur Tradng Ltd"),
        ("for the Products to Larkspur Trading", "for the Products to Larkspur rading", "party", "Larkspur rading Ltd"),
        ("a fee (the “Fee”) of $100", "a fee (the “Fee”) of [●]", "blank", "[●]"),
        ("3.1 This", "TBD 3.1 This", "blank", "TBD"),
        ("fee (the “Fee”) of $100", "fee (the “Fee”) of [___]", "blank", "[___]"),
        ("2.3 The Buyer", "2.4 The Buyer", "numbering", "2.4"),
        ("| Total | $100 |", "| Total | $110 |", "sum", "$110"),
        ("1.2 “Fee”", "1.2 “Notice” means a letter. “Fee”", "term", "Notice"),
        ("1.2 “Fee”", "1.2 “Products” means all goods. “Fee”", "term", "Products"),
        ("return the Products", "return the Prodcts", "term", "Prodcts"),
        ("(the “Buyer”)", "", "term", "Buyer"),
        ("as Section 2.2 says", "as Section 2.7 to make it short says", "reference", "2.7"),
        ("in Schedule 1.", "in Schedule 3 to be read.", "missing", "Schedule 3"),
        (
            "for the Products to Larkspur Trading",
            "for the Products to LarkspurTrading",
            "party",
            "LarkspurTrading Ltd.",
        ),
        (
            "for the Products to Larkspur Trading Ltd.",
            "to Larkspur TradingLtd. of Kent",
            "party",
            "Larkspur TradingLtd.",
        ),
        ("1.2 “Fee”", "1.2 “API Test” means a test, the API Test, and so is the AP Test. “Fee”", "term", "AP Test"),
        ("return the Products", "return the Prodcts. 2.4 It", "term", "Prodcts"),
    ],
)
def test_a_fault_is_found_with_its_words(was, is_now, kind, quote):
    text = SOUND.replace(was, is_now, 1)
    assert text != SOUND
    found = [one for one in faults(text) if one.kind == kind]
    assert any(quote in one.quote for one in found) and all(one.reason for one in found)
    assert all(" ".join(text[one.start : one.end].split()) == one.quote for one in found)


def test_the_other_faults_of_a_text_are_not_touched_by_one():
    kinds = [
        one.kind
        for one in faults(SOUND.replace("thirty (30)", "thirty (45)").replace("in Schedule 1.", "in Schedule 3."))
    ]
    assert sorted(kinds) == ["figure", "missing"]


@pytest.mark.parametrize(
    "more",
    [
        "See Section 7.4 of the Lease and Article 12 of the Constitution.",
        "Section 409A of the Internal Revenue Code and Section 501(c)(3) apply.",
        "The price is [***] and was redacted.",
        "See Section 15(a) (4) of the Companies Act.",
        "By: ______________ Name: ______________",
        "It was one-half percent (1.5%) in 1999.",
        "The Bank of England sets the rate. The Bank of England publishes it.",
        "1.3 “CONFIDENTIAL PAPERS” means all papers. The Buyer keeps the Confidential Papers.",
        "1.3 “Order(s)” means a letter. The Buyer sends the Orders.",
        "It is due on the first (30) of the list. It costs Five Hundred\nThousand Dollars ($500,000).",
        "The Buyer chose: [X] by air [ ] by sea.",
        "It is paid as said in Section 2.2 (“Fees and Dates”).",
        "1.3 “Net Price” means the Fee less taxes. The Net Prices are due monthly.",
        "1.3 “Best Practice” or “BP” means care. The Buyer follows BP. “First Rule” or “Second Rule” is a rule, the Second Rule too.",
        "1.3 “LINK” means a tie. The Buyer shall send the Links to the Office of the Warden. The Office of the Warden is an office.",
        "Substitute “Supplier” for “Buyer” throughout. The Buyer shall end each Multi-party deal, such as this Multi-party one.",
        "Fit work means good work. Fit work means fine work. It is under the Flour Act 1987 (“FA”).",
        "The price of Larkspur Trading LLC and of Larkspur Trading GmbH is another.",
        "3 Section 1.7 Prices. Section 1.8 . Costs. It is paid as Sections 1.7 and 1.8 say.",
        "A running line   Schedule 4 Tables\n\nSee Schedule 4.\n\n                          EXHIBIT A\n    OATS\n\nSee Exhibit A.",
        "                  EXHIBIT A\n\nORDER FORM\n\nIt is under the agreement of Quillfeather Foods GmbH (the “Buyer”).",
        "LARKSPUR TRADING LTD. (“Supplier”)\n\nBy: Title:",
        "Acknowledged before me this ______ day of March by the Buyer.",
        "The term “Products” shall be deemed to include samples.",
        "It is a line known as “Kind Oats” (“KO”). The KO line is good.",
        "Interest is six per cent (6%). The list in Schedule 9 thereto is another.",
        "1.3 “BLUE MILL” means a mill. The Buyer likes the blue Mill and its Mill owner.",
        "The Buyer may ask any holder of rights (a valid “Green Card” holder) to leave.",
        "Section 2.2 is amended to read: “The Buyer shall pay under Section 9.9 and Schedule 7, and each Mill.”",
        "It is for Sabco Inc. (hereinafter Sabco). Sabco shall come. Sabco shall go.",
        "This Pledge is made for it. Each may end this Pledge. No one may sell this Pledge. A Pledge is a pledge.",
        "Exclusive: [ ] Yes [ ] No",
        "The data is “Pond Data” under the law.",
        "1.3 “Oat Line”, with respect to this agreement, shall mean a line. The Oat Line shall run. The Oat Line may stop.",
        "It is so of the “First Mill” or the “Last Mill”. The First Mill shall run. The First Mill may stop.",
        "1.3 “AB Fix” means a fix, the AB Fix. It is said that the AB Fixes are old.",
        "It goes to Larkspur Trading\nLtd. and to the Board of Wardens. The Board of Wardens meets.",
        "It is said (the “Fish” and “Fowl”) of Fish. The Fowl are old, each Fowl is, and such Fowl go as the Fowl do.",
        "The Buyer may ask for the Special Goods (as such term is defined in the Buyer's letter), the Special Goods being new.",
    ],
)
def test_what_belongs_elsewhere_is_no_fault(more):
    assert faults(SOUND.replace("3. Term", f"{more}\n\n3. Term")) == []


@pytest.mark.parametrize(
    "pages, words",
    [
        (
            [Page("Der Mieter zahlt die Miete, und die Kaution ist in der Höhe von drei Mieten zu leisten. " * 9)],
            "German",
        ),
        ([Page(SOUND, 1, unit="sheet"), Page(SOUND, 2, unit="sheet")], "sheets"),
    ],
)
def test_what_is_no_running_text_in_english_is_refused(pages, words):
    with pytest.raises(UsageError, match=words):
        proofreading.proofread(Version("draft", tuple(pages), ""))


def test_a_stop_is_obeyed():
    with pytest.raises(Cancelled):
        proofreading.proofread(Version("draft.txt", (Page(SOUND),), ""), lambda: True)


def test_a_quote_has_the_signs_of_its_page():
    text = SOUND.replace("fee (the “Fee”)", "fee (the “Fee“)").replace("on March 1", "on [insert “Day“ here]")
    (one,) = faults(text)
    assert one.quote == "[insert “Day“ here]" and text[one.start : one.end] == one.quote


def test_a_heading_with_a_title_behind_its_stop_attaches():
    attached = SOUND.replace("\n\nSchedule 1\n", "\nPage 9\nSchedule 1. Products and prices\nThe prices are these.\n")
    assert not [one for one in faults(attached) if one.kind == "missing"]


def test_a_line_that_says_who_signed_is_a_place_for_signatures():
    assert not faults(SOUND.replace("Signed: ____________________", "Signed for Larkspur by Ada Quill, Director."))


def test_references_of_an_amendment_are_to_what_it_amends():
    named = "Clause 9.3 is deleted and replaced with the following: “9.3 The Buyer shall pay within 30 days.”"
    amending = SOUND.replace("2.2 The Buyer", f"2.4 {named} Clause 9.4 and Schedule 7 stay.\n\n2.2 The Buyer")
    assert not [one for one in faults(amending) if one.kind in ("reference", "missing")]
    assert [
        one
        for one in faults(amending.replace("deleted and replaced with the following", "kept"))
        if one.kind == "missing"
    ]


def test_a_reference_at_the_start_of_a_line_attaches_nothing():
    text = SOUND.replace(
        "goods named in Schedule 1.", "goods named in Schedule 1 and in\nExhibit C of this agreement, with its tables."
    )
    assert [one.quote for one in faults(text)] == ["Exhibit C"]


def test_a_clause_about_signatures_is_no_place_for_them():
    text = SOUND.replace("Signed: ____________________", "Notes on flour. " * 300)
    more = text.replace("3. Term", "Electronic signatures are valid.\n\n3. Term")
    assert [one.reason for one in faults(more)] == ["there is no place for signatures"]


def test_roman_and_arabic_numbers_of_attachments_are_alike():
    assert faults(SOUND.replace("in Schedule 1.", "in Schedule I.")) == []


def test_terms_that_another_document_defines_are_not_missed():
    text = SOUND.replace("(the “Buyer”)", "")
    assert any("Buyer" in one.quote for one in faults(text))
    amended = text.replace(
        "1. Definitions", "Capitalized terms not used here have the meaning given in the Lease.\n\n1. Definitions"
    )
    assert not any(one.kind == "term" for one in faults(amended))


def test_a_slip_is_found_where_another_document_defines_terms():
    text = SOUND.replace("return the Products", "return the Prodcts").replace(
        "1. Definitions", "Capitalized terms not used here have the meaning given in the Lease.\n\n1. Definitions"
    )
    assert [one.quote for one in faults(text)] == ["Prodcts"]


def test_a_term_that_nobody_lets_act_is_missed_where_its_definition_is_gone():
    more = "It keeps the Delivery Point open, and the Delivery Point is a point of delivery at the Delivery Point. " * 2
    text = SOUND.replace("3. Term", f"{more}It is at the (“Delivery Point”).\n\n3. Term")
    assert faults(text) == []
    (one,) = faults(text.replace("(“Delivery Point”)", "gate"))
    assert one.kind == "term" and one.quote == "Delivery Point"


def test_a_party_whose_slip_is_in_the_list_of_parties_is_found_there():
    text = SOUND.replace("between Larkspur Trading", "between Larkspur Tradng").replace(
        "2.3 The", "It goes to Larkspur Trading Ltd.\n\n2.3 The"
    )
    assert [(one.kind, one.quote, one.meant) for one in faults(text)] == [
        ("party", "Larkspur Tradng Ltd.", "Larkspur Trading Ltd")
    ]


def test_the_same_fault_many_times_is_one():
    (one,) = faults(SOUND.replace("3. Term", "TBD\n\nTBD\n\nTBD\n\n3. Term"))
    assert one.times == 3 and "3 times" in one.said


@pytest.mark.parametrize("text", ["", "   \n", "No contract at all.", "(" * 5000, "Section " * 4000, "“A” " * 4000])
def test_any_text_is_read_in_time(text):
    faults(text)


def test_a_fault_on_a_later_page_has_its_page():
    first, _, second = SOUND.partition("2. Delivery")
    pages = (Page(first, 1), Page(f"2. Delivery{second}".replace("thirty (30)", "thirty (45)"), 2))
    (one,) = proofreading.proofread(Version("draft.pdf", pages, ""))
    assert one.page == 2 and one.place == "p. 2" and pages[1].text[one.start : one.end] == "thirty (45)"


def test_an_abbreviation_that_acts_is_a_term():
    more = (
        "It is the JRVS. The goods of JRVS and such JRVS goods go to the JRVS, and JRVS shall pay for the JRVS goods. "
        * 3
    )
    text = SOUND.replace("3. Term", f"(the “JRVS”) {more}\n\n3. Term")
    assert faults(text) == []
    (one,) = faults(text.replace("(the “JRVS”)", ""))
    assert one.kind == "term" and one.quote == "JRVS"


def test_a_label_where_one_signs_gives_a_term_no_meaning():
    text = SOUND.replace("(the “Buyer”)", "").replace("Signed:", "Buyer: Quillfeather Foods GmbH\n\nSigned:")
    assert [one.quote for one in faults(text)] == ["The Buyer"]


def test_references_to_numbers_that_are_not_in_the_text_are_no_faults():
    text = "See Sections 2.2, 6.1, 6.2, 6.3 and 6.4."
    assert [one.quote for one in faults(SOUND.replace("as Section 2.2 says", text))] == []
    more = "See Sections 2.2 and 6.1."
    assert [one.quote for one in faults(SOUND.replace("as Section 2.2 says", more))] == ["6.1"]
