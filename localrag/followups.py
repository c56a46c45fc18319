"""A question that leans on the conversation, made to stand by itself, so that it can be looked up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localrag.retrieval import STOP_WORDS
from localrag.types import Turn

_LEANS = re.compile(r"\b(?:it|its|that|this|those|these|they|them|their|he|she|his|her|one|ones|there)\b", re.I)


def leans(question: str, history: Sequence[Turn]) -> bool:
    """Whether a question says only together with those before it what it asks."""
    words = [word for word in re.findall(r"\w+", question) if word.lower() not in STOP_WORDS]
    return bool(history) and (len(words) < 3 or bool(_LEANS.search(question)))


def joined(question: str, history: Sequence[Turn]) -> str:
    """The question together with the one it follows."""
    return f"{history[-1].question} {question}"
