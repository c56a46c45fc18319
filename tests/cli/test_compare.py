import json
import subprocess
import sys
from functools import partial

import command_line
import pytest
from command_line import run_json
from docx import Document
from lent_readers import LentReaders

from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.redline import versions
from localrag.security import audit

run = partial(command_line.run, "compare")
OLD = "1. Rent. The tenant shall pay EUR 100 a month.\n\n2. Term. The lease ends on 31 May 2030."
NEW = "1. Rent. The tenant shall pay EUR 120 a month.\n\n2. Term. The lease ends on 31 May 2030."


@pytest.fixture(autouse=True)
def lent(monkeypatch):
    monkeypatch.setattr(versions, "ReaderPool", LentReaders)


@pytest.fixture
def files(tmp_path):
    document = Document()
    for part in NEW.split("\n\n"):
        document.add_paragraph(part)
    old, new = tmp_path / "lease-v1.txt", tmp_path / "lease-v2.docx"
    old.write_text(OLD)
    document.save(str(new))
    return old, new


def test_two_files_of_two_types_are_compared(files, settings):
    result = run(*files)
    assert "[-100-] {+120+}" in result.stdout and "amount" in result.stdout and "1 of substance" in result.stdout
    (entry,) = audit.entries(settings.audit_file)
    assert (entry.event, entry.library, entry.details["changes"]) == ("compare", None, 1)


@pytest.mark.proves("links")
def test_where_a_link_leads_that_is_named_is_said(files, settings, tmp_path, monkeypatch):
    (tmp_path / "received").mkdir()
    (tmp_path / "received" / "theirs.docx").symlink_to(files[1])
    (tmp_path / "sub").symlink_to(tmp_path / "received", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for named in ("received/theirs.docx", "sub/theirs.docx", tmp_path / "received" / "theirs.docx"):
        shown = run(files[0].name, named)
        assert f"{named} is a link or behind one: {files[1]} is read" in shown.stderr and "{+120+}" in shown.stdout
    assert "link" not in run(*files).stderr


def test_documents_of_a_library_are_compared_and_recorded(shelf, settings, files):
    shelf("leases", {"v1.txt": OLD, "v2.txt": NEW})
    value = run_json("compare", "v1.txt", "v2.txt")
    assert value["old"]["document"] == "v1.txt" and value["old"]["library"] == "leases"
    (one,) = value["changes"]
    assert (one["old"]["text"], one["new"]["text"], one["level"]) == ("100", "120", "substance")
    entry = list(audit.entries(settings.library_audit_file("leases")))[-1]
    assert (entry.event, entry.details["old"], entry.details["new"]) == ("compare", "v1.txt", "v2.txt")
    assert run_json("compare", "v1.txt", files[1], "-l", "leases")["counts"]["amount"] == 1, "a file with a document"


def test_the_latest_two_versions_are_found(shelf):
    shelf("leases", {"lease v1.txt": OLD, "lease v2.txt": OLD, "lease v10.txt": NEW, "other.txt": "Dogs."})
    result = run("--latest", "lease", "--json")
    value = json.loads(result.stdout)
    assert (value["old"]["document"], value["new"]["document"]) == ("lease v2.txt", "lease v10.txt")
    assert "3 versions, the latest last: lease v1.txt, lease v2.txt, lease v10.txt" in result.stderr
    for name, message in (("other.txt", "one version"), ("cats", "cats")):
        with pytest.raises(NotFoundError, match=message):
            run("--latest", name)


@pytest.mark.parametrize("suffix", [".docx", ".html", ".md", ".json"])
def test_a_redline_is_written(files, tmp_path, suffix):
    out = tmp_path / f"redline{suffix}"
    assert str(out) in run(*files, "--out", out).stderr and out.stat().st_size > 100


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("lease-v1.txt", "empty.pdf"), ReadError, r"empty\.pdf"),
        (("lease-v1.txt", "bad.docx"), ReadError, r"bad\.docx"),
        (("lease-v1.txt", "lease-v1.txt"), UsageError, "itself"),
        (("lease-v1.txt", "lease-v2.docx", "--out", "lease-v2.docx"), UsageError, "is one of those"),
        (("lease-v1.txt",), UsageError, "two documents"),
        (("lease-v1.txt", "none.txt"), NotFoundError, r"no file .*none\.txt"),
        (("nosuch.md", "lease-v1.txt"), NotFoundError, r"no file .*nosuch\.md"),  # not sought in a library
        (("lease-v1.txt", "lease-v2.docx", "--out", "x.pdf"), UsageError, "be written"),
    ],
)
def test_what_cannot_be_compared_is_refused(shelf, files, tmp_path, monkeypatch, words, error, message):
    shelf("letters", {"v1.txt": OLD})
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "bad.docx").write_bytes(b"PK nonsense")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        run(*words)


def test_an_encrypted_file_needs_its_password(files, tmp_path, monkeypatch):
    from pypdf import PdfWriter
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(tmp_path / "plain.pdf"))
    canvas.drawString(72, 700, "1. Rent. The tenant shall pay EUR 120 a month.")
    canvas.save()
    writer = PdfWriter(clone_from=str(tmp_path / "plain.pdf"))
    writer.encrypt("open sesame")
    writer.write(str(tmp_path / "locked.pdf"))
    with pytest.raises(ReadError, match=r"locked\.pdf"):
        run(files[0], tmp_path / "locked.pdf")
    (tmp_path / "passwords").write_text("wrong\nopen sesame\n")
    assert "{+120+}" in run(files[0], tmp_path / "locked.pdf", "--password-file", tmp_path / "passwords").stdout


@pytest.mark.slow
def test_the_command_runs_confined(files, tmp_path):
    """A bug: the check of --out started threads before the process was limited to its files."""
    command = [sys.executable, "-m", "localrag", "compare", *map(str, files), "--out", str(tmp_path / "out.docx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "{+120+}" in done.stdout and (tmp_path / "out.docx").stat().st_size > 1000


def test_three_files_are_compared(files, tmp_path, settings):
    (tmp_path / "ours.txt").write_text(OLD.replace("100", "90"))
    result = run(*files, tmp_path / "ours.txt", "--out", tmp_path / "three.docx")
    assert "conflict" in result.stdout and "theirs, changed: " in result.stdout and "ours, changed: " in result.stdout
    assert "[-100-] {+120+}" in result.stdout and "[-100-] {+90+}" in result.stdout
    first, second = audit.entries(settings.audit_file)
    assert (first.event, first.details["base"]) == ("compare", str(files[0]))
    assert first.details["ours"] == str(tmp_path / "ours.txt")
    assert (second.event, second.details["written"]) == ("export", str(tmp_path / "three.docx"))


def test_what_a_copy_of_a_word_file_lacks_is_named(tmp_path):
    for name, days in (("old", 30), ("new", 60)):
        document = Document()
        document.add_paragraph("Notice is given.")
        document.sections[0].header.paragraphs[0].text = f"Within {days} days"
        document.save(str(tmp_path / f"{name}.docx"))
    result = run(tmp_path / "old.docx", tmp_path / "new.docx", "--out", tmp_path / "out.docx")
    assert "Not marked: headers" in result.stderr
