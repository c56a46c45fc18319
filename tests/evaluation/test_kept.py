from __future__ import annotations

import json
from pathlib import Path

import pytest
from office import QUESTIONS, write

from localrag import api
from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import kept
from localrag.evaluation.datasets import load
from localrag.settings import Settings


def test_the_folder_is_the_smallest_that_holds_the_documents_named(tmp_path: Path) -> None:
    (tmp_path / "docs/en").mkdir(parents=True)
    for name in ("docs/en/a.txt", "docs/b.txt", "private.txt"):
        (tmp_path / name).write_text("words")
    rows = [{**QUESTIONS[0], "id": name, "doc": name} for name in ("docs/en/a.txt", "docs/b.txt", "docs/gone.txt")]
    dataset = write(tmp_path / "qa.jsonl", rows)
    assert kept.source_of(dataset, load(dataset), None).folder == tmp_path / "docs"
    only = write(tmp_path / "one.jsonl", rows[:1])
    assert kept.source_of(only, load(only), None).folder == tmp_path / "docs/en"


def test_documents_elsewhere_are_asked_for(tmp_path: Path) -> None:
    dataset = write(tmp_path / "qa.jsonl", QUESTIONS)
    with pytest.raises(NotFoundError) as caught:
        kept.source_of(dataset, load(dataset), None)
    assert "--documents" in caught.value.hint and "--library" in caught.value.hint


def test_files_of_questions_and_results_are_no_documents(settings: Settings, dataset: Path, documents: Path) -> None:
    write(documents / "contracts/drafts.jsonl", QUESTIONS)
    (documents / "results.jsonl").write_text(json.dumps({"run": "1", "settings": {}}) + "\n")
    (documents / "data.jsonl").write_text(json.dumps({"rent": 2450}) + "\n")
    other = documents / "misses.md"
    other.write_text("# The monthly rent is EUR 2,450")
    source = kept.source_of(dataset, load(dataset), documents, [other])
    library = kept.library_of([source], settings)
    report = kept.bring_level(library, source)
    read = {document.path for document in library.documents()}
    assert read == {"contracts/lease.txt", "policy.txt", "minutes.txt", "data.jsonl"} and report.complete


def test_a_link_to_the_questions_is_no_document_either(settings: Settings, documents: Path, tmp_path: Path) -> None:
    dataset = write(tmp_path / "elsewhere.jsonl", QUESTIONS)
    (documents / "qa.jsonl").symlink_to(dataset)
    for path in (dataset, documents / "qa.jsonl"):
        source = kept.source_of(path, load(path), documents)
        library = kept.library_of([source], settings)
        kept.bring_level(library, source)
        assert "qa.jsonl" not in {document.path for document in library.documents()}


def test_a_second_run_reads_only_what_changed(settings: Settings, dataset: Path, documents: Path) -> None:
    source = kept.source_of(dataset, load(dataset), None)
    first = kept.bring_level(kept.library_of([source], settings), source)
    (documents / "policy.txt").write_text("Buses are free.")
    second = kept.bring_level(kept.library_of([source], settings), source)
    assert len(first.read) == 3 and second.read == ("policy.txt",) and second.unchanged == 2


def test_a_kept_library_lies_apart_from_those_of_the_user(settings: Settings, dataset: Path) -> None:
    source = kept.source_of(dataset, load(dataset), None)
    library = kept.library_of([source], settings)
    kept.bring_level(library, source)
    assert library.folder.parent == settings.evaluation_dir
    assert library.name not in api.library_names(settings)
    assert [row["name"] for row in kept.listed(settings)] == [library.name]
    kept.forget(library.name, settings)
    assert kept.listed(settings) == [] and not library.folder.exists()
    with pytest.raises(NotFoundError, match="kept for evaluation"):
        kept.forget(library.name, settings)


def test_settings_that_decide_what_is_read_have_a_library_of_their_own(settings: Settings, dataset: Path) -> None:
    source = kept.source_of(dataset, load(dataset), None)
    names = {
        kept.library_of([source], settings.with_options(**more)).name
        for more in ({}, {"embedder": "other"}, {"ocr": "off"}, {"passages": 3})
    }
    assert len(names) == 3
    kept.refuse_settings_of_reading(["passages"])
    with pytest.raises(UsageError, match="embedder decides"):
        kept.refuse_settings_of_reading(["passages", "embedder"])


def test_settings_stay_what_they_are_apart(settings: Settings) -> None:
    changed = kept.apart(settings).with_options(passages=3)
    assert (changed.passages, changed.indexes_dir) == (3, settings.evaluation_dir)
    assert changed.models_dir == settings.models_dir
