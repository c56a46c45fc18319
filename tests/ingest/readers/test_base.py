import importlib
import os
from pathlib import Path

import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import base
from localrag.ingest.readers.source import Options, Source, looks_like, open_file
from localrag.types import Refused


def read_file(path, options):
    """Read a file without what is inside it; raise why it is refused."""
    item = next(base.read_parts(path, options))
    if isinstance(item, Refused):
        raise ReadError(item.reason)
    return item.reading


def refused(path):
    (part,) = base.read_parts(path, Options())
    assert isinstance(part, Refused) and part.name == ""
    return part.reason


def test_the_suffix_decides_whatever_its_case():
    assert base.reads(Path("a/B.PDF")) and base.reads(Path("x.docx")) and not base.reads(Path("x.exe"))
    assert not base.reads(Path("pdf"))


@pytest.mark.parametrize("name", sorted(set(base.SUFFIXES.values())))
def test_every_suffix_names_a_module_that_reads(name):
    module = importlib.import_module(name)
    assert callable(getattr(module, "read", None) or getattr(module, "members", None))


def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path):
    (tmp_path / "zero.txt").touch()
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "odd.xyz").write_text("x")
    assert "is empty (0 bytes)" in refused(tmp_path / "zero.txt")
    assert "not a regular file" in refused(tmp_path / "folder.txt")
    assert "has no text" in refused(tmp_path / "blank.txt")
    assert "'.xyz'" in refused(tmp_path / "odd.xyz")
    assert "no longer exists" in refused(tmp_path / "gone.txt")


def test_a_file_without_the_right_to_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("x")

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)  # root may read everything, so rights alone prove nothing
    assert "permission denied" in refused(path)


def test_a_meaningless_title_is_replaced_by_the_file_name(tmp_path):
    path = tmp_path / "The lease.txt"
    path.write_text("One line of text, that ends like a sentence.")
    assert read_file(path, Options()).title == "The lease"


def test_a_reader_that_makes_offsets_into_unclean_text_is_caught(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\x0cb\x07c")
    monkeypatch.setattr("localrag.ingest.readers.text.clean", lambda text: text)
    with pytest.raises(AssertionError):
        read_file(path, Options())


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"{\\rtf1", "an RTF text"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html>", "an HTML page"),
        (b"MIME junk\r\n%PDF-1.4", "a PDF with something before it"),
        (b"Dear Sir or Madam", ""),
    ],
)
def test_the_first_bytes_say_what_a_file_is(tmp_path, data, kind):
    (tmp_path / "a.doc").write_bytes(data)
    assert looks_like(Source.of(tmp_path / "a.doc")) == looks_like(Source("a.doc", data=data)) == kind


def test_an_open_file_is_read_as_a_path_is(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    descriptor = open_file(tmp_path / "a.txt")
    with Source("a.txt", descriptor=descriptor).open() as one, Source("a.txt", descriptor=descriptor).open() as other:
        assert (one.read(3), other.read(2), one.read(3)) == (b"012", b"01", b"345")
        assert one.seek(-2, os.SEEK_END) == 8 and one.read() == b"89"
        with pytest.raises(OSError):  # what zipfile and pypdf expect of a short file
            one.seek(-14, os.SEEK_END)
    os.close(descriptor)
