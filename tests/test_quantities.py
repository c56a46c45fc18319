import re
from datetime import date
from decimal import Decimal

import pytest

from localrag import quantities
from localrag.quantities import QUANTITY, Quantity


def test_a_quantity_is_read():
    expected = {
        "1,250,000": ("1250000", ""),
        "1.250.000": ("1250000", ""),
        "1.250,50": ("1250.50", ""),
        "12,5": ("12.5", ""),
        "2,400": ("2400", ""),
        "2.400": ("2.400", ""),
        "2.400 €": ("2400", "EUR"),
        "$0.125": ("0.125", "USD"),
        "1’250’000.50": ("1250000.50", ""),
        "$1.25 million": ("1250000", "USD"),
        "US$ 40k": ("40000", "USD"),
        "12.5 %": ("12.5", "%"),
        "1,200 square feet": ("1200", "sq ft"),
        "3 years": ("3", "year"),
    }
    found = {text: quantities.parse_quantity(match) for text in expected if (match := QUANTITY.fullmatch(text))}
    assert found == {text: Quantity(Decimal(value), unit) for text, (value, unit) in expected.items()}
    number = quantities.parse_number  # a lone separator is read as the text writes decimals
    assert number("2.400", decimal_comma=True) == 2400 and number("2.400") == Decimal("2.4")
    assert number("2,400", decimal_comma=True) == Decimal("2.4") and number("2,400") == 2400


def test_numbers_are_written_with_thousands_and_money_with_cents():
    expected = {"4000": "4,000", "0.30": "0.3", "-1234567.5": "-1,234,567.5", "0": "0", "1E+3": "1,000"}
    expected |= {"100": "100", "1E+30": "1E+30", "0.1": "0.1", "-0": "0"}
    assert {value: quantities.format_number(Decimal(value)) for value in expected} == expected
    shown = [str(Quantity(Decimal(text), "EUR")) for text in ("360", "66.5", "0.001")]
    assert shown == ["360 EUR", "66.50 EUR", "0.001 EUR"]


def test_dates_are_read_in_their_usual_forms_and_no_other():
    expected = {
        "3 March 2024": "2024-03-03",
        "March 3rd, 2024": "2024-03-03",
        "2024-03-03": "2024-03-03",
        "03.03.2024": "2024-03-03",
        "3. März 2024": "2024-03-03",
        "1.2.85": "1985-02-01",
        "12/31/2024": "2024-12-31",
        "1er août 2024": "2024-08-01",
        "3 de marzo de 2024": "2024-03-03",
        "3 марта 2024": "2024-03-03",
        "3 marca 2024": "2024-03-03",
        "3 مارس 2024": "2024-03-03",
        "2024年3月3日": "2024-03-03",
        "2024년 3월 3일": "2024-03-03",
    }
    found = {text: str(written.certain) for text in expected if (written := quantities.parse_date(text))}
    assert found == expected
    texts = ["31 June 2024", "2024-13-01", "30.02.2024", "March 2024", "3 March", "1.2.3", "10.1.2.3", "v1.2.2024.1"]
    assert [text for text in (*texts, "2024", "99/99/2024") if quantities.parse_date(text)] == []


def test_an_ambiguous_date_keeps_both_readings():
    text = 'Signed on March 3, 2024 (the "Date"), effective 2024-04-01; see 1.2.3 and 03/04/2024. Ends May 2025.'
    found = list(quantities.find_dates(text))
    assert [text[one.start : one.end] for one in found] == ["March 3, 2024", "2024-04-01", "03/04/2024"]
    assert [len(one.readings) for one in found] == [1, 1, 2]
    (within,) = quantities.find_dates("合同自2024年3月3日起生效")
    assert within.text == "2024年3月3日"


def test_a_month_later_is_the_same_day_or_the_last():
    assert quantities.add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert quantities.add_months(date(2024, 2, 29), -24) == date(2022, 2, 28)
    with pytest.raises(OverflowError):
        quantities.add_months(date(2024, 1, 1), 120_000)


def test_a_lazy_pattern_compiles_at_its_first_use(monkeypatch):
    compiled = []
    real = re.compile
    monkeypatch.setattr(re, "compile", lambda *given: compiled.append(given) or real(*given))
    pattern = quantities.lazy_re(r"(?P<word>b+)", re.I)
    assert pattern.pattern == r"(?P<word>b+)" and compiled == []
    assert [match["word"] for match in pattern.finditer("abBcb")] == ["bB", "b"] and len(compiled) == 1
    assert pattern.sub("-", "aBc") == "a-c" and pattern.fullmatch("ab") is None
    assert pattern.search("xb", 2) is None and pattern.split("abc") == ["a", "b", "c"]
    with pytest.raises(re.error):
        quantities.lazy_re("(").search("")


def test_number_words_have_their_values():
    expected = {
        "twelve months": [12],
        "thirty (30) days": [30],
        "two hundred and fifty thousand dollars": [250_000],
        "one million two hundred thousand": [1_200_000],
        "at ten thirty": [10, 30],
        "einundzwanzig Tage, dreißig Tage": [21, 30],
        "vingt jours, treinta días, dertig dagen": [20, 30, 30],
        "the third of five": [3, 5],
        "millions of people, wait a second": [],
        "often, someone, tent, a fourfold thing": [],
    }
    found = {text: [number.value for number in quantities.find_number_words(text)] for text in expected}
    assert found == expected and len(list(quantities.find_number_words("seven " * 5000))) == 5000
