"""The machines of this house that may be reached: a shared store, a model server.

A Unix socket may be reached when the user names it. TCP reaches only hosts and ports that the administrator's policy
names.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket at `path`, or a `host` (a name or an IP address) with a `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def connect(address: Address, *, timeout: float = 10.0) -> socket.socket:
    """Return a connected stream socket, without TLS. Raises OfflineRefused if it is refused, OSError if it fails."""
    if address.path:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(timeout)
            found.connect(address.path)
        except BaseException:
            found.close()
            raise
        return found
    return socket.create_connection((address.host, address.port), timeout)
