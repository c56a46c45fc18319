"""Read what a table is to hold: a JSON Schema, or the short form "vendor, invoice_date date, total money" .

Of JSON Schema (2020-12) an object is understood whose properties are strings, numbers, booleans or enums, and at most
one array of such objects, whose items become rows. A `title` is another name for a field, a `description` is read by
the model, and `format` gives a type that JSON lacks. Also what Pydantic writes: `$ref` into `$defs`, and `anyOf` with
null. Every field may be empty, so `required` says nothing; what would limit values is refused, not ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from localrag.errors import NotFoundError, UsageError
from localrag.items.item import Item
from localrag.items.values import Type

_MAX_FIELDS = 60
_NOTES = {
    "type",
    "title",
    "description",
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "examples",
    "default",
    "required",
    "additionalProperties",
}
# The types of JSON, its formats, and those of the short form.
_TYPES: Mapping[str, Type] = {
    "string": "text",
    "number": "number",
    "integer": "number",
    "boolean": "yes/no",
    "date-time": "date",
    "int": "number",
    "float": "number",
    "bool": "yes/no",
    "str": "text",
    **{name: name for name in get_args(Type) if name != "choice"},
}
_LIKE = 0.82  # share of letters that a misspelt type has of the right one: "percentage" has, "update" has not
_HINT = "Supported are objects of strings, numbers, booleans and enums, and one array of such objects."


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a document, and those of each of its lines, with what these are called."""

    fields: tuple[Item, ...]
    lines: tuple[Item, ...] = ()
    name: str = "lines"

    def __str__(self) -> str:
        """The schema in the short form."""
        return ", ".join(f"{one.id} {'|'.join(one.choices) or one.type}" for one in self.all)

    @property
    def all(self) -> tuple[Item, ...]:
        return (*self.fields, *self.lines)

    def by_line(self) -> Schema:
        """Return the schema with all its fields asked of each line."""
        return self if self.lines else replace(self, fields=(), lines=self.fields)


def load(given: str) -> str:
    """Return a schema as text: the short form as it is given, or what is in a file called .json.

    Raises NotFoundError for a file that cannot be read, UsageError for the name of another one.
    """
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - fields may begin with "~"
    if path.suffix.lower() != ".json":
        # A list of fields may be too long for a name.
        if os.path.isfile(path) or re.fullmatch(r"\S+\.[a-z]{2,5}", given, re.I):  # noqa: PTH113
            hint = "Name a JSON Schema, called .json, or fields: 'vendor, total money'"
            raise UsageError(f"{given!r} is no schema", hint)
        return given
    try:
        return path.read_bytes().decode("utf-8-sig", "replace")
    except OSError as error:
        raise NotFoundError(f"cannot read the schema {given!r}: {error.strerror}", "Check the path.") from None


def parse(text: str) -> Schema:
    """Read a schema in either form; raise UsageError for what is not supported."""
    if not text.lstrip().startswith(("{", "[")):
        return _checked(Schema(tuple(_short(part) for part in re.split(r"[,;\n]", text) if part.strip())))
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the schema is not JSON: {error}", "See json-schema.org, or use the short form.") from None
    root = _resolved(given, given, "the schema")
    if root.get("type") == "array":
        root = {"properties": {"lines": root}}
    properties = _properties(root, given, "the schema")
    arrays = {name: one for name, one in properties.items() if one.get("type") == "array"}
    if len(arrays) > 1:
        raise UsageError(f"the schema has {len(arrays)} arrays: {', '.join(arrays)}", _HINT)
    own = tuple(_field(name, one) for name, one in properties.items() if name not in arrays)
    for name, array in arrays.items():
        _refuse(array, {"items"}, name)
        lines = _properties(_resolved(array.get("items"), given, name), given, name)
        return _checked(Schema(own, tuple(_field(*line) for line in lines.items()), str(array.get("title") or name)))
    return _checked(Schema(own))


