"""What changed between two Word files, in a copy of the older one."""

import io

import pytest
from docx import Document
from word_changes import W, accepted, body, form_of, rejected, text_of

from localrag.diff.changes import compare
from localrag.errors import ReadError
from localrag.redline import copies, versions
from localrag.settings import Settings
from tests.redline.test_tracked import check_form, parts

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


@pytest.fixture(name="copied")
def make_copied(tmp_path):
    old, new = saved(tmp_path / "old.docx", OLD), saved(tmp_path / "new.docx", NEW, ("Item", "Amount"), "Too high?")
    read = versions.from_files([old, new], Settings(home=tmp_path))
    compared = compare(read[old], read[new])  # they come in the order in which they are read
    data, left = copies.copied(compared, "Ada Quill", "2026-12-02T00:00:00Z")
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
