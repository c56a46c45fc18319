"""llama.cpp in this process: reads a prompt and writes the continuation.

Uses llama-cpp-python's C interface, because its `Llama` class cannot stop in the middle of a prompt, copies logits that
nobody reads, and saves its memory in a form that cannot be encrypted on the way to the disk.
"""

from __future__ import annotations

import codecs
import ctypes
import math
import struct
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from localrag import llm
from localrag.errors import ModelError
from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm import Completed, Prefix, Prompt, PromptCache, Stop, Weighed
from localrag.llm.chat_template import Kind, Splitter
from localrag.llm.llama_model import LlamaContext, LlamaModel, check_memory, footprint
from localrag.models import catalog
from localrag.types import Message, Usage

# Reasoning models repeat themselves endlessly at temperature 0: Qwen3's authors recommend 0.6. The seed keeps the
# reasoning the same each time.
_REASONING_TEMPERATURE = 0.6
# The first tokens of each passage that are read again in its place, so that they see the passages before it
# (docs/decisions/0049-passage-cache.md).
_LINKED = 8
_ROOM = 512  # tokens kept free after a prompt that is only weighed, since an answer usually follows


class LlamaGenerator:
    """A quantized model run by llama.cpp.

    `context` is the window in tokens; 0 fits it to each prompt, up to what the model was trained on. `threads` is 0 for
    one per core, `gpu_layers` -1 for as many as fit. Raises ModelError if the file is not a model, or does not fit the
    memory.
    """

    def __init__(
        self,
        model: str,
        path: Path,
        *,
        adapter: Path | None = None,
        context: int = 0,
        threads: int = 0,
        gpu_layers: int = -1,
        apart: bool = True,
    ) -> None:
        self._threads = threads or catalog.physical_cores()
        self._model = LlamaModel(model, path, adapter=adapter, gpu_layers=gpu_layers, apart=apart)
        self.model = self._model.name
        self._thread = ThreadPoolExecutor(1, "llama")
        self._context: LlamaContext | None = None
        self.window = min(context or self._model.trained, self._model.trained)
        if context:
            self._open(self.window)

    def _open(self, size: int) -> LlamaContext:
        """Open a window of at least `size` tokens, with what was read so far."""
        old = self._context
        check_memory(size, old.size if old is not None else 0, *self._footprint)
        if old is not None and self._model.sliding_window:
            old.cut(old.settled)
        if old is not None and old.forked is not None:
            old.cut(old.forked)
        kept = (old.state(), old.tokens, old.cuts, old.checkpoints) if old and old.tokens and not old.moving else None
        self._free_context()
        self._context = LlamaContext(self._model, size, self._threads, self._thread)
        if kept is not None and self._context.restore(*kept[:3]):
            self._context.checkpoints = kept[3]
        return self._context

    @cached_property
    def _footprint(self) -> tuple[int, int]:
        return footprint(self._model, self._threads, self._thread)

    def state_bytes(self, tokens: int) -> int:
        each, recurrent = self._footprint
        return tokens * each + recurrent

    @property
    def thinks(self) -> bool:
        return self._model.thinks

    def count(self, text: str) -> int:
        return len(self._model.tokenize(text, special=False))

    def overhead(self, messages: int) -> int:
        turns = [Message("assistant" if i % 2 else "user", "x") for i in range(messages)]
        return len(self._model.encode([Message("system", "x"), *turns]))

    def in_force(self) -> list[str]:
        """Describe how it runs."""
        model = self._model
        if self._context is None:
            self._open(1)  # shows whether it can
        return [
            f"{self._threads} thread{'s' * (self._threads != 1)}",
            f"batches of {llm.STEP} tokens",
            f"{self._footprint[0] / 1000:.0f} KB of memory per token",
            f"{model.gpu_layers} of {model.layers} layers on a GPU",
            *([f"a sliding window of {model.sliding_window:,} tokens, kept whole"] if model.sliding_window else []),
            *([f"recurrent layers ({self._footprint[1] / 1e6:.1f} MB, kept as checkpoints)"] if model.forgets else []),
            *([] if model.apart else [f"passages are read together ({model.why_not_movable or 'calibrated so'})"]),
            *(["has a reasoning mode"] if model.thinks else []),
        ]

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
        began = time.monotonic()
        tags = self._model.tags
        thinking = think > 0 and grammar is None and tags is not None
        prompt = self._model.encode(messages, thinking)
        # A short window shortens the reasoning before the answer.
        end = len(self._model.tokenize(tags.end, special=True)) if tags is not None else 0
        room = self.window - len(prompt) - end
        max_tokens = max(1, min(max_tokens, room))
        think = max(0, min(think, room - max_tokens)) if thinking else 0
        context = self._with_room(prompt, max_tokens + think + end)
        if context.ready and context.holds(prompt):
            reused = len(prompt)
        else:
            reused = yield from self._read(context, prompt, stop, cache)
        if len(context.tokens) < len(prompt):
            yield Completed("", Usage(len(context.tokens), reused, 0), "stopped", time.monotonic() - began)
            return
        read = time.monotonic()
        with (
            sampler(self._model, temperature, seed, grammar) as answerer,
            sampler(self._model, max(temperature, _REASONING_TEMPERATURE), seed, None) as thinker,
        ):
            done = Decoding(self._model, context, thinking)
            yield from done.run(answerer, max_tokens, thinker, think, stop)
        usage, written = Usage(len(prompt), reused, done.tokens), done.splitter
        yield Completed(written.answer, usage, done.ended, read - began, written.reasoning.strip())

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
        prompt = self._model.encode(messages)
        other = self._model.encode(then) if then is not None and self._model.movable else None
        fork = llm.fork(prompt, other) if other is not None else None
        longer = prompt if other is None else max(prompt, other, key=len)
        context = self._with_room(longer, max(room, _ROOM))
        reused = yield from self._read(context, prompt, stop, cache, until=fork[0] if fork else None)
        done = len(context.tokens) >= (fork[0] if fork else len(prompt))
        if other is not None and fork is not None and done:
            done = context.fork(prompt, other, fork[1], stop)
        if not done:
            yield Weighed((), Usage(len(context.tokens), reused, 0), time.monotonic() - began)
            return
        usage = Usage(len(prompt), reused, 0)
        logits = context.logits()
        scores = [float(logits[self._model.tokenize(option, special=False)[0]]) for option in options]
        odds = [math.exp(score - max(scores)) for score in scores]
        yield Weighed(tuple(value / sum(odds) for value in odds), usage, time.monotonic() - began)

    def read(
        self, messages: Sequence[Message], *, stop: Stop = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        prompt = self._model.encode(messages).stable()
        if not prompt.tokens:
            return
        context = self._with_room(prompt, _ROOM)
        yield from self._read(context, prompt, stop, cache, ahead=True)

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        prompt = self._model.encode(messages)
        return prompt.block_keys() or prompt.prefixes()

    def _with_room(self, prompt: Prompt, room: int) -> LlamaContext:
        """Return a context for a prompt and this many more tokens. Raises ModelError if it does not fit."""
        if len(prompt) + 1 > self.window:
            raise ModelError(
                f"the prompt has {len(prompt):,} tokens and the window of {self.model!r} {self.window:,}",
                "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
            )
        needed = min(len(prompt) + room, self.window)
        if self._context is None or needed > self._context.size:
            return self._open(needed)
        return self._context

    def _rewind(
        self, context: LlamaContext, prompt: Prompt, cache: PromptCache | None, stop: Stop, *, whole: bool = False
    ) -> int:
        """Go back to the last cut shared with what was read (`whole`: all), or to an entry; return the tokens kept."""
        kept = llm.shared(context.tokens, context.cuts, prompt)
        if kept < prompt.joined:
            kept = min(kept, prompt.checkpoints[-1])  # passages are put together at once, or not at all
        if whole and context.holds(prompt):
            kept = len(prompt)
        elif context.forked is not None:
            kept = min(kept, context.forked)
        kept = context.reach(kept)
        for prefix in reversed(prompt.prefixes()) if cache is not None else ():
            if len(prefix.tokens) <= kept or (stop is not None and stop()):
                break
            state = cache.get(prefix, stop) if cache is not None else None
            if state is not None:
                if context.restore(state, prefix.tokens, prefix.cuts):
                    return len(prefix.tokens)
                kept = 0
        return context.cut(kept)

    def _read(
        self,
        context: LlamaContext,
        prompt: Prompt,
        stop: Stop,
        cache: PromptCache | None,
        *,
        ahead: bool = False,
        until: int | None = None,
    ) -> Generator[PromptRead, None, int]:
        """Read the prompt, or `until` one of its cuts; return the tokens reused.

        If it is stopped, the context holds less. Read `ahead`, the entire prompt may be there already, and blocks go to
        the prompt cache only.
        """
        done = reused = self._rewind(context, prompt, cache, stop, whole=ahead)
        yield PromptRead(done, len(prompt))
        prefixes = {len(prefix.tokens): prefix for prefix in prompt.prefixes()}
        _keep(context, prompt, prefixes.get(done), cache, stop)
        for end in prompt.cuts:
            if end <= done:
                continue
            if until is not None and end > until:
                break
            if prompt.blocks and done == prompt.checkpoints[-1]:
                reused += yield from self._read_blocks(context, prompt, stop, cache, ahead)
                done = prompt.joined
                if len(context.tokens) < done:
                    break
                continue
            if not context.decode(prompt.tokens[done:end], stop):
                break
            done = end
            _keep(context, prompt, prefixes.get(done), cache, stop)
            yield PromptRead(done, len(prompt))
        return reused

    def _read_blocks(
        self, context: LlamaContext, prompt: Prompt, stop: Stop, cache: PromptCache | None, ahead: bool
    ) -> Generator[PromptRead, None, int]:
        """Read each block behind the beginning of the prompt, unless it is cached, and join them; see `_read`."""
        try:
            return (yield from self._join(context, prompt, stop, cache, ahead))
        except ModelError:  # a state that does not fit, which its digest does not show
            context.cut(prompt.checkpoints[-1])
            if cache is None:
                raise
        return (yield from self._join(context, prompt, stop, None, ahead))

    def _join(
        self, context: LlamaContext, prompt: Prompt, stop: Stop, cache: PromptCache | None, ahead: bool
    ) -> Generator[PromptRead, None, int]:
        """Do so once. Raises ModelError if a state does not fit."""
        begin, reused, end = prompt.checkpoints[-1], 0, prompt.checkpoints[-1]
        found: list[tuple[bytes | bytearray, Prefix]] = []
        for key in prompt.block_keys():
            packed: bytes | bytearray | None = cache.get(key, stop) if cache is not None else None
            if packed is None:
                packed = self._read_part(context, key, begin, found, stop)
                if packed is None:
                    context.cut(begin)
                    return 0
                if cache is not None:
                    cache.put(key, memoryview(packed), stop)
            else:
                reused += len(key.tokens) - key.start
            found.append((packed, key))
            end += len(key.tokens) - key.start
            yield PromptRead(end, len(prompt))
        context.cut(begin)
        heads = []
        for packed, key in () if ahead else found:
            first = key.start == begin < len(context.tokens)
            head = min(_LINKED, len(key.tokens) - key.start - 1) if first else 0
            if head:
                heads.append((len(context.tokens), key.tokens[begin : begin + head]))
            context.append(unpack(packed), key.tokens[key.start :], key.start)
        linked = False
        try:
            linked = context.link(heads, stop)
        finally:
            if not linked:
                context.cut(begin)
        return reused if linked else 0

    def _read_part(
        self,
        context: LlamaContext,
        key: Prefix,
        begin: int,
        found: Sequence[tuple[bytes | bytearray, Prefix]],
        stop: Stop,
    ) -> bytes | None:
        """Read a part of a block behind the parts before it, the last of those found; None if it was stopped."""
        context.cut(begin)
        for packed, part in found:
            if part.block == key.block:
                context.append(unpack(packed), part.tokens[part.start :], part.start)
        for cut in key.cuts:
            if cut > key.start and not context.decode(key.tokens[len(context.tokens) : cut], stop):
                return None
        return pack(context.take(key.start), self._model.heads)

    def _free_context(self) -> None:
        if self._context is not None:
            self._context.close()
        self._context = None

    def close(self) -> None:
        """Free the memory."""
        self._thread.shutdown()
        self._free_context()
        self._model.close()


def _keep(context: LlamaContext, prompt: Prompt, prefix: Prefix | None, cache: PromptCache | None, stop: Stop) -> None:
    """Prepare to come back where another prompt may part from this one; cache the state at the end of a stable part."""
    if 0 < len(context.tokens) < len(prompt) or prefix is not None:
        context.check(max((end for end in prompt.checkpoints if end <= len(context.tokens)), default=0))
    if prefix is not None and cache is not None and not cache.has(prefix):
        cache.put(prefix, context.state(), stop)


# --- the state of a passage that was read by itself: packed in 8 bits for the disk, unpacked to be moved ---------
# Each value of a head becomes a whole number from -127 to 127, with one scale for each head and token. What comes from
# the disk and what was just read pass through the same 8 bits, so the answer is the same. Other states (memory in 8
# bits, values transposed without flash attention) stay as they are.

_PACKED = struct.Struct("<cHI")  # mark, heads, bytes before the scales
_MARK, _MAX, _F16 = b"8", 127, 1  # the last is ggml's number of the type
_START = struct.Struct("<IIII")  # magic number, sequence, streams, tokens
_CELL = 12  # bytes of a token: position, number of sequences, sequence
_SHAPE = struct.Struct("<II")  # whether values are transposed, and layers
_LAYER = struct.Struct("<iQ")  # before the rows of a layer: their type, and the bytes of a row


def pack(state: memoryview, heads: int) -> bytes:
    """Return a state of llama.cpp with its keys and values in 8 bits; unchanged if it has another form.

    `heads` is the number of heads that keep keys and values. A state has a cell for each token, and for keys and then
    values, layer by layer, a row for each token.
    """
    import numpy as np

    if len(state) < _START.size:
        return bytes(state)
    _, _, streams, tokens = _START.unpack_from(state)
    begin = _START.size + tokens * _CELL + _SHAPE.size
    if streams != 1 or not tokens or len(state) < begin + _LAYER.size:
        return bytes(state)
    transposed, layers = _SHAPE.unpack_from(state, begin - _SHAPE.size)
    kind, width = _LAYER.unpack_from(state, begin)
    size = _LAYER.size + tokens * width
    if transposed or kind != _F16 or len(state) != begin + 2 * layers * size or width % (2 * heads):
        return bytes(state)
    each = np.frombuffer(state, np.uint8, offset=begin).reshape(2 * layers, size)
    if (each[:, : _LAYER.size] != each[0, : _LAYER.size]).any():
        return bytes(state)
    rows = np.ascontiguousarray(each[:, _LAYER.size :]).view(np.float16)
    values = rows.reshape(2 * layers, tokens, heads, -1).astype(np.float32)
    scales = (np.abs(values).max(-1, keepdims=True) / _MAX).astype(np.float16)
    numbers = np.rint(values / np.maximum(scales, np.float16(6e-8)))
    first = bytes(state[: begin + _LAYER.size])
    whole = np.clip(numbers, -_MAX, _MAX).astype(np.int8)
    return b"".join((_PACKED.pack(_MARK, heads, len(first)), first, scales.tobytes(), whole.tobytes()))


def unpack(packed: bytes | bytearray) -> bytearray:
    """Return the state that was packed, as llama.cpp takes it."""
    import numpy as np

    if packed[:1] != _MARK:
        return bytearray(packed)
    _, heads, length = _PACKED.unpack_from(packed)
    begin = _PACKED.size + length - _LAYER.size  # of the first layer, in `packed`
    *_, tokens = _START.unpack_from(packed, _PACKED.size)
    _, layers = _SHAPE.unpack_from(packed, begin - _SHAPE.size)
    count, at = 2 * layers * tokens * heads, _PACKED.size + length
    scales = np.frombuffer(packed, np.float16, count, at).reshape(2 * layers, tokens, heads, 1)
    numbers = np.frombuffer(packed, np.int8, offset=at + 2 * count).reshape(2 * layers, tokens, heads, -1)
    values = (numbers * scales.astype(np.float32)).astype(np.float16)
    layer = np.frombuffer(packed, np.uint8, _LAYER.size, begin)
    each = np.hstack((np.tile(layer, (2 * layers, 1)), values.reshape(2 * layers, -1).view(np.uint8)))
    return bytearray(packed[_PACKED.size : begin]) + each.tobytes()


# --- how a model writes: token by token, with its reasoning separated from its answer and ended at a limit -------
# Code ends reasoning that has used up its tokens by writing its end into the model's memory, and the model answers from
# there ("budget forcing": Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv 2501.19393).

Draw = Callable[[LlamaContext], int]
Ended = Literal["end", "length", "stopped"]


class Decoding:
    """One answer in progress: the context has read the prompt, which ends inside reasoning if `thinking`."""

    def __init__(self, model: LlamaModel, context: LlamaContext, thinking: bool) -> None:
        self._model, self._context, self._tags = model, context, model.tags
        self.splitter = Splitter(model.tags, thinking)
        self.tokens = 0  # of reasoning and answer together
        self.ended: Ended = "length"

    def run(
        self, answerer: Draw, most: int, thinker: Draw, think: int, stop: Stop
    ) -> Generator[Reasoning | Delta, None, None]:
        """Write at most so many tokens of the answer, and of reasoning before it."""
        splitter = self.splitter
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        drawn: dict[bool, int] = {True: 0, False: 0}
        while splitter.thinking or drawn[False] < most:
            thinking = splitter.thinking
            if stop is not None and stop():
                self.ended = "stopped"
                break
            if thinking and drawn[True] >= think:
                yield from self._end()
                continue
            token = (thinker if thinking else answerer)(self._context)
            if self._model.c.llama_vocab_is_eog(self._model.vocab, token):
                if thinking:
                    yield from self._end()
                    continue
                self.ended = "end"
                break
            drawn[thinking] += 1
            yield from _events(splitter.feed(decoder.decode(self._piece(token))))
            if not thinking and not splitter.thinking and drawn[False] >= most:
                break
            if not self._context.decode([token], None):
                break
            if thinking and not splitter.thinking and self._tags is not None and self._tags.then:
                self._put(self._tags.then)
        self.tokens = sum(drawn.values())
        # A truncated character shows as a replacement character.
        yield from _events(splitter.feed(decoder.decode(b"", final=True)))
        yield from _events(splitter.shut())

    def _end(self) -> Generator[Reasoning | Delta, None, None]:
        """End the reasoning in the model's memory and in the output."""
        yield from _events(self.splitter.shut())
        assert self._tags is not None
        self._put(self._tags.end)

    def _put(self, text: str) -> None:
        self._context.decode(self._model.tokenize(text, special=True), None)

    def _piece(self, token: int) -> bytes:
        """Return the text of a token; special ones only if they belong to the reasoning tags."""
        piece = self._model.piece(token, special=False)
        if piece or self._tags is None:
            return piece
        special = self._model.piece(token, special=True)
        return special if any(special.decode("utf-8", "replace") in tag for tag in self._tags.all) else b""


def _events(parted: Any) -> Generator[Reasoning | Delta, None, None]:
    kinds: dict[Kind, type[Reasoning] | type[Delta]] = {"reasoning": Reasoning, "answer": Delta}
    for kind, text in parted:
        yield kinds[kind](text)


# --- sampling -----------------------------------------------------------------------------------------------


@contextmanager
def sampler(model: LlamaModel, temperature: float, seed: int, grammar: str | None) -> Iterator[Draw]:
    """Yield a function that draws the next token, from llama.cpp's samplers; raise ValueError if `grammar` is not GBNF.

    A grammar takes long to look at each token of a vocabulary, so the likeliest is drawn first: if the grammar allows
    it, that is the result (docs/decisions/0058-generation-speed.md).
    """
    c = model.c
    chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    likeliest = c.llama_sampler_init_greedy()
    rules: Any = None

    def draw(context: LlamaContext) -> int:
        if rules is not None and temperature <= 0:
            token = context.sample(likeliest)
            if _allows(c, rules, token):
                c.llama_sampler_accept(rules, token)
                return token
        return context.sample(chain)

    try:
        if grammar is not None:
            rules = c.llama_sampler_init_grammar(model.vocab, grammar.encode(), b"root")
            if not rules:
                raise ValueError(f"not a GBNF grammar: {grammar!r}")
            c.llama_sampler_chain_add(chain, rules)
        steps = (
            [c.llama_sampler_init_greedy()]
            if temperature <= 0
            else [
                c.llama_sampler_init_top_k(40),
                c.llama_sampler_init_top_p(0.95, 1),
                c.llama_sampler_init_temp(temperature),
                c.llama_sampler_init_dist(seed),
            ]
        )
        for step in steps:
            c.llama_sampler_chain_add(chain, step)
        yield draw
    finally:
        c.llama_sampler_free(chain)
        c.llama_sampler_free(likeliest)


def _allows(c: Any, rules: Any, token: int) -> bool:
    one = (c.llama_token_data * 1)((token, 0.0, 0.0))
    c.llama_sampler_apply(rules, ctypes.byref(c.llama_token_data_array(one, 1, -1, False)))
    return bool(one[0].logit == 0.0)
