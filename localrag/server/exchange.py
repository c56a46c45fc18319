"""What both APIs of `localrag serve` share: bodies decoded by type, JSON, streams of events, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import quote

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from localrag import protocol
from localrag.errors import LocalragError, UsageError, internal
from localrag.events import Answered, Event
from localrag.protocol import to_plain
from localrag.search import filters
from localrag.server.guard import error_body, name_of, status_of
from localrag.server.served import MAX_PAGE, MAX_QUESTION, Served, Waiting, hint_for_programs
from localrag.types import Answer, Fact, FactState, Filter, Mode

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
MAX_VALUE = 500  # characters of a fact that a person corrects
Question = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUESTION)]
PageNumber = Annotated[int, msgspec.Meta(ge=0, le=MAX_PAGE)]


class Narrowing(msgspec.Struct, forbid_unknown_fields=True):
    """The documents that are looked at, by the fields of `types.Filter`."""

    documents: tuple[str, ...] = ()
    folder: str = ""
    types: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    sender: str = ""
    pages: tuple[PageNumber | None, PageNumber | None] | None = None

    def filter(self) -> Filter:
        """Return the filter. Raises UsageError for an unknown type, date or range."""
        return filters.checked(self.documents, self.folder, self.types, self.since, self.until, self.sender, self.pages)


class AnswerOptions(Narrowing, kw_only=True):
    """How a question is answered, beside what it asks."""

    mode: Mode = "auto"
    strict: bool = False
    short: bool = False
    reproducible: bool = False

    def how(self, tokens: int | None = None) -> dict[str, Any]:
        """Return arguments of `Engine.ask`; an answer has at most so many tokens."""
        options = {
            "strict": self.strict or None,
            "answer_form": "short" if self.short else None,
            "answer_tokens": tokens,
        }
        return {
            "documents": self.filter(),
            "mode": self.mode,
            "reproducible": self.reproducible,
            "options": {name: value for name, value in options.items() if value is not None},
        }


class FactDecision(msgspec.Struct, forbid_unknown_fields=True):
    """What a person decides of a fact, as `api.Library.decide` takes it: "sure" takes back what was decided before."""

    document: str
    fact: str
    state: FactState
    value: Annotated[str, msgspec.Meta(max_length=MAX_VALUE)] = ""


async def json_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. Raises UsageError for anything else."""
    try:
        value = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UsageError(f"the body is no JSON: {error}", "Send an object, as application/json.") from None
    if not isinstance(value, dict):
        raise UsageError("the body is no JSON object", "Send an object, as application/json.")
    return value


def as_type(value: Mapping[str, Any], kind: type[T]) -> T:
    """Return a JSON object, whose nulls are left out, as a value of a type. Raises UsageError where it is none."""
    try:
        given = {name: given for name, given in value.items() if given is not None}
        return cast(T, protocol.convert(given, kind))
    except (msgspec.ValidationError, RecursionError) as error:
        problem, _, path = str(error).partition(" - at `$.")
        missing = re.search(r"missing required field `(\w+)`", problem)
        named = filter(None, (path.rstrip("`"), missing[1] if missing else ""))
        raise WrongField(".".join(named), problem, "docs/server.md lists the fields.") from None


class WrongField(UsageError):
    """A field of a request that cannot be done; `param` is its name, in OpenAI's word."""

    def __init__(self, param: str, problem: str, hint: str) -> None:
        super().__init__(f"{param}: {problem}" if param else problem, hint)
        self.param = param or None


def json_response(value: Any) -> Response:
    """Return a response in JSON, in ASCII: names of files may have letters that UTF-8 has not."""
    return Response(to_json(value), media_type="application/json")


def to_json(value: Any) -> str:
    return json.dumps(to_plain(value))


def error_of(request: Request, error: Exception) -> dict[str, Any]:
    """Return an error in the middle of a stream."""
    known = for_client(request, error if isinstance(error, LocalragError) else internal(error))
    return error_body(status_of(known), known.message, known.hint, param=getattr(known, "param", None))


def for_client(request: Request, error: E) -> E:
    """Return an error whose hint fits who asked: programs run no commands."""
    if isinstance(error, LocalragError) and request.scope["path"].startswith(("/api/", "/v1/")):
        error.hint = hint_for_programs(error, "GET /api/documents/LIBRARY lists the documents.")
    return error


async def record(served: Served, request: Request, call: str, libraries: tuple[str, ...]) -> None:
    """Record a call in the audit log before it is made."""
    await asyncio.to_thread(served.record, name_of(request), call, libraries)


async def decide_fact(served: Served, request: Request, library: str, given: FactDecision) -> Fact:
    """Record that a person decides of a fact, and keep it; return the fact."""
    await record(served, request, "fact", (library,))
    value = given.value.strip() if given.state == "confirmed" else ""
    return cast(Fact, await served.call("decide_fact", library, given.document, given.fact, given.state, value))


async def answer_of(events: AsyncGenerator[Waiting | Event]) -> Answer:
    """Return the answer at the end of events."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Answered):
                return event.answer
    raise LocalragError("there is no answer", "It was stopped.")


class EventStream(StreamingResponse):
    """Server-sent events; what makes them is closed as soon as the client has gone."""

    def __init__(self, events: AsyncGenerator[str]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; cancel it if the client leaves. The request's body must have been read."""
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            watching.result()  # or its error, such as that of a body which is too large
            raise ClientDisconnect
        return working.result()
    finally:
        watching.cancel()
        working.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)  # what the work uses is free only then


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def first_awaited(request: Request, events: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Wait for the first event, so that an error before it is still an error; return all, the first included."""
    try:
        first = await while_there(request, anext(events))
    except BaseException:
        await events.aclose()
        raise

    async def all_of_them() -> AsyncGenerator[T]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return all_of_them()


def page_link(request: Request, library: str, document: str, page: int | None) -> str:
    """Return the address of a document's page for a browser."""
    name = quote(f"{library}/{document}", errors="surrogateescape")
    return f"http://{request.headers['host']}/?read={name}" + (f"&page={page}" if page is not None else "")
