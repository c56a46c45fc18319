"""A generator on a model server in the house; see `models.endpoint`.

The server applies the chat template and keeps what it has read, so that nothing is read ahead and no state is cached
here.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

from localrag.errors import ModelError
from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm import Completed, Prefix, PromptCache, Stop, Weighed
from localrag.models import endpoint
from localrag.models.endpoint import Refused, Server, Stopped, estimated_tokens
from localrag.types import Message, Usage

_UNKNOWN_WINDOW = 2048  # llama-cpp-python's default, whose server does not say
_FRAME = 10  # tokens that a chat template puts around a message, at most
_LISTED = 20  # likeliest tokens that are asked for, the most that every server gives
_LEAST = -700.0  # of less, the likelihood would be 0
_WORD = 0.8  # the share of an option that the model wrote, where the server gives no likelihoods
_MAX_LETTERS = 100  # of a token; a longer text ignores the limit of tokens
_COUNTED = 4096  # texts whose tokens are remembered
# How servers count: path, the name of the text there, and what else to say.
_COUNTERS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("/tokenize", {"add_special": False, "add_special_tokens": False}),
    ("/extras/tokenize/count", {}),
)


class ServerGenerator:
    """The model `name` of a server. `context` limits its window in tokens; 0: as the server says."""

    thinks = False

    def __init__(self, server: Server, name: str | None, context: int = 0) -> None:
        self._server = server
        self.model, window = endpoint.model_at(server, name)
        self.window = min(context or window, window or context) or _UNKNOWN_WINDOW
        self._root = server.path.removesuffix("/v1")
        self._counters = list(_COUNTERS)
        self._counts: dict[str, int] = {}
        self._grammars = self._likelihoods = True

    def state_bytes(self, tokens: int) -> int:
        return 0

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        return []

    def read(
        self, messages: Sequence[Message], *, stop: Stop = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        return iter(())

    def close(self) -> None:
        pass

    def overhead(self, messages: int) -> int:
        return _FRAME * (messages + 2)

    def count(self, text: str) -> int:
        if text not in self._counts:
            if len(self._counts) >= _COUNTED:
                self._counts.clear()
            self._counts[text] = self._counted(text) if text else 0
        return self._counts[text]

    def _counted(self, text: str) -> int:
        """Count by the server's tokenizer, or estimate where it has none."""
        while self._counters:
            path, more = self._counters[0]
            said = {"model": self.model, "content": text, "prompt": text, "input": text, **more}
            try:
                found = self._server.ask(self._root + path, said, patience=endpoint.SHORT_PATIENCE)
            except ModelError:  # the next request says so, if it is more than this
                found = {}
            tokens = found.get("tokens")
            number = found.get("count", len(tokens) if isinstance(tokens, list) else None)
            if type(number) is int and number > 0:
                return number
            del self._counters[0]
        return estimated_tokens(text)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str | None = None,
        stop: Stop = None,
        cache: PromptCache | None = None,
        think: int = 0,
    ) -> Iterator[PromptRead | Reasoning | Delta | Completed]:
        begun = messages[-1].whole if messages[-1].role == "assistant" else ""
        prompt = self._size(messages)
        asked = self._asked(messages[:-1] if begun else messages, max_tokens) | {
            "temperature": temperature,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if grammar is not None and self._grammars:
            rules = _after(begun, grammar) if begun else grammar
            written = False
            try:
                ruled = asked | {"grammar": rules, "structured_outputs": {"grammar": rules}}  # of llama.cpp, of vLLM
                for event in self._written(ruled, prompt, begun, stop):
                    written = written or isinstance(event, Delta)
                    yield event
                return
            except Refused:
                if written:
                    raise
        yield from self._written(asked, prompt, begun, stop)
        self._grammars = self._grammars and grammar is None

    def _written(
        self, asked: dict[str, Any], prompt: int, begun: str, stop: Stop
    ) -> Iterator[PromptRead | Reasoning | Delta | Completed]:
        began = first = time.monotonic()
        yield PromptRead(0, prompt)
        text = reasoning = shown = ""
        pieces = 0
        ended: Literal["end", "length", "stopped"] | None = None
        usage: dict[str, Any] = {}
        try:
            for event in self._server.stream(f"{self._server.path}/chat/completions", asked, stop):
                usage = event["usage"] if isinstance(event.get("usage"), dict) else usage
                choice = _first(event)
                delta = choice.get("delta")
                delta = delta if isinstance(delta, dict) else {}
                thought = _text(delta.get("reasoning_content") or delta.get("reasoning"))
                words = _text(delta.get("content"))
                if (thought or words) and not pieces:
                    first = time.monotonic()
                    yield PromptRead(prompt, prompt)
                pieces += bool(thought or words)
                if thought:
                    reasoning += thought
                    yield Reasoning(thought)
                text += words
                rest = _behind(begun, text)
                if len(rest) > len(shown):
                    yield Delta(rest[len(shown) :])
                    shown = rest
                if reason := choice.get("finish_reason"):
                    ended = "length" if reason == "length" else "end"
                if len(text) + len(reasoning) > asked["max_tokens"] * _MAX_LETTERS:
                    ended = "length"
                    break
        except Stopped:
            ended = "stopped"
        if ended is None:
            what = f"the model server {self._server} broke off its answer"
            raise ModelError(what, "Ask again; its log may say why it ended.")
        done = _usage(usage, prompt, pieces)
        yield Completed(shown or _behind(begun, text, whole=True), done, ended, first - began, reasoning)

    def weigh(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        stop: Stop = None,
        cache: PromptCache | None = None,
        then: Sequence[Message] | None = None,
        room: int = 0,
    ) -> Iterator[PromptRead | Weighed]:
        began = time.monotonic()
        asked = self._asked(messages, 1) | {"temperature": 0.0}
        prompt = self._size(messages)
        yield PromptRead(0, prompt)
        try:
            reply = self._one_word(asked, stop)
        except Stopped:
            yield Weighed((), Usage(), time.monotonic() - began)
            return
        yield PromptRead(prompt, prompt)
        listed = _likeliest(reply)
        if not listed:
            self._likelihoods = False
            message = _first(reply).get("message")
            word = _text(message.get("content")) if isinstance(message, dict) else ""
            listed = {word: math.log(_WORD)}
        usage = reply.get("usage")
        done = replace(_usage(usage if isinstance(usage, dict) else {}, prompt, 0), generated=0)
        shares = _shares(listed, options, rest=None if self._likelihoods else (1 - _WORD) / max(1, len(options) - 1))
        yield Weighed(shares, done, time.monotonic() - began, measured=self._likelihoods)

    def _one_word(self, asked: dict[str, Any], stop: Stop) -> dict[str, Any]:
        path = f"{self._server.path}/chat/completions"
        if self._likelihoods:
            with suppress(Refused):  # if the likelihoods are not the reason, the next try says so
                return self._server.ask(path, asked | {"logprobs": True, "top_logprobs": _LISTED}, stop)
        return self._server.ask(path, asked, stop)

    def _size(self, messages: Sequence[Message]) -> int:
        """Return about how many tokens a prompt has. Raises ModelError if it does not fit the window."""
        about = sum(estimated_tokens(message.whole) for message in messages) + self.overhead(len(messages))
        if about >= self.window:
            about = sum(self.count(message.whole) for message in messages)
            if about >= self.window:
                raise ModelError(
                    f"the prompt has {about:,} tokens and the window of {self.model!r} {self.window:,}",
                    "Ask a shorter question, or set context_tokens to the window of the server if it does not say.",
                )
        return about

    def _asked(self, messages: Sequence[Message], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self.model,
            "max_tokens": max_tokens,
            "messages": [{"role": message.role, "content": message.whole} for message in messages],
            "chat_template_kwargs": {"enable_thinking": False},  # of reasoning models, on llama-server and vLLM
        }


def _after(begun: str, grammar: str) -> str:
    """Return a grammar whose text begins with `begun`, since servers differ in how they continue a begun answer."""
    return f"root ::= {json.dumps(begun, ensure_ascii=False)} behind\n" + grammar.replace("root ", "behind ", 1)


def _behind(begun: str, text: str, *, whole: bool = False) -> str:
    """Return what was written behind `begun`, which a server may repeat; empty until that is known, unless `whole`."""
    if text.startswith(begun):
        return text[len(begun) :]
    return "" if begun.startswith(text) and not whole else text


def _shares(listed: Mapping[str, float], options: Sequence[str], rest: float | None = None) -> tuple[float, ...]:
    """Return the share of each option by the tokens that begin it; one that is not listed is as likely as the last."""
    least = rest if rest is not None else math.exp(min(listed.values()))
    found = []
    for option in options:
        own = [odds for token, odds in listed.items() if token.strip() and option.startswith(token.strip())]
        found.append(sum(math.exp(odds) for odds in own) or least)
    return tuple(value / sum(found) for value in found)


def _likeliest(reply: Mapping[str, Any]) -> dict[str, float]:
    """Return the log likelihood of each token that the reply might have begun with; empty if the server gives none."""
    try:
        listed = _first(reply)["logprobs"]["content"][0]["top_logprobs"][: 10 * _LISTED]
        found = {str(one["token"]): float(one["logprob"]) for one in listed}
    except (LookupError, TypeError, ValueError, OverflowError):
        return {}
    return {token: min(odds, 0.0) for token, odds in found.items() if odds > _LEAST}


def _first(event: Mapping[str, Any]) -> dict[str, Any]:
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _usage(said: Mapping[str, Any], prompt: int, generated: int) -> Usage:
    """Return the tokens that a server says it used, or those counted here."""
    details = said.get("prompt_tokens_details")
    reused = _number(details, "cached_tokens", 0) if isinstance(details, dict) else 0
    prompt = _number(said, "prompt_tokens", prompt)
    return Usage(prompt, min(reused, prompt), _number(said, "completion_tokens", generated))


def _number(said: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = said.get(name)
    return value if type(value) is int and 0 <= value < 2**31 else otherwise
