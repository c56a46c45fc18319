"""OpenAI's chat completions, models and embeddings over the libraries (docs/server.md).

The content of an answer is sent once it has been checked, since quotes and marks change it up to the end; what is being
written comes before it as `reasoning_content`, which programs show apart or not at all. So a client that joins the
pieces of content has the checked answer, with its marks, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import sys
import time
from array import array
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from localrag.errors import NotFoundError, UsageError
from localrag.events import Answered, Delta, Event, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed
from localrag.grounding.annotations import mark, unmarked
from localrag.server import exchange
from localrag.server.exchange import AnswerOptions, as_type, json_of, json_response, page_link, to_json
from localrag.server.guard import client_of
from localrag.server.served import FairQueue, Served, Waiting, answer_events, check_length
from localrag.types import MODES, Answer, Mode, Turn, source

_ALL = "localrag"  # the model that asks every library that is served
_EMBEDDER = "localrag-embedder"
# What cannot be done, unless it has the value that asks for nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "response_format": ({"type": "text"},),
    "stop": ([], ""),
    "web_search_options": (),
}
_PROGRESS_SECONDS = 0.5
_MAX_TEXTS = 2048
_MIN_TOKENS = 8  # of the setting; programs that only test a connection ask for one
_MARKER = re.compile(r"\[(\d{1,4})\]")


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[_Part, ...] | None = None

    @property
    def text(self) -> str:
        """The words. Raises UsageError for pictures and sounds."""
        if isinstance(self.content, tuple) and any(part.type != "text" for part in self.content):
            raise UsageError("a message can hold text only", "Leave out pictures, files and sounds.")
        return "\n".join(part.text for part in self.content) if isinstance(self.content, tuple) else self.content or ""


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Chat(msgspec.Struct):
    model: str
    messages: Annotated[tuple[_Message, ...], msgspec.Meta(min_length=1)]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    user: str | None = None
    localrag: AnswerOptions = msgspec.field(default_factory=AnswerOptions)


class _Embeddings(msgspec.Struct):
    model: str
    input: str | tuple[str, ...]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None


def routes(served: Served, turns: FairQueue) -> list[BaseRoute]:
    api = _OpenAI(served, turns)
    return [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/embeddings", api.embeddings, methods=["POST"]),
        Route("/v1/models", api.models),
        Route("/v1/models/{model:path}", api.model),
    ]


class _OpenAI:
    def __init__(self, served: Served, turns: FairQueue) -> None:
        self._served, self._turns = served, turns
        self._since = int(time.time())

    async def models(self, request: Request) -> Response:
        return json_response({"object": "list", "data": [self._described(name) for name in self._names()]})

    async def model(self, request: Request) -> Response:
        name = request.path_params["model"]
        if name not in self._names():
            raise _NoModel(name)
        return json_response(self._described(name))

    def _names(self) -> list[str]:
        asked = [_ALL, *(f"{_ALL}/{library}" for library in self._served.libraries)]
        modes = [f"{name}:{mode}" for name in asked for mode in MODES if mode != "auto"]
        return [*asked, *modes, _EMBEDDER, f"{_EMBEDDER}:question"]

    def _described(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._since, "owned_by": "localrag"}

    def _chosen(self, model: str) -> tuple[tuple[str, ...], Mode | None]:
        """Return the libraries and the mode that a model's name stands for."""
        if model not in self._names() or model.startswith(_EMBEDDER):
            raise _NoModel(model)
        name, _, mode = model.partition(":") if model.rpartition(":")[2] in MODES else (model, "", "")
        libraries = () if name == _ALL else (name.removeprefix(f"{_ALL}/"),)
        return self._served.check(libraries), cast(Mode, mode) if mode else None

    async def chat(self, request: Request) -> Response:
        body = await json_of(request)
        ignored = _ignored(body)
        given = as_type(body, _Chat)
        if given.stream_options is not None and not given.stream:
            raise UsageError("stream_options needs stream", "Set stream to true, or leave out stream_options.")
        libraries, mode = self._chosen(given.model)
        question, history, system = _conversation(given.messages)
        ignored += ["messages: system"] * system
        most = self._served.settings.answer_tokens
        how = given.localrag.how(max(_MIN_TOKENS, min(most, given.max_completion_tokens or given.max_tokens or most)))
        await exchange.record(self._served, request, "chat", libraries)
        events = answer_events(
            self._served,
            self._turns,
            client_of(request),
            given.user or "",
            question,
            libraries=libraries,
            history=history,
            **{**how, "mode": mode or how["mode"]},
        )
        sent = _Sent(request, given.model, ignored)
        if given.stream:
            usage = given.stream_options is not None and given.stream_options.include_usage
            return exchange.EventStream(sent.stream(await exchange.first_awaited(request, events), usage))
        return json_response(sent.whole(await exchange.while_there(request, exchange.answer_of(events))))

    async def embeddings(self, request: Request) -> Response:
        body = await json_of(request)
        given = as_type(body, _Embeddings)
        if given.model not in (_EMBEDDER, f"{_EMBEDDER}:question"):
            raise _NoModel(given.model)
        texts = (given.input,) if isinstance(given.input, str) else given.input
        if not 0 < len(texts) <= _MAX_TEXTS or not all(text.strip() for text in texts):
            raise UsageError(f"input must be 1 to {_MAX_TEXTS:,} texts that are not empty", "Send fewer at once.")
        library = self._served.libraries[0]
        await exchange.record(self._served, request, "embeddings", (library,))
        made = self._served.embed(texts, library, given.model != _EMBEDDER)
        vectors = await exchange.while_there(request, made)
        if given.dimensions not in (None, len(vectors[0])):
            raise UsageError(f"the embedder makes vectors of {len(vectors[0])} numbers", "Leave out dimensions.")
        form = _packed if given.encoding_format == "base64" else list
        data = [{"object": "embedding", "index": at, "embedding": form(one)} for at, one in enumerate(vectors)]
        tokens = sum(len(text) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = {"object": "list", "data": data, "model": given.model, "usage": usage}
        # A large one takes the json module seconds, and all others wait.
        return Response(await asyncio.to_thread(msgspec.json.encode, body), media_type="application/json")


class _Sent:
    """One chat completion on its way to the client."""

    def __init__(self, request: Request, model: str, ignored: Sequence[str]) -> None:
        self._request, self._model, self._ignored = request, model, ignored
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())

    def whole(self, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": _marked(answer), "refusal": None, **self._annotations(answer)}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        return self._object("chat.completion", [choice], usage=_usage(answer), localrag=self._in_full(answer))

    async def stream(self, events: AsyncGenerator[Waiting | Event], usage: bool) -> AsyncGenerator[str]:
        """Write chunks: progress and the draft, then the checked content, its citations, and the end."""
        rest = {"usage": None} if usage else {}
        shown = 0.0
        async with aclosing(events):
            try:
                yield self._chunk({"role": "assistant", "content": ""}, **rest)
                async for event in events:
                    if isinstance(event, Answered):
                        answer = event.answer
                        yield self._chunk({"content": _marked(answer)}, **rest)
                        full = self._in_full(answer)
                        yield self._chunk(self._annotations(answer), _finish(answer), **rest, localrag=full)
                        if usage:
                            yield _line(self._object("chat.completion.chunk", [], usage=_usage(answer)))
                    elif draft := _draft(event):
                        yield self._chunk({"reasoning_content": draft}, **rest)
                    elif (progress := _progress(event)) and time.monotonic() - shown > _PROGRESS_SECONDS:
                        shown = time.monotonic()
                        yield self._chunk({}, **rest, localrag={"progress": progress})
                yield "data: [DONE]\n\n"
            except Exception as error:
                yield f"data: {exchange.error_json(self._request, error)}\n\n"

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **rest: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _line(self._object("chat.completion.chunk", [choice], **rest))

    def _object(self, kind: str, choices: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "system_fingerprint": None,
            "choices": choices,
            **rest,
        }

    def _in_full(self, answer: Answer) -> dict[str, Any]:
        return answer.to_dict() | {"ignored": self._ignored}

    def _annotations(self, answer: Answer) -> dict[str, Any]:
        """Return the citations as OpenAI's clients show them: an address for each marker, at its place in the text.

        A citation without a marker is at the end.
        """
        places: dict[int, list[tuple[int, int]]] = {}
        content = _marked(answer)
        for found in _MARKER.finditer(content):
            places.setdefault(int(found[1]), []).append(found.span())
        end = len(content)
        cited = [(first, last, one) for one in answer.citations for first, last in places.get(one.marker, [(end, end)])]
        annotations = [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": first,
                    "end_index": last,
                    "title": source(one.name, one.place),
                    "url": page_link(self._request, one.library, one.document, one.page),
                },
            }
            for first, last, one in sorted(cited, key=lambda each: each[:2])
        ]
        return {"annotations": annotations} if annotations else {}


