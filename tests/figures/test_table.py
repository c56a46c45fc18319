"""The figures of tables, and the periods of their columns."""

import pytest

from localrag.figures import table
from localrag.figures.periods import Period
from localrag.types import Page


def columns(head, own=None, above=""):
    """Return the periods of the columns of a table with one row of figures."""
    count = head.count("|") - 2
    rule, row = "| --- " * (count + 1) + "|", "| Sales " + "| 1,200 " * count + "|"
    return [one.period for one in table.read([Page("\n".join((above, "", head, rule, row)))], own)]


@pytest.mark.parametrize(
    "head, found",
    [
        (
            "| (In millions) | 2023 | Three Months Ended March 31, 2022 | 2023 | Nine Months Ended March 31, 2022 |",
            [Period(2023, 3, 3), Period(2022, 3, 3), Period(2023, 3, 9), Period(2022, 3, 9)],
        ),
        (
            "| | Three Months Ended July 1, 2023 | 2022 |",
            [Period(2023, 6, 3), Period(2022, 6, 3)],
        ),
        (
            "| | Gross | April 30, 2023 Net | Gross | January 29, 2023 Net |",
            [Period(2023, 4), Period(2023, 4), Period(2023, 1), Period(2023, 1)],
        ),
        (
            "| (In millions) Three Months Ended September 30, | 2022 | 2021 |",
            [Period(2022, 9, 3), Period(2021, 9, 3)],
        ),
        # Two columns would be of one period: nothing is told.
        ("| | Three Months Ended July 1, 2023 | 2022 | 2023 | 2022 |", [Period(2023, 6, 3), *[None] * 0]),
    ],
)
def test_words_over_several_columns_tell_the_period_of_each(head, found):
    assert columns(head)[: len(found)] == found


def test_a_head_over_one_of_many_columns_is_not_theirs():
    own = columns("| | Three Months Ended July 1, 2023 | 2022 | 2023 | 2022 |")
    assert [one.months for one in own] == [3, None, None, None]


def test_a_sentence_that_is_broken_over_the_heads_leaves_their_years():
    page = Page(
        "STATEMENTS OF INCOME\n\n| | | | |\n| --- | --- | --- | --- |\n"
        "| Years ended October 31, 2009, November 1, | 2008 and November 3, | 2007 | |\n"
        "| (thousands) | 2009 | 2008 | 2007 |\n| Revenue | 2,014 | 2,582 | 2,429 |"
    )
    assert [one.period.year for one in table.read([page], Period(2009, 10, 12))] == [2009, 2008, 2007]
