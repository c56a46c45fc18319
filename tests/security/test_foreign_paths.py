from __future__ import annotations

import builtins
import io
import os

import pytest

from localrag import api
from localrag.errors import ReadError
from localrag.lifecycle import restore
from localrag.security import sandbox
from localrag.store import names
from localrag.types import Document
from localrag.worker.engine import Engine

FAR = "/net/evil.example/share"


@pytest.fixture
def touched(monkeypatch):
    seen: list[str] = []

    def spy(module, name):
        real = getattr(module, name)

        def look(path, *args, **options):
            if not isinstance(path, int) and os.fsdecode(path).startswith(FAR):
                seen.append(name)
            return real(path, *args, **options)

        monkeypatch.setattr(module, name, look)

    for name in ("stat", "lstat", "open", "scandir", "listdir", "readlink", "access"):
        spy(os, name)
    spy(io, "open")
    spy(builtins, "open")
    return seen


@pytest.fixture
def engine(settings, models):
    engine = Engine(settings)
    yield engine
    engine.close()


def test_no_original_of_a_foreign_library_is_looked_at(settings, put, shelf, engine, touched):
    put(shelf("evil", {}), "scan.pdf", ["The words."], root=FAR)
    opened = engine.page("evil", "scan.pdf", 1)
    assert (opened.page.text, opened.file, opened.state) == ("The words.", "", "elsewhere")
    with pytest.raises(ReadError):
        engine.page_image("evil", "scan.pdf", 1, 100)
    engine.note_opened("evil", "scan.pdf", 1)
    assert engine.contents("evil").elsewhere == (FAR,)
    api.open_library("evil", settings=settings).status()
    engine.look_at(settings.indexes_dir)
    assert touched == []


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "a/../../b"])
def test_a_file_outside_of_its_folder_is_no_original(settings, tmp_path, file):
    sandbox.mark_as_own(settings, "papers", str(tmp_path))
    document = Document(1, str(tmp_path), file, "", "", 0, 0, 0, False)
    assert names.original(settings, "papers", document) is None
    assert names.original(settings, "other", document) is None


def test_originals_are_looked_at_once_their_folder_was_read_here(settings, folder, tmp_path, engine):
    root = folder({"a.txt": "The words."})
    made = api.open_library("papers", settings=settings, create=True)
    made.ingest(root)
    made.close()
    opened = engine.page("papers", "a.txt")
    assert (opened.file, opened.state, engine.contents("papers").elsewhere) == (str(root / "a.txt"), "same", ())
    copy = tmp_path / "copy"
    settings.library_dir("papers").rename(copy)
    restore.restore(settings, copy, "papers", trust=True, unlock=lambda *_: pytest.fail("no key is needed"))
    assert engine.page("papers", "a.txt").state == "elsewhere"  # until its folder is read
    again = api.open_library("papers", settings=settings)
    assert again.ingest(root).unchanged == 1
    assert engine.page("papers", "a.txt").state == "same"
    again.forget()
    assert not settings.read_marks("papers").exists()
