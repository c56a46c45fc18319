"""Vectors: unit length, in the order asked, and known by who made them."""

from __future__ import annotations

from pathlib import Path

import pytest
from embedder_checks import sound
from fakes import HashingEmbedder

from localrag.embeddings import SentenceTransformerEmbedder
from localrag.errors import ModelError
from localrag.models.store import ModelStore
from localrag.settings import Settings


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
