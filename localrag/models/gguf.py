"""Read the header of a GGUF file (versions 2 and 3): what the model is, never its weights.

A truncated, damaged or hostile file ends in a ModelError, in bounded time and memory: every count and length is checked
before it is used. Damage inside the weights is for their hash to find; big-endian files are refused.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import ModelError

MAGIC = b"GGUF"
_POOLING = {1: "mean", 2: "first", 3: "last", 4: "rank"}  # llama.cpp's llama_pooling_type
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_MAX_KEYS, _MAX_TENSORS, _MAX_ITEMS = 65_536, 1_000_000, 16_000_000
_MAX_KEY, _MAX_TEXT = 65_535, 16 * 1024 * 1024  # bytes
# llama.cpp's llama_ftype numbers, in order; "-" for those out of use. Others are shown as numbers.
_FILE_TYPES = """F32 F16 Q4_0 Q4_1 - - - Q8_0 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K
    IQ2_XXS IQ2_XS Q2_K_S IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M BF16
    - - - - - MXFP4""".split()


def read_metadata(path: Path) -> dict[str, Any]:
    """Return what the file says about itself.

    `type` ("model" or "adapter"), `has_chat_template`, and if present `architecture`, `name`, `licence`,
    `context_length` and `sliding_window` (tokens), `pooling` (of embedders and rerankers), `quantisation`, `parameters`
    (number of weights) and `parts` (number of files it is split into). Raises ModelError if it is not a GGUF file, is
    truncated, or has impossible values.
    """
    try:
        with path.open("rb") as stream:
            values, parameters = _Reader(stream, path.stat().st_size, path.name).read()
    except (OSError, OverflowError, MemoryError) as error:
        raise ModelError(f"cannot read {path.name!r}: {error}", "Check the path and its permissions.") from None
    architecture, file_type = _text(values.get("general.architecture")), values.get("general.file_type")
    found = {
        "type": _text(values.get("general.type")) or "model",
        "architecture": architecture,
        "name": _text(values.get("general.name")),
        "licence": _text(values.get("general.license")),
        "context_length": _positive(values.get(f"{architecture}.context_length")),
        "sliding_window": _positive(values.get(f"{architecture}.attention.sliding_window")),
        "quantisation": None if file_type is None else _file_type(file_type),
        "pooling": _POOLING.get(_positive(values.get(f"{architecture}.pooling_type")) or 0),
        "parameters": parameters or None,
        "parts": _positive(values.get("split.count")),
    }
    described = {name: value for name, value in found.items() if value is not None}
    return {**described, "has_chat_template": bool(values.get("tokenizer.chat_template"))}


def _text(value: Any) -> str | None:
    # Control characters are commands to a terminal.
    return "".join(filter(str.isprintable, value))[:200] if isinstance(value, str) else None


def _file_type(number: Any) -> str:
    known = isinstance(number, int) and 0 <= number < len(_FILE_TYPES) and _FILE_TYPES[number] != "-"
    return _FILE_TYPES[number] if known else f"type {number}"


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


class _Reader:
    """Reads one header; refuses to read beyond the end of the file."""

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self._stream, self._size, self._name = stream, size, name

    def read(self) -> tuple[dict[str, Any], int]:
        """Return the keys without arrays, and the number of weights."""
        if self._stream.read(4) != MAGIC:
            hint = "localrag runs models in GGUF form; publishers often offer one beside the original."
            raise ModelError(f"{self._name!r} is not a GGUF file", hint)
        version = self._number("<I")
        if version not in (2, 3):
            raise self._damaged(f"GGUF version {version} is not 2 or 3")
        tensors = self._count(_MAX_TENSORS, "tensors")
        keys = self._count(_MAX_KEYS, "keys")
        values: dict[str, Any] = {}
        for _ in range(keys):
            key = self._string(_MAX_KEY)
            values[key] = self._value(self._number("<I"))
        parameters, last = 0, -1
        for _ in range(tensors):
            self._string(_MAX_KEY)
            dimensions = self._number("<I")
            if dimensions > 8:
                raise self._damaged(f"a tensor with {dimensions} dimensions")
            parameters += math.prod(self._number("<Q") for _ in range(dimensions))
            self._number("<I")
            last = max(last, self._number("<Q"))
        # Tensors follow this header, and offsets count from its end.
        if tensors and self._stream.tell() + last >= self._size:
            raise self._damaged("it ends before its last tensor")
        return values, parameters

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string(_MAX_TEXT)
        if kind != _ARRAY or depth > 2:
            raise self._damaged(f"a value of unknown kind {kind}")
        inner = self._number("<I")
        items = self._count(_MAX_ITEMS, "items")
        if inner in _SCALARS:
            self._skip(items * struct.calcsize(_SCALARS[inner]))
            return None
        for _ in range(items):
            if inner == _STRING:
                self._skip(self._number("<Q"))
            else:
                self._value(inner, depth + 1)
        return None  # arrays are not needed, and vocabularies are large

    def _count(self, limit: int, what: str) -> int:
        count = int(self._number("<Q"))
        # The smallest item takes a byte, so a count beyond the file's size is false.
        if count > min(limit, self._size):
            raise self._damaged(f"{count} {what}")
        return count

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _string(self, limit: int) -> str:
        length = int(self._number("<Q"))
        if length > limit:
            raise self._damaged(f"a text of {length} bytes")
        return self._bytes(length).decode("utf-8", "replace")

    def _bytes(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise self._damaged("it is truncated")
        return data

    def _skip(self, count: int) -> None:
        if self._stream.tell() + count > self._size:
            raise self._damaged("it is truncated")
        self._stream.seek(count, 1)

    def _damaged(self, what: str) -> ModelError:
        return ModelError(f"{self._name!r} is damaged: {what}", "Get the file again and compare its SHA-256.")
