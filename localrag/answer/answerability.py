"""Is the answer in the text at all? Judged apart from answering, by how sure code and model are together.

The model weighs "Do the passages contain the answer?" behind the prompt that the answer is written to as well; code
knows how well the best passage fits the question. A logistic regression (Platt 1999) makes one likelihood of the two.
Beyond a fair fit a better one says nothing: library-wide, scores also tell how surely the question names a document.
The figures, the sets that they were fitted on, and what else was tried are in docs/decisions/0034-sufficiency.md.

Limits: fitted on one model of 1.5B. Of another the likelihood is an estimate: its own threshold (`calibration.py`)
stands where that of the first does.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

from localrag.answer import prompts
from localrag.answer.question import Prompted, Question
from localrag.events import Event
from localrag.llm.generation import Generator as Model
from localrag.llm.generation import Weighed
from localrag.types import Usage

# Log odds beyond this say nothing more, nor does a score beyond that.
_STEEPEST, _FAIR = 4.6, 0.4
# Of the log odds above the model's threshold, and of the score up to a fair one.
_HOLDS, _FITS, _SEARCHED = 1.44, 18.2, -6.84


@dataclass(frozen=True, slots=True)
class Verdict:
    """How sure it is that the text holds the answer, 0 to 1, and the model's own share of "yes".

    `confidence` is None where the weighing was stopped.
    """

    confidence: float | None
    holds: float
    usage: Usage
    prompt_seconds: float


def judge(
    asked: Question, prompted: Prompted, model: Model, answer_from: float
) -> Generator[Event, None, Verdict]:  # fmt: skip
    """Weigh the question behind the prompt, which is read once for this and for the answer.

    Args:
        asked, prompted, model: the question, its prompt, and who is asked.
        answer_from: the share of "yes" from which on this model is rather right.
    """
    weighed = Weighed((), Usage())
    messages = prompts.check_prompt(prompted.messages)
    for event in model.weigh(messages, prompts.CHECK_OPTIONS, stop=asked.stop, states=prompted.states):
        if isinstance(event, Weighed):
            weighed = event
        else:
            yield event
    if not weighed.shares:
        return Verdict(None, 0.0, weighed.usage, weighed.prompt_seconds)
    holds = weighed.shares[0]
    sure = confidence(holds, answer_from, asked.plan.signals.get("score"))
    return Verdict(sure, holds, weighed.usage, weighed.prompt_seconds)


def confidence(holds: float, answer_from: float, score: float | None) -> float:
    """The likelihood that the text holds the answer.

    Args:
        holds: the model's share of "yes".
        answer_from: the share from which on this model is rather right.
        score: of the best passage found for the question; None where none was searched.
    """
    fits = 0.0 if score is None else _SEARCHED + _FITS * min(max(score, 0.0), _FAIR)
    return 1 / (1 + math.exp(-(_HOLDS * (_log_odds(holds) - _log_odds(answer_from)) + fits)))


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_STEEPEST), _STEEPEST)
