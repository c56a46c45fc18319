"""Tracked changes in a copy of a Word file: what is rejected is the old file, what is accepted the new text."""

import hashlib
import io
import random
import re
import subprocess
import time
import zipfile

import pytest
from docx import Document
from lxml import etree
from word_changes import W, accepted, body, form_of, rejected, text_of

from localrag.errors import ReadError
from localrag.ingest.readers import programs
from localrag.redline.tracked import Edit, WordFile, changes, edited

DAY = "2026-12-02T00:00:00Z"
SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
BY = 'w:id="7" w:author="Them" w:date="2026-01-01T00:00:00Z"'
# A paragraph of each kind of thing that stands among words; {} is text before and behind it.
INSIDE = {
    "field": '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> QUOTE x </w:instrText></w:r><w:r>'
    '<w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>clause 4</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>',
    "simple field": '<w:fldSimple w:instr=" QUOTE x "><w:r><w:t>clause 4</w:t></w:r></w:fldSimple>',
    "link": '<w:hyperlink w:anchor="x"><w:r><w:t>clause 4</w:t></w:r></w:hyperlink>',
    "insertion": f"<w:ins {BY}><w:r><w:t>clause 4</w:t></w:r></w:ins>",
    "control": "<w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>clause 4</w:t></w:r></w:sdtContent></w:sdt>",
}
# The same of what has no words of its own.
BESIDE = {
    "note": '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteReference w:id="2"/></w:r>',
    "bookmark": '<w:bookmarkStart w:id="8" w:name="x"/><w:bookmarkEnd w:id="8"/>',
    "deletion": f"<w:del {BY}><w:r><w:delText>old words</w:delText></w:r></w:del>",
    "note in a run": '<w:r><w:t xml:space="preserve">and </w:t><w:footnoteReference w:id="2"/><w:t> so</w:t></w:r>',
    "hidden": "<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>",
}


def made(*inner, comments=False):
    """A Word file whose paragraphs hold this XML, then a table and a last paragraph."""
    document = Document()
    for xml in inner:
        document.element.body.insert(-1, etree.fromstring(f"<w:p {SPACE}>{xml}</w:p>"))
    table = document.add_table(2, 2)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells), ("Fee", "EUR 5", "Term", ""), strict=True
    ):
        cell.text = text
    last = document.add_paragraph("The last one.", style="List Number")
    if comments:
        document.add_comment(last.runs, "Earlier", "Them")
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def runs(*texts):
    marks = ("<w:b/>", "<w:i/>", '<w:color w:val="FF0000"/>')
    return "".join(
        f'<w:r w:rsidR="00A1"><w:rPr>{marks[n % 3]}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'
        for n, text in enumerate(texts)
    )


def opened(data):
    return WordFile(data, "theirs.docx", "Ada Quill", DAY)


def marked(data, *edits):
    file = opened(data)
    left = zip(edits, file.apply(edits), strict=True)
    return file.saved(), [one for one, why in left if why]


