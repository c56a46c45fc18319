"""An answer with every field filled."""

from __future__ import annotations

from dataclasses import replace

from localrag.types import (
    Answer,
    Citation,
    Conflict,
    Cost,
    Figure,
    Flag,
    NotRead,
    Passage,
    Plan,
    Seconds,
    Side,
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
    confidence=0.75,
    reasoning="hm",
)


def answer(question="When does the lease end?", quote="ends on 31 May 2030"):
    return replace(WHOLE, question=question, citations=(replace(WHOLE.citations[0], quote=quote),))
