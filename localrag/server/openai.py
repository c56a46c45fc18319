"""OpenAI's chat completions, responses, models and embeddings over the libraries (docs/server.md).

The content of an answer is sent once it has been checked, since quotes and marks change it up to the end; what is being
written comes before it as `reasoning_content`, which programs show apart or not at all. So a client that joins the
pieces of content has the checked answer, with its marks, and nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import sys
import time
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from localrag.errors import NotFoundError, UsageError
from localrag.events import Answered, Event
from localrag.server import exchange, openai_request, openai_response
from localrag.server.exchange import as_type, json_of, json_response, to_json
from localrag.server.guard import client_of
from localrag.server.openai_content import PROGRESS_SECONDS, Content, draft, progress
from localrag.server.openai_request import Asked
from localrag.server.served import FairQueue, Served, Waiting, answer_events
from localrag.types import MODES, Answer, Mode

_ALL = "localrag"  # the model that asks every library that is served
_EMBEDDER = "localrag-embedder"
_MAX_TEXTS = 2048


class _Embeddings(msgspec.Struct):
    model: str
    input: str | tuple[str, ...]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None


def routes(served: Served, turns: FairQueue) -> list[BaseRoute]:
    api = _OpenAI(served, turns)
    return [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/responses", api.response, methods=["POST"]),
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
        asked = openai_request.chat(await json_of(request))
        sent = _Sent(request, asked)
        return await self._answered(request, asked, "chat", sent.stream, sent.whole)

    async def response(self, request: Request) -> Response:
        asked = openai_request.response(await json_of(request))
        sent = openai_response.Sent(request, asked)
        return await self._answered(request, asked, "responses", sent.stream, sent.whole)

    async def _answered(
        self,
        request: Request,
        asked: Asked,
        call: str,
        stream: Callable[[AsyncGenerator[Waiting | Event]], AsyncGenerator[str]],
        whole: Callable[[Answer], dict[str, Any]],
    ) -> Response:
        """Record a call, ask, and write the answer as a stream or as a whole."""
        libraries, mode = self._chosen(asked.model)
        how = asked.how(self._served.settings.answer_tokens)
        await exchange.record(self._served, request, call, libraries)
        events = answer_events(
            self._served,
            self._turns,
            client_of(request),
            asked.user,
            asked.question,
            libraries=libraries,
            history=asked.history,
            **{**how, "mode": mode or how["mode"]},
        )
        if asked.stream:
            return exchange.EventStream(stream(await exchange.first_awaited(request, events)))
        return json_response(whole(await exchange.while_there(request, exchange.answer_of(events))))

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

    def __init__(self, request: Request, asked: Asked) -> None:
        self._request, self._asked = request, asked
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())

    def whole(self, answer: Answer) -> dict[str, Any]:
        content = Content(self._request, answer, self._asked.form)
        message = {"role": "assistant", "content": content.text, "refusal": None, **_annotations(content)}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        return self._object("chat.completion", [choice], usage=_usage(answer), localrag=self._asked.in_full(answer))

    async def stream(self, events: AsyncGenerator[Waiting | Event]) -> AsyncGenerator[str]:
        """Write chunks: progress and the draft, then the checked content, its citations, and the end."""
        rest = {"usage": None} if self._asked.usage else {}
        shown = 0.0
        async with aclosing(events):
            try:
                yield self._chunk({"role": "assistant", "content": ""}, **rest)
                async for event in events:
                    if isinstance(event, Answered):
                        answer = event.answer
                        content = Content(self._request, answer, self._asked.form)
                        yield self._chunk({"content": content.text}, **rest)
                        full = self._asked.in_full(answer)
                        yield self._chunk(_annotations(content), _finish(answer), **rest, localrag=full)
                        if self._asked.usage:
                            yield _line(self._object("chat.completion.chunk", [], usage=_usage(answer)))
                    elif words := draft(event):
                        yield self._chunk({"reasoning_content": words}, **rest)
                    elif (far := progress(event)) and time.monotonic() - shown > PROGRESS_SECONDS:
                        shown = time.monotonic()
                        yield self._chunk({}, **rest, localrag={"progress": far})
                yield "data: [DONE]\n\n"
            except Exception as error:
                yield _line(exchange.error_of(self._request, error))

    def _chunk(self, delta: dict[str, Any], finish: str | None = None, **rest: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _line(self._object("chat.completion.chunk", [choice], **rest))

    def _object(self, kind: str, choices: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._asked.model,
            "system_fingerprint": None,
            "choices": choices,
            **rest,
        }


def _annotations(content: Content) -> dict[str, Any]:
    found = [{"type": "url_citation", "url_citation": one} for one in content.citations]
    return {"annotations": found} if found else {}


def _line(value: dict[str, Any]) -> str:
    return f"data: {to_json(value)}\n\n"


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
