import re
from pathlib import Path

import pytest

from localrag.errors import ModelMissing
from localrag.models import CATALOG, WheelSource, catalog
from localrag.models.records import is_id, is_safe

MODELS = Path(catalog.__file__).parent


def test_every_card_is_complete_and_its_sources_name_one_exact_thing():
    assert len({card.id for card in CATALOG}) == len(CATALOG)
    for card in CATALOG:
        assert is_id(card.id), card.id
        assert card.title and card.licence and card.provenance and card.sources, card.id
        assert card.memory > card.bytes > 0 and card.context > 0, card.id
        assert card.terms == (not card.licence.startswith(("Apache-2.0", "MIT")) or "terms" in card.licence), card.id
        assert card.kind == "generator" or not (card.anew or card.thinks), card.id
        assert 0 < card.active <= 1 and len(card.cost) == 2 and min(card.cost) > 0, card.id
        digests = [card.sha256, *(digest for _, digest in card.pins)]
        assert all(digest is None or re.fullmatch("[0-9a-f]{64}", digest) for digest in digests), card.id
    for card in CATALOG:
        for source in card.sources:
            if isinstance(source, WheelSource):
                assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9.]+", wanted) for wanted in source.requirements)
            else:
                assert re.fullmatch("[0-9a-f]{40}", source.revision), "a branch may change, a commit may not"
                assert bool(source.file) != bool(source.files)
                assert not source.files or source.files[-1] in ("model.safetensors", "model.bin"), "the long last"
            assert all(is_safe(file) for file in source.files)


def test_embedders_list_the_files_that_sentence_transformers_reads_and_pin_those_of_the_default():
    for card in CATALOG:
        if card.kind == "reranker" or (card.kind == "embedder" and card.is_folder):
            for source in card.sources:
                wanted = {"modules.json", "config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"}
                assert wanted <= set(source.files), card.id
    card = catalog.card(catalog.DEFAULT_EMBEDDER)
    assert {name for name, _ in card.pins} | {"model.safetensors"} == set(card.sources[0].files)


def test_a_model_fits_if_it_leaves_a_fifth(monkeypatch):
    monkeypatch.setattr(catalog, "total_memory", lambda: 1000)
    assert catalog.fits(800) and not catalog.fits(801)
    monkeypatch.setattr(catalog, "total_memory", lambda: None)
    assert catalog.fits(10**15), "unknown memory hides nothing"


def test_an_unknown_id_names_those_that_look_alike():
    with pytest.raises(ModelMissing, match=r"'qwen3\.5-4' in the catalog") as caught:
        catalog.card("qwen3.5-4")
    assert "qwen3.5-4b" in caught.value.hint
    assert catalog.find("qwen3.5-4") is None


def test_no_host_is_named_anywhere():
    for path in [*MODELS.glob("*.py"), MODELS.parent / "cli" / "models.py"]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|pypi|huggingface\.co|\bhf\.co", text, re.IGNORECASE), path.name
