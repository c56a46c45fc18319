"""The layers that keep localrag off the network and out of other files. Only `models install` may use the network.

The libraries' switches and an audit hook for Python code are here. On Linux, `kernel` has filters of system calls,
which refuse sockets to native code and child processes too, and Landlock, which limits files, TCP and other processes.
macOS and Windows offer no documented way for a program to confine itself, so there only the switches hold native code.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from localrag.errors import OfflineRefused
from localrag.security.offline import kernel
from localrag.security.offline.kernel import Files as Files

if TYPE_CHECKING:
    import socket

LayerName = Literal["switches", "hook", "seccomp", "landlock", "files"]
# What this process asked of Landlock; the kernel does not tell what was inherited.
_reach_restricted = False
_files: Files | None = None
_confined = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in this process: whether it holds, what it refuses and what it cannot; `reason` why it does not hold.

    `possible` is False if this system has no such layer.
    """

    name: LayerName
    holds: bool
    covers: str
    passes: str
    reason: str = ""
    possible: bool = True


def confine_python() -> None:
    """Turn on the layers that also work during an install of a model: switches and hook."""
    set_switches()
    install()


def confine(
    files: Files | None = None,
    *,
    without: Collection[LayerName] = (),
    kind: kernel.Filter = "metadata",
    listener: socket.socket | None = None,
) -> None:
    """Turn on every layer that this system has, for this process and all it starts. It cannot be undone.

    Call it first: before threads start (Landlock restricts one) and before sockets are open. A second call can only add
    limits on `files`, and with them the filter of system calls for this `kind` of process. `without` leaves out layers,
    for tests of the proofs. `listener` is a socket that stays: it is bound to this machine and accepts connections.

    Raises OfflineRefused if sockets are open that would keep working, or files cannot be limited because threads run.
    """
    global _reach_restricted, _files, _confined
    _confined = True
    if "switches" not in without:
        set_switches()
    if "hook" not in without:
        install()
    if "seccomp" not in without and not kernel.holds():
        kept = set() if listener is None else {listener.fileno()}
        if open_ones := kernel.sockets().keys() - kept:
            raise OfflineRefused(
                f"network sockets are already open: descriptors {', '.join(map(str, sorted(open_ones)))}",
                "Close them before localrag.offline.confine(), or call it first.",
            )
        kernel.install()
    wanted = files if "files" not in without else None
    reach = "landlock" not in without and not _reach_restricted and bool(kernel.abi()) and kernel.threads() == 1
    if (wanted is not None or reach) and kernel.restrict(wanted, reach):
        _reach_restricted = _reach_restricted or reach
        _files = wanted or _files
    if wanted is not None and "seccomp" not in without:
        kernel.install(kind)


def confined() -> bool:
    """True once this process has called `confine`."""
    return _confined


def close_sockets() -> None:
    """Close inherited sockets but input and output. Raises OfflineRefused if these are network sockets."""
    for descriptor in kernel.sockets(unix=True):
        if descriptor > 2:
            os.close(descriptor)
        elif descriptor in kernel.sockets():
            raise OfflineRefused(
                "the input or output of localrag is a network socket",
                "Start it from a terminal, or through a pipe: ... | localrag ... | ...",
            )


def layers() -> tuple[Layer, ...]:
    """The layers in this process. Whether the filter holds is found by trying it."""
    off = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    known, abi, unasked = kernel.machine() is not None, kernel.abi(), "not turned on in this process"
    scopes = ["TCP"] * (abi >= 4) + ["abstract Unix sockets and signals to programs outside"] * (abi >= 6)
    # Why this system cannot; empty where it can.
    unknown = "" if known else "only Linux on x86-64 and 64-bit ARM has it"
    absent = unknown or ("" if abi else "this kernel has no Landlock, or was started without it")
    old = absent or ("" if scopes else f"the Landlock of this kernel (ABI {abi}) is too old")
    return (
        Layer(
            "switches",
            not off,
            "libraries that look things up or report on their users are told not to",
            "libraries without a switch, or that ignore it",
            f"not set: {', '.join(off)}" if off else "",
        ),
        Layer(
            "hook",
            hook_installed(),
            "connections, sends and name look-ups of Python code, except to loopback",
            "native code and started programs",
            "" if hook_installed() else unasked,
        ),
        Layer(
            "seccomp",
            holds := kernel.holds(),
            "sockets except Unix ones, connect, io_uring, ways into other processes; for native code and started "
            "programs too",
            "an outside program that is asked through a file or pipe, and root",
            "" if holds else unknown or ("this kernel has no such filter" if _confined else unasked),
            possible=not unknown,
        ),
        Layer(
            "landlock",
            bool(_reach_restricted and scopes),
            f"{', '.join(scopes) or 'TCP'}; in addition to seccomp",
            "UDP, netlink and others",
            "" if _reach_restricted and scopes else old or unasked,
            possible=not old,
        ),
        Layer(
            "files",
            _files is not None,
            f"files that are not allowed by name (Landlock ABI {abi})",
            "names and sizes, and files that were already open",
            "" if _files is not None else absent or "turned on by each command that opens a library",
            possible=not absent,
        ),
    )


# --- the layers that work everywhere: the libraries' switches, and refusals to Python code -----------------------
# The audit hook refuses connects, binds, sends and name look-ups, except to loopback and Unix sockets. Methods of
# `socket.socket` are checked before it, because their C code would ask the name server first. Neither is a sandbox:
# native code and child processes bypass them.

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


def hook_installed() -> bool:
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
