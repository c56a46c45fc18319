"""Models of some hundred kilobytes that llama.cpp runs: random weights, but the memory of the real ones of their kind.

`full` keeps the keys and values of every token (llama, or a relative of it), `sliding` looks back 32 tokens in most
layers (gemma3), `recurrent` keeps a running summary instead of keys and values (mamba); the hybrid ones have layers of
both kinds: `convolved` (lfm2), `delta` (qwen35, Gated DeltaNet) and `scanned` (granitehybrid, Mamba-2). Their words are
bytes; they write only "!" to "~".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tiny_models import gguf_head

WIDTH, LAYERS, WORDS = 64, 6, 3 + 256
HEAD, WIDE = 32, 128
# Two heads that share keys and values.
_HEADS: dict[str, Any] = {
    "feed_forward_length": WIDE,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
}
_FEED = {"ffn_gate": (WIDTH, WIDE), "ffn_up": (WIDTH, WIDE), "ffn_down": (WIDE, WIDTH)}


def _attention(head=HEAD):
    shared = dict.fromkeys(("attn_k", "attn_v"), (WIDTH, head))
    return {"attn_q": (WIDTH, 2 * head), **shared, "attn_output": (2 * head, WIDTH)}


def sliding(path, template=""):
    """A gemma3 with a sliding window in five layers of six; `template` is its chat template."""
    wide = dict.fromkeys(("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"), (WIDTH,))
    block = _attention() | _FEED | wide | dict.fromkeys(("attn_q_norm", "attn_k_norm"), (HEAD,))
    keys = {**_HEADS, "attention.sliding_window": 32}
    return _write(path, "gemma3", keys, [_weighted(block)], template)


def full(path, family="llama", head=HEAD, template="", **more):
    """A llama, or with the same layers a smollm3 (no positions in every fourth) or a qwen2vl (positions in sections)."""
    block = _attention(head) | _FEED | {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
    keys = {
        **_HEADS,
        "attention.key_length": head,
        "attention.value_length": head,
        "rope.dimension_count": head,
        "rope.freq_base": 10000.0,
        "rope.dimension_sections": [4, 6, 6, 0],
        **more,
    }
    return _write(path, family, keys, [_weighted(block)], template)


def convolved(path, template=""):
    """An lfm2: two layers of short convolutions to each of attention."""
    shared = _FEED | {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
    convolution = {"in_proj": (WIDTH, 3 * WIDTH), "conv": (3, WIDTH), "out_proj": (WIDTH, WIDTH)}
    convolution = {f"shortconv.{name}": shape for name, shape in convolution.items()}
    attention = _attention() | {"attn_q_norm": (HEAD,), "attn_k_norm": (HEAD,)}
    keys = {
        **_HEADS,
        "attention.head_count_kv": [0, 0, 1] * (LAYERS // 3),
        "shortconv.l_cache": 3,
        "rope.freq_base": 10000.0,
        "vocab_size": WORDS,
    }
    blocks = [shared | convolution, shared | convolution, shared | attention]
    return _write(path, "lfm2", keys, [_weighted(block) for block in blocks], template, last="token_embd_norm")


def delta(path, template=""):
    """A qwen35: two layers of Gated DeltaNet to each of gated attention."""
    keyed, valued, state = 2, 4, 16  # heads of keys, heads of values, their width
    shared = _FEED | {"attn_norm": (WIDTH,), "post_attention_norm": (WIDTH,)}
    mixed = (2 * keyed + valued) * state
    linear = _weighted(
        shared
        | {
            "attn_qkv": (WIDTH, mixed),
            "attn_gate": (WIDTH, valued * state),
            "ssm_conv1d": (4, mixed),
            "ssm_beta": (WIDTH, valued),
            "ssm_alpha": (WIDTH, valued),
            "ssm_norm": (state,),
            "ssm_out": (valued * state, WIDTH),
        }
    ) | {"ssm_a": (valued,), "ssm_dt.bias": (valued,)}
    attention = _attention() | {"attn_q": (WIDTH, 4 * HEAD), "attn_q_norm": (HEAD,), "attn_k_norm": (HEAD,)}
    keys = {
        **_HEADS,
        "rope.dimension_count": HEAD // 2,
        "rope.dimension_sections": [3, 3, 2, 0],
        "full_attention_interval": 3,
        "ssm.conv_kernel": 4,
        "ssm.inner_size": valued * state,
        "ssm.state_size": state,
        "ssm.time_step_rank": valued,
        "ssm.group_count": keyed,
    }
    return _write(path, "qwen35", keys, [linear, linear, _weighted(shared | attention)], template)


def scanned(path, template=""):
    """A granitehybrid: two layers of Mamba-2 to each of attention, without RoPE."""
    inner, state, heads = 2 * WIDTH, 16, 4
    shared = _weighted(_FEED | {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)})
    mixed = inner + 2 * state
    scan = (
        shared
        | _weighted(
            {
                "ssm_in": (WIDTH, inner + mixed + heads),
                "ssm_conv1d": (4, mixed),
                "ssm_norm": (inner, 1),
                "ssm_out": (inner, WIDTH),
            }
        )
        | {"ssm_conv1d.bias": (mixed,), "ssm_dt.bias": (heads,), "ssm_a": (1, heads), "ssm_d": (1, heads)}
    )
    keys = {
        **_HEADS,
        "attention.head_count_kv": [0, 0, 1] * (LAYERS // 3),
        "ssm.conv_kernel": 4,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": heads,
        "ssm.group_count": 1,
        "logit_scale": 1.0,
    }
    return _write(path, "granitehybrid", keys, [scan, scan, shared | _weighted(_attention())], template)


def recurrent(path):
    inner, state, rank, kernel = 2 * WIDTH, 16, 4, 4
    block = {
        "attn_norm.weight": (WIDTH,),
        "ssm_in.weight": (WIDTH, 2 * inner),
        "ssm_conv1d.weight": (kernel, inner),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (inner, rank + 2 * state),
        "ssm_dt.weight": (rank, inner),
        "ssm_dt.bias": (inner,),
        "ssm_a": (state, inner),
        "ssm_d": (inner,),
        "ssm_out.weight": (inner, WIDTH),
    }
    keys = {
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": rank,
    }
    return _write(path, "mamba", keys, [block])


def _weighted(block):
    return {f"{name}.weight": shape for name, shape in block.items()}


def _write(path, family, keys, blocks, template="", last="output_norm"):
    """A GGUF file, version 3, all weights float32; the layers take `blocks` in turn, `last` is the norm after them."""
    values = {
        "general.architecture": family,
        f"{family}.context_length": 8192,
        f"{family}.embedding_length": WIDTH,
        f"{family}.block_count": LAYERS,
        f"{family}.attention.layer_norm_rms_epsilon": 1e-6,
        **{f"{family}.{key}": value for key, value in keys.items()},
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        "tokenizer.ggml.scores": [0.0] * WORDS,
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256,
        **({"tokenizer.chat_template": template} if template else {}),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    shapes = {"token_embd.weight": (WIDTH, WORDS), f"{last}.weight": (WIDTH,), "output.weight": (WIDTH, WORDS)}
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in blocks[layer % len(blocks)].items()}
    return _file(path, values, shapes)


def encoder(path, pooling=1, length=64):
    """A bert of two layers: its words are letters; `pooling` is llama.cpp's number (0 none, 1 mean, 2 first)."""
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"\u2581{one}" for one in letters), *letters]
    values = {
        "general.architecture": "bert",
        "general.file_type": 0,
        "bert.context_length": length,
        "bert.embedding_length": WIDTH,
        "bert.block_count": 2,
        "bert.feed_forward_length": WIDE,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        **({"bert.pooling_type": pooling} if pooling else {}),
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.token_type": [3, 2, 3, 3, 3] + [1] * 2 * len(letters),
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.mask_token_id": 4,
    }
    layer = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    layer |= {"ffn_up": (WIDTH, WIDE), "ffn_down": (WIDE, WIDTH)}
    layer |= dict.fromkeys(("attn_output_norm", "layer_output_norm"), (WIDTH,))
    shapes = {
        "token_embd.weight": (WIDTH, len(words)),
        "token_types.weight": (WIDTH, 2),
        "position_embd.weight": (WIDTH, length),
        "token_embd_norm.weight": (WIDTH,),
        "token_embd_norm.bias": (WIDTH,),
    }
    for number in range(2):
        for name, shape in layer.items():
            shapes |= {f"blk.{number}.{name}.weight": shape, f"blk.{number}.{name}.bias": (shape[-1],)}
    return _file(path, values, shapes)


def _file(path, values, shapes):
    body, tensors = b"", []
    for seed, (name, shape) in enumerate(shapes.items()):
        tensors.append((name, shape, len(body)))
        body += _padded(_weights(name, shape, seed).tobytes())
    path.write_bytes(_padded(gguf_head(values, tensors)) + body)
    return path


def _weights(name, shape, seed):
    random = np.random.default_rng(seed)
    if name.endswith(".bias") and "ssm" not in name:
        return np.zeros(shape, dtype=np.float32)
    if "norm" in name:
        return np.ones(shape[::-1], dtype=np.float32)
    if name.endswith("ssm_a"):
        return -np.exp(random.normal(0, 0.5, shape[::-1])).astype(np.float32)
    drawn = random.normal(0, 1.5 / np.sqrt(shape[0]), shape[::-1]).astype(np.float32)
    if name == "output.weight":  # a character at a time, and never an end
        drawn[: 3 + ord("!")] = drawn[3 + ord("~") :] = 0
    return drawn


def _padded(data):
    return data + b"\0" * (-len(data) % 32)
