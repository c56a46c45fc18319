"""What code answers: only questions that plainly ask for it, exactly, and never by running what was typed."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from localrag import exact
from localrag.exact import ExactTask


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ('How often does "notice" occur?', ExactTask("count", "notice")),
        ("How many times does the word notice appear in the contracts?", ExactTask("count", "notice")),
        ("How many times is “force majeure” mentioned?", ExactTask("count", "force majeure")),
        ('Find "force majeure"', ExactTask("find", "force majeure")),
        ("Where is “Acme Ltd” mentioned?", ExactTask("find", "Acme Ltd")),
        ('Find all occurrences of "notice"', ExactTask("find", "notice")),
        ('How many r are there in "strawberry"?', ExactTask("letters", "strawberry", "r")),
        ("How many letters 'r' are in the word 'strawberry'?", ExactTask("letters", "strawberry", "r")),
        ("What is 48,000 / 12?", ExactTask("calculate", "48,000 / 12")),
        ("5 * (3 + 4)", ExactTask("calculate", "5 * (3 + 4)")),
        ("calculate 2^10", ExactTask("calculate", "2^10")),
    ],
)
def test_questions_for_code(question: str, task: ExactTask) -> None:
    assert exact.parse(question) == task


@pytest.mark.parametrize(
    "question",
    [
        "When does the lease end?", "What is the notice period?", "How many contracts renew automatically?",
        "What happened on 2024-05-31?", "What is 12?", "2023-2024", "What is 5/0?", "Find the rent", "", "?", "1-2-3",
        "How many days of notice are there in the lease?", "What is section 4.2?", "(", "1 +", "What does 3 * mean",
    ],
)  # fmt: skip
def test_questions_about_documents_are_left_to_the_model(question: str) -> None:
    assert exact.parse(question) is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("48,000 / 12", "4000"), ("0.1 + 0.2", "0.3"), ("2^10", "1024"), ("2**3**2", "512"), ("-(3 − 5) × 4", "8"),
        ("7 % 4", "3"), ("1,234,567.89 + 0.11", "1234568.00"), ("10 ÷ 4", "2.5"), ("1e3 * 2", "2000"), ("+5 - -5", "10"),
        ("12345678901234567890 + 1", "12345678901234567891"), ("9007199254740993 * 1", "9007199254740993"),
    ],
)  # fmt: skip
def test_values(expression: str, value: str) -> None:
    assert exact.calculate(expression) == Decimal(value)


HOSTILE = [
    "9**9**9**9", "9^9^9^9^9", "__import__('os').system('id')", "().__class__", "open('/etc/passwd')", "1/0", "0/0",
    "0**-1", "[1][0]", "'a' * 99", "True + 1", "1j * 2", "lambda: 1", "a := 3", "1 if 2 else 3", "1 < 2", "1 // 2",
    "1 << 99999999", "1\x002", "(" * 500 + "1" + ")" * 500, "+" * 5000 + "1", "1" + "+1" * 50_000, "9" * 100_000 + "*9",
    "10**1000**1", "(-8)^0.5", "999999^999999", "1e999999999 * 1e999999999", "1e-999999999 / 1e999999999", "", " ",
    "\n", "1 +\n2; 3", "((1)", "１ + ２", "0x10 + 1", "1_0 + 1", "9" * 3000 + "^1000",
]  # fmt: skip


@pytest.mark.parametrize("expression", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_expressions_end_quickly_in_a_number_or_an_error(expression: str) -> None:
    began = time.monotonic()
    try:
        value = exact.calculate(expression)
    except ValueError:
        pass
    else:
        assert exact.written(value)
    exact.parse(expression)
    exact.parse(f"What is {expression}?")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4000", "4,000"), ("0.30", "0.3"), ("-1234567.5", "-1,234,567.5"), ("0", "0"), ("1E+3", "1,000"),
        ("100", "100"), ("1E+30", "1E+30"), ("0.1", "0.1"), ("-0", "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_do(value: str, shown: str) -> None:
    assert exact.written(Decimal(value)) == shown


def found(text: str, term: str) -> list[str]:
    return [text[place.start : place.end] for place in exact.occurrences(text, term)]


def test_whole_words_are_found_whatever_their_case_and_line_ends() -> None:
    text = "Notice, notices, NOTICE and denotice. Force\nmajeure and force  majeure. 中文 notice's 👩🏽‍⚖️notice"
    assert found(text, "notice") == ["Notice", "NOTICE", "notice", "notice"]
    assert found(text, "force majeure") == ["Force\nmajeure", "force  majeure"]
    assert found("It’s so. It's so.", "it's") == ["It’s", "It's"]
    assert found("C++ and (C++), $5.00*", "C++") == ["C++", "C++"]
    assert found("a.b a-b axb", "a.b") == ["a.b"]
    assert found("anything", " ") == []


def test_letters_are_counted_whatever_their_case() -> None:
    assert exact.count_letter("Strawberry Rhubarb", "r") == 5
    assert exact.count_letter("", "r") == 0
