"""The calls of `Engine` as they travel: their names, arguments and results, all taken from the protocol itself.

A method that `Engine` gains is a call from then on, on both sides. `stop` stays on its side: it is told by a message of
its own.

    to the worker      ["setup", Setup]  ["call", number, name, arguments]  ["stop", number]  ["close"]
    from the worker    ["item", number, value] ... ["done", number, value]  |  ["error", number, error]
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

from localrag.settings import Settings
from localrag.worker import wire
from localrag.worker.engine import Engine

# The client answers `close` itself: it ends the worker.
NAMES = tuple(name for name, value in vars(Engine).items() if inspect.isfunction(value) and name[0] != "_")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is told first: the settings, whether it confines itself, who started it, the keys of encrypted
    folders that its parent holds (it cannot ask for any itself), and the libraries that it works on, and no other."""

    settings: Settings
    confined: bool
    parent: int
    keys: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One method of `Engine`; `result` is how its value travels, each of its values where it `streams`."""

    name: str
    signature: inspect.Signature
    parameters: dict[str, wire.Coder]
    result: wire.Coder
    streams: bool
    stoppable: bool

    def write(self, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], bool] | None]:
        """The arguments of a call as they travel, and its `stop`.

        Raises:
            TypeError: the method takes no such arguments.
        """
        arguments = self.signature.bind(None, *given, **named).arguments
        stop = arguments.pop("stop", None)
        written = {name: self.parameters[name].write(value) for name, value in arguments.items() if name != "self"}
        return written, stop

    def read(self, data: Any) -> dict[str, Any]:
        """The arguments, by name.

        Raises:
            Malformed: the method takes no such arguments.
        """
        if not isinstance(data, dict) or not data.keys() <= self.parameters.keys():
            raise wire.Malformed(f"arguments of {self.name}")
        arguments = {name: self.parameters[name].read(value) for name, value in data.items()}
        for name in data:
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name)
        return arguments


@cache
def call(name: Any) -> Call:
    """A method of `Engine` by its name.

    Raises:
        Malformed: it has none of this name.
        TypeError: what it takes or gives cannot travel.
    """
    if name not in NAMES:
        raise wire.Malformed(f"no call is named {name!r:.80}")
    method = getattr(Engine, name)
    signature, hints = inspect.signature(method), get_type_hints(method)
    result = hints.pop("return")
    streams = get_origin(result) is Iterator
    parameters: dict[str, wire.Coder] = {}
    for each, parameter in signature.parameters.items():
        if each not in ("self", "stop"):
            several = parameter.kind is inspect.Parameter.VAR_KEYWORD
            parameters[each] = wire.coder(GenericAlias(dict, (str, hints[each])) if several else hints[each])
    return Call(
        name, signature, parameters, wire.coder(get_args(result)[0] if streams else result), streams,
        "stop" in signature.parameters,
    )  # fmt: skip
