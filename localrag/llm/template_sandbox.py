"""A Jinja sandbox for templates of untrusted models that also bounds time and memory.

Each turn of a loop, call, filter and operation is counted, and none takes or makes a large value.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from jinja2 import TemplateRuntimeError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

# A prompt of 100 turns takes a few thousand steps, and milliseconds.
_MAX_STEPS, _MAX_SECONDS = 100_000, 1.0
# Characters of a prompt, without the text of messages; characters and items of a value, and numbers ("center(9)").
_MAX_OUTPUT, _MAX_SIZE = 1_000_000, 20_000
_WIDTH = re.compile(r"[%:{][^A-Za-z]{0,20}\d{5}")  # "%99999d"


class TemplateSandbox(ImmutableSandboxedEnvironment):
    """The environment of one template."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, **options)
        self.begin()
        self.globals.pop("lipsum")
        self.globals["namespace"] = _Namespace
        self.filters = {name: self._bounded(function) for name, function in self.filters.items()}
        self.filters |= {"counted": self._counted, "small": self._bounded(lambda value: value)}

    def begin(self) -> None:
        """Begin to count, before each rendering."""
        self._steps, self._deadline = 0, time.thread_time() + _MAX_SECONDS

    def call(self, context: Context, function: Any, /, *args: Any, **named: Any) -> Any:
        return self._bounded(super().call)(context, function, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator in ("*", "**"):
            self._step(_size(left) * _size(right))
        return self._bounded(super().call_binop)(context, operator, left, right)

    def concat(self, pieces: Iterable[str]) -> str:
        made, rest = [], _MAX_OUTPUT
        for piece in pieces:
            made.append(piece)
            if (rest := rest - len(piece)) < 0:
                raise TemplateRuntimeError("it writes too much")
        return "".join(made)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Bounding().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def _step(self, *values: Any) -> None:
        self._steps += 1
        if self._steps > _MAX_STEPS or time.thread_time() > self._deadline:
            raise TemplateRuntimeError("it takes too long")
        if sum(map(_size, values)) > _MAX_SIZE or any(isinstance(one, str) and _WIDTH.search(one) for one in values):
            raise TemplateRuntimeError("it makes a value that is too large")

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def bounded(*args: Any, **named: Any) -> Any:
            self._step(*args, *named.values())
            made = function(*args, **named)
            self._step(made)
            return made

        return bounded

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._step()
            yield value


class _Namespace(Namespace):
    """A namespace that does not write out what it holds, which may be itself, twice, and so on."""

    __repr__ = object.__repr__


class _Bounding(NodeTransformer):
    """Passes what Jinja does not let an environment intercept through filters."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        node.iter = _filtered(node.iter, "counted")
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "join")

    def visit_List(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "small") if getattr(node, "ctx", "load") == "load" else node

    visit_Dict = visit_Tuple = visit_List


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _size(value: Any) -> int:
    """Return the size of a number or text, or of all that a list or mapping holds; not beyond _MAX_SIZE."""
    size, rest = 0, [value]
    while rest and size <= _MAX_SIZE:
        one = rest.pop()
        size += abs(one) if isinstance(one, int) else len(one) if isinstance(one, (str, bytes)) else 1
        if isinstance(one, (dict, list, tuple, set, frozenset)):
            rest += [*one, *one.values()] if isinstance(one, dict) else one
    return size
