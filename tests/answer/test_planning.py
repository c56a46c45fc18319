"""Which way a question goes: a table. Every plan gives its reason, its signals, and what each way would take."""

from dataclasses import replace

import pytest

from localrag.answer import planning
from localrag.answer.planning import Signals
from localrag.errors import UsageError
from localrag.types import MODES

# One document, asked about alone; several, of which the question points to none.
SMALL = Signals(
    documents=1,
    tokens=700,
    retrieve_tokens=1000,
    read_tokens=6000,
    pointed=("lease.pdf",),
    pointed_by="only",
    pointed_tokens=700,
    score=0.5,
)
MIDDLE = replace(SMALL, tokens=5000, pointed_tokens=5000)
LARGE = replace(SMALL, tokens=50_000, pointed_tokens=50_000)
MANY = replace(LARGE, documents=40, tokens=500_000, pointed=(), pointed_by="", pointed_tokens=0)
# Of many documents the question names one, or the scores point to it.
NAMED = replace(MANY, pointed=("lease.pdf",), pointed_by="name", pointed_tokens=5000)
SCORED = replace(NAMED, pointed_by="scores")
TWO = replace(NAMED, pointed=("old.pdf", "new.pdf"))
LONG = replace(NAMED, pointed_tokens=20_000)


def asked(signals, kind):
    return replace(signals, kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("signals", "kind"),
    [
        # One fact: passages, unless the text is no longer than they are, or has been read before.
        (SMALL, "read"),
        (replace(SMALL, documents=3, pointed=("a", "b", "c")), "read"),
        (replace(SMALL, read_tokens=500), "retrieve"),
        (MIDDLE, "retrieve"),
        (LARGE, "retrieve"),
        (MANY, "retrieve"),
        (NAMED, "retrieve"),
        (asked(MIDDLE, "existence"), "retrieve"),
        (replace(MIDDLE, warm_tokens=5000), "read"),
        (replace(NAMED, warm_tokens=5000), "read"),
        (replace(SCORED, warm_tokens=5000), "read"),
        (replace(LARGE, warm_tokens=50_000), "retrieve"),
        # The text as a whole: read, if it fits what the model can use.
        (asked(MIDDLE, "summary"), "survey"),
        (asked(NAMED, "summary"), "survey"),
        (asked(TWO, "summary"), "read"),
        (asked(LARGE, "summary"), "survey"),
        (asked(LONG, "summary"), "survey"),
        (asked(MANY, "summary"), "survey"),
        (asked(TWO, "compare"), "retrieve"),
        (asked(MANY, "compare"), "retrieve"),
        (asked(LONG, "compare"), "retrieve"),
        (asked(MIDDLE, "whole"), "read"),
        (asked(LARGE, "whole"), "retrieve"),
        # Every document by itself.
        (asked(MANY, "each"), "survey"),
        (asked(replace(SMALL, documents=2), "each"), "survey"),
        (asked(LARGE, "each"), "retrieve"),
        # What code can do, code does.
        (replace(LARGE, exact="count"), "exact"),
        (asked(replace(MANY, exact="list"), "each"), "exact"),
    ],
)
def test_the_way(signals, kind):
    plan = planning.choose("auto", signals)
    assert plan.kind == kind, plan.reason
    assert plan.reason.endswith(".") and len(plan.reason) > 20
    assert plan.signals["documents"] == signals.documents and plan.signals["tokens"] == signals.tokens


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "auto"])
def test_a_forced_way_is_taken_and_said(mode):
    plan = planning.choose(mode, replace(MANY, exact="count"))
    assert plan.kind == mode and mode in plan.reason


def test_exact_cannot_be_forced_on_a_question_for_a_reader():
    with pytest.raises(UsageError) as raised:
        planning.choose("exact", SMALL)
    assert "count" in raised.value.hint


def test_the_same_signals_give_the_same_plan_and_unknown_ones_are_left_out():
    first = planning.choose("auto", MANY)
    assert first == planning.choose("auto", MANY)
    assert "exact" not in first.signals and first.signals["score"] == 0.5


def test_every_plan_tells_what_each_way_would_take_its_own_first():
    plan = planning.choose("auto", MIDDLE, seconds=lambda tokens, behind: tokens / 100)
    assert [cost.kind for cost in plan.costs] == ["retrieve", "read", "survey", "exact"]
    retrieve, read, _, exact = plan.costs
    assert retrieve.tokens < read.tokens and retrieve.seconds == retrieve.tokens / 100 and not read.why_not
    assert exact.why_not and exact.tokens == 0
    warm = planning.choose("auto", replace(MIDDLE, warm_tokens=5000), seconds=lambda tokens, behind: tokens / 100)
    assert warm.costs[0].kind == "read" and warm.costs[0].tokens < 200
    unknown = planning.choose("auto", MANY)
    assert unknown.costs[0].seconds is None


def test_a_way_that_cannot_be_taken_says_why():
    def read(signals):
        return next(
            cost.why_not for cost in planning.costs(signals, lambda tokens, behind: None) if cost.kind == "read"
        )

    assert "6,000" in read(LARGE) and "no document" in read(MANY) and not read(NAMED)


def test_without_a_pointed_document_reading_is_priced_by_the_nearest():
    def read(nearest_tokens):
        near = replace(MANY, nearest="amendment.pdf", nearest_tokens=nearest_tokens)
        return next(cost for cost in planning.costs(near, lambda tokens, behind: tokens / 100) if cost.kind == "read")

    assert not read(900).why_not and 900 < read(900).tokens < 1200 and read(900).seconds
    assert read(MANY.read_tokens + 1).why_not


def test_what_does_not_fit_is_never_read_whatever_has_been_read_before():
    for kind in ("look-up", "existence", "summary", "compare", "whole", "each"):
        plan = planning.choose("auto", asked(replace(LONG, warm_tokens=20_000), kind))
        assert plan.kind != "read"


@pytest.mark.parametrize(
    ("signals", "tried", "way"),
    [
        (NAMED, {"retrieve"}, "read"),
        (NAMED, {"retrieve", "read"}, "survey"),
        (NAMED, {"retrieve", "read", "survey"}, None),
        (MIDDLE, {"retrieve"}, "read"),
        (MIDDLE, {"retrieve", "read"}, None),  # a survey of one document says nothing new
        (MANY, {"retrieve"}, "survey"),
        (replace(NAMED, exact="count"), {"retrieve"}, "exact"),
        (replace(NAMED, exact="count"), {"exact"}, "read"),
    ],
)
def test_the_next_way_to_try_is_one_that_can_be_taken(signals, tried, way):
    plan = planning.choose("auto", signals)
    found = plan.another(tried)
    assert (found.kind if found else None) == way
