"""A playbook: what each document is asked, and the position that its answer is compared with.

It is YAML, read by PyYAML's safe loader without aliases (so no alias bombs), tags and repeated keys, and checked by
msgspec against the types below, from which the JSON Schema for editors is made. Numbers and dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import yaml
from msgspec import UNSET, Meta, UnsetType

from localrag import protocol
from localrag.errors import NotFoundError, UsageError
from localrag.items import values
from localrag.items.item import Item
from localrag.items.values import MEASURED
from localrag.search import clauses
from localrag.types import Document

ItemType = Literal["yes/no", "text", "date", "duration", "money", "percent", "number", "party", "choice"]
Importance = Literal["high", "medium", "low"]
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)
MAX_BYTES = 1 << 20
_FOLDER, _WIDTH, _MAX_DEPTH = "playbooks", 110, 9
_FIRST_LINES = 600  # characters in which a document says of what kind it is
# Numbers and dates stay as they are written.
_RESOLVERS = {
    first: [one for one in known if one[0].endswith((":bool", ":null"))]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_ITEM = re.compile(r"\.items\[(\d+)\]\.?")
# What msgspec says, and the same for people.
_PLAIN = (
    ("unknown field `(.+)`", "there is no key {0!r}; allowed: {allowed}"),
    ("required field `(.+)`", "the key {0!r} is missing"),
    ("got `null`|length >= 1", "it is empty: write something here, or leave the key out"),
    ("matching regex", "{given!r} is no id: use letters, digits and dashes, as in non-compete"),
    ("Invalid enum", "{given!r} is not allowed; allowed: {allowed}"),
    ("Expected `array`", "a list is needed: write [{given}]"),
    ("Expected `bool", "write yes or no, not {given!r}"),
    ("Expected `object`", "keys and values are needed; allowed: {allowed}"),
    ("Expected `str`, got `bool`", 'write it in quotes: "{given}"'),
    ("Expected `str`", "a text is needed, not a list or keys"),
)


def _meta(text: str, **limits: Any) -> Any:
    return Meta(description=text, **limits)


Words = tuple[Annotated[str, Meta(min_length=1)], ...]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The position on a clause. A value is compared by its type: "60 days" is less than "3 months"."""

    present: Annotated[bool | None, _meta("The clause must be there (yes), or must not (no).")] = None
    one_of: Annotated[Words, _meta("The value must be one of these.")] = ()
    at_least: Annotated[str, _meta("The least value, such as 30 days, EUR 1,000,000 or 2026-01-31.")] = ""
    at_most: Annotated[str, _meta("The greatest value.")] = ""
    must_say: Annotated[Words, _meta("Words that the clause must have, each of them.")] = ()
    must_not_say: Annotated[Words, _meta("Words that the clause must not have.")] = ()


Position = Expect | bool | str | int | float | Words  # numbers for the schema; `parse` leaves them as they are written


class PlaybookItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One clause to look for."""

    id: Annotated[str, _meta("A short name: letters, digits and dashes.", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")]
    question: Annotated[str, _meta("What each document is asked.", min_length=1)]
    type: Annotated[ItemType, _meta("What the answer is.")] = "text"
    title: Annotated[str, _meta("The clause's name in tables; by default made of the id.")] = ""
    like: Annotated[Words, _meta("How such a clause is worded: examples, to find it by.")] = ()
    headings: Annotated[Words, _meta("Headings that such a clause has; by default its title.")] = ()
    clause: Annotated[str, _meta("The kind of clause by which the classifier finds it (docs/clauses.md).")] = ""
    choices: Annotated[Words, _meta("The possible answers of an item of type choice.")] = ()
    expect: Annotated[Position | UnsetType, _meta("The position: yes or no, a value, or several conditions.")] = UNSET
    importance: Annotated[Importance, _meta("How much a deviation matters.")] = "medium"
    note: Annotated[str, _meta("A note for whoever reads the result.")] = ""
    fallback: Annotated[str, _meta("The text to propose where the clause is absent or deviates.")] = ""

    @property
    def name(self) -> str:
        return self.title or re.sub(r"[-_.]+", " ", self.id).strip().capitalize()

    @property
    def asked(self) -> Item:
        """The item as it is put to documents, without its position."""
        return Item(
            self.id,
            self.question,
            self.name,
            self.type,
            like=self.like,
            headings=self.headings,
            clause=self.clause,
            choices=self.choices,
        )

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

    title: Annotated[str, _meta("The name of the playbook.", min_length=1)]
    items: Annotated[tuple[PlaybookItem, ...], _meta("The clauses, in the order of the report.", min_length=1)]
    applies_to: Annotated[
        str, _meta("What documents of this kind call themselves, with commas: non-disclosure agreement, NDA.")
    ] = ""

    @property
    def kinds(self) -> list[str]:
        return [kind.strip() for kind in self.applies_to.split(",") if kind.strip()]

    def remark(self, document: Document, text: str) -> str:
        """Return that a document is of another kind, if neither its names nor its first lines say one of the kinds."""
        said = "\n".join((document.path.rpartition("/")[2], document.title, text[:_FIRST_LINES]))
        if not self.kinds or any(_called(kind).search(said) for kind in self.kinds):
            return ""
        said = f"neither its name nor its first lines say “{self.kinds[0]}”"
        return f"{said}: perhaps it is of another kind, so positions do not count"

    def item(self, item_id: str) -> PlaybookItem:
        """Return an item by its id, or raise NotFoundError."""
        found = next((item for item in self.items if item.id == item_id), None)
        if found is None:
            listed = ", ".join(item.id for item in self.items)
            raise NotFoundError(f"the playbook {self.title!r} has no item {item_id!r}", f"Its items: {listed}.")
        return found


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a playbook."""
    made: dict[str, Any] = msgspec.json.schema(Playbook)
    made["$defs"]["PlaybookItem"]["properties"]["clause"]["enum"] = ["", *clauses.kinds()]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def names() -> list[str]:
    """Return the names of the playbooks that come with localrag."""
    files = resources.files(__package__).joinpath(_FOLDER).iterdir()
    return sorted(path.name.removesuffix(".yaml") for path in files if path.name.endswith(".yaml"))


def load(named: str) -> Playbook:
    """Load a playbook by the path of its file, or by the name of one that comes with localrag.

    Raises NotFoundError if there is none, UsageError (file, line, item, what to write) if it is not a playbook.
    """
    path = Path(named)
    if path.suffix.lower() not in (".yaml", ".yml") and not path.is_file():
        if named in names():
            file = resources.files(__package__).joinpath(_FOLDER, f"{named}.yaml")
            return parse(file.read_bytes(), file.name)
        hint = f"Those that come with localrag: {', '.join(names())}. Or name a file: PLAYBOOK.yaml."
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
        depth = 0
        for event in yaml.parse(data, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _MAX_DEPTH:
                problem = "aliases (*name) and deep nesting are not allowed: write the text out"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
            if tag := getattr(event, "tag", None):
                problem = f"tags ({tag.replace('tag:yaml.org,2002:', '!!')}) are not allowed: write the value alone"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        loader = yaml.SafeLoader(data)
        loader.yaml_implicit_resolvers = _RESOLVERS
        root = loader.get_single_node()
        _check_keys(root)
        value: Any = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        where = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark else name
        raise UsageError(f"{where}: {error.problem}", "Check the indents, quotes and brackets there.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{name}: {' '.join(str(error).split())[:200]}", "It must be YAML.") from None
    try:
        found: Playbook = protocol.convert(value, Playbook)
        problem, path = next(_problems(found), ("", ""))
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        problem, path = _plain(problem, path.rstrip("`"), value), path.rstrip("`")
    if not problem:
        return found
    where, about = name, path.lstrip(".")
    if at := _ITEM.match(path):
        items = next(node.value for key, node in root.value if key.value == "items")
        where = f"{name}:{items[int(at[1])].start_mark.line + 1}"
        named = value["items"][int(at[1])]
        item = named.get("id", "") if isinstance(named, dict) else ""
        about = ", ".join(filter(None, (f"item {item or int(at[1]) + 1!r}", path[at.end() :])))
    raise UsageError(
        f"{where}: {f'{about}: ' if about else ''}{problem}",
        "`localrag review schema` prints what a playbook may hold; `localrag review show nda` is an example.",
    )


def to_yaml(playbook: Playbook) -> str:
    """Return a playbook as YAML that `parse` reads."""
    plain = msgspec.to_builtins(playbook)
    text: str = yaml.dump(plain, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


@cache
def _called(kind: str) -> re.Pattern[str]:
    """Return a pattern for a kind, with or without an "s" and however its words are joined."""
    words = r"[\W_]{0,3}".join(f"{word.removesuffix('s')}s?" for word in re.findall(r"[^\W_]+", kind))
    return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.I)


def _check_keys(node: yaml.Node | None) -> None:
    """Refuse a key that is given twice, of which YAML would silently drop the first."""
    if isinstance(node, yaml.MappingNode):
        seen = set[str]()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):  # no other can be a key, which the loader says
                if key.value in seen:
                    problem = f"the key {key.value!r} is given twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                seen.add(key.value)
            _check_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(value)


