from __future__ import annotations

from decimal import Decimal

import pytest

from localrag.evaluation import agreement, rubric
from localrag.evaluation.agreement import Given

RENT = Given("1", "What is the monthly rent?", "EUR 2,450", "", "The monthly rent is EUR 2,450, due on the first day.")
TERM = Given("2", "When does the lease end?", "31 March 2027", "", "The lease ends on 31 March 2027.")
WHO = Given("3", "Who was chosen as treasurer?", "Ada Quill", "", "The board chose Ada Quill as its treasurer.")
SEASON = Given("7", "What is the season?", "From November to March", "", "The season is from November to March.")
BY = Given("8", "By when is the seed delivered?", "By 15 April at the latest", "", "By 15 April at the latest.")
CROSS = Given("4", "How is the fee divided?", "70 % to Orlo, 30 % to Tess", "", "70 % to Orlo and 30 % to Tess.")


def graded(given: Given, answer: str, **more: object) -> str:
    return rubric.grade(Given(given.id, given.question, given.known, answer, given.evidence, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "answer", "grade"),
    [
        (RENT, "It is 2.450 € a month [1].", "right"),
        (RENT, "The rent is EUR 2,450, due on the first day of each month.", "right"),
        (RENT, "EUR 2,540", "wrong"),
        (RENT, "USD 2,450", "wrong"),
        (RENT, "EUR 2,450 and EUR 90 for heating", "partly"),
        (RENT, "The documents do not say.", "declined"),
        (TERM, "On 2027-03-31.", "right"),
        (TERM, "It ends on March 31st, 2027.", "right"),
        (TERM, "It ends on 31 March 2026.", "wrong"),
        (WHO, "It chose Ada Quill.", "right"),
        (WHO, "Ada Quill was not chosen.", "wrong"),
        (WHO, "The treasurer is Ben Tarrow.", "wrong"),
        (WHO, "Ada Quill and Ben Tarrow", "partly"),
        (CROSS, "30 % to Tess, 70 % to Orlo", "right"),
        (CROSS, "70 % to Tess, 30 % to Orlo", "wrong"),
        (CROSS, "70 % to Orlo", "partly"),
        (SEASON, "From November until the end of March.", "right"),
        (SEASON, "From November to May.", "partly"),
        (SEASON, "From April to October.", "wrong"),
        (BY, "No later than 15 April 2024, that is by 15 April.", "partly"),
        (BY, "After 15 April.", "wrong"),
        (BY, "By 15 August at the latest.", "wrong"),
        (WHO, "Ada Quill; Ben Tarrow was not chosen.", "partly"),
    ],
)
def test_facts_decide_the_grade(given: Given, answer: str, grade: str) -> None:
    assert graded(given, answer) == grade


def test_detail_of_another_kind_may_well_stand_in_the_document() -> None:
    assert graded(RENT, "EUR 2,450, by Section 4.1 of the lease between Orlo and Tess of 3 May 2020.") == "right"
    assert graded(WHO, "At the meeting in Varnholm the board chose Ada Quill.") == "right"
    assert graded(WHO, "The board chose Ben Tarrow and Ada Quill.") == "partly"


def test_an_answer_that_was_not_found_has_declined_whatever_it_says() -> None:
    assert graded(RENT, "EUR 2,450", found=False) == "declined"


def test_where_there_is_no_answer_only_declining_is_none_wrong() -> None:
    none = Given("1", "How many parking spaces are there?", "", "")
    assert graded(none, "Twelve.", answerable=False) == "wrong"
    assert graded(none, "The documents do not say.", answerable=False) == "declined"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2 years", "24 months", True),
        ("half of 500 m.", "500 metres", True),
        ("1,200", "1,200 tonnes", True),
        ("15 April", "April 15th", True),
        ("15 April", "15 May", False),
        ("im März", "in March", True),
        ("10/2/17", "2 October 2017", True),
        ("10/2/17", "19 October 2017", False),
        ("two hundred and fourteen", "214", True),
        ("EUR 12.6 million", "12,600 thousand euros", True),
        ("three weeks", "3 months", False),
        ("5 °C", "5 °F", False),
        ("-8 °C", "8 °C", False),
        ("ninety (90) days", "90 days", True),
        ("6,4 %", "6.4 per cent", True),
        ("10 March 2024", "10 March 2025", False),
    ],
)
def test_quantities_are_the_same_however_written(one: str, other: str, same: bool) -> None:
    [first], [second] = rubric.facts(one), rubric.facts(other)
    assert rubric.same(first, second) is same


def test_the_unit_of_a_range_is_that_of_both_its_ends() -> None:
    assert [fact.unit for fact in rubric.facts("between 2 and 8 °C")] == ["°C", "°C"]
    assert [fact.value for fact in rubric.facts("2 to 3 km")] == [Decimal(2000), Decimal(3000)]
    assert [fact.unit for fact in rubric.facts("in 2019 the loss was 8 %")] == ["", "%"]


def test_a_month_that_is_another_word_is_none() -> None:
    assert rubric.facts("They may march.") == []


def test_one_of_them_is_no_number() -> None:
    assert rubric.facts("It is one of the terms.") == []
    assert [fact.value for fact in rubric.facts("one month")] == [Decimal(1)]


def test_no_later_than_denies_nothing() -> None:
    deadline = Given("5", "By when must notice be given?", "Within 30 days", "", "Notice is given within 30 days.")
    assert graded(deadline, "No later than 30 days.") != "wrong"
    assert graded(deadline, "Notice is never given within 30 days.") == "wrong"


def test_of_two_things_in_the_question_the_first_named_is_chosen() -> None:
    more = Given("6", "Which used more water, Lowfield or Highmoor?", "Lowfield", "")
    assert graded(more, "Lowfield used more than Highmoor.") == "right"
    assert graded(more, "Highmoor used more than Lowfield.") == "wrong"


def test_code_may_decide_on_the_sample_that_comes_with_localrag() -> None:
    pairs = [(label, rubric.grade(given)) for given, label in agreement.shipped()]
    found = agreement.agreement(pairs)
    assert found is not None and found.decides
