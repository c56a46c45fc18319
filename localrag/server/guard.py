"""The guard that each request to `localrag serve` passes first, and how errors are answered.

It lets in who has the token, by header (programs) or by cookie (browsers), which is given for the token or a code that
works once, under a Host that names this server: another name would be a page elsewhere that points a name of its own
here. A browser's request must come from these pages.
Bodies, and the time for sending one and for taking an answer, are limited, most of all before somebody is let in.
Limit: a browser sends its cookie to every
port of this machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localrag.errors import (
    KeyRequired,
    LibraryLocked,
    LocalragError,
    ModelDamaged,
    ModelError,
    ModelMissing,
    NotFoundError,
    PolicyRefused,
    ReadError,
    StorageError,
    UsageError,
    internal,
)
from localrag.server.served import Busy

MAX_BODY = 1 << 20  # bytes
MAX_UPLOAD = 100 << 20  # bytes of a file
UPLOAD = "/upload/"
_MAX_FORM = 2 << 10  # bytes of the form with the token, which anybody may send
_FORM_SECONDS = 3.0
_BODY_SECONDS = 20.0  # for a whole body
_SEND_SECONDS = 30.0  # for a client to take what is sent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the Origin of a form is "null"
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# In the head of a request.
_BEARER = re.compile(rb"(?i)\nauthorization:[ \t]*bearer[ \t]+([!-~]+)")
_COOKIE = re.compile(rb"localrag-\d{1,5}=([!-:<-~]+)")
# The status of an error; the first that fits.
_STATUS = (
    (Busy, 503),
    (UsageError, 400),
    (ModelMissing, 503),
    (ModelDamaged, 500),
    (ModelError, 400),
    (NotFoundError, 404),
    (ReadError, 404),  # the file behind a document
    (PolicyRefused, 403),
    (KeyRequired, 423),
    (LibraryLocked, 423),
    (StorageError, 507),
)


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in: the Host headers of this server, its token, and codes that each open one browser until a time.

    Without a token everybody is let in, which only a Unix socket allows. `uploads`: files may be sent, too.
    """

    hosts: Collection[str]
    token: str | None
    uploads: bool = False
    _codes: dict[str, float] = field(default_factory=dict)  # until when, of time.monotonic

    def holds(self, given: str) -> bool:
        return self.token is None or hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def code(self, seconds: float) -> str:
        """Return a new code, which works once within so many seconds."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = time.monotonic() + seconds
        return code

    def takes(self, code: str) -> bool:
        return time.monotonic() < self._codes.pop(code, 0)

    def in_head(self, head: bytes) -> bool:
        """Whether the head of a request has the token, a cookie or a code. It goes first then; the guard lets it in."""
        tokens, cookies = ((one[1].decode() for one in islice(each.finditer(head), 8)) for each in (_BEARER, _COOKIE))
        return (
            any(map(self.holds, tokens))
            or any(map(self.knows, cookies))
            or any(code.encode() in head for code in self._codes)
        )

    def cookie(self, name: str = "") -> str:
        """Return a cookie for one browser: a name, and a mark of it that only the token makes."""
        name = name or secrets.token_urlsafe(9)
        return f"{name}.{hmac.new((self.token or '').encode(), name.encode(), hashlib.sha256).hexdigest()}"

    def knows(self, cookie: str) -> bool:
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self.cookie(cookie.partition(".")[0]).encode())


def status_of(error: LocalragError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def failure(request: Request, error: Exception) -> Response:
    """Return the response to an error."""
    if isinstance(error, HTTPException):
        return refusal(request, error.status_code, error.detail)
    known = error if isinstance(error, LocalragError) else internal(error)
    code, param = getattr(known, "code", None), getattr(known, "param", None)
    response = refusal(request, status_of(known), known.message, known.hint, code, param=param)
    if isinstance(known, Busy):
        response.headers["Retry-After"] = str(known.seconds)
    return response


def refusal(
    request: Request,
    status: int,
    message: str,
    hint: str = "",
    code: str | None = None,
    form: str = "",
    param: str | None = None,
) -> Response:
    """Return an error in OpenAI's form, or as a page, which asks for the token to go on to the page `form`."""
    if wants_page(request):
        return _page(HTTPStatus(status).phrase, status, message=message, hint=hint, form=form)
    return JSONResponse(error_body(status, message, hint, code, param), status)


def _page(title: str, status: int = 200, **given: str) -> HTMLResponse:
    from localrag.server.showing import render  # it takes numpy along, which starts threads

    return HTMLResponse(
        render("plain.html", title=title, **{"message": "", "hint": "", "form": "", "link": "", **given}), status
    )


