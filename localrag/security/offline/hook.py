"""The layers that work everywhere: the libraries' switches, and refusals to Python code.

The audit hook refuses connects, binds, sends and name look-ups, except to loopback and Unix sockets. Methods of
`socket.socket` are checked before it, because their C code would ask the name server first. Neither is a sandbox:
native code and child processes bypass them.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from localrag.errors import OfflineRefused

SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    # Since 1.29 onnxruntime reports to its maker from native code, which the hook does not see, and keeps an identifier
    # of the machine in the home folder. It reads this once, when it is loaded.
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Not about the network, but due at the same time: forked tokenizer threads warn and can hang.
    "TOKENIZERS_PARALLELISM": "false",
}

_ADDRESSED = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"})
_LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
# Methods of socket.socket, and the position of the address among their arguments.
_METHODS = {"connect": 0, "connect_ex": 0, "bind": 0, "sendto": -1, "sendmsg": 3}
# The hook runs for every audited action, so the common case must be one set look-up.
_WATCHED = _ADDRESSED | _LOOKUPS | {"socket.getnameinfo"}

_installed = False
_allowed = 0
_reached = threading.local()  # what this thread may look up and connect to


def set_switches(*names: str) -> None:
    """Set the libraries' offline switches, or those named. Call it before importing any of them."""
    os.environ.update({name: SWITCHES[name] for name in names or SWITCHES})


def install() -> None:
    """Turn on the hook for this process, once."""
    global _installed
    if not _installed:
        import socket

        sys.addaudithook(_refuse_network)
        for name, position in _METHODS.items():
            if method := getattr(socket.socket, name, None):  # Windows has no sendmsg
                setattr(socket.socket, name, _checking_first(method, position))
        _installed = True


def installed() -> bool:
    """True once the hook holds in this process."""
    return _installed


@contextmanager
def network_for_install() -> Iterator[None]:
    """Let this process reach the network while a model is installed: the one exception."""
    global _allowed
    saved = {name: os.environ.pop(name, None) for name in SWITCHES if name.endswith("_OFFLINE")}
    _allowed += 1
    try:
        yield
    finally:
        _allowed -= 1
        os.environ.update({name: value for name, value in saved.items() if value is not None})


@contextmanager
def reaching(host: str, port: int) -> Iterator[list[tuple[int, tuple[Any, ...]]]]:
    """Look up a host and let this thread connect to what is found: the families and addresses."""
    import socket

    _reached.asked, _reached.found = (host, port), []
    try:
        looked_up = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        _reached.found = [(family, address) for family, _, _, _, address in looked_up]
        yield _reached.found
    finally:
        _reached.__dict__.clear()


def _is_reached(event: str, args: tuple[Any, ...]) -> bool:
    allowed = vars(_reached)
    if event == "socket.getaddrinfo":
        return bool(args[:2] == allowed.get("asked"))
    return event == "socket.connect" and (args[0].family, args[1]) in allowed.get("found", ())


def _refuse_network(event: str, args: tuple[Any, ...]) -> None:
    if event not in _WATCHED or _allowed:
        return
    target = args[1] if event in _ADDRESSED else args[0]
    if event in _ADDRESSED:
        fine = _is_local_address(args[0], target)
    else:
        fine = _is_loopback(target[0] if event == "socket.getnameinfo" else target)
    if not fine and not _is_reached(event, args):
        raise OfflineRefused(
            f"refused to reach the network: {event} {target!r}",
            "localrag works offline. `localrag doctor` shows what may be reached.",
        )


def _checking_first(method: Callable[..., Any], position: int) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(sock: Any, *args: Any) -> Any:
        if len(args) > position:
            _refuse_network("socket.connect", (sock, args[position]))
        return method(sock, *args)

    return checked


def _is_local_address(sock: Any, address: Any) -> bool:
    import socket

    if sock.family == getattr(socket, "AF_UNIX", None):
        return True
    if sock.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and address:
        return _is_loopback(address[0])
    # sendmsg without an address goes where connect went, which was checked.
    return address is None


def _is_loopback(host: Any) -> bool:
    if host is None or host in ("localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else str(host)
    try:
        return ipaddress.ip_address(text.split("%")[0]).is_loopback
    except ValueError:
        return False
