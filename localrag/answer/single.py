"""Answer a yes-or-no question about one document by the engine of items.

What is claimed is what the quote beside it says; where it does not, the quote is shown without a claim.
"""

from __future__ import annotations

from dataclasses import replace

from localrag.grounding import prompts
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items.engine import Engine
from localrag.items.item import Finding, Item
from localrag.types import Plan


def answer(query: Query, pair: Pair, plan: Plan, engine: Engine) -> Findings:
    """Return yes or no with the quote that says so; else that the document does not say, with what comes nearest."""
    model = engine.workspace.model().model
    judged = engine.find(Item("asked", query.search_text or query.text), pair, only=query.only, stop=query.stop)
    if judged is None:
        return Findings(prompts.STOPPED, False, plan, model=model, stopped=True)
    return worded(judged, plan, model)


def worded(judged: Finding, plan: Plan, model: str) -> Findings:
    """Put a finding into words: yes or no, or that the document does not say."""
    at, confidence = judged.citation, judged.confidence
    found = Findings(
        prompts.WITHHELD if judged.withheld else prompts.NOT_FOUND,
        False,
        plan,
        confidence=confidence if judged.state != "unsure" else None,
        nearest=() if at is None else (replace(at, marker=0),),
        withheld="what the document says, because no text supports it throughout" if judged.withheld else "",
        looked_at=f"{judged.read[:1].upper()}{judged.read[1:]}.",
        not_read=judged.injections,
        tokens=judged.usage,
        model=model,
    )
    if at is None or judged.state != "found":
        return found
    if judged.way == "no" and confidence is not None:
        confidence = 1 - confidence  # of the answer, which is no
    text = f"{judged.way.capitalize()}: “{' '.join(at.quote.split())}” [1]"
    return replace(
        found, answer=text, found=True, confidence=confidence, citations=(replace(at, marker=1),), nearest=()
    )
