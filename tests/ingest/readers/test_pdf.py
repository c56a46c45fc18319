import io
from pathlib import Path

import pypdf
import pytest
from pypdf.annotations import FreeText, Highlight, Text
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, FloatObject, NameObject, TextStringObject
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas
from reportlab.pdfgen.canvas import Canvas

from localrag.errors import ReadError
from localrag.ingest.readers import pdf
from localrag.ingest.readers.pdf import iso_date
from localrag.ingest.readers.pdf_words import tidy
from localrag.ingest.readers.source import Budget, Options, OverBudget, Source
from localrag.types import SkippedPage

TEXT = "The rent of the mill is 1,200 euros a month."


def write(path, pages, title=None, draw=None, outline=(), encrypt=None):
    """A small PDF: `pages` are lists of lines; `outline` holds (level, title, page)."""
    sheet = canvas.Canvas(str(path), pagesize=A4, pageCompression=0, encrypt=encrypt)
    sheet.setTitle(title or "untitled")
    for number, lines in enumerate(pages):
        for level, name, page in outline:
            if page == number:
                sheet.bookmarkPage(name)
                sheet.addOutlineEntry(name, name, level)
        for row, line in enumerate(lines):
            sheet.drawString(50, 780 - 16 * row, line)
        if draw:
            draw(sheet, number)
        sheet.showPage()
    sheet.save()
    return path


def rewrite(path, change):
    writer = pypdf.PdfWriter(clone_from=path)
    change(writer)
    writer.write(path)
    return path


def read(path, **options):
    return pdf.read(Source.of(path), Options(ocr=options.pop("ocr", "off"), **options))


def picture(sheet, number):
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    sheet.drawImage(ImageReader(Image.new("L", (60, 60), 99)), 50, 300)


def test_pages_keep_numbers_labels_and_line_breaks_and_the_file_its_facts(tmp_path):
    path = write(tmp_path / "a.pdf", [[TEXT, "Second line.  "], ["Another page of it."]], title="The Lease")
    facts = {"/Author": "Marguerite Duval", "/CreationDate": "D:20240302101500+01'00'"}
    rewrite(path, lambda writer: writer.set_page_label(0, 1, style="/r") or writer.add_metadata(facts))
    reading = read(path)
    pages = [(page.number, page.label, page.text) for page in reading.pages]
    assert pages == [(1, "i", f"{TEXT}\nSecond line."), (2, "ii", "Another page of it.")] and reading.skipped == ()
    assert (reading.title, reading.author, reading.date) == ("The Lease", "Marguerite Duval", "2024-03-02")
    if Path("/proc/self/fd").exists():
        assert str(path) not in {str(item.resolve()) for item in Path("/proc/self/fd").iterdir()}, "it is closed again"


def test_the_outline_gives_the_headings_where_they_stand(tmp_path):
    outline = [(0, "Rent", 0), (1, "Late Payment", 0), (0, "Not Printed Anywhere", 1)]
    pages = [["About rent and late payment.", "Rent", TEXT, "2.1  Late  Payment", TEXT], [TEXT]]
    first, second = read(write(tmp_path / "a.pdf", pages, outline=outline)).pages
    assert [(item.level, item.title) for item in first.headings] == [(1, "Rent"), (2, "Late Payment")]
    assert first.text[first.headings[0].start :].startswith("Rent\n")
    assert first.text[first.headings[1].start :].startswith("2.1 ")
    assert [(item.start, item.title) for item in second.headings] == [(0, "Not Printed Anywhere")]


def test_an_outline_does_not_go_on_over_pages_with_titles_of_their_own(tmp_path):
    outline = [(0, "Item 8", 0), (1, "Basis for Opini ons", 0)]
    pages = [["Item 8", TEXT, "Basis for Opinions", TEXT], ["Balance Sheets", "(in thousands)", TEXT], ["Cash Flows"]]
    found = read(write(tmp_path / "a.pdf", pages, outline=[*outline, (2, "Cash Flows", 2)])).pages
    first, *others = ([(item.level, item.title) for item in page.headings] for page in found)
    assert first == [(1, "Item 8"), (2, "Basis for Opinions")]
    assert others == [[(2, "Balance Sheets")], [(3, "Cash Flows")]]


