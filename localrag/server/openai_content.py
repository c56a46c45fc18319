"""The content of an answer as OpenAI's clients take it: text with citations at their places, or JSON.

JSON is an object with the fields of the answer, or those of them that a schema names. Other fields are refused: a model
that is held to a schema says things that no quote supports. `localrag extract` fills fields of one's own, with quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from localrag.events import Delta, Event, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed
from localrag.grounding.annotations import mark
from localrag.server.exchange import WrongField, page_link, to_json
from localrag.server.served import Waiting
from localrag.types import Answer, Citation, source

PROGRESS_SECONDS = 0.5  # between two reports of it
_MARKER = re.compile(r"\[(\d{1,4})\]")
_FIELDS = ("answer", "found", "certainty", "citations", "nearest", "unsupported", "not_read")
_HINT = f"An object can have of an answer: {', '.join(_FIELDS)}. `localrag extract` fills fields of your own."


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is written: up to a stop sequence, and as an object with some fields of the answer."""

    stops: Sequence[str] = ()
    fields: Sequence[str] = ()  # text, if there are none

    @classmethod
    def checked(cls, kind: str, schema: Any, param: str) -> Form:
        """Return the form of a `text`, `json_object` or `json_schema`. Raises WrongField for what no answer has."""
        if kind != "json_schema":
            return cls(fields=() if kind == "text" else _FIELDS)
        named = schema.get("properties") if isinstance(schema, dict) else None
        if not isinstance(named, dict) or not named:
            raise WrongField(param, "the schema has no properties", _HINT)
        if unknown := sorted(named.keys() - set(_FIELDS)):
            raise WrongField(param, f"no answer has {', '.join(unknown)}", _HINT)
        return cls(fields=tuple(named))

    def text(self, answer: Answer, link: Callable[[Citation], str]) -> str:
        """Return the content; `link` gives the address of a citation."""
        words = mark(answer.answer, answer.unsupported, answer.flags)
        text = words[: min((at for stop in self.stops if (at := words.find(stop)) >= 0), default=len(words))]
        if not self.fields:
            return text
        made = answer.to_dict() | {"answer": text}
        for name in ("citations", "nearest"):
            made[name] = [one.to_dict() | {"url": link(one)} for one in getattr(answer, name)]
        return to_json({name: made[name] for name in self.fields})


class Content:
    """The content of an answer as it is sent, and its citations as OpenAI's clients show them."""

    def __init__(self, request: Request, answer: Answer, form: Form) -> None:
        self._request, self._form = request, form
        self.text = form.text(answer, self._link)
        self.citations = [] if form.fields else list(self._cited(answer))

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
