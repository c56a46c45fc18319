"""Reranking: the order is the cross-encoder's, nothing is lost, and a folder can run no code.

The weights are random, so what is shown is the plumbing, and no better order.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from tiny_encoders import cross_encoder, headed
from tiny_models import card, sha256

from localrag.errors import ModelError, ModelMissing, UsageError
from localrag.models import HubSource, catalog
from localrag.models.manage import ModelManager
from localrag.search import retrieval
from localrag.search.retrieval import Reranker, rerank
from localrag.types import Passage


class ByLength(Reranker):
    def __init__(self):
        self.read: list[str] = []

    def scores(self, question, texts):
        self.read += texts
        return [float(len(text)) for text in texts]


def passage(text, score=0.5, heading=(), header=""):
    return Passage("law", "a.pdf", 1, None, heading, text, 0, len(text), score, header=header)


def test_the_order_is_the_cross_encoders_and_the_old_score_stays_known():
    found = [passage("a", 0.9), passage("ccc", 0.8), passage("bb", 0.7)]
    ranked = rerank("?", found, ByLength())
    assert [p.text for p in ranked] == ["ccc", "bb", "a"]
    assert [p.signals["search"] for p in ranked] == [0.8, 0.7, 0.9]
    assert [p.score for p in ranked] == sorted((p.score for p in ranked), reverse=True)
    assert all(0 < p.score < 1 for p in ranked)


def test_ties_keep_the_order_of_the_search():
    found = [passage(text, 1 - n / 10) for n, text in enumerate("abcdef")]
    assert [p.text for p in rerank("?", found, ByLength())] == list("abcdef")


def test_what_is_behind_the_candidates_stays_behind_and_is_not_read(monkeypatch):
    monkeypatch.setattr(retrieval, "RERANKED", 3)
    found = [passage("a" * n, 0.9) for n in range(1, 6)]
    reader = ByLength()
    ranked = rerank("?", found, reader)
    assert [len(p.text) for p in ranked] == [3, 2, 1, 4, 5] and len(reader.read) == 3
    assert [p.score for p in ranked] == sorted((p.score for p in ranked), reverse=True)
    assert rerank("?", [], reader) == []


def test_a_passage_is_read_with_its_heading_and_the_header_of_its_table():
    reader = ByLength()
    rerank("?", [passage("| 3 | 4 |", heading=("Rent", "Hall 3"), header="| A | B |")], reader)
    assert reader.read == ["Rent › Hall 3\n| A | B |\n| 3 | 4 |"]


def test_a_cross_encoder_from_a_folder_scores_each_pair_and_long_ones_too(tmp_path, settings):
    folder = cross_encoder(tmp_path)
    made = retrieval.load_reranker(settings.with_options(reranker=folder))
    assert made is not None
    texts = ["the lease ends in may", "notice of days", "the contract " * 400, ""]
    scores = made.scores("notice of the lease", texts)
    assert len(set(scores)) == 4 and scores == made.scores("notice of the lease", texts)
    assert made.scores("of days may", texts)[0] != scores[0]
    for text, score in zip(texts, scores, strict=True):  # a batch does not change a score
        assert made.scores("notice of the lease", [text])[0] == pytest.approx(score, abs=1e-5)
    found = [passage(text) for text in texts]
    expected = [text for _, text in sorted(zip(scores, texts, strict=True), reverse=True)]
    assert [p.text for p in rerank("notice of the lease", found, made)] == expected


def test_without_the_setting_there_is_none(settings):
    assert settings.reranker is None and retrieval.load_reranker(settings) is None


def test_a_folder_without_a_model_is_refused_with_what_belongs_there(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ModelError) as raised:
            Reranker(folder)
        assert "config.json" in raised.value.hint and str(folder) in raised.value.message


def test_weights_that_would_be_unpickled_are_refused(tmp_path):
    folder = cross_encoder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError):
        Reranker(folder)


def test_code_in_the_folder_is_not_run(tmp_path):
    folder = cross_encoder(tmp_path)
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        Reranker(folder)
    assert not mark.exists()


def test_a_model_that_sorts_into_classes_is_refused(tmp_path):
    with pytest.raises(ModelError, match="3 outputs"):
        Reranker(cross_encoder(tmp_path, labels=3))


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_there_is_a_folder():
    code = "import sys, localrag.search.retrieval; print([n for n in ('torch', 'sentence_transformers') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and retrieval.RERANKED == 30


def test_the_setting_may_name_an_installed_reranker(settings, tmp_path, monkeypatch):
    folder = headed(tmp_path)
    weights = folder / "model.safetensors"
    saved = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"README.md"}
    for id in ("ettin-reranker-17m", "ettin-reranker-32m"):
        assert set(catalog.card(id).sources[0].files) == saved, "what such a reranker is made of"
    known = card(
        "ranker",
        HubSource("a/b", "c" * 40, files=("model.safetensors",)),
        kind="reranker",
        sha256=sha256(weights.read_bytes()),
    )
    monkeypatch.setattr(catalog, "CATALOG", (known,))
    chosen = settings.with_options(reranker="ranker")
    with pytest.raises(ModelMissing) as raised:
        retrieval.load_reranker(chosen)
    assert "localrag models install ranker" in raised.value.hint
    store = ModelManager(settings)
    assert store.import_path(folder).kind == "reranker"
    loaded = retrieval.load_reranker(chosen)
    assert loaded is not None and len(loaded.scores("lease?", ["the lease", "may"])) == 2
    with pytest.raises(UsageError) as refused:
        store.use("ranker")
    assert "reranker" in refused.value.hint
