import io
import json
import re
import subprocess
import zipfile

import pytest
from docx import Document
from lxml import etree

from localrag.diff.changes import Version, compare
from localrag.diff.clauses import parse
from localrag.ingest.readers import programs
from localrag.ingest.readers.base import read_parts
from localrag.ingest.readers.source import Source
from localrag.redline import export
from localrag.redline.three_way import compare_three
from localrag.types import Page, Part
from tests.diff.test_changes import OLD, changed

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
CLAUSES = OLD.strip().split("\n\n")
MOVED = "\n\n".join([*CLAUSES[:2], CLAUSES[6].replace("5.", "1."), CLAUSES[2].replace("1.", "2."), *CLAUSES[4:6]])
NEW = (
    MOVED.replace("$5,000", "$6,000").replace("shall not disclose", "shall disclose")
    + "\n\n6. Audit. <b>Books</b> & *records* are open.\n"
)


@pytest.fixture(name="compared")
def make_compared():
    return changed(OLD, NEW)


def paragraphs(data, dropped):
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


def test_accepting_all_changes_gives_the_new_text(compared):
    data = export.written(compared, ".docx", "Ada Quill")
    assert paragraphs(data, "del") == [" ".join(part.split()) for part in NEW.strip().split("\n\n")]
    assert " ".join(paragraphs(data, "ins")).split() == OLD.split()
    text = zipfile.ZipFile(io.BytesIO(data)).read("word/document.xml").decode()
    assert {"Ada Quill"} == set(re.findall(r'w:author="([^"]*)"', text)) and text.count("<w:ins ") > 2 < text.count(
        "<w:del "
    )
    numbers = re.findall(r'w:id="(\d+)"', text)
    assert len(numbers) == len(set(numbers))
    assert Document(io.BytesIO(data)).core_properties.author == "localrag"


def test_the_word_document_keeps_the_order_of_its_schema(compared):
    """ECMA-376: properties come first, deleted words are `delText`, and marks hold runs and nothing else."""
    body = etree.fromstring(zipfile.ZipFile(io.BytesIO(export.written(compared, ".docx"))).read("word/document.xml"))
    marks = [*body.iter(f"{W}ins", f"{W}del")]
    assert marks and all(
        {child.tag for child in mark} <= {f"{W}r"} for mark in marks if mark.getparent().tag != f"{W}rPr"
    )
    for tag, first in (("p", "pPr"), ("r", "rPr")):
        for one in body.iter(f"{W}{tag}"):
            assert f"{W}{first}" not in [child.tag for child in one][1:]
    for one in body.iter(f"{W}pPr"):  # the mark of the paragraph's end is the first of its properties, which come last
        assert all(properties[0].tag in (f"{W}ins", f"{W}del") for properties in one.findall(f"{W}rPr"))
        assert [child.tag for child in one if child.tag != f"{W}pStyle"] in ([], [f"{W}rPr"])
    deleted = [one.tag for mark in body.iter(f"{W}del") for one in mark.iter(f"{W}t", f"{W}delText")]
    assert set(deleted) == {f"{W}delText"} and len(deleted) == len([*body.iter(f"{W}delText")])


@pytest.mark.skipif(
    programs.installed()["LibreOffice"] is None, reason="LibreOffice is not installed (apt: libreoffice)"
)
def test_libreoffice_reads_the_tracked_changes(compared, tmp_path):
    """Saved again by LibreOffice, the changes are still tracked, and accepting or rejecting them gives the same."""
    data = export.written(compared, ".docx")
    (tmp_path / "redline.docx").write_bytes(data)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [str(programs.installed()["LibreOffice"]), profile, "--headless", "--convert-to", "docx", "--outdir"]
    subprocess.run([*command, tmp_path / "out", tmp_path / "redline.docx"], check=True, timeout=300)
    saved = (tmp_path / "out" / "redline.docx").read_bytes()
    assert [paragraphs(saved, name) for name in ("del", "ins")] == [paragraphs(data, name) for name in ("del", "ins")]
    part = next(read_parts(Source("saved.docx", data=saved)))
    assert isinstance(part, Part) and part.reading.pages[0].text.split() == NEW.split()