def _marked(answer: Answer) -> str:
    return mark(answer.answer, answer.unsupported, answer.flags)


def _line(value: dict[str, Any]) -> str:
    return f"data: {to_json(value)}\n\n"


def _draft(event: Waiting | Event) -> str:
    """Return what an event adds to the draft and the reasoning."""
    if isinstance(event, Replaced):
        return f"\n\n({event.why})\n\n"
    return event.text if isinstance(event, Delta | Reasoning) else ""


def _progress(event: Waiting | Event) -> dict[str, Any]:
    match event:
        case Waiting():
            return {"stage": "waiting", "ahead": event.ahead}
        case Planned():
            return {"stage": "planned", "mode": event.plan.kind}
        case PromptRead():
            return {"stage": "reading", "done": event.done, "total": event.total}
        case Surveyed():
            return {"stage": "asking each document", "done": event.done, "total": event.total}
        case Notice():
            return {"stage": "notice", "text": event.text}
    return {}


def _finish(answer: Answer) -> str:
    return "length" if answer.stopped else "stop"


def _usage(answer: Answer) -> dict[str, Any]:
    spent = answer.tokens
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.generated,
        "total_tokens": spent.prompt + spent.generated,
        "prompt_tokens_details": {"cached_tokens": spent.reused},
    }


