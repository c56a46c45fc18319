"""End an answer that repeats itself: small models write one sentence until their tokens are used up.

One sentence, or line apart from its number, three times in a row ends the answer, which has it once. Nothing else
changes, unlike with a penalty in sampling. Limits: rows of tables, code and sentences of under four words may repeat,
and a loop of several sentences is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from localrag.events import Delta, Event
from localrag.llm import Completed, Generator
from localrag.store.text_analysis import sentences
from localrag.types import Message

_TIMES, _MIN_WORDS = 3, 4
_WORD = re.compile(r"[^\W\d_]{2,}")
_NUMBERED = re.compile(r"^(?:[-*•>#]\s*)*(?:\(?\d{1,3}(?:\.\d{1,3})*[.)]\s+|\d{1,3}(?:\.\d{1,3})+\s+)")
_FENCE = "```"


def written(
    model: Generator, messages: Sequence[Message], *, stop: Callable[[], bool], **options: Any
) -> Iterator[Event | Completed]:
    """Have an answer written as `Generator.generate` does, ended as "repeated" where it repeats itself."""
    text, once = "", ""

    def ends() -> bool:
        return bool(once) or stop()

    for event in model.generate(messages, stop=ends, **options):
        if isinstance(event, Delta):
            text += event.text
            once = once or until_repeated(text)
        elif isinstance(event, Completed) and (once := once or until_repeated(f"{event.text}\n")):
            event = replace(event, text=once, ended="repeated")
        yield event


def until_repeated(text: str) -> str:
    """Return a text up to the first of three equal sentences at its end; "" where it has none there.

    A sentence counts once something follows it, if only a space.
    """
    spans = sentences(text)[: None if text[-1:].isspace() else -1][-_TIMES:]
    distinct = {_NUMBERED.sub("", " ".join(text[start:end].split())).casefold() for start, end in spans}
    if len(spans) < _TIMES or len(distinct) > 1 or text.count(_FENCE, 0, spans[0][0]) % 2:
        return ""
    only = distinct.pop()
    return "" if "|" in only or len(_WORD.findall(only)) < _MIN_WORDS else text[: spans[0][1]]
