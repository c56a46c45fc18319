from __future__ import annotations

from dataclasses import replace

import pytest

from localrag.evaluation import answers
from localrag.evaluation.datasets import Question
from localrag.evaluation.worth import worth
from localrag.types import Answer, Citation, Plan

CHOICES = ("No", "Not mentioned", "Yes")


def scored(question: Question, text: str, *, found: bool = True, quote: str = "", document: str = "a.txt") -> float:
    cited = (Citation("lib", document, None, None, "", quote, 0, len(quote), 1),) if quote else ()
    answer = Answer(question.question, text, found, Plan("retrieve", ""), cited)
    return worth(question, ["a.txt"], answer, answers.score(question, ["a.txt"], answer, CHOICES))


def asked(known: str, evidence: str = "", **more: object) -> Question:
    return replace(Question("1", "What?", known, "a.txt", evidence), **more)  # type: ignore[arg-type]


def test_a_label_is_right_or_wrong_and_declining_says_not_mentioned() -> None:
    absent = asked("Not mentioned", label="NotMentioned")
    assert scored(absent, "The documents do not say.", found=False) == 1.0
    assert scored(absent, "Yes, it does.") == 0.0
    assert scored(asked("Yes", label="Entailment"), "Yes, it does.") == 1.0


def test_an_absent_answer_is_worth_declining() -> None:
    absent = asked("", answerable=False)
    assert scored(absent, "The documents do not say.", found=False) == 1.0
    assert scored(absent, "It is forty.") == 0.0
    assert scored(asked("forty"), "The documents do not say.", found=False) == 0.0


@pytest.mark.parametrize(
    ("known", "said", "value"),
    [
        ("12.5 %", "It grew by 12.5 % [1].", 1.0),
        ("12.5 %", "It grew by 13.5 %.", 0.0),
        ("46,000", "About 46 thousand people", 1.0),
        ("central nervous system", "The virus reaches the central nervous system [2].", 1.0),
        ("central nervous system", "The liver.", 0.0),
        ("two", "two", 1.0),
    ],
)
def test_figures_must_be_equal_and_words_must_stand_in_the_answer(known: str, said: str, value: float) -> None:
    assert scored(asked(known, f"It is said that {known} was seen."), said) == value


def test_saying_yes_shows_nothing_and_the_clause_does() -> None:
    clause = asked("Yes", "Neither party may assign this agreement without consent")
    assert scored(clause, "Yes.") == 0.0
    assert scored(clause, "Yes.", quote="may assign this agreement without consent") == pytest.approx(6 / 8)
    assert scored(clause, "Yes.", quote="may assign this agreement without consent", document="b.txt") == 0.0
    assert scored(clause, "Neither party may assign this agreement without consent.") == 1.0


def test_a_date_in_other_words_is_shown_by_its_evidence() -> None:
    dated = asked("1/13/05", "January 13, 2005")
    assert scored(dated, "It was signed on January 13, 2005.") == 1.0
    assert scored(dated, "It was signed on 1 May 2013.") == 0.0


def test_of_a_long_answer_words_and_numbers_count_alike() -> None:
    known = asked("Net sales were 82,959 million in the third quarter and 81,797 million a year later")
    right_words = scored(known, "Net sales were 11,111 million in the third quarter and 22,222 million a year later")
    half = scored(known, "Net sales were 82,959 million in the third quarter and 22,222 million a year later")
    assert right_words < half < scored(known, known.answer) == 1.0
