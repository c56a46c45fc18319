"""What travels between the screen's process and its worker: lines of JSON, no pickle.

A value is written and read by the type hint of the call or field that it belongs to: frozen dataclasses as their name
and fields, tuples, mappings, literals, paths, bytes and scalars. What no hint of `Engine` leads to cannot be made. The
reader trusts nothing: the length of a line, the names of classes, the number and types of fields are all checked, and
anything else is `Malformed`. A subverted worker can send wrong text, not code.

Limits: texts are not looked at (whoever draws them makes them inert); inside `Any` only scalars, paths, lists, tuples
and mappings of these; no number that is not finite.
"""

from __future__ import annotations

import base64
import json
import math
import numbers
import os
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal, Union, get_args, get_origin, get_type_hints

from localrag import errors
from localrag.errors import LocalragError

# Parsed JSON takes up to 25 times its size (empty lists), so this also bounds what a hostile line costs.
LONGEST = 32 << 20
_DEEPEST = 20  # values of `Any` inside each other


class Malformed(ValueError):
    """The other side sent what it never should."""


class TooLong(ValueError):
    """What was to be sent is longer than a line may be."""


# --- lines --------------------------------------------------------------------------------------------------


def line(said: Sequence[Any]) -> bytes:
    """A message as a line.

    Raises:
        TooLong: it has more than LONGEST bytes.
        ValueError: it holds a number that is not finite.
    """
    # ASCII: file names may hold halves of characters (undecodable bytes), which must come back as they went.
    data = json.dumps(said, separators=(",", ":"), allow_nan=False).encode("ascii")
    if len(data) >= LONGEST:
        raise TooLong(f"{len(data):,} bytes")
    return data + b"\n"


def read_line(stream: IO[bytes]) -> bytes | None:
    """The next line, or None where the other side is gone.

    Raises:
        Malformed: it is too long.
    """
    data = stream.readline(LONGEST + 1)
    if len(data) > LONGEST:
        raise Malformed("a line that is too long")
    return data if data.endswith(b"\n") else None


def message(data: bytes) -> list[Any]:
    """What a line says.

    Raises:
        Malformed: it is no message.
    """
    try:
        said = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)[:200]) from error
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        raise Malformed("no message")
    return said


def messages(stream: IO[bytes]) -> Iterator[list[Any]]:
    """Every message, until the other side is gone.

    Raises:
        Malformed: what came is no message.
    """
    while (data := read_line(stream)) is not None:
        yield message(data)


def _refuse(constant: str) -> Any:
    raise Malformed(constant)


# --- values -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coder:
    """How values of one type are written and read.

    `write` raises TypeError for what is not of the type, `read` Malformed.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


@cache
def coder(hint: Any) -> Coder:
    """How values of a type hint travel.

    Raises:
        TypeError: they cannot.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if hint is Any:
        return Coder(_write_any, _read_any)
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint)
    if origin is Literal:
        return _literal(inner)
    if origin in (Union, types.UnionType):
        return _union(tuple(coder(each) for each in inner))
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return _fixed(tuple(coder(each) for each in inner))
    if origin in (tuple, Sequence):
        return _row(coder(inner[0]))
    if origin in (Mapping, dict) and inner[0] is str:
        return _mapping(coder(inner[1]))
    raise TypeError(f"{hint!r} cannot travel between processes")


def classes(hint: Any) -> set[type]:
    """The dataclasses that a type hint leads to."""
    found: set[type] = set()
    _gather(hint, found)
    return found


def _gather(hint: Any, found: set[type]) -> None:
    if isinstance(hint, type) and is_dataclass(hint) and hint not in found:
        found.add(hint)
        for each in get_type_hints(hint).values():
            _gather(each, found)
    for each in get_args(hint):
        _gather(each, found)


def _plain(kind: type, convert: Callable[[Any], Any] = lambda value: value) -> Coder:
    def check(value: Any, error: type[Exception]) -> Any:
        # A bool is an int to Python.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise error(f"{type(value).__name__} is no {kind.__name__}")
        return convert(value)

    return Coder(lambda value: check(value, TypeError), lambda data: check(data, Malformed))


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Malformed("a number that is not finite")
    return number


def _write_path(value: Any) -> str:
    if not isinstance(value, Path):
        raise TypeError(f"{type(value).__name__} is no path")
    return os.fspath(value)


def _read_bytes(data: Any) -> bytes:
    try:
        return base64.b64decode(_TEXT.read(data), validate=True)
    except ValueError as error:
        raise Malformed("bytes") from error


_TEXT = _plain(str, str)
_SCALARS: dict[Any, Coder] = {
    str: _TEXT,
    bool: _plain(bool),
    # numpy's numbers are of these kinds, too.
    int: _plain(numbers.Integral, int),
    float: _plain(numbers.Real, _finite),
    type(None): _plain(type(None)),
    Path: Coder(_write_path, lambda data: Path(_TEXT.read(data))),
    bytes: Coder(lambda value: base64.b64encode(value).decode("ascii"), _read_bytes),
}


