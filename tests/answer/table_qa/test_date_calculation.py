"""Ends counted from dates of the text."""

from __future__ import annotations

import pytest

from localrag.answer.stages import Prompt, Query, Route
from localrag.answer.table_qa import calculation
from localrag.types import Answer, Filter, Passage, Plan

LEASE = """This Lease was signed on 3 May 2024 by both parties. The premises were handed over to the Tenant on 17 June 2024.

The Lease commences on 1 July 2024 and runs for a term of three (3) years. Rent is due on the first of each month. The
deposit was returned on 2024-09-30 after inspection. The survey was made on 3/4/2024."""


def passage(text: str = LEASE) -> Passage:
    return Passage("lib", "lease.md", 2, None, (), text, 500, 500 + len(text), 1.0)


def ask(question: str, text: str = LEASE) -> Answer | None:
    query, route = Query(question, [], Filter(), []), Route(Plan("retrieve", ""))
    return calculation.answer(query, route, Prompt([], (passage(text),)))


COUNTED = {
    "When does the lease end?": "1 July 2024 + 3 years = 1 July 2027",
    "On what date will the Lease expire?": "1 July 2024 + 3 years = 1 July 2027",
}


@pytest.mark.parametrize(("question", "shown"), COUNTED.items())
def test_an_end_is_counted_from_the_dates_of_the_text(question: str, shown: str) -> None:
    answer = ask(question)
    assert answer is not None
    assert answer.workings[0].shown == f"{shown}, from p. 2"
    for citation in answer.citations:
        assert LEASE[citation.start - 500 : citation.end - 500] == citation.quote
    quotes = {citation.marker: citation.quote for citation in answer.citations}
    assert all(figure.text in quotes[figure.marker] for figure in answer.workings[0].figures)


@pytest.mark.parametrize(
    "question",
    [
        "When does the insurance expire?",
        "When does the meeting end?",
        "How many days between 3 May 2024 and 17 June 2024?",
        "When was the lease signed?",
    ],
)
def test_what_no_date_or_two_dates_fit_is_not_counted(question: str) -> None:
    assert ask(question) is None


def test_an_end_that_is_stated_is_left_to_the_reader() -> None:
    assert ask("When does the lease end?", f"{LEASE} The Lease shall end on 31 December 2026.") is None


def test_two_starts_leave_the_end_open() -> None:
    other = "The Lease commences on 1 August 2025 and runs for a term of five years."
    assert ask("When does the lease end?", f"{LEASE} {other}") is None


def test_a_term_beyond_the_calendar_is_not_counted() -> None:
    text = "The lease starts on 1 May 2025 for a period of ten-thousand years."
    assert calculation.end_of_term("When does the lease end?", [passage(text)], "english") is None


def test_a_term_may_be_written_in_many_ways() -> None:
    for term in ("for 36 months", "for a period of thirty-six (36) months", "for a 36-month term"):
        text = f"The Agreement is effective from 1 July 2024 {term}."
        assert calculation.end_of_term("When does the agreement end?", [passage(text)], "english") is not None, term
