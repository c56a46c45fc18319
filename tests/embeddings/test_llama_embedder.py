"""Embedders in GGUF form, run by llama.cpp: random weights of a few hundred kilobytes, but the real code."""

import subprocess
import sys

import numpy as np
import pytest
import tiny_llamas
from embedder_checks import sound
from tiny_models import Bench, gguf

from localrag.embeddings import EmbedderIdentity, load_embedder
from localrag.embeddings.embedders import LlamaEmbedder
from localrag.errors import EmbedderMismatch, ModelError

LONG = "the lease ends in may of the next year " * 9


def embedder(path, *prefixes):
    return LlamaEmbedder("tiny", path, "1" * 64, "f32", (prefixes[0], prefixes[1]) if prefixes else ("", ""))


@pytest.fixture(scope="module")
def mean(tmp_path_factory):
    return tiny_llamas.encoder(tmp_path_factory.mktemp("mean") / "mean.gguf")


def test_it_does_what_every_embedder_does_and_a_vector_depends_on_its_text_alone(mean):
    made = embedder(mean)
    sound(made)
    assert made.identity == EmbedderIdentity("tiny", "1" * 64, "f32", "llama.cpp", tiny_llamas.WIDTH)
    assert made.max_tokens == 62 and made.count("may") == 3
    texts = ["lease", LONG, "", "a", "the [SEP] end"]
    together = made.embed_documents(texts)
    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(row, made.embed_documents([text])[0])
        assert np.array_equal(row, made.embed_question(text))


def test_each_prefix_goes_before_its_own_kind_of_text_and_long_texts_are_cut(mean):
    plain, made = embedder(mean), embedder(mean, "query: ", "passage: ")
    assert np.array_equal(made.embed_question("may"), plain.embed_question("query: may"))
    assert np.array_equal(made.embed_documents(["may"]), plain.embed_documents(["passage: may"]))
    assert made.identity != plain.identity and made.identity.prefix == "passage: "
    assert made.max_tokens == plain.max_tokens - plain.count("passage: ")
    made = embedder(mean)
    letters = LONG.replace(" ", "")
    fits = letters[: made.max_tokens]
    assert made.count(letters) > made.max_tokens == made.count(fits)
    assert np.array_equal(made.embed_question(letters), made.embed_question(fits))


def test_the_file_says_how_tokens_become_one_vector_and_one_of_none_is_refused(mean, tmp_path):
    first = embedder(tiny_llamas.encoder(tmp_path / "first.gguf", pooling=2))
    sound(first)
    assert not np.allclose(first.embed_question("may"), embedder(mean).embed_question("may"))
    (tmp_path / "broken.gguf").write_bytes(b"no model")
    for path in (tiny_llamas.full(tmp_path / "llama.gguf"), tmp_path / "broken.gguf"):
        with pytest.raises(ModelError) as raised:
            embedder(path)
        assert raised.value.hint
    (tmp_path / "rank.gguf").write_bytes(gguf(llama__pooling_type=4))
    with pytest.raises(ModelError, match="reranker"):
        Bench(tmp_path / "bench").store.import_path(tmp_path / "rank.gguf")


def test_a_library_of_it_loads_it_again_and_no_other(mean, tmp_path):
    bench = Bench(tmp_path / "bench", embedder="mean")
    model = bench.store.import_path(mean)
    assert model.kind == "embedder" and model.is_gguf and model.metadata["pooling"] == "mean"
    made = load_embedder(bench.settings)
    assert isinstance(made, LlamaEmbedder)
    assert made.identity == EmbedderIdentity("mean", model.sha256, "f32", "llama.cpp", tiny_llamas.WIDTH)
    assert load_embedder(bench.settings, made.identity).identity == made.identity
    for change in ({"engine": "onnxruntime"}, {"precision": "q8_0"}, {"prefix": "passage: "}, {"sha256": "0" * 64}):
        with pytest.raises(EmbedderMismatch):
            load_embedder(bench.settings, EmbedderIdentity(**{**made.identity.to_dict(), **change}))


@pytest.mark.slow
def test_it_reads_and_finds_documents_behind_the_walls(mean, tmp_path, home):
    longer = tiny_llamas.encoder(tmp_path / "tiny-embedder.gguf", length=512)
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text("The lease of the garden ends in May.")
    for words in (
        ["models", "import", str(longer)],
        ["ingest", str(folder), "--embedder", "tiny-embedder"],
        ["search", "When does the lease end?", "--json"],
    ):
        command = [sys.executable, "-m", "localrag", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "lease.txt" in done.stdout
    command = [sys.executable, "-m", "localrag", "ingest", str(folder), "--embedder", "multilingual"]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2 and "--re-embed" in again.stderr
