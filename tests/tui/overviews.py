"""A library of two contracts with facts, one of them under a hostile name, for the tests of its first page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fake_core import NOTICE, PAGE_12, TERM, FakeEngine, FakeWorld

from localrag.errors import LocalragError
from localrag.tui.threads import Core
from localrag.types import Fact

MSA, HOSTILE = "contracts/msa.pdf", "contracts/[red]a[/].pdf"
START = PAGE_12.index(NOTICE)
TITLE = "Services agreement, Acme"
QUESTION = f"When does “{TITLE}” end?"
FACTS = (
    Fact("termination notice", "P30D", "thirty (30) days", NOTICE, "p. 12", 12, START, START + len(NOTICE)),
    Fact("law", "Ohio", "Ohio", TERM, "p. 2", 2, 10, 58, "unclear", why="several laws are named"),
    Fact("form", "FORM 10-K", "FORM 10-K"),
)
EMPTY = {
    **{name: {} for name in ("kinds", "years", "languages", "people")},
    **{name: [] for name in ("failed", "documents", "timeline", "ahead", "amounts", "questions")},
    "without_facts": 0,
}


def event(day, title=TITLE, counted=""):
    return {"date": day, "what": "ends", "title": title, "counted": counted, "document": MSA}


def document(path, title, facts=(), **cells):
    columns = dict.fromkeys(("parties", "dated", "in force", "end", "notice", "law", "other"), "") | cells
    named = {
        "library": "contracts",
        "document": path,
        "title": title,
        "kind": "contract",
        "pages": 60,
        "relation": "",
        "base": "",
    }
    return {**named, "cells": columns, "facts": [one.to_dict() for one in facts]}


@dataclass
class OverviewWorld(FakeWorld):
    """A world whose library has a first page; `decisions` are what the app decided."""

    facts: dict[str, Fact] = field(default_factory=lambda: {one.id: one for one in FACTS})
    decisions: list[tuple[str, str, str]] = field(default_factory=list)
    refused: LocalragError | None = None  # what looking and deciding raise
    empty: bool = False
    looked: int = 0

    def core(self):
        parts = {"engine": OverviewEngine(self), "store": self.store}
        return Core(**parts)


class OverviewEngine(FakeEngine):
    def overview(self, library, *, stop=lambda: False):
        self.world.looked += 1
        if self.world.refused is not None:
            raise self.world.refused
        if self.world.empty:
            return EMPTY
        facts = [one for one in self.world.facts.values() if one.state != "rejected"]
        return {
            **EMPTY,
            "kinds": {"contract": 2},
            "years": {"2019": 1, "2021": 1},
            "failed": [{"document": "old.pdf", "reason": "is encrypted"}],
            "without_facts": 1,
            "documents": [
                document(MSA, TITLE, facts, dated="2021-03-01", notice="30 days", law="Ohio?"),
                document(HOSTILE, "[bold]Lease[/bold]\x1b[2J"),
            ],
            "ahead": [event("2027-01-31"), event("2027-02-28", "[b]Lease", "1 year from 2026-03-01")],
            "questions": [QUESTION, "Who are the parties to “[b]Lease\x1b[2J”?"],
        }

    def decide_fact(self, library, document, fact, state, value=""):
        if self.world.refused is not None:
            raise self.world.refused
        assert (library, document) == ("contracts", MSA)
        self.world.decisions.append((self.world.facts[fact].role, state, value))
        one = self.world.facts[fact]
        was = one.was or (one.value if value and value != one.value else "")
        changed = replace(one, state=state, value=value or one.value, words=value or one.words, was=was, by="anna")
        read = next(each for each in FACTS if each.id == fact)
        self.world.facts[fact] = read if state == "sure" else changed
        return changed
