"""`localrag proofread`: what it prints, and what it writes."""

import io
import json
import zipfile
from functools import partial

import command_line
import pytest
from command_line import run_json
from docx import Document
from lent_readers import LentReaders

from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.redline import marking, versions
from localrag.security import audit

run = partial(command_line.run, "proofread")


@pytest.fixture(autouse=True)
def lent(monkeypatch):
    monkeypatch.setattr(versions, "ReaderPool", LentReaders)


@pytest.fixture
def draft(tmp_path):
    document = Document()
    document.add_paragraph("1. The “Tenant” shall pay within thirty (45) days. The Tenant may leave.")
    paragraph = document.add_paragraph("2. It ends on ")
    paragraph.add_run("February 30, 2030").bold = True
    paragraph.add_run(", as Schedule 4 says.")
    document.add_paragraph("Signed: ______________")
    path = tmp_path / "draft.docx"
    document.save(str(path))
    return path


def test_findings_are_printed_under_their_kinds_and_recorded(draft, settings):
    shown = run(draft).stdout
    assert "3 findings" in shown and "thirty (45)" in shown and "February 30, 2030" in shown and "Schedule 4" in shown
    (entry,) = audit.entries(settings.audit_file)
    assert entry.event == "proofread" and entry.details["findings"] == 3 and entry.details["sha256"]


def test_json_has_every_finding(draft, settings):
    made = run_json("proofread", draft)
    assert [one["kind"] for one in made["findings"]] == ["figure", "date", "missing"]


def test_a_copy_of_the_word_file_has_comments_and_is_the_same_else(draft, settings, tmp_path):
    out = tmp_path / "marked.docx"
    before = draft.read_bytes()
    run(draft, "--out", out)
    marked = Document(str(out))
    assert sorted(one.text for one in marked.comments) == [
        "Schedule 4 is named and not attached.",
        "The words say 30 and the figures 45.",
        "This month has 28 days.",
    ]
    assert [one.text for one in marked.paragraphs] == [one.text for one in Document(str(draft)).paragraphs]
    assert marked.paragraphs[1].runs[1].bold and draft.read_bytes() == before
    old, new = zipfile.ZipFile(io.BytesIO(before)), zipfile.ZipFile(str(out))
    changed = {name for name in old.namelist() if old.read(name) != new.read(name)}
    assert changed == {"[Content_Types].xml", "word/document.xml", "word/_rels/document.xml.rels"}


def test_a_finding_whose_words_are_not_found_again_is_at_the_beginning(draft):
    from localrag.redline.proofreading import Fault

    lost = Fault("blank", "", "", "words of a footnote", "this is left blank", "", None, 0, 1)
    data, left, _ = marking.commented(draft.read_bytes(), [lost])
    assert left == 1 and len(list(Document(io.BytesIO(data)).comments)) == 1


def test_a_file_that_changes_while_it_is_read_is_not_marked(draft, settings, tmp_path, monkeypatch):
    def swap(*_, real=versions.record_proofread):
        real(*_)
        draft.write_bytes(draft.read_bytes() + b"\0")

    monkeypatch.setattr(versions, "record_proofread", swap)
    assert "has changed" in command_line.refused(ReadError, "proofread", draft, "-o", tmp_path / "out.docx").message
    assert not (tmp_path / "out.docx").exists()


def test_a_table_has_a_row_for_each_finding(draft, settings, tmp_path):
    out = tmp_path / "findings.json"
    run(draft, "-o", out)
    assert [row["kind"] for row in json.loads(out.read_text())] == ["figure", "date", "missing"]


def test_a_document_of_a_library_is_proofread(shelf, settings):
    shelf("papers", {"lease.txt": "1. The Tenant pays within thirty (45) days.\n\nSigned: _______"})
    assert "thirty (45)" in run("lease.txt", "--library", "papers").stdout


def test_a_missing_file_is_named_beside_several_libraries(shelf, settings, tmp_path):
    shelf("papers", {"lease.txt": "The Tenant pays."})
    shelf("letters", {"letter.txt": "Dear Sir"})
    assert "none.docx" in command_line.refused(NotFoundError, "proofread", tmp_path / "none.docx").message


def test_what_cannot_be_is_refused(draft, settings, tmp_path):
    broken = tmp_path / "broken.docx"
    broken.write_bytes(b"PK\x03\x04 no more")
    for args, error in [
        ((tmp_path / "none.docx",), NotFoundError),
        ((draft, "-o", draft), UsageError),
        ((draft, "-o", tmp_path / "out.pdf"), UsageError),
        ((broken,), ReadError),
    ]:
        command_line.refused(error, "proofread", *args)
