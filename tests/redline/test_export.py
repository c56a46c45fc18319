"""The redline as a file: accepting all tracked changes gives the new text, and nothing of a document is live."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from docx import Document
from lxml import etree  # type: ignore[import-untyped]

from localrag.errors import StorageError, UsageError
from localrag.ingest.readers import legacy, programs
from localrag.redline import export
from localrag.redline.changes import Comparison
from localrag.security import audit
from localrag.settings import Settings

from .test_changes import OLD, changed

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
CLAUSES = OLD.strip().split("\n\n")
MOVED = "\n\n".join([*CLAUSES[:2], CLAUSES[6].replace("5.", "1."), CLAUSES[2].replace("1.", "2."), *CLAUSES[4:6]])
NEW = (
    MOVED.replace("$5,000", "$6,000").replace("shall not disclose", "shall disclose")
    + "\n\n6. Audit. <b>Books</b> & *records* are open.\n"
)


@pytest.fixture(name="compared")
def make_compared() -> Comparison:
    return changed(OLD, NEW)


def paragraphs(data: bytes, dropped: str) -> list[str]:
    """The paragraphs of a Word document after all changes are accepted ("del" dropped) or rejected ("ins")."""
    body = etree.fromstring(zipfile.ZipFile(io.BytesIO(data)).read("word/document.xml"))
    found, open_text = [], ""
    for one in body.iter(f"{W}p"):
        for text in one.iter(f"{W}t", f"{W}delText"):
            if f"{W}{dropped}" not in {parent.tag for parent in text.iterancestors()}:
                open_text += text.text
        if one.find(f"{W}pPr/{W}rPr/{W}{dropped}") is None:  # the end of the paragraph stays
            found.append(open_text)
            open_text = ""
    return [text for text in found if text]


def test_accepting_all_changes_gives_the_new_text(compared: Comparison) -> None:
    data = export.written(compared, ".docx")
    assert paragraphs(data, "del") == [" ".join(part.split()) for part in NEW.strip().split("\n\n")]
    assert " ".join(paragraphs(data, "ins")).split() == OLD.split()
    text = zipfile.ZipFile(io.BytesIO(data)).read("word/document.xml").decode()
    assert {"localrag"} == set(re.findall(r'w:author="([^"]*)"', text)) and text.count("<w:ins ") > 2 < text.count(
        "<w:del "
    )
    numbers = re.findall(r'w:id="(\d+)"', text)
    assert len(numbers) == len(set(numbers))
    assert Document(io.BytesIO(data)).core_properties.author == "localrag"


@pytest.mark.skipif(programs.installed()["LibreOffice"] is None, reason="LibreOffice is not installed")
def test_libreoffice_reads_the_tracked_changes(compared: Comparison, tmp_path: Path) -> None:
    made = legacy.converted(export.written(compared, ".docx"), ".docx", "txt")  # type: ignore[attr-defined]
    assert NEW.split()[-1] in made


def test_markdown_and_html_hold_the_changes_and_nothing_live(compared: Comparison) -> None:
    markdown, html = (export.written(compared, suffix).decode() for suffix in (".md", ".html"))
    assert "~~5,000~~ **6,000**" in markdown and "\\<b\\>Books" in markdown and "\\*records\\*" in markdown
    assert "<del>5,000</del>" in html and "<ins>6,000</ins>" in html and "&lt;b&gt;Books" in html
    assert "<script" not in html and "http" not in html.replace('http-equiv="', "") and "@media print" in html


def test_json_has_the_places_of_both_sides(compared: Comparison) -> None:
    value = json.loads(export.written(compared, ".json"))
    amount = next(one for one in value["changes"] if one["kinds"] == ["amount"])
    for side, text, words in (("old", OLD, "5,000"), ("new", NEW, "6,000")):
        (span,) = amount[side]["spans"]
        assert text[span["start"] : span["end"]] == words == amount[side]["text"]
    assert value["counts"]["amount"] == 1 and value["counts"]["moved"] >= 1


def test_a_file_is_recorded_and_for_its_owner_alone(compared: Comparison, settings: Settings, tmp_path: Path) -> None:
    export.save(compared, tmp_path / "out.md", settings)
    assert (tmp_path / "out.md").stat().st_mode & 0o777 == 0o600
    (entry,) = audit.entries(settings.audit_file)
    assert (entry.event, entry.details["written"]) == ("export", str(tmp_path / "out.md"))


def test_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.pdf"):
        export.check(tmp_path / "out.pdf")
    with pytest.raises(StorageError):
        export.check(tmp_path / "none" / "out.md")
