"""A model server in the house that speaks OpenAI's protocol: llama-server, vLLM, llama-cpp-python's own.

Each request has a connection of its own, which closes at once when the person stops. What a server sends is data from
outside: it is limited in size, and a redirect is not followed.
"""

from __future__ import annotations

import http.client
import io
import json
import math
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from localrag import policy
from localrag.errors import ModelError, OfflineRefused, SettingsError, UsageError
from localrag.security.offline import remote
from localrag.security.offline.remote import Address

Stop = Callable[[], bool]

_POLL = 0.1  # seconds between two looks whether to stop
# Seconds without a byte: a long prompt is read in silence, behind those of others; other requests only wait for them.
_PATIENCE, SHORT_PATIENCE = 600.0, 60.0
_MAX_REPLY, _MAX_LINE, _MAX_PROBLEM = 100_000_000, 1_000_000, 300  # bytes of a reply and a line, letters of an error
_HINT = "`localrag doctor` tries it. Start the server, or correct the setting {setting}."
# Digits and signs are a token each, a word one for four letters, two for each letter with an accent, other writing one
# for two bytes (docs/decisions/0055-model-server.md).
_WRITTEN = re.compile(r"(?P<word>[A-Za-z]+)|\s+|(?P<accented>[\u00c0-\u024f]+)|[!-~]|(?P<other>[^\x00-\x7f]+)|.")


class Stopped(Exception):
    """The person stopped it while the server was busy."""


