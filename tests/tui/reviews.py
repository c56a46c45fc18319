"""A scripted review of two contracts with a playbook of three items, for the tests of its grid."""

from dataclasses import replace

from fake_core import TERM, FakeWorld, citation

from localrag.events import Reviewed, ReviewEnded
from localrag.types import Checked, Decision, NotRead

PLAYBOOK = """
title: Services agreements
items:
  - id: notice
    question: How much notice ends the contract?
    type: duration
    expect: {at_most: 2 weeks}
    importance: high
    note: Ask Anna above two weeks.
    fallback: Either party may end this agreement with two weeks' notice.
  - {id: term, question: "How long is the term?"}
  - {id: non-compete, question: "Does it forbid to compete?", type: yes/no, expect: no}
"""
LEFT = NotRead("contracts", "contracts/old.pdf", "could not be read")


MSA, LEASE = "contracts/msa.pdf", "contracts/lease.pdf"


def finding(document, item, state, value="", expected=None, **more):
    weight = "high" if item == "notice" else "medium"
    first = ("contracts", document, item, item.capitalize(), "?", weight, state, value, expected, "", None)
    return replace(Checked(*first, confidence=0.9, read="all 12 passages", model=""), **more)


FINDINGS = (
    finding(MSA, "notice", "deviates", "30 days", False, citation=citation(), problem="30 days is more than 2 weeks"),
    finding(MSA, "term", "found", "three years from the effective date", citation=citation(TERM, 2)),
    finding(MSA, "non-compete", "absent", "no", True, confidence=0.02),
    finding(LEASE, "notice", "absent", expected=False, problem="the clause is not there"),
    finding(LEASE, "term", "unsure", confidence=0.4),
    finding(LEASE, "non-compete", "absent", "no", True, decision=Decision("accepted", "", "bob", "2026-02-01T09:00Z")),
)


def came(count=None):
    return [Reviewed(n + 1, len(FINDINGS), 1 + n // 3, 2, one) for n, one in enumerate(FINDINGS[:count])]


def world(folder, gate=None, *, after=3, end=None):
    """A world whose review waits at the gate after some findings; its playbook is `p.yaml` in the folder."""
    (folder / "p.yaml").write_text(PLAYBOOK)
    steps = came()
    return FakeWorld(
        review=[*steps[:after], *([gate] if gate else []), *steps[after:], end or ReviewEnded((), (LEFT,))]
    )
