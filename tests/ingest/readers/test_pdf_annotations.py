"""Comments, form fields, signatures, metadata and attached files of PDFs, as pypdf reads them."""

import io

import pypdf
import pytest
from pypdf.annotations import FreeText, Highlight, Text
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, FloatObject, NameObject, TextStringObject
from reportlab.pdfgen.canvas import Canvas

from localrag.ingest.readers import pdf
from localrag.ingest.readers.pdf import iso_date
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


def test_comments_are_text_of_their_page_with_author_and_date():
    writer = drawn(2)
    writer.add_annotation(
        1, note(Text(rect=(50, 550, 200, 650), text="Too high?\nAsk."), T="J. Doe", M="D:20240302101500Z")
    )
    writer.add_annotation(1, FreeText(rect=(50, 350, 200, 450), text="Nobody signed this."))
    first, second = read(writer).pages
    assert first.text == LINE
    assert second.text == f"{LINE}\n\n[Comment by J. Doe, 2024-03-02: Too high? Ask.]\n[Comment: Nobody signed this.]"


def test_a_highlight_names_the_words_under_it():
    box = (72, 695, 300, 712)
    quads = ArrayObject([FloatObject(value) for value in (72, 712, 130, 712, 72, 695, 130, 695)])
    writer = drawn()
    for items in ({"T": "J. Doe"}, {"T": "A. Roe", "Contents": "Check."}):
        writer.add_annotation(0, note(Highlight(rect=box, quad_points=quads), **items))
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
    field = dictionary(FT="/Sig", T="s", V=dictionary(Name="J. Doe", M="D:20240302"))
    writer.root_object[NameObject("/AcroForm")] = dictionary(Fields=ArrayObject([writer._add_object(field)]))
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
    stream.update(dictionary(Type="/Metadata", Subtype="/XML"))
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)
    reading = read(writer)
    assert (reading.title, reading.author, reading.date) == ("Lease of Orlo House", "Ada Byron", date)
    assert reading.remarks == ()


def test_a_file_pinned_to_a_page_is_a_member():
    writer = drawn()
    data = DecodedStreamObject()
    data.set_data(b"Paid.")
    spec = dictionary(Type="/Filespec", F="../note.txt", EF=dictionary(F=writer._add_object(data)))
    pin = dictionary(Type="/Annot", Subtype="/FileAttachment", Rect=ArrayObject([FloatObject(0)] * 4), FS=spec)
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(pin)])
    (member,) = pdf.members(source_of(writer), Options(), Budget(Options()))
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
        ("D:20240302101500Z", "2024-03-02"),
        ("D:2024", "2024"),
        ("D:20241399", "2024"),
        ("yesterday", ""),
        ("00000000", ""),
        ("D:20000101000000+00'00'", ""),
    ],
)
def test_dates_become_iso(raw, date):
    assert iso_date(raw) == date
