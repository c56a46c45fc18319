"""The one socket of `localrag serve`: bound to this machine before the process is confined, then served by uvicorn.

uvicorn has no limits on clients that send or take nothing, so `Connection` has: a client has 10 seconds for each
request's head, and where connections run out, the one that has been idle longest is closed, first of all one that was
never let in. A request that the guard has not let in counts as idle. Before that, `Newcomer` waits for the first head:
of those without the token or a cookie a hundred a second are heard, and others refused at little cost.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag.errors import LocalragError, UsageError
from localrag.security import storage

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST, PORT = "127.0.0.1", 8765
_TRIES = 20  # ports after the first
_BACKLOG = 256
_MAX_CONNECTIONS = 256
_HEAD_SECONDS = 10.0  # for a request's head, from the connection or the last answer
_MAX_HEAD = 32 << 10  # bytes
_HEARD = 100  # requests a second without token or cookie, and twice as many at once
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nContent-Length: 39\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\nToo many clients come without the token."
)
_END_SECONDS = 2  # for answers in progress to end


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket: its address as a client writes it, the Host headers that name it, and the path if it has one."""

    socket: socket.socket
    address: str
    hosts: frozenset[str]
    path: Path | None = None

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            with suppress(LocalragError, OSError):
                storage.remove(self.path)


def bind(port: int | None = None, path: Path | None = None) -> Listener:
    """Bind a port of 127.0.0.1 (None: 8765, or the next that is free; 0: any), or a Unix socket for its owner only.

    Raises UsageError if it cannot be bound.
    """
    if path is not None:
        return _bind_path(path)
    reason = ""
    for number in range(PORT, PORT + _TRIES) if port is None else (port,):
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # On Windows SO_REUSEADDR would let another program take the port over.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        opened.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
        try:
            opened.bind((HOST, number))
            opened.listen(_BACKLOG)
        except OSError as error:
            opened.close()
            reason = str(error.strerror)
            continue
        number = opened.getsockname()[1]
        names = frozenset({HOST, "localhost"})
        hosts = frozenset(f"{name}:{number}" for name in names) | (names if number == 80 else frozenset())
        return Listener(opened, f"http://{HOST}:{number}", hosts)
    what = f"the ports {PORT} to {PORT + _TRIES - 1} are" if port is None else f"the port {port} is"
    raise UsageError(f"{what} not free: {reason}", "Choose another: localrag serve --port N")


def _bind_path(path: Path) -> Listener:
    family = getattr(socket, "AF_UNIX", None)
    if family is None:
        raise UsageError("this system has no Unix sockets for Python", "Use a port: localrag serve --port N")
    path = path.expanduser().absolute()
    storage.check_own(path.parent)
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        if path.exists():
            _remove_stale(path, family)
        before = os.umask(0o177)
        try:
            opened.bind(str(path))
        finally:
            os.umask(before)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise UsageError(
            f"cannot make the socket {str(path)!r}: {error.strerror or error}", "Choose another."
        ) from None
    return Listener(opened, f"unix:{path}", frozenset({"localhost"}), path)


def _remove_stale(path: Path, family: int) -> None:
    """Delete a socket that nobody listens at. Raises OSError for anything else."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(17, "there is another file of that name")
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        if not trial.connect_ex(str(path)):
            raise FileExistsError(17, "another server listens there")
    storage.remove(path)


def run(app: ASGIApp, listener: Listener, knows: Callable[[bytes], bool]) -> None:
    """Serve until SIGINT or SIGTERM; answers in progress are then stopped. The signals' own handlers follow.

    `knows` says whether the head of a request has a token or a cookie of this server, so that it goes first.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_newcomers(_connections(), knows),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=int(_HEAD_SECONDS),
        timeout_graceful_shutdown=_END_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEAD,
    )
    _raise_file_limit()
    uvicorn.Server(config).run(sockets=[listener.socket])


def _raise_file_limit() -> None:
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4 * _MAX_CONNECTIONS
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Allowance:
    """So many a second, and what was not used, up to twice as many at once."""

    def __init__(self, rate: int) -> None:
        self._rate, self._left, self._since = rate, 2.0 * rate, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(2 * self._rate, self._left + (now - self._since) * self._rate)
        self._since = now
        taken = self._left >= 1
        self._left -= taken
        return taken


def _newcomers(connection: Any, knows: Callable[[bytes], bool]) -> Any:
    """Return the protocol class of clients that have sent no head; what is admitted goes on as a `connection`."""
    import asyncio

    waiting: dict[Any, None] = {}  # the oldest first
    allowance = _Allowance(_HEARD)

    class Newcomer(asyncio.Protocol):
        def __init__(self, **given: Any) -> None:
            self.given, self.head = given, bytearray()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            self.deadline = asyncio.get_running_loop().call_later(_HEAD_SECONDS, transport.abort)
            self.given["server_state"].connections.add(self)
            waiting[self] = None
            if len(waiting) > _MAX_CONNECTIONS:
                oldest = next(iter(waiting))
                oldest.leave()
                oldest.shutdown()

        def data_received(self, data: bytes) -> None:
            self.head += data
            fresh = max(0, len(self.head) - len(data) - 3)
            if len(self.head) <= _MAX_HEAD and not _HEAD_END.search(self.head, fresh):
                return
            self.leave()
            if knows(bytes(self.head)) or allowance.take():
                admitted = connection(**self.given)
                self.transport.set_protocol(admitted)
                admitted.connection_made(self.transport)
                admitted.data_received(bytes(self.head))
            else:
                self.transport.write(_TOO_MANY)
                self.transport.close()

        def leave(self) -> None:
            self.deadline.cancel()
            waiting.pop(self, None)
            self.given["server_state"].connections.discard(self)

        def connection_lost(self, exc: Exception | None) -> None:
            self.leave()

        def shutdown(self) -> None:
            self.transport.abort()

    return Newcomer


def _connections() -> Any:
    """Return the protocol class; uvicorn takes a moment to import."""
    import asyncio

    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(H11Protocol):
        """One client. `state["abort"]` of its requests closes the connection at once; `state["let_in"]` admits one."""

        let_in = known = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            super().connection_made(transport)
            self.app_state = {**self.app_state, "abort": transport.abort, "let_in": self.admit}
            self.deadline = self.loop.call_later(_HEAD_SECONDS, self.end_if_idle)
            self.since = time.monotonic()
            there = [
                each for each in self.connections if isinstance(each, Connection) and not each.transport.is_closing()
            ]
            if len(there) > _MAX_CONNECTIONS:
                idle = [each for each in there if each.is_idle]
                min(idle, key=lambda each: (each.known, each.since), default=self).transport.abort()

        def admit(self) -> None:
            self.let_in = self.known = True

        @property
        def is_idle(self) -> bool:
            return not self.let_in or self.cycle.response_complete

        def end_if_idle(self) -> None:
            if self.is_idle:
                self.transport.abort()

        def on_response_complete(self) -> None:
            self.let_in = False  # before the next request, which may have come
            super().on_response_complete()
            self.deadline.cancel()
            self.deadline = self.loop.call_later(2 * _HEAD_SECONDS, self.end_if_idle)
            self.since = time.monotonic()

        def connection_lost(self, exc: Exception | None) -> None:
            self.deadline.cancel()
            super().connection_lost(exc)

    return Connection
