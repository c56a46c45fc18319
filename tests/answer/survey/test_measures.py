"""Quantities read from short answers, and limits that questions set."""

from __future__ import annotations

from datetime import date

import pytest

from localrag.answer.survey.measures import Measured, comparison, read

YEAR = 365.2425


@pytest.mark.parametrize(
    ("text", "measure", "value", "unit"),
    [
        ("thirty (30) days", "duration", 30, ""),
        ("sixty days' prior written notice", "duration", 60, ""),
        ("one hundred twenty (120) days", "duration", 120, ""),
        ("a period of one year", "duration", YEAR, ""),
        ("half a year", "duration", YEAR / 2, ""),
        ("18 months", "duration", 1.5 * YEAR, ""),
        ("$1.2 million", "money", 1_200_000, "USD"),
        ("EUR 48,000", "money", 48_000, "EUR"),
        ("500 euros", "money", 500, "EUR"),
        ("five percent", "percent", 5, ""),
        ("12.5 %", "percent", 12.5, ""),
        ("3,500 units", "number", 3500, ""),
        ("twenty-one", "number", 21, ""),
    ],
)
def test_a_quantity_is_read_with_its_unit(text: str, measure: str, value: float, unit: str) -> None:
    found = read(text)
    assert found is not None and (found.measure, found.unit) == (measure, unit)
    assert found.value == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("It ends on 31 May 2030.", date(2030, 5, 31)),
        ("May 31, 2030", date(2030, 5, 31)),
        ("the 1st day of September 2004", date(2004, 9, 1)),
        ("2024-02-29", date(2024, 2, 29)),
        ("1/13/05", date(2005, 1, 13)),
        ("13.1.2005", date(2005, 1, 13)),
        ("2019", date(2019, 1, 1)),
    ],
)
def test_a_date_is_read_however_it_is_written(text: str, day: date) -> None:
    assert read(text) == Measured("date", float(day.toordinal()))


def test_no_quantity_is_none() -> None:
    assert read("the laws of Kansas") is None and read("") is None


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        ("of more than 60 days", "three months", "60 days"),
        ("of at least 60 days", "sixty (60) days", "one month"),
        ("under $500", "USD 499", "$500"),
        ("before 2024", "31 December 2023", "1 January 2024"),
        ("after 2020", "1 January 2021", "31 December 2020"),
    ],
)
def test_a_limit_lets_through_what_is_within_it(limit: str, inside: str, outside: str) -> None:
    found = comparison(limit)
    assert found is not None
    good, bad = read(inside), read(outside)
    assert good is not None and bad is not None
    assert (found[1].passes(good), found[1].passes(bad)) == (True, False)


def test_different_currencies_and_measures_are_not_compared() -> None:
    found = comparison("over 500 euros")
    assert found is not None
    for text in ("$900", "900 days", "900"):
        value = read(text)
        assert value is not None and not found[1].passes(value)
