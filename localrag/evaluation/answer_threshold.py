"""The answer threshold of a model: how sure it must be that a text holds the answer before it gives one.

Eighteen questions about three short invented texts, half of which the texts answer. The model weighs "yes, the text
holds the answer"; models differ in how readily they say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Models say "yes" less readily to real questions about passages of 1,000 tokens than to these, by this much in log
# odds: measured on the models of docs/decisions/0046-answer-from.md.
_HARDER = 0.7

_LEASE = (
    "Lease of the boathouse at Tarn Quay",
    "This lease is made between the Tarn Harbour Trust, the landlord, and Odile Marchetti, the tenant. It begins on "
    "1 March 2027 and runs for seven years. The rent is 18,400 euros a year, paid in four equal parts on the first "
    "day of each quarter. The tenant has paid a deposit of 4,600 euros, which earns no interest. The landlord keeps "
    "the roof and the outer walls in repair; everything inside is for the tenant to repair. The tenant may sublet a "
    "part of the boathouse only with the written consent of the landlord. Neither party may end the lease before the "
    "third year is over; after that, either may do so with six months' notice in writing. Dogs are allowed on the "
    "jetty if they are on a lead.",
)
_REPORT = (
    "Report on the failure of pump 3",
    "On the night of 12 October pump 3 of the Velden waterworks stopped. The engineer on duty, Jonas Birk, noticed it "
    "at 02:40 and switched to the reserve pump at 02:55. About 310 households had no water for fifteen minutes. The "
    "cause was a bearing that had run dry, because the oil had not been changed in the spring as the plan demands. The "
    "repair cost 7,850 dollars and was done by Hallmark Pumps Ltd. Since then the oil is checked every second Monday, "
    "and each check is written into a book that lies in the control room. A second reserve pump was considered and "
    "rejected as too dear. The waterworks expects no claims for damages.",
)
_MINUTES = (
    "Minutes of the board of the Elmbridge Library",
    "Present were Priya Nandakumar, who took the chair, Tomas Lindqvist and Ruth Abara; Karel Dvorak had sent his "
    "apologies. The board approved the budget of 92,000 pounds for the coming year, with Ruth Abara voting against. "
    "The reading room will open on Sundays from noon to five, for a trial of three months. The sale of the old van was "
    "put off to the next meeting, because only one offer of 2,300 pounds had come in. Tomas Lindqvist will find out "
    "what a new heating would cost and report in June. The board thanked the volunteers, who gave 1,140 hours of their "
    "time last year. The next meeting is on 4 June at half past six.",
)


_QUESTIONS: tuple[tuple[tuple[str, str], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        _LEASE,
        ("What is the rent?", "Who is the tenant?", "How much notice must be given?"),
        ("Who insures the boathouse?", "What is the floor area?", "In which court are disputes heard?"),
    ),
    (
        _REPORT,
        ("Who repaired the pump?", "When was the failure noticed?", "Where does the book of checks lie?"),
        ("How old was pump 3?", "Who is the mayor of Velden?", "How much oil does the pump hold?"),
    ),
    (
        _MINUTES,
        ("How large is the budget?", "Who took the chair?", "How long is the trial of Sunday opening?"),
        ("How many books does the library own?", "What does a library card cost?", "Who is the librarian?"),
    ),
)


@dataclass(frozen=True, slots=True)
class Task:
    """A question about a text, and whether the text answers it."""

    id: str
    document: tuple[str, str]
    question: str
    holds: bool


def tasks() -> Iterator[Task]:
    """Yield the questions, those about one text together, so that a model reads it once."""
    for number, (document, held, absent) in enumerate(_QUESTIONS):
        for holds, questions in ((True, held), (False, absent)):
            for place, question in enumerate(questions):
                yield Task(f"{number}/{'held' if holds else 'absent'}/{place}", document, question, holds)


def threshold(shares: Mapping[str, float]) -> float | None:
    """Return the share of "yes" from which to answer real questions, or None until all tasks have a share.

    Halfway, in log odds, between the means of the texts that hold the answer and of those that do not (linear
    discriminant analysis of one variable), corrected because real questions are harder.

    `shares` has the likelihood of "yes" by task id.
    """
    sides: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks():
        if task.id not in shares:
            return None
        sides[task.holds].append(_log_odds(shares[task.id]))
    halfway = sum(sum(side) / len(side) for side in sides.values()) / 2
    return round(1 / (1 + math.exp(_HARDER - halfway)), 2)


def _log_odds(share: float) -> float:
    share = min(max(share, 0.005), 0.995)  # one certain answer must not outweigh all others
    return math.log(share / (1 - share))
