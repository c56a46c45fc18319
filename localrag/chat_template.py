"""A model's chat template: messages to pieces of text, each either the template's own or somebody's words.

The template comes from the model file and is rendered in a sandbox. Words of people and documents are put in
afterwards, as pieces of their own, so that the tokenizer never reads a special token out of them: a document that
contains `<|im_end|>` cannot end its turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from localrag.errors import ModelError
from localrag.types import Message

_MARK = re.compile("\x02(\\d+)\x03")

# For models that bring no template (base models): plain labels.
_PLAIN = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n\n{% endfor %}"
    "Assistant:"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt; `trusted` text comes from the template, and only there are special tokens read.

    Reading is cut behind a piece that `ends` a message's own text or a stable part of it: what stands there may be met
    again with something else behind it. Behind a `stable` one the state is kept.
    """

    text: str
    trusted: bool
    ends: bool = False
    stable: bool = False


class ChatTemplate:
    """A template, compiled once.

    Args:
        source: Jinja text, or None for a plain one.
        bos: the model's token for the beginning of a text, as text.
        eos: the same for the end.
    """

    def __init__(self, source: str | None, bos: str, eos: str) -> None:
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source or _PLAIN)
        except TemplateError as error:
            raise ModelError(f"the model's chat template cannot be used: {error}", "Choose another model.") from error
        self._tokens = {"bos_token": bos, "eos_token": eos}

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The prompt for these messages, ready for the model to continue."""
        rendered = self._render(messages)
        pieces: list[Piece] = []
        for number, part in enumerate(_MARK.split(rendered)):
            if number % 2 == 0:
                pieces.append(Piece(part, trusted=True))
                continue
            message = messages[int(part)]
            pieces += [Piece(text, trusted=False, ends=True, stable=True) for text in message.stable]
            # What the model wrote is only met again together with the question behind it.
            pieces.append(Piece(message.text, trusted=False, ends=message.role != "assistant"))
            pieces.append(Piece(message.tail, trusted=False))
        return [piece for piece in pieces if piece.text]

    def _render(self, messages: Sequence[Message]) -> str:
        marked = [{"role": message.role, "content": f"\x02{i}\x03"} for i, message in enumerate(messages)]
        try:
            return self._call(marked)
        except ModelError:
            if marked[0]["role"] != "system" or len(marked) < 2:
                raise
            # Some templates refuse a system message: its words then begin the first question.
            first = {"role": "user", "content": f"{marked[0]['content']}\n\n{marked[1]['content']}"}
            return self._call([first, *marked[2:]])

    def _call(self, marked: list[dict[str, str]]) -> str:
        values: dict[str, Any] = {**self._tokens, "messages": marked, "add_generation_prompt": True}
        try:
            # Models with a thinking mode leave it off unless asked; others do not know the argument.
            return str(self._template.render(**values, enable_thinking=False))
        except Exception as error:  # a template is foreign code and may raise anything
            raise ModelError(f"the model's chat template failed: {error}", "Choose another model.") from error


def _raise(message: str) -> None:
    from jinja2 import TemplateError

    raise TemplateError(message)
