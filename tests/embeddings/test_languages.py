"""A library whose documents are not in English alone gets, or is offered, an embedder that knows their languages."""

import dataclasses

import numpy as np
import pytest
from fakes import HashingEmbedder

from localrag import embeddings, open_library
from localrag.embeddings import Embedder, EmbedderIdentity, languages
from localrag.models.catalog import DEFAULT_EMBEDDER

GERMAN = "Der Mieter hat die Miete am ersten Tag des Monats zu zahlen, und der Vertrag ist nicht befristet."
ENGLISH = "The tenant has to pay the rent on the first day of the month, and the contract is not limited."


class Named(HashingEmbedder):
    def __init__(self, model):
        super().__init__(sha256=("1" if model == DEFAULT_EMBEDDER else "2") * 64)
        self._identity = dataclasses.replace(self._identity, model=model)


@pytest.fixture
def here(monkeypatch, home):
    """The embedders that are installed: the English one, and what a test adds."""
    there = [""]
    monkeypatch.setattr(languages, "installed", lambda settings: there[0])

    def load(settings, identity=None):
        return Named(identity.model if identity else settings.embedder or DEFAULT_EMBEDDER)

    monkeypatch.setattr(embeddings, "load_embedder", load)
    return there


def read(folder, **texts):
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    library = open_library("papers", create=True)
    return library, library.ingest(folder)


def test_a_language_counts_from_a_tenth_of_the_documents_and_for_an_english_embedder():
    unknown = languages.unknown_to
    assert unknown(DEFAULT_EMBEDDER, {"english": 9, "german": 1}) == ["german"]
    assert unknown(DEFAULT_EMBEDDER, {"english": 10, "german": 1}) == []
    assert unknown(languages.MULTILINGUAL, {"german": 1}) == unknown("my-own", {"german": 1}) == []


def test_the_report_and_the_status_name_what_to_install_then_what_to_type(here, tmp_path):
    library, report = read(tmp_path / "papers", a=GERMAN, b=ENGLISH)
    assert report.languages == library.status()["languages"] == {"english": 1, "german": 1}
    assert f"models install {languages.MULTILINGUAL}" in report.advice and "--re-embed" in report.advice
    assert library.status()["advice"] == report.advice
    here[0] = languages.MULTILINGUAL
    again = library.ingest(tmp_path / "papers").advice
    assert "models install" not in again and f"--embedder {languages.MULTILINGUAL}" in again
    assert library.status()["embedder"]["model"] == DEFAULT_EMBEDDER, "a library keeps its embedder"


def test_a_new_library_gets_the_installed_embedder_that_knows_its_languages(here, tmp_path):
    here[0] = languages.MULTILINGUAL
    library, report = read(tmp_path / "papers", a=GERMAN)
    assert library.status()["embedder"]["model"] == languages.MULTILINGUAL and report.advice == ""
    assert library.search("Miete", k=1)[0].document == "a.txt"


def test_english_documents_keep_the_default_embedder(here, tmp_path):
    here[0] = languages.MULTILINGUAL
    library, report = read(tmp_path / "papers", a=ENGLISH)
    assert library.status()["embedder"]["model"] == DEFAULT_EMBEDDER and report.advice == ""


def test_nearness_spreads_the_cosines_of_an_embedder_whose_vectors_point_one_way():
    embedder = Embedder()
    embedder.identity = EmbedderIdentity(languages.MULTILINGUAL, "0" * 64, "q4_0", "llama.cpp", 384)
    near = embedder.nearness(np.array([0.75, 0.85, 1.0], np.float32))
    assert near[0] == 0 and 0.3 < near[1] < 0.5 and near[2] == 1
    embedder.identity = dataclasses.replace(embedder.identity, model="my-own")
    assert embedder.nearness(np.float32(0.3)) == np.float32(0.3)
