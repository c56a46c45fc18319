"""A GGUF model in memory: weights, tokens and template; and the context that runs it.

Runs native code on the model file: load only files whose hash was verified.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from localrag import llm
from localrag.errors import ModelError
from localrag.llm import Prompt, Stop
from localrag.llm.chat_template import ChatTemplate, Tags
from localrag.models import catalog
from localrag.types import Message

# Shares of the layers to try on the GPU, in order, if its memory does not hold all.
_SHARES = (0.75, 0.5, 0.25, 0.0)
# How often a thread polls for the others before it sleeps. Beside a busy process the default makes two threads slower
# than one (docs/decisions/0035-worker-process.md).
_SPINS = "1000"
_ERROR = 4  # a level of llama.cpp's log
_STEP = 1024  # windows grow in these steps
_SEQUENCES = 18
_PROMPT, _BLOCK, _LINK = range(3)
_ABORTED = 2  # llama_decode's result after an abort
MAX_CHECKPOINTS = 1 << 28  # bytes, beyond which a context keeps two
# Families with layers of full attention that RoPE does not turn; llama.cpp would turn their keys when it moves them.
_UNTURNED = ("baichuan", "graniteswitch", "smollm3", "starcoder")


class LlamaModel:
    """The weights, loaded once; `name` is the id of the model, for messages. For the rest see `LlamaGenerator`."""

    def __init__(
        self, name: str, path: Path, *, adapter: Path | None = None, gpu_layers: int = -1, apart: bool = True
    ) -> None:
        # Read when the library is loaded; do not override the user's own setting.
        if not os.environ.keys() & {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}:
            os.environ["GOMP_SPINCOUNT"] = _SPINS
        import llama_cpp

        self.c: Any = llama_cpp
        self.name = name if adapter is None else f"{name}+{adapter.stem}"
        self._apart = apart
        self.log = _listen(llama_cpp)
        self.gpu_layers = 0
        _load_backends(Path(llama_cpp.__file__).with_name("lib"))
        self.c.llama_backend_init()
        self.handle = self._load(path, gpu_layers)
        if not self.handle:
            raise ModelError(f"cannot load {str(path)!r}: {self.why()}", "Check it with: localrag models verify")
        self.vocab = self.c.llama_model_get_vocab(self.handle)
        self.adapter: Any = None
        if adapter is not None:
            self.adapter = self.c.llama_adapter_lora_init(self.handle, str(adapter).encode())
            if not self.adapter:
                hint = "Choose it without: localrag models use ID"
                raise ModelError(f"the adapter {adapter.name!r} does not fit {self.name!r}: {self.why()}", hint)
        source = self.c.llama_model_chat_template(self.handle, None)
        self._template = ChatTemplate(
            source.decode() if source else None,
            self._special(self.c.llama_vocab_bos),
            self._special(self.c.llama_vocab_eos),
        )

    def _load(self, path: Path, gpu_layers: int) -> Any:
        params = self.c.llama_model_default_params()
        for layers in self._tries(path, gpu_layers):
            params.n_gpu_layers = layers
            self.log.clear()
            handle = self.c.llama_model_load_from_file(str(path).encode(), params)
            if handle:
                offloads = self.c.llama_supports_gpu_offload()
                most = self.c.llama_model_n_layer(handle)
                self.gpu_layers = (most if layers < 0 else min(layers, most)) if offloads else 0
                return handle
        return None

    def _tries(self, path: Path, gpu_layers: int) -> Iterator[int]:
        """Yield numbers of layers to try on the GPU."""
        yield gpu_layers
        if gpu_layers < 0 and self.c.llama_supports_gpu_offload() and path.is_file():
            params = self.c.llama_model_default_params()
            params.vocab_only = True
            handle = self.c.llama_model_load_from_file(str(path).encode(), params)
            if handle:
                layers = int(self.c.llama_model_n_layer(handle))
                self.c.llama_model_free(handle)
                yield from (int(layers * share) for share in _SHARES)

    # --- facts ----------------------------------------------------------------------------------------------

    @property
    def trained(self) -> int:
        """The longest window, which the model was trained on.

        Models with two sets of RoPE factors (longrope) choose by the size of the window, and states of one are useless
        to the other, so they stay within the length of the first.
        """
        length = int(self.c.llama_model_n_ctx_train(self.handle))
        family = self._meta("general.architecture")
        first = self._meta(f"{family}.rope.scaling.original_context_length")
        two = self._meta(f"{family}.rope.scaling.type") == "longrope" or family in ("phi3", "phimoe", "minicpm3")
        return min(length, int(first)) if two and first.isdigit() and int(first) else length

    @property
    def forgets(self) -> bool:
        """Whether it has recurrent layers, whose memory cannot be cut back."""
        return bool(self.c.llama_model_is_recurrent(self.handle) or self.c.llama_model_is_hybrid(self.handle))

    @property
    def sliding_window(self) -> int:
        """Tokens that its sliding-window layers look back; 0 without such layers."""
        return int(self.c.llama_model_n_swa(self.handle))

    @property
    def movable(self) -> bool:
        """Whether what it read can be moved to another place in a prompt; `why_not_movable` says why not."""
        return not self.why_not_movable

    @cached_property
    def why_not_movable(self) -> str:
        """Why what it read cannot be moved, in a few words, or "".

        Moving turns the keys of each token by RoPE's angle of the distance (`llama_memory_seq_add`), so each layer must
        have such keys, and of all tokens.
        """
        c = self.c
        if self.forgets:
            return "recurrent layers"
        if self.sliding_window:
            return "sliding window"
        turns = c.llama_model_rope_type(self.handle) in (c.LLAMA_ROPE_TYPE_NORM, c.LLAMA_ROPE_TYPE_NEOX)
        family = self._meta("general.architecture")
        scaling = {name: self._meta(f"{family}.rope.scaling.{name}") for name in ("type", "attn_factor", "finetuned")}
        # llama.cpp applies YaRN's factor to the keys again with each move.
        scaled = scaling["type"] in ("yarn", "longrope") or scaling["attn_factor"] or scaling["finetuned"] == "false"
        if family in _UNTURNED or scaled or not turns:
            return "no simple RoPE"
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = 1
        context = c.llama_init_from_model(self.handle, params)
        shifts = bool(context) and c.llama_memory_can_shift(c.llama_get_memory(context))
        if context:
            c.llama_free(context)
        return "" if shifts else "llama.cpp cannot move its keys"

    @property
    def width(self) -> int:
        """The keys and values of a token in one layer."""
        family, heads = self._meta("general.architecture"), self.c.llama_model_n_head(self.handle)
        plain = int(self.c.llama_model_n_embd(self.handle)) // max(1, heads)
        sizes = [self._meta(f"{family}.attention.{part}_length") for part in ("key", "value")]
        return sum(int(size or plain) for size in sizes) * self.heads

    @property
    def apart(self) -> bool:
        """Whether passages are read by themselves and moved to their place, or together."""
        return self._apart and self.movable

    @property
    def heads(self) -> int:
        """The heads of a layer that keep keys and values."""
        return int(self.c.llama_model_n_head_kv(self.handle))

    @property
    def layers(self) -> int:
        return int(self.c.llama_model_n_layer(self.handle))

    def why(self) -> str:
        """Return llama.cpp's last error."""
        return self.log[-1] if self.log else "llama.cpp gave no reason"

    def _meta(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(128)
        found = self.c.llama_model_meta_val_str(self.handle, key.encode(), buffer, 128)
        return buffer.value.decode("utf-8", "replace") if found >= 0 else ""

    # --- tokens ---------------------------------------------------------------------------------------------

    @property
    def tags(self) -> Tags | None:
        return self._template.tags

    @property
    def thinks(self) -> bool:
        return self._template.thinks

    def encode(self, messages: Sequence[Message], think: bool = False) -> Prompt:
        """Return the tokens of a prompt and its batches; with `think` it ends inside reasoning."""
        bos = self.c.llama_vocab_bos(self.vocab)
        tokens: list[int] = []
        ends: list[int] = []
        checkpoints: list[int] = []
        blocks: list[tuple[int, ...]] = []
        together = False
        for piece in self._template.pieces(messages, think):
            tokens += self.tokenize(piece.text, special=piece.trusted)
            if not ends and self.c.llama_vocab_get_add_bos(self.vocab) and tokens[:1] != [bos]:
                tokens.insert(0, bos)
            if piece.ends:
                ends.append(len(tokens))
            if piece.stable:
                checkpoints.append(len(tokens))
            if piece.block and self.apart:
                blocks.append((*(blocks.pop() if piece.continues else ()), len(tokens)))
            together = together or (piece.block and not self.apart)
        return llm.lay(tokens, ends, checkpoints, blocks, together=together)

    def tokenize(self, text: str, *, special: bool, markers: bool = False) -> list[int]:
        """Return the tokens of a text, with `markers` between the model's own begin and end."""
        data = text.encode()
        room = len(data) + 8
        array = (self.c.llama_token * room)()
        count = self.c.llama_tokenize(self.vocab, data, len(data), array, room, markers, special)
        if count < 0:  # a text may have more tokens than bytes: a space can be three
            array = (self.c.llama_token * -count)()
            count = self.c.llama_tokenize(self.vocab, data, len(data), array, -count, markers, special)
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
_lines: list[str] = []


@cache
def _load_backends(folder: Path) -> None:
    """Load the code for this processor, where llama.cpp was built for several kinds of them."""
    if any(folder.glob("libggml-cpu-*")):
        ctypes.CDLL(str(folder / "libllama.so")).ggml_backend_load_all_from_path(os.fsencode(folder))


def _listen(llama_cpp: Any) -> list[str]:
    """Keep llama.cpp off the terminal; return its last errors."""
    if not _keeper:

        def listen(level: int, text: bytes, _: Any) -> None:
            if level == _ERROR and text.strip():
                _lines[:] = [text.decode("utf-8", "replace").strip()]

        callback = llama_cpp.llama_log_callback(listen)
        _keeper.append(callback)
        llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return _lines


# --- a running model ----------------------------------------------------------------------------------------


class LlamaContext:
    """A window of at least `size` tokens: the `tokens` read so far, and `cuts`, the ends of their batches.

    The memory can be cut back anywhere from `settled` on, the end of a restored state with sliding windows, else 0; but
    with recurrent layers only to `checkpoints`, their states by position.
    """

    def __init__(self, model: LlamaModel, size: int, threads: int, thread: ThreadPoolExecutor) -> None:
        self._model = model
        self._c = model.c
        self._thread = thread
        self.size = -(-size // _STEP) * _STEP
        self.tokens: list[int] = []
        self.cuts: list[int] = []
        self.checkpoints: dict[int, memoryview] = {}
        self.settled = 0
        self.ready = False  # the scores for the next token are there
        self.forked: int | None = None  # what follows lies in two pieces, and is reused as a whole or not at all
        self.moving = False  # the keys of moved tokens are turned with the next batch
        self._scored = -1
        self._stop: Callable[[], bool] = lambda: False  # polled by the abort callback
        # ctypes frees a callback without references.
        self._abort = self._c.ggml_abort_callback(lambda _: self._stop())
        self._handle = self._open(threads)

    def _open(self, threads: int) -> Any:
        c = self._c
        params = c.llama_context_default_params()
        params.n_ctx = self.size
        params.n_batch = params.n_ubatch = llm.STEP
        params.n_threads = params.n_threads_batch = threads
        # The prompt, a passage that is moved, and the passages whose first tokens are read again, in the same memory.
        params.n_seq_max, params.kv_unified = _SEQUENCES if self._model.movable else 1, True
        # Keep all tokens in sliding-window layers too: only then can the memory be cut back.
        params.swa_full = True
        self._model.log.clear()
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

    # --- computing ------------------------------------------------------------------------------------------

    def decode(self, tokens: Sequence[int], stop: Stop) -> bool:
        """Run one batch through the model; return False, with nothing of it kept, if `stop` ended it."""
        array = (self._c.llama_token * len(tokens))(*tokens)
        if not self._run(self._c.llama_batch_get_one(array, len(tokens)), stop):
            return False
        self.tokens += tokens
        self.cuts.append(len(self.tokens))
        return True

    def fork(self, prompt: Prompt, other: Prompt, parting: int, stop: Stop) -> bool:
        """Read the ends of two prompts that part at `parting` in one batch, and go on with the other; see `decode`.

        `logits` then returns the scores after the first prompt, `sample` draws what follows the other.
        """
        base, memory = len(self.tokens), self._c.llama_get_memory(self._handle)
        self._c.llama_memory_seq_cp(memory, _PROMPT, _BLOCK, -1, -1)
        items: list[tuple[int, int, tuple[int, ...]]] = []
        items += [(token, at, (_PROMPT, _BLOCK)) for at, token in enumerate(prompt.tokens[base:parting], base)]
        items += [(token, at, (_BLOCK,)) for at, token in enumerate(prompt.tokens[parting:], parting)]
        self._scored = len(items) - 1
        items += [(token, at, (_PROMPT,)) for at, token in enumerate(other.tokens[parting:], parting)]
        try:
            with self._batch(items, {self._scored, len(items) - 1}) as batch:
                done = self._run(batch, stop)
        finally:
            self._c.llama_memory_seq_rm(memory, _BLOCK, -1, -1)
        if done:
            self.tokens += other.tokens[base:]
            self.cuts += [cut for cut in other.cuts if cut > base]
            self.ready, self.forked = True, base
        return done

    @contextmanager
    def _batch(self, items: Sequence[tuple[int, int, tuple[int, ...]]], scored: Collection[int]) -> Iterator[Any]:
        """Yield a batch of tokens, their positions and sequences, with scores after those at `scored`."""
        batch = self._c.llama_batch_init(len(items), 0, 2)
        try:
            batch.n_tokens = len(items)
            for n, (token, at, sequences) in enumerate(items):
                batch.token[n], batch.pos[n], batch.logits[n] = token, at, n in scored
                batch.n_seq_id[n] = len(sequences)
                for i, sequence in enumerate(sequences):
                    batch.seq_id[n][i] = sequence
            yield batch
        finally:
            self._c.llama_batch_free(batch)

    def _run(self, batch: Any, stop: Stop) -> bool:
        """Run a batch; return False, with nothing of it kept, if `stop` ended it."""
        if stop is not None and stop():
            return False
        self._stop = stop or self._stop
        # llama.cpp calls it before every operation, so set it only when a batch takes seconds.
        callback = self._abort if stop is not None else self._c.ggml_abort_callback()
        self._c.llama_set_abort_callback(self._handle, callback, None)
        result = self._in_own_thread(self._c.llama_decode, self._handle, batch)
        self.ready = False
        if result == 0:
            self.moving = False
            return True
        self.cut(len(self.tokens))
        if result == _ABORTED:
            return False
        hint = "Try again with a shorter question."
        raise ModelError(f"the model {self._model.name!r} failed ({result}): {self._model.why()}", hint)

    def sample(self, sampler: Any) -> int:
        """Draw the next token."""
        return int(self._c.llama_sampler_sample(sampler, self._handle, -1))

    def logits(self) -> Any:
        """Return a score for each token of the vocabulary; after `fork`, those of the first prompt."""
        return self._c.llama_get_logits_ith(self._handle, self._scored if self.ready else -1)

    def holds(self, prompt: Prompt) -> bool:
        """Return whether just this prompt was read."""
        return tuple(self.tokens) == prompt.tokens and tuple(self.cuts) == prompt.cuts

    def _in_own_thread(self, call: Callable[..., int], *arguments: Any) -> int:
        """Call native code in its own thread.

        On CPUs with AMX, llama.cpp sets a thread's tile registers once and then relies on them. Embedders (onnxruntime,
        torch in bfloat16) change them, and a model in the same thread would write nonsense or crash.
        """
        running = self._thread.submit(call, *arguments)
        try:
            return running.result()
        except BaseException:
            wait([running])  # free nothing while it runs
            raise

    # --- what was read --------------------------------------------------------------------------------------

    def reach(self, position: int) -> int:
        """Return the last position, at most this one, that the memory can be cut back to."""
        if position == len(self.tokens) or (position >= self.settled and not self._model.forgets):
            return position
        return max((at for at in self.checkpoints if at <= position), default=0)

    def cut(self, position: int) -> int:
        """Drop the tokens after the end of a batch, or as many more as needed; return what stays."""
        memory, wanted = self._c.llama_get_memory(self._handle), self.reach(position)
        # Recurrent layers refuse, also after a batch that was stopped, until a checkpoint is loaded.
        if not self._c.llama_memory_seq_rm(memory, 0, wanted, -1):
            wanted = max((at for at in self.checkpoints if at <= wanted), default=0)
            back = wanted and self._load(self.checkpoints[wanted], self._c.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
            wanted = wanted if back and self._c.llama_memory_seq_rm(memory, 0, wanted, -1) else 0
        if not wanted:
            self._c.llama_memory_clear(memory, True)
        del self.tokens[wanted:]
        self.cuts = [cut for cut in self.cuts if cut <= wanted]
        self.checkpoints = {at: state for at, state in self.checkpoints.items() if at <= wanted}
        self.settled = min(self.settled, wanted)
        if self.forked is not None and wanted <= self.forked:
            self.forked = None
        self.ready = False
        return wanted

    def check(self, stable: int) -> None:
        """Prepare to be cut back to here; a document ends at `stable`.

        Sliding windows are laid out there as a restored state is, which decides the last bits of what follows. With
        recurrent layers a checkpoint is kept; of too many the first, that at `stable` and the last stay longest.
        """
        here = len(self.tokens)
        again = self._model.sliding_window and self.settled < here == stable
        if again and not self.restore(self.state(), self.tokens, self.cuts):
            raise self._unfit()
        if self._model.forgets and here not in self.checkpoints:
            self.checkpoints[here] = self.state(self._c.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY)
        while len(self.checkpoints) > 2 and sum(map(len, self.checkpoints.values())) > MAX_CHECKPOINTS:
            first, *others = sorted(at for at in self.checkpoints if at not in (stable, here))
            del self.checkpoints[others[0] if others else first]

    def state(self, flags: int = 0, sequence: int = _PROMPT) -> memoryview:
        """Return the memory of everything read, or of the part that `flags` name, as bytes."""
        size = self._c.llama_state_seq_get_size_ext(self._handle, sequence, flags)
        state = bytearray(size)
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        return memoryview(state)[: self._c.llama_state_seq_get_data_ext(self._handle, buffer, size, sequence, flags)]

    def take(self, start: int) -> memoryview:
        """Return the state of the tokens from `start` on, and drop them."""
        memory = self._c.llama_get_memory(self._handle)
        self._c.llama_memory_seq_rm(memory, _BLOCK, -1, -1)  # an exception may have left it there
        self._c.llama_memory_seq_cp(memory, _PROMPT, _BLOCK, start, -1)
        state = self.state(sequence=_BLOCK)
        self._c.llama_memory_seq_rm(memory, _BLOCK, -1, -1)
        self.cut(start)
        return state

    def append(self, state: bytearray, tokens: Sequence[int], start: int) -> None:
        """Put tokens that were read from position `start` on behind all others. Raises ModelError if they don't fit."""
        memory = self._c.llama_get_memory(self._handle)
        if not self._load(state, 0, _BLOCK):
            self._c.llama_memory_seq_rm(memory, _BLOCK, -1, -1)
            raise self._unfit()
        self._c.llama_memory_seq_add(memory, _BLOCK, -1, -1, len(self.tokens) - start)
        self._c.llama_memory_seq_cp(memory, _BLOCK, _PROMPT, -1, -1)
        self._c.llama_memory_seq_rm(memory, _BLOCK, -1, -1)
        self.tokens += tokens
        self.cuts.append(len(self.tokens))
        self.moving = True

    def link(self, heads: Sequence[tuple[int, Sequence[int]]], stop: Stop) -> bool:
        """Read the first tokens of passages again in place: position and tokens of each; False if `stop` ended it."""
        memory = self._c.llama_get_memory(self._handle)
        for at, tokens in heads:
            self._c.llama_memory_seq_rm(memory, _PROMPT, at, at + len(tokens))
        for first in range(0, len(heads), _SEQUENCES - _LINK):
            group = list(enumerate(heads[first : first + _SEQUENCES - _LINK], _LINK))
            for number, (at, _) in group:
                self._c.llama_memory_seq_cp(memory, _PROMPT, number, 0, at)
            items = [(token, at + i, (number,)) for number, (at, tokens) in group for i, token in enumerate(tokens)]
            try:
                with self._batch(items, ()) as batch:
                    if not self._run(batch, stop):
                        return False
                for number, (at, tokens) in group:
                    self._c.llama_memory_seq_cp(memory, number, _PROMPT, at, at + len(tokens))
            finally:
                for number, _ in group:
                    self._c.llama_memory_seq_rm(memory, number, -1, -1)
        return True

    def restore(self, state: bytearray | memoryview, tokens: Sequence[int], ends: Sequence[int]) -> bool:
        """Replace the memory by the state of these tokens; return False, with nothing kept, if it does not fit."""
        memory = self._c.llama_get_memory(self._handle)
        self.tokens, self.cuts, self.checkpoints, self.settled = [], [], {}, 0
        self.ready, self.forked = False, None
        self._c.llama_memory_clear(memory, True)
        if self._load(state, 0) and self._c.llama_memory_seq_pos_max(memory, 0) == len(tokens) - 1:
            self.tokens, self.cuts = list(tokens), list(ends)
            self.settled = len(tokens) if self._model.sliding_window else 0
            return True
        self._c.llama_memory_clear(memory, True)
        return False

    def _unfit(self) -> ModelError:
        hint = "Choose another model with `localrag models use`."
        return ModelError(f"the model {self._model.name!r} cannot restore a state: {self._model.why()}", hint)

    def _load(self, state: bytearray | memoryview, flags: int, sequence: int = _PROMPT) -> bool:
        buffer, size = (ctypes.c_uint8 * len(state)).from_buffer(state), len(state)
        return bool(self._c.llama_state_seq_set_data_ext(self._handle, buffer, size, sequence, flags) == size)

    def close(self) -> None:
        if self._handle is not None:
            self._c.llama_free(self._handle)
            self._handle = None


def footprint(model: LlamaModel, threads: int, thread: ThreadPoolExecutor) -> tuple[int, int]:
    """Return the bytes that a state takes for each token, and those of its recurrent layers.

    With recurrent layers, which of several kinds are in a file that says so in several ways, two tokens are read.
    """
    if model.forgets:
        context = LlamaContext(model, 2, threads, thread)
        one, two = (len(context.state()) for _ in range(2) if context.decode([0], None))
        context.close()
        return two - one, 2 * one - two
    return 2 * model.layers * model.width, 0  # of 16 bits each


def check_memory(size: int, held: int, each: int, recurrent: int) -> None:
    """Refuse a window that does not fit the memory, before the system kills the process; `held` tokens are freed.

    `each` and `recurrent` are those of `footprint`; recurrent layers also have checkpoints.
    """
    beside = recurrent + min(recurrent * size // llm.STEP, max(MAX_CHECKPOINTS, 2 * recurrent))
    needed, free = size * each + beside, catalog.available_memory()
    if free is not None and needed > free + held * each + (beside if held else 0):
        fits, has = max(0, ((free - beside) // max(1, each) + held) // _STEP * _STEP), free + held * each
        raise ModelError(
            f"a window of {size:,} tokens needs {needed / 1e9:.1f} GB, and {has / 1e9:.1f} GB are free",
            f"Set context_tokens to {fits:,} or less, or choose a smaller model with `localrag models use`.",
        )
