"""What changed between two Word files, in a copy of the older one."""

import io
import time
import zipfile

import pytest
from docx import Document
from docx.opc.constants import CONTENT_TYPE as CT
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from lxml import etree
from word_changes import W, accepted, body, form_of, rejected, text_of

from localrag.diff.changes import compare
from localrag.errors import ReadError
from localrag.redline import copies, export, versions
from localrag.redline.tracked import WordFile
from localrag.settings import Settings
from tests.redline.test_tracked import SPACE, check_form, parts

OLD = [
    "Lease",
    "Rent",
    "The rent is EUR 100 a month.",
    "Term",
    "The lease ends on 31 May 2030.",
    "Pets",
    "No dogs at all.",
]
NEW = [
    "Lease",
    "Rent",
    "The rent is EUR 120 a month.",
    "Deposit",
    "A deposit of EUR 500 is due at once.",
    *OLD[3:5],
    "End.",
]


def saved(path, texts, cells=("Item", "Price"), comment=""):
    document = Document()
    for text in texts:
        heading = len(text) < 8 and text != "End."
        document.add_paragraph(text, "Heading 2" if heading else "List Number")
    table = document.add_table(1, 2)
    for cell, text in zip(table.rows[0].cells, cells, strict=True):
        cell.text = text
    if comment:
        document.add_comment(document.paragraphs[2].runs, comment, "Them")
    document.save(str(path))
    return path


def test_a_row_that_is_added_stands_in_no_other_cell(tmp_path):
    def table(name, rows):
        document = Document()
        document.add_paragraph("The prices of this lease are as follows.")
        for cells, own in zip(rows, document.add_table(len(rows), 2).rows, strict=True):
            for text, cell in zip(cells, own.cells, strict=True):
                cell.text = text
        document.save(str(tmp_path / name))
        return tmp_path / name

    rows = [("Item of the lease", "Price in euro"), ("Garden with a shed", "One hundred")]
    old, new = table("a.docx", rows), table("b.docx", [*rows, ("Court appearances", "Nine hundred")])
    read = versions.from_files([old, new], Settings(home=tmp_path))
    out = tmp_path / "out.docx"
    export.save(compare(read[old], read[new]), out, Settings(home=tmp_path))
    assert text_of(accepted(out.read_bytes())) == text_of(body(old.read_bytes()))


@pytest.fixture(name="copied")
def make_copied(tmp_path):
    old, new = saved(tmp_path / "old.docx", OLD), saved(tmp_path / "new.docx", NEW, ("Item", "Amount"), "Too high?")
    read = versions.from_files([old, new], Settings(home=tmp_path))
    compared = compare(read[old], read[new])  # they come in the order in which they are read
    data, left, _ = copies.copied(compared, "Ada Quill", "2026-12-02T00:00:00Z")
    assert not left, "all changes are marked"
    return old.read_bytes(), new.read_bytes(), data, compared


def test_accepted_it_is_the_new_text_and_rejected_the_old_file(copied):
    old, new, data, _ = copied
    assert text_of(accepted(data)) == text_of(body(new))
    assert form_of(rejected(data)) == form_of(body(old))
    check_form(data)
    marked = ["".join(one.itertext()) for one in body(data).iter(f"{W}ins") if len(one)]
    assert marked[0] == "120" and "Amount" in marked, "only what differs, in tables too"


def test_new_paragraphs_take_the_style_that_they_have_in_the_new_file(copied):
    styles = {
        "".join(one.itertext()): one.find(f"{W}pPr/{W}pStyle").get(f"{W}val")
        for one in accepted(copied[2]).iter(f"{W}p")
        if one.find(f"{W}pPr/{W}pStyle") is not None
    }
    assert (styles["Deposit"], styles[NEW[4]]) == ("Heading2", "ListNumber")


def test_comments_of_the_new_file_are_on_the_same_words(copied):
    (comment,) = Document(io.BytesIO(copied[2])).comments
    assert (comment.author, comment.text) == ("Them", "Too high?")
    before, after = parts(copied[0]), parts(copied[2])
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed <= {"word/document.xml", "word/comments.xml", "word/_rels/document.xml.rels", "[Content_Types].xml"}


