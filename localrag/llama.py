"""llama.cpp in this process: a GGUF model, its context, and the tokens it has read.

Uses llama-cpp-python's C interface, because the `Llama` class cannot stop in the middle of a prompt, copies logits
that nobody reads, and keeps states in a form that cannot be encrypted on their way to the disk. One sequence is kept;
a prompt that begins as the last one did is read from the last cut that they share (`cuts.py`), so that an answer
does not depend on what was read before it.

Runs native code on the model file: only files whose hash was verified belong here.
"""

from __future__ import annotations

import codecs
import ctypes
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Literal

from localrag import cuts, machine
from localrag.chat_template import ChatTemplate
from localrag.cuts import Prefix, Prompt
from localrag.errors import ModelError
from localrag.generation import Completed, StateStore, Weighed
from localrag.types import Delta, Message, PromptRead, Usage

_STEP = 1024  # the window grows in these steps
_ROOM = 512  # kept free behind a prompt that is only weighed, since an answer mostly follows
_ABORTED = 2  # what llama_decode returns when the abort callback said so


class LlamaGenerator:
    """A quantized model run by llama.cpp.

    Args:
        model: the id to report.
        path: the .gguf file, already verified.
        adapter: a LoRA adapter in GGUF form, or None.
        context: size of the window in tokens; 0 sizes it to what is asked, up to what the model was trained on.
        threads: 0 takes all cores.
        gpu_layers: layers on the GPU; -1 for all.

    Raises:
        ModelError: the file is no model, or it does not fit the memory.
    """

    def __init__(
        self, model: str, path: Path, *, adapter: Path | None = None, context: int = 0, threads: int = 0,
        gpu_layers: int = -1,
    ) -> None:  # fmt: skip
        import llama_cpp

        self._c: Any = llama_cpp
        self._said = _silence(llama_cpp)
        self._name = model if adapter is None else f"{model}+{adapter.stem}"
        self._threads = threads or machine.cores()
        self._adapter_path = adapter
        self._context: Any = None
        self._size = 0
        self._tokens: list[int] = []
        self._cuts: list[int] = []  # the ends of the batches that they were read in
        self._stop: Callable[[], bool] | None = None  # asked by the abort callback
        self._thread = ThreadPoolExecutor(1, "llama")
        # ctypes frees a callback that nobody holds.
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._asked_to_stop())
        self._load(path, gpu_layers)
        trained = int(self._c.llama_model_n_ctx_train(self._model))
        self._window = min(context or trained, trained)
        if context:
            self._open(self._window)

    def _load(self, path: Path, gpu_layers: int) -> None:
        c = self._c
        c.llama_backend_init()
        params = c.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self._said.clear()
        self._model = c.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ModelError(f"cannot load {str(path)!r}: {self._why()}", "Check it with: localrag models verify")
        self._vocab = c.llama_model_get_vocab(self._model)
        self._adapter: Any = None
        if self._adapter_path is not None:
            self._adapter = c.llama_adapter_lora_init(self._model, str(self._adapter_path).encode())
            if not self._adapter:
                raise ModelError(
                    f"the adapter {self._adapter_path.name!r} does not fit {self._name!r}: {self._why()}",
                    "Choose it without: localrag models use ID",
                )
        source = c.llama_model_chat_template(self._model, None)
        bos, eos = (self._special(c.llama_vocab_bos), self._special(c.llama_vocab_eos))
        self._template = ChatTemplate(source.decode() if source else None, bos, eos)

    def _open(self, size: int) -> None:
        """Make a context of at least `size` tokens; what was read is carried over."""
        c = self._c
        size = min(-(-size // _STEP) * _STEP, max(self._window, size))
        self._check_memory(size)
        state, read = (self._state(), (self._tokens, self._cuts)) if self._tokens else (None, ([], []))
        self._free_context()
        params = c.llama_context_default_params()
        params.n_ctx = size
        params.n_batch = params.n_ubatch = cuts.STEP
        params.n_threads = params.n_threads_batch = self._threads
        self._said.clear()
        self._context = c.llama_init_from_model(self._model, params)
        if not self._context:
            raise ModelError(
                f"the model {self._name!r} cannot open a window of {size:,} tokens: {self._why()}",
                "Set context_tokens lower, or choose a smaller model with `localrag models use`.",
            )
        self._size = size
        if self._adapter is not None:
            adapters = (c.llama_adapter_lora_p_ctypes * 1)(self._adapter)
            c.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(1.0))
        if state is not None and self._restore(state):
            self._tokens, self._cuts = read

    def _check_memory(self, size: int) -> None:
        """Refuse a window that this machine cannot hold, before the system kills the process for it."""
        need, free = size * self._bytes_per_token(), machine.available_memory()
        held = self._size * self._bytes_per_token()
        if free is not None and need > free + held:
            fits = max(0, (free + held) // self._bytes_per_token() // _STEP * _STEP)
            raise ModelError(
                f"a window of {size:,} tokens needs {need / 1e9:.1f} GB, and {(free + held) / 1e9:.1f} GB are free",
                f"Set context_tokens to {fits:,} or less, or choose a smaller model with `localrag models use`.",
            )

    def _bytes_per_token(self) -> int:
        """Bytes of the state of one token: keys and values of every layer in 16 bits."""
        c, m = self._c, self._model
        heads = max(1, c.llama_model_n_head(m))
        width = c.llama_model_n_embd(m) // heads * c.llama_model_n_head_kv(m)
        return int(c.llama_model_n_layer(m) * width * 2 * 2)

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        return self._name

    @property
    def window(self) -> int:
        return self._window

    def count(self, text: str) -> int:
        return len(self._tokenize(text, special=False))

    def overhead(self, messages: int) -> int:
        empty = [Message("system", "x")] + [
            Message("user" if i % 2 == 0 else "assistant", "x") for i in range(messages)
        ]
        return len(self._encode(empty))

    # --- generating -----------------------------------------------------------------------------------------

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str | None = None,
        stop: Callable[[], bool] | None = None,
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Delta | Completed]:
        began = time.monotonic()
        prompt = self._prompt(messages, max_tokens)
        max_tokens = min(max_tokens, self._window - len(prompt))
        reused = self._rewind(prompt, states)
        yield from self._read(prompt, reused, stop, states)
        if len(self._tokens) < len(prompt):
            yield Completed("", Usage(len(self._tokens), reused, 0), "stopped", time.monotonic() - began)
            return
        read = time.monotonic()
        sampler = self._sampler(temperature, seed, grammar)
        try:
            text, written, ended = yield from self._write(sampler, max_tokens, stop)
        finally:
            self._c.llama_sampler_free(sampler)
        usage = Usage(len(prompt), reused, written)
        yield Completed(text, usage, ended, read - began, time.monotonic() - read)

    def weigh(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        stop: Callable[[], bool] | None = None,
        states: StateStore | None = None,
    ) -> Iterator[PromptRead | Weighed]:
        began = time.monotonic()
        prompt = self._prompt(messages, _ROOM)
        reused = self._rewind(prompt, states)
        yield from self._read(prompt, reused, stop, states)
        usage = Usage(len(self._tokens), reused, 0)
        if len(self._tokens) < len(prompt):
            yield Weighed((), usage, time.monotonic() - began)
            return
        logits = self._c.llama_get_logits_ith(self._context, -1)
        scores = [float(logits[self._tokenize(option, special=False)[0]]) for option in options]
        odds = [math.exp(score - max(scores)) for score in scores]
        yield Weighed(tuple(value / sum(odds) for value in odds), usage, time.monotonic() - began)

    def read(
        self, messages: Sequence[Message], *, stop: Callable[[], bool] | None = None, states: StateStore | None = None
    ) -> Iterator[PromptRead]:
        prefixes = self.prefixes(messages)
        if not prefixes:
            return
        last = prefixes[-1]
        prompt = Prompt(last.tokens, last.cuts, tuple(len(prefix.tokens) for prefix in prefixes))
        self._make_room(prompt, _ROOM)
        yield from self._read(prompt, self._rewind(prompt, states, whole=True), stop, states)

    def prefixes(self, messages: Sequence[Message]) -> list[Prefix]:
        return self._encode(messages).prefixes()

    def _prompt(self, messages: Sequence[Message], room: int) -> Prompt:
        """A prompt, with a window that has room for as many more tokens.

        Raises:
            ModelError: it does not fit the window.
        """
        prompt = self._encode(messages)
        self._make_room(prompt, room)
        return prompt

    def _make_room(self, prompt: Prompt, room: int) -> None:
        if len(prompt) + 1 > self._window:
            raise ModelError(
                f"the prompt has {len(prompt):,} tokens and the window of {self._name!r} {self._window:,}",
                "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
            )
        needed = min(len(prompt) + room, self._window)
        if self._context is None or needed > self._size:
            self._open(needed)

    def _rewind(self, prompt: Prompt, states: StateStore | None, *, whole: bool = False) -> int:
        """Go back to the last cut that the prompt shares with what was read, or to a kept state; returns tokens reused.

        With `whole` all of the prompt may be there already.
        """
        kept = cuts.shared(self._tokens, self._cuts, prompt)
        if whole and tuple(self._tokens) == prompt.tokens and tuple(self._cuts) == prompt.cuts:
            kept = len(prompt)
        if states is not None:
            for prefix in reversed(prompt.prefixes()):
                if len(prefix.tokens) <= kept:
                    break
                state = states.get(prefix)
                if state is not None:
                    if self._restore(state):
                        self._tokens, self._cuts = list(prefix.tokens), list(prefix.cuts)
                        return len(prefix.tokens)
                    kept = 0
        return self._cut(kept)

    def _cut(self, position: int) -> int:
        """Forget what was read behind a cut; all of it, where the model's memory cannot be cut. Returns what stays."""
        memory = self._c.llama_get_memory(self._context)
        if not self._c.llama_memory_seq_rm(memory, 0, position, -1):
            self._c.llama_memory_clear(memory, True)
            position = 0
        del self._tokens[position:]
        self._cuts = [cut for cut in self._cuts if cut <= position]
        return position

    def _read(
        self, prompt: Prompt, done: int, stop: Callable[[], bool] | None, states: StateStore | None
    ) -> Iterator[PromptRead]:
        """Read the prompt from `done` on; where it is stopped, `self._tokens` is shorter than the prompt."""
        yield PromptRead(done, len(prompt))
        prefixes = {len(prefix.tokens): prefix for prefix in prompt.prefixes()}
        self._keep(prefixes.get(done), states)
        for end in prompt.cuts:
            if end <= done:
                continue
            if not self._decode(prompt.tokens[done:end], stop):
                return
            done = end
            self._keep(prefixes.get(done), states)
            yield PromptRead(done, len(prompt))

    def _keep(self, prefix: Prefix | None, states: StateStore | None) -> None:
        if prefix is not None and states is not None and not states.has(prefix):
            states.put(prefix, self._state())

    def _write(
        self, sampler: Any, max_tokens: int, stop: Callable[[], bool] | None
    ) -> Generator[Delta, None, tuple[str, int, Literal["end", "length", "stopped"]]]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text, written = "", 0
        ended: Literal["end", "length", "stopped"] = "length"
        while written < max_tokens:
            if stop is not None and stop():
                ended = "stopped"
                break
            token = self._c.llama_sampler_sample(sampler, self._context, -1)
            if self._c.llama_vocab_is_eog(self._vocab, token):
                ended = "end"
                break
            written += 1
            piece = decoder.decode(self._piece(token, special=False))
            if piece:
                text += piece
                yield Delta(piece)
            if written < max_tokens and not self._decode([token], None):
                break
        return text + decoder.decode(b"", final=True), written, ended

    def _decode(self, tokens: Sequence[int], stop: Callable[[], bool] | None) -> bool:
        """Run tokens through the model; False where `stop` ended it, and then nothing of them stays."""
        if stop is not None and stop():
            return False
        self._stop = stop
        # llama.cpp asks before every operation, so the callback is only set where a batch takes seconds.
        callback = self._abort if stop is not None else self._c.ggml_abort_callback()
        self._c.llama_set_abort_callback(self._context, callback, None)
        array = (self._c.llama_token * len(tokens))(*tokens)
        result = self._in_own_thread(
            self._c.llama_decode, self._context, self._c.llama_batch_get_one(array, len(tokens))
        )
        if result == 0:
            self._tokens += tokens
            self._cuts.append(len(self._tokens))
            return True
        self._cut(len(self._tokens))
        if result == _ABORTED:
            return False
        raise ModelError(
            f"the model {self._name!r} failed ({result}): {self._why()}", "Try again with a shorter question."
        )

    def _in_own_thread(self, call: Callable[..., int], *arguments: Any) -> int:
        """Call the native code in the thread that is only its.

        On processors with AMX, llama.cpp sets up the tile registers of a thread once and trusts them from then on.
        Embedders (onnxruntime, torch in bfloat16) set them up otherwise or let them go, and a model that shares their
        thread then writes nonsense or dies.
        """
        under_way = self._thread.submit(call, *arguments)
        try:
            return under_way.result()
        except BaseException:
            wait([under_way])  # nothing may be freed under it
            raise

    def _asked_to_stop(self) -> bool:
        return self._stop is not None and self._stop()

    def _sampler(self, temperature: float, seed: int, grammar: str | None) -> Any:
        c = self._c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        if grammar is not None:
            rules = c.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
            if not rules:
                raise ValueError(f"not a GBNF grammar: {grammar!r}")
            c.llama_sampler_chain_add(chain, rules)
        if temperature <= 0:
            c.llama_sampler_chain_add(chain, c.llama_sampler_init_greedy())
            return chain
        for step in (
            c.llama_sampler_init_top_k(40), c.llama_sampler_init_top_p(0.95, 1), c.llama_sampler_init_temp(temperature),
            c.llama_sampler_init_dist(seed),
        ):  # fmt: skip
            c.llama_sampler_chain_add(chain, step)
        return chain

    # --- tokens ---------------------------------------------------------------------------------------------

    def _encode(self, messages: Sequence[Message]) -> Prompt:
        """Tokens of a prompt, and where its reading is cut."""
        bos = self._c.llama_vocab_bos(self._vocab)
        tokens: list[int] = []
        ends: list[int] = []
        checkpoints: list[int] = []
        for piece in self._template.pieces(messages):
            tokens += self._tokenize(piece.text, special=piece.trusted)
            if not ends and self._c.llama_vocab_get_add_bos(self._vocab) and tokens[:1] != [bos]:
                tokens.insert(0, bos)
            if piece.ends:
                ends.append(len(tokens))
            if piece.stable:
                checkpoints.append(len(tokens))
        return cuts.lay(tokens, ends, checkpoints)

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        array = (self._c.llama_token * room)()
        count = self._c.llama_tokenize(self._vocab, data, len(data), array, room, False, special)
        if count < 0:
            raise ModelError(f"the model's tokenizer failed on {text[:40]!r}", "Choose another model.")
        return list(array[:count])

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 256
        buffer = ctypes.create_string_buffer(room)
        count = self._c.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = self._c.llama_token_to_piece(self._vocab, token, buffer, -count, 0, special)
        return buffer.raw[:count]

    def _special(self, which: Callable[[Any], int]) -> str:
        token = which(self._vocab)
        return "" if token < 0 else self._piece(token, special=True).decode("utf-8", "replace")

    # --- state ----------------------------------------------------------------------------------------------

    def _state(self) -> memoryview:
        size = self._c.llama_state_seq_get_size(self._context, 0)
        state = bytearray(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = self._c.llama_state_seq_get_data(self._context, buffer, size, 0)
        return memoryview(state)[:written]

    def _restore(self, state: bytearray | memoryview) -> bool:
        """Put a state in place of what was read; False where it does not fit, and then nothing is kept."""
        self._tokens, self._cuts = [], []
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        if self._c.llama_state_seq_set_data(self._context, buffer, len(state), 0) == len(state):
            return True
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)
        return False

    def _why(self) -> str:
        errors = [line for line in self._said if line]
        return errors[-1] if errors else "llama.cpp gave no reason"

    def _free_context(self) -> None:
        if self._context is not None:
            self._c.llama_free(self._context)
        self._context, self._size, self._tokens, self._cuts = None, 0, [], []

    def close(self) -> None:
        """Give the memory back."""
        self._thread.shutdown()
        self._free_context()
        if self._model is not None:
            self._c.llama_model_free(self._model)
            self._model = None


_log_keeper: list[Any] = []
_log_lines: list[str] = []


def _silence(llama_cpp: Any) -> list[str]:
    """Keep llama.cpp off the terminal; its last error lines are kept for messages."""
    if not _log_keeper:
        error = 4  # GGML_LOG_LEVEL_ERROR

        def listen(level: int, text: bytes, _: Any) -> None:
            if level == error:
                _log_lines.append(text.decode("utf-8", "replace").strip())
                del _log_lines[:-20]

        callback = llama_cpp.llama_log_callback(listen)
        _log_keeper.append(callback)
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return _log_lines
