"""Ranks and lists of figures, by code from the tables of reports."""

import pytest

from localrag.events import Answered
from localrag.items import facts

ORLO = """ORLO FOODS, INC.
Annual Report

Net sales by product category

| (In thousands) | 2021 | 2020 | 2019 |
| --- | --- | --- | --- |
| Bread | $600 | $500 | $450 |
| Cakes | 240 | 150 | 160 |
| Total baked goods | 840 | 650 | 610 |
| Flour | 100 | 130 | 120 |
| Total net sales | 940 | 780 | 730 |

Results of our segments

| (In thousands) | 2021 | 2020 |
| --- | --- | --- |
| North |  |  |
| Net sales | $700 | $500 |
| Operating income (loss) | 90 | (20) |
| South |  |  |
| Net sales | 240 | 280 |
| Operating income (loss) | (15) | 30 |
| Consolidated |  |  |
| Net sales | 940 | 780 |
| Operating income (loss) | 75 | 10 |

Consolidated Statements of Operations, years ended December 31

| (In thousands) | 2021 | 2020 | 2019 |
| --- | --- | --- | --- |
| Net sales | $940 | $780 | $730 |
| Research and development | 40 | 50 | 45 |
| Operating income | 75 | 10 | 60 |
"""


@pytest.fixture
def ask(assistant, models, shelf):
    facts.refresh(shelf("mill", {"orlo-foods_2021.md": ORLO, "notes.txt": "Nothing is counted here."}))

    def asked(question):
        *_, last = assistant.ask(question, libraries=["mill"])
        assert isinstance(last, Answered)
        return last.answer

    return asked


def parts(answer):
    return [
        line[2:].partition(":")[0].removesuffix(", 2021").removesuffix(", 2020").removesuffix(", 2019")
        for line in answer.answer.split("\n")[2:]
    ]


@pytest.mark.parametrize(
    "question, first, order",
    [
        ("Which product category of Orlo had the highest net sales in 2021?", "Bread", ["Bread", "Cakes", "Flour"]),
        ("Which of Orlo's product categories had the lowest net sales in 2019?", "Flour", ["Flour", "Cakes", "Bread"]),
        ("Which of Orlo's segments had the highest operating income in 2020?", "South", ["South", "North"]),
        ("orlo segment highest operating income 2021", "North", ["North", "South"]),
        ("Which Orlo segment grew most in 2021?", "North", ["North", "South"]),
        (
            "In which year from 2019 to 2021 were Orlo's research and development expenses highest?",
            "2020",
            ["2020", "2019", "2021"],
        ),
    ],
)
def test_the_greatest_or_least_part_comes_first_with_all_others(ask, question, first, order):
    answer = ask(question)
    assert answer.plan.kind == "exact" and answer.model is None and answer.answer.startswith(f"{first} has the ")
    assert parts(answer) == order and len(answer.citations) == len({one.quote for one in answer.citations})


@pytest.mark.parametrize(
    "question, listed",
    [
        ("Which of Orlo's segments lost money in 2021?", "1 of 2: South."),
        ("List the product categories of Orlo whose net sales fell in 2021.", "1 of 3: Flour."),
        ("Which product categories of Orlo had net sales above $200 thousand in 2021?", "2 of 3: Bread, Cakes."),
        ("Which of Orlo's segments had more net sales in 2021 than in 2020?", "1 of 2: North."),
        ("In which years from 2019 to 2021 did Orlo's operating income fall?", "1 of 2: 2020."),
        ("In which years from 2019 to 2021 did Orlo's net sales exceed $0.75 million?", "2 of 3: 2020, 2021."),
    ],
)
def test_what_meets_a_condition_is_listed_beside_how_many_there_are(ask, question, listed):
    assert ask(question).answer.startswith(listed)


def test_growth_by_amount_and_in_percent_may_differ(ask):
    answer = ask("Which product category of Orlo grew most in 2021?")
    assert answer.answer.startswith("Of 3, the greatest growth in revenue has Bread by amount, Cakes in percent.")
    assert ask("Which product category of Orlo grew most in percent in 2021?").answer.startswith("Cakes has")


@pytest.mark.parametrize(
    "question",
    [
        "Which product category of Orlo had the highest net sales in 2017?",  # no such year
        "Which of Orlo's segments had the highest headcount in 2021?",
        "Which of Orlo's warehouses had the highest net sales in 2021?",
        "Which product category of Orlo's North segment had the highest net sales in 2021?",
        "Which product category of Orlo had the second highest net sales in 2021?",
        "Which two product categories of Orlo had the highest net sales in 2021?",
        "Excluding bread, which product category of Orlo had the highest net sales in 2021?",
        "Which of Orlo's segments did not lose money in 2021?",
        "Which Orlo segment had the largest operating loss in 2021?",
        "Which Orlo segments had net sales between $0.1 million and $0.3 million in 2021?",
        "Which Orlo segment had the smallest decline in net sales in 2021?",
        "Rank Orlo's segments by growth of net sales in 2021.",
        "Which country had the highest net sales of Orlo in 2021?",
        "In which years did Orlo's operating income fall?",
        "In which year from 2016 to 2021 were Orlo's net sales highest?",
        "Which segment of Orlo had the highest operating margin in 2021?",
        "Which Orlo segment grew more in 2021?",
        "Which of Orlo's segments grew by more than 10 % in 2021?",
        "Which of Orlo's segments increased net sales by more than $0.1 million in 2021?",
        "In which quarter of 2021 did Orlo have the net sales?",
        "Orlo net sales 2021 by segments",
        "Rank Orlo by net sales in 2021.",
    ],
)
def test_what_no_table_ranks_is_left_to_the_text(ask, question):
    assert ask(question).plan.signals.get("read") != "figures"


def test_the_most_recent_is_no_rank(ask):
    assert ask("What were Orlo's most recent net sales?").plan.signals.get("read") != "figures"
    assert ask("Did Orlo have at least one segment with net sales in 2021?").plan.signals.get("read") != "figures"


def test_the_rest_of_a_table_is_no_winner(assistant, models, shelf):
    rest = ORLO.replace("Bread |", "Other |").replace("Orlo", "Tess").replace("ORLO", "TESS")
    facts.refresh(shelf("rest", {"tess-mills_2021.md": rest}))
    for question in ("Which product category of Tess had the highest net sales in 2021?",):
        *_, last = assistant.ask(question, libraries=["rest"])
        assert last.answer.plan.signals.get("read") != "figures"


def test_the_whole_may_be_asked_for_by_its_parts(ask):
    assert "$940 thousand" in ask("What were Orlo's total net sales of all segments in 2021?").answer


def test_the_measure_and_both_periods_are_named(ask):
    answer = ask("Which of Orlo's segments grew most in net sales in 2021?").answer
    assert "net sales" in answer.split("\n")[0] and "(2020)" in answer and "(2021)" in answer


def test_a_question_for_one_segment_is_none_for_all(ask):
    answer = ask("What was the operating income of Orlo's North segment in 2021?")
    assert answer.plan.signals.get("read") == "figures" and "$90 thousand" in answer.answer
