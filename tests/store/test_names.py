import os
import shutil
from contextlib import closing

import pytest

from localrag import api
from localrag.errors import LibraryError, UsageError
from localrag.settings import load_settings
from localrag.store import names
from localrag.store.library import Library, open_library
from localrag.store.names import DATABASE
from localrag.store.writer import Editor

posix = pytest.mark.skipif(os.name != "posix", reason="owners and rights are not checked on Windows")
DOCUMENTS = {"lease.pdf": ["The lease of Orlo House ends on 31 May 2031."], "notes.txt": "Elephants are grey."}


def test_names_of_folders_are_names_of_libraries_and_globs_fit_paths():
    for name in ("matters 2026", "Akte_Müller (neu)", "a.b-c", "中文"):
        assert names.check_name(name) == name
    globs = ("lease.pdf", "*.pdf", "./a/lease.pdf", "a/*", "b/*", "Lease.pdf")
    assert [names.matches("a/lease.pdf", glob) for glob in globs] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\\b", "../x", "a\n", "a:b", "x" * 101, "end.", "end "])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    with pytest.raises(UsageError):
        names.check_name(name)


@pytest.fixture
def theirs(shelf):
    library = shelf("theirs", DOCUMENTS)
    library.close()
    return library.folder


def of_another_user(folder):
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(folder / DATABASE, 12345, 12345)


@posix
@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.chmod(0o777),
        lambda folder: (folder / DATABASE).chmod(0o660),
        lambda folder: (folder / "sessions").symlink_to(folder.parent),
        of_another_user,
    ],
)
@pytest.mark.proves("foreign-libraries")
def test_what_others_can_change_is_neither_read_nor_written(theirs, settings, change):
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


@posix
def test_a_library_in_the_current_folder_is_trusted_only_if_made_here(theirs, tmp_path, monkeypatch, models, folder):
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


def test_originals_are_files_of_folders_that_were_read_on_this_machine(models, folder, settings):
    root = folder({"a/lease.txt": "The lease ends.", "notes.txt": "Elephants are grey."})
    with closing(api.open_library("cases", settings=settings, create=True)) as library:
        library.ingest(root)
    expected = {path: root.resolve() / path for path in ("a/lease.txt", "notes.txt")}
    assert names.originals(settings, "cases") == expected
    shutil.rmtree(settings.read_marks("cases"))
    assert names.originals(settings, "cases") == {} == names.originals(settings, "none")


def test_a_path_of_two_folders_or_out_of_one_names_no_file():
    listed = [("a", "/x", "a"), ("a", "/y", "a"), ("b", "/x", "../b"), ("c", "/x", "/etc/c"), ("d", "/net", "d")]
    found = names.files_by_path([*listed, ("z.zip/e", "/x", "z.zip")], {"/x", "/y"})
    assert {path: file.as_posix() for path, file in found.items()} == {"z.zip/e": "/x/z.zip"}
