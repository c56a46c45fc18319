"""A model's reasoning, separated from its answer: by which tags, and whether its template has a reasoning mode (pure).

Families differ. Qwen3, SmolLM3 and Granite take an argument of the template; DeepSeek-R1 opens reasoning in every
prompt; gpt-oss and Gemma 4 reason in a channel of their own. In all, reasoning comes before the answer, between two
tags. So the template is tried with the mode on and off, and if it leaves the reasoning neither open nor closed, code
writes the tag. A model with tags other than those below counts as one that does not reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["reasoning", "answer"]


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags around reasoning.

    `gap` is the white space inside and after the tags, `then` what must follow the end before the answer, `without`
    what begins an answer without reasoning, and `strays` are other tags that do not belong to an answer. `sure`: only
    reasoning models have these tags, so their template need not have a mode.
    """

    opens: str
    closes: str
    gap: str = ""
    then: str = ""
    without: str = ""
    strays: tuple[str, ...] = ()
    sure: bool = False

    @property
    def begin(self) -> str:
        """The text that opens reasoning."""
        return self.opens + self.gap

    @property
    def end(self) -> str:
        """The text that ends it."""
        return self.gap + self.closes + self.then + 2 * self.gap

    @property
    def all(self) -> tuple[str, ...]:
        """The tags to remove from an answer."""
        return tuple(tag for tag in (self.opens, self.closes, self.then, self.without, *self.strays) if tag)

    def open_in(self, text: str) -> bool:
        """Return whether reasoning is begun in a text and not ended."""
        return text.rfind(self.opens) > text.rfind(self.closes)


_FINAL = "<|channel|>final<|message|>"
_FAMILIES = (
    Tags(
        "<|channel|>analysis<|message|>", "<|end|>", then=f"<|start|>assistant{_FINAL}", without=_FINAL, sure=True
    ),  # gpt-oss
    Tags("<|channel>thought\n", "<channel|>"),  # Gemma 4
    Tags("[THINK]", "[/THINK]", sure=True),  # Magistral
    Tags("<seed:think>", "</seed:think>", sure=True),  # Seed-OSS
    Tags("<think>", "</think>", gap="\n", strays=("<response>", "</response>")),  # most others; Granite's response
)


def tags_of(template: str) -> Tags | None:
    """Return the tags in a chat template, or None; a closing tag alone counts."""
    for tags in _FAMILIES:
        if tags.opens.strip() in template or (tags.closes != "<|end|>" and tags.closes in template):
            return tags
    return None


class Splitter:
    """Splits what a model writes into reasoning and answer, piece by piece, without the tags."""

    def __init__(self, tags: Tags | None, thinking: bool = False) -> None:
        self._tags = tags
        self.thinking = thinking and tags is not None
        self._held = ""  # may become a tag
        self._begun = tags is None  # whether the answer has begun
        self.reasoning, self.answer = "", ""

    def feed(self, piece: str) -> Iterator[tuple[Kind, str]]:
        """Yield what is certain by now."""
        self._held += piece
        while True:
            before = (self.thinking, self._held)
            given = self._reasoning() if self.thinking else self._answer()
            if given is not None:
                yield given
            if (self.thinking, self._held) == before or not self._held:
                return

    def shut(self) -> Iterator[tuple[Kind, str]]:
        """End the reasoning or the text; what was held back is not a tag."""
        rest, self._held = self._held, ""
        if self._tags is not None and not self.thinking and not self._begun:
            rest = rest.lstrip()
        given = self._give(rest)
        self.thinking = False
        if given is not None:
            yield given

    def _reasoning(self) -> tuple[Kind, str] | None:
        assert self._tags is not None
        inside, found, rest = self._held.partition(self._tags.closes)
        if found:
            self._held = rest
            given = self._give(inside)
            self.thinking = False
            return given
        return self._certain((self._tags.closes,))

    def _answer(self) -> tuple[Kind, str] | None:
        if self._tags is None:
            rest, self._held = self._held, ""
            return self._give(rest)
        if not self._begun:
            self._held = self._held.lstrip()
            opens = self._tags.opens.strip()
            if self._held.startswith(opens):
                self._held, self.thinking = self._held[len(opens) :], True
                return None
        for tag in self._tags.all:
            self._held = self._held.replace(tag, "")
        if not self._begun:
            self._held = self._held.lstrip()
        return self._certain(self._tags.all)

    def _certain(self, tags: tuple[str, ...]) -> tuple[Kind, str] | None:
        """Return what is held, except an end that could begin a tag."""
        ends = (size for tag in tags for size in range(len(tag)) if self._held.endswith(tag[:size]))
        cut = len(self._held) - max(ends, default=0)
        sure, self._held = self._held[:cut], self._held[cut:]
        return self._give(sure)

    def _give(self, text: str) -> tuple[Kind, str] | None:
        if not text:
            return None
        if self.thinking:
            self.reasoning += text
            return "reasoning", text
        self._begun = True
        self.answer += text
        return "answer", text
