"""A model's thought, told apart from its answer: by which tags, whether its template knows a thinking mode (pure).

Families differ. Qwen3, SmolLM3 and Granite take an argument of the template; Nemotron a word in the system message;
DeepSeek-R1 opens a thought in every prompt; gpt-oss and Gemma 4 think in a channel of their own. What they have in
common: a thought stands before the answer, between two marks. So the template is tried out with the mode on and off,
and where it leaves a thought neither open nor closed, code writes the mark itself.

Limits: known are the marks below. A model that thinks in other ones is taken for one that does not think. What a
template does with the mode can be seen, not whether the model was trained for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["thought", "answer"]


@dataclass(frozen=True, slots=True)
class Tags:
    """What stands around a thought.

    `gap` is the white space that the family puts inside and behind its tags, `then` what must follow the end before
    the answer can begin, `without` what begins an answer that no thought precedes. `strays` are other tags that
    the family writes and that are no part of an answer. `sure` are tags that only models which think have, so that
    their template need not show a mode.
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
        """What code writes to open a thought."""
        return self.opens + self.gap

    @property
    def end(self) -> str:
        """What code writes to end one."""
        return self.gap + self.closes + self.then + 2 * self.gap

    @property
    def all(self) -> tuple[str, ...]:
        """What is taken out of an answer."""
        return tuple(tag for tag in (self.opens, self.closes, self.then, self.without, *self.strays) if tag)

    def open_in(self, text: str) -> bool:
        """Whether a thought is begun in a text and not ended."""
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
    """The tags that the text of a chat template speaks of, or None; a closing one alone counts, as it cuts it away."""
    for tags in _FAMILIES:
        if tags.opens.strip() in template or (tags.closes != "<|end|>" and tags.closes in template):
            return tags
    return None


class Parting:
    """Parts what a model writes into thought and answer, piece by piece; nothing of a tag reaches either.

    Args:
        tags: the model's, or None: then all is answer, as it comes.
        thinking: whether the prompt ends inside a thought.
    """

    def __init__(self, tags: Tags | None, thinking: bool = False) -> None:
        self._tags = tags
        self.thinking = thinking and tags is not None
        self._held = ""  # may turn out to be a tag
        self._begun = tags is None  # whether anything of the answer was given
        self.thought, self.answer = "", ""

    def feed(self, piece: str) -> Iterator[tuple[Kind, str]]:
        """What of it, and of what was held back, is certain by now."""
        self._held += piece
        while True:
            before = (self.thinking, self._held)
            given = self._thought() if self.thinking else self._answer()
            if given is not None:
                yield given
            if (self.thinking, self._held) == before or not self._held:
                return

    def shut(self) -> Iterator[tuple[Kind, str]]:
        """The end of the thought, as code writes it, or of everything: what was held back is no tag."""
        rest, self._held = self._held, ""
        if self._tags is not None and not self.thinking and not self._begun:
            rest = rest.lstrip()
        given = self._give(rest)
        self.thinking = False
        if given is not None:
            yield given

    def _thought(self) -> tuple[Kind, str] | None:
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
        """All that is held but an end that could be the beginning of a tag."""
        held = max((_overlap(self._held, tag) for tag in tags), default=0)
        cut = len(self._held) - held
        sure, self._held = self._held[:cut], self._held[cut:]
        return self._give(sure)

    def _give(self, text: str) -> tuple[Kind, str] | None:
        if not text:
            return None
        if self.thinking:
            self.thought += text
            return "thought", text
        self._begun = True
        self.answer += text
        return "answer", text


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of a text are the beginning of a tag."""
    return next((size for size in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:size])), 0)
