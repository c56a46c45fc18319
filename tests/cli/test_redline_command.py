import io
import json
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial

import command_line
import pytest
from docx import Document
from lent_readers import LentReaders
from msoffcrypto.method.ecma376_agile import ECMA376Agile
from word_changes import accepted, body, form_of, rejected, text_of

from localrag import api
from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.ingest import sync
from localrag.redline import versions
from localrag.security import audit, storage

run = partial(command_line.run, "redline")
BOOK = """
title: Test
items:
  - id: law
    question: "Which law governs this agreement?"
    like: [governed by the laws of]
    expect: Iowa
    fallback: This Agreement is governed by the laws of Iowa.
"""
LAW = "9.1 Governing Law. This Agreement is governed by the laws of Kansas and no other."


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.yaml"
    file.write_text(BOOK)
    return file


@pytest.fixture
def theirs(tmp_path, models, monkeypatch):
    monkeypatch.setattr(sync, "ReaderPool", LentReaders)
    monkeypatch.setattr(versions, "ReaderPool", LentReaders)
    models.generator.weights = [("", "yes")]
    document = Document()
    for text in ("Agreement", LAW, "9.2 Notices. Notices are in writing."):
        document.add_paragraph(text)
    (tmp_path / "deals").mkdir()
    document.save(str(tmp_path / "deals" / "theirs.docx"))
    return tmp_path / "deals" / "theirs.docx"


def test_a_file_on_the_disk_is_marked_and_its_library_is_gone_afterwards(theirs, book, settings, tmp_path):
    out, before = tmp_path / "marked.docx", theirs.read_bytes()
    told = json.loads(
        run(theirs, "--playbook", book, "--out", out, "--author", "Ada", "--date", "2026-12-02", "--json").stdout
    )
    assert [(one["item"], one["action"]) for one in told["proposals"]] == [("law", "changed")]
    data = out.read_bytes()
    assert text_of(accepted(data))[1] == "9.1 Governing Law. This Agreement is governed by the laws of Iowa."
    assert form_of(rejected(data)) == form_of(body(before)) and theirs.read_bytes() == before
    (comment,) = Document(io.BytesIO(data)).comments
    assert comment.author == "Ada" and f"{comment.timestamp:%Y-%m-%d}" == "2026-12-02"
    assert not [*settings.indexes_dir.glob("*")] and not [*settings.general_dir.glob("read/*")]
    review, export = audit.entries(settings.audit_file)
    assert (review.event, review.details["document"], export.event) == ("review", str(theirs), "export")


@pytest.mark.proves("word-files")
def test_what_the_other_side_left_live_is_named(theirs, book, settings, tmp_path):
    document = Document(str(theirs))
    document.part.relate_to("https://evil.example/t.dotm", "http://x/attachedTemplate", is_external=True)
    document.save(str(theirs))
    done = run(theirs, "--playbook", book, "--out", tmp_path / "marked.docx", "--json")
    assert json.loads(done.stdout)["live"] == ["attachedTemplate https://evil.example/t.dotm"]
    assert "Live in the copy" in done.stderr and "attachedTemplate https://evil.example/t.dotm" in done.stderr
    for words in (("compare", theirs, tmp_path / "marked.docx"), ("proofread", theirs)):
        assert "attachedTemplate" in command_line.run(*words, "--out", tmp_path / "out.docx").stderr
        assert "Live in" not in command_line.run(*words, "--out", tmp_path / "out.md").stderr


def test_a_document_of_a_library_is_marked_as_it_was_read(theirs, book, settings, tmp_path):
    with closing(api.open_library("deals", settings=settings, create=True)) as library:
        library.ingest(theirs.parent)
    words = ("theirs.docx", "-l", "deals", "--playbook", book, "--out", tmp_path / "marked.docx")
    assert "changed" in run(*words).stdout
    assert "laws of Iowa" in text_of(accepted((tmp_path / "marked.docx").read_bytes()))[1]
    review = ["review", "mark", book, "theirs.docx", "law", "-l", "deals", "--accept"]
    command_line.run(*review)
    assert "left" in run(*words).stdout, "the reviewer accepted it"
    theirs.write_bytes(theirs.read_bytes() + b" ")
    command_line.refused(UsageError, "redline", *words)


