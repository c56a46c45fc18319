"""Linux: a network of this process's own that has only loopback, for work that needs sockets between processes.

Everything that the process starts is in it, native code too; no program outside can connect to it, whoever runs it.
Unix sockets at a path still reach programs outside. It needs the right to make namespaces, which some systems refuse.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # flags of unshare
_SET_FLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40  # of an interface, netdevice(7)


def enter() -> bool:
    """Move this process, which has one thread, to a network of its own; False where the system does not let it."""
    if sys.platform != "linux":
        return False
    # A process of its own tries it first: half of it could not be undone.
    child = os.fork()
    if not child:
        code = 1
        try:
            _enter()
            code = 0
        finally:
            os._exit(code)
    possible = os.waitpid(child, 0)[1] == 0
    if possible:
        _enter()
    return possible


def _enter() -> None:
    if sys.platform == "win32":
        return
    import fcntl

    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_NETWORK)
    except PermissionError:  # not root: as root of a namespace in which it stays the same user
        _unshare(_NEW_USER | _NEW_NETWORK)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(text)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP | _RUNNING))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
