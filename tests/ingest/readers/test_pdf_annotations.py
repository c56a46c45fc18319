"""Comments, form fields, signatures, metadata and attached files of PDFs, as pypdf reads them."""

import io

import pypdf
import pytest
from pypdf.annotations import FreeText, Highlight, Text
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    TextStringObject,
)
from reportlab.pdfgen.canvas import Canvas

from localrag.ingest.readers import pdf
from localrag.ingest.readers.pdf_annotations import iso_date
from localrag.ingest.readers.source import Budget, Options, Source

LINE = "The rent is 1,200 euros and is due monthly."


def drawn(pages=1, form=None):
    """A writer of a document whose pages say LINE at (72, 700)."""
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


def read(writer, **options):
    return pdf.read(source_of(writer), Options(ocr="off", **options))


def note(annotation, author="", date=""):
    if author:
        annotation[NameObject("/T")] = TextStringObject(author)
    if date:
        annotation[NameObject("/M")] = TextStringObject(date)
    return annotation


def test_comments_are_text_of_their_page_with_author_and_date():
    writer = drawn(2)
    writer.add_annotation(
        1, note(Text(rect=(50, 550, 200, 650), text="Too high?\nAsk."), "J. Doe", "D:20240302101500Z")
    )
    writer.add_annotation(1, FreeText(rect=(50, 350, 200, 450), text="Nobody signed this."))
    first, second = read(writer).pages
    assert first.text == LINE
    assert second.text == f"{LINE}\n\n[Comment by J. Doe, 2024-03-02: Too high? Ask.]\n[Comment: Nobody signed this.]"


def test_a_highlight_names_the_words_under_it():
    box = (72, 695, 300, 712)
    quads = ArrayObject([FloatObject(value) for value in (72, 712, 130, 712, 72, 695, 130, 695)])
    writer = drawn()
    writer.add_annotation(0, note(Highlight(rect=box, quad_points=quads), "J. Doe"))
    commented = note(Highlight(rect=box, quad_points=quads), "A. Roe")
    commented[NameObject("/Contents")] = TextStringObject("Check.")
    writer.add_annotation(0, commented)
    lines = read(writer).pages[0].text.splitlines()[-2:]
    assert lines[0].startswith("[Highlight by J. Doe: “The rent is")
    assert lines[1].startswith("[Comment by A. Roe, on “The rent is") and lines[1].endswith("”: Check.]")


def test_form_fields_are_read_with_their_labels_and_values():
    def form(fields):
        fields.textfield(
            name="tenant", tooltip="Name of the tenant", value="Ada Byron", x=72, y=600, width=200, height=20
        )
        fields.textfield(name="empty", value="", x=72, y=500, width=200, height=20)
        fields.checkbox(name="pets", checked=True, x=72, y=450)
        fields.checkbox(name="smoker", checked=False, x=72, y=400)

    text = read(drawn(2, form)).pages[0].text
    assert "[Form field Name of the tenant: Ada Byron]" in text
    assert "[Form field pets: yes]" in text and "[Form field smoker: no]" in text and "empty" not in text


def test_a_signature_is_reported():
    writer = drawn()
    value = DictionaryObject(
        {NameObject("/Name"): TextStringObject("J. Doe"), NameObject("/M"): TextStringObject("D:20240302")}
    )
    field = DictionaryObject(
        {NameObject("/FT"): NameObject("/Sig"), NameObject("/T"): TextStringObject("s"), NameObject("/V"): value}
    )
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject(
        {NameObject("/Fields"): ArrayObject([writer._add_object(field)])}
    )
    (remark,) = read(writer).remarks
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
    stream.update({NameObject("/Type"): NameObject("/Metadata"), NameObject("/Subtype"): NameObject("/XML")})
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)
    reading = read(writer)
    assert (reading.title, reading.author, reading.date) == ("Lease of Orlo House", "Ada Byron", date)
    assert reading.remarks == ()


def test_a_file_pinned_to_a_page_is_a_member():
    writer = drawn()
    data = DecodedStreamObject()
    data.set_data(b"Paid.")
    spec = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Filespec"),
            NameObject("/F"): TextStringObject("../note.txt"),
            NameObject("/EF"): DictionaryObject({NameObject("/F"): writer._add_object(data)}),
        }
    )
    pin = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject("/FileAttachment"),
            NameObject("/Rect"): ArrayObject([FloatObject(0)] * 4),
            NameObject("/FS"): spec,
            NameObject("/Open"): BooleanObject(False),
        }
    )
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(pin)])
    options = Options()
    (member,) = pdf.members(source_of(writer), options, Budget(options))
    assert member.name == "note.txt" and member.source.read() == b"Paid."


def test_what_pypdf_cannot_read_costs_no_text(monkeypatch):
    def fail(*_, **__):
        raise RecursionError

    source = source_of(drawn())
    monkeypatch.setattr("pypdf.PdfReader", fail)
    reading = pdf.read(source, Options(ocr="off"))
    assert reading.pages[0].text == LINE
    assert "RecursionError" in reading.remarks[0].text
    assert list(pdf.members(source, Options(), Budget(Options()))) == []


@pytest.mark.parametrize(
    "raw, date",
    [
        ("D:20240302", "2024-03-02"),
        ("D:20240302101500Z", "2024-03-02"),
        ("D:2024", "2024"),
        ("", ""),
        ("D:20240302101500", "2024-03-02"),
        ("D:20241399", "2024"),
        ("yesterday", ""),
        ("00000000", ""),
        ("D:20240302101500-05", "2024-03-02"),
        ("D:20000101000000+00'00'", ""),
        ("D:20000101101500Z", "2000-01-01"),
    ],
)
def test_dates_become_iso(raw, date):
    assert iso_date(raw) == date
