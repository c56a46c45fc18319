"""Is the answer in the text at all? Judged apart from answering, by how sure code and model are together.

A small model says yes to "Do the passages contain the answer?" and, asked the other way round, to "Is the answer
missing from them?" as well. What it says yes to anyway falls out of the difference of the two log odds: contextual
calibration (Zhao et al. 2021, "Calibrate Before Use") with the question itself as its context. Beside it stands how
well the best passage fits, where passages were searched. A logistic regression (Platt 1999) makes one likelihood of
them; its figures, and the sets that they were fitted on, are in docs/decisions/0034-sufficiency.md.

Limits: fitted on one model of 1.5B and a few sets of questions. Of another model the likelihood is an estimate, and the
order of questions by it holds better than its height.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from localrag import prompt
from localrag.events import Event
from localrag.generation import Generator as Model
from localrag.generation import Weighed
from localrag.question import Prompted, Question
from localrag.types import Usage

_STEEPEST = 3.5  # log odds beyond this say nothing more


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the logistic regression: a constant, the difference of the log odds, the score of the best passage."""

    constant: float
    margin: float
    score: float = 0.0


SEARCHED = Weights(-4.97, 1.75, 9.65)
# Where nothing was searched, as of documents that were named and read whole.
READ = Weights(-1.9, 2.1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure it is that the text holds the answer, 0 to 1, and the model's own shares of "yes" to both questions.

    `sureness` is None where the weighing was stopped.
    """

    sureness: float | None
    holds: float
    missing: float
    usage: Usage
    prompt_seconds: float


def judge(asked: Question, prompted: Prompted, model: Model) -> Generator[Event, None, Verdict]:
    """Weigh both questions behind the prompt, which is read once for them and for the answer."""
    holds = yield from _weigh(asked, prompted, model, missing=False)
    missing = (yield from _weigh(asked, prompted, model, missing=True)) if holds.shares else holds
    if not missing.shares:
        return Verdict(None, 0.0, 0.0, holds.usage, holds.prompt_seconds)
    yes, no = holds.shares[0], missing.shares[1]
    return Verdict(
        sureness(yes, no, asked.plan.signals.get("score")), yes, no, holds.usage,
        holds.prompt_seconds,
    )  # fmt: skip


def _weigh(asked: Question, prompted: Prompted, model: Model, *, missing: bool) -> Generator[Event, None, Weighed]:
    weighed = Weighed((), Usage())
    messages = prompt.check_prompt(prompted.messages, missing=missing)
    options = prompt.MISSING_OPTIONS if missing else prompt.CHECK_OPTIONS
    for event in model.weigh(messages, options, stop=asked.stop, states=prompted.states):
        if isinstance(event, Weighed):
            weighed = event
        elif not missing:
            yield event
    return weighed


def sureness(holds: float, missing: float, score: float | None) -> float:
    """The likelihood that the text holds the answer.

    Args:
        holds: share of "yes" to whether it contains the answer.
        missing: share of "yes" to whether the answer is missing.
        score: of the best passage found for the question; None where none was searched.
    """
    weights = READ if score is None else SEARCHED
    margin = _log_odds(holds) - _log_odds(missing)
    return 1 / (1 + math.exp(-(weights.constant + weights.margin * margin + weights.score * (score or 0.0))))


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_STEEPEST), _STEEPEST)