def test_pages_without_text_are_reported_and_hold_their_place(tmp_path):
    def draw(sheet, number):
        if number == 1:
            picture(sheet, number)
            sheet.drawString(50, 50, "2")

    reading = read(write(tmp_path / "a.pdf", [[TEXT], [], [], ["Short."]], draw=draw))
    assert [(page.number, bool(page.text)) for page in reading.pages] == [(1, True), (2, False), (3, False), (4, True)]
    assert reading.skipped == (SkippedPage(2, "no text; probably a scan"), SkippedPage(3, "no text; blank"))


def refused(path, *passwords, **options):
    with pytest.raises(ReadError) as caught:
        read(path, passwords=passwords, **options)
    assert caught.value.hint
    return caught.value.message


def test_an_encrypted_file_opens_with_any_of_the_passwords_or_an_empty_one(tmp_path):
    path = write(tmp_path / "a.pdf", [[TEXT]])
    rewrite(path, lambda writer: writer.encrypt("sesame", algorithm="RC4-128"))
    assert "is encrypted" in refused(path)
    assert "none of the passwords" in refused(path, "wrong", "too")
    assert read(path, passwords=("wrong", "sesame")).pages[0].text == TEXT
    from reportlab.lib.pdfencrypt import StandardEncryption

    path = write(tmp_path / "a.pdf", [[TEXT]], encrypt=StandardEncryption("", ownerPassword="owner", strength=128))
    assert pypdf.PdfReader(path).is_encrypted
    assert read(path).pages[0].text == TEXT


def test_what_is_no_pdf_is_named_and_a_truncated_one_read_or_refused(tmp_path):
    path = tmp_path / "a.pdf"
    for data, reason in ((b"\x89PNG\r\n", "not a PDF but a PNG picture"), (b"%PDF-1.7\n1 0 obj\n<<", "is damaged")):
        path.write_bytes(data)
        assert reason in refused(path)
    data = write(tmp_path / "a.pdf", [[TEXT], [TEXT]]).read_bytes()
    path = tmp_path / "cut.pdf"
    for size in range(1, len(data), 97):
        path.write_bytes(data[:size])
        try:
            read(path)
        except ReadError as error:
            assert error.message and error.hint


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("the con\ufffetract is", "the contract is"),
        ("a non\ufffeexclusive right", "a non-exclusive right"),
        ("cost-plus and cost\ufffe\r\nplus", "cost-plus and cost-plus"),
        ("iso\ufffe9001", "iso-9001"),
        ("a  \r\nb\t\r\nc", "a\nb\nc"),
        ("x\n\n\n\n\n\ny", "x\n\n\ny"),
    ],
)
def test_text_is_tidied(raw, expected):
    assert tidy(raw) == expected


def members(source, **options):
    options = Options(**options)
    return {member.name: member.source.read() for member in pdf.members(source, options, Budget(options))}


def test_attached_files_are_members_with_safe_names(tmp_path):
    path = write(tmp_path / "a.pdf", [[TEXT]])
    files = {"../../etc/invoice.xml": b"<i/>", "C:\\mail\\note.txt": b"Paid.", "other/note.txt": b"Not paid."}
    rewrite(path, lambda writer: [writer.add_attachment(name, data) for name, data in files.items()])
    found = members(Source.of(path))
    assert found.pop("invoice.xml") == b"<i/>" and found.keys() == {"note.txt", "note (2).txt"}
    assert set(found.values()) == {b"Paid.", b"Not paid."}
    with pytest.raises(OverBudget):
        members(Source.of(path), unpacked=10)


def scan(sheet, number):
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.utils import ImageReader

    image = Image.new("L", (1240, 500), 255)
    ImageDraw.Draw(image).text((60, 150), "The rent is 1,200 euros.", fill=0, font=ImageFont.load_default(70))
    sheet.drawImage(ImageReader(image), 0, 400, 595, 240)


