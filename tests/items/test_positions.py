"""Values and positions: what code reads and compares."""

import pytest

from localrag.items import positions, values
from localrag.items.playbook import Expect, PlaybookItem
from localrag.types import Citation, Looked


def looked(quote="", answer="", found=True):
    at = Citation("l", "a.txt", 1, None, "p. 1", quote, 0, len(quote), 0) if quote else None
    return Looked(found, answer, at, 0.9, "all 3 passages", "", "2026-01-01T00:00:00+00:00")


def compared(kind, expect, one, clause=""):
    item = PlaybookItem("x", "What?", kind, expect=expect or Expect())
    item = PlaybookItem("x", "What?", kind) if expect is None else item
    return positions.compare(item, one, clause)


@pytest.mark.parametrize(
    ("kind", "quote", "value"),
    [
        ("duration", "within thirty (30) days after the invoice", "30 days"),
        ("duration", "for two years and six months", "2 years 6 months"),
        ("money", "shall not exceed $1,500,000.", "1,500,000 USD"),
        ("percent", "interest of 1.5% per month", "1.5 %"),
        ("date", "ends on 31 December 2026", "2026-12-31"),
    ],
)
def test_values_are_read_by_code(kind, quote, value):
    found = compared(kind, None, looked(quote))
    assert (found.state, found.value, found.as_expected) == ("found", value, None)


@pytest.mark.parametrize(
    ("kind", "expect", "quote", "state"),
    [
        ("duration", Expect(at_most="60 days"), "within three months", "deviates"),
        ("duration", Expect(at_least="60 days"), "within three months", "found"),
        ("money", Expect(at_least="$1,000,000"), "limited to $500,000", "deviates"),
        ("money", Expect(at_least="EUR 1,000,000"), "limited to $5,000,000", "deviates"),
        ("date", Expect(at_most="2026-12-31"), "until 1 January 2027", "deviates"),
        ("percent", Expect(one_of=("2 %",)), "a rate of two percent", "found"),
        ("duration", Expect(at_most="60 days"), "within a reasonable time", "unsure"),
        ("text", Expect(one_of=("England",)), "the laws of England and Wales", "found"),
        ("text", Expect(one_of=("England", "Scotland")), "the laws of Kansas", "deviates"),
        ("yes/no", Expect(present=False), "shall not compete", "deviates"),
        ("yes/no", Expect(present=True), "shall not compete", "found"),
        ("yes/no", Expect(must_say=("in writing",)), "notice given in writing", "found"),
        ("yes/no", Expect(must_say=("in writing",)), "notice given by telephone", "deviates"),
        ("yes/no", Expect(must_not_say=("sole discretion",)), "at its sole discretion", "deviates"),
    ],
)
def test_a_clause_is_compared_with_the_position(kind, expect, quote, state):
    found = compared(kind, expect, looked(quote), quote)
    assert found.state == state
    assert bool(found.problem) == (state in ("deviates", "unsure"))


@pytest.mark.parametrize(
    ("expect", "wanted"),
    [
        (None, None),
        (Expect(present=True), False),
        (Expect(present=False), True),
        (Expect(one_of=("x",)), False),
        (Expect(must_not_say=("x",)), True),
    ],
)
def test_an_absent_clause_is_as_expected_only_where_none_is_wanted(expect, wanted):
    found = compared("text", expect, looked(found=False))
    assert (found.state, found.as_expected) == ("absent", wanted)


def test_what_is_unsure_is_neither_right_nor_wrong():
    found = compared("yes/no", Expect(present=True), looked(found=None))
    assert (found.state, found.as_expected) == ("unsure", None)


@pytest.mark.parametrize(
    ("kind", "text", "count"),
    [
        ("duration", "thirty (30) days", 1),
        ("duration", "30 days, or 60 days in winter", 2),
        ("duration", "40 hours a week", 1),
        ("duration", "extended by half a year unless ended 60 days before", 2),
        ("money", "30 days", 0),
        ("date", "from 3 May 2020 to 4 May 2021", 2),
        ("percent", "5 % of $100", 1),
    ],
)
def test_different_values_are_counted(kind, text, count):
    assert values.distinct(kind, text) == count