def test_a_file_that_changed_meanwhile_and_one_of_another_type_are_not_taken(copied, tmp_path):
    compared = copied[3]
    saved(tmp_path / "old.docx", NEW)
    with pytest.raises(ReadError, match="changed"):
        copies.copied(compared, "Ada", "")
    (tmp_path / "old.docx").unlink()
    assert copies.copied(compared, "Ada", "") is None


def test_what_is_rewritten_and_what_came_at_the_beginning():
    old = ["One two three four.", "Five six seven eight."]
    assert copies.aligned(old, ["New.", *old]) == [(0, 1), (1, 2)]
    assert copies.aligned(old, [old[1], old[0]]) in ([(0, 1)], [(1, 0)]), "what moved is deleted and inserted"
    assert copies.aligned([], ["New."]) == [] == copies.aligned(old, [])


MARK = f'<w:r {SPACE}><w:footnoteReference w:id="2"/></w:r>'
LINK = f'<w:p {SPACE}><w:hyperlink w:anchor="x"><w:r><w:t>{{}} days of notice</w:t></w:r></w:hyperlink></w:p>'
NOTE = f'<w:footnotes {SPACE}><w:footnote w:id="2"><w:p><w:r><w:t>The cap is EUR {{}}.</w:t></w:r></w:p></w:footnote></w:footnotes>'
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"


def with_notes(path, days, cap):
    document = Document()
    document.add_paragraph("The Supplier is liable.")._p.append(etree.fromstring(MARK))
    document.element.body.insert(1, etree.fromstring(LINK.format(days)))
    document.sections[0].header.paragraphs[0].text = f"Draft of {days} May"
    name, kind = PackURI("/word/footnotes.xml"), CT.WML_DOCUMENT_MAIN.replace("document.main", "footnotes")
    document.part.relate_to(Part(name, kind, NOTE.format(cap).encode(), document.part.package), _KIND)
    document.save(str(path))
    return path


def compared_files(tmp_path, *files):
    read = versions.from_files(files, Settings(home=tmp_path))
    return compare(*(read[file] for file in files))


def test_changes_in_notes_links_and_headers_are_reported(tmp_path):
    files = with_notes(tmp_path / "a.docx", 30, 900), with_notes(tmp_path / "b.docx", 60, 500)
    compared = compared_files(tmp_path, *files)
    data, left, _ = copies.copied(compared, "Ada", "")
    assert not [*body(data).iter(f"{W}ins")] and len(left) == len(compared.changes) + 1 == 3, "two and the header"
    assert left == export.save(compared, tmp_path / "out.docx", Settings(home=tmp_path))[1]


def test_a_file_in_the_strict_form_is_compared_without_a_copy(tmp_path):
    files = [saved(tmp_path / "a.docx", OLD), saved(tmp_path / "b.docx", NEW)]
    transitional = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    content = parts(files[0].read_bytes())
    with zipfile.ZipFile(files[0], "w") as archive:
        for name, one in content.items():
            archive.writestr(name, one.replace(transitional, b"http://purl.oclc.org/ooxml/wordprocessingml/main"))
    assert copies.copied(compared_files(tmp_path, *files), "Ada", "") is None


def test_all_comments_on_a_new_paragraph_are_kept(tmp_path):
    old, new = saved(tmp_path / "a.docx", OLD), tmp_path / "b.docx"
    document = Document(str(saved(new, NEW)))
    for author, text in (("Bob", "Why?"), ("Eve", "Because.")):
        document.add_comment(document.paragraphs[4].runs, text, author)
    document.save(str(new))
    files = [WordFile(one.read_bytes(), one.name) for one in (old, new)]
    (edit,) = [one for one in copies.edits(*files) if one.comment]
    assert (edit.author, edit.comment) == ("Bob", "Why?\nEve: Because.")


def test_hundreds_of_new_paragraphs_find_their_style_in_seconds(tmp_path):
    texts = [f"Clause {n} of {n * 7}." for n in range(600)]
    files = [WordFile(saved(tmp_path / "a.docx", one).read_bytes(), "a.docx") for one in (texts[::2], texts)]
    begun = time.process_time()
    assert len([*copies.edits(*files)]) == 300
    assert time.process_time() - begun < 3
