"""The state of a passage that was read by itself: packed in 8 bits for the disk, unpacked to be moved.

Each value of a head becomes a whole number from -127 to 127, with one scale for each head and token. What comes from
the disk and what was just read pass through the same 8 bits, so the answer is the same. Other states (memory in 8 bits,
values transposed without flash attention) stay as they are.
"""

from __future__ import annotations

import struct

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
