"""Models of some hundred kilobytes that llama.cpp runs: random weights, but the memory of the real ones of their kind.

`sliding` looks back 32 tokens in most layers (gemma3), `recurrent` keeps a running summary instead of keys and values
(mamba). Their words are bytes.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, LAYERS, WORDS = 64, 6, 3 + 256
_STRING, _ARRAY = 8, 9


def sliding(path: Path, template: str = "") -> Path:
    """A gemma3 with a sliding window in five layers of six; `template` is its chat template."""
    head, wide = 32, 128
    block = {
        "attn_norm": (WIDTH,), "attn_q": (WIDTH, 2 * head), "attn_k": (WIDTH, head), "attn_v": (WIDTH, head),
        "attn_output": (2 * head, WIDTH), "attn_q_norm": (head,), "attn_k_norm": (head,),
        "post_attention_norm": (WIDTH,), "ffn_norm": (WIDTH,), "ffn_gate": (WIDTH, wide), "ffn_up": (WIDTH, wide),
        "ffn_down": (wide, WIDTH), "post_ffw_norm": (WIDTH,),
    }  # fmt: skip
    keys = {
        "feed_forward_length": wide, "attention.head_count": 2, "attention.head_count_kv": 1,
        "attention.key_length": head, "attention.value_length": head, "attention.sliding_window": 32,
    }  # fmt: skip
    return _write(path, "gemma3", keys, {f"{name}.weight": shape for name, shape in block.items()}, template)


def recurrent(path: Path) -> Path:
    """A mamba."""
    inner, state, rank, kernel = 2 * WIDTH, 16, 4, 4
    block = {
        "attn_norm.weight": (WIDTH,), "ssm_in.weight": (WIDTH, 2 * inner), "ssm_conv1d.weight": (kernel, inner),
        "ssm_conv1d.bias": (inner,), "ssm_x.weight": (inner, rank + 2 * state), "ssm_dt.weight": (rank, inner),
        "ssm_dt.bias": (inner,), "ssm_a": (state, inner), "ssm_d": (inner,), "ssm_out.weight": (inner, WIDTH),
    }  # fmt: skip
    keys = {
        "feed_forward_length": 0, "attention.head_count": 0, "ssm.conv_kernel": kernel, "ssm.inner_size": inner,
        "ssm.state_size": state, "ssm.time_step_rank": rank,
    }  # fmt: skip
    return _write(path, "mamba", keys, block)


def _write(
    path: Path, family: str, keys: dict[str, int], block: dict[str, tuple[int, ...]], template: str = ""
) -> Path:
    """A GGUF file, version 3, all weights float32."""
    values: dict[str, Any] = {
        "general.architecture": family, f"{family}.context_length": 8192, f"{family}.embedding_length": WIDTH,
        f"{family}.block_count": LAYERS, f"{family}.attention.layer_norm_rms_epsilon": 1e-6,
        **{f"{family}.{key}": value for key, value in keys.items()},
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        "tokenizer.ggml.scores": [0.0] * WORDS, "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256,
        **({"tokenizer.chat_template": template} if template else {}),
        "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.unknown_token_id": 0,
    }  # fmt: skip
    shapes = {"token_embd.weight": (WIDTH, WORDS), "output_norm.weight": (WIDTH,), "output.weight": (WIDTH, WORDS)}
    shapes |= {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in block.items()}
    tensors = {name: _weights(name, shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        kind, data = _typed(value)
        head += _text(key) + struct.pack("<I", kind) + data
    body = b""
    for name, weights in tensors.items():
        shape = shapes[name]
        head += _text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", size) for size in shape)
        head += struct.pack("<IQ", 0, len(body))
        body += _padded(weights.tobytes())
    path.write_bytes(_padded(head) + body)
    return path


def _weights(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if "norm" in name:
        return np.ones(shape[::-1], dtype=np.float32)
    if name.endswith("ssm_a"):
        return -np.exp(random.normal(0, 0.5, shape[::-1])).astype(np.float32)
    return random.normal(0, 1.5 / np.sqrt(shape[0]), shape[::-1]).astype(np.float32)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 32)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Any) -> tuple[int, bytes]:
    if isinstance(value, str):
        return _STRING, _text(value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    kinds, data = zip(*(_typed(item) for item in value), strict=True)
    kind = 5 if kinds[0] == 4 else kinds[0]  # token types are signed
    return _ARRAY, struct.pack("<IQ", kind, len(value)) + b"".join(data)