def test_a_document_of_another_library_is_not_replaced(theirs, book, settings):
    with closing(api.open_library("deals", settings=settings, create=True)) as library:
        library.ingest(theirs.parent)
    other = theirs.with_name("copy.docx")
    other.write_bytes(theirs.read_bytes())
    command_line.refused(UsageError, "redline", other, "--playbook", book, "--out", theirs)


@pytest.mark.parametrize(
    ("named", "out", "more", "error"),
    [
        ("none.docx", "out.docx", (), NotFoundError),
        ("deals/theirs.docx", "deals/theirs.docx", (), UsageError),
        ("deals/theirs.docx", "out.pdf", (), UsageError),
        ("old.docm", "out.docx", (), UsageError),
        ("broken.docx", "out.docx", (), ReadError),
        ("locked.docx", "out.docx", (), ReadError),
        ("deals/theirs.docx", "out.docx", ("--playbook", "none.yaml"), NotFoundError),
    ],
)
def test_what_cannot_be_marked_is_refused(theirs, book, tmp_path, monkeypatch, named, out, more, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.docm").write_bytes(theirs.read_bytes())
    (tmp_path / "broken.docx").write_bytes(theirs.read_bytes()[:400])
    (tmp_path / "locked.docx").write_bytes(ECMA376Agile.encrypt("secret", theirs.open("rb"), spin_count=10))
    before = theirs.read_bytes()
    command_line.refused(error, "redline", named, "--playbook", book, "--out", out, *more)
    assert theirs.read_bytes() == before and not (tmp_path / "out.docx").exists()


def test_a_day_that_is_none_is_refused(theirs, book, tmp_path):
    done = run(theirs, "--playbook", book, "--out", tmp_path / "out.docx", "--date", "tomorrow")
    assert done.exit_code == 2 and "tomorrow" in done.stderr and not (tmp_path / "out.docx").exists()


@pytest.mark.parametrize("name", [".theirs.docx", "~$theirs.docx", f"{'x' * 245}.docx"])
def test_names_that_a_folder_would_hide_or_refuse_are_read(theirs, book, tmp_path, name):
    named = theirs.rename(theirs.with_name(name))
    assert "changed" in run(named, "--playbook", book, "--out", tmp_path / "marked.docx").stdout


def test_a_file_that_cannot_be_read_is_named(theirs, settings, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(theirs), "read_bytes", refuse)
    with pytest.raises(ReadError) as raised, api.temporary_library(theirs, settings, lambda: False):
        pass
    assert "cannot read" in str(raised.value) and str(theirs) in str(raised.value)


@pytest.mark.skipif(sys.platform != "linux", reason="which processes are gone is known on Linux")
def test_what_a_killed_process_left_is_deleted_and_the_text_even_where_marks_stay(
    theirs, settings, tmp_path, monkeypatch
):
    def remove(path, real=storage.remove):
        if path.is_relative_to(settings.general_dir):
            raise OSError
        real(path)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(storage, "remove", remove)
    process = subprocess.Popen(["true"])
    process.wait()
    left = tmp_path / f"localrag-{process.pid}-{'0' * 32}"
    left.mkdir()
    with pytest.raises(OSError), api.temporary_library(theirs, settings, lambda: False):
        assert not left.exists() and [*tmp_path.glob("localrag-*")]
    assert not [*tmp_path.glob("localrag-*")]


def test_a_file_with_a_password_is_marked_and_one_without_proposals_is_not_written(theirs, book, tmp_path):
    plain, out = theirs.read_bytes(), tmp_path / "marked.docx"
    locked, passwords = tmp_path / "locked.docx", tmp_path / "passwords.txt"
    locked.write_bytes(ECMA376Agile.encrypt("secret", io.BytesIO(plain), spin_count=10))
    passwords.write_text("wrong\nsecret\n")
    assert "changed" in run(locked, "--playbook", book, "--out", out, "--password-file", passwords).stdout
    assert form_of(rejected(out.read_bytes())) == form_of(body(plain))
    out.unlink()
    book.write_text(BOOK.replace("Iowa", "Kansas"))
    done = run(theirs, "--playbook", book, "--out", out)
    assert "0 proposals" in done.stdout and "nothing was written" in done.stderr and not out.exists()