def test_comments_stand_beside_their_clause():
    old = OLD.replace("each invoice.", "each invoice.\n\n[Comment by J. Doe, 2024-03-02: Too early?]\n\n", 1)
    old, new = f"{old}\n[Reply by A. Roe: No.]\n", NEW
    compared = compare(*(Version(name, (Page(text),)) for name, text in (("a", old), ("b", new))))
    (payment,) = (one for one in compared.changes if one.kinds == ("amount",))
    assert [str(one) for one in payment.comments] == ["Comment by J. Doe, 2024-03-02 (old): Too early?"]
    for suffix in (".md", ".html", ".json"):
        assert export.written(compared, suffix).decode().count("Too early?") == 1
    document = Document(io.BytesIO(export.written(compared, ".docx")))
    assert {(one.author, one.text) for one in document.comments} == {
        ("J. Doe", "Comment by J. Doe, 2024-03-02 (old): Too early?"),
        ("A. Roe", "Reply by A. Roe (old): No."),
    }


def test_a_comment_that_stood_before_is_not_called_new():
    said = "\n\n[Comment by J. Doe, 2024-03-02, on “{}”: Why?]\n\n"
    old, new = (
        text.replace("each invoice.", f"each invoice.{said.format(words)}", 1)
        for text, words in ((OLD, "$5,000"), (NEW, "$6,000"))
    )
    new = new.replace("open.", "open.\n\n[Comment by A. Roe, on “records”: Which?]")
    compared = compare(*(Version(name, (Page(text),)) for name, text in (("a", old), ("b", new))))
    told = {one for change in compared.changes for one in map(str, change.comments)}
    assert told == {
        "Comment by J. Doe, 2024-03-02, on “$6,000” (old and new): Why?",
        "Comment by A. Roe, on “records” (new): Which?",
    }
    assert "1 comment only in the new version" in compared.summary and "only in the old" not in compared.summary


def test_a_comment_at_the_end_of_a_page_is_on_the_words_that_it_names():
    page = Page(f"{OLD}\n[Highlight by J. Doe, on “shall continue for two years”: Why?]\n[Comment: Read it.]", 1)
    text = parse([page], frozenset())
    assert [(one.clause, one.place, one.text) for one in text.comments] == [
        ("2. Term", "p. 1", "Why?"),
        ("", "p. 1", "Read it."),
    ]
    twice = (
        "1. The fee is EUR 5.\n\n2. The fee is due.\n[Comment by A. Roe, on “The fee”: When?]\n\n3. The fee is net.\n"
    )
    assert [one.clause for one in parse([Page(twice)], frozenset()).comments] == ["2"], "the nearest above it"


def test_markdown_and_html_hold_the_changes_and_nothing_live(compared):
    markdown, html = (export.written(compared, suffix).decode() for suffix in (".md", ".html"))
    assert "~~5,000~~ **6,000**" in markdown and "\\<b\\>Books" in markdown and "\\*records\\*" in markdown
    assert "<del>5,000</del>" in html and "<ins>6,000</ins>" in html and "&lt;b&gt;Books" in html
    assert "<script" not in html and "http" not in html.replace('http-equiv="', "") and "@media print" in html
    addresses = "https://a.example www.b.example c@d.example"
    old, new = (Version("x", (Page(f"See {where} for the rent."),)) for where in ("it", addresses))
    text = export.written(compare(old, new), ".md").decode()
    assert not any(live in text for live in ("https://", "www.", "c@")) and "a.example" in text


TURNED = "\u202e\u2066\u200f\u061c\x1b"  # they would show "evil" as "live", or command a terminal
SIDES = (f"The fee is EUR 5{TURNED}, due at once.\n\n[Comment by J.{TURNED} Doe: W{TURNED}hy?]", "The fee is EUR 6.")


def _written(data, suffix):
    archive = zipfile.ZipFile(io.BytesIO(data)) if suffix == ".docx" else None
    return (
        "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist() if name.endswith(".xml"))
        if archive
        else data.decode()
    )


@pytest.mark.parametrize("suffix", [".md", ".html", ".docx"])
@pytest.mark.proves("terminal")
def test_nothing_turns_words_around(suffix):
    old, new = (Version(f"{name}{TURNED}", (Page(text),)) for name, text in zip("ab", SIDES, strict=True))
    third = Version("c", (Page(f"The fee is EUR 7{TURNED}."),))
    for compared in (compare(old, new), compare_three(old, new, third)):
        text = _written(export.written(compared, suffix), suffix)
        assert "fee" in text and not set(text) & set(TURNED)


def test_json_has_the_places_of_both_sides(compared):
    value = json.loads(export.written(compared, ".json"))
    amount = next(one for one in value["changes"] if one["kinds"] == ["amount"])
    for side, text, words in (("old", OLD, "5,000"), ("new", NEW, "6,000")):
        (span,) = amount[side]["spans"]
        assert text[span["start"] : span["end"]] == words == amount[side]["text"]
    assert value["counts"]["amount"] == 1 and value["counts"]["moved"] >= 1