def _ignored(body: dict[str, Any]) -> list[str]:
    """Return the fields that change nothing. Raises UsageError for those that ask for what cannot be done."""
    for name, harmless in _REFUSED.items():
        value = body.get(name)
        if value is not None and not any(value == one and type(value) is type(one) for one in harmless):
            raise UsageError(f"{name} is not supported", f"Leave out {name}: answers come from the documents as text.")
    known = {field.name for field in msgspec.structs.fields(_Chat)} | _REFUSED.keys()
    return sorted(body.keys() - known)


def _conversation(messages: Sequence[_Message]) -> tuple[str, list[Turn], bool]:
    """Return the question, the turns before it, and whether a system message was left out.

    Messages of one side that follow each other are joined; an answer to nothing is left out. Answers lose their marks.
    """
    turns: list[tuple[str, str | None]] = []  # question and answer
    for message in messages:
        text = message.text
        question, answer = turns[-1] if turns else ("", None)
        if message.role == "user" and (not turns or answer is not None):
            turns.append((text, None))
        elif message.role == "user":
            turns[-1] = (f"{question}\n{text}", None)
        elif message.role == "assistant" and turns:
            text = unmarked(text)
            turns[-1] = (question, text if answer is None else f"{answer}\n{text}")
    if not turns or turns[-1][1] is not None:
        raise UsageError("the last message must be the user's", "Ask something.")
    check_length(turns[-1][0])
    system = any(message.role in ("system", "developer") for message in messages)
    return turns[-1][0], [Turn(question, answer or "") for question, answer in turns[:-1]], system


class _NoModel(NotFoundError):
    code = "model_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no model {name!r:.200}", "GET /v1/models lists them.")


def _packed(vector: Sequence[float]) -> str:
    """Return a vector as OpenAI packs it: little-endian float32 in base64."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
