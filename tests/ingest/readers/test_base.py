import importlib
import os
from pathlib import Path
from unittest.mock import Mock

import containers
import pytest

from localrag.ingest.readers import base
from localrag.ingest.readers.source import Budget, Options, Source, looks_like, open_file
from localrag.types import Part, Refused


def refused(path):
    (part,) = base.read_parts(path, Options())
    assert isinstance(part, Refused) and part.name == ""
    return part.reason


def test_the_suffix_decides_whatever_its_case_and_names_a_module_that_reads():
    assert base.reads(Path("a/B.PDF")) and base.reads(Path("x.docx")) and not base.reads(Path("x.exe"))
    assert not base.reads(Path("pdf"))
    for name in set(base.SUFFIXES.values()):
        module = importlib.import_module(name)
        assert callable(getattr(module, "read", None) or getattr(module, "members", None)), name


def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "zero.txt").touch()
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "blank.txt").write_text(" \n\t\n")
    (tmp_path / "odd.xyz").write_text("x")
    (tmp_path / "odd.txt").write_text("x")
    assert "is empty (0 bytes)" in refused(tmp_path / "zero.txt")
    assert "not a regular file" in refused(tmp_path / "folder.txt")
    assert "has no text" in refused(tmp_path / "blank.txt")
    assert "'.xyz'" in refused(tmp_path / "odd.xyz")
    assert "no longer exists" in refused(tmp_path / "gone.txt")

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)  # root may read everything, so rights alone prove nothing
    assert "permission denied" in refused(tmp_path / "odd.txt")


def test_a_reader_that_makes_offsets_into_unclean_text_is_caught(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\x0cb\x07c")
    monkeypatch.setattr("localrag.ingest.readers.text.clean", lambda text: text)
    with pytest.raises(AssertionError):
        list(base.read_parts(path, Options()))


@pytest.mark.parametrize(
    "data, kind",
    [
        (b"{\\rtf1", "an RTF text"),
        (b"<?xml version='1.0'?>", "an XML file"),
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


MAIL = b"""From: Jane Doe <jane@example.org>
Subject: The lease
Content-Type: multipart/mixed; boundary=b

--b

See the attachment.
--b
Content-Type: text/plain; name=notes.txt

The rent is due.
--b--
"""


def zipped(*members):
    return containers.zipped(dict(members))


@pytest.fixture
def read(tmp_path):
    def parts(name, data, **options):
        path = tmp_path / name
        path.write_bytes(data)
        return list(base.read_parts(path, Options(**options)))

    return parts


def shown(parts):
    return {item.name: item.reading.pages[0].text if isinstance(item, Part) else item.reason for item in parts}


def test_members_of_members_are_documents_of_their_own_unless_too_deep(read):
    parts = read("a.zip", zipped(("b/c.zip", zipped(("mail.eml", MAIL))), ("d.txt", b"Words.")))
    assert [part.name for part in parts] == ["b/c.zip/mail.eml", "b/c.zip/mail.eml/notes.txt", "d.txt"]
    mail, notes, _ = parts
    assert mail.reading.author == "Jane Doe" and mail.reading.pages[0].label == "Jane Doe"
    assert notes.reading.pages[0].text == "The rent is due." and notes.reading.title == "notes" and notes.size == 16
    assert len({part.sha256 for part in parts}) == 3
    data = zipped(("deep.txt", b"x"))
    for level in (3, 2, 1):
        data = zipped((f"{level}.zip", data), (f"{level}.txt", b"words"))
    found = shown(read("a.zip", data))
    assert "too deep inside" in found["1.zip/2.zip/3.zip/deep.txt"]
    assert all(found[name] == "words" for name in ("1.txt", "1.zip/2.txt", "1.zip/2.zip/3.txt"))
    assert "too deep inside" in shown(read("b.zip", data, depth=0))["1.txt"]


def test_nesting_gains_no_budget_and_the_number_of_members_is_bounded(read):
    inner = zipped(("a.txt", b"x" * 400))
    parts = read("a.zip", zipped(*((f"{n}.zip", inner) for n in range(9))), unpacked=2000)
    assert len([item for item in parts if isinstance(item, Part)]) == 3
    assert parts[-1].name == "" and "unpacks to more than 2,000 bytes" in parts[-1].reason
    data = zipped(*((f"{n}.bin", b"x") for n in range(20)), *((f"{n}.txt", b"word") for n in range(5)))
    parts = read("a.zip", data, members=3)
    assert len([item for item in parts if isinstance(item, Part)]) == 3
    assert parts[-1].name == "" and "holds more than 3 files" in parts[-1].reason


def test_types_that_are_not_read_and_empty_archives_and_sealed_mails_are_refused_once(read, monkeypatch):
    monkeypatch.setattr(Budget, "unpack", None)
    (only,) = read("a.zip", zipped(("font.ttf", b"x")))
    assert only.name == "font.ttf" and "has a type that is not read: '.ttf'" in only.reason
    (only,) = read("a.zip", zipped(("folder/", b"")))
    assert only.name == "" and "holds no files" in only.reason
    (only,) = read("a.eml", b"Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b--\n")
    assert only.name == "" and only.reason.startswith("is encrypted. ")


def test_one_bad_member_costs_itself_only_but_missing_memory_the_run(read, monkeypatch):
    fault = Mock(side_effect=[ZeroDivisionError("a fault\x07 of ours"), MemoryError])
    monkeypatch.setattr("localrag.ingest.readers.sheets.read", fault)
    found = shown(read("a.zip", zipped(("a.csv", b"x"), ("b.pdf", b"no"), ("empty.txt", b""), ("c.txt", b"kept"))))
    assert "(ZeroDivisionError: a fault of ours)" in found["a.csv"] and "not a PDF" in found["b.pdf"]
    assert "is empty (0 bytes)" in found["empty.txt"] and found["c.txt"] == "kept"
    with pytest.raises(MemoryError):
        read("a.zip", zipped(("a.csv", b"x")))
