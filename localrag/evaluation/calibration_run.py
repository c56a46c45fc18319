"""Measure when a model should answer, and whether it reads passages by themselves as well as together.

Eighteen questions about three short invented texts; the texts answer nine of them. The model weighs "yes, the text
holds the answer"; models differ in how readily they say so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from statistics import fmean
from typing import Any

from localrag.errors import UsageError
from localrag.grounding import prompts
from localrag.llm import Generator, Weighed, calibration, loading, priority
from localrag.models.records import ModelStore
from localrag.quantities import load_words
from localrag.settings import Settings
from localrag.types import Message, Passage

Stop = Callable[[], bool]

# Models say "yes" less readily to real questions about passages of 1,000 tokens than to these, by this much in log
# odds: measured on the models of docs/decisions/0046-answer-from.md.
_HARDER = 0.7
# Passages are read apart if that keeps most of the distance, in log odds, between texts with and without the answer,
# and there is one.
_KEEPS_GAP, _MIN_GAP = 0.8, 0.5


# The share of "yes" of each task: about a text "alone", and about passages read "together" and "apart".
Shares = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Task:
    """A question about a text, and whether the text answers it."""

    id: str
    document: tuple[str, str]
    question: str
    holds: bool


def tasks() -> Iterator[Task]:
    """Yield the questions, those about one text together, so that a model reads it once."""
    for number, text in enumerate(load_words("localrag.evaluation", "calibration.toml")["text"]):
        for kind in ("held", "absent"):
            for place, question in enumerate(text[kind]):
                yield Task(f"{number}/{kind}/{place}", (text["title"], text["text"]), question, kind == "held")


def answer_threshold(shares: Mapping[str, float]) -> float:
    """Return the share of "yes" from which to answer real questions.

    Halfway, in log odds, between the means of the texts that hold the answer and of those that do not (linear
    discriminant analysis of one variable), corrected because real questions are harder.
    """
    return round(1 / (1 + math.exp(_HARDER - sum(_means(shares)) / 2)), 2)


def _means(shares: Mapping[str, float]) -> tuple[float, float]:
    """Return the mean log odds of "yes" of the texts that hold the answer, and of the others."""
    sides: dict[bool, list[float]] = {True: [], False: []}
    for task in tasks():
        share = min(max(shares[task.id], 0.005), 0.995)  # one certain answer must not outweigh all others
        sides[task.holds].append(math.log(share / (1 - share)))
    return fmean(sides[True]), fmean(sides[False])


def measure(model: Generator, stop: Stop, progress: Callable[[int, int], None]) -> Shares | None:
    """Weigh all tasks in the three ways; None if it was stopped. `progress` receives the number done and of all."""
    asked = list(tasks())
    documents = dict(task.document for task in asked)
    passages = [
        Passage("", name, None, None, (), text, 0, len(text), 1.0, number)
        for number, (name, text) in enumerate(documents.items())
    ]
    found: dict[str, dict[str, float]] = {"alone": {}, "together": {}, "apart": {}}
    for done, (way, task) in enumerate([(way, task) for way in found for task in asked], 1):
        if way == "alone":
            messages = prompts.documents_prompt(task.question, [task.document])
        else:
            rules, user = prompts.passages_prompt(task.question, passages)
            messages = [rules, Message("user", user.whole) if way == "together" else user]
        weighed = [
            event
            for event in model.weigh(prompts.check_prompt(messages), prompts.CHECK_OPTIONS, stop=stop)
            if isinstance(event, Weighed) and event.shares
        ]
        if not weighed:
            return None
        found[way][task.id] = weighed[-1].shares[0]
        progress(done, len(found) * len(asked))
    return found


def figures(shares: Shares) -> dict[str, Any]:
    """Return what is kept of a model: `answer_from` and `apart`."""
    together, apart = (held - absent for held, absent in map(_means, (shares["together"], shares["apart"])))
    return {"answer_from": answer_threshold(shares["alone"]), "apart": apart >= max(_MIN_GAP, _KEEPS_GAP * together)}


def calibrate(
    settings: Settings, stop: Stop, progress: Callable[[int, int], None]
) -> tuple[str, calibration.Calibration] | None:
    """Measure the model in use and save the result; returns its name and what is known of it, None if stopped."""
    if settings.generator_server:
        hint = "To calibrate an installed one: localrag config unset generator_server"
        raise UsageError("the model of a server is not calibrated", hint)
    chosen, file = ModelStore(settings).default("generator"), settings.calibration_file
    weights = chosen.sha256 + (chosen.adapter_sha256 or "")
    with priority.asking(settings.questions_dir), closing(loading.load_generator(settings, apart=True)) as model:
        shares, name = measure(model, stop, progress), model.model
    if shares is None:
        return None
    found = {**figures(shares), "weights": weights, "measured": date.today().isoformat()}
    calibration.save(file, name, replace(calibration.load(file, name, weights), **found))
    return name, calibration.load(file, name, weights)
