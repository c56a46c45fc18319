from __future__ import annotations

import re
from pathlib import Path

import pytest

from localrag.errors import ModelMissing
from localrag.models import CATALOG, HubSource, WheelSource, catalog, machine
from localrag.models.shelf import is_id, is_safe

MODELS = Path(catalog.__file__).parent


def test_every_card_is_complete() -> None:
    assert len({card.id for card in CATALOG}) == len(CATALOG)
    for card in CATALOG:
        assert is_id(card.id), card.id
        assert card.title and card.licence and card.provenance and card.sources, card.id
        assert card.memory > card.bytes > 0 and card.context > 0, card.id
        digests = [card.sha256, *(digest for _, digest in card.pins)]
        assert all(digest is None or re.fullmatch("[0-9a-f]{64}", digest) for digest in digests), card.id


def test_sources_name_one_exact_thing() -> None:
    for card in CATALOG:
        for source in card.sources:
            if isinstance(source, WheelSource):
                assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9.]+", wanted) for wanted in source.requirements)
            else:
                assert re.fullmatch("[0-9a-f]{40}", source.revision), "a branch may change, a commit may not"
                assert bool(source.file) != bool(source.files)
                assert not source.files or source.files[-1] == "model.safetensors", "the long download last"
            assert all(is_safe(file) for file in source.files)


def test_third_party_wheels_are_called_so_and_pinned() -> None:
    for id in ("qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct", "gemma-3-270m"):
        card = catalog.card(id)
        assert card.sha256 and "third party" in card.provenance and "pinned SHA-256" in card.provenance


def test_every_file_of_the_default_embedder_is_pinned() -> None:
    card = catalog.card(catalog.DEFAULT_EMBEDDER)
    assert isinstance(card.sources[0], WheelSource)
    assert {name for name, _ in card.pins} | {"model.safetensors"} == set(card.sources[0].files)


def test_there_is_a_generator_for_every_size_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    best = {}
    for gigabytes in (4, 8, 16, 32):
        monkeypatch.setattr(
            machine, "total_memory", lambda size=gigabytes: size * 1_020_000_000
        )  # what is sold as 8 GB tells less
        fitting = [card for card in CATALOG if card.kind == "generator" and catalog.fits(card.memory)]
        best[gigabytes] = max(fitting, key=lambda card: card.rank).id
    assert best == {4: "qwen3-1.7b", 8: "qwen3-4b-instruct-2507", 16: "qwen3-14b", 32: "qwen3-30b-a3b"}


def test_a_model_fits_if_it_leaves_a_fifth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "total_memory", lambda: 1000)
    assert catalog.fits(800) and not catalog.fits(801)
    monkeypatch.setattr(machine, "total_memory", lambda: None)
    assert catalog.fits(10**15), "unknown memory hides nothing"


def test_an_unknown_id_names_those_that_look_alike() -> None:
    with pytest.raises(ModelMissing, match="'qwen3-4' in the catalog") as caught:
        catalog.card("qwen3-4")
    assert "qwen3-4b" in caught.value.hint
    assert catalog.find("qwen3-4") is None


def test_no_host_is_named_anywhere() -> None:
    for path in [*MODELS.glob("*.py"), MODELS.parent / "cli" / "models.py"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|pypi|huggingface\.co|\bhf\.co", text, re.IGNORECASE), path.name


def test_hub_embedders_list_the_files_that_sentence_transformers_reads() -> None:
    for card in CATALOG:
        if card.kind == "embedder":
            for source in card.sources:
                wanted = {"modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"}
                assert isinstance(source, HubSource | WheelSource) and wanted <= set(source.files), card.id
