"""Quantities and typed values read from short texts, and limits that questions set."""

from datetime import date

import pytest

from localrag.items.values import Measured, comparison, grammar, measure, read

YEAR = 365.2425


@pytest.mark.parametrize(
    ("text", "kind", "value", "unit"),
    [
        ("thirty (30) days", "duration", 30, ""),
        ("one hundred twenty (120) days", "duration", 120, ""),
        ("a period of one year", "duration", YEAR, ""),
        ("two years and 6 months", "duration", 2.5 * YEAR, ""),
        ("trente jours", "duration", 30, ""),
        ("$1.2 million", "money", 1_200_000, "USD"),
        ("5 per cent", "percent", 5, ""),
        ("4 percent a year", "percent", 4, ""),
        ("one and one-half percent (1 1/2%) per month", "percent", 1.5, ""),
        ("2¼ years", "duration", 2.25 * YEAR, ""),
        ("twenty-one", "number", 21, ""),
    ],
)
def test_a_quantity_is_read_with_its_unit(text, kind, value, unit):
    found = measure(text)
    assert found is not None and (found.measure, found.unit) == (kind, unit)
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("It ends on 31 May 2030.", date(2030, 5, 31)),
        ("the 1st day of September 2004", date(2004, 9, 1)),
        ("13.1.2005", date(2005, 1, 13)),
        ("2019", date(2019, 1, 1)),
    ],
)
def test_a_date_is_read_however_it_is_written(text, day):
    assert measure(text) == Measured("date", float(day.toordinal()))


def test_no_quantity_is_none():
    assert measure("the laws of Kansas") is None and measure("") is None


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        ("of at least 60 days", "sixty (60) days", "one month"),
        ("under $500", "USD 499", "$500"),
        ("before 2024", "31 December 2023", "1 January 2024"),
        ("after 2020", "1 January 2021", "31 December 2020"),
    ],
)
def test_a_limit_lets_through_what_is_within_it(limit, inside, outside):
    found = comparison(limit)
    assert found is not None
    good, bad = measure(inside), measure(outside)
    assert good is not None and bad is not None
    assert (found[1].passes(good), found[1].passes(bad)) == (True, False)


def test_different_currencies_and_measures_are_not_compared():
    found = comparison("over 500 euros")
    assert found is not None
    for text in ("$900", "900 days", "900"):
        value = measure(text)
        assert value is not None and not found[1].passes(value)


# --- values of a type ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "words", "form", "unit"),
    [
        ("date", "Invoice date: 2024-03-03", "2024-03-03", ""),
        ("date", "03/04/2024", "2024-03-04", ""),
        ("date", "3.4.2024", "2024-04-03", ""),
        ("date", "3. März 2024", "2024-03-03", ""),
        ("date", "le 1er août 2024", "2024-08-01", ""),
        ("date", "May 2025", "2025-05", ""),
        ("duration", "thirty (30) days' notice", "P30D", ""),
        ("duration", "2 years and 6 months", "P2Y6M", ""),
        ("duration", "1.5 years", "P18M", ""),
        ("duration", "a quarter", "P3M", ""),
        ("duration", "24 hours", "PT24H", ""),
        ("duration", "two weeks and 3 days", "P17D", ""),
        ("duration", "sechs (6) Monate", "P6M", ""),
        ("duration", "trois mois", "P3M", ""),
        ("money", "$1.2 million", "1200000", "USD"),
        ("money", "1.234,56 EUR", "1234.56", "EUR"),
        ("money", "1 234,56 €", "1234.56", "EUR"),
        ("money", "CHF 1'234.50", "1234.50", "CHF"),
        ("money", "1.200,- EUR", "1200", "EUR"),
        ("money", "3,5 Mio. Euro", "3500000", "EUR"),
        ("money", "twelve thousand dollars", "12000", "USD"),
        ("money", "Total due EUR 9,401.00 (19 % VAT)", "9401.00", "EUR"),
        ("money", "7,900.00", "7900.00", ""),
        ("money", "(1,234)", "-1234", ""),
        ("money", "-€50", "-50", "EUR"),
        ("percent", "0,5 %", "0.5", ""),
        ("percent", "1.5% a month", "1.5", ""),
        ("money", "EUR 10 a week", "10", "EUR"),
        ("percent", "5 Prozent", "5", ""),
        ("percent", "(3.2)%", "-3.2", ""),
        ("percent", "5", "5", ""),
        ("number", "twenty-one", "21", ""),
        ("number", "40 kg", "40", "kg"),
        ("yes/no", "Yes, within 30 days", "true", ""),
        ("yes/no", "not paid", "false", ""),
        ("yes/no", "Oui", "true", ""),
        ("yes/no", "[ ]", "false", ""),
        ("yes/no", "☐", "false", ""),
        ("party", 'Orlo Ltd, a Delaware corporation (the "Tenant")', "Orlo Ltd", ""),
        ("text", "in  whole\nor in part", "in whole or in part", ""),
    ],
)
def test_a_value_is_read_and_written_for_machines(type, words, form, unit):
    found = read(type, words)
    assert found is not None and (found.type, found.form, found.unit) == (type, form, unit)
    assert found.words == " ".join(words.split())


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("date", "1 January"),
        ("date", "INV-2024-0117"),
        ("duration", "30"),
        ("money", "5 %"),
        ("money", "INV-2024-01"),
        ("money", "31.12.2024"),
        ("percent", "EUR 5"),
        ("percent", "10-20 %"),
        ("number", "31 May 2030"),
        ("number", "10-20"),
        ("yes/no", "maybe"),
        ("party", "42"),
        ("text", "n/a"),
        ("date", ""),
    ],
)
def test_words_without_such_a_value_hold_none(type, words):
    assert read(type, words) is None


@pytest.mark.parametrize(
    ("words", "choice"),
    [("Paid in full", "paid"), ("partly paid", "partly paid"), ("paid or open", None), ("unpaid", None)],
)
def test_a_choice_is_the_only_one_that_is_named(words, choice):
    found = read("choice", words, ("paid", "open", "partly paid"))
    assert (found.form if found else None) == choice


def test_values_compare_with_the_limits_of_questions():
    found = comparison("of at least 60 days")
    long, short = read("duration", "trois mois"), read("duration", "2 weeks and 3 days")
    assert found is not None and long is not None and short is not None
    assert long.measured is not None and short.measured is not None
    assert found[1].passes(long.measured) and not found[1].passes(short.measured)


def test_a_grammar_offers_the_choices_and_nothing():
    assert grammar("choice", ['a "b"', "ü"]) == r"""("\"a \\\"b\\\"\"" | "\"ü\"" | "\"\"")"""
    assert grammar("yes/no") == r"""("\"yes\"" | "\"no\"" | "\"\"")"""
