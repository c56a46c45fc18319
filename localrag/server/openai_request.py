"""What a request to OpenAI's chat completions or responses says: a question, the turns before it, and how to answer.

What would change the answer and cannot be done is refused with the name of the field; what only tunes a model, or
offers it tools that it need not call, is ignored and named in `localrag.ignored`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import msgspec

from localrag.grounding.annotations import unmarked
from localrag.server.exchange import AnswerOptions, WrongField, as_type
from localrag.server.openai_content import Form
from localrag.server.served import check_length
from localrag.types import Answer, Turn

_AS_TEXT = "Leave it out: answers come from the documents as text."
_NOTHING_CALLED = "Leave it out, or say auto: answers come from the documents, and no tool is called."
_NOTHING_KEPT = "No response is kept here. Send the earlier messages in `input`."
# Fields that are refused, unless they have a value that asks for nothing, with the hint.
_REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), _AS_TEXT),
    "tool_choice": (("none", "auto"), _NOTHING_CALLED),
    "function_call": (("none", "auto"), _NOTHING_CALLED),
    "logprobs": ((False,), _AS_TEXT),
    "top_logprobs": ((0,), _AS_TEXT),
    "logit_bias": (({},), _AS_TEXT),
    "modalities": ((["text"],), _AS_TEXT),
    "audio": ((), _AS_TEXT),
    "prediction": ((), _AS_TEXT),
    "web_search_options": ((), _AS_TEXT),
    "previous_response_id": ((), _NOTHING_KEPT),
    "conversation": ((), _NOTHING_KEPT),
    "prompt": ((), "Write the prompt out in `input`."),
    "background": ((False,), "Leave it out, and wait: no response is kept here."),
}
_MAX_STOPS, _MAX_STOP = 4, 200  # sequences, and characters of one
_MIN_TOKENS = 8  # of the setting; programs that only test a connection ask for one
_TEXTS = ("text", "input_text", "output_text", "refusal")

Tokens = Annotated[int, msgspec.Meta(ge=1)]
_Stop = Annotated[str, msgspec.Meta(max_length=_MAX_STOP)]


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class Message(msgspec.Struct):
    """A message of a chat, or an item of a response's input, which may be a call of a tool."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function", ""] = ""
    content: str | tuple[_Part, ...] | None = None
    type: str = "message"

    def text(self, param: str) -> str:
        """Return the words. Raises WrongField for pictures, files and sounds."""
        if isinstance(self.content, tuple) and any(part.type not in _TEXTS for part in self.content):
            raise WrongField(param, "a message can hold text only", "Leave out pictures, files and sounds.")
        return "\n".join(part.text for part in self.content) if isinstance(self.content, tuple) else self.content or ""


class _Format(msgspec.Struct):
    """`response_format` of a chat, which has its schema a step deeper, or `text.format` of a response."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] = {}
    schema: dict[str, Any] = {}


class _Text(msgspec.Struct):
    format: _Format | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct, kw_only=True):
    model: str
    stream: bool = False
    user: str = ""
    localrag: AnswerOptions = msgspec.field(default_factory=AnswerOptions)


class _Chat(_Request, kw_only=True):
    messages: Annotated[tuple[Message, ...], msgspec.Meta(min_length=1)]
    stream_options: _StreamOptions | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    stop: _Stop | Annotated[tuple[_Stop, ...], msgspec.Meta(max_length=_MAX_STOPS)] = ()
    response_format: _Format = msgspec.field(default_factory=_Format)


class _Response(_Request, kw_only=True):
    input: str | tuple[Message, ...]
    max_output_tokens: Tokens | None = None
    metadata: dict[str, str] = {}
    text: _Text = msgspec.field(default_factory=_Text)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for the documents, how its answer is written, and what of the request changes nothing."""

    model: str
    question: str
    history: Sequence[Turn]
    user: str
    options: AnswerOptions
    form: Form
    tokens: int | None
    stream: bool
    ignored: Sequence[str]
    usage: bool = False  # whether a stream of chunks ends with the usage
    metadata: Mapping[str, str] = field(default_factory=dict)

    def how(self, most: int) -> dict[str, Any]:
        """Return arguments of `Engine.ask` for an answer of at most so many tokens."""
        return self.options.how(max(_MIN_TOKENS, min(most, self.tokens or most)))

    def in_full(self, answer: Answer) -> dict[str, Any]:
        """Return what OpenAI has no field for."""
        return answer.to_dict() | {"ignored": self.ignored}


