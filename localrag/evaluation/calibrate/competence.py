"""Is this model good enough for the work? Two minutes of small tasks whose answers code can check.

Four skills that every answer here leans on, asked of three short invented texts in the prompt of `read`: telling which
of four answers the text gives, quoting word for word, keeping to a form, and knowing whether the text answers at all.
No model judges. Some thirty tasks tell a model that can from one that cannot; they do not tell two good ones apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from localrag.answer.prompts import CHECK_OPTIONS

Skill = Literal["choice", "quoting", "form", "presence"]
SKILLS: dict[Skill, str] = {
    "choice": "picks the right one of four answers",
    "quoting": "quotes word for word",
    "form": "keeps to the form asked for",
    "presence": "knows whether the text holds the answer",
}
# What a model that answers at random gets.
CHANCE: dict[Skill, float] = {"choice": 0.25, "quoting": 0.0, "form": 0.0, "presence": 0.5}
# The share that is enough. Quotes are looked up in the text and forms held by grammars, so there less will do.
ENOUGH: dict[Skill, float] = {"choice": 0.8, "quoting": 0.65, "form": 0.65, "presence": 0.8}
_FINDS = 0.8
# Of real questions to passages of 1,000 tokens models say "yes" less readily than of these, by so much in log odds:
# measured with real questions on the models of docs/decisions/0046-answer-from.md.
_HARDER = 0.7
_FAIR = 0.6  # of choices, and of facts found in a short text: below, a model does not read well enough for anything

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


@dataclass(frozen=True, slots=True)
class Task:
    """Something to ask of a text. `right` tells whether a written answer passes; of presence, `holds` is the truth."""

    id: str
    skill: Skill
    document: tuple[str, str]
    question: str
    right: Callable[[str], bool] = lambda answer: False
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How a task ended. `share` is the likelihood of “yes”, of presence only."""

    id: str
    skill: Skill
    right: bool
    share: float | None = None


def tasks() -> list[Task]:
    """All of them, those of one text together, so that it is read once."""
    made: list[Task] = []
    for number, (document, choices, quotes, forms, held, absent) in enumerate(_SHEETS):
        for skill, asked in (("choice", map(_choice, choices)), ("quoting", (_quote(document[1], *q) for q in quotes)),
                             ("form", (_form(*form) for form in forms))):  # fmt: skip
            for question, right in asked:
                made.append(Task(f"{number}/{len(made)}", skill, document, question, right))  # type: ignore[arg-type]
        for holds, questions in ((True, held), (False, absent)):
            for question in questions:
                made.append(Task(f"{number}/{len(made)}", "presence", document, question, holds=holds))
    return made


def presence(task: Task, share: float, answer_from: float) -> Result:
    """The result of weighing `prompt.CHECK_OPTIONS`: whether the model answers where it should and only there."""
    assert CHECK_OPTIONS[0] == "yes"
    return Result(task.id, task.skill, (share >= answer_from) == task.holds, round(share, 3))


def answer_from(shares: Mapping[str, float]) -> float | None:
    """From which share of "yes" on this model is rather right about real questions; None until all tasks were asked.

    Halfway, in log odds, between the mean of the texts that hold the answer and the mean of those that do not (linear
    discriminant analysis of one variable), less what real questions are harder than these.

    Args:
        shares: the likelihood of "yes" by the id of the task.
    """
    sides: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks():
        if task.skill == "presence":
            if task.id not in shares:
                return None
            sides[task.holds].append(_log_odds(shares[task.id]))
    halfway = sum(sum(side) / len(side) for side in sides.values()) / 2
    return round(1 / (1 + math.exp(_HARDER - halfway)), 2)


def _log_odds(share: float) -> float:
    share = min(max(share, 0.005), 0.995)  # one sure answer must not outweigh all others
    return math.log(share / (1 - share))


def shares(results: Sequence[Result]) -> dict[Skill, tuple[int, int]]:
    """Of each skill: how many right, of how many."""
    return {
        skill: (sum(one.right for one in results if one.skill == skill), sum(one.skill == skill for one in results))
        for skill in SKILLS
    }


def told_apart(results: Sequence[Result]) -> float | None:
    """How often a text that holds the answer gets a higher “yes” than one that does not: 0.5 is chance, 1 is always.

    It does not depend on from which “yes” on an answer is given (area under the ROC curve).
    """
    truth = {task.id: task.holds for task in tasks()}
    held = [one.share for one in results if one.share is not None and truth.get(one.id)]
    absent = [one.share for one in results if one.share is not None and not truth.get(one.id)]
    if not held or not absent:
        return None
    wins = sum((a > b) + 0.5 * (a == b) for a in held for b in absent)
    return wins / (len(held) * len(absent))


