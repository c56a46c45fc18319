"""Numbers written in words are read as what they are worth, and nothing else is."""

from __future__ import annotations

import pytest

from localrag.answer.verify.numerals import find


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("twelve months", [12]),
        ("thirty (30) days", [30]),
        ("Twenty-one and twenty two", [21, 22]),
        ("two hundred and fifty thousand dollars", [250_000]),
        ("one million two hundred thousand", [1_200_000]),
        ("three and five", [3, 5]),
        ("at ten thirty", [10, 30]),
        ("einundzwanzig Tage, dreißig Tage", [21, 30]),
        ("vingt jours, treinta días, dertig dagen", [20, 30, 30]),
        ("the third of five", [3, 5]),
        ("one hundred and", [100]),
        ("millions of people, wait a second", []),
        ("often, someone, tent, a fourfold thing", []),
        ("", []),
    ],
)
def test_words_are_worth(text: str, values: list[int]) -> None:
    found = list(find(text))
    assert [numeral.value for numeral in found] == values
    assert all(text[numeral.start : numeral.end].strip() for numeral in found)


def test_a_long_row_of_number_words_ends() -> None:
    assert len(list(find("seven " * 5000))) == 5000
