"""A playbook: what each document is asked, and the position that its answer is compared with.

It is YAML, read by PyYAML's safe loader without aliases (so no alias bombs) and repeated keys, and checked by msgspec
against the types below, from which the JSON Schema for editors is made. Dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from localrag.answer import values
from localrag.errors import NotFoundError, UsageError
from localrag.search import clauses

ItemType = Literal["yes/no", "text", "date", "duration", "money", "percent", "number", "party", "choice"]
Importance = Literal["high", "medium", "low"]
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)
MEASURED = ("date", "duration", "money", "percent", "number")  # types whose values compare
MAX_BYTES = 1 << 20
_FOLDER, _WIDTH = "playbooks", 110
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]")


def _said(text: str, **limits: Any) -> Any:
    return Meta(description=text, **limits)


Words = tuple[Annotated[str, Meta(min_length=1)], ...]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The position on a clause. A value is compared by its type: "60 days" is less than "3 months"."""

    present: Annotated[bool | None, _said("The clause must be there (yes), or must not (no).")] = None
    one_of: Annotated[Words, _said("The value must be one of these.")] = ()
    at_least: Annotated[str, _said("The least value, such as 30 days, EUR 1,000,000 or 2026-01-31.")] = ""
    at_most: Annotated[str, _said("The greatest value.")] = ""
    must_say: Annotated[Words, _said("Words that the clause must have, each of them.")] = ()
    must_not_say: Annotated[Words, _said("Words that the clause must not have.")] = ()


Position = Expect | bool | str | int | float | Words


