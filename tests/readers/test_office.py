import zipfile

import docx
import pytest
from docx.oxml import parse_xml

from localrag.errors import ReadError
from localrag.readers import office

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def read(document, path):
    document.save(path)
    return office.read(path)


def rewrite(path, changes, to=None):
    """Replace bytes in members of the package; `changes` maps a member to (old, new)."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, (old, new) in changes.items():
        assert old in members[name], name
        members[name] = members[name].replace(old, new)
    to = to or path
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return to


def add(document, xml):
    document.element.body.insert(len(document.element.body) - 1, parse_xml(xml.replace("<w:p>", f"<w:p {W}>", 1)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.docx"


def test_paragraphs_and_tables_come_in_order_with_headings_where_they_stand(path):
    document = docx.Document()
    document.add_heading("The Lease", 0)
    document.add_heading("Rent", 1)
    document.add_paragraph("The rent is due monthly.")
    table = document.add_table(2, 2)
    for cell, words in zip(table._cells, ["Item", "Fee | month", "Mill", "1,200\n euros"], strict=True):
        cell.text = words
    document.add_heading("Late payment", 2)
    document.add_paragraph("Interest is owed.")
    reading = read(document, path)
    (page,) = reading.pages
    assert page.number is None and reading.title == "The Lease"
    assert page.text == (
        "The Lease\n\nRent\n\nThe rent is due monthly.\n\n"
        "| Item | Fee \\| month |\n| --- | --- |\n| Mill | 1,200 euros |\n\nLate payment\n\nInterest is owed."
    )
    assert [(item.level, item.title) for item in page.headings] == [(1, "The Lease"), (1, "Rent"), (2, "Late payment")]
    assert all(page.text.startswith(item.title, item.start) for item in page.headings)


def test_the_title_in_the_properties_wins_unless_it_is_junk(path):
    document = docx.Document()
    document.add_heading("Rent", 1)
    document.add_paragraph("Text.")
    document.core_properties.title = "Lease of the Mill"
    assert read(document, path).title == "Lease of the Mill"
    document.core_properties.title = "Microsoft Word - lease.doc"
    assert read(document, path).title == "Rent"


def test_lists_keep_the_numbers_that_word_prints(path):
    document = docx.Document()
    for style in ("List Number", "List Number", "List Bullet"):
        document.add_paragraph("An item", style=style)
    assert read(document, path).pages[0].text == "1. An item\n2. An item\n- An item"


def test_numbers_of_many_levels_count_like_word(path):
    document = docx.Document()
    numbering = document.part.numbering_part.element
    levels = "".join(
        f'<w:lvl w:ilvl="{depth}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for depth, kind, text in (
            (0, "decimal", "%1."),
            (1, "decimal", "%1.%2"),
            (2, "lowerLetter", "(%3)"),
            (3, "upperRoman", "%4)"),
        )
    )
    numbering.insert(0, parse_xml(f'<w:abstractNum {W} w:abstractNumId="77">{levels}</w:abstractNum>'))
    numbering.append(parse_xml(f'<w:num {W} w:numId="77"><w:abstractNumId w:val="77"/></w:num>'))
    restart = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    numbering.append(parse_xml(f'<w:num {W} w:numId="78"><w:abstractNumId w:val="77"/>{restart}</w:num>'))
    for number, depth in ((77, 0), (77, 1), (77, 1), (77, 2), (77, 2), (77, 3), (77, 0), (77, 1), (78, 0)):
        add(document, f'<w:p><w:pPr><w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr></w:pPr>'
                      "<w:r><w:t>x</w:t></w:r></w:p>")  # fmt: skip
    assert read(document, path).pages[0].text.split("\n") == [
        "1. x", "1.1 x", "1.2 x", "(a) x", "(b) x", "I) x", "2. x", "2.1 x", "5. x",
    ]  # fmt: skip


def test_tracked_insertions_are_in_and_deletions_out(path):
    document = docx.Document()
    add(document, "<w:p><w:r><w:t>pay </w:t></w:r><w:del><w:r><w:delText>100</w:delText></w:r></w:del>"
                  "<w:ins><w:r><w:t>200</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom>"
                  '<w:hyperlink><w:r><w:t xml:space="preserve"> here</w:t></w:r></w:hyperlink></w:p>')  # fmt: skip
    assert read(document, path).pages[0].text == "pay 200 here"


def test_a_deleted_row_is_out(path):
    document = docx.Document()
    table = document.add_table(3, 2)
    for index, cell in enumerate(table._cells):
        cell.text = f"cell {index}"
    table.rows[1]._tr.get_or_add_trPr().append(parse_xml(f"<w:del {W}/>"))
    assert read(document, path).pages[0].text.split("\n")[2:] == ["| cell 4 | cell 5 |"]


def test_text_boxes_are_read_once_and_headers_not_at_all(path):
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "RUNNING HEADER"
    box = "<w:txbxContent><w:p><w:r><w:t>In the box.</w:t></w:r></w:p></w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    add(document, f"<w:p><w:r><w:t>Before.</w:t></w:r><w:r><mc:AlternateContent {mc}><mc:Choice Requires='wps'>"
                  f"<w:drawing>{box}</w:drawing></mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback>"
                  "</mc:AlternateContent></w:r></w:p>")  # fmt: skip
    assert read(document, path).pages[0].text == "Before.\n\nIn the box."


def test_footnotes_follow_the_paragraph_that_refers_to_them(path):
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part

    document = docx.Document()
    xml = f'<w:footnotes {W}><w:footnote w:type="separator" w:id="0"/><w:footnote w:id="2"><w:p><w:r>' \
          "<w:t>Net of tax.</w:t></w:r></w:p></w:footnote></w:footnotes>"  # fmt: skip
    part = Part(PackURI("/word/footnotes.xml"), "application/xml", xml.encode(), document.part.package)
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    add(document, '<w:p><w:r><w:t>The fee</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>')
    document.add_paragraph("After.")
    assert read(document, path).pages[0].text == "The fee [1]\n\n[1] Net of tax.\n\nAfter."


def test_merged_cells_leave_columns_in_their_places(path):
    document = docx.Document()
    table = document.add_table(2, 3)
    for index, cell in enumerate(table._cells):
        cell.text = str(index)
    table.cell(0, 0).merge(table.cell(0, 1))
    lines = read(document, path).pages[0].text.split("\n")
    assert lines[0].count("|") == lines[2].count("|") == 4 and lines[0].split("|")[3].strip() == "2"


@pytest.mark.parametrize("suffix, content_type", [
    ("docm", b"application/vnd.ms-word.document.macroEnabled.main+xml"),
    ("dotx", b"application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml"),
])  # fmt: skip
def test_macro_files_and_templates_are_read(tmp_path, path, suffix, content_type):
    document = docx.Document()
    document.add_paragraph("Text.")
    document.save(path)
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    other = rewrite(path, {"[Content_Types].xml": (plain, content_type)}, tmp_path / f"a.{suffix}")
    assert office.read(other).pages[0].text == "Text."


def test_the_strict_form_is_read(path):
    document = docx.Document()
    document.add_heading("Rent", 1)
    document.save(path)
    old, new = b"http://schemas.openxmlformats.org/", b"http://purl.oclc.org/ooxml/"
    relations = b"relationships/office"
    rewrite(path, {
        "_rels/.rels": (old + b"officeDocument/2006/" + relations, new + b"officeDocument/" + relations),
        "word/document.xml": (old + b"wordprocessingml/2006/main", new + b"wordprocessingml/main"),
        "word/styles.xml": (old + b"wordprocessingml/2006/main", new + b"wordprocessingml/main"),
    })  # fmt: skip
    assert [item.title for item in office.read(path).pages[0].headings] == ["Rent"]


def test_a_damaged_part_that_is_not_the_text_does_not_cost_the_text(path):
    document = docx.Document()
    document.add_paragraph("Text.")
    document.save(path)
    rewrite(path, {"word/styles.xml": (b"<w:styles", b"<<<"), "docProps/core.xml": (b"<cp:", b"<<")})
    assert office.read(path).pages[0].text == "Text."


def refused(path):
    with pytest.raises(ReadError) as caught:
        office.read(path)
    assert caught.value.hint
    return caught.value.message


def test_what_is_no_word_document_is_named(tmp_path, path):
    for data, reason in (
        (b"<html><body>x", "is not a Word document but an HTML page"),
        (b"%PDF-1.7", "is not a Word document but a PDF"),
        (b"PK\x03\x04 cut off", "is damaged"), (b"just words", "is damaged, or not a Word document"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le"), "is encrypted"),
    ):  # fmt: skip
        path.write_bytes(data)
        assert reason in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    assert "is damaged, or not a Word document" in refused(path)


def test_entities_are_refused(path):
    document = docx.Document()
    document.save(path)
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><w:document'
    rewrite(path, {"word/document.xml": (b"<w:document", bomb)})
    assert "entities" in refused(path)


def test_deeply_nested_content_ends(path):
    document = docx.Document()
    depth = 3000
    wrapped = "<w:sdt><w:sdtContent>" * depth + "<w:p/>" + "</w:sdtContent></w:sdt>" * depth
    document.add_paragraph("Text.")
    document.save(path)
    rewrite(path, {"word/document.xml": (b"<w:sectPr", wrapped.encode() + b"<w:sectPr")})
    assert office.read(path).pages[0].text == "Text."