def label(name: str) -> str:
    """Return a name as people write it: "invoiceDate" and "invoice_date" are "invoice date"."""
    return " ".join(re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", name).split())


def _item(name: str, type: Type = "text", choices: tuple[str, ...] = (), title: str = "", about: str = "") -> Item:
    """Return a field as the item that asks for it; its title or description may be the question."""
    own = label(name)
    default = f"Does the document say that this is so: {about or title or own}?" if type == "yes/no" else ""
    asked = next((words for words in (about, title) if words.rstrip().endswith("?")), default or f"What is the {own}?")
    return Item(
        name, asked, own, type, headings=(own, title) if title else (), choices=choices, about=about, field=True
    )


def _short(part: str) -> Item:
    """Read "total money", "paid yes/no" or "status open|paid"; without a type it is text."""
    *words, last = part.split()
    name, type = " ".join(words) or last, _TYPES.get(last.lower())
    if words and "|" in last:
        return _item(name, "choice", tuple(filter(None, last.split("|"))))
    if type is not None:
        # "due date" is labelled "Due date" or "Due".
        return _item(name, type, title=f"{label(name)} {last}" if words and type in ("date", "number") else "")
    if words and (near := get_close_matches(last.lower(), _TYPES, 1, _LIKE)):
        hint = f"Did you mean '{name} {near[0]}'? If it belongs to the name, give the type: '{name} {last} text'"
        raise UsageError(f"{last!r} is no type of a field", hint)
    return _item(" ".join((*words, last)))


def _checked(schema: Schema) -> Schema:
    names = [" ".join(re.findall(r"\w+", field.title)).casefold() for field in schema.all]
    if not names or len(names) > _MAX_FIELDS:
        raise UsageError(f"the schema has {len(names)} fields", f"Name 1 to {_MAX_FIELDS}: 'vendor, total money'")
    for name in names:
        if names.count(name) > 1 or name in ("library", "document", "section", "sources") or not name:
            raise UsageError(f"the schema cannot have a field {name!r} here", "Give each field a name of its own.")
    # Columns of a table and its files beside those of the fields; SQLite takes no two that differ in case alone.
    beside = {f"{one.id} {what}".casefold(): one.id for one in schema.all for what in _columns(one)}
    beside["document_title"] = "document"
    for name in (field.id for field in schema.all):
        if name.casefold() in beside:
            what = f"the schema cannot have a field {name!r}: {beside[name.casefold()]!r} gets a column of that name"
            raise UsageError(what, "Give the field another name.")
    return schema


def _columns(field: Item) -> tuple[str, ...]:
    return ("quote", "place", "currency") if field.type == "money" else ("quote", "place")


def _resolved(node: Any, root: Any, at: str, depth: int = 0) -> dict[str, Any]:
    """Return a node with what it refers to in $defs, and without null beside another type, as Pydantic writes both."""
    if not isinstance(node, dict) or depth > 9:
        raise UsageError(f"{at} is no object of JSON Schema", _HINT)
    rest = {name: value for name, value in node.items() if name not in ("$ref", "anyOf")}
    if "$ref" in node:
        definitions = root.get("$defs")
        if not isinstance(definitions, dict):
            raise UsageError(f"{at} refers to {node['$ref']!r}, which is not in $defs", _HINT)
        target = definitions.get(str(node["$ref"]).removeprefix("#/$defs/"))
        return _resolved(target, root, f"{at}, {node['$ref']!r},", depth + 1) | rest
    kinds = node.get("anyOf", rest.get("type"))
    if "anyOf" in node and not isinstance(kinds, list):
        raise UsageError(f"{at} has an anyOf that is no list", _HINT)
    if isinstance(kinds, list):
        others = [
            one if isinstance(one, dict) else {"type": one} for one in kinds if one not in ("null", {"type": "null"})
        ]
        if len(others) != 1:
            raise UsageError(f"{at} may be of {len(others)} types", "Give it one.")
        rest.pop("type", None)
        return _resolved(others[0], root, at, depth + 1) | rest
    return rest


def _refuse(node: dict[str, Any], supported: set[str], at: str) -> None:
    if unknown := sorted(node.keys() - _NOTES - supported):
        raise UsageError(f"{at} is not supported: {', '.join(unknown)}", _HINT)


def _properties(node: dict[str, Any], root: Any, at: str) -> dict[str, dict[str, Any]]:
    _refuse(node, {"properties"}, at)
    given = node.get("properties")
    if not isinstance(given, dict) or node.get("type", "object") != "object":
        raise UsageError(f"{at} is not supported", _HINT)
    return {name: _resolved(one, root, repr(name)) for name, one in given.items()}


def _field(name: str, node: dict[str, Any]) -> Item:
    _refuse(node, {"enum", "format"}, repr(name))
    given = node.get("enum", [])
    if not isinstance(given, list):
        raise UsageError(f"{name!r} has an enum that is no list", _HINT)
    choices = tuple(str(one) for one in given if one is not None)
    kind = node.get("format", node.get("type", "string"))
    if not isinstance(kind, str) or kind not in _TYPES:
        raise UsageError(f"{name!r} has an unsupported type {kind!r}", f"Types: {', '.join(_TYPES)}. {_HINT}")
    type = "choice" if choices else _TYPES[kind]
    return _item(name, type, choices, str(node.get("title") or ""), str(node.get("description") or ""))
