"""A scripted survey of a few contracts, for the tests of its table."""

from __future__ import annotations

from fake_core import NOTICE, PAGE_12, answered, citation

from localrag.events import Event, Planned, Surveyed
from localrag.types import NotRead, Plan

QUESTION = "How much notice ends each contract?"
SURVEY = Plan("survey", "each of 5 documents is asked")
ANSWER = "3 of 4 documents answer “How much notice ends this contract?”.\n- a: 30 days [1]\nNothing found in: memo.txt."


def row(document, answer, quote="", place=""):
    start = PAGE_12.find(quote) if quote else None
    found = {"library": "contracts", "document": document, "found": bool(answer), "answer": answer, "place": place}
    how = {
        "read": "passages",
        "likelihood": 0.9 if answer else 0.08,
        "why_not": "" if answer else "only 8% likely that it says so",
    }
    end = start + len(quote) if start is not None else None
    return {**found, "quote": quote, **how, "page": 12 if quote else None, "start": start, "end": end}


ROWS = (
    row("contracts/msa.pdf", "thirty (30) days", NOTICE, "p. 12"),
    row("contracts/lease.pdf", "6 months", "Six months' notice in writing.", "p. 3"),
    row("contracts/licence.docx", "2 weeks", "Two weeks.", "Termination"),
    row("memo.txt", ""),
)
LEFT = NotRead("contracts", "contracts/old.pdf", "not asked, the survey was stopped: all of it")


def asked(count=4):
    return (Planned(SURVEY), *(Surveyed(n, len(ROWS), ROWS[n - 1]) for n in range(1, count + 1)))


def settled(**more):
    return answered(ANSWER, plan=SURVEY, table=ROWS, citations=(citation(),), **more)


SCRIPT: tuple[Event, ...] = (*asked(), settled())


def many(count):
    rows = tuple(row(f"d{n}.pdf", f"{n} days", NOTICE, "p. 12") for n in range(count))
    return settled().answer.__class__("", f"{count} of {count}.", True, SURVEY, table=rows)