class Refused(ModelError):
    """The server answered with an error."""


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has, for prose rather too many, where no tokenizer is at hand.

    Joining texts never makes more of them: count(a + b) <= count(a) + count(b).
    """
    total = 0
    for found in _WRITTEN.finditer(text):
        part, kind = found[0], found.lastgroup
        if kind == "other":
            total += math.ceil(len(part.encode("utf-8", "replace")) / 2)
        elif kind == "accented":
            total += 2 * len(part)
        else:
            total += math.ceil(len(part) / 4) if kind == "word" else part != " "
    return total


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model server listens, by which setting, and the path before `/chat/completions`."""

    address: Address
    setting: str
    tls: bool = False
    path: str = "/v1"

    def __str__(self) -> str:
        return str(self.address)

    def ask(
        self, path: str, body: Mapping[str, Any] | None = None, stop: Stop | None = None, *, patience: float = _PATIENCE
    ) -> dict[str, Any]:
        """Send a body and return the reply. Raises Stopped, Refused if the server reports an error, else ModelError."""
        with self._reply(path, body, stop, patience) as reply:
            data = reply.read(_MAX_REPLY + 1)
            if len(data) > _MAX_REPLY:
                raise ValueError("its answer is too long")
            return _object(data)

    def stream(self, path: str, body: Mapping[str, Any], stop: Stop | None = None) -> Iterator[dict[str, Any]]:
        """Yield the objects of a reply as they are written, until it ends or breaks off. Raises as `ask`."""
        with self._reply(path, body, stop, _PATIENCE) as reply:
            size = 0
            while line := reply.readline(_MAX_LINE + 1):
                size += len(line)
                if len(line) > _MAX_LINE or size > _MAX_REPLY:
                    raise ValueError("its answer is too long")
                if line.startswith(b"data:"):
                    data = line[5:].strip()
                    if data == b"[DONE]":
                        return
                    found = _object(data)
                    if problem := found.get("error"):
                        raise Refused(f"the model server {self} failed: {_words(problem)}", self._hint)
                    yield found

    @property
    def _hint(self) -> str:
        return _HINT.format(setting=self.setting)

    @contextmanager
    def _reply(
        self, path: str, body: Mapping[str, Any] | None, stop: Stop | None, patience: float
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and yield the reply, once its status says that it is one."""
        try:
            found = self._connected()
        except OfflineRefused:
            raise
        except OSError as error:
            what = f"the model server {self} cannot be reached: {error.strerror or error}"
            raise ModelError(what, self._hint) from None
        with found:
            host = self.address.host or "localhost"
            connection = http.client.HTTPConnection(f"[{host}]" if ":" in host else host, self.address.port or 80)
            connection.sock = _Wire(found, stop, patience)
            sent = None if body is None else json.dumps(body).encode()
            headers = {"Accept": "*/*", "Connection": "close", "Content-Type": "application/json"}
            try:
                connection.request("GET" if sent is None else "POST", path, sent, headers)
                reply = connection.getresponse()
                if reply.status != http.HTTPStatus.OK:
                    raise self._refusal(reply)
                yield reply
            except ModelError:
                raise
            except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
                what = f"the model server {self} broke off, or does not speak OpenAI's protocol: {why[:_MAX_PROBLEM]}"
                raise ModelError(what, self._hint) from None

    def _connected(self) -> socket.socket:
        context = remote.tls(self.address)
        if context is None and self.tls:
            hint = "The administrator's policy names it (allow_addresses). Without TLS, set its address with http."
            raise ModelError(f"no certificate is known for the model server {self}", hint)
        found = remote.connect(self.address)
        return found if context is None else context.wrap_socket(found, server_hostname=self.address.host)

    def _refusal(self, reply: http.client.HTTPResponse) -> ModelError:
        if 300 <= reply.status < 400:
            what = f"the model server {self} names another address, which is not followed"
            return ModelError(what, f"Set {self.setting} to the address of the model server itself.")
        try:
            body: Any = _object(reply.read(_MAX_LINE))
        except ValueError:
            body = reply.reason
        said = _words(body.get("error") or body.get("detail") or body if isinstance(body, dict) else body)
        return Refused(f"the model server {self} refuses ({reply.status}): {said}", self._hint)


class _Wire(io.RawIOBase):
    """A connected socket as `http.client` uses one, whose reads and writes end when `stop` says so."""

    def __init__(self, found: socket.socket, stop: Stop | None, patience: float) -> None:
        self._socket, self._stop, self._patience = found, stop, patience
        found.settimeout(_POLL)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._waited(self._socket.recv_into, buffer)

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._waited(self._socket.send, rest) :]

    def close(self) -> None:
        pass  # `http.client` does so before it has read the reply

    def _waited(self, act: Callable[[Any], int], data: Any) -> int:
        last = time.monotonic()
        while self._stop is None or not self._stop():
            try:
                return act(data)
            except TimeoutError:
                if time.monotonic() - last > self._patience:
                    raise TimeoutError(f"it is silent for {self._patience:.0f} seconds") from None
        raise Stopped


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("its answer is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("its answer is not an object")
    return found


def _words(problem: Any) -> str:
    """Return what a server says of an error, on one line and not too long."""
    said = problem.get("message", problem) if isinstance(problem, dict) else problem
    return " ".join(str(said).split())[:_MAX_PROBLEM] or "no reason given"


def parsed(url: str, setting: str) -> Server:
    """Return the server that a setting names, by HTTP or at a Unix socket (unix:///PATH)."""
    try:
        address, parts = remote.address_of(url), urlsplit(url)
        odd = parts.username or parts.query or parts.fragment or parts.scheme not in ("http", "https", "unix")
    except UsageError:
        odd = True
    if odd or re.search(r"[\s\x00-\x1f]", url):
        raise SettingsError(
            f"{setting} = {url!r} is not the address of a model server",
            f"Write unix:///PATH for a socket of this machine, or see: localrag config show {setting}",
        )
    path = "" if address.path else parts.path.rstrip("/")
    return Server(address, setting, parts.scheme == "https", path or "/v1")


def check_allowed(model: str, server: Server) -> None:
    """Raise PolicyRefused if a policy allows models by their hash, which is unknown here, and not this address.

    TCP reaches only what the policy names, so that a model there has the administrator's yes already.
    """
    if server.address.path:
        policy.check_model(model, "unknown")


@lru_cache
def model_at(server: Server, named: str | None) -> tuple[str, int]:
    """Return the model of a server, the `named` one or its only one, and its window, 0 if the server does not say."""
    listed = _listed(server)
    ids = list(listed)
    kind = server.setting.partition("_")[0]
    if named not in ids and (named is not None or len(ids) != 1):
        there = f"It has {', '.join(map(repr, ids[:10]))}." if ids else "It names none."
        what = f"the model server {server} has no model {named!r}" if named else f"{server} has {len(ids)} models"
        raise ModelError(what, f"{there} Choose one: localrag config set {kind} NAME")
    id = named or ids[0]
    check_allowed(id, server)
    meta = listed[id].get("meta")
    return id, _whole_number(listed[id].get("max_model_len")) or (
        _running_window(server) or _whole_number(meta.get("n_ctx_train") if isinstance(meta, dict) else None)
    )


def models_at(server: Server) -> tuple[str, ...]:
    """Return the ids of a server's models. Raises ModelError if it cannot be asked."""
    return tuple(_listed(server))


def _listed(server: Server) -> dict[str, dict[str, Any]]:
    found = server.ask(f"{server.path}/models", patience=SHORT_PATIENCE).get("data")
    listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {_words(one.get("id", "")): one for one in listed}


def _running_window(server: Server) -> int:
    """Return the window that llama-server runs with; 0 from other servers."""
    try:
        props = server.ask(f"{server.path.removesuffix('/v1')}/props", patience=SHORT_PATIENCE)
    except ModelError:
        return 0
    found = props.get("default_generation_settings")
    return _whole_number(found.get("n_ctx")) if isinstance(found, dict) else 0


def _whole_number(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**31 else 0