def test_a_scan_is_recognised_with_the_places_of_its_words(tmp_path):
    reading = read(write(tmp_path / "a.pdf", [[], [TEXT]], draw=lambda s, n: n == 0 and scan(s, n)), ocr="auto")
    first, second = reading.pages
    assert "rent is 1,200 euros" in first.text and second.text == TEXT and second.words == ()
    place = {first.text[word.start : word.end]: word for word in first.words}["rent"]
    assert 0.1 < place.left < place.right < 0.5 and 0.25 < place.top < place.bottom < 0.5
    assert reading.skipped == ()


def test_without_an_engine_each_page_is_reported(tmp_path, monkeypatch):
    from localrag.ingest.readers import images

    def recognise(image, languages):
        raise ReadError("cannot be recognised: no engine for Georgian", "Install one.")

    monkeypatch.setattr(images, "recognise", recognise)
    path = write(tmp_path / "a.pdf", [[TEXT], []], draw=lambda s, n: n == 1 and scan(s, n))
    assert "no engine for Georgian" in read(path, ocr="auto").skipped[0].reason
    assert "no engine for Georgian" in refused(write(tmp_path / "b.pdf", [[]], draw=scan), ocr="auto")


def test_characters_beyond_the_first_65536_are_whole(tmp_path):
    cmap = "1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <78> <D835DC61> <79> <D835DC3F> endbfchar"

    def change(writer):
        stream = DecodedStreamObject()
        stream.set_data(f"/CIDInit /ProcSet findresource begin begincmap {cmap} endcmap end".encode())
        for font in writer.pages[0]["/Resources"]["/Font"].values():
            font.get_object()[NameObject("/ToUnicode")] = writer._add_object(stream)

    path = rewrite(write(tmp_path / "a.pdf", [["xyz" + TEXT]]), change)
    assert read(path).pages[0].text.startswith("\U0001d461\U0001d43f")


def test_too_many_pages_or_characters_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.pdf", [[TEXT]] * 3)
    with pytest.raises(ReadError, match="more than the 50 characters"):
        read(path, characters=50)
    monkeypatch.setattr(pdf, "_MAX_PAGES", 2)
    assert "has 3 pages" in refused(path)


def test_a_layout_that_is_not_understood_costs_only_the_layout_of_its_page(tmp_path, monkeypatch):
    real = pdf.page_text

    def fail(page, textpage, raw, *more):
        if "Second" in raw:
            raise ZeroDivisionError
        return real(page, textpage, raw, *more)

    monkeypatch.setattr(pdf, "page_text", fail)
    reading = read(write(tmp_path / "a.pdf", [[TEXT], ["Second page, " + TEXT]]))
    assert [page.text for page in reading.pages] == [TEXT, "Second page, " + TEXT]
    assert [remark.number for remark in reading.remarks] == [2] and "not understood" in reading.remarks[0].text


LINE = "The rent is 1,200 euros and is due monthly."


def drawn(pages=1, form=None):
    stream = io.BytesIO()
    sheet = Canvas(stream, pagesize=(595, 842))
    for number in range(pages):
        sheet.setFont("Helvetica", 12)
        sheet.drawString(72, 700, LINE)
        if form and number == 0:
            form(sheet.acroForm)
        sheet.showPage()
    sheet.save()
    return pypdf.PdfWriter(clone_from=io.BytesIO(stream.getvalue()))


def source_of(writer):
    stream = io.BytesIO()
    writer.write(stream)
    return Source("a.pdf", data=stream.getvalue())


def read_made(writer, **options):
    return pdf.read(source_of(writer), Options(ocr="off", **options))


def dictionary(**items):
    """A dictionary of a PDF; texts that begin with "/" are names."""
    made = {
        NameObject(f"/{name}"): (NameObject if value.startswith("/") else TextStringObject)(value)
        if isinstance(value, str)
        else value
        for name, value in items.items()
    }
    return DictionaryObject(made)


def note(annotation, **items):
    annotation.update(dictionary(**items))
    return annotation


