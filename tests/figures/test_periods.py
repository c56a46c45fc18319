"""The periods that questions and columns name."""

import time

import pytest

from localrag.figures import periods
from localrag.figures.periods import Period


@pytest.mark.parametrize(
    "text, found",
    [
        ("capex in 2019", [Period(2019, 0, 12)]),
        ("capex fy2019", [Period(2019)]),
        ("inventories at December 31, 2019", [Period(2019, 12, 0)]),
        ("inventories at the end of 2019", [Period(2019, 0, 0)]),
        ("revenue in the three months ended July 1, 2023", [Period(2023, 6, 3)]),
        ("revenue for the fiscal year that ended on October 31, 2009", [Period(2009, 10, 12)]),
        ("revenue in Q3 2023", [Period(2023, 0, 3, 3)]),
        ("revenue in calendar Q3 2023", [Period(2023, 9, 3)]),
        ("revenue of the calendar year 2023", [Period(2023, 12, 12)]),
        ("revenue in the first quarter of fiscal 2024", [Period(2024, 0, 3, 1)]),
        ("revenue june qtr 2023", [Period(2023, 6, 3)]),
        ("buybacks from January to September 2022", [Period(2022, 9, 9)]),
        ("revenue in the three months (not nine) ended July 1, 2023", [Period(2023, 6, 3)]),
        ("revenue in the quarter ended April 30, 2023, the first of fiscal 2024", [Period(2023, 4, 3)]),
        ("change in sales from 2018 to 2019", [Period(2018), Period(2019)]),
        ("cash at the beginning of 2018", [Period(2017, 0, 0)]),
        ("revenue in Q3 2022 and Q1 2022", [Period(2022, 0, 3, 1), Period(2022, 0, 3, 3)]),
        ("revenue in the first half of 2019", [Period(2019, 0, 6, 2)]),
        ("revenue 9M FY23", [Period(2023, 0, 9, 3)]),
        ("revenue in the first six months of fiscal 2023", [Period(2023, 0, 6, 2)]),
        ("revenue in the nine months up to the end of March 2023", [Period(2023, 3, 9)]),
        ("was debt lower at June 30, 2023 than at the end of 2022?", [Period(2022, 0, 0), Period(2023, 6, 0)]),
        ("revenue since 2018", []),
        ("revenue in the second half of 2019", []),
        ("revenue of the 52 weeks to June 2019", []),
        ("revenue in FY2019/20", []),
        ("revenue", []),
    ],
)
def test_a_question_names_periods(text, found):
    assert [one._replace(months=one.months) for one in periods.asked(text).periods] == found


def test_the_text_of_a_question_keeps_only_the_years():
    assert periods.asked("sales in the quarter ended July 1, 2023, please").text == "sales in 2023 , please"


@pytest.mark.parametrize(
    "label, around, own, found",
    [
        ("Three Months Ended Apr 1, 2023", (), None, Period(2023, 3, 3)),
        ("2019", ("For the Years Ended December 31, 2019 and 2018",), Period(2019, 12, 12), Period(2019, 12, 12)),
        ("Oct 1, 2022", ("Balance sheets as of",), None, Period(2022, 9, 0)),
        ("Networking", ("Three Months Ended October 29, 2023",), None, Period(2023, 10, 3)),
        ("Change", ("2019 and 2018",), None, None),
        ("Total", (), None, None),
    ],
)
def test_a_column_has_a_period(label, around, own, found):
    assert periods.of_column(label, around, own) == found


def test_a_period_covers_only_columns_of_its_length():
    quarter = Period(2023, 9, 3)
    assert quarter.covers(Period(2023, 9, 3)) and not quarter.covers(Period(2023, 9, 9))
    assert not Period(2023, 0, 12).covers(Period(2023, 9, 3))
    assert quarter.before == Period(2022, 9, 3)


@pytest.mark.parametrize(
    "own, year_end, said, found",
    [
        (Period(2023, 9, 3), Period(2022, 12, 0), "", (3, 2023)),
        (Period(2023, 3, 3), Period(2022, 6, 0), "In the first quarter of 2022 a benefit was booked.", (3, 2023)),
        (Period(2022, 12, 3), Period(2022, 9, 0), "", (1, 2023)),
        (Period(2023, 4, 3), Period(2023, 1, 0), "The first quarter of 2023 began well.", (1, 2023)),  # its own name
        (Period(2023, 9, 3), Period(2023, 8, 0), "", (0, 0)),
        (Period(2023, 9, 3), Period(2020, 12, 0), "", (0, 0)),
    ],
)
def test_a_balance_sheet_tells_which_quarter_a_report_is_about(own, year_end, said, found):
    balances = [own._replace(months=0), year_end, year_end]
    assert periods.fiscal_quarter(own, balances, [said]) == found


def test_a_period_starts_where_the_one_before_ends():
    assert Period(2023, 3, 3).start == Period(2022, 12, 0)
    assert Period(2023, 6, 6).start == Period(2022, 12, 0)
    assert Period(2023).start == Period(2022, 0, 0)


@pytest.mark.parametrize("piece", ["1 January ", "three months ended ", "q1 ", "not ", "end of the fiscal year "])
def test_long_questions_are_read_in_time(piece):
    began = time.process_time()
    periods.asked(piece * 500)
    assert time.process_time() - began < 5