def parts(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    return {name: archive.read(name) for name in archive.namelist()}


def check_form(data):
    """Check what the schema asks of changes: the order of properties, text in deletions, numbers that are used once."""
    root = body(data)
    for tag, first in (("p", "pPr"), ("r", "rPr")):
        assert all(f"{W}{first}" not in [child.tag for child in one][1:] for one in root.iter(f"{W}{tag}"))
    assert not [one for mark in root.iter(f"{W}del") for one in mark.iter(f"{W}t")]
    assert {one.getparent().getparent().tag for one in root.iter(f"{W}delText")} <= {f"{W}del"}
    changed = [*root.iter(*(f"{W}{name}" for name in ("ins", "del", "moveFrom", "moveTo", "commentRangeStart")))]
    numbers = [one.get(f"{W}id") for one in changed if one.get(f"{W}author") != "Them"]
    theirs = {one.get(f"{W}id") for one in root.iter(f"{W}ins", f"{W}del", f"{W}bookmarkStart")} - set(numbers)
    named = {one.get(f"{W}id") for one in root.iter() if one.get(f"{W}author") == "Them"}
    assert len(numbers) == len(set(numbers)) and not (theirs | named) & set(numbers)
    for one in root.iter(f"{W}pPr"):
        behind = [child.tag for child in one][-1:]
        assert one.find(f"{W}rPr") is None or behind[0] in {f"{W}{name}" for name in ("rPr", "sectPr", "pPrChange")}


def test_only_what_differs_is_marked_in_the_style_of_its_run():
    data = made(runs("9.2 Term. The term is ", "thirty", " (30) days. It may be renewed."))
    new = "9.2 Term. The term is sixty (60) days. It may be renewed."
    out, left = marked(data, Edit(0, 0, 58, new, comment="Too short."))
    assert not left
    assert text_of(accepted(out))[0] == new and form_of(rejected(out)) == form_of(body(data))
    root = body(out)
    assert ["".join(one.itertext()) for one in root.iter(f"{W}del")] == ["thirty", "30"]
    assert ["".join(one.itertext()) for one in root.iter(f"{W}ins")] == ["sixty", "60"]
    assert [one.tag for one in root.find(f".//{W}ins/{W}r/{W}rPr")] == [f"{W}i"], "as the word that it replaces"
    (comment,) = Document(io.BytesIO(out)).comments
    assert (comment.author, comment.text, comment.initials) == ("Ada Quill", "Too short.", "AQ")
    check_form(out)


@pytest.mark.parametrize("kind", INSIDE)
def test_words_that_something_holds_are_left_and_the_wording_goes_into_a_comment(kind):
    data = made(f"{runs('As ')}{INSIDE[kind]}{runs(' says, 30 days.')}")
    assert opened(data).paragraphs[0].text == "As clause 4 says, 30 days."
    out, left = marked(data, Edit(0, 0, 26, "As clause 5 says, 30 days.", comment="Why."))
    assert len(left) == 1 and form_of(body(out)) == form_of(body(data))
    (comment,) = Document(io.BytesIO(out)).comments
    assert "Why." in comment.text and "“As clause 5 says, 30 days.”" in comment.text
    out, left = marked(data, Edit(0, 0, 26, "As clause 4 now says, 60 days."))
    assert not left and text_of(accepted(out))[0] == "As clause 4 now says, 60 days.", "words beside it are changed"
    assert form_of(rejected(out)).replace(' w:id="7"', "") == form_of(_without(body(data))).replace(' w:id="7"', "")
    check_form(out)


def _without(root):
    """A body in which their own earlier insertions are rejected too."""
    for one in [*root.iter(f"{W}ins")]:
        one.getparent().remove(one)
    for one in [*root.iter(f"{W}del")]:
        for run in one:
            one.addprevious(run)
        one.getparent().remove(one)
    for one in root.iter(f"{W}delText"):
        one.tag = f"{W}t"
    return root


@pytest.mark.parametrize("kind", BESIDE)
def test_notes_bookmarks_and_what_is_not_seen_stay_where_words_around_them_go(kind):
    data = made(f"{runs('Pay within 30 days')}{BESIDE[kind]}{runs(' after the invoice.')}")
    text = opened(data).paragraphs[0].text
    out, left = marked(data, Edit(0, 0, len(text), "Something else entirely, with nothing in common"))
    assert (
        not left
        and text_of(accepted(out))[0].replace("secret", "") == "Something else entirely, with nothing in common"
    )
    assert form_of(rejected(out)) == form_of(_without(body(data)))
    for tag in ("footnoteReference", "bookmarkStart", "vanish"):
        assert len([*accepted(out).iter(f"{W}{tag}")]) == len([*body(data).iter(f"{W}{tag}")])
    check_form(out)


def test_paragraphs_are_inserted_with_style_and_number_and_deleted_with_their_end():
    data = made(runs("One."), '<w:pPr><w:pStyle w:val="ListNumber"/></w:pPr>' + runs("Two."), runs("Three."))
    out, _ = marked(
        data,
        Edit(-1, after=(("Before all.", 0),)),
        Edit(0, 0, 4, "", gone=True),
        Edit(1, after=(("Two and a half.", 1), ("Two and three quarters.", 1)), comment="New."),
        Edit(1, after=(("Nearly three.", 2),)),
        Edit(7, after=(("Behind all.", 7),)),
    )
    told = ["Before all.", "Two.", "Two and a half.", "Two and three quarters.", "Nearly three.", "Three."]
    assert text_of(accepted(out)) == [*told, "Fee", "EUR 5", "Term", "The last one.", "Behind all."]
    assert form_of(rejected(out)) == form_of(body(data))
    styles = [one.find(f"{W}pPr/{W}pStyle") for one in accepted(out).iter(f"{W}p") if "Two" in "".join(one.itertext())]
    assert [one.get(f"{W}val") for one in styles] == ["ListNumber"] * 3
    check_form(out)


def test_other_parts_keep_their_bytes_and_numbers_do_not_clash():
    data = made(INSIDE["insertion"] + runs("Words."), comments=True)
    out, _ = marked(data, Edit(0, 8, 14, "Others.", comment="One"), Edit(5, 0, 3, comment="Two"))
    before, after = parts(data), parts(out)
    assert [name for name in before if before[name] != after[name]] == ["word/document.xml", "word/comments.xml"]
    assert [*before] == [*after]
    assert [(one.author, one.text) for one in Document(io.BytesIO(out)).comments] == [
        ("Them", "Earlier"),
        ("Ada Quill", "Two"),
        ("Ada Quill", "One"),
    ]
    check_form(out)


def test_a_file_without_comments_gets_the_part_and_its_names():
    data = made(runs("Words."))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, content in parts(data).items():
            if name != "word/comments.xml":
                content = re.sub(rb'<Override PartName="/word/comments.xml"[^>]*/>', b"", content)
                target.writestr(name, re.sub(rb'<Relationship [^>]*Target="comments.xml"[^>]*/>', b"", content))
    data = archive.getvalue()
    out, _ = marked(data, Edit(0, 0, 5, comment="Here."))
    assert [one.text for one in Document(io.BytesIO(out)).comments] == ["Here."]
    changed = {name for name, content in parts(out).items() if parts(data).get(name) != content}
    assert changed == {"word/document.xml", "word/comments.xml", "word/_rels/document.xml.rels", "[Content_Types].xml"}


def test_nothing_hostile_is_written():
    file = WordFile(made(runs("Words.")), "x.docx", "Ada\u202e <b>\x1b", DAY)
    file.apply([Edit(0, 0, 5, "Wo\u202erds \x07", comment="<w:p>\u202e"), Edit(0, after=(("=1+1\u2066", 0),))])
    text = "".join(content.decode() for name, content in parts(file.saved()).items() if name.endswith(".xml"))
    assert not set("\u202e\u2066\x07\x1b") & set(text) and "\ufffd" in text and "&lt;w:p&gt;" in text


def test_what_is_written_turns_no_words_around_and_the_other_sides_own_words_stay():
    turned = "\u202e\u2066\u061c"
    theirs = f"Fee{turned} of 5. "
    edits = (Edit(0, len(theirs) - 3, len(theirs) - 2, f"6{turned}", comment=f"Why{turned}?", author=f"A{turned}"),)
    data, left = marked(made(runs(theirs)), *edits)
    assert left == []
    own = "".join(body(data).itertext(f"{W}t", f"{W}delText"))
    written = "".join(one.decode("utf-8", "replace") for one in parts(data).values()).replace(turned, "", 1)
    assert f"Fee{turned} of" in own and not set(written) & set(turned)


def test_random_edits_can_be_taken_back():
    chance = random.Random(7)
    words = "pay within thirty days after the invoice, unless (a) the fee; or".split()
    for _ in range(60):
        pieces = [*INSIDE.values(), *BESIDE.values()]
        inner = [
            "".join(
                chance.choice([runs(" ".join(chance.choices(words, k=4)) + " "), chance.choice(pieces)])
                for _ in range(chance.randint(1, 6))
            )
            for _ in range(4)
        ]
        data = made(*inner)
        edits = []
        for n, one in enumerate(opened(data).paragraphs[:4]):
            places = sorted(chance.choices(range(len(one.text) + 1), k=6))
            for start, end in zip(places[::2], places[1::2], strict=True):
                new = " ".join(chance.choices(words, k=chance.randint(0, 6)))
                edits.append(Edit(n, start, end, new if chance.random() < 0.8 else None, comment="x"))
        out, left = marked(data, *edits)
        assert form_of(rejected(out)) == form_of(_without(body(data)))
        check_form(out)
        assert len([*body(out).iter(f"{W}commentReference")]) == len(edits)
        for n, (before, after) in enumerate(zip(opened(data).paragraphs[:4], opened(out).paragraphs, strict=False)):
            new = before.text
            for one in reversed([each for each in edits if each.paragraph == n and each not in left]):
                new = new if one.text is None else new[: one.start] + one.text + new[one.end :]
            assert "".join(after.text.split()) == "".join(new.split())


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("within 30 days.", "within 60 days.", [(7, 9, "60")]),
        ("thirty days", "thirty (30) days", [(7, 7, "(30) ")]),
        ("thirty (30) days", "thirty days", [(7, 12, "")]),
        ("a  b\nc", "a b c", []),
        ("Wholly different words here.", "Pay the fee now or never again", [(0, 28, "Pay the fee now or never again")]),
        (
            "This Agreement shall be governed by and construed in accordance with the laws of New York, as they stand.",
            "This Agreement is governed by Iowa law.",
            [(15, 23, "is"), (36, 104, "Iowa law")],
        ),
        ("", "New.", [(0, 0, "New.")]),
        ("Old.", "", [(0, 4, "")]),
    ],
)
def test_changes_are_of_words(old, new, found):
    assert changes(old, new) == found