def verdict(results: Sequence[Result], finds: float | None = None) -> tuple[Literal["good", "care", "poor"], str]:
    """In plain words whether the model is good enough; `finds` is its share of facts found in the shortest text."""
    rates = {skill: right / asked for skill, (right, asked) in shares(results).items() if asked}
    said = {skill: words for skill, words in _WEAK.items() if rates.get(skill, 1.0) < ENOUGH[skill]}
    weak = list(said.values())
    if finds is not None and finds < _FINDS:
        weak.append(f"finds only {finds:.0%} of the facts asked for even in a short text")
    reading = min(rates.get("choice", 1.0), 1.0 if finds is None else finds)
    if not weak:
        return "good", "Good enough for this work: it reads, quotes, keeps to a form and knows when a text is silent."
    if reading < _FAIR:
        return "poor", f"Not good enough for this work: it {_listed(weak)}. Choose a larger model."
    return "care", f"Usable with care: it {_listed(weak)}. Check its answers against the quotes shown."


_WEAK: dict[Skill, str] = {
    "choice": "often picks a wrong answer where four are offered",
    "quoting": "often changes the words of a quote (quotes shown are looked up in the text, so none is wrong)",
    "form": "often does not keep to the form asked for",
    "presence": "often cannot tell whether a text holds the answer",
}


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


# --- the tasks ----------------------------------------------------------------------------------------------


def _choice(task: tuple[str, tuple[str, str, str, str], int]) -> tuple[str, Callable[[str], bool]]:
    question, options, correct = task
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=True))

    def right(answer: str) -> bool:
        letter = re.match(r"\W*(?:(?i:answer)\W+)?([A-D])\b", answer)
        if letter:
            return letter[1] == "ABCD"[correct]
        named = [option for option in options if option.casefold() in answer.casefold()]
        return named == [options[correct]]

    return f"{question}\n{listed}\nReply with the letter of the right answer only.", right


def _quote(text: str, question: str, key: str) -> tuple[str, Callable[[str], bool]]:
    flat = _flat(text)

    def right(answer: str) -> bool:
        quote = _flat(answer)
        return len(quote.split()) >= 5 and quote in flat and key.casefold() in quote

    return f"Copy from the document, word for word, the sentence that says {question}. Write nothing else.", right


def _flat(text: str) -> str:
    return " ".join(text.casefold().replace("’", "'").split()).strip("\"'“”«». ")


def _form(question: str, pattern: str) -> tuple[str, Callable[[str], bool]]:
    return question, lambda answer: re.fullmatch(pattern, answer.strip()) is not None


_SHEETS = (
    (
        _LEASE,
        (
            ("Who repairs the roof?", ("the tenant", "the landlord", "both together", "nobody"), 1),
            ("How often is rent paid?", ("every month", "once a year", "every quarter", "every week"), 2),
            ("For how long does the lease run?", ("seven years", "three years", "six months", "four years"), 0),
        ),
        (("how much the deposit is", "4,600"), ("where dogs are allowed", "jetty"),
         ("what subletting needs", "consent")),
        (
            ("On which date does the lease begin? Write it as YYYY-MM-DD and nothing else.", r"2027-03-01\.?"),
            ("What is the yearly rent in euros? Reply with digits only.", r"18,?400\.?"),
        ),
        ("What is the rent?", "Who is the tenant?", "How much notice must be given?"),
        ("Who insures the boathouse?", "What is the floor area?", "In which court are disputes heard?"),
    ),
    (
        _REPORT,
        (
            ("Why did the pump stop?",
             ("a power cut", "a bearing without oil", "a blocked pipe", "a mistake of the engineer on duty"), 1),
            ("How many households had no water?", ("15", "255", "310", "7,850"), 2),
            ("What became of the second reserve pump?",
             ("it was bought", "it broke", "it was repaired", "it was rejected"), 3),
        ),
        (("what the repair cost", "7,850"), ("how often the oil is checked now", "monday"),
         ("whether claims are expected", "claims")),
        (
            ("At what time was the reserve pump switched on? Write HH:MM and nothing else.", r"02:55\.?"),
            ("Name the engineer as SURNAME, First name, and write nothing else.", r"(?i:birk), ?Jonas\.?"),
        ),
        ("Who repaired the pump?", "When was the failure noticed?", "Where does the book of checks lie?"),
        ("How old was pump 3?", "Who is the mayor of Velden?", "How much oil does the pump hold?"),
    ),
    (
        _MINUTES,
        (
            ("Who voted against the budget?", ("Priya Nandakumar", "Tomas Lindqvist", "Ruth Abara", "Karel Dvorak"), 2),
            ("What happened to the old van?",
             ("its sale was put off", "it was sold", "it was repaired", "it was given away"), 0),
            ("What will Tomas Lindqvist look into?",
             ("the budget", "the Sunday opening", "the volunteers", "the cost of a heating"), 3),
        ),
        (("how many hours the volunteers gave", "1,140"), ("when the next meeting is", "june"),
         ("when the reading room will open", "sundays")),
        (
            ("Who did not come? Reply with one name, in capital letters only.", r"KAREL DVORAK\.?"),
            ("Name the three who were present, divided by semicolons, and write nothing else.",
             r"Priya Nandakumar; ?Tomas Lindqvist; ?Ruth Abara\.?"),
        ),
        ("How large is the budget?", "Who took the chair?", "How long is the trial of Sunday opening?"),
        ("How many books does the library own?", "What does a library card cost?", "Who is the librarian?"),
    ),
)  # fmt: skip