def _plain(problem: str, path: str, value: Any) -> str:
    """Return what msgspec found wrong at a path, in words that say what to write."""
    key = path.rpartition(".")[2]
    kind = Expect if ".expect" in path else PlaybookItem if ".items[" in path else Playbook
    words = {"type": get_args(ItemType), "importance": IMPORTANCES}.get(key, kind.__struct_fields__)
    for step in re.findall(r"[\w-]+", path):
        value = value[int(step) if isinstance(value, list) else step]
    given = ("no", "yes")[value] if isinstance(value, bool) else value if isinstance(value, str) else "..."
    for pattern, said in _PLAIN:
        if found := re.search(pattern, problem):
            return said.format(*found.groups(), given=given, allowed=", ".join(words))
    return problem


def _problems(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Yield what is wrong beyond the types, and its path."""
    ids = set[str]()
    for number, item in enumerate(playbook.items):
        if item.id in ids:
            yield "another item has the same id: give each its own", f".items[{number}].id"
        ids.add(item.id)
        if problem := _problem(item, item.position or Expect()):
            yield problem, f".items[{number}]"


def _problem(item: PlaybookItem, position: Expect) -> str:
    """Return what is wrong with an item or its position, in words; empty if nothing is."""
    limits = [limit for limit in (position.at_least, position.at_most) if limit]
    if item.clause and item.clause not in clauses.kinds():
        return f"there is no clause {item.clause!r}; allowed: {', '.join(clauses.kinds())}"
    if (item.type == "choice") != bool(item.choices):
        return "an item of type choice needs choices, as in [monthly, yearly]; no other has them"
    if item.type == "choice" and (others := set(position.one_of) - set(item.choices)):
        return f"{', '.join(sorted(others))!r} is none of its choices ({', '.join(item.choices)})"
    if item.type == "yes/no" and (position.one_of or limits):
        return "an item of type yes/no expects yes or no, must_say or must_not_say"
    if item.type not in MEASURED:
        return f"at_least and at_most need one of the types {', '.join(MEASURED)}" if limits else ""
    measured = []
    for limit in (*limits, *position.one_of):
        found = values.read(item.type, limit)
        if found is None or found.measured is None or (item.type == "money" and not found.unit):
            return f"{limit!r} cannot be read as {item.type}: write it as in {MEASURED[item.type]}"
        measured.append(found.measured)
    if len(limits) == 2 and measured[0].unit != measured[1].unit:
        return f"{' and '.join(limits)} cannot be compared: write both in the same unit"
    if len(limits) == 2 and measured[0].value > measured[1].value:
        return f"at_least ({limits[0]}) is more than at_most ({limits[1]}): no value can be both"
    return ""
