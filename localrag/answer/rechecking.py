"""What an answer fails by tests that need no model, and the better of two answers by the same tests (pure).

A model that is asked whether its answer is right does not know (Huang et al. 2024, "Large Language Models Cannot
Self-Correct Reasoning Yet", arXiv 2310.01798), so it is only told what code has found: words in quotation marks that
stand nowhere, figures and names that the text does not have, a sentence that nothing in it supports, an answer that is
empty, cut or goes in circles.

Limits: an answer that passes may be wrong.
"""

from __future__ import annotations

import re
from collections import Counter

from localrag.answer.prompts import Complaint
from localrag.llm.generation import Completed
from localrag.types import Answer

# An answer that says the same so often goes in circles; so many words in a row are no coincidence.
_TIMES, _RUN = 3, 6
_MOST = 3  # complaints that are told: small models lose sight of more


def complaints(answer: Answer, done: Completed) -> tuple[Complaint, ...]:
    """What is wrong with an answer, the worst first; empty where nothing is, or where it says that it is not there."""
    if done.ended == "stopped":
        return ()
    if not re.search(r"\w", done.text):
        return (Complaint("empty"),)
    if not answer.found:
        return ()
    found = [Complaint("circles")] if circles(done.text) else [Complaint("cut")] if done.ended == "length" else []
    # In another language than the documents no sentence can be found in them, and to be told so would undo it.
    foreign = any(flag.kind == "language" for flag in answer.flags)
    found += [Complaint(flag.kind, flag.text) for flag in answer.flags if flag.kind != "language"]
    if answer.citations_dropped:
        found.append(Complaint("quote"))
    found += [Complaint("unsupported", sentence) for sentence in answer.unsupported if not foreign]
    return tuple(dict.fromkeys(found))


def told(found: tuple[Complaint, ...]) -> tuple[Complaint, ...]:
    """Those of them that the model is told."""
    return found[:_MOST]


def circles(text: str) -> bool:
    """Whether a text repeats itself: six words in a row, three times."""
    words = text.lower().split()
    runs = Counter(tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))
    return any(count >= _TIMES for count in runs.values())


def better(first: tuple[Answer, Completed], second: tuple[Answer, Completed]) -> bool:
    """Whether the second answer fails less than the first; a second one that says nothing is no better than a doubt."""
    if not second[0].found or second[1].ended == "stopped":
        return False
    return not first[0].found or weight(*second) < weight(*first)


def weight(answer: Answer, done: Completed) -> tuple[int, int]:
    """How much is wrong, and of that how much is not only a sentence without support; less is better."""
    found = complaints(answer, done)
    return sum(complaint.kind != "unsupported" for complaint in found), len(found)
