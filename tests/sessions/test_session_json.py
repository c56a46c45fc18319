"""A conversation's JSON: whole answers come back equal, and anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from conversations import WHOLE

from localrag.sessions import Origin, SavedTurn, Session
from localrag.sessions.session_store import from_json, to_json
from localrag.types import Filter

SESSION = Session(
    "20260101T000000000000-abcdef",
    "Lease",
    ("contracts",),
    "2026-01-01T00:00:00+00:00",
    (SavedTurn("When does the lease end?", "2026-01-01T00:00:00+00:00", WHOLE), SavedTurn("And then?", "")),
    Filter(("a*",), pages=(3, None), these=(("one", "a.pdf"),)),
    "read",
    {"seed": 4, "temperature": 0.5, "think": "on"},
    Origin("20250101T000000000000-abcdef", "Older", 1),
)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def with_answer(**change: Any) -> bytes:
    value = to_json(SESSION)
    value["turns"][0]["answer"] = json.loads(json.dumps(value["turns"][0]["answer"])) | change
    return as_bytes(value)


def test_a_conversation_comes_back_equal() -> None:
    assert from_json(as_bytes(to_json(SESSION))) == SESSION


def test_missing_fields_take_their_defaults_and_unknown_ones_are_ignored() -> None:
    value = json.loads(with_answer(future=1, split={"tries": 2, "votes": [{"answer": "x", "count": 2}]}))
    for name in ("flags", "workings", "conflicts", "confidence", "reasoning", "context", "looked_at"):
        del value["turns"][0]["answer"][name]
    for name in ("only", "mode", "settings", "origin"):
        del value[name]
    old = replace(WHOLE, flags=(), workings=(), conflicts=(), confidence=None, reasoning="", context={}, looked_at="")
    found = from_json(as_bytes(value))
    assert found.turns[0].answer == old and (found.only, found.mode, found.origin) == (Filter(), "auto", None)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": None},
        {"found": 1},
        {"citations": {}},
        {"citations": [{}]},
        {"plan": {"kind": "guess", "reason": ""}},
        {"tokens": {"prompt": True}},
        {"tokens": {"prompt": 2**70}},
        {"seconds": {"total": float("nan")}},
        {"seconds": {"total": float("inf")}},
        {"table": [3]},
        {"context": {"rules": "many"}},
    ],
)
def test_what_is_no_answer_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        from_json(with_answer(**change))