def test_bad_files_are_refused_with_words(tmp_path):
    data = made(runs("Words."))
    named = parts(data)
    macro = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    plain = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    broken = {
        "macros": {**named, "[Content_Types].xml": named["[Content_Types].xml"].replace(plain, macro)},
        "damaged": {**named, "word/document.xml": named["word/document.xml"][:-40]},
        "declares": {**named, "word/document.xml": b'<!DOCTYPE a [<!ENTITY b "c">]>' + named["word/document.xml"]},
        "_rels": {"word/document.xml": b"<a/>"},
        "has macros": {**named, "word/vbaProject.bin": b"x"},
        "part would lie outside|damaged": {**named, "../../evil.txt": b"x"},
    }

    def opened():
        data = (tmp_path / "bad.docx").read_bytes()
        return edited(tmp_path / "bad.docx", hashlib.sha256(data).hexdigest(), "", "")

    for words, content in broken.items():
        with zipfile.ZipFile(tmp_path / "bad.docx", "w") as archive:
            for name, one in content.items():
                archive.writestr(name, one)
        with pytest.raises(ReadError, match=words):
            opened()
    (tmp_path / "bad.docx").write_bytes(b"%PDF-1.7")
    with pytest.raises(ReadError, match="not a Word document"):
        opened()


def test_a_file_that_is_another_than_was_reviewed_is_not_marked(tmp_path):
    (tmp_path / "a.docx").write_bytes(made(runs("Words.")))
    with pytest.raises(ReadError, match="has changed"):
        edited(tmp_path / "a.docx", "0" * 64, "", "")