def test_comments_and_highlights_are_text_of_their_page():
    writer = drawn(2)
    writer.add_annotation(
        1, note(Text(rect=(50, 550, 200, 650), text="Too high?\nAsk."), T="J. Doe", M="D:20240302101500Z")
    )
    writer.add_annotation(1, FreeText(rect=(50, 350, 200, 450), text="Nobody signed this."))
    first, second = read_made(writer).pages
    assert first.text == LINE
    assert second.text == f"{LINE}\n\n[Comment by J. Doe, 2024-03-02: Too high? Ask.]\n[Comment: Nobody signed this.]"
    box = (72, 695, 300, 712)
    quads = ArrayObject([FloatObject(value) for value in (72, 712, 130, 712, 72, 695, 130, 695)])
    writer = drawn()
    for items in ({"T": "J. Doe"}, {"T": "A. Roe", "Contents": "Check."}):
        writer.add_annotation(0, note(Highlight(rect=box, quad_points=quads), **items))
    lines = read_made(writer).pages[0].text.splitlines()[-2:]
    assert lines[0].startswith("[Highlight by J. Doe: “The rent is")
    assert lines[1].startswith("[Comment by A. Roe, on “The rent is") and lines[1].endswith("”: Check.]")


def test_form_fields_are_read_with_their_labels_and_signatures_reported():
    def form(fields):
        size = {"width": 200, "height": 20}
        fields.textfield(name="tenant", tooltip="Name of the tenant", value="Ada Byron", x=72, y=600, **size)
        fields.textfield(name="empty", value="", x=72, y=500, **size)
        fields.checkbox(name="pets", checked=True, x=72, y=450)
        fields.checkbox(name="smoker", checked=False, x=72, y=400)

    text = read_made(drawn(2, form)).pages[0].text
    assert "[Form field Name of the tenant: Ada Byron]" in text
    assert "[Form field pets: yes]" in text and "[Form field smoker: no]" in text and "empty" not in text
    writer = drawn()
    field = dictionary(FT="/Sig", T="s", V=dictionary(Name="J. Doe", M="D:20240302"))
    writer.root_object[NameObject("/AcroForm")] = dictionary(Fields=ArrayObject([writer._add_object(field)]))
    (remark,) = read_made(writer).remarks
    assert "signed by J. Doe on 2024-03-02" in remark.text and "not verified" in remark.text


@pytest.mark.parametrize("created, date", [("2021-04-05T06:07:08", "2021-04-05"), ("0000-00-00T00:00:00Z", "")])
def test_xmp_fills_in_where_the_document_information_is_empty(created, date):
    writer = drawn()
    writer.metadata = None
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Lease of Orlo House</rdf:li></rdf:Alt></dc:title>'
        "<dc:creator><rdf:Seq><rdf:li>Ada Byron</rdf:li></rdf:Seq></dc:creator>"
        f"<xmp:CreateDate>{created}</xmp:CreateDate></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    stream = DecodedStreamObject()
    stream.set_data(xmp.encode())
    stream.update(dictionary(Type="/Metadata", Subtype="/XML"))
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)
    reading = read_made(writer)
    assert (reading.title, reading.author, reading.date) == ("Lease of Orlo House", "Ada Byron", date)
    assert reading.remarks == ()


def test_a_file_pinned_to_a_page_is_a_member():
    writer = drawn()
    data = DecodedStreamObject()
    data.set_data(b"Paid.")
    spec = dictionary(Type="/Filespec", F="../note.txt", EF=dictionary(F=writer._add_object(data)))
    pin = dictionary(Type="/Annot", Subtype="/FileAttachment", Rect=ArrayObject([FloatObject(0)] * 4), FS=spec)
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(pin)])
    assert members(source_of(writer)) == {"note.txt": b"Paid."}


def test_what_pypdf_cannot_read_costs_no_text(monkeypatch):
    def fail(*_, **__):
        raise RecursionError

    source = source_of(drawn())
    monkeypatch.setattr("pypdf.PdfReader", fail)
    reading = pdf.read(source, Options(ocr="off"))
    assert reading.pages[0].text == LINE
    assert "RecursionError" in reading.remarks[0].text
    assert members(source) == {}


@pytest.mark.parametrize("raw, date", [("D:2024", "2024"), ("D:20241399", "2024"), ("yesterday", ""), ("00000000", "")])
def test_dates_become_iso(raw, date):
    assert iso_date(raw) == date
