"""Values from JSON: whole answers come back equal, and nothing that is not one gets through."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from conversations import WHOLE, mutated

from localrag.sessions.restoring import restored
from localrag.types import Answer, Filter


def through_json(answer: Answer) -> Any:
    return json.loads(json.dumps(answer.to_dict()))


def test_an_answer_with_everything_in_it_comes_back_equal() -> None:
    assert restored(Answer, through_json(WHOLE)) == WHOLE


def test_an_answer_of_an_older_version_has_the_defaults_of_what_it_lacks() -> None:
    old = through_json(WHOLE)
    for name in ("flags", "workings", "conflicts", "split", "confidence", "reasoning", "context", "looked_at"):
        del old[name]
    expected = replace(
        WHOLE, flags=(), workings=(), conflicts=(), split=None, confidence=None, reasoning="", context={}, looked_at=""
    )
    assert restored(Answer, old | {"field of the future": 1}) == expected


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"answer": None}, "Answer.answer"),
        ({"found": 1}, "Answer.found"),
        ({"citations": {}}, "Answer.citations"),
        ({"citations": [{}]}, "is missing"),
        ({"plan": {"kind": "guess", "reason": ""}}, "Answer.plan.kind"),
        ({"tokens": {"prompt": True}}, "Answer.tokens.prompt"),
        ({"tokens": {"prompt": 2**70}}, "Answer.tokens.prompt"),
        ({"seconds": {"total": float("nan")}}, "Answer.seconds.total"),
        ({"seconds": {"total": float("inf")}}, "Answer.seconds.total"),
        ({"split": {"votes": [{"answer": "x"}]}}, "Answer.split"),
        ({"context": {"rules": "many"}}, "Answer.context"),
        ({"table": [3]}, "Answer.table"),
    ],
)
def test_what_is_no_answer_is_refused_and_the_place_is_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(ValueError, match=where.replace(".", r"(\.|: \w+\.)")):
        restored(Answer, through_json(WHOLE) | change)


def test_a_filter_comes_back_with_its_pages() -> None:
    assert restored(Filter, {"documents": ["a*"], "pages": [3, None]}) == Filter(("a*",), pages=(3, None))
    assert restored(Filter, {"these": [["one", "a.pdf"]]}) == Filter(these=(("one", "a.pdf"),))
    with pytest.raises(ValueError, match="1 parts, not 2"):
        restored(Filter, {"pages": [3]})


def test_what_was_tampered_with_is_an_answer_or_refused_and_nothing_else() -> None:
    dice, whole = random.Random(7), through_json(WHOLE)
    made = 0
    for _ in range(2000):
        try:
            answer = restored(Answer, mutated(whole, dice))
        except ValueError:
            continue
        made += 1
        json.dumps(answer.to_dict(), allow_nan=False)
        hash(answer.answer)
    assert 50 < made < 1900
