"""The memory of a running model: what it has read, in which batches, and how it computes.

One sequence is kept. Its keys and values can be cut back to the end of a batch, taken out as bytes and put in again.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from localrag.errors import ModelError
from localrag.llm import batching
from localrag.llm.llama_model import LlamaModel
from localrag.models import machine
from localrag.types import FlashAttention, KvType

_STEP = 1024  # windows grow in these steps
_ABORTED = 2  # what llama_decode returns when the abort callback said so
_FLASH: dict[FlashAttention, int] = {"auto": -1, "off": 0, "on": 1}
_KV_TYPES: dict[KvType, tuple[int, float]] = {"f16": (1, 2.0), "q8_0": (8, 34 / 32)}  # ggml's number, bytes a value


@dataclass(frozen=True, slots=True)
class Running:
    """How a model runs. Threads apart, all of it decides the last bits of what it computes."""

    threads: int
    flash_attention: FlashAttention = "auto"
    kv_type: KvType = "f16"


class LlamaContext:
    """A window of at least `size` tokens; `tokens` are what was read in it, `cuts` the ends of their batches.

    Raises:
        ModelError: the machine has no room for it.
    """

    def __init__(self, model: LlamaModel, size: int, running: Running, thread: ThreadPoolExecutor) -> None:
        self._model = model
        self._c = model.c
        self._thread = thread
        self.size = -(-size // _STEP) * _STEP
        self.tokens: list[int] = []
        self.cuts: list[int] = []
        self._stop: Callable[[], bool] | None = None  # asked by the abort callback
        # ctypes frees a callback that nobody holds.
        self._abort = self._c.ggml_abort_callback(lambda _: self._asked_to_stop())
        self._handle = self._open(running)
        self.flash_attention = self._flash(running.flash_attention)

    def _open(self, running: Running) -> Any:
        c = self._c
        params = c.llama_context_default_params()
        params.n_ctx = self.size
        params.n_batch = params.n_ubatch = batching.STEP
        params.n_threads = params.n_threads_batch = running.threads
        params.flash_attn_type = _FLASH[running.flash_attention]
        params.type_k = params.type_v = _KV_TYPES[running.kv_type][0]
        # Layers with a sliding window keep all tokens too: only then can what was read be cut back.
        params.swa_full = True
        self._model.said.clear()
        handle = c.llama_init_from_model(self._model.handle, params)
        if not handle:
            raise ModelError(
                f"the model {self._model.name!r} cannot open a window of {self.size:,} tokens: {self._model.why()}",
                "Set context_tokens (or, on a GPU, gpu_layers) lower, or choose a smaller model with `localrag models "
                "use`.",
            )
        if self._model.adapter is not None:
            adapters = (c.llama_adapter_lora_p_ctypes * 1)(self._model.adapter)
            c.llama_set_adapters_lora(handle, adapters, 1, (ctypes.c_float * 1)(1.0))
        return handle

    def _flash(self, asked: FlashAttention) -> bool:
        """Whether flash attention is in force; with "auto" llama.cpp decides, and tells it only in its log."""
        decided = [line for _, line in self._model.said if "set to" in line]
        return "enabled" in decided[-1] if asked == "auto" and decided else asked != "off"

    # --- computing ------------------------------------------------------------------------------------------

    def decode(self, tokens: Sequence[int], stop: Callable[[], bool] | None) -> bool:
        """Run one batch through the model; False where `stop` ended it, and then nothing of it stays.

        Raises:
            ModelError: the model failed.
        """
        if stop is not None and stop():
            return False
        self._stop = stop
        # llama.cpp asks before every operation, so the callback is only set where a batch takes seconds.
        callback = self._abort if stop is not None else self._c.ggml_abort_callback()
        self._c.llama_set_abort_callback(self._handle, callback, None)
        array = (self._c.llama_token * len(tokens))(*tokens)
        batch = self._c.llama_batch_get_one(array, len(tokens))
        result = self._in_own_thread(self._c.llama_decode, self._handle, batch)
        if result == 0:
            self.tokens += tokens
            self.cuts.append(len(self.tokens))
            return True
        self.cut(len(self.tokens))
        if result == _ABORTED:
            return False
        raise ModelError(
            f"the model {self._model.name!r} failed ({result}): {self._model.why()}",
            "Try again with a shorter question.",
        )

    def sample(self, sampler: Any) -> int:
        """The next token, drawn from what the last batch left."""
        return int(self._c.llama_sampler_sample(sampler, self._handle, -1))

    def logits(self) -> Any:
        """What the last batch left: a score for each token of the vocabulary."""
        return self._c.llama_get_logits_ith(self._handle, -1)

    def scores(self) -> Any:
        """The same, copied, as an array of float32."""
        import numpy as np

        count = self._c.llama_vocab_n_tokens(self._model.vocab)
        return np.ctypeslib.as_array(self.logits(), shape=(count,)).copy()

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

    # --- what was read --------------------------------------------------------------------------------------

    def cut(self, position: int) -> int:
        """Forget what was read behind the end of a batch; all of it, where the memory cannot be cut there.

        Recurrent layers cannot be cut at all. Layers with a sliding window can, but a state of them holds no more than
        that window, so not back to before the end of a state that was put in. Returns what stays.
        """
        memory = self._c.llama_get_memory(self._handle)
        needed = max(0, position - self._model.sliding_window)
        whole = position == 0 or self._c.llama_memory_seq_pos_min(memory, 0) <= needed
        if not whole or not self._c.llama_memory_seq_rm(memory, 0, position, -1):
            self._c.llama_memory_clear(memory, True)
            position = 0
        del self.tokens[position:]
        self.cuts = [cut for cut in self.cuts if cut <= position]
        return position

    def state(self) -> memoryview:
        """The memory of all that was read, as bytes."""
        size = self._c.llama_state_seq_get_size(self._handle, 0)
        state = bytearray(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = self._c.llama_state_seq_get_data(self._handle, buffer, size, 0)
        return memoryview(state)[:written]

    def restore(self, state: bytearray | memoryview, tokens: Sequence[int], ends: Sequence[int]) -> bool:
        """Put the state of these tokens in place of what was read; where it does not fit, False, and nothing stays."""
        memory = self._c.llama_get_memory(self._handle)
        self.tokens, self.cuts = [], []
        self._c.llama_memory_clear(memory, True)
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        taken = self._c.llama_state_seq_set_data(self._handle, buffer, len(state), 0) == len(state)
        if taken and self._c.llama_memory_seq_pos_max(memory, 0) == len(tokens) - 1:
            self.tokens, self.cuts = list(tokens), list(ends)
            return True
        self._c.llama_memory_clear(memory, True)
        return False

    def close(self) -> None:
        if self._handle is not None:
            self._c.llama_free(self._handle)
            self._handle = None


def bytes_per_token(model: LlamaModel, running: Running) -> int:
    """Bytes that the state of one token takes, at most."""
    return int(model.values_per_token() * _KV_TYPES[running.kv_type][1])


def check_memory(model: LlamaModel, size: int, held: int, running: Running) -> None:
    """Refuse a window that this machine cannot hold, before the system kills the process for it.

    Args:
        held: tokens of a window that is given up for it.

    Raises:
        ModelError: it does not fit.
    """
    each, free = bytes_per_token(model, running), machine.available_memory()
    if free is not None and size * each > free + held * each:
        fits = max(0, (free // each + held) // _STEP * _STEP)
        raise ModelError(
            f"a window of {size:,} tokens needs {size * each / 1e9:.1f} GB, and {(free + held * each) / 1e9:.1f} GB "
            "are free",
            f"Set context_tokens to {fits:,} or less, or choose a smaller model with `localrag models use`.",
        )
