"""Answer a yes-or-no question, or one for a value, about one document, by the engine of items.

What is claimed is what the quote beside it says; where it does not, the quote is shown without a claim.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from localrag.grounding import prompts
from localrag.grounding.stages import Pair, Query
from localrag.items import positions
from localrag.items.engine import Engine
from localrag.items.item import Finding, Item
from localrag.items.values import Type
from localrag.types import Citation


@dataclass(frozen=True, slots=True)
class Single:
    """The answer to a question about one document.

    Attributes:
        citations: what the answer rests on, numbered from 1; where nothing is claimed, marker 0: the nearest words.
        found: the document says so, says the opposite, or states the value.
    """

    text: str
    found: bool
    citations: tuple[Citation, ...]
    finding: Finding


def item_of(question: str, type: Type) -> Item:
    """Return the item that a question asks for: whether the document says so ("yes/no"), or a value of a type."""
    return Item("asked", question, type=type)


def answer(item: Item, pair: Pair, query: Query, engine: Engine) -> Single | None:
    """Return what a document answers to an item; None where it was stopped."""
    found = engine.find(item, pair, only=query.only, stop=query.stop)
    if found is not None and found.way == "no" and found.confidence is not None:
        found = replace(found, confidence=1 - found.confidence)  # of the answer, which is no
    return None if found is None else worded(found)


def worded(found: Finding) -> Single:
    """Put a finding into words: yes, no, or the value, each with its quote; or that the document does not say."""
    at = found.citation
    if at is None or found.state != "found":
        nearest = (_numbered(at, 0),) if at is not None else ()
        return Single(prompts.WITHHELD if found.withheld else prompts.NOT_FOUND, False, nearest, found)
    quote = " ".join(at.quote.split())
    claim = found.way.capitalize() or (positions.shown(found.value) if found.value else found.answer.rstrip("."))
    lead = f"{claim}: " if claim and claim != quote.rstrip(".") else ""
    return Single(f"{lead}“{quote}” [1]", True, (_numbered(at, 1),), found)


def _numbered(at: Citation, marker: int) -> Citation:
    return replace(at, marker=marker)
