"""Frozen values from the JSON that was made of them, checked to the last field (pure).

A field that is missing takes its default, as in what was written before there was such a field; one that is unknown is
left out. Everything else that is not as the value's class declares it is refused: the text may come from anywhere.
Each class is looked at once; from its declaration comes a function for every field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from localrag.types import Split

T = TypeVar("T")
_Restore = Callable[[Any], Any]
_DEEPEST = 20
_LARGEST = 2**63


def restored(kind: type[T], value: Any) -> T:
    """A frozen dataclass of `kind` from the JSON object of its fields.

    Raises:
        ValueError: the value is not what such an object holds; the message names where.
    """
    made: T = _of_class(cast(Any, kind))(value)
    return made


@cache
def _of_class(kind: Any) -> _Restore:
    hints = get_type_hints(kind)
    parts = [
        (item.name, _of(hints[item.name]), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(kind)
    ]

    def restore(value: Any) -> Any:
        given = _is(dict, value, "an object")
        found = {}
        for name, part, needed in parts:
            if name in given:
                try:
                    found[name] = part(given[name])
                except ValueError as error:
                    raise ValueError(f"{kind.__name__}.{name}: {error}") from None
            elif needed:
                raise ValueError(f"{kind.__name__}.{name} is missing")
        return kind(**found)

    return _split if kind is Split else restore


def _split(value: Any) -> Split:
    """Its JSON names the parts of each vote."""
    votes = [_is(dict, vote, "an object") for vote in _is(list, _is(dict, value, "an object").get("votes"), "a list")]
    text, number = _of(str), _of(int)
    return Split(tuple((text(vote.get("answer")), number(vote.get("count"))) for vote in votes))


def _of(kind: Any) -> _Restore:
    """The function that restores a value of this type."""
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return _anything
    if is_dataclass(kind):
        return _of_class(cast(Any, kind))
    if origin is Literal:
        return lambda value: _choice(parts, value)
    if origin in (Union, UnionType):
        (only,) = (_of(part) for part in parts if part is not NoneType)
        return lambda value: None if value is None else only(value)
    if origin is tuple and parts[-1] is Ellipsis:
        each = _of(parts[0])
        return lambda value: tuple(map(each, _is(list, value, "a list")))
    if origin is tuple:
        kinds = tuple(map(_of, parts))
        return lambda value: _fixed(kinds, _is(list, value, "a list"))
    if origin is Mapping:
        item = _of(parts[1])
        return lambda value: {key: item(one) for key, one in _is(dict, value, "an object").items()}
    return {str: _text, int: _whole, float: _number, bool: lambda value: _is(bool, value, "true or false")}[kind]


def _choice(choices: tuple[Any, ...], value: Any) -> Any:
    # By type as well: 1 == True.
    if not any(type(value) is type(one) and value == one for one in choices):
        raise ValueError(f"{value!r:.40} is not one of {choices!r:.200}")
    return value


def _fixed(kinds: tuple[_Restore, ...], items: list[Any]) -> tuple[Any, ...]:
    if len(items) != len(kinds):
        raise ValueError(f"{len(items)} parts, not {len(kinds)}")
    return tuple(kind(item) for kind, item in zip(kinds, items, strict=True))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"expected text, found {type(value).__name__}")
    return value


def _whole(value: Any) -> int:
    """A whole number in range, so that it can be written and reckoned with again."""
    if type(value) is not int or abs(value) >= _LARGEST:
        raise ValueError(f"{value!r:.40} is not a whole number of ordinary size")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) >= _LARGEST:
        raise ValueError(f"{value!r:.40} is not a number of ordinary size")
    return float(value)


def _anything(value: Any, depth: int = 0) -> Any:
    """JSON of whatever form, such as the signals of a plan."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {key: _anything(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_anything(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    return _whole(value) if isinstance(value, int) else _number(value)


def _is(kind: type[Any], value: Any, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {wanted}, found {type(value).__name__}")
    return value
