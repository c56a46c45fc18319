"""What code can be asked to do with documents: the values that `exact.parse` makes and `reckoning` runs.

Each has a `kind`, for the record, and a `verb`: what code does, as in "Code can count this exactly".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Order = Literal["path", "date", "size", "pages", "length", "type"]


@dataclass(frozen=True, slots=True)
class Worked:
    """A question that needs no document: its answer, already worked out."""

    kind: Literal["calculate", "dates", "letters"]
    text: str

    @property
    def verb(self) -> str:
        return {"calculate": "calculate", "dates": "work out", "letters": "count"}[self.kind]


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase: how often it stands there, where, or in which documents it does, or does not."""

    term: str
    kind: Literal["count", "find", "documents", "without"] = "count"
    within: str = ""

    @property
    def verb(self) -> str:
        return {"count": "count", "find": "find"}.get(self.kind, "look up")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A number or code, in whatever way it is grouped; `label` is what the question calls it ("invoice number")."""

    value: str
    label: str = ""
    within: str = ""
    kind: Literal["identifier"] = "identifier"

    @property
    def verb(self) -> str:
        return "find"


@dataclass(frozen=True, slots=True)
class Every:
    """All identifiers, dates or amounts of one sort; `sort` is one of `identifiers.KINDS`."""

    sort: str
    within: str = ""
    kind: Literal["every"] = "every"

    @property
    def verb(self) -> str:
        return "list"


@dataclass(frozen=True, slots=True)
class Size:
    """How many words, characters or pages documents have."""

    unit: Literal["words", "characters", "pages"]
    within: str = ""
    kind: Literal["size"] = "size"

    @property
    def verb(self) -> str:
        return "count"


@dataclass(frozen=True, slots=True)
class Listing:
    """The documents themselves: counted, listed in an order, or the first `most` of them.

    `noun` is what the question calls them; `types` are names of types that it says; `since` and `until` as in Filter.
    """

    kind: Literal["count documents", "list documents"]
    noun: str = "documents"
    types: tuple[str, ...] = ()
    order: Order = "path"
    backwards: bool = False
    most: int = 0
    since: str = ""
    until: str = ""

    @property
    def verb(self) -> str:
        return "count" if self.kind == "count documents" else "sort" if self.order != "path" else "list"


Task = Worked | Term | Identifier | Every | Size | Listing
