"""The web application of `localrag serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse

from localrag.errors import LocalragError
from localrag.server import api, openai, pages, showing
from localrag.server.exchange import for_client
from localrag.server.guard import Guard, failure, wants_page
from localrag.server.turns import FairQueue

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from localrag.server.guard import Access
    from localrag.server.served import Served
    from localrag.sessions import SessionStore


def create_app(served: Served, access: Access, store: SessionStore | None = None) -> Starlette:
    """Return the application for the libraries that are served; `store` has the conversations."""
    turns = FairQueue()
    return Starlette(
        routes=[*openai.routes(served, turns), *api.routes(served, turns), *pages.routes(served, turns, store)],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={LocalragError: _failed, HTTPException: _failed},  # others: the guard
    )


async def _failed(request: Request, error: Exception) -> Response:
    if request.scope["path"].startswith(("/api/", "/v1/")):
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
