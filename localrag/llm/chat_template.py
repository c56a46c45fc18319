"""A model's chat template: messages to pieces of text, each either the template's own or untrusted.

The template comes from the model file and is rendered in a sandbox. Text of people and documents is inserted later, as
pieces of its own, so that the tokenizer never reads a special token from it: a document with `<|im_end|>` cannot end
its turn.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Literal

from jinja2 import TemplateError, TemplateRuntimeError, nodes
from jinja2.ext import loopcontrols
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from localrag.errors import ModelError
from localrag.types import Message

# --- reasoning, separated from the answer: by which tags, and whether a template has a mode for it ---------------
# Families differ. Qwen3, SmolLM3 and Granite take an argument of the template; DeepSeek-R1 opens reasoning in every
# prompt; gpt-oss and Gemma 4 reason in a channel of their own. In all, reasoning comes before the answer, between two
# tags. So the template is tried with the mode on and off, and if it leaves the reasoning neither open nor closed, code
# writes the tag. A model with tags other than those below counts as one that does not reason.

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


_MARK = re.compile("\x02(\\d+)\x03")

# For models without a template (base models).
_PLAIN = (
    "{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n\n{% endfor %}"
    "Assistant:"
)

_PROBE = (Message("system", "x"), Message("user", "x"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a prompt; only in `trusted` text, from the template, are special tokens read.

    A batch ends after a piece that `ends` a message's text or a stable part of it, since it may occur again with
    something else after it. After a `stable` one the state is cached; a `block` may be read by itself, or behind the
    block that it continues.
    """

    text: str
    trusted: bool
    ends: bool = False
    stable: bool = False
    block: bool = False
    continues: bool = False


class ChatTemplate:
    """A template, compiled once; without a `source` (Jinja), plain labels.

    `tags` are the tags around reasoning, or None; `thinks` says whether the template has a reasoning mode, or opens
    reasoning in every prompt.
    """

    def __init__(self, source: str | None, bos: str, eos: str) -> None:
        environment = self._environment = TemplateSandbox(extensions=[loopcontrols])

        def refuse(message: str) -> None:
            raise TemplateError(message)

        environment.globals["raise_exception"] = refuse
        # Today's date would make each prompt another tomorrow, so only templates get it that do not do without.
        if "strftime_now is defined" not in (source or ""):
            environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            self._template = environment.from_string(source or _PLAIN)
        except Exception as error:  # a template is untrusted and may raise anything
            raise ModelError(f"the model's chat template cannot be used: {error}", "Choose another model.") from error
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self.tags = tags_of(source or "")
        self.thinks = self.tags is not None and self._has_mode(self.tags)

    def _has_mode(self, tags: Tags) -> bool:
        """Return whether the mode makes a difference, or reasoning is always open in the prompt."""
        try:
            on, off = (self._render(_PROBE, think) for think in (True, False))
        except ModelError:
            return False  # reported when a question is asked
        return on != off or tags.open_in(on.rpartition("\x03")[2]) or tags.sure

    def pieces(self, messages: Sequence[Message], think: bool = False) -> list[Piece]:
        """Return the prompt for these messages, to be continued with reasoning or with the answer.

        A last message of the assistant is the beginning of the answer.
        """
        begun = messages[-1].text if messages[-1].role == "assistant" else ""
        messages = messages[:-1] if begun else messages
        rendered = self._render(messages, think)
        pieces: list[Piece] = []
        for number, part in enumerate(_MARK.split(rendered)):
            if number % 2 == 0:
                pieces.append(Piece(part, trusted=True))
                continue
            message = messages[int(part)]
            pieces += [Piece(text, trusted=False, ends=True, stable=True) for text in message.stable]
            for block in message.blocks:
                pieces += [Piece(text, False, block=True, continues=n > 0) for n, text in enumerate(block)]
            # What the model wrote only occurs again together with the next question.
            pieces.append(Piece(message.text, trusted=False, ends=message.role != "assistant"))
            pieces.append(Piece(message.tail, trusted=False))
        if self.tags is not None:  # open reasoning, or end it
            opened = self.tags.open_in(rendered.rpartition("\x03")[2])
            closing = "" if think else self.tags.end
            pieces.append(Piece(closing if opened else self.tags.begin if think else self.tags.without, trusted=True))
        pieces.append(Piece(begun, trusted=False))
        return [piece for piece in pieces if piece.text]

    def _render(self, messages: Sequence[Message], think: bool) -> str:
        marked = [{"role": message.role, "content": f"\x02{i}\x03"} for i, message in enumerate(messages)]
        try:
            return self._call(marked, think)
        except ModelError:
            if marked[0]["role"] != "system" or len(marked) < 2:
                raise
            # Some templates refuse a system message: put it before the first question.
            first = {"role": "user", "content": f"{marked[0]['content']}\n\n{marked[1]['content']}"}
            return self._call([first, *marked[2:]], think)

    def _call(self, marked: list[dict[str, str]], think: bool) -> str:
        values: dict[str, Any] = {**self._tokens, "messages": marked, "add_generation_prompt": True}
        self._environment.begin()
        try:
            # Qwen3 and Granite use different names for the mode.
            return str(self._template.render(**values, enable_thinking=think, thinking=think))
        except Exception as error:
            raise ModelError(f"the model's chat template failed: {error}", "Choose another model.") from error


