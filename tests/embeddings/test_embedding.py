"""Vectors: unit length, in the order asked, and known by who made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import HashingEmbedder

from localrag.embeddings import Embedder, SentenceTransformerEmbedder
from localrag.errors import Cancelled, ModelError
from localrag.models.store import ModelStore
from localrag.settings import Settings

TEXTS = [
    "The lease ends in May.", "x", "A long text about the notice period of a contract. " * 12, "", "Flamingos are pink.",
    "Das Mietverhältnis endet. 👩🏽‍⚖️ 中文",
]  # fmt: skip


def sound(embedder: Embedder) -> None:
    """What every embedder keeps to."""
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.identity.dimension) and vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(length == pytest.approx(1, abs=1e-3) or not text for text, length in zip(TEXTS, lengths, strict=True))
    assert np.isfinite(vectors).all()
    for text, row in zip(TEXTS, vectors, strict=True):
        alone = embedder.embed_documents([text])[0]
        assert float(alone @ row) > 0.999 or not text
    assert np.array_equal(vectors, embedder.embed_documents(TEXTS))
    assert embedder.embed_documents([]).shape == (0, embedder.identity.dimension)
    question = embedder.embed_question("When does the lease end?")
    assert question.shape == (embedder.identity.dimension,)
    assert vectors[0] @ question > vectors[4] @ question
    assert embedder.count("") == 0 and embedder.count("two words") >= 2
    with pytest.raises(Cancelled):
        embedder.embed_documents(TEXTS, stop=lambda: True)
    done: list[int] = []
    embedder.embed_documents(TEXTS, progress=done.append)
    assert done[-1] == len(TEXTS)


def test_the_fake_keeps_to_what_every_embedder_does() -> None:
    sound(HashingEmbedder())


def test_an_identity_survives_its_json() -> None:
    identity = HashingEmbedder(64).identity
    assert type(identity)(**identity.to_dict()) == identity
    assert identity != HashingEmbedder(65).identity != HashingEmbedder(65, sha256="1" * 64).identity


@pytest.mark.model
def test_the_real_one_does_too_and_says_who_made_a_vector(settings: Settings) -> None:
    model = ModelStore(settings).get("all-minilm-l6-v2")
    embedder = SentenceTransformerEmbedder(model.id, model.path, model.sha256)
    sound(embedder)
    identity = embedder.identity
    assert (identity.model, identity.sha256, identity.dimension) == (model.id, model.sha256, 384)
    assert identity.precision in ("float32", "bfloat16")
    assert embedder.max_tokens < 512 and embedder.count("word " * 1000) == 1000


@pytest.mark.model
def test_a_folder_that_is_no_model_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError) as raised:
        SentenceTransformerEmbedder("broken", tmp_path, "0" * 64)
    assert "localrag models verify broken" in raised.value.hint
