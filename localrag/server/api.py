"""localrag's own JSON API (docs/server.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from localrag.server.served import Served
    from localrag.server.turns import Turns


def routes(served: Served, turns: Turns) -> list[BaseRoute]:
    async def libraries(request: Request) -> Response:
        return JSONResponse({"libraries": list(served.libraries)})

    return [Route("/api/libraries", libraries)]
