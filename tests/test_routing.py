"""Which way a question goes: a table. Every plan gives its reason and the signals it was drawn from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from localrag import routing
from localrag.errors import UsageError
from localrag.routing import Signals
from localrag.types import MODES, Mode

SMALL = Signals(documents=1, tokens=900, retrieve_tokens=1800, read_tokens=6000)
MIDDLE = replace(SMALL, tokens=5000)
LARGE = replace(SMALL, tokens=500_000)
MANY = replace(LARGE, documents=40)


@pytest.mark.parametrize(
    ("question", "signals", "kind"),
    [
        ("When does the lease end?", SMALL, "read"),
        ("When does the lease end?", replace(SMALL, documents=3), "read"),
        ("When does the lease end?", MIDDLE, "retrieve"),
        ("When does the lease end?", LARGE, "retrieve"),
        ("When does the lease end?", MANY, "retrieve"),
        ("Summarise the contract.", MIDDLE, "read"),
        ("Summarize the contract.", LARGE, "retrieve"),
        ("What is this document about?", MIDDLE, "read"),
        ("Compare the two leases.", replace(MIDDLE, documents=2), "read"),
        ("What is missing from the agreement?", MIDDLE, "read"),
        ("Which contracts renew automatically?", MANY, "survey"),
        ("How many of these agreements have a cap?", MANY, "survey"),
        ("List all invoices over 500 euros.", MANY, "survey"),
        ("What does each lease say about pets?", MANY, "survey"),
        ("Which contracts renew automatically?", LARGE, "retrieve"),
        ("Which contract renews?", replace(SMALL, documents=2), "survey"),
        ("When does the lease end?", replace(LARGE, exact="count"), "exact"),
        ("When does the lease end?", replace(SMALL, read_tokens=500), "retrieve"),
    ],
)
def test_the_way(question: str, signals: Signals, kind: str) -> None:
    plan = routing.choose(question, "auto", signals)
    assert plan.kind == kind, plan.reason
    assert plan.reason.endswith(".") and len(plan.reason) > 20
    assert plan.signals["documents"] == signals.documents and plan.signals["tokens"] == signals.tokens


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "auto"])
def test_a_forced_way_is_taken_and_said(mode: Mode) -> None:
    plan = routing.choose("Which contracts renew?", mode, replace(MANY, exact="count"))
    assert plan.kind == mode and mode in plan.reason


def test_exact_cannot_be_forced_on_a_question_for_a_reader() -> None:
    with pytest.raises(UsageError) as raised:
        routing.choose("When does the lease end?", "exact", SMALL)
    assert "count" in raised.value.hint


def test_the_same_signals_give_the_same_plan_and_unknown_ones_are_left_out() -> None:
    first = routing.choose("When?", "auto", SMALL)
    assert first == routing.choose("When?", "auto", SMALL)
    assert "seconds_to_read" not in first.signals
    known = routing.choose("When?", "auto", replace(SMALL, seconds_to_read=3.5))
    assert known.signals["seconds_to_read"] == 3.5
