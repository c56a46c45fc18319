"""A library that others may have made or changed is refused, with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from localrag import api
from localrag.errors import LibraryError
from localrag.settings import Settings, load_settings
from localrag.store import names
from localrag.store.library import Library, open_library
from localrag.store.names import DATABASE
from localrag.store.writer import Editor

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and rights are not checked on Windows")
DOCUMENTS = {"lease.pdf": ["The lease of Orlo House ends on 31 May 2031."], "notes.txt": "Elephants are grey."}


@pytest.fixture
def theirs(shelf: Callable[..., Editor]) -> Path:
    library = shelf("theirs", DOCUMENTS)
    library.close()
    return library.folder


def by_others(folder: Path) -> None:
    folder.chmod(0o777)


def file_by_others(folder: Path) -> None:
    (folder / DATABASE).chmod(0o660)


def linked(folder: Path) -> None:
    (folder / "sessions").symlink_to(folder.parent)


def of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(folder / DATABASE, 12345, 12345)


@pytest.mark.parametrize("change", [by_others, file_by_others, linked, of_another_user])
def test_what_others_can_change_is_neither_read_nor_written(
    theirs: Path, settings: Settings, change: Callable[[Path], None]
) -> None:
    open_library(settings, "theirs").close()
    change(theirs)
    before = (theirs / DATABASE).read_bytes()
    for kind in (Library, Editor):
        with pytest.raises(LibraryError) as refused:
            kind.open(theirs, "theirs")
        assert "localrag restore" in refused.value.hint and "ingest" in refused.value.hint
    with pytest.raises(LibraryError), names.writing(theirs, "theirs"):
        pass
    with pytest.raises(LibraryError):
        api.open_library("theirs", settings=settings)
    assert names.library_of(theirs.parent, settings) is None
    assert (theirs / DATABASE).read_bytes() == before


def test_a_library_in_the_current_folder_is_trusted_only_if_made_here(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: object, folder: Callable[..., Path]
) -> None:
    monkeypatch.delenv("LOCALRAG_HOME")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(theirs, tmp_path / "indexes" / "sent")
    settings = load_settings()
    for create in (False, True):
        with pytest.raises(LibraryError):
            api.open_library("sent", settings=settings, create=create)
    api.open_library("made", settings=settings, create=True).ingest(folder({"a.txt": "Flamingos are pink."}))
    with closing(open_library(settings, "made")) as library:
        assert library.folder == tmp_path / "indexes" / "made"
