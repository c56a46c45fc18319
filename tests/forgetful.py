"""A model whose reach is known: it finds what is asked about among the first words that it is given, and no further."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fakes import ScriptedGenerator

from localrag.events import Delta, PromptRead
from localrag.llm import Completed
from localrag.types import Message, Usage


@dataclass(slots=True)
class Forgetful(ScriptedGenerator):
    """Finds the sentences of the names asked about, among the first `reach` words that it is given."""

    reach: int = 100_000
    window: int = 100_000

    def generate(self, messages: Sequence[Message], **options: Any) -> Iterator[PromptRead | Delta | Completed]:
        said = " ".join(shown(message) for message in messages)
        question = messages[-1].text.removeprefix("Question: ")
        text = " ".join(said.removesuffix(messages[-1].text).split()[: self.reach])
        names = [word for word in re.findall(r"[A-Z][a-z]{5,}", question) if word in text]
        found = [match[0] for name in names if (match := re.search(rf"[^.]*\b{name}\b[^.]*\.", text))]
        self.prompts.append(tuple(messages))
        read, answer = self.count(said), " ".join(found) or "The documents do not say."
        yield PromptRead(0, read)
        yield PromptRead(read, read)
        if options["stop"]():
            yield Completed("", Usage(read, 0, 0), "stopped")
            return
        yield Completed(answer, Usage(read, 0, self.count(answer)), "end", read / 100, self.count(answer) / 10)


def shown(message: Message) -> str:
    return message.whole if hasattr(message, "whole") else f"{message.stable}{message.text}"
