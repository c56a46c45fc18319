"""A GGUF model in memory: its weights, its words (tokens) and its template. `llama_context.py` runs it.

Runs native code on the model file: only files whose hash was verified belong here.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from localrag.errors import ModelError
from localrag.llm import batching
from localrag.llm.batching import Prompt
from localrag.llm.chat_template import ChatTemplate
from localrag.llm.reasoning import Tags
from localrag.types import Message, Weights

# Shares of the layers that are tried on the GPU, one after the other, where all of them do not fit its memory.
_SHARES = (0.75, 0.5, 0.25, 0.0)
# How often a thread looks for the others before it sleeps. Beside a busy process it looks for one that cannot run, and
# by default so long that two threads compute less than one (docs/decisions/0035-worker-process.md).
_SPINS = "1000"
_ERROR, _INFO = 4, 2  # levels of llama.cpp's log


class LlamaModel:
    """The weights, loaded once.

    Args:
        name: the id of the model, for messages.
        path: the .gguf file, already verified.
        adapter: a LoRA adapter in GGUF form, or None.
        gpu_layers: layers on the GPU; -1 for all, or as many as fit.
        weights: how they reach the memory (see `LlamaGenerator`).

    Raises:
        ModelError: the file is no model, or the adapter does not fit it.
    """

    def __init__(
        self, name: str, path: Path, *, adapter: Path | None = None, gpu_layers: int = -1, weights: Weights = "map"
    ) -> None:
        # Read when the library is loaded; who sets one of these knows better.
        if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
            os.environ["GOMP_SPINCOUNT"] = _SPINS
        import llama_cpp

        self.c: Any = llama_cpp
        self.name = name if adapter is None else f"{name}+{adapter.stem}"
        self.said = _listen(llama_cpp)
        self.gpu_layers = 0
        self.c.llama_backend_init()
        self.handle = self._load(path, gpu_layers, weights)
        if not self.handle:
            raise ModelError(f"cannot load {str(path)!r}: {self.why()}", "Check it with: localrag models verify")
        self.vocab = self.c.llama_model_get_vocab(self.handle)
        self.adapter = self._adapted(adapter)
        source = self.c.llama_model_chat_template(self.handle, None)
        self._template = ChatTemplate(
            source.decode() if source else None, self._special(self.c.llama_vocab_bos),
            self._special(self.c.llama_vocab_eos),
        )  # fmt: skip

    def _load(self, path: Path, gpu_layers: int, weights: Weights) -> Any:
        params = self.c.llama_model_default_params()
        params.use_mlock, params.use_mmap = weights == "lock", weights != "load"
        for layers in self._tries(path, gpu_layers):
            params.n_gpu_layers = layers
            self.said.clear()
            handle = self.c.llama_model_load_from_file(str(path).encode(), params)
            if handle:
                offloads = self.c.llama_supports_gpu_offload()
                most = self.c.llama_model_n_layer(handle)
                self.gpu_layers = (most if layers < 0 else min(layers, most)) if offloads else 0
                return handle
        return None

    def _tries(self, path: Path, gpu_layers: int) -> Iterator[int]:
        """Numbers of layers to put on the GPU, until one is taken."""
        yield gpu_layers
        if gpu_layers < 0 and self.c.llama_supports_gpu_offload() and path.is_file():
            params = self.c.llama_model_default_params()
            params.vocab_only = True
            handle = self.c.llama_model_load_from_file(str(path).encode(), params)
            if handle:
                layers = int(self.c.llama_model_n_layer(handle))
                self.c.llama_model_free(handle)
                yield from (int(layers * share) for share in _SHARES)

    def _adapted(self, adapter: Path | None) -> Any:
        if adapter is None:
            return None
        found = self.c.llama_adapter_lora_init(self.handle, str(adapter).encode())
        if not found:
            raise ModelError(
                f"the adapter {adapter.name!r} does not fit {self.name!r}: {self.why()}",
                "Choose it without: localrag models use ID",
            )
        return found

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def trained(self) -> int:
        """The longest window: what the model was trained on.

        Models with two sets of RoPE factors (longrope) choose between them by the size of the window, and a state made
        with one is nonsense to the other. They stay within the length of the first.
        """
        length = int(self.c.llama_model_n_ctx_train(self.handle))
        family = self._meta("general.architecture")
        first = self._meta(f"{family}.rope.scaling.original_context_length")
        two = self._meta(f"{family}.rope.scaling.type") == "longrope" or family in ("phi3", "phimoe", "minicpm3")
        return min(length, int(first)) if two and first.isdigit() and int(first) else length

    @property
    def forgets(self) -> bool:
        """Whether its memory is, or holds, a running summary (recurrent layers), which cannot be cut back."""
        return bool(self.c.llama_model_is_recurrent(self.handle) or self.c.llama_model_is_hybrid(self.handle))

    @property
    def sliding_window(self) -> int:
        """Tokens that its sliding-window layers look back; 0 where it has none."""
        return int(self.c.llama_model_n_swa(self.handle))

    @property
    def layers(self) -> int:
        return int(self.c.llama_model_n_layer(self.handle))

    def values_per_token(self) -> int:
        """Keys and values that are kept of one token, over all layers."""
        c, m = self.c, self.handle
        heads = max(1, c.llama_model_n_head(m))
        width = c.llama_model_n_embd(m) // heads * c.llama_model_n_head_kv(m)
        return int(self.layers * width * 2)

    def why(self) -> str:
        """The last error that llama.cpp told of."""
        errors = [line for level, line in self.said if line and level == _ERROR]
        return errors[-1] if errors else "llama.cpp gave no reason"

    def _meta(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(128)
        found = self.c.llama_model_meta_val_str(self.handle, key.encode(), buffer, 128)
        return buffer.value.decode("utf-8", "replace") if found >= 0 else ""

    # --- tokens ---------------------------------------------------------------------------------------------

    @property
    def tags(self) -> Tags | None:
        """What stands around a thought, where its template knows any."""
        return self._template.tags

    @property
    def thinks(self) -> bool:
        """Whether it has a thinking mode, as far as its template tells."""
        return self._template.thinks

    def encode(self, messages: Sequence[Message], think: bool = False) -> Prompt:
        """Tokens of a prompt, and where its reading is cut; with `think` it ends inside a thought."""
        bos = self.c.llama_vocab_bos(self.vocab)
        tokens: list[int] = []
        ends: list[int] = []
        checkpoints: list[int] = []
        for piece in self._template.pieces(messages, think):
            tokens += self.tokenize(piece.text, special=piece.trusted)
            if not ends and self.c.llama_vocab_get_add_bos(self.vocab) and tokens[:1] != [bos]:
                tokens.insert(0, bos)
            if piece.ends:
                ends.append(len(tokens))
            if piece.stable:
                checkpoints.append(len(tokens))
        return batching.lay(tokens, ends, checkpoints)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 8
        array = (self.c.llama_token * room)()
        count = self.c.llama_tokenize(self.vocab, data, len(data), array, room, False, special)
        if count < 0:  # words may take more tokens than bytes: a space can be three
            array = (self.c.llama_token * -count)()
            count = self.c.llama_tokenize(self.vocab, data, len(data), array, -count, False, special)
        if count < 0:
            raise ModelError(f"the model's tokenizer failed on {text[:40]!r}", "Choose another model.")
        return list(array[:count])

    def piece(self, token: int, *, special: bool) -> bytes:
        room = 256
        buffer = ctypes.create_string_buffer(room)
        count = self.c.llama_token_to_piece(self.vocab, token, buffer, room, 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = self.c.llama_token_to_piece(self.vocab, token, buffer, -count, 0, special)
        return buffer.raw[:count]

    def _special(self, which: Callable[[Any], int]) -> str:
        token = which(self.vocab)
        return "" if token < 0 else self.piece(token, special=True).decode("utf-8", "replace")

    def close(self) -> None:
        if self.handle is not None:
            self.c.llama_model_free(self.handle)
            self.handle = None


_keeper: list[Any] = []
_lines: list[tuple[int, str]] = []


def _listen(llama_cpp: Any) -> list[tuple[int, str]]:
    """Keep llama.cpp off the terminal; its last lines, with their levels, are kept for messages."""
    if not _keeper:

        def listen(level: int, text: bytes, _: Any) -> None:
            if level == _ERROR or (level == _INFO and b"lash" in text):
                _lines.append((level, text.decode("utf-8", "replace").strip()))
                del _lines[:-20]

        callback = llama_cpp.llama_log_callback(listen)
        _keeper.append(callback)
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return _lines
