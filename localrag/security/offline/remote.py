"""The addresses in the house that may be reached: a store that libraries share, a server with models.

The user names a Unix socket, or a host and port; TCP is allowed only where the administrator's policy names both.
`connect` returns a connected socket: a process that may connect does so itself, a confined one asks the `broker`, which
`start_broker` forks beforehand with a fixed list of addresses. `narrow` shortens that list for good.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from localrag import policy
from localrag.errors import LocalragError, OfflineRefused, UsageError
from localrag.security import offline
from localrag.security.offline import broker, kernel
from localrag.settings import Settings

if TYPE_CHECKING:
    import ssl

STORE_FILE = "store.json"  # in the folder of a library whose store is elsewhere
_FOLDER = "/var/run/postgresql"  # where PostgreSQL has its socket
_PORTS = {"postgresql": 5432, "postgres": 5432, "http": 80, "https": 443}

_channel: socket.socket | None = None  # to the broker
_started: tuple[Address, ...] = ()  # what the broker that this process started connects to
_named: tuple[Address, ...] = ()  # of these, what the user typed, for a library that is not there yet


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket at `path`, or a `host` (a name or an IP address) with a `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def address_of(url: str) -> Address:
    """Return the address in a URL. Raises UsageError if there is none.

    `postgresql:///firm` is the usual Unix socket, `postgresql:///firm?host=/folder` one in another folder, and
    `postgresql://host:5432/firm` TCP. `unix:///path` is a Unix socket, `http://host:8080` and `https://host` are TCP.
    """
    try:
        parts = urlsplit(url)
        known, port, host = parts.scheme in _PORTS, parts.port, unquote(parts.hostname or "")
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}", "For example: postgresql:///firm") from None
    if parts.scheme == "unix" and not host and (path := unquote(parts.path)).startswith("/"):
        return _unix(path)
    if parts.scheme.startswith("postgres") and known:
        given = parse_qs(parts.query)
        host, port = given.get("host", [host])[-1], _port(url, given["port"][-1]) if "port" in given else port
        if not host or host.startswith("/"):
            return _unix(f"{host or _FOLDER}/.s.PGSQL.{port or _PORTS['postgresql']}")
    if not known or not host or not set(host).isdisjoint(" ,/@"):
        raise UsageError(f"{url!r} names no address", "For example: postgresql:///firm or postgresql://host:5432/firm")
    return Address(host=host.lower(), port=port or _PORTS[parts.scheme])


def _unix(path: str) -> Address:
    if "\0" in path:
        raise UsageError(f"{path!r} is not the path of a socket", "Leave out the zero byte.")
    return Address(path=os.path.normpath(path))


def _port(url: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise UsageError(f"{url!r} has no valid port", "A port is a number from 1 to 65535.")
    return int(text)


def password_file() -> Path:
    """The file with passwords of stores, as libpq finds it, which a confined process has to read."""
    return Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")


def wanted(settings: Settings, libraries: Collection[str] | None = None) -> tuple[Address, ...]:
    """The addresses of the stores of these libraries (None: of all), and of the servers with models.

    The mark of a library names its store, since a process that a document took over may write in the library's folder.
    TCP addresses that no policy allows are left out: what uses them reports it.
    """
    if libraries is None:
        libraries = [file.parent.name for file in settings.indexes_dir.glob(f"*/{STORE_FILE}")]
    stores = map(_marked, map(settings.own_mark, libraries))
    return _allowed(filter(None, (*stores, settings.store, settings.generator_server, settings.embedder_server)))


def _marked(mark: Path) -> str:
    with suppress(OSError, ValueError):
        return mark.read_text("utf-8")
    return ""


def _allowed(urls: Iterable[str]) -> tuple[Address, ...]:
    found: dict[Address, None] = {}
    with policy.unreported():
        for url in urls:
            with suppress(LocalragError):
                check(address := address_of(url))
                found[address] = None
    return tuple(found)


def check(address: Address) -> None:
    """Check that an address may be reached. Raises PolicyRefused or OfflineRefused if it may not."""
    if not address.path:
        policy.check_address(address.host, address.port)


def tls(address: Address) -> ssl.SSLContext | None:
    """Return the context for TLS at an address, which trusts nothing but the certificates that the policy names.

    None where there is no TLS: at a Unix socket, and on this machine if the policy names no certificate. Where the file
    holds an authority, the server's name is checked; else it holds the server's own certificate, which is the only one
    that passes. Raises PolicyRefused or OfflineRefused if the address may not be reached.
    """
    if address.path or (file := policy.check_address(address.host, address.port)) is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as error:
        message = f"the certificate of {address} in {str(file)!r} cannot be used: {error.strerror or error}"
        raise OfflineRefused(
            message, "The administrator's policy names it; it is a file of PEM certificates."
        ) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a server's own certificate is enough, whoever issued it
    context.check_hostname = context.cert_store_stats()["x509_ca"] > 0
    return context


def start_broker(addresses: Collection[Address], words: Iterable[str] = ()) -> None:
    """Fork the process that connects to these addresses, and to stores among the `words` typed, for a confined one.

    Call it before threads start and before `offline.confine`. Without addresses, and where nothing keeps this process
    from connecting itself, it does nothing.
    """
    global _channel, _started, _named
    typed = (word.partition("=")[2] if word.startswith("--") else word for word in words)
    _named = _allowed(url for url in typed if url.startswith("postgres"))
    _started = tuple({**dict.fromkeys(addresses), **dict.fromkeys(_named)})
    if _started and kernel.machine() is not None:
        _channel = broker.start(
            {_key(each) for each in _started}, lambda key, seconds: connect_directly(Address(*key), seconds)
        )


def reachable() -> tuple[Address, ...]:
    """The addresses that this process and what it starts may reach."""
    return _started


def connect(address: Address, *, timeout: float = 10.0) -> socket.socket:
    """Return a connected stream socket, without TLS.

    Raises OfflineRefused or PolicyRefused if it may not be reached, OSError if it cannot.
    """
    check(address)
    if _channel is not None:
        return broker.connect(_channel, _key(address), timeout)
    if kernel.holds():
        raise broker.unknown(str(address))
    return connect_directly(address, timeout)


def check_peer(connection: socket.socket, address: Address) -> None:
    """Raise OfflineRefused where another user than root, you, or the owner of its folder listens at a Unix socket.

    Anybody may put one into /tmp while the server does not run.
    """
    if sys.platform != "linux" or not address.path:
        return
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    folder = Path(address.path).parent
    if uid not in (0, os.geteuid(), folder.stat().st_uid):
        hint = f"A server's socket belongs in a folder that its user owns, unlike {str(folder)!r}."
        raise OfflineRefused(f"user {uid} listens at {address}, who may be anybody", hint)


def narrow(settings: Settings, libraries: Collection[str] | None) -> None:
    """Keep only what these libraries want within reach of this process and what it starts, and what the user typed."""
    global _channel, _started
    if _channel is None or not _started:
        return
    kept = _of(settings, libraries)
    if kept != _started:
        old, _channel, _started = _channel, None, kept
        with old:
            _channel = broker.narrowed(old, [_key(each) for each in kept]) if kept else None


@contextmanager
def lent(settings: Settings, libraries: Collection[str]) -> Iterator[int | None]:
    """The descriptor of a way to what these libraries want, for a process to inherit; None if that is nothing."""
    kept = _of(settings, libraries)
    if _channel is None or not kept:
        yield None
        return
    with broker.narrowed(_channel, [_key(each) for each in kept]) as channel:
        yield channel.fileno()


def _of(settings: Settings, libraries: Collection[str] | None) -> tuple[Address, ...]:
    wants = {*wanted(settings, libraries), *_named} if _started else set()
    return tuple(each for each in _started if each in wants)


def take(descriptor: int) -> None:
    """Use a way that this process inherited (`lent`)."""
    global _channel
    _channel = socket.socket(fileno=descriptor)
    _channel.set_inheritable(False)


def channel() -> tuple[int, ...]:
    """The descriptor to the broker, if there is one: a forked process keeps it open."""
    return () if _channel is None else (_channel.fileno(),)


def _key(address: Address) -> broker.Key:
    return address.path, address.host, address.port


def connect_directly(address: Address, seconds: float) -> socket.socket:
    """Connect from this process, whatever the policy says."""
    if address.path:
        if sys.platform == "win32":
            raise OSError(errno.EAFNOSUPPORT, "Python on Windows has no Unix sockets")
        with _socket_file(address.path) as path:
            return _connected(socket.AF_UNIX, path, seconds)
    with offline.reaching(address.host, address.port) as found:
        for last, (family, where) in enumerate(found, 1 - len(found)):
            try:
                return _connected(family, where, seconds)
            except OSError:
                if last == 0:
                    raise
    raise OSError(errno.EADDRNOTAVAIL, f"{address.host} has no address")


def _connected(family: int, where: str | tuple[Any, ...], seconds: float) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Linux waits for a place in the queue of a busy server's Unix socket only if the kernel keeps the time.
        waits = sys.platform == "linux" and family == socket.AF_UNIX
        found.settimeout(None if waits else seconds)
        if waits:
            _send_within(found, seconds)
        found.connect(where)
        if waits:
            _send_within(found, 0)
        found.settimeout(seconds)
    except BlockingIOError:
        found.close()
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
    except BaseException:
        found.close()
        raise
    return found


def _send_within(connection: socket.socket, seconds: float) -> None:
    """Limit how long the kernel waits; 0: without limit."""
    time = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time)


@contextmanager
def _socket_file(path: str) -> Iterator[str]:
    """A path to the socket at a path, which is no link: a link could lead from a library's folder to any program."""
    if sys.platform != "linux":
        if stat.S_ISLNK(os.lstat(path).st_mode):
            raise OSError(errno.ELOOP, "the socket is a link", path)
        yield path
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), path)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
