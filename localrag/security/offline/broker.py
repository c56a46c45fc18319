"""A process that connects to a fixed list of addresses for confined processes, and does nothing else. Linux only.

`start` forks it before the process is confined. A request is one packet, with a socket for the reply; the reply brings
the connected socket, so processes that share the channel do not get in each other's way. A channel can be narrowed: the
broker opens another, to fewer addresses. The broker reads no files but those that look up names, starts nothing, makes
few system calls, and ends once nobody holds a channel.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from localrag.errors import LocalragError, OfflineRefused
from localrag.security.offline import kernel

Key = tuple[str, str, int]  # path of a Unix socket, host and port
Connect = Callable[[Key, float], socket.socket]

_MAX_PACKET = 100_000  # bytes
_MAX_SECONDS = 60.0
_DNS = 53  # long answers of name servers come by TCP
# What libc reads to look up a name.
_NAMES = "/etc /run/systemd/resolve /run/resolvconf /usr/lib /usr/lib64 /lib /lib64 /nix/store /gnu/store".split()

_at_once = threading.BoundedSemaphore(32)


def start(allowed: Collection[Key], connect: Connect) -> socket.socket:
    """Fork the broker; return the channel to it. `connect` connects to an address, within some seconds.

    Raises LocalragError if no process can be forked.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        forked = os.fork()
    except OSError as error:
        message = f"the process that connects cannot be started: {error.strerror}"
        raise LocalragError(message, "Close other programs.") from None
    if forked:
        theirs.close()
        return ours
    try:
        detach({theirs.fileno()})
        _confine(allowed)
        _serve(theirs, frozenset(allowed), connect)
    finally:
        os._exit(0)


def connect(channel: socket.socket, address: Key, seconds: float) -> socket.socket:
    """Return a connected socket. Raises OfflineRefused if the broker does not know the address, OSError if it fails."""
    found = _asked(channel, {"address": address, "seconds": seconds}, min(seconds, _MAX_SECONDS) + 10)
    found.settimeout(seconds)
    return found


def narrowed(channel: socket.socket, addresses: Collection[Key]) -> socket.socket:
    """Return another channel, to fewer addresses."""
    return _asked(channel, {"only": list(addresses)}, _MAX_SECONDS)


def unknown(address: str) -> OfflineRefused:
    """The error for an address that was not known when this process was confined."""
    message = f"refused to reach {address}: it was not known when this process was confined"
    hint = (
        "Start localrag again; connect a library that was copied here: localrag store connect. See `localrag doctor`."
    )
    return OfflineRefused(message, hint)


def detach(kept: Collection[int]) -> None:
    """Leave the terminal, and every open file of the command that forked this process but these."""
    if sys.platform != "linux":
        return
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    starts = [3, *(descriptor + 1 for descriptor in sorted(kept))]
    for start, end in zip(starts, [*sorted(kept), os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(start, end)


def _asked(channel: socket.socket, request: dict[str, Any], patience: float) -> socket.socket:
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    ended = OSError(errno.EPIPE, "the process that connects has ended: start localrag again")
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine:
        with theirs:
            try:
                socket.send_fds(channel, [json.dumps(request).encode()], [theirs.fileno()])
            except OSError:
                raise ended from None
        mine.settimeout(patience)
        data, descriptors, _, _ = socket.recv_fds(mine, _MAX_PACKET, 1, socket.MSG_CMSG_CLOEXEC)
    if descriptors:
        return socket.socket(fileno=descriptors[0])
    if not data:
        raise ended
    reply = json.loads(data)
    if reply.get("unknown"):
        raise unknown(" ".join(str(part) for part in request.get("address", ()) if part))
    raise OSError(reply["errno"], reply["error"])


# --- the broker ---------------------------------------------------------------------------------------------


def _confine(allowed: Collection[Key]) -> None:
    """Give up all that connecting does not need. Raises OSError if the kernel refuses that."""
    if sys.platform != "linux":
        return
    import resource

    # Nothing can be loaded later: what encodes names, and the list of calls.
    "localhost".encode("idna")
    kernel.holds()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel.prctl(kernel.DUMPABLE, 0)  # other processes of the user cannot look into it
    ports = {port for _, _, port in allowed if port}
    files = kernel.Files(reads=tuple(map(Path, _NAMES)) if ports else ())
    kernel.restrict(files, ports=ports | {_DNS} if ports else ())
    kernel.install("broker")


def _serve(channel: socket.socket, allowed: frozenset[Key], connect: Connect) -> None:
    """Answer requests of a channel, and of those that come of it, until nobody holds them."""
    if sys.platform != "linux":
        return
    others: list[threading.Thread] = []
    with channel:
        while (received := socket.recv_fds(channel, _MAX_PACKET, 1, socket.MSG_CMSG_CLOEXEC))[0]:
            try:
                reply = socket.socket(fileno=received[1][0])
            except (OSError, IndexError):
                for descriptor in received[1]:
                    os.close(descriptor)
                continue
            try:
                request = json.loads(received[0])
                if "only" in request:
                    fewer = allowed & {_key(*each) for each in request["only"]}
                    others.append(_open(reply, fewer, connect))
                    continue
                address, seconds = _key(*request["address"]), float(request["seconds"])
            except (ValueError, KeyError, TypeError, RecursionError):
                reply.close()
                continue
            _at_once.acquire()
            job = (reply, address, min(max(seconds, 0.1), _MAX_SECONDS), allowed, connect)
            threading.Thread(target=_answer, args=job, daemon=True).start()
    for thread in others:
        thread.join()


def _key(path: Any, host: Any, port: Any) -> Key:
    return str(path), str(host), int(port)


def _open(reply: socket.socket, allowed: frozenset[Key], connect: Connect) -> threading.Thread:
    """Open a channel to fewer addresses; return the thread that serves it."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only on Linux")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=_serve, args=(ours, allowed, connect), daemon=True)
    thread.start()
    with theirs:
        _send(reply, {}, theirs)
    return thread


def _answer(reply: socket.socket, address: Key, seconds: float, allowed: frozenset[Key], connect: Connect) -> None:
    try:
        if address not in allowed:
            _send(reply, {"unknown": True})
            return
        try:
            found = connect(address, seconds)
        except OSError as error:  # a look-up that takes too long has no number
            _send(reply, {"errno": error.errno or errno.ETIMEDOUT, "error": error.strerror or str(error)})
            return
        with found:
            _send(reply, {}, found)
    finally:
        _at_once.release()


def _send(reply: socket.socket, answer: dict[str, Any], found: socket.socket | None = None) -> None:
    """Send an answer, without waiting for one who does not take it."""
    if sys.platform != "linux":
        return
    with suppress(OSError), reply:
        descriptors = [] if found is None else [found.fileno()]
        socket.send_fds(reply, [json.dumps(answer).encode()], descriptors, socket.MSG_DONTWAIT)
