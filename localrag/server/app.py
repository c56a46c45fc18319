"""The web application of `localrag serve`, and localrag's own JSON API (docs/server.md)."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from localrag.errors import LocalragError
from localrag.events import Answered, Event
from localrag.security.terminal import one_line
from localrag.server import exchange, openai, pages, showing
from localrag.server.exchange import AnswerOptions, Narrowing, for_client, json_response, page_link, to_json
from localrag.server.guard import Access, Guard, client_of, failure, refusal, wants_page
from localrag.server.served import FairQueue, Served, Waiting, answer_events
from localrag.sessions import SessionStore
from localrag.types import Turn

MAX_PASSAGES = 100
_MAX_DOCUMENTS = 1000  # in one response
_MAX_PATH = 200  # characters of one that is not there
_FOR_PROGRAMS = ("/api/", "/v1/")
Libraries = Annotated[tuple[str, ...], msgspec.Meta(max_length=100)]


class Search(Narrowing, kw_only=True):
    query: exchange.Question
    libraries: Libraries = ()
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_PASSAGES)] = 10


class Ask(AnswerOptions, kw_only=True):
    question: exchange.Question
    libraries: Libraries = ()
    history: tuple[Turn, ...] = ()
    stream: bool = False


def routes(served: Served, turns: FairQueue) -> list[BaseRoute]:
    api = _Api(served, turns)
    return [
        Route("/api/libraries", api.libraries),
        Route("/api/documents/{library}", api.documents),
        Route("/api/pages/{library}/{document:path}/{page:int}", api.page),
        Route("/api/pages/{library}/{document:path}", api.page),
        Route("/api/overview/{library}", api.overview),
        Route("/api/facts/{library}", api.decide, methods=["POST"]),
        Route("/api/search", api.search, methods=["POST"]),
        Route("/api/ask", api.ask, methods=["POST"]),
    ]


class _Api:
    def __init__(self, served: Served, turns: FairQueue) -> None:
        self._served, self._turns = served, turns

    async def libraries(self, request: Request) -> Response:
        return json_response({"libraries": self._served.libraries})

    async def documents(self, request: Request) -> Response:
        """The documents of a library, from `after` on, so many at a time."""
        (library,) = self._served.check((request.path_params["library"],))
        await exchange.record(self._served, request, "documents", (library,))
        held = await exchange.while_there(request, self._served.call("contents", library))
        after = request.query_params.get("after", "")
        later = [one.document for one in held.documents if one.document.path > after]
        shown = [
            {
                "document": one.path,
                "title": one.title,
                "pages": one.pages if one.paged else None,
                "characters": one.characters,
                "author": one.author,
                "date": one.date,
                "language": one.language,
                "url": page_link(request, library, one.path, None),
            }
            for one in later[:_MAX_DOCUMENTS]
        ]
        failed = [{"document": one.document, "reason": one.reason} for one in held.failed[:_MAX_DOCUMENTS]]
        more = later[_MAX_DOCUMENTS - 1].path if len(later) > _MAX_DOCUMENTS else None
        return json_response({"library": library, "documents": shown, "after": more, "not_read": failed})

    async def overview(self, request: Request) -> Response:
        (library,) = self._served.check((request.path_params["library"],))
        await exchange.record(self._served, request, "overview", (library,))
        return json_response(await exchange.while_there(request, self._served.call("overview", library)))

    async def decide(self, request: Request) -> Response:
        (library,) = self._served.check((request.path_params["library"],))
        given = exchange.as_type(await exchange.json_of(request), exchange.FactDecision)
        return json_response((await exchange.decide_fact(self._served, request, library, given)).to_dict())

    async def page(self, request: Request) -> Response:
        (library,) = self._served.check((request.path_params["library"],))
        document, number = request.path_params["document"], request.path_params.get("page")
        await exchange.record(self._served, request, "page", (library,))
        opened = await exchange.while_there(request, self._served.call("page", library, document, number, exact=True))
        page = opened.page
        return json_response(
            {
                "library": library,
                "document": opened.document.path,
                "title": opened.document.title,
                "page": page.number,
                "pages": opened.count,
                "label": page.label,
                "unit": page.unit,
                "text": page.text,
                "url": page_link(request, library, opened.document.path, page.number),
            }
        )

    async def search(self, request: Request) -> Response:
        given = exchange.as_type(await exchange.json_of(request), Search)
        libraries, only = self._served.check(given.libraries), given.filter()
        await exchange.record(self._served, request, "search", libraries)
        call = self._served.call("search", given.query, libraries=libraries, documents=only, k=given.k)
        passages = await exchange.while_there(request, call)
        found = [one.to_dict() | {"url": page_link(request, one.library, one.document, one.page)} for one in passages]
        return json_response({"passages": found})

    async def ask(self, request: Request) -> Response:
        given = exchange.as_type(await exchange.json_of(request), Ask)
        libraries, how = self._served.check(given.libraries), given.how()
        await exchange.record(self._served, request, "ask", libraries)
        events = answer_events(
            self._served,
            self._turns,
            client_of(request),
            "",
            given.question,
            libraries=libraries,
            history=given.history,
            **how,
        )
        if given.stream:
            return exchange.EventStream(_sent(request, await exchange.first_awaited(request, events)))
        return json_response((await exchange.while_there(request, exchange.answer_of(events))).to_dict())


async def _sent(request: Request, events: AsyncGenerator[Waiting | Event]) -> AsyncGenerator[str]:
    """Write events: each under its name in small letters, the last is "answered" or "error"."""
    async with aclosing(events):
        try:
            async for event in events:
                value = event.answer.to_dict() if isinstance(event, Answered) else event
                yield f"event: {type(event).__name__.lower()}\ndata: {to_json(value)}\n\n"
        except Exception as error:
            yield f"event: error\ndata: {to_json(exchange.error_of(request, error))}\n\n"


def create_app(served: Served, access: Access, store: SessionStore | None = None) -> Starlette:
    """Return the application for the libraries that are served; `store` has the conversations."""
    turns = FairQueue()
    return Starlette(
        routes=[*openai.routes(served, turns), *routes(served, turns), *pages.routes(served, turns, store)],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={LocalragError: _failed, HTTPException: _failed},  # others: the guard
    )


def _not_there(request: Request, status: int) -> Response:
    """Return that a path or its method is not there, and what is there for programs."""
    there = [
        f"{next(iter((route.methods or {'GET'}) - {'HEAD'}))} {re.sub(r':[a-z]+}', '}', route.path)}"
        for route in request.app.routes
        if isinstance(route, Route) and route.path.startswith(_FOR_PROGRAMS)
    ]
    asked = f"{request.method} {one_line(request.scope['path'][:_MAX_PATH])}"
    return refusal(request, status, f"there is no {asked}", f"There is {', '.join(there)}.")


async def _failed(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code in (404, 405) and not wants_page(request):
        return _not_there(request, error.status_code)
    if request.scope["path"].startswith(_FOR_PROGRAMS):
        return failure(request, for_client(request, error))
    if isinstance(error, LocalragError):
        error.message, error.hint = showing.sentence(error.message), showing.sentence(showing.hint_of(error))
    response = failure(request, error)
    if wants_page(request):
        detail = "there is no such page" if response.status_code == 404 else str(getattr(error, "detail", ""))
        shown = error if isinstance(error, LocalragError) else LocalragError(detail)
        again = {name: value for name, value in response.headers.items() if name == "retry-after"}
        return HTMLResponse(
            showing.render("error.html", error=shown, status=response.status_code), response.status_code, again
        )
    return response