def _array(data: Any, length: int | None = None) -> list[Any]:
    if not isinstance(data, list) or length not in (None, len(data)):
        raise Malformed(f"not {length or 'a row of'} values")
    return data


def _dataclass(kind: type) -> Coder:
    # Found when first needed: a dataclass may lead to itself.
    @cache
    def coders() -> list[tuple[str, Coder]]:
        hints = get_type_hints(kind)
        return [(each.name, coder(hints[each.name])) for each in fields(kind)]

    def write(value: Any) -> list[Any]:
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} is no {kind.__name__}")
        return [kind.__name__, *(each.write(getattr(value, name)) for name, each in coders())]

    def read(data: Any) -> Any:
        if not isinstance(data, list) or not data or data[0] != kind.__name__:
            raise Malformed(f"no {kind.__name__}")
        given = _array(data, len(coders()) + 1)[1:]
        return kind(**{name: each.read(value) for (name, each), value in zip(coders(), given, strict=True)})

    return Coder(write, read)


def _literal(allowed: tuple[Any, ...]) -> Coder:
    known = {(type(each), each) for each in allowed}

    def check(value: Any, error: type[Exception]) -> Any:
        if not isinstance(value, str | int) or (type(value), value) not in known:
            raise error(f"{value!r:.80} is none of {allowed!r}")
        return value

    return Coder(lambda value: check(value, TypeError), lambda data: check(data, Malformed))


def _union(members: tuple[Coder, ...]) -> Coder:
    def first(way: str, value: Any, error: type[Exception]) -> Any:
        for member in members:
            try:
                return getattr(member, way)(value)
            except error:
                continue
        raise error(f"{type(value).__name__} is of no kind that may stand here")

    return Coder(lambda value: first("write", value, TypeError), lambda data: first("read", data, Malformed))


def _row(each: Coder) -> Coder:
    def write(value: Any) -> list[Any]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise TypeError(f"{type(value).__name__} is no row of values")
        return [each.write(item) for item in value]

    return Coder(write, lambda data: tuple(each.read(item) for item in _array(data)))


def _fixed(members: tuple[Coder, ...]) -> Coder:
    def write(value: Any) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != len(members):
            raise TypeError(f"not {len(members)} values")
        return [member.write(item) for member, item in zip(members, value, strict=True)]

    def read(data: Any) -> tuple[Any, ...]:
        given = _array(data, len(members))
        return tuple(member.read(item) for member, item in zip(members, given, strict=True))

    return Coder(write, read)


def _mapping(each: Coder) -> Coder:
    def write(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"{type(value).__name__} is no mapping")
        return {_TEXT.write(key): each.write(item) for key, item in value.items()}

    def read(data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise Malformed("no mapping")
        return {key: each.read(item) for key, item in data.items()}

    return Coder(write, read)


def _write_any(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _finite(value)
    if isinstance(value, Path):
        return {"path": os.fspath(value)}
    if isinstance(value, tuple):
        return {"tuple": [_write_any(item) for item in value]}
    if isinstance(value, list):
        return [_write_any(item) for item in value]
    if isinstance(value, Mapping):
        return {"map": {_TEXT.write(key): _write_any(item) for key, item in value.items()}}
    raise TypeError(f"{type(value).__name__} cannot travel between processes")


def _read_any(data: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise Malformed("a value that is nested too deep")
    match data:
        case {"tuple": list(items)} if len(data) == 1:
            return tuple(_read_any(item, depth + 1) for item in items)
        case {"map": dict(items)} if len(data) == 1:
            return {key: _read_any(item, depth + 1) for key, item in items.items()}
        case {"path": str(path)} if len(data) == 1:
            return Path(path)
        case list():
            return [_read_any(item, depth + 1) for item in data]
        case float():
            return _finite(data)
        case dict():
            raise Malformed("a value of no known kind")
    return data


# --- errors -------------------------------------------------------------------------------------------------

_ERRORS: Mapping[str, type[LocalragError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, LocalragError)
}


def write_error(error: BaseException) -> list[str]:
    """An error as its name, message and hint; of a kind that `errors` does not have, the next above it that it has."""
    if not isinstance(error, LocalragError):
        error = errors.internal(error)
    name = next(kind.__name__ for kind in type(error).__mro__ if _ERRORS.get(kind.__name__) is kind)
    return [name, error.message, error.hint]


def read_error(data: Any) -> LocalragError:
    match data:
        case [str(name), str(message), str(hint)] if name in _ERRORS:
            return _ERRORS[name](message, hint)
    raise Malformed("no error")