def chat(body: dict[str, Any]) -> Asked:
    """Read a request for a chat completion. Raises UsageError."""
    ignored = _ignored(body, _Chat)
    given = as_type(body, _Chat)
    if given.stream_options is not None and not given.stream:
        raise WrongField("stream_options", "it needs stream", "Set stream to true, or leave it out.")
    stops = (given.stop,) if isinstance(given.stop, str) else given.stop
    wanted = given.response_format
    form = Form.checked(wanted.type, wanted.json_schema.get("schema"), "response_format")
    form = replace(form, stops=[stop for stop in stops if stop])
    tokens, usage = given.max_completion_tokens or given.max_tokens, given.stream_options or _StreamOptions()
    return _asked(given, given.messages, "messages", form, tokens, ignored, usage=usage.include_usage)


def response(body: dict[str, Any]) -> Asked:
    """Read a request for a response. Raises UsageError."""
    ignored = _ignored(body, _Response)
    given = as_type(body, _Response)
    messages = (Message("user", given.input),) if isinstance(given.input, str) else given.input
    wanted = given.text.format or _Format()
    form = Form.checked(wanted.type, wanted.schema, "text")
    return _asked(given, messages, "input", form, given.max_output_tokens, ignored, metadata=given.metadata)


def _asked(
    given: _Request,
    messages: Sequence[Message],
    param: str,
    form: Form,
    tokens: int | None,
    ignored: Sequence[str],
    **more: Any,
) -> Asked:
    question, history = conversation(messages, param)
    left_out = dict.fromkeys(f"{param}: {one.role or one.type}" for one in messages if not _is_turn(one))
    how = given.user, given.localrag, form, tokens, given.stream
    return Asked(given.model, question, history, *how, [*ignored, *left_out], **more)


def _ignored(body: dict[str, Any], kind: type[_Request]) -> list[str]:
    """Return the fields that change nothing. Raises UsageError for those that ask for what cannot be done."""
    for name, (harmless, hint) in _REFUSED.items():
        value = body.get(name)
        if value is not None and not any(value == one and type(value) is type(one) for one in harmless):
            raise WrongField(name, "it is not supported", hint)
    known = {one.name for one in msgspec.structs.fields(kind)} | _REFUSED.keys()
    return sorted(name for name in body.keys() - known if body[name] not in (None, [], {}))


def conversation(messages: Sequence[Message], param: str = "messages") -> tuple[str, list[Turn]]:
    """Return the question, and the turns before it.

    Messages of one side that follow each other are joined; an answer to nothing is left out. Answers lose their marks.
    """
    turns: list[tuple[str, str | None]] = []  # question and answer
    for message in filter(_is_turn, messages):
        text = message.text(param)
        question, answer = turns[-1] if turns else ("", None)
        if message.role == "user" and (not turns or answer is not None):
            turns.append((text, None))
        elif message.role == "user":
            turns[-1] = (f"{question}\n{text}", None)
        elif turns:
            text = unmarked(text)
            turns[-1] = (question, text if answer is None else f"{answer}\n{text}")
    if not turns or turns[-1][1] is not None or messages[-1].role in ("tool", "function", ""):
        raise WrongField(param, "the last message must be the user's", "Ask something.")
    check_length(turns[-1][0])
    return turns[-1][0], [Turn(question, answer or "") for question, answer in turns[:-1]]


def _is_turn(message: Message) -> bool:
    return message.role in ("user", "assistant")
