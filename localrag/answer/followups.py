"""Have the model make a question complete that leans on the conversation, and check that it lost or made up nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from localrag.events import Delta
from localrag.grounding import prompts
from localrag.llm import Completed, Generator
from localrag.quantities import load_words
from localrag.question.followups import WORD, content_words
from localrag.store.text_analysis import COMMON
from localrag.types import Turn, Usage

# Tokens of a rewritten question, and of one that is rewritten: longer ones bring their own words.
_MAX_REWRITTEN, _MAX_QUESTION = 48, 60
_LIGHT = COMMON["english"] | set(load_words("localrag.question", "words.toml")["followups"]["light"].split())


def rewritten(
    question: str, history: Sequence[Turn], model: Generator, *, stop: Callable[[], bool]
) -> tuple[str, Usage]:
    """Return the question as the model completes it, or "" where it lost or made up something; and what that cost."""
    messages = prompts.followup_prompt(question, history, model.count)
    size = model.overhead(len(messages)) + sum(model.count(message.text) for message in messages)
    if model.count(question) > _MAX_QUESTION or size > model.window // 2:
        return "", Usage()
    written, done = list[str](), Completed("", Usage(), "stopped")
    halt = lambda: stop() or "\n" in "".join(written).strip()  # noqa: E731
    for event in model.generate(messages, max_tokens=_MAX_REWRITTEN, stop=halt):
        if isinstance(event, Delta):
            written.append(event.text)
        elif isinstance(event, Completed):
            done = event
    lines = done.text.strip().splitlines()
    whole = done.ended == "end" or len(lines) > 1
    text = lines[0].strip() if lines and whole else ""
    return (text if keeps_meaning(text, question, history) else ""), done.usage


def keeps_meaning(text: str, question: str, history: Sequence[Turn]) -> bool:
    """Return whether a rewritten question has every content word of the original, and no new name or number."""
    if not text or (question.rstrip().endswith("?") and not text.endswith("?")):
        return False
    before = " ".join([question, *(f"{turn.question} {turn.answer}" for turn in history)])
    words = {word.lower() for word in WORD.findall(text)}
    kept = all(any(_alike(word, other) for other in words) for word in content_words(question, _LIGHT))
    return kept and makes_nothing_up(text, before)


def makes_nothing_up(text: str, before: str) -> bool:
    """Return whether the numbers and names (except a first word) of a rewritten question are in a text before it.

    A name may be there in the plural: "Plan" as "plans".
    """
    known = {word.lower() for word in WORD.findall(before.replace("_", " "))}
    known |= {re.sub(r"['’]s?$", "", word) for word in known} | {f"{word}'s" for word in known}
    names = [one[0] for one in WORD.finditer(text) if one[0][0].isdigit() or (one[0][0].isupper() and one.start() > 0)]
    return all(name in known or f"{name}s" in known for name in map(str.lower, names))


def _alike(one: str, other: str) -> bool:
    """Return whether two words differ only in their ending: record and records, confidential and confidentiality."""
    size = max(4, min(len(one), len(other)) - 2)
    return one == other or (one[:size] == other[:size] and min(len(one), len(other)) >= size)
