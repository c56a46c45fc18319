"""What was forgotten does not come back by itself, neither under another name nor with other words."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localrag import api
from localrag.settings import Settings
from localrag.store.names import Tombstones

Folder = Callable[..., Path]


@pytest.fixture
def papers(folder: Folder, models: object, settings: Settings) -> Path:
    root = folder({"a.txt": "The lease of Anna.", "b.txt": "The lease of Bert.", "sub/c.txt": "Other words."})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    return root


def test_neither_another_name_nor_changed_words_nor_an_archive_bring_it_back(papers: Path, settings: Settings) -> None:
    assert api.open_library("papers", settings=settings).forget(["a.txt"]) == ["a.txt"]
    report = api.open_library("papers", settings=settings).ingest(papers)
    assert (report.forgotten, report.read, report.unchanged) == (1, (), 2)
    with zipfile.ZipFile(papers / "all.zip", "w") as archive:
        for name in ("a.txt", "b.txt"):
            archive.write(papers / name, name)
    (papers / "renamed.txt").write_bytes((papers / "a.txt").read_bytes())
    (papers / "a.txt").write_text("The lease of Anna, second version.")
    (papers / "new.txt").write_text("New words.")
    report = api.open_library("papers", settings=settings).ingest(papers)
    assert report.forgotten == 3 and sorted(report.read) == ["all.zip/b.txt", "new.txt"]
    again = api.open_library("papers", settings=settings).ingest(papers)
    assert again.read == () and again.removed == ()


def test_include_forgotten_lets_it_back_in_for_good(papers: Path, settings: Settings) -> None:
    api.open_library("papers", settings=settings).forget(["a.txt", "b.txt"])
    report = api.open_library("papers", settings=settings).ingest(papers, include_forgotten=True)
    assert report.read == ("a.txt", "b.txt") and report.forgotten == 0
    assert api.open_library("papers", settings=settings).ingest(papers).unchanged == 3


def test_tombstones_reveal_nothing_and_differ_between_libraries(papers: Path, settings: Settings) -> None:
    library = api.open_library("papers", settings=settings)
    (document,) = library.documents(["a.txt"])
    one, other = (Tombstones.new().add([document]) for _ in range(2))
    assert one.cover(document.root, "a.txt") and one.cover("/elsewhere", "x", document.sha256)
    assert not one.cover("/elsewhere", "a.txt") and not one.cover(document.root, "b.txt", "0" * 64)
    assert len(one.marks) == 2 and not one.marks & other.marks
    kept = one.to_json()
    assert "a.txt" not in kept and document.sha256 not in kept
    assert Tombstones.from_json(kept) == one
    assert not Tombstones(b"key").cover("", "")
