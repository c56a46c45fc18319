"""What checking an answer brings to light, as frozen values: what is not in the text, what was computed.

They stand below the other values (`types.py`), since an Answer holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

FlagKind = Literal["number", "amount", "date", "name", "link", "command", "language", "aside"]


@dataclass(frozen=True, slots=True)
class Flag:
    """Something in an answer that does not stand in what it cites: `text` as it has it, and why that matters."""

    kind: FlagKind
    text: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a calculation as it stands in the text; `marker` is the number of the citation that shows it."""

    text: str
    place: str
    marker: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Working:
    """A calculation done by code: the expression over quoted figures, its result as shown, and the figures' places."""

    expression: str
    result: str
    value: float
    figures: tuple[Figure, ...] = ()

    @property
    def shown(self) -> str:
        """As a person reads it: "5,363 / 32,765 = 16.4 %, from p. 60"."""
        places = list(dict.fromkeys(figure.place for figure in self.figures if figure.place))
        return f"{self.expression} = {self.result}" + (f", from {', '.join(places)}" if places else "")

    def to_dict(self) -> dict[str, Any]:
        return {
            "expression": self.expression,
            "result": self.result,
            "value": self.value,
            "figures": [figure.to_dict() for figure in self.figures],
            "shown": self.shown,
        }


@dataclass(frozen=True, slots=True)
class Side:
    """What one document says where documents conflict; `date` (ISO 8601) may be "", `marker` numbers its citation."""

    says: str
    document: str
    place: str
    date: str
    marker: int

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Documents that say different things of the same, the later first; `ordered` is False where that is not known."""

    about: str
    sides: tuple[Side, ...]
    ordered: bool = True

    @property
    def shown(self) -> str:
        """As a person reads it: "The documents differ, the later first. Pay within: “30 days” (2025-09-08) [2]"."""
        told = []
        for side in self.sides:
            where = ", ".join(part for part in (side.date, side.document, side.place) if part)
            told.append(f"“{side.says}” ({where}) [{side.marker}]")
        order = ", the later first" if self.ordered else ""
        return f"The documents differ{order}. {self.about}: {'; '.join(told)}"

    def to_dict(self) -> dict[str, Any]:
        return {"about": self.about, "ordered": self.ordered, "sides": [side.to_dict() for side in self.sides]}


@dataclass(frozen=True, slots=True)
class Split:
    """How several tries at an answer were divided: each answer as first written, and how many tries gave it."""

    votes: tuple[tuple[str, int], ...]

    @property
    def tries(self) -> int:
        return sum(count for _, count in self.votes)

    @property
    def shown(self) -> str:
        """As a person reads it: "4 of 5 tries agree; 1 said: On 3 May."."""
        if not self.votes:
            return ""
        others = "; ".join(f"{count} said: {text}" for text, count in self.votes[1:])
        agree = f"{self.votes[0][1]} of {self.tries} tries agree"
        return f"{agree}; {others}" if others else f"{agree}."

    def to_dict(self) -> dict[str, Any]:
        return {"tries": self.tries, "votes": [{"answer": text, "count": count} for text, count in self.votes]}


def dicts(values: tuple[Flag, ...] | tuple[Working, ...] | tuple[Conflict, ...]) -> list[Mapping[str, Any]]:
    return [value.to_dict() for value in values]
