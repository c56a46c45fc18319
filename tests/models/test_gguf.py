import struct

import pytest
from tiny_models import adapter, gguf
from waiting import cheap

from localrag.errors import ModelError
from localrag.models.gguf import read_metadata


def described(tmp_path, data):
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return dict(read_metadata(path))


@pytest.mark.parametrize("version", [2, 3])
def test_what_the_file_says_of_itself_is_read(tmp_path, version):
    assert described(tmp_path, gguf(version=version, llama__attention__sliding_window=512)) == {
        "type": "model",
        "architecture": "llama",
        "name": "Tiny",
        "licence": "apache-2.0",
        "context_length": 4096,
        "sliding_window": 512,
        "quantisation": "Q4_K_M",
        "parameters": 35,
        "has_chat_template": True,
    }


def test_what_is_absent_or_of_another_kind_is_left_out(tmp_path):
    said = described(tmp_path, gguf(template=False, tensors=()))
    assert said["has_chat_template"] is False
    assert {"sliding_window", "parameters", "parts"} & said.keys() == set()
    assert described(tmp_path, adapter())["type"] == "adapter"
    assert described(tmp_path, gguf(split__count=3))["parts"] == 3
    said = described(tmp_path, gguf(general__name="\x1b[2JTiny\n", llama__context_length="much", general__license=7))
    assert said["name"] == "[2JTiny"
    assert {"context_length", "licence"} & said.keys() == set()


def test_other_files_versions_and_byte_orders_are_refused(tmp_path):
    for data in (b"", b"GGU", b"PK\x03\x04 a zip", b"GGML" + bytes(100)):
        with pytest.raises(ModelError, match=r"'model\.gguf' is not a GGUF file"):
            described(tmp_path, data)
    for version in (1, 4, 0x03000000):
        with pytest.raises(ModelError, match="version"):
            described(tmp_path, gguf(version=version))


def test_a_file_cut_anywhere_or_with_more_keys_than_any_model_has_is_refused(tmp_path):
    whole = gguf(cut=True)
    for length in range(4, len(whole)):
        with pytest.raises(ModelError, match="damaged"):
            described(tmp_path, whole[:length])
    with pytest.raises(ModelError, match="ends before its last tensor"):
        described(tmp_path, whole)
    count = 65_537
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, count) + (struct.pack("<Q", 0) + struct.pack("<IB", 0, 1)) * count
    with pytest.raises(ModelError, match="65537 keys"):
        described(tmp_path, data)


HUGE = 2**62
KEY = struct.pack("<Q", 1) + b"k"
HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + KEY
NESTED = struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 40 + bytes(600)


@pytest.mark.parametrize(
    "data",
    [
        b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", HUGE),
        HEAD + struct.pack("<IQ", 8, HUGE),
        HEAD + struct.pack("<IIQ", 9, 4, HUGE),
        HEAD + struct.pack("<IIQ", 9, 8, 1) + struct.pack("<Q", HUGE),
        HEAD + struct.pack("<IIQ", 9, 8, 1) + struct.pack("<Q", 2**64 - 8),
        HEAD + struct.pack("<I", 77),
        HEAD + NESTED,
        b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + KEY + struct.pack("<I", 2**31),
    ],
    ids=["tensors", "keys", "key", "text", "array", "item", "wrapping", "kind", "nesting", "dimensions"],
)
def test_lies_about_counts_and_lengths_are_refused_at_once(tmp_path, data):
    with cheap(1), pytest.raises(ModelError, match="damaged"):
        described(tmp_path, data + bytes(64))
