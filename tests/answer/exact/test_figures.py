"""Numbers as people write them, both ways."""

from __future__ import annotations

from decimal import Decimal

import pytest

from localrag.answer.exact import figures
from localrag.answer.exact.figures import FIGURE, Figure


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1,250,000", "1250000", ""), ("1.250.000", "1250000", ""), ("1,250.50", "1250.50", ""), ("1.250,50", "1250.50", ""),
        ("12,5", "12.5", ""), ("2,400", "2400", ""), ("2.400", "2.400", ""), ("2.400 €", "2400", "EUR"), ("€2.400", "2400", "EUR"),
        ("0.125", "0.125", ""), ("$0.125", "0.125", "USD"), ("1’250’000.50", "1250000.50", ""), ("1 250 000", "1250000", ""),
        ("$1.25 million", "1250000", "USD"), ("3,5 Mio. Euro", "3500000", "EUR"), ("US$ 40k", "40000", "USD"), ("EUR 35.50", "35.50", "EUR"),
        ("12.5 %", "12.5", "%"), ("7 per cent", "7", "%"), ("40 km", "40", "km"), ("1,200 square feet", "1200", "sq ft"), ("3 years", "3", "year"),
    ],
)  # fmt: skip
def test_a_figure_is_read(text: str, value: str, unit: str) -> None:
    match = FIGURE.fullmatch(text)
    assert match is not None and figures.figure(match) == Figure(Decimal(value), unit)


def test_a_lone_separator_is_read_as_the_language_writes_it() -> None:
    assert figures.number("2.400", language="german") == 2400 and figures.number("2.400") == Decimal("2.4")
    assert figures.number("2,400", language="german") == Decimal("2.4") and figures.number("2,400") == 2400


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4000", "4,000"), ("0.30", "0.3"), ("-1234567.5", "-1,234,567.5"), ("0", "0"), ("1E+3", "1,000"),
        ("100", "100"), ("1E+30", "1E+30"), ("0.1", "0.1"), ("-0", "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_do(value: str, shown: str) -> None:
    assert figures.written(Decimal(value)) == shown


def test_money_has_cents_or_none_and_half_a_cent_is_rounded_up() -> None:
    shown = {text: str(figures.rounded(Figure(Decimal(text), "EUR"))) for text in ("360", "66.5", "66.585", "0.001")}
    assert shown == {"360": "360 EUR", "66.5": "66.50 EUR", "66.585": "66.59 EUR", "0.001": "0.001 EUR"}


def test_a_share_has_its_sign_and_two_decimals() -> None:
    shares = [figures.percent(Decimal(value)) for value in ("27.6151", "-25", "0", "0.00123")]
    assert shares == ["+27.62 %", "−25 %", "0 %", "+0.0012 %"]
