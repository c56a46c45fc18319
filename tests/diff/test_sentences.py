"""Two sentences differ where they say another figure, date, term or "not" of the same, and only there."""

from __future__ import annotations

import pytest

from localrag.diff.sentences import difference

DIFFER = [
    ("The notice period is 30 days.", "The notice period is 60 days.", "30 days", "60 days"),
    ("The notice period is thirty (30) days.", "The notice period is 60 days.", "thirty (30) days", "60 days"),
    (
        "4.1 The Buyer shall pay each invoice within 45 days.",
        '"4.1 The Buyer shall pay each invoice within 30 days."',
        "45 days",
        "30 days",
    ),
    (
        "4.1 The Buyer shall pay each invoice within 45 days.",
        "5.2 The Buyer shall pay each invoice within two months.",
        "45 days",
        "two months",
    ),
    ("Interest on late payment is 5 percent a year.", "Interest on late payment is 8 % a year.", "5 percent", "8 %"),
    ("The deposit amounts to EUR 12,000.", "The deposit amounts to EUR 15,000.", "EUR 12,000", "EUR 15,000"),
    ("The deposit amounts to EUR 12,000.", "The deposit amounts to 12.500 €.", "EUR 12,000", "12.500 €"),
    (
        "Total liability is limited to $1.5 million.",
        "Total liability is limited to $2 million.",
        "$1.5 million",
        "$2 million",
    ),
    ("The lease ends on 31 May 2030.", "The lease ends on 31 May 2031.", "31 May 2030", "31 May 2031"),
    ("The lease ends on 31 May 2030.", "The lease ends on 2031-05-31.", "31 May 2030", "2031-05-31"),
    ("The licence runs until 2027.", "The licence runs until 2029.", "2027", "2029"),
    ("Employees have 25 days of paid leave.", "Employees have 28 days of paid leave.", "25 days", "28 days"),
    (
        "Either party may assign this Agreement without consent.",
        "Either party may not assign this Agreement without consent.",
        None,
        None,
    ),
    ("Files are kept for seven years.", "Files are kept for ten years.", "seven years", "ten years"),
    (
        "Die Kündigungsfrist beträgt drei Monate zum Monatsende.",
        "Die Kündigungsfrist beträgt sechs Monate zum Monatsende.",
        "drei Monate",
        "sechs Monate",
    ),
    ("Die Miete beträgt 1.200 € im Monat.", "Die Miete beträgt 1.350 € im Monat.", "1.200 €", "1.350 €"),
    (
        "The rent is EUR 48,000 a year, payable in quarterly instalments of EUR 12,000.",
        "The rent is EUR 52,000 a year, payable in quarterly instalments of EUR 13,000.",
        None,
        None,
    ),
    ("Delivery takes between 5 and 10 working days.", "Delivery takes between 7 and 14 working days.", None, None),
    (
        "The Supplier shall answer emergency calls within four (4) hours of the call, at any time of the day or night.",
        "The Supplier shall answer all emergency calls within two (2) hours of the call, at any time of the day or night.",
        "four (4) hours",
        "two (2) hours",
    ),
    (
        "| SL3 | Emergency retrieval | 4 hours, at any time | 99.0% |",
        "| SL3 | Emergency retrieval | 2 hours, at any time | 99.0% |",
        "4 hours",
        "2 hours",
    ),
    (
        "The tenant must give six months' notice.",
        "The tenant must give nine months' notice.",
        "six months",
        "nine months",
    ),
    (
        "Visitors shall wear a badge at all times on site.",
        "Visitors shall never wear a badge at all times on site.",
        None,
        None,
    ),
]

AGREE = {
    "the same": ("The notice period is 30 days.", "The notice period is thirty (30) days."),
    "another thing by a word": ("The fee for urgent retrieval is EUR 30.", "The fee for standard retrieval is EUR 20."),
    "another thing by a name": (
        "The rent of Hall 3 is EUR 30,000 a year.",
        "The rent of Wharf House is EUR 20,000 a year.",
    ),
    "another party": ("The Trust shall pay within 30 days.", "The Supplier shall pay within 15 days."),
    "another plan": ("Under Standard, the yearly deductible is $2,000.", "Under Plus, the yearly deductible is $500."),
    "another period": (
        "Net sales for the quarter ended 1 July 2023 were $81.8 billion.",
        "Net sales for the quarter ended 25 June 2022 were $83.0 billion.",
    ),
    "another day": (
        "As of 30 September 2023 we had 161,000 employees.",
        "As of 30 June 2023 we had 161,000 employees.",
    ),
    "another year": ("In 2023, revenue grew by 5 percent.", "In 2022, revenue grew by 9 percent."),
    "the year alone": (
        "The budget for 2025 was adopted by the board.",
        "The budget for 2026 was adopted by the board.",
    ),
    "a reference": ("See Section 9.3 for the limit of liability.", "See Section 9.4 for the limit of liability."),
    "a number of a page": ("Details are given in note 7 on page 12.", "Details are given in note 8 on page 14."),
    "a row of figures": (
        "| Total net sales | 94,836 | 81,797 | 293,787 | 297,392 | 5 |",
        "| Total net sales | 94,836 | 82,959 | 304,182 | 297,392 | 6 |",
    ),
    "two columns of figures": ("| Finished goods | 3,563 | 3,309 |", "| Finished goods | 4,307 | 3,309 |"),
    "two columns of money": (
        "| Raw materials for boxes | $1,060 | $1,144 |",
        "| Raw materials for boxes | $1,143 | $1,144 |",
    ),
    "a list of contents": ("Condensed Statements of Income 4", "Condensed Statements of Income 3"),
    "a quarter": ("Q3 2023 against the plan", "Q1 2023 against the plan"),
    "a span of time": (
        "In the first six months of the year sales did not change.",
        "In the first three months of the year sales did not change.",
    ),
    "a page in a row": ("| Statements of Cash Flows | 7 |", "| Statements of Cash Flows | 6 |"),
    "a signature": ("Date: October 26, 2023 By: A. Varr, Director", "Date: April 27, 2023 By: A. Varr, Director"),
    "units of another kind": ("The limit is 30 kg for each parcel.", "The limit is 30 percent for each parcel."),
    "too little said": ("Fee: EUR 30", "Fee: EUR 40"),
    "other words": ("The lease may be ended after six years.", "The deposit is repaid after four years."),
    "a further condition": ("Late fees are 5 percent.", "Late fees are 8 percent in summer months."),
}


@pytest.mark.parametrize(("one", "other", "first", "second"), DIFFER, ids=[pair[1][:40] for pair in DIFFER])
def test_these_differ_and_it_is_told_in_what(one: str, other: str, first: str | None, second: str | None) -> None:
    for a, b, words in ((one, other, (first, second)), (other, one, (second, first))):
        found = difference(a, b)
        assert found is not None
        if first is not None:
            assert (a[slice(*found.one)], b[slice(*found.other)]) == words


@pytest.mark.parametrize(("one", "other"), AGREE.values(), ids=AGREE)
def test_these_do_not(one: str, other: str) -> None:
    assert difference(one, other) is None and difference(other, one) is None
