"""Values from JSON: whole answers come back equal, and nothing that is not one gets through."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from localrag.sessions.restoring import restored
from localrag.types import (
    Answer,
    Citation,
    Conflict,
    Cost,
    Figure,
    Filter,
    Flag,
    NotRead,
    Passage,
    Plan,
    Seconds,
    Side,
    Split,
    Usage,
    Working,
)

WHOLE = Answer(
    question="When does the lease end?",
    answer="It ends on 31 May 2030 [1].",
    found=True,
    plan=Plan("retrieve", "a short question", {"score": 0.7, "deep": {"a": [1, None, "x"]}}, (Cost("read", 9, 1.5),)),
    citations=(Citation("contracts", "lease.pdf", 12, "xii", "p. 12 (printed xii)", "ends on 31 May 2030", 40, 60, 1),),
    citations_dropped=1,
    unsupported=("It rains.",),
    not_read=(NotRead("contracts", "scan.pdf", "no text on page 3", 3),),
    passages=(Passage("contracts", "lease.pdf", None, None, ("Term",), "words", 0, 5, 0.5, also=("p. 3",)),),
    table=({"document": "a", "count": 3, "yes": True, "none": None},),
    tokens=Usage(10, 5, 3),
    seconds=Seconds(0.1, 0.2, None, 3.0),
    model="fake-1b",
    embedder="small",
    stopped=True,
    looked_for="the lease's end",
    looked_at="2 passages",
    context={"rules": 80},
    flags=(Flag("amount", "EUR 58,000", "not in what is cited"),),
    workings=(Working("5 / 10", "50 %", 50.0, (Figure("5", "p. 60", 1),)),),
    conflicts=(Conflict("Pay within", (Side("30 days", "a.pdf", "p. 1", "2025-09-08", 1),), False),),
    split=Split((("30", 4), ("60", 1))),
    confidence=0.75,
    reasoning="hm",
)


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


JUNK: list[Any] = [None, True, -1, 2**64, 1e400, "", "\ud800", "\x1b[31m", [], {}, [[]], {"": {}}, [None], float("nan")]


def mutated(value: Any, dice: random.Random) -> Any:
    """A copy with one place somewhere in it made something else, taken out or doubled."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        if dice.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return value | {key: mutated(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], mutated(value[at], dice), *value[at:]]
    return dice.choice(JUNK)


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
