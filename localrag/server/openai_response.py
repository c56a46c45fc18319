"""A response of OpenAI's newer interface on its way to the client: an item with the draft, and one with the answer.

As in a chat, the text is sent once it has been checked, and what is being written comes before it, here as reasoning.
Nothing is stored: a client sends the earlier messages again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request

from localrag.events import Answered, Event
from localrag.server import exchange
from localrag.server.exchange import to_json
from localrag.server.openai_content import PROGRESS_SECONDS, Content, draft, progress
from localrag.server.openai_request import Asked
from localrag.server.served import Waiting
from localrag.types import Answer


class Sent:
    """One response."""

    def __init__(self, request: Request, asked: Asked) -> None:
        self._request, self._asked = request, asked
        name = secrets.token_hex(12)
        self._id, self._thought_id, self._message_id = f"resp_{name}", f"rs_{name}", f"msg_{name}"
        self._created, self._events = int(time.time()), 0
        self._thought = ""  # the draft, which is the first item where there is one

    def whole(self, answer: Answer) -> dict[str, Any]:
        self._thought = self._thought or answer.reasoning
        output = [self._reasoning()] if self._thought else []
        output.append(self._message([self._part(Content(self._request, answer, self._asked.form))], answer))
        status = "incomplete" if answer.stopped else "completed"
        full = self._asked.in_full(answer)
        return self._object(status, output=output, usage=_usage(answer), completed_at=int(time.time()), localrag=full)

    async def stream(self, events: AsyncGenerator[Waiting | Event]) -> AsyncGenerator[str]:
        """Write events: the draft, then the checked text with its citations, and the whole response."""
        shown = 0.0
        async with aclosing(events):
            try:
                yield self._event("response.created", response=self._object("in_progress"))
                async for event in events:
                    if isinstance(event, Answered):
                        for line in self._ending(event.answer):
                            yield line
                    elif words := draft(event):
                        for line in self._thinking(words):
                            yield line
                    elif (far := progress(event)) and time.monotonic() - shown > PROGRESS_SECONDS:
                        shown = time.monotonic()
                        made = self._object("in_progress", localrag={"progress": far})
                        yield self._event("response.in_progress", response=made)
            except Exception as error:
                yield self._event("error", **exchange.error_of(self._request, error))

    def _thinking(self, words: str) -> Iterator[str]:
        if not self._thought:
            yield self._event("response.output_item.added", output_index=0, item=self._reasoning())
        self._thought += words
        yield self._event("response.reasoning_text.delta", **self._at(0, self._thought_id), delta=words)

    def _ending(self, answer: Answer) -> Iterator[str]:
        """Yield the end of the draft, the message from its beginning to its end, and the whole response."""
        at = int(bool(self._thought))
        if self._thought:
            yield self._event("response.reasoning_text.done", **self._at(0, self._thought_id), text=self._thought)
            yield self._event("response.output_item.done", output_index=0, item=self._reasoning())
        content = Content(self._request, answer, self._asked.form)
        part, where = self._part(content), self._at(at, self._message_id)
        yield self._event("response.output_item.added", output_index=at, item=self._message([]))
        empty = {**part, "text": "", "annotations": []}
        yield self._event("response.content_part.added", **where, part=empty)
        yield self._event("response.output_text.delta", **where, delta=content.text, logprobs=[])
        for number, one in enumerate(part["annotations"]):
            added = {"annotation_index": number, "annotation": one}
            yield self._event("response.output_text.annotation.added", **where, **added)
        yield self._event("response.output_text.done", **where, text=content.text, logprobs=[])
        yield self._event("response.content_part.done", **where, part=part)
        yield self._event("response.output_item.done", output_index=at, item=self._message([part], answer))
        whole = self.whole(answer)
        yield self._event(f"response.{whole['status']}", response=whole)

    def _at(self, index: int, item: str) -> dict[str, Any]:
        return {"item_id": item, "output_index": index, "content_index": 0}

    def _event(self, kind: str, **rest: Any) -> str:
        self._events += 1
        made = {"type": kind, "sequence_number": self._events - 1, **rest}
        return f"event: {kind}\ndata: {to_json(made)}\n\n"

    def _reasoning(self) -> dict[str, Any]:
        content = [{"type": "reasoning_text", "text": self._thought}]
        return {"id": self._thought_id, "type": "reasoning", "summary": [], "content": content}

    def _message(self, content: list[dict[str, Any]], answer: Answer | None = None) -> dict[str, Any]:
        status = "in_progress" if answer is None else "incomplete" if answer.stopped else "completed"
        return {"id": self._message_id, "type": "message", "role": "assistant", "status": status, "content": content}

    def _part(self, content: Content) -> dict[str, Any]:
        found = [{"type": "url_citation", **one} for one in content.citations]
        return {"type": "output_text", "text": content.text, "annotations": found, "logprobs": []}

    def _object(self, status: str, **rest: Any) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self._asked.model,
            "output": [],
            "metadata": self._asked.metadata,
            "previous_response_id": None,
            "parallel_tool_calls": False,
            "store": False,
            "tool_choice": "none",
            "tools": [],
            "usage": None,
            **rest,
        }


def _usage(answer: Answer) -> dict[str, Any]:
    spent = answer.tokens
    return {
        "input_tokens": spent.prompt,
        "input_tokens_details": {"cached_tokens": spent.reused, "cache_write_tokens": 0},
        "output_tokens": spent.generated,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": spent.prompt + spent.generated,
    }
