"""The content of an answer as OpenAI's clients take it: text with citations at their places, or JSON.

JSON is an object with the fields of the answer, or those of them that a schema names. Nothing else can be filled in: a
model that is held to a schema says things that no quote bears out. Values for fields of one's own come from
`localrag extract`, each with its quote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from starlette.requests import Request

from localrag.events import Delta, Event, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed
from localrag.grounding.annotations import mark
from localrag.server.exchange import WrongField, page_link, to_json
from localrag.server.served import Waiting
from localrag.types import Answer, Certainty, Citation, NotRead, Plan, source

PROGRESS_SECONDS = 0.5  # between two reports of it
_MARKER = re.compile(r"\[(\d{1,4})\]")
_FIELDS = ("answer", "found", "certainty", "citations", "nearest", "unsupported", "not_read")
_KEYS = {"type", "properties", "required", "items", "additionalProperties", "enum", "anyOf", "$ref", "$defs"}
_NOTES = {"title", "description", "default", "examples", "$schema", "$id", "$comment"}
_TYPES: Mapping[type, tuple[str, ...]] = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    dict: ("object",),
    list: ("array",),
    tuple: ("array",),
    type(None): ("null",),
}
_MAX_DEPTH = 9
_HINT = f"An object can have of an answer: {', '.join(_FIELDS)}. `localrag extract` fills fields of your own."


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written: up to a stop sequence, and as an object or the parts of it that a schema names."""

    stops: Sequence[str] = ()
    is_json: bool = False
    schema: Mapping[str, Any] | None = None
    param: str = ""

    @classmethod
    def checked(cls, stops: Sequence[str], is_json: bool, schema: Mapping[str, Any] | None, param: str) -> Form:
        """Return a form. Raises WrongField for a schema that no answer fits."""
        made = cls([stop for stop in stops if stop], is_json, schema, param)
        for one in _SPECIMENS:
            made.text(one, lambda cited: "")
        return made

    def text(self, answer: Answer, link: Callable[[Citation], str]) -> str:
        """Return the content; `link` gives the address of a citation."""
        words = mark(answer.answer, answer.unsupported, answer.flags)
        text = words[: min((at for stop in self.stops if (at := words.find(stop)) >= 0), default=len(words))]
        if not self.is_json:
            return text
        full = answer.to_dict()
        made = {name: full[name] for name in _FIELDS} | {"answer": text}
        for name in ("citations", "nearest"):
            made[name] = [one.to_dict() | {"url": link(one)} for one in getattr(answer, name)]
        return to_json(made if self.schema is None else self._fitted(made, self.schema, ""))

    def _fitted(self, value: Any, schema: Any, at: str) -> Any:
        """Return the parts of a value that a schema names. Raises WrongField where it is not of this schema."""
        node, kinds = self._resolved(schema, at)
        own = _TYPES[type(value)]
        if kinds.isdisjoint(own) or ("enum" in node and value not in _list(node, "enum")):
            raise self._wrong(at, f"in an answer it is {own[0] if kinds.isdisjoint(own) else repr(value)}")
        if isinstance(value, list | tuple):
            return [self._fitted(one, node.get("items"), f"{at}[]") for one in value]
        if not isinstance(value, dict):
            return value
        named = node.get("properties")
        if not isinstance(named, dict) or not named:
            raise self._wrong(at, "it has no properties")
        if unknown := sorted({*named, *map(str, _list(node, "required"))} - value.keys()):
            raise self._wrong(at, f"no answer has {', '.join(unknown)}")
        return {name: self._fitted(value[name], one, f"{at}.{name}".lstrip(".")) for name, one in named.items()}

    def _resolved(self, schema: Any, at: str, depth: int = 0) -> tuple[dict[str, Any], set[str]]:
        """Return a schema with what it refers to, and the types that it allows."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            raise self._wrong(at, "it is no schema")
        if unknown := sorted(schema.keys() - _KEYS - _NOTES):
            raise self._wrong(at, f"{', '.join(unknown)} is not supported")
        if "$ref" in schema:
            definitions = (self.schema or {}).get("$defs")
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            return self._resolved(definitions.get(name) if isinstance(definitions, dict) else None, at, depth + 1)
        if "anyOf" in schema:
            others = [one for one in _list(schema, "anyOf") if one != {"type": "null"}]
            node, kinds = self._resolved(others[0] if len(others) == 1 else None, at, depth + 1)
            return node, kinds | {"null"}
        given = schema.get("type")
        return schema, {given} if isinstance(given, str) else set(map(str, _list(schema, "type")))

    def _wrong(self, at: str, problem: str) -> WrongField:
        return WrongField(self.param, f"no answer fits the schema{at and f' at {at}'}: {problem}", _HINT)


def _list(node: Mapping[str, Any], key: str) -> list[Any]:
    value = node.get(key)
    return value if isinstance(value, list) else []


_CITED = Citation("", "", 1, "", "", "", 0, 0, 1, figures=((0, 0),)), Citation("", "", None, None, "", "", 0, 0, 1)
# Answers with every type that a field can have; a schema that these fit, all fit.
_SPECIMENS = [
    Answer(
        *("", "", True, Plan("retrieve", "")),
        citations=_CITED,
        nearest=_CITED,
        unsupported=("",),
        not_read=(NotRead("", "", "", 1), NotRead("", "", "")),
        certainty=certainty,
    )
    for certainty in get_args(Certainty)
]


class Content:
    """The content of an answer as it is sent, and its citations as OpenAI's clients show them."""

    def __init__(self, request: Request, answer: Answer, form: Form) -> None:
        self._request, self._form = request, form
        self.text = form.text(answer, self._link)
        self.citations = [] if form.is_json else list(self._cited(answer))

    def _cited(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """Yield an address for each marker, at its place; a citation without one is at the end, if that is sent."""
        places: dict[int, list[tuple[int, int]]] = {}
        for found in _MARKER.finditer(self.text):
            places.setdefault(int(found[1]), []).append(found.span())
        end = [] if self._form.stops else [(len(self.text), len(self.text))]
        cited = [(first, last, one) for one in answer.citations for first, last in places.get(one.marker, end)]
        for first, last, one in sorted(cited, key=lambda each: each[:2]):
            title = source(one.name, one.place)
            yield {"start_index": first, "end_index": last, "title": title, "url": self._link(one)}

    def _link(self, one: Citation) -> str:
        return page_link(self._request, one.library, one.document, one.page)


def draft(event: Waiting | Event) -> str:
    """Return what an event adds to the draft and the reasoning."""
    if isinstance(event, Replaced):
        return f"\n\n({event.why})\n\n"
    return event.text if isinstance(event, Delta | Reasoning) else ""


def progress(event: Waiting | Event) -> dict[str, Any]:
    match event:
        case Waiting():
            return {"stage": "waiting", "ahead": event.ahead}
        case Planned():
            return {"stage": "planned", "mode": event.plan.kind}
        case PromptRead():
            return {"stage": "reading", "done": event.done, "total": event.total}
        case Surveyed():
            return {"stage": "asking each document", "done": event.done, "total": event.total}
        case Notice():
            return {"stage": "notice", "text": event.text}
    return {}
