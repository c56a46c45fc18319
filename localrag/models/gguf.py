"""Read the description at the head of a GGUF file (versions 2 and 3): what the model is, never its weights.

Promise: a cut-off, damaged or hostile file ends in a ModelError, in bounded time and memory; every count
and length is checked before it is used. Limits: tensors are listed, not read, so damage inside the weights
is for their hash to find; big-endian files are refused.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import ModelError

MAGIC = b"GGUF"

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_MOST_KEYS = 65_536
_MOST_TENSORS = 1_000_000
_MOST_ITEMS = 16_000_000
_MOST_TEXT = 16 * 1024 * 1024
_MOST_KEY = 65_535

# llama.cpp's llama_ftype numbers; an unlisted one is shown as its number.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 38: "MXFP4",
}  # fmt: skip


def read_metadata(path: Path) -> Mapping[str, Any]:
    """What the file says about itself.

    Returns:
        `type` ("model" or "adapter"), `has_chat_template`, and where present `architecture`, `name`,
        `licence`, `context_length` (tokens), `sliding_window` (tokens), `quantisation`, `parameters` (how
        many weights) and `parts` (of how many files it is one).

    Raises:
        ModelError: it is no GGUF file, is cut off, or holds impossible values.
    """
    try:
        with path.open("rb") as stream:
            reader = _Reader(stream, path.stat().st_size, path.name)
            return _described(*reader.read())
    except (OSError, OverflowError, MemoryError) as error:
        raise ModelError(f"cannot read {path.name!r}: {error}", "Check the path and its rights.") from None


def _described(values: Mapping[str, Any], parameters: int) -> dict[str, Any]:
    architecture = _words(values.get("general.architecture"))
    file_type = values.get("general.file_type")
    found = {
        "type": _words(values.get("general.type")) or "model",
        "architecture": architecture,
        "name": _words(values.get("general.name")),
        "licence": _words(values.get("general.license")),
        "context_length": _whole(values.get(f"{architecture}.context_length")),
        "sliding_window": _whole(values.get(f"{architecture}.attention.sliding_window")),
        "quantisation": None if file_type is None else _FILE_TYPES.get(file_type, f"type {file_type}"),
        "parameters": parameters or None,
        "parts": _whole(values.get("split.count")),
    }
    described = {name: value for name, value in found.items() if value is not None}
    described["has_chat_template"] = bool(values.get("tokenizer.chat_template"))
    return described


def _words(value: Any) -> str | None:
    # It is printed to terminals, where control characters are commands.
    return "".join(filter(str.isprintable, value))[:200] if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


class _Reader:
    """Walks one header; every read says how many bytes it wants and is refused beyond the file's end."""

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self._stream = stream
        self._size = size
        self._name = name

    def read(self) -> tuple[dict[str, Any], int]:
        """The keys (arrays left out) and the number of weights."""
        if self._stream.read(4) != MAGIC:
            raise ModelError(
                f"{self._name!r} is not a GGUF file",
                "localrag runs models in GGUF form; publishers often offer one beside the original.",
            )
        version = self._number("<I")
        if version not in (2, 3):
            raise self._wrong(f"GGUF version {version} is not 2 or 3")
        tensors = self._count(_MOST_TENSORS, "tensors")
        keys = self._count(_MOST_KEYS, "keys")
        values: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(_MOST_KEY)
            values[key] = self._value(self._number("<I"))
        parameters, last = 0, -1
        for _ in range(tensors):
            weights, offset = self._tensor()
            parameters, last = parameters + weights, max(last, offset)
        # Tensors lie behind this head, and offsets count from its end.
        if tensors and self._stream.tell() + last >= self._size:
            raise self._wrong("it ends before its last tensor")
        return values, parameters

    def _tensor(self) -> tuple[int, int]:
        """How many weights it has, and where it begins."""
        self._text(_MOST_KEY)
        dimensions = self._number("<I")
        if dimensions > 8:
            raise self._wrong(f"a tensor with {dimensions} dimensions")
        weights = math.prod(self._number("<Q") for _ in range(dimensions))
        self._number("<I")
        return weights, self._number("<Q")

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._text(_MOST_TEXT)
        if kind != _ARRAY or depth > 2:
            raise self._wrong(f"a value of unknown kind {kind}")
        inner = self._number("<I")
        items = self._count(_MOST_ITEMS, "items")
        if inner in _SCALARS:
            self._skip(items * struct.calcsize(_SCALARS[inner]))
        elif inner == _STRING:
            for _ in range(items):
                self._skip(self._number("<Q"))
        else:
            for _ in range(items):
                self._value(inner, depth + 1)
        return None  # no array is shown, and vocabularies are large

    def _count(self, most: int, what: str) -> int:
        count = int(self._number("<Q"))
        # The smallest item takes a byte, so a count beyond the file's size is a lie.
        if count > min(most, self._size):
            raise self._wrong(f"{count} {what}")
        return count

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _text(self, most: int) -> str:
        length = int(self._number("<Q"))
        if length > most:
            raise self._wrong(f"a text of {length} bytes")
        return self._bytes(length).decode("utf-8", "replace")

    def _bytes(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise self._wrong("it ends in the middle")
        return data

    def _skip(self, count: int) -> None:
        if self._stream.tell() + count > self._size:
            raise self._wrong("it ends in the middle")
        self._stream.seek(count, 1)

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"{self._name!r} is damaged: {what}", "Get the file again and compare its SHA-256.")
