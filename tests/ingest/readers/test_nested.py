"""What lies in other files, by way of `base.read_parts`."""

import containers
import pytest

from localrag.ingest.readers import base
from localrag.ingest.readers.source import Budget, Options
from localrag.types import Part

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


def said(parts):
    return {item.name: item.reading.pages[0].text if isinstance(item, Part) else item.reason for item in parts}


def test_attachments_of_mails_in_archives_are_documents_of_their_own(read):
    parts = read("a.zip", zipped(("b/c.zip", zipped(("mail.eml", MAIL))), ("d.txt", b"Words.")))
    assert [part.name for part in parts] == ["b/c.zip/mail.eml", "b/c.zip/mail.eml/notes.txt", "d.txt"]
    mail, notes, _ = parts
    assert mail.reading.author == "Jane Doe" and mail.reading.pages[0].label == "Jane Doe"
    assert notes.reading.pages[0].text == "The rent is due." and notes.reading.title == "notes" and notes.size == 16
    assert len({part.sha256 for part in parts}) == 3


def test_a_mailbox_gives_its_mails_and_their_attachments(read):
    box = b"".join(b"From x Sat Mar  2 10:15:00 2024\n" + MAIL + b"\n" for _ in range(2))
    names = [part.name for part in read("a.mbox", box)]
    assert names == [name for n in (1, 2) for name in (f"000{n} The lease.eml", f"000{n} The lease.eml/notes.txt")]


def test_too_deep_members_are_refused_and_the_rest_read(read):
    data = zipped(("deep.txt", b"x"))
    for level in (3, 2, 1):
        data = zipped((f"{level}.zip", data), (f"{level}.txt", b"words"))
    found = said(read("a.zip", data))
    assert "too deep inside" in found["1.zip/2.zip/3.zip/deep.txt"]
    assert all(found[name] == "words" for name in ("1.txt", "1.zip/2.txt", "1.zip/2.zip/3.txt"))
    assert "too deep inside" in said(read("b.zip", data, depth=0))["1.txt"]


def test_nesting_gains_no_budget(read):
    inner = zipped(("a.txt", b"x" * 400))
    parts = read("a.zip", zipped(*((f"{n}.zip", inner) for n in range(9))), unpacked=2000)
    assert len([item for item in parts if isinstance(item, Part)]) == 3
    assert parts[-1].name == "" and "unpacks to more than 2,000 bytes" in parts[-1].reason


def test_the_number_of_members_that_are_read_is_bounded(read):
    data = zipped(*((f"{n}.bin", b"x") for n in range(20)), *((f"{n}.txt", b"word") for n in range(5)))
    parts = read("a.zip", data, members=3)
    assert len([item for item in parts if isinstance(item, Part)]) == 3
    assert parts[-1].name == "" and "holds more than 3 files" in parts[-1].reason


def test_types_that_are_not_read_are_refused_as_such_and_never_unpacked(read, monkeypatch):
    monkeypatch.setattr(Budget, "unpack", None)
    (only,) = read("a.zip", zipped(("movie.mp4", b"x")))
    assert only.name == "movie.mp4" and "has a type that is not read: '.mp4'" in only.reason


def test_one_bad_member_costs_itself_only(read, monkeypatch):
    def fail(*args):
        raise ZeroDivisionError("a fault\x07 of ours")

    monkeypatch.setattr("localrag.ingest.readers.sheets.read", fail)
    found = said(read("a.zip", zipped(("a.csv", b"x"), ("b.pdf", b"no"), ("empty.txt", b""), ("c.txt", b"kept"))))
    assert "(ZeroDivisionError: a fault of ours)" in found["a.csv"] and "not a PDF" in found["b.pdf"]
    assert "is empty (0 bytes)" in found["empty.txt"] and found["c.txt"] == "kept"


def test_memory_that_is_not_there_is_no_fault_of_one_member(read, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr("localrag.ingest.readers.sheets.read", fail)
    with pytest.raises(MemoryError):
        read("a.zip", zipped(("a.csv", b"x")))


def test_an_empty_archive_is_refused(read):
    (only,) = read("a.zip", zipped(("folder/", b"")))
    assert only.name == "" and "holds no files" in only.reason


def test_a_mail_that_cannot_be_read_is_refused_once(read):
    (only,) = read("a.eml", b"Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b--\n")
    assert only.name == "" and only.reason.startswith("is encrypted. ")