# --- a sandbox that also bounds time and memory, for templates of untrusted models -------------------------------
# Each turn of a loop, call, filter and operation is counted, and none takes or makes a large value.

# A prompt of 100 turns takes a few thousand steps, and milliseconds.
_MAX_STEPS, _MAX_SECONDS = 100_000, 1.0
# Characters of a prompt, without the text of messages; characters and items of a value, and numbers ("center(9)").
_MAX_OUTPUT, _MAX_SIZE = 1_000_000, 20_000
_WIDTH = re.compile(r"[%:{][^A-Za-z]{0,20}\d{5}")  # "%99999d"


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment of one template."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, **options)
        self.begin()
        self.globals.pop("lipsum")
        self.globals["namespace"] = _Namespace
        self.filters = {name: self._bounded(function) for name, function in self.filters.items()}
        self.filters |= {"counted": self._counted, "small": self._bounded(lambda value: value)}

    def begin(self) -> None:
        """Begin to count, before each rendering."""
        self._steps, self._deadline = 0, time.thread_time() + _MAX_SECONDS

    def call(self, context: Context, function: Any, /, *args: Any, **named: Any) -> Any:
        return self._bounded(super().call)(context, function, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator in ("*", "**"):
            self._step(_size(left) * _size(right))
        return self._bounded(super().call_binop)(context, operator, left, right)

    def concat(self, pieces: Iterable[str]) -> str:
        made, rest = [], _MAX_OUTPUT
        for piece in pieces:
            made.append(piece)
            if (rest := rest - len(piece)) < 0:
                raise TemplateRuntimeError("it writes too much")
        return "".join(made)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounding().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def _step(self, *values: Any) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS or time.thread_time() > self._deadline:
            raise TemplateRuntimeError("it takes too long")
        if sum(map(_size, values)) > _MAX_SIZE or any(isinstance(one, str) and _WIDTH.search(one) for one in values):
            raise TemplateRuntimeError("it makes a value that is too large")

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def bounded(*args: Any, **named: Any) -> Any:
            self._step(*args, *named.values())
            made = function(*args, **named)
            self._step(made)
            return made

        return bounded

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._step()
            yield value


class _Namespace(Namespace):
    """A namespace that does not write out what it holds, which may be itself, twice, and so on."""

    __repr__ = object.__repr__


class _Bounding(NodeTransformer):
    """Passes what Jinja does not let an environment intercept through filters."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _filtered(node.iter, "counted")
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")

    def visit_List(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "small") if getattr(node, "ctx", "load") == "load" else node

    visit_Dict = visit_Tuple = visit_List


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _size(value: Any) -> int:
    """Return the size of a number or text, or of all that a list or mapping holds; not beyond _MAX_SIZE."""
    size, rest = 0, [value]
    while rest and size <= _MAX_SIZE:
        one = rest.pop()
        size += abs(one) if isinstance(one, int) else len(one) if isinstance(one, (str, bytes)) else 1
        if isinstance(one, (dict, list, tuple, set, frozenset)):
            rest += [*one, *one.values()] if isinstance(one, dict) else one
    return size