def error_body(
    status: int, message: str, hint: str = "", code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    text = f"{message}. {hint}" if hint and message[-1:] not in ".?!" else f"{message} {hint}".strip()
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer."""
    program = request.scope["path"].startswith(("/api/", "/v1/"))
    return not program and "text/html" in request.headers.get("accept", "")


def client_of(request: Request) -> str:
    """Return the key of a client for `FairQueue`: its browser, or that of all programs."""
    return str(request.state.client)


def name_of(request: Request) -> str:
    """Return what a client calls itself, for the audit log."""
    name = "".join(letter for letter in request.headers.get("user-agent", "") if letter.isprintable())
    return name[:100] or "unnamed"


class Guard:
    """Refuses requests before anything else sees them, and adds the headers that protect a browser."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope)
        limited = _Limited(scope, receive, send)
        try:
            app = self._refused(request)
            if app is None:
                app = self._app
                limited.is_let_in = bool(request.state.client)
                limited.most = self._most(request)
                if limited.is_let_in and (let_in := scope.get("state", {}).get("let_in")):
                    let_in()
            await app(scope, limited.receive, limited.send)
        except ClientDisconnect:
            return
        except Exception as error:
            if not limited.started:
                await failure(request, error)(scope, receive, limited.send)
            elif (abort := scope.get("state", {}).get("abort")) is not None:
                abort()  # also where a client takes nothing

    def _most(self, request: Request) -> int:
        """Return how many bytes the body of a request may have."""
        return MAX_UPLOAD if self._access.uploads and request.scope["path"].startswith(UPLOAD) else MAX_BODY

    def _refused(self, request: Request) -> ASGIApp | None:
        """Return what answers a request that is not let in."""
        path, host, origin = request.scope["path"], request.headers.get("host", ""), request.headers.get("origin")
        site, mode = (request.headers.get(f"sec-fetch-{name}", "") for name in ("site", "mode"))
        if host.lower() not in self._access.hosts:
            return refusal(request, 421, "this server is not known by this name", "Use the address that it printed.")
        elsewhere = site in ("cross-site", "same-site")  # another port is the same site
        if not path.startswith("/"):
            return refusal(request, 400, "the path does not begin with a slash")
        if origin not in (None, f"http://{host}") or (elsewhere and mode != "navigate"):
            return refusal(request, 403, "pages of other sites may not ask this server")
        first = path == "/" and (request.method == "POST" or "code" in request.query_params)
        most = _MAX_FORM if first else self._most(request)
        if int(request.headers.get("content-length") or 0) > most:
            return refusal(request, 413, f"a request has at most {most:,} bytes")
        if first and "transfer-encoding" in request.headers:
            return refusal(request, 411, "the form needs its length, and no chunks")
        if first:
            return self._first_visit
        cookie = request.cookies.get(_cookie_name(request), "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._access.token is None or self._access.holds(token.strip() if scheme.lower() == "bearer" else ""):
            request.state.client = "programs"
        elif cookie and self._access.knows(cookie) and (request.method in ("GET", "HEAD") or origin):
            request.state.client = f"browser {cookie.partition('.')[0]}"
        elif path.startswith("/static/"):
            request.state.client = ""
        elif wants_page(request) and elsewhere:
            # Strict cookies do not come along from other sites' pages, but with a click on this one.
            message = "A page of another site leads here."
            return _page("From another page", message=message, link=str(request.url), words="Open it")
        else:
            return _unauthorized(request, "the token is missing or wrong")
        return None

    async def _first_visit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Exchange a code in the address, or the token in a form, for a cookie that ends with the browser."""
        request = Request(scope, receive)
        try:
            async with asyncio.timeout(_FORM_SECONDS):
                form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        except TimeoutError:
            raise HTTPException(408, f"a form has at most {_FORM_SECONDS:.0f} seconds") from None
        response: Response = _unauthorized(request, "the code was used or is too old, or the token is wrong")
        if self._access.takes(request.query_params.get("code", "")) or self._access.holds(form.get("token", "")):
            # No redirect: if a file of this machine led here, browsers would leave the strict cookie out after it.
            response = _page("Open", link=(wanted := _wanted(request)), words="Go on")
            response.headers["Refresh"] = f"0; url={wanted}"
            response.set_cookie(_cookie_name(request), self._access.cookie(), httponly=True, samesite="strict")
        await response(scope, receive, send)


def _unauthorized(request: Request, message: str) -> Response:
    """Return the response to a client that gave no token or code; a person can type the token."""
    hint = "Give the token that `localrag serve` printed; programs send it as a key: Authorization: Bearer TOKEN."
    response = refusal(request, 401, message, hint, "invalid_api_key", form=_wanted(request))
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _wanted(request: Request) -> str:
    """Return the page that a person wants, such as that of a citation, without a code."""
    url = request.url
    return f"/?{url.query}" if url.path == "/" and url.query and "code" not in request.query_params else "/"


def _cookie_name(request: Request) -> str:
    return f"localrag-{request.url.port or 0}"  # all ports share their cookies


class _Limited:
    """`receive` and `send` of one request, with limits."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._size, self._complete, self.started = 0, False, False
        self.most = MAX_BODY
        self.is_let_in = False  # who is not does not keep the connection
        self._until = asyncio.get_running_loop().time() + _BODY_SECONDS

    async def receive(self) -> Message:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"a request has at most {_BODY_SECONDS:.0f} seconds") from None
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > self.most:
            raise HTTPException(413, f"a request has at most {self.most:,} bytes")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not self.is_let_in:
                headers["Connection"] = "close"
        self.started = True
        async with asyncio.timeout(_SEND_SECONDS):
            await self._send(message)
