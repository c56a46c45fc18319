"""Expressions, percentages and the time between two dates: results with their working, and what is none of them."""

from __future__ import annotations

import contextlib
import time
from datetime import date
from decimal import Decimal

import pytest

from localrag.answer.exact import calculator

TODAY = date(2026, 11, 25)
ANSWERS = {
    "What is 15 % of 2,400 euros?": "15 % of 2,400 EUR = 360 EUR",
    "12.5% of $1,250,000": "12.5 % of 1,250,000 USD = 156,250 USD",
    "how much is 7.5 percent of 80?": "7.5 % of 80 = 6",
    "Wie viel sind 12,5 Prozent von 1.250.000 Euro?": "12.5 % of 1,250,000 EUR = 156,250 EUR",
    "Was sind 19 % von 350,50 Euro?": "19 % of 350.50 EUR ≈ 66.60 EUR",
    "350 EUR + 19 %": "350 EUR + 19 % = 416.50 EUR",
    "1,000 less 15 %": "1,000 − 15 % = 850",
    "What is 48,000 / 12?": "48,000 / 12 = 4,000",
    "5 * (3 + 4)": "5 × (3 + 4) = 35",
    "calculate 2^10": "2^10 = 1,024",
    "-(3 − 5) × 4": "−(3 − 5) × 4 = 8",
    "What is 10 / 3?": "10 / 3 ≈ 3.333333",
    "Was ist 3 mal 4?": "3 × 4 = 12",
    "what is 12 multiplied by 5,000 dollars?": "12 × 5,000 USD = 60,000 USD",
    "100 EUR / 3": "100 EUR / 3 ≈ 33.33 EUR",
    "£1,000 - £250.50": "1,000 GBP − 250.50 GBP = 749.50 GBP",
    "3.5 bn EUR - 200 million EUR": "3,500,000,000 EUR − 200,000,000 EUR = 3,300,000,000 EUR",
    "1.234.567,89 + 0,11": "1,234,567.89 + 0.11 = 1,234,568",
}


@pytest.mark.parametrize("question", ANSWERS)
def test_an_expression_is_answered_with_its_working(question: str) -> None:
    assert calculator.answer(question) == ANSWERS[question]


@pytest.mark.parametrize(
    "question",
    [
        "2018/19", "24/7", "2023-2024", "1-2-3", "What is section 4.2?", "12", "$5", "What is 12?", "1 +", "(1 + 2", "What is 5/0?",
        "5 kg + 3 metres", "$5 + 3 EUR", "What does 3 * mean", "What happened on 2024-05-31?", "12 of 20", "average of 2018 and 2019",
        "What is the percentage change in revenue from 2018 to 2019?", "What is the difference between 1-90 and 91-180 days past due?",
        "(555) 123-4567", "+49 30 123456-78", "§ 4(2)", "10-K", "half of the employees", "What is a 401(k)?", "ISO 9001 / 14001", "03/04/2024", "",
        "How many days is the incubation period?", "How many days between signing and closing?", "How many days from 2018 to 2019?",
        "How many years between 1998 and 2024?", "How many days until closing?", "How many hours between 3 March 2024 and 4 March 2024?",
        "How many cases were reported between 3 March 2020 and 17 May 2020?", "What was revenue from 1 May 2024 to 3 May 2024?",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_calculation_is_left_alone(question: str) -> None:
    assert calculator.answer(question, TODAY) is None


@pytest.mark.parametrize(
    ("question", "result"),
    [
        ("How many days between 3 March 2024 and 17 May 2025?", "440 days"),
        ("Wie viele Tage liegen zwischen dem 3. März 2024 und dem 17.5.2025?", "440 days"),
        ("number of days from 2024-02-28 to 2024-03-01", "2 days"),
        ("How many weeks between 2024-01-01 and 2024-12-31?", "52 weeks and 1 day (365 days)"),
        ("How many years between 29 February 2000 and 28 February 2024?", "23 years, 11 months and 30 days (8,765 days)"),
        ("How many days are left until 31 December 2026?", "36 days"),
        ("How many days between 03/04/2024 and 25/12/2024?", "266 days"),
    ],
)  # fmt: skip
def test_the_time_between_two_dates_is_counted(question: str, result: str) -> None:
    assert f": {result}. " in (calculator.answer(question, TODAY) or "")


def test_dates_that_can_be_read_in_two_ways_give_both_results() -> None:
    lines = (calculator.answer("How many days between 03/04/2024 and 1 May 2024?") or "").splitlines()
    assert "day/month" in lines[1] and "28 days" in lines[1] and "month/day" in lines[2] and "58 days" in lines[2]


def test_today_means_nothing_without_a_day() -> None:
    assert calculator.answer("How many days from today until 31 December 2026?") is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("48,000 / 12", "4000"), ("0.1 + 0.2", "0.3"), ("2**3**2", "512"), ("-(3 − 5) × 4", "8"), ("1,234,567.89 + 0.11", "1234568.00"),
        ("10 ÷ 4", "2.5"), ("+5 - -5", "10"), ("12345678901234567890 + 1", "12345678901234567891"), ("-2^2", "-4"), ("2^-1", "0.5"),
        ("8 - 3 - 2", "3"), ("64 / 4 / 2", "8"),
    ],
)  # fmt: skip
def test_values_are_exact_decimals(expression: str, value: str) -> None:
    assert calculator.calculate(expression) == Decimal(value)


HOSTILE = [
    "9**9**9**9", "__import__('os').system('id')", "().__class__", "open('/etc/passwd')", "1/0", "0/0", "0**-1", "[1][0]", "True + 1", "1j * 2",
    "lambda: 1", "q0 + 1", "1 << 99999999", "1\x002", "(" * 500 + "1" + ")" * 500, "+" * 5000 + "1", "1" + "+1" * 50_000, "1" + "+1" * 1500,
    "-" * 300 + "1", "9" * 100_000 + "*9", "10**1000**1", "(-8)^0.5", "999999^999999", "1e999999999 * 1e999999999", "", " ", "1 +\n2; 3", "１ + ２",
    "0x10 + 1", "1_0 + 1", "9" * 3000 + "^1000", "1 1 1 1 " * 400, "1,1,1" * 700, "1.000" * 900 + " + 1", "between 1 and " * 200, "5 % of " * 500,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_ends_quickly_in_a_number_or_an_error(text: str) -> None:
    began = time.monotonic()
    with contextlib.suppress(ValueError):
        assert calculator.calculate(text).is_finite()
    for question in (text, f"What is {text}?"):
        calculator.answer(question)
    assert time.monotonic() - began < 10  # without limits it would be hours