class Item(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One clause to look for."""

    id: Annotated[str, _said("A short name: letters, digits and dashes.", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
    question: Annotated[str, _said("What each document is asked.", min_length=1)]
    type: Annotated[ItemType, _said("What the answer is.")] = "text"
    title: Annotated[str, _said("The clause's name in tables; by default made of the id.")] = ""
    like: Annotated[Words, _said("How such a clause is worded: examples, to find it by.")] = ()
    headings: Annotated[Words, _said("Headings that such a clause has; by default its title.")] = ()
    clause: Annotated[str, _said("The kind of clause by which the classifier finds it (docs/clauses.md).")] = ""
    choices: Annotated[Words, _said("The possible answers of an item of type choice.")] = ()
    expect: Annotated[Position | UnsetType, _said("The position: yes or no, a value, or several conditions.")] = UNSET
    importance: Annotated[Importance, _said("How much a deviation matters.")] = "medium"
    note: Annotated[str, _said("A note for whoever reads the result.")] = ""
    fallback: Annotated[str, _said("The text to propose where the clause is absent or deviates.")] = ""

    @property
    def name(self) -> str:
        return self.title or re.sub(r"[-_.]+", " ", self.id).strip().capitalize()

    @property
    def position(self) -> Expect | None:
        """The position in its full form; None without one."""
        given = self.expect
        if given is UNSET or isinstance(given, Expect):
            return given or None
        if isinstance(given, bool):
            return Expect(present=given)
        return Expect(one_of=given if isinstance(given, tuple) else (str(given),))


class Playbook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What documents of one kind are checked for."""

    title: Annotated[str, _said("The name of the playbook.", min_length=1)]
    items: Annotated[tuple[Item, ...], _said("The clauses, in the order of the report.", min_length=1)]
    applies_to: Annotated[str, _said("The kind of document, such as mutual NDA.")] = "contract"

    def item(self, item_id: str) -> Item:
        """Return an item by its id, or raise NotFoundError."""
        found = next((item for item in self.items if item.id == item_id), None)
        if found is None:
            listed = ", ".join(item.id for item in self.items)
            raise NotFoundError(f"the playbook {self.title!r} has no item {item_id!r}", f"Its items: {listed}.")
        return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a playbook."""
    made: dict[str, Any] = msgspec.json.schema(Playbook)
    made["$defs"]["Item"]["properties"]["clause"]["enum"] = ["", *clauses.kinds()]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def names() -> list[str]:
    """Return the names of the playbooks that come with localrag."""
    files = resources.files(__package__).joinpath(_FOLDER).iterdir()
    return sorted(path.name.removesuffix(".yaml") for path in files if path.name.endswith(".yaml"))


def shipped() -> list[tuple[str, Playbook]]:
    """Return the playbooks that come with localrag, by name."""
    return [(name, _shipped(name)) for name in names()]


def _shipped(name: str) -> Playbook:
    file = resources.files(__package__).joinpath(_FOLDER, f"{name}.yaml")
    return parse(file.read_bytes(), file.name)


def load(named: str) -> Playbook:
    """Load a playbook by the path of its file, or by the name of one that comes with localrag.

    Raises NotFoundError if there is none, UsageError (file, line, what is allowed) if it is not a playbook.
    """
    path = Path(named)
    if path.suffix.lower() not in (".yaml", ".yml") and not path.is_file():
        there = names()
        if named in there:
            return _shipped(named)
        hint = f"Those that come with localrag: {', '.join(there)}. Or name a file: PLAYBOOK.yaml."
        raise NotFoundError(f"there is no playbook {named!r}", hint)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read the playbook {named!r}: {error.strerror}", "Check the path.") from None
    return parse(data, named)


def parse(data: bytes, name: str) -> Playbook:
    """Return the playbook in a YAML file, or raise UsageError; `name` names the file."""
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: larger than {MAX_BYTES:,} bytes", "A playbook is a short text file.")
    try:
        for event in yaml.parse(data, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _wrong(name, event.start_mark, "aliases (*name) are not allowed: write the text out")
        loader = yaml.SafeLoader(data)
        root = loader.get_single_node()
        if root is None:
            raise _wrong(name, None, "the file is empty")
        _check_nodes(root, name)
        value = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise _wrong(name, error.problem_mark, str(error.problem)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _wrong(name, None, " ".join(str(error).split())[:200]) from None
    try:
        found = msgspec.convert(value, Playbook)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        node, item = _at(root, path.rstrip("`"))
        raise _wrong(name, _key_of(node, problem).start_mark, f"{problem}{_allowed(problem, path)}", item) from None
    for number, problem in _problems(found):
        node, item = _at(root, f".items[{number}]")
        raise _wrong(name, node.start_mark, problem, item)
    return found


def to_yaml(playbook: Playbook) -> str:
    """Return a playbook as YAML that `parse` reads."""
    plain = msgspec.to_builtins(playbook)
    text: str = yaml.dump(plain, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


def _wrong(name: str, mark: yaml.Mark | None, problem: str, item: str = "") -> UsageError:
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    about = f"item {item!r}: " if item else ""
    return UsageError(
        f"{where}: {about}{problem[:1].lower()}{problem[1:]}",
        "`localrag review schema` prints what a playbook may hold; `localrag review list` shows examples.",
    )


def _allowed(problem: str, path: str) -> str:
    """Return what is allowed in place of an unknown key or word, as the end of a sentence."""
    if "unknown field" in problem:
        kind = Expect if ".expect" in path else Item if ".items" in path else Playbook
        names = kind.__struct_fields__
    else:
        ends = {".type`": ItemType, ".importance`": Importance}
        names = next((get_args(kind) for end, kind in ends.items() if path.endswith(end)), ())
    return f"; allowed: {', '.join(names)}" if names else ""


def _key_of(node: yaml.Node, problem: str) -> yaml.Node:
    """Return the key that a problem names, else the node."""
    keys = [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    return next((key for key in keys if f"`{key.value}`" in problem), node)


def _check_nodes(node: yaml.Node, name: str) -> None:
    """Refuse a key that is given twice, of which YAML would silently drop the first, and leave dates as text."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                raise _wrong(name, key.start_mark, f"the key {key.value!r} is given twice")
            seen.add(str(key.value))
            _check_nodes(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_nodes(value, name)
    elif node.tag.endswith(":timestamp"):
        node.tag = "tag:yaml.org,2002:str"


def _at(node: yaml.Node, path: str) -> tuple[yaml.Node, str]:
    """Return the node at a path like ".items[3].type", as deep as there is one, and the id of its item."""
    item = ""
    for key, number in _STEP.findall(path):
        if isinstance(node, yaml.MappingNode) and key:
            inner = next((value for name, value in node.value if name.value == key), None)
        elif isinstance(node, yaml.SequenceNode) and number and int(number) < len(node.value):
            inner = node.value[int(number)]
            if isinstance(inner, yaml.MappingNode):
                item = next((str(value.value) for name, value in inner.value if name.value == "id"), item)
        else:
            inner = None
        if inner is None:
            break
        node = inner
    return node, item


def _problems(playbook: Playbook) -> Iterator[tuple[int, str]]:
    """Yield what is wrong beyond the types, with the number of the item."""
    seen: set[str] = set()
    for number, item in enumerate(playbook.items):
        position = item.position or Expect()
        if item.id in seen:
            yield number, "another item has the same id"
        seen.add(item.id)
        if item.clause and item.clause not in clauses.kinds():
            yield number, f"there is no clause {item.clause!r}; allowed: {', '.join(clauses.kinds())}"
        if (item.type == "choice") != bool(item.choices):
            yield number, "choices are needed by an item of type choice, and by no other"
        if item.type == "choice" and (others := set(position.one_of) - set(item.choices)):
            yield number, f"{', '.join(sorted(others))!r} is none of its choices ({', '.join(item.choices)})"
        if item.type == "yes/no" and (position.one_of or position.at_least or position.at_most):
            yield number, "an item of type yes/no expects yes or no, must_say or must_not_say"
        limits = [limit for limit in (position.at_least, position.at_most) if limit]
        if limits and item.type not in MEASURED:
            yield number, f"at_least and at_most need one of the types {', '.join(MEASURED)}"
        for limit in (*limits, *(position.one_of if item.type in MEASURED else ())):
            found = values.read(item.type, limit)
            if found is None or found.measured is None:
                yield number, f"{limit!r} cannot be read as a {item.type}"
