import os
from pathlib import Path

import pytest

from localrag.errors import ReadError
from localrag.readers import base


def refused(path, *passwords):
    with pytest.raises(ReadError) as caught:
        base.read_file(path, passwords)
    assert caught.value.hint
    return caught.value.message


def test_the_suffix_decides_whatever_its_case():
    assert base.reads(Path("a/B.PDF")) and base.reads(Path("x.docx")) and not base.reads(Path("x.exe"))
    assert not base.reads(Path("pdf"))


def test_every_suffix_names_a_module_that_reads():
    import importlib

    assert all(callable(importlib.import_module(name).read) for name in base.SUFFIXES.values())


def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path):
    (tmp_path / "zero.txt").touch()
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "odd.xyz").write_text("x")
    assert "is empty (0 bytes)" in refused(tmp_path / "zero.txt")
    assert "not a regular file" in refused(tmp_path / "folder.txt")
    assert "has no text" in refused(tmp_path / "blank.txt")
    assert "'.xyz'" in refused(tmp_path / "odd.xyz")
    assert "not there" in refused(tmp_path / "gone.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "not a regular file" in refused(tmp_path / "pipe.txt")


def test_a_file_without_the_right_to_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("x")

    def deny(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)  # root may read everything, so rights alone prove nothing
    assert "permission denied" in refused(path)


@pytest.mark.parametrize("raw, stored", [
    ("a\r\nb\rc\n", "a\nb\nc\n"),
    ("nul\0 bell\a del\x7f c1\x9b", "nul bell del c1"),
    ("con\u00adtract \ufeffx", "contract x"),
    ("two\u00a0words\u2009thin", "two words thin"),
    ("half \ud83d gone, whole 😀 kept", "half \ufffd gone, whole 😀 kept"),
    ("o\ufb03ce", "office"),
    ("line\u2028next\vlast\x85end", "line\nnext\nlast\nend"),
    ("tab\tstays, ünï 中文", "tab\tstays, ünï 中文"),
])  # fmt: skip
def test_cleaned_text_has_nothing_that_a_database_or_screen_chokes_on(raw, stored):
    assert base.clean(raw) == stored
    assert base.clean(stored) == stored


def test_titles_that_programs_wrote_give_way_to_the_name_of_the_file(tmp_path):
    for junk in ("Microsoft Word - lease final.doc", "untitled", "Untitled-1", "0000320193-22-000070", "", "x.indd",
                 "Document1", "  ", "PowerPoint Presentation", "\0"):  # fmt: skip
        assert base.clean_title(junk) == "", junk
    for good in ("Lease of the Mill", "10-Q - 07/28/2023 - Intel", "租约", "Titles and Deeds"):
        assert base.clean_title(good) == good
    path = tmp_path / "The lease.txt"
    path.write_text("One line of text, that ends like a sentence.")
    assert base.read_file(path).title == "The lease"


def test_a_reader_that_makes_offsets_into_unclean_text_is_caught(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\x0cb\x07c")
    monkeypatch.setattr("localrag.readers.text.clean", lambda text: text)
    with pytest.raises(AssertionError):
        base.read_file(path)