def replaced(data, **content):
    """A Word file with other parts: `document` is word/document.xml."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, one in (parts(data) | {f"word/{key}.xml": value for key, value in content.items()}).items():
            archive.writestr(name, one)
    return stream.getvalue()


def field(*pieces, tag="instrText"):
    """A field whose instruction is cut into runs, as Word does, and as somebody who hides it does."""
    inner = "".join(f"<w:r><w:{tag}>{one}</w:{tag}></w:r>" for one in pieces)
    begin, end = (f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "end"))
    return f"{begin}{inner}{end}"


RELATION = '<Relationship Id="{}" Type="http://schemas.example/relationships/{}" Target="{}"{}/>'
OUTSIDE = ' TargetMode="External"'


@pytest.mark.proves("word-files")
def test_what_word_would_fetch_or_run_is_named():
    inner = field(" DD", "EAUTO ", "cmd") + field(' IF 1=1 "', tag="instrText").replace(
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>', field("include", "Picture x") + CLOSING
    )
    simple = (
        '<w:fldSimple w:instr=" INCLUDETEXT &quot;\\\\evil\\x&quot; &#8238; "><w:r><w:t>x</w:t></w:r></w:fldSimple>'
    )
    header = f"<w:hdr {SPACE}><w:p>{field('LINK Excel.Sheet a.xlsx')}</w:p></w:hdr>".encode()
    relations = [
        ("attachedTemplate", "https://evil.example/t.dotm", OUTSIDE.lower().replace("targetmode", "TargetMode")),
        ("image", "file://evil/x.png", OUTSIDE),
        ("hyperlink", "https://plain.example", OUTSIDE),
        ("oleObject", "embeddings/a.bin", ""),
        ("styles", "other.xml", ""),
    ]
    listed = "".join(RELATION.format(f"r{n}", *one) for n, one in enumerate(relations)).encode()
    rels = b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">%s</Relationships>'
    data = replaced(made(inner, simple + field(" PAGE "), field(" HYPERLINK x ")), header9=header)
    stream = io.BytesIO(data)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("word/_rels/settings9.xml.rels", rels % listed)
        archive.writestr("word/_rels/broken.xml.rels", b"<a")
        archive.writestr("word/media/x.png", b"\x89PNG instrText")
    assert sorted(opened(stream.getvalue()).live) == [
        "DDEAUTO cmd",
        'INCLUDETEXT "\\\\evil\\x" �',
        "LINK Excel.Sheet a.xlsx",
        "attachedTemplate https://evil.example/t.dotm",
        "image file://evil/x.png",
        "includePicture x",
        "oleObject embeddings/a.bin",
        "unreadable word/_rels/broken.xml.rels",
    ]
    assert opened(made(runs("Words."), field(" PAGE "))).live == []


OPENING = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> TOC </w:instrText></w:r>'
CLOSING = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'


def test_marks_of_a_line_in_a_field_stand_behind_the_properties():
    styled = '<w:pPr><w:pStyle w:val="ListNumber"/></w:pPr>' + runs("Two.")
    data = made(OPENING + runs("One."), styled, runs("Three.") + CLOSING)
    out, left = marked(data, Edit(1, 0, 4, comment="Why."), Edit(1, 0, 0, "New"))
    assert [one.text for one in left] == ["New"] and form_of(rejected(out)) == form_of(body(data))
    check_form(out)


def test_xml_comments_and_hidden_ends_of_fields_hold_nothing():
    hidden = OPENING + CLOSING.replace("<w:r>", "<w:r><w:rPr><w:vanish/></w:rPr>")
    data = made(f"{runs('One.')}<!-- x --><?y z?>{hidden}", runs("Within 30 days."))
    out, left = marked(data, Edit(1, 0, 15, "Within 60 days."))
    assert not left and text_of(accepted(out))[:2] == ["One.", "Within 60 days."]


def test_damaged_parts_two_of_one_name_and_files_without_paragraphs_are_refused():
    data = made(runs("Words."), comments=True)
    empty = f"<w:document {SPACE}><w:body/></w:document>".encode()
    broken = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        at = archive.getinfo("word/styles.xml").header_offset + 60
    broken[at : at + 20] = b"\xff" * 20
    doubled = replaced(data, DOCUMENT=b"<a/>")
    for one in (bytes(broken), replaced(data, comments=b"<w:comm"), replaced(data, document=empty), doubled):
        with pytest.raises(ReadError):
            opened(one)


def test_a_comment_beside_a_change_is_no_conflict_and_each_edit_has_its_reason():
    file = opened(made(runs("Within 30 days."), INSIDE["link"]))
    edits = [Edit(0, 0, 15, "Within 60 days."), Edit(0, 7, 9, comment="Too short."), Edit(0, 7, 9, "90")]
    reasons = file.apply([*edits, Edit(1, 0, 8, "clause 5")])
    assert [bool(one) for one in reasons] == [True, False, False, True] and reasons[0] != reasons[3]
    assert "Left" not in next(text for _, _, text in file.comments() if "short" in text)


def test_the_ends_of_paragraphs_that_somebody_inserted_are_marked_in_the_order_of_the_schema():
    data = made(f"<w:pPr><w:rPr><w:ins {BY}/></w:rPr></w:pPr>{runs('One.')}", runs("Two."))
    out, _ = marked(data, Edit(0, 0, 4, "", gone=True))
    assert [one.tag for one in body(out).find(f"{W}p/{W}pPr/{W}rPr")] == [f"{W}ins", f"{W}del"]


def test_many_changes_of_a_long_paragraph_are_marked_in_seconds():
    words = [f"word{n}" for n in range(4000)]
    data = made(runs(" ".join(words)))
    new = " ".join("other" if n % 10 == 0 else word for n, word in enumerate(words))
    begun = time.process_time()
    out, left = marked(data, Edit(0, 0, len(" ".join(words)), new))
    assert time.process_time() - begun < 8 and not left
    assert text_of(accepted(out))[0] == new and form_of(rejected(out)) == form_of(body(data))


@pytest.mark.slow
@pytest.mark.skipif(
    programs.installed()["LibreOffice"] is None, reason="LibreOffice is not installed (apt: libreoffice)"
)
def test_libreoffice_opens_it_and_keeps_the_changes(tmp_path):
    data = made(
        runs("Pay within ", "thirty", " days."), *(f"{runs('As ')}{one}{runs(' says.')}" for one in INSIDE.values())
    )
    edits = [Edit(0, 0, 23, "Pay within sixty days.", comment="Why."), Edit(2, after=(("A new one.", 0),))]
    out, _ = marked(data, *edits, Edit(5, 0, 2, "Whatever"), Edit(10, after=(("The end.", 10),)))
    (tmp_path / "marked.docx").write_bytes(out)
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [str(programs.installed()["LibreOffice"]), profile, "--headless", "--convert-to", "docx", "--outdir"]
    subprocess.run([*command, tmp_path / "out", tmp_path / "marked.docx"], check=True, timeout=300)
    saved = (tmp_path / "out" / "marked.docx").read_bytes()
    for settled in (accepted, rejected):
        assert [" ".join(one.split()) for one in text_of(settled(saved))] == [
            " ".join(one.split()) for one in text_of(settled(out))
        ]
    assert [one.text for one in Document(io.BytesIO(saved)).comments] == ["Why."]


@pytest.mark.slow
def test_the_schema_of_the_open_xml_sdk_finds_nothing_new(tmp_path):
    """The validator openxml-audit has the rules of Microsoft's SDK; the template of python-docx itself breaks two."""
    audit = pytest.importorskip("openxml_audit")
    data = made(*(f"{runs('As ')}{one}{runs(' says.')}" for one in (*INSIDE.values(), *BESIDE.values())), comments=True)
    texts = [one.text for one in opened(data).paragraphs]
    edits = [Edit(n, 0, len(text), f"{text} More words.", comment="Why.") for n, text in enumerate(texts)]
    out, _ = marked(data, *edits, Edit(1, after=(("A new one.", 0),)), Edit(3, 0, len(texts[3]), "", gone=True))
    found = []
    for one in (data, out):
        (tmp_path / "x.docx").write_bytes(one)
        result = audit.OpenXmlValidator().validate(tmp_path / "x.docx")
        found.append({(str(error.part_uri), error.description) for error in result.errors})
    assert found[1] <= found[0]
