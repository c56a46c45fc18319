"""Findings of a review in words, as the grids show them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from localrag.answer.review.playbook import Item
from localrag.types import Finding

SIGNS: Mapping[str, str] = {"deviates": "≠", "absent": "✗", "unsure": "?", "found": "✓"}
MARKS: Mapping[str, str] = {"accepted": " A", "rejected": " R"}


def summary(one: Finding) -> str:
    """Return a finding on one line: "≠ Payment (high): 60 days: 60 days is more than 45 days"."""
    said = one.decision
    marked = (said.verdict if said.verdict != "open" else "", said.comment) if said else ()
    told = ": ".join(filter(None, (one.value, one.problem))) or one.state
    return " · ".join(filter(None, (f"{SIGNS[one.state]} {one.title} ({one.importance}): {told}", *marked)))


def told(one: Finding, item: Item) -> dict[str, str]:
    """Return all that is known of a finding, by name."""
    likely = "" if one.confidence is None else f"; {one.confidence:.0%} likely to be there"
    said, terms = one.decision, []
    for name, term in (msgspec.to_builtins(item.position) or {}).items():
        shown = ("no", "yes")[term] if isinstance(term, bool) else term if isinstance(term, str) else ", ".join(term)
        terms.append(f"{name.replace('_', ' ')}: {shown}")
    return {
        "Value": one.value, "Position": "; ".join(terms),
        "Differs": one.problem, "Asked": item.question, "Note": item.note, "Fallback": item.fallback,
        "Before": one.before, "Document": one.remark, "Read": one.read + likely,
        "Reviewer": f"{said.verdict} by {said.by}, {said.at[:10]}: {said.comment}".rstrip(" :") if said else "",
    }  # fmt: skip
