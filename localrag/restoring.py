"""Frozen values from the JSON that was made of them, checked to the last field (pure).

A field that is missing takes its default, as in what was written before there was such a field; one that is unknown is
left out. Everything else that is not as the value's class declares it is refused: the text may come from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from localrag.findings import Split

T = TypeVar("T")
_DEEPEST = 20
_LARGEST = 2**63


def restored(kind: type[T], value: Any) -> T:
    """A frozen dataclass of `kind` from the JSON object of its fields.

    Raises:
        TypeError, ValueError: the value is not what such an object holds; the message names where.
    """
    made: T = _dataclass(kind, value, kind.__name__)
    return made


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    given = _instance(value, dict, where, "an object")
    if kind is Split:  # its JSON counts the tries as well
        votes = [_instance(vote, dict, f"{where}.votes", "an object") for vote in given.get("votes", ())]
        given = {"votes": [[vote.get("answer"), vote.get("count")] for vote in votes]}
    found = {}
    for item in fields(kind):
        if item.name in given:
            found[item.name] = _value(_hints(kind)[item.name], given[item.name], f"{where}.{item.name}", 0)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{where}.{item.name} is missing")
    return kind(**found)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, value: Any, where: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"{where} is nested too deep")
    if kind is Any:
        return _anything(value, where, depth)
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        # By type as well: 1 == True.
        if not any(type(value) is type(one) and value == one for one in parts):
            raise ValueError(f"{where} is {value!r:.40}")
        return value
    if origin in (Union, UnionType):
        if value is None and type(None) in parts:
            return None
        (only,) = (part for part in parts if part is not type(None))
        return _value(only, value, where, depth)
    if origin is tuple:
        return _tuple(parts, value, where, depth)
    if origin is Mapping:
        items = _instance(value, dict, where, "an object").items()
        return {str(key): _value(parts[1], item, f"{where}.{key!r:.40}", depth + 1) for key, item in items}
    return _plain(kind, value, where)


def _tuple(parts: tuple[Any, ...], value: Any, where: str, depth: int) -> tuple[Any, ...]:
    items = _instance(value, (list, tuple), where, "a list")
    if parts[-1] is not Ellipsis and len(items) != len(parts):
        raise ValueError(f"{where} has {len(items)} parts, not {len(parts)}")
    kinds = parts[:1] * len(items) if parts[-1] is Ellipsis else parts
    return tuple(_value(kind, item, where, depth + 1) for kind, item in zip(kinds, items, strict=True))


def _plain(kind: Any, value: Any, where: str) -> Any:
    """Text, a truth value or a number; a number in range, so that it can be written and reckoned with again."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < _LARGEST else _refuse(where, "a number of this size")
    if kind is int and isinstance(value, bool):
        _refuse(where, "a whole number")
    _instance(value, kind, where, {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind])
    if (kind is int and abs(value) >= _LARGEST) or (kind is float and not math.isfinite(value)):
        _refuse(where, "a number of this size")
    return value


def _anything(value: Any, where: str, depth: int) -> Any:
    """JSON of whatever form, such as the signals of a plan."""
    if isinstance(value, dict):
        return {key: _value(Any, item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(Any, item, where, depth + 1) for item in value]
    return value if value is None else _plain(type(value), value, where)


def _instance(value: Any, kind: Any, where: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{where}: expected {wanted}, found {type(value).__name__}")
    return value


def _refuse(where: str, wanted: str) -> Any:
    raise ValueError(f"{where} is not {wanted}")
