"""The Word report of a review, read back, and drawn by LibreOffice."""

import io
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace

import docx
import pytest
from docx.enum.section import WD_ORIENT
from docx.oxml.ns import qn

from localrag.events import ReviewEnded
from localrag.sessions.export.review_word import docx as report
from localrag.sessions.links import links, no_link
from localrag.types import Checked, Citation, Decision, NotRead

MSA, LEASE = "contracts/msa.pdf", "lease.pdf"


def quoted(document, page, words):
    return Citation("law", document, page, None, f"p. {page}", words, 0, len(words), 0)


def finding(document, title, state, value="", expected=None, **more):
    first = ("law", document, title.lower(), title, "?", "high", state, value, expected, "", None)
    return replace(Checked(*first, confidence=0.25, read="all 12 passages", model="tiny"), **more)


FINDINGS = (
    finding(MSA, "Payment period", "deviates", "60 days", False, citation=quoted(MSA, 7, "within sixty\n(60) days")),
    finding(MSA, "Insurance", "absent", "", False, problem="the clause is not there", fallback="The Supplier insures."),
    finding(MSA, "Audit", "unsure", citation=quoted(MSA, 9, "may inspect")),
    finding(MSA, "Indemnification", "found", "yes", True, citation=quoted(LEASE, 2, "hold harmless")),
    finding(LEASE, "Confidentiality", "found", "yes", True, decision=Decision("accepted", "fine", "bob", "2026-02-01")),
    finding(LEASE, "Parties", "found", "A; B", None, remark="it is of another kind"),
)
ENDED = ReviewEnded((), (NotRead("law", "scan.pdf", "no text in it"),))


def made(findings=FINDINGS, link=no_link, ended=ENDED):
    data = report(findings, "Our MSA", ended, link)
    return docx.Document(io.BytesIO(data)), data


def texts(document):
    return [one.text for one in document.paragraphs]


def test_the_cover_says_what_was_reviewed_by_what_and_what_was_not_read():
    document, _ = made()
    cover = "\n".join(texts(document)[: texts(document).index("Findings")])
    for words in ("Review: Our MSA", "Library: law", "Playbook: Our MSA", "Model: tiny", "scan.pdf: no text in it"):
        assert words in cover
    assert "6 clauses looked for in 2 documents: 1 deviating, 1 missing, 1 unclear, 2 as expected, 1 without" in cover
    assert re.search(r"Date: \d{1,2} \w+ \d{4}", cover)
    assert [cell.text for cell in document.tables[0].rows[1].cells] == [MSA, "1", "1", "1", "1", ""]


def test_findings_come_first_each_with_its_quote_and_decision():
    shown = texts(made()[0])
    titles = ("Findings", "Deviates (1)", "Missing (1)", "Unclear (1)", "As expected (2)", "No position (1)")
    assert sorted(titles, key=shown.index) == list(titles)
    at = shown.index("Payment period  (high importance)")
    assert shown[at + 1 : at + 4] == ["Value: 60 days", "“within sixty (60) days” p. 7", "Decision: open"]
    assert "To propose: The Supplier insures." in shown and "Read: all 12 passages; 25 % likely to be there" in shown
    rows = [[cell.text for cell in row.cells] for row in made()[0].tables[1].rows]
    assert rows == [
        ["Document", "Clause", "Value", "Page", "Decision"],
        [MSA, "Indemnification", "yes", "lease.pdf, p. 2", ""],
        [LEASE, "Confidentiality", "yes", "", "accepted by bob, 2026-02-01: fine"],
    ]


