"""Questions of dates: how long, which date, which weekday; what was counted is said."""

from __future__ import annotations

from datetime import date

import pytest

from localrag.answer.exact import spans

TODAY = date(2026, 11, 25)
COUNTED = "(the first date is not counted, the last is; with both counted {})"
ANSWERS = {
    "How many days between 3 March 2024 and 17 May 2025?": f"From 3 March 2024 to 17 May 2025: 440 days {COUNTED.format(441)}; that is 1 year, 2 months and 14 days.",
    "How many days are there between March 3rd, 2024 and May 17, 2025?": f"From 3 March 2024 to 17 May 2025: 440 days {COUNTED.format(441)}; that is 1 year, 2 months and 14 days.",
    "Wie viele Tage liegen zwischen dem 3. März 2024 und dem 17.5.2025?": f"From 3 March 2024 to 17 May 2025: 440 days {COUNTED.format(441)}; that is 1 year, 2 months and 14 days.",
    "number of days from 2024-02-28 to 2024-03-01": f"From 28 February 2024 to 1 March 2024: 2 days {COUNTED.format(3)}.",
    "How many days from 1 May 2024 to 3 May 2024 inclusive?": "From 1 May 2024 to 3 May 2024: 3 days with both dates counted (2 without the first).",
    "How many business days are there between 1 March 2024 and 31 March 2024?": "From 1 March 2024 to 31 March 2024: 20 business days, 21 with both dates counted. Monday to Friday; public holidays are not taken off. The first date is not counted, the last is.",
    "How many weeks between 2024-01-01 and 2024-12-31?": f"From 1 January 2024 to 31 December 2024: 52 weeks and 1 day, which is 365 days {COUNTED.format(366)}.",
    "How many months between March 2024 and May 2025?": "From March 2024 to May 2025: 14 months (15 with both months counted), or 1 year and 2 months.",
    "How many years between 29 February 2000 and 28 February 2024?": f"From 29 February 2000 to 28 February 2024: 23 years, 11 months and 30 days, which is 8,765 days {COUNTED.format('8,766')}. A month that has no such day is counted to its last day.",
    "How many days from today until 31 December 2026?": f"From 25 November 2026 to 31 December 2026: 36 days {COUNTED.format(37)}; that is 1 month and 6 days.",
    "How many days are left until 31 December 2026?": f"From 25 November 2026 to 31 December 2026: 36 days {COUNTED.format(37)}; that is 1 month and 6 days.",
    "How many weeks have passed since 1 November 2026?": f"From 1 November 2026 to 25 November 2026: 3 weeks and 3 days, which is 24 days {COUNTED.format(25)}.",
    "What's the difference in days between 2024-02-28 and 2024-03-01?": f"From 28 February 2024 to 1 March 2024: 2 days {COUNTED.format(3)}.",
    "Is 2024 a leap year?": "Yes: 2024 has 366 days.",
    "How many days does February 2023 have?": "February 2023 has 28 days.",
    "what date is 90 days after 2024-11-30?": "90 days after Saturday, 30 November 2024 is Friday, 28 February 2025. 30 November 2024 itself is not counted.",
    "What date is 30 days from today?": "30 days after Wednesday, 25 November 2026 is Friday, 25 December 2026. 25 November 2026 itself is not counted.",
    "60 business days before 31.12.2024": "60 business days before Tuesday, 31 December 2024 is Tuesday, 8 October 2024. Monday to Friday; public holidays are not taken off.",
    "What date is 5 business days after Saturday, 2 March 2024?": "5 business days after Saturday, 2 March 2024 is Friday, 8 March 2024. Monday to Friday; public holidays are not taken off.",
    "1 business day before Sunday, 3 March 2024": "1 business day before Sunday, 3 March 2024 is Friday, 1 March 2024. Monday to Friday; public holidays are not taken off.",
    "What is 1 month after 31 January 2024?": "1 month after Wednesday, 31 January 2024 is Thursday, 29 February 2024. February 2024 has no 31st, so its last day is taken.",
    "2024-01-31 + 3 months": "3 months after Wednesday, 31 January 2024 is Tuesday, 30 April 2024. April 2024 has no 31st, so its last day is taken.",
    "What is the date 2 years before 29 Feb 2024?": "2 years before Thursday, 29 February 2024 is Monday, 28 February 2022. February 2022 has no 29th, so its last day is taken.",
    "Add two weeks to 15 January 2025": "2 weeks after Wednesday, 15 January 2025 is Wednesday, 29 January 2025. 15 January 2025 itself is not counted.",
    "which weekday was 3 March 2024?": "3 March 2024 is a Sunday.",
    "What day of the week does 25/12/2024 fall on?": "25 December 2024 is a Wednesday. “25/12/2024” is read as day/month.",
    "Was 4 July 2025 a Friday?": "Yes: 4 July 2025 is a Friday.",
    "Is 6 July 2025 a business day?": "No: 6 July 2025 is a Sunday.",
    "Welcher Wochentag war der 3. Oktober 1990?": "3 October 1990 is a Wednesday.",
    "which week is 2024-12-30 in?": "Monday, 30 December 2024 is in week 1 of 2025 (ISO 8601: weeks begin on Monday, week 1 holds 4 January).",
}  # fmt: skip


@pytest.mark.parametrize("question", ANSWERS)
def test_a_question_of_dates_is_answered(question: str) -> None:
    assert spans.answer(question, TODAY) == ANSWERS[question]


def test_a_date_that_can_be_read_in_two_ways_is_answered_both_ways() -> None:
    told = spans.answer("What day of the week was 03/04/2024?") or ""
    assert told.splitlines() == [
        "“03/04/2024” can be read in two ways:",
        "- day/month: 3 April 2024 is a Wednesday.",
        "- month/day: 4 March 2024 is a Monday.",
    ]
    # Another date settles the order, and two readings of one result are one.
    told = spans.answer("How many days between 03/04/2024 and 25/12/2024?") or ""
    assert "266 days" in told and told.endswith("“03/04/2024” and “25/12/2024” are read as day/month.")
    assert "two ways" not in (spans.answer("Which weekday is 4/4/2024?") or "")


@pytest.mark.parametrize(
    "question",
    [
        "How many days is the incubation period?", "How many days of annual leave does a full-time employee receive?",
        "Within how many days must the Trust now pay Quillfen's invoices?", "How many days between signing and closing?",
        "How many days from 2018 to 2019?", "What day was it?", "When is 90 days after the effective date?", "How long is it?",
        "How many years between 1998 and 2024?", "How many days until closing?",
        "How many days since the fire?", "How many years since 2010?", "How many days are in the trial?", "What date is 30 days after 31 June 2024?", "How many months from closing to 3 May 2024?",
        "What happened between 3 March 2024 and 17 May 2025?", "What date is 99999 years after 2024-01-01?",
        "Wie viele Werktage liegen zwischen dem 1.3.2024 und dem 31.3.2024?", "How many hours between 3 March 2024 and 4 March 2024?",
        "What was revenue from 1 May 2024 to 3 May 2024?", "How many cases were reported between 3 March 2020 and 17 May 2020?",
    ],
)  # fmt: skip
def test_a_question_about_a_document_is_left_alone(question: str) -> None:
    assert spans.answer(question, TODAY) is None


def test_today_means_nothing_where_no_day_is_given() -> None:
    assert spans.answer("How many days from today until 31 December 2026?") is None
