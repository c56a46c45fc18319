"""Typed JSON between localrag's processes: each message is one line of ASCII JSON.

msgspec checks what arrives against the type that is expected, and nothing else is built from it: a subverted process
can send wrong text, not code. Limits: lists inside `Any` come back as lists, paths inside `Any` as text.
"""

from __future__ import annotations

import errno
import json
import math
import numbers
import os
import socket
import struct
import subprocess
import sys
import threading
import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO, Union, get_args, get_origin

import msgspec

from localrag import errors
from localrag.errors import LocalragError

MAX_LINE = 32 << 20  # bytes
# Parsed JSON takes up to 25 times its size (empty lists), so this bounds what a hostile line costs (about 0.5 GB).
_MAX_VALUES = 4_000_000
_learnt: set[Any] = set()  # types that msgspec has met
_learning = threading.Lock()


class Malformed(ValueError):
    """The other process sent something it never should."""


class TooLong(ValueError):
    """A message is longer than a line may be."""


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """Base of the messages between two processes."""


def start(
    module: str,
    *arguments: str,
    stderr: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
    files: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a module as a program in a session of its own, with pipes.

    It finds localrag where this process did, and nothing in the current folder: without -P, `python -m` would import a
    `json.py` that lies among the person's documents. It has no terminal; Ctrl-C and Ctrl-Z do not reach it.
    It inherits the open `files`, by their numbers.
    """
    here = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        start_new_session=True,
        pass_fds=files,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take over stdin and stdout, so that what a library prints goes nowhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return requests, replies


def user_of(connection: socket.socket) -> int:
    """Return the user whose process is at the other end of a Unix socket. Linux only."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, "only Linux tells who is at the other end")
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


def encode(message: Any) -> bytes:
    """Return a message as a line. Raises TooLong, or ValueError if it holds a number that is not finite."""
    # ASCII: file names may hold lone surrogates (undecodable bytes), which must come back unchanged.
    data = json.dumps(to_plain(message), separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
    if len(data) > MAX_LINE:
        raise TooLong(f"{len(data):,} bytes")
    return data


def decode(line: bytes, kind: Any) -> Any:
    """Return the message in a line. Raises Malformed if it is not JSON, not of this type, or too large."""
    if line.count(b",") > _MAX_VALUES or line.count(b"[") + line.count(b"{") > _MAX_VALUES:
        raise Malformed("too many values")
    try:
        data = json.loads(line, parse_constant=_refuse, parse_int=_integer, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)[:200]) from error
    return from_plain(data, kind)


def send(stream: IO[bytes], message: Any) -> None:
    stream.write(encode(message))
    stream.flush()


def read_line(stream: IO[bytes]) -> bytes | None:
    """Return the next line, or None where the other process is gone. Raises Malformed if it is too long."""
    line = stream.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise Malformed("a line that is too long")
    return line if line.endswith(b"\n") else None


def receive(stream: IO[bytes], kind: Any) -> Any:
    """Return the next message, or None where the other process is gone. Raises Malformed as `decode`."""
    line = read_line(stream)
    return None if line is None else decode(line, kind)


def to_plain(value: Any, kind: Any = None) -> Any:
    """Return a value as scalars, lists and dicts; one of a union of dataclasses (`kind`) as its name and fields."""
    if members := _members(kind):
        if members.get(type(value).__name__) is not type(value):
            raise TypeError(f"{type(value).__name__} is none of {', '.join(members)}")
        return [type(value).__name__, to_plain(value)]
    return msgspec.to_builtins(value, enc_hook=_encode)


def from_plain(data: Any, kind: Any) -> Any:
    """Return the value of a type. Raises Malformed if the data is not of this type."""
    if members := _members(kind):
        if not (isinstance(data, list) and len(data) == 2 and isinstance(data[0], str) and data[0] in members):
            raise Malformed(f"none of {', '.join(members)}")
        return from_plain(data[1], members[data[0]])
    try:
        # A sequence arrives as a tuple, which can be hashed.
        kind = types.GenericAlias(tuple, (*get_args(kind), ...)) if get_origin(kind) is Sequence else kind
        return convert(data, kind)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:  # msgspec fails on lone surrogates
        raise Malformed(str(error)[:200]) from error


def convert(data: Any, kind: Any, *, strict: bool = True) -> Any:
    """Return `msgspec.convert`, safe in threads: msgspec learns a type at its first use, and crashes where another
    thread sees it half learnt."""
    if kind in _learnt:
        return msgspec.convert(data, kind, strict=strict, dec_hook=_decode)
    with _learning:
        try:
            return msgspec.convert(data, kind, strict=strict, dec_hook=_decode)
        finally:
            _learnt.add(kind)


@cache
def _members(kind: Any) -> dict[str, type]:
    """The dataclasses of a union of several by their names, which msgspec does not tell apart; else none."""
    inner = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else ()
    return {each.__name__: each for each in inner} if len(inner) > 1 and all(map(is_dataclass, inner)) else {}


def _encode(value: Any) -> Any:
    if isinstance(value, Path):
        return os.fspath(value)
    if isinstance(value, numbers.Integral):  # of numpy, as below
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent to another process")


def _decode(kind: type, data: Any) -> Any:
    if kind is Path and isinstance(data, str):
        return Path(data)
    raise msgspec.ValidationError(f"not a {kind.__name__}")


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) < 21 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:  # SQLite holds no more
        raise Malformed(f"the number {digits[:30]}")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Malformed(f"the number {digits[:30]}")
    return value


def _refuse(constant: str) -> Any:
    raise Malformed(f"the number {constant}")


# --- errors --------------------------------------------------------------------------------------------------

_ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LocalragError)
}


class ErrorMessage(msgspec.Struct, frozen=True):
    """An error of localrag on its way to another process."""

    kind: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: BaseException) -> ErrorMessage:
        """Of a class that `errors` does not have, the nearest base class that it has."""
        if not isinstance(error, LocalragError):
            error = errors.internal(error)
        kind = next(base.__name__ for base in type(error).__mro__ if _ERRORS.get(base.__name__) is base)
        return cls(kind, error.message, error.hint)

    def error(self) -> LocalragError:
        if self.kind not in _ERRORS:
            raise Malformed(f"no error is called {self.kind!r:.80}")
        return _ERRORS[self.kind](self.message, self.hint)
