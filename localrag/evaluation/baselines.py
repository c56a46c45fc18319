"""A baseline to compare with: one plain prompt over five passages.

It is what anybody would write first: the five passages that the same search finds, one instruction, and whatever the
model replies. It does not report whether it declined; `declines` reads that from the reply, in English and, less
reliably, in German, French, Spanish and Chinese.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrag.evaluation import metrics
from localrag.events import Answered, Delta, Event
from localrag.grounding import prompts
from localrag.llm import Completed, Generator
from localrag.quantities import load_words
from localrag.settings import Settings
from localrag.types import Answer, Message, Mode, Plan, Seconds, Usage

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant

PASSAGES = 5

_WORDS = load_words("localrag.evaluation", "words.toml")["baselines"]
PLAIN_RULES: str = _WORDS["plain"]
_DECLINE = re.compile(re.sub(r"<(\w+)>", lambda part: str(_WORDS[part[1]]), "|".join(_WORDS["declines"])), re.I)
_FIRST = re.compile(r".{1,240}?(?:[.!?](?=\s|$)|[。！？\n]|$)", re.S)


@dataclass(slots=True)
class Plain:
    """Answers as an `Assistant` does, but puts the five best passages and the question into one prompt."""

    searcher: Assistant  # finds the passages; neighbours are not joined
    load: Callable[[], Generator]  # at the first question
    settings: Settings
    choices: Sequence[str] = ()  # the possible replies to questions with a label
    labelled: Collection[str] = ()  # the questions with a label
    _model: Generator | None = field(default=None, init=False)

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Sequence[str] | None,
        mode: Mode,
        stop: Callable[[], bool],
    ) -> Iterator[Event]:
        began = time.monotonic()
        found = self.searcher.search(question, libraries=libraries, k=PASSAGES, documents=documents, join=False)
        retrieve = time.monotonic() - began
        if self._model is None:
            self._model = self.load()
            # Loading the model is not part of a question's time.
            began = time.monotonic() - retrieve
        text = "\n\n".join(f"[{number}] {passage.text}" for number, passage in enumerate(found, 1))
        choices = self.choices if question in self.labelled else ()
        rule = f"\n\nReply with one of: {'; '.join(choices)}." if choices else ""
        messages = [
            Message("system", PLAIN_RULES),
            Message("user", f"Passages:\n\n{text}\n\nQuestion: {question}{rule}"),
        ]
        done, first = Completed("", Usage(), "stopped"), None
        for event in self._model.generate(
            messages,
            max_tokens=self.settings.answer_tokens,
            temperature=self.settings.temperature,
            seed=self.settings.seed,
            stop=stop,
        ):
            if isinstance(event, Completed):
                done = event
            elif isinstance(event, Delta) and first is None:
                first = time.monotonic() - began
        text = done.text.strip()
        yield Answered(
            Answer(
                question,
                text,
                not declines(text, choices),
                Plan("retrieve", "A baseline, for comparison."),
                passages=tuple(found),
                tokens=done.usage,
                seconds=Seconds(0.0, retrieve, first, time.monotonic() - began),
                model=self._model.model,
                stopped=done.ended != "end",
            )
        )

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


def declines(reply: str, choices: Sequence[str] = ()) -> bool:
    """Return whether a reply is empty or says in its first sentence that the answer is not there.

    For a question with choices, the choice decides: "Not mentioned" declines.
    """
    reply = reply.strip()
    if not re.search(r"\w", reply):
        return True
    if choices and (choice := metrics.chosen(reply, choices)) is not None:
        return choice.lower().startswith("not ")
    if prompts.says_nothing(reply):
        return True
    first = _FIRST.match(reply)
    return first is not None and _DECLINE.search(first.group().strip(" \t\n\"'“”*")) is not None
