"""Identifiers: found however they are grouped; listed only where their check digits are right."""

from __future__ import annotations

import pytest

from localrag.answer.exact import identifiers
from localrag.answer.exact.identifiers import KINDS


def found(text: str, identifier: str) -> list[str]:
    places = [text[mark.start : mark.end] for mark in identifiers.written(text, identifier)]
    assert identifiers.may_hold(text, identifier) or not places  # the quick look never says no wrongly
    return places


@pytest.mark.parametrize(
    ("text", "identifier", "places"),
    [
        ("DE44 5001 0517 5407 3249 31", "DE44500105175407324931", ["DE44 5001 0517 5407 3249 31"]),
        ("DE44500105175407324931x DE4450-0105-1754-0732-4931", "de44 5001 0517 5407 3249 31", ["DE4450-0105-1754-0732-4931"]),
        ("INV-2024-0117, INV 2024 0117, inv2024/0117, INV-2024-01178", "INV-2024-0117", ["INV-2024-0117", "INV 2024 0117", "inv2024/0117"]),
        ("+49 30\n123456-78", "+49 30 12345678", ["+49 30\n123456-78"]),
        ("clause 4.1, 4.1.2, 14.1 and 4.1(b)", "4.1", ["4.1", "4.1"]),
        ("12 O 345/23 and 12O345/23", "12 O 345/23", ["12 O 345/23", "12O345/23"]),
        ("see page 12 345", "12345", []),  # too short to be grouped at will
        ("Jane.Doe@Example.com", "jane.doe@example.com", ["Jane.Doe@Example.com"]),
        ("anything", " - ", []),
    ],
)  # fmt: skip
def test_an_identifier_is_found_however_it_is_grouped(text: str, identifier: str, places: list[str]) -> None:
    assert found(text, identifier) == places


TEXT = """Pay DE44 5001 0517 5407 3249 31 THEN GB82WEST12345698765432, not DE44 5001 0517 5407 3249 32.
Write to Jane.Doe@example.co.uk, (212) 555-0123 or +49 (0)30 123456-78; not a@b or @home. Card 4111 1111 1111 1111,
not 4111 1111 1111 1112. See https://example.org/a?b=1, www.example.org. ISIN US0378331005 (US0378331006),
LEI 5493001KJTIIGC8Y1R12, ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2, DOI 10.1371/journal.pone.0007211.
On 3 March 2024 and 03/04/2024 they paid $1,250,000, EUR 35.50 and 1.5 million euros: 12.5% of 40 items, or 7 percent.
"""


@pytest.mark.parametrize(
    ("sort", "values"),
    [
        ("IBAN", ["DE44500105175407324931", "GB82WEST12345698765432"]), ("e-mail address", ["jane.doe@example.co.uk"]),
        ("telephone number", ["2125550123", "+493012345678"]), ("card number", ["4111111111111111"]),
        ("web address", ["https://example.org/a?b=1", "www.example.org"]), ("ISIN", ["US0378331005"]),
        ("LEI", ["5493001KJTIIGC8Y1R12"]), ("ISBN", ["9783161484100", "0306406152"]), ("DOI", ["10.1371/journal.pone.0007211"]),
        ("date", ["2024-03-03", "03/04/2024"]), ("amount", ["1,250,000 USD", "35.50 EUR", "1,500,000 EUR"]),
        ("percentage", ["12.5 %", "7 %"]),
    ],
)  # fmt: skip
def test_all_of_a_kind_are_listed(sort: str, values: list[str]) -> None:
    assert [mark.value for mark in KINDS[sort](TEXT)] == values


def test_every_kind_can_be_named_and_was_tried() -> None:
    named = [
        "e-mail addresses",
        "URLs",
        "IBANs",
        "ISINs",
        "LEI codes",
        "ISBN numbers",
        "credit card numbers",
        "phone numbers",
        "DOIs",
        "dates",
        "amounts",
        "percentages",
    ]
    assert [identifiers.kind_named(words) for words in named] == list(KINDS) and identifiers.kind_named(
        "parties"
    ) is None
