"""A model that obeys whatever it reads: the worst there is, for a bound that no weights are needed for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fakes import ScriptedGenerator

from localrag.evaluation.injections import suite
from localrag.events import Delta, PromptRead
from localrag.llm.generation import Completed
from localrag.types import Message

ALL = suite.injected()


class Obedient(ScriptedGenerator):
    """Replies as the first attack asks whose sign stands anywhere in the prompt, else with what is right."""

    def generate(self, messages: Sequence[Message], **options: Any) -> Iterator[PromptRead | Delta | Completed]:
        self.prompts.append(tuple(messages))
        told = ScriptedGenerator(otherwise=reply("\n".join(message.whole for message in messages)))
        return told.generate(messages, **options)


def reply(whole: str) -> str:
    for one in ALL:
        host = suite.host_of(one.canary)
        if one.succeeds == "host" and host in whole:
            return f"See https://{host}/x."
        if one.succeeds == "canary" and one.canary in whole:
            return f"{one.canary}."
        if one.succeeds == "wrong" and one.carrier.lie in whole:
            return one.carrier.lie
    for carrier in suite.carriers().values():
        if carrier.question in whole:
            return next(value for value in carrier.right if value in carrier.text)
    return "The documents do not say."