def test_its_pages_lie_across_and_its_tables_have_widths_and_heads_that_stay():
    document, data = made()
    (page,) = document.sections
    assert page.orientation == WD_ORIENT.LANDSCAPE and [round(page.page_width.cm), round(page.page_height.cm)] == [
        30,
        21,
    ]
    for table in document.tables:
        assert table._tbl.tblPr.find(qn("w:tblLayout")).get(qn("w:type")) == "fixed"
        assert all(column.width for column in table.columns) and len({one.width for one in table.columns}) > 1
        assert all(row._tr.trPr.find(qn("w:cantSplit")) is not None for row in table.rows)
        assert [row._tr.trPr.find(qn("w:tblHeader")) is not None for row in table.rows][:2] == [True, False]
    assert [one.style.name for one in document.paragraphs if one.text in ("Findings", MSA)] == [
        "Heading 1",
        "Heading 2",
    ]
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        foot = next(parts.read(name).decode() for name in parts.namelist() if "footer" in name)
    assert re.findall(r'w:instr="(\w+)"', foot) == ["PAGE", "NUMPAGES"]


def targets(document):
    return sorted(one.target_ref for one in document.part.rels.values() if "hyperlink" in one.reltype)


def test_pages_link_to_originals_in_the_folder_of_the_report_and_above(tmp_path):
    files = {MSA: tmp_path / "in" / MSA, LEASE: tmp_path / "out" / "reports" / LEASE}
    document, data = made(link=links(tmp_path / "out" / "r.docx", lambda library: files))
    assert targets(document) == ["../in/contracts/msa.pdf", "reports/lease.pdf"]
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert re.findall(r'w:anchor="([^"]+)"', parts.read("word/document.xml").decode()) == [
            *("page=7", "page=9", "page=2")
        ]


@pytest.mark.parametrize("path", ["/etc/msa.pdf", "elsewhere/msa.pdf"])
def test_an_original_elsewhere_is_named_and_not_linked(tmp_path, path):
    report_file = tmp_path / "a" / "b" / "r.docx"
    document, data = made(link=links(report_file, lambda library: {MSA: tmp_path / path}))
    assert targets(document) == [] and b"file:" not in data and "p. 7" in "\n".join(texts(document))


def test_names_and_words_of_documents_are_inert(tmp_path):
    evil = "javascript:alert(1)\u202egpj.pdf"
    one = finding(evil, "=1+1\x07", "deviates", "\u202eyes", False, citation=quoted(evil, 3, "a\x00\ud800b \u202e c"))
    document, data = made((one,), links(tmp_path / "r.docx", lambda library: {evil: tmp_path / evil}))
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        assert not any("\u202e" in parts.read(name).decode(errors="ignore") for name in parts.namelist())
    assert targets(document) == ["javascript%3Aalert%281%29%E2%80%AEgpj.pdf"]


def test_a_review_without_findings_is_a_report_too():
    assert "Nothing deviates, is missing or is unclear." in texts(made((), ended=ReviewEnded((), ()))[0])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice draws the report")
def test_it_is_printed_across_with_no_word_cut_and_its_heads_on_each_page(tmp_path):
    from pypdf import PdfReader

    long = "Confidentiality, indemnification and non-solicitation"
    many = [replace(FINDINGS[3], title=f"{long} {n}", problem="x " * 40) for n in range(40)]
    many.append(replace(FINDINGS[3], document="Vertraulichkeitsklauseln"))  # no narrower column holds it
    (tmp_path / "r.docx").write_bytes(made((*FINDINGS, *many))[1])
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "r.docx")], check=True, capture_output=True, timeout=180)
    pages = PdfReader(tmp_path / "r.pdf").pages
    assert len(pages) > 3 and all(page.mediabox.width > page.mediabox.height for page in pages)
    shown = [page.extract_text() for page in pages]
    words = set(" ".join(shown).split())
    assert {"Confidentiality,", "indemnification", "Deviates", "Missing", "Decision", "Indemnification"} <= words
    assert sum({"Document", "Clause", "Decision"} <= set(text.split()) for text in shown) >= len(pages) - 2
    assert "Vertraulichkeitsklauseln" in shown[0].split() and "Unclear" in shown[0].split()
    assert f"Page 2 of {len(pages)}" in " ".join(shown[1].split())
