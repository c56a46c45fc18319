import io
from contextlib import closing
from dataclasses import replace

import pypdfium2
import pytest
from encrypted import encrypt_folder
from PIL import Image
from pypdf import PdfReader, PdfWriter, generic
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from localrag import api
from localrag.errors import UsageError
from localrag.ingest.readers import wire
from localrag.ingest.source_files import PageCopy
from localrag.protocol import Malformed
from localrag.sessions.export import binder, binding
from localrag.sessions.export.binder_pages import legible
from localrag.types import Citation
from localrag.worker.engine import Engine

RENT, NOTICE = "The rent is due on Monday.", "Notice is thirty days."
LIVE = "/JS /JavaScript /OpenAction /AA /A /URI /Launch /EmbeddedFile /EmbeddedFiles /AcroForm /Widget /F /OPI /Metadata /Ref"


def pages(*texts):
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=(400, 600))
    for text in texts:
        canvas.setFont("Helvetica", 16)
        canvas.drawString(40, 500, text)
        canvas.drawString(60, 300, NOTICE)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def changed(data, change):
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    change(writer)
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


@pytest.fixture
def papers(models, folder, settings):
    """Reads files into the library "papers", and returns its folder."""

    def read(files):
        root = folder(files)
        with closing(api.open_library("papers", settings=settings, create=True)) as library:
            library.ingest(root)
        return root

    return read


@pytest.fixture
def bind(settings):
    """Binds quotes, (document, words) each; returns the bytes."""

    def make(*quotes, title="A binder", at=None):
        with closing(Engine(settings)) as engine:
            cited = at or [cite(settings, *one) for one in quotes]
            quoted = tuple(binder.Quoted(one, f"stands for {one.quote[:9]}") for one in cited)
            return binder.pdf(binder.Binder(title, ("about",), quoted), engine)

    return make


def cite(settings, document, words):
    with closing(api.open_library("papers", settings=settings)) as library:
        (found,) = library.documents([document])
        for page in library._storage().pages(found.id):
            if (at := page.text.find(words)) >= 0:
                span = (at, at + len(words))
                return Citation("papers", found.path, page.number, page.label, f"p. {page.number}", words, *span, 1)
    raise AssertionError(words)


def highlights(data):
    """The note of each highlight, its page from 1, and the words below it."""
    found = []
    with closing(pypdfium2.PdfDocument(data)) as document:
        for number, page in enumerate(PdfReader(io.BytesIO(data)).pages):
            textpage = document[number].get_textpage()
            for annotation in page.get("/Annots", ()):
                one = annotation.get_object()
                if one["/Subtype"] == "/Highlight":
                    quads = [one["/QuadPoints"][at : at + 8] for at in range(0, len(one["/QuadPoints"]), 8)]
                    words = " ".join(textpage.get_text_bounded(x0, y0, x1, y1) for x0, y1, x1, _, _, y0, *_ in quads)
                    found.append((one["/Contents"].partition(" ")[0], number + 1, " ".join(words.split())))
    return found


def texts(data):
    with closing(pypdfium2.PdfDocument(data)) as document:
        return [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]


def objects(data):
    reader = PdfReader(io.BytesIO(data))
    return [reader.get_object(number) for number in range(1, int(reader.trailer["/Size"]))]


def keys(value):
    if isinstance(value, dict):
        yield from (one for key in value for one in (key, *keys(value.raw_get(key))))
    elif isinstance(value, list):
        yield from (one for part in value for one in keys(part))
    elif isinstance(value, generic.NameObject):
        yield str(value)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_highlights_are_over_the_words_of_pages_turned_and_cropped(papers, bind, rotate):
    def crop(writer):
        writer.pages[0].rotate(rotate)
        writer.pages[0].cropbox = generic.RectangleObject((30, 50, 390, 560))

    papers({"a.pdf": changed(pages(RENT), crop)})
    made = bind(("a.pdf", "due on Monday."), ("a.pdf", "thirty days."))
    assert {words for _, _, words in highlights(made)} == {"due on Monday.", "thirty days."}
    page = PdfReader(io.BytesIO(made)).pages[1]
    width, height = (510, 360) if rotate % 180 else (360, 510)
    assert page.mediabox.width == pytest.approx(width + 28) and page.mediabox.height == pytest.approx(height + 40)
    assert "/Rotate" not in page or page["/Rotate"] == 0


def test_index_links_and_bookmarks_lead_to_the_pages_of_their_quotes(papers, bind):
    papers({"b.pdf": pages("First.", RENT), "a.txt": "A deposit of EUR 50 is paid."})
    reader = PdfReader(io.BytesIO(bind(("b.pdf", RENT), ("a.txt", "deposit of EUR 50"), ("b.pdf", "First."))))
    links = [one.get_object() for one in reader.pages[0]["/Annots"]]
    assert [one["/Subtype"] for one in links] == ["/Link"] * 3 and not any("/A" in one for one in links)
    to = [reader.get_page_number(one["/Dest"][0].get_object()) for one in links]
    assert to == [1, 2, 3]
    outline = reader.outline
    assert [one.title for one in outline if not isinstance(one, list)] == ["Index", "a.txt", "b.pdf"]
    assert [
        reader.get_destination_page_number(one) for group in outline if isinstance(group, list) for one in group
    ] == to
    index = reader.pages[0].extract_text()
    assert all(words in index for words in ("A binder", "deposit of EUR 50", "stands for", "3 quotes on 3 pages"))


def test_a_page_is_bound_once_and_a_quote_that_is_there_twice_stands_for_both(papers, bind, settings):
    papers({"a.pdf": pages(RENT)})
    at = cite(settings, "a.pdf", RENT)
    made = bind(at=[at, replace(at, marker=2), cite(settings, "a.pdf", NOTICE)])
    assert [one[:2] for one in highlights(made)] == [("1", 2), ("2", 2)]
    assert "page 1 of 1 of the source" in texts(made)[1] and "2 of 2" in texts(made)[1] and RENT in texts(made)[1]


def test_nothing_of_a_source_is_live_in_a_binder(papers, bind):
    def arm(writer):
        page, name, new = writer.pages[0], generic.NameObject, generic.DictionaryObject
        writer.add_attachment("evil.exe", b"MZ evil")
        script = {name("/S"): name("/JavaScript"), name("/JS"): generic.TextStringObject("evil()")}
        writer.root_object[name("/OpenAction")] = new(script)
        launch = new({name("/S"): name("/Launch"), name("/F"): generic.TextStringObject("calc.exe")})
        uri = new({name("/S"): name("/URI"), name("/URI"): generic.TextStringObject("https://evil.example")})
        page[name("/AA")] = new({name("/O"): launch})
        page[name("/Metadata /Ref")] = writer._add_object(generic.DecodedStreamObject())
        box = generic.ArrayObject(map(generic.NumberObject, (0, 0, 300, 300)))
        links = [new({name("/Subtype"): name("/Link"), name("/Rect"): box, name("/A"): one}) for one in (launch, uri)]
        page[name("/Annots")] = generic.ArrayObject(links)
        form = generic.DecodedStreamObject()
        form.set_data(b"q Q")
        form.update({name("/Subtype"): name("/Form"), name("/BBox"): box, name("/OPI"): launch, name("/Ref"): launch})
        page["/Resources"][name("/XObject")] = new({name("/Form"): writer._add_object(form)})

    papers({"a.pdf": changed(pages(RENT), arm)})
    made = bind(("a.pdf", RENT))
    assert highlights(made) == [("1", 2, RENT)]
    found = {key for one in objects(made) for key in keys(one)}
    assert found & set(LIVE.split()) == {"/F"} and b"evil" not in made and b"calc" not in made
    form = next(one for one in objects(made) if isinstance(one, dict) and one.get("/BBox") and "/Resources" in one)
    assert "/AA" not in form and "/Annots" not in form


def test_a_filled_field_and_a_comment_are_drawn_and_no_longer_fields(papers, bind):
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=(400, 600))
    canvas.drawString(40, 500, "Name of the tenant:")
    canvas.acroForm.textfield(name="tenant", value="Jane Roe", x=200, y=490, width=150, height=20)
    canvas.save()
    papers({"a.pdf": made.getvalue()})
    bound = bind(("a.pdf", "Name of the tenant"))
    assert "Jane Roe" in texts(bound)[1] and not PdfReader(io.BytesIO(bound)).get_fields()


def test_a_layer_that_the_source_hides_stays_hidden(papers, bind):
    def hide(writer):
        name, new = generic.NameObject, generic.DictionaryObject
        layer = writer._add_object(new({name("/Type"): name("/OCG"), name("/Name"): generic.TextStringObject("Draft")}))
        writer.pages[0]["/Resources"][name("/Properties")] = new({name("/L"): layer})
        shown = new({name("/OFF"): generic.ArrayObject([layer])})
        writer.root_object[name("/OCProperties")] = new(
            {name("/OCGs"): generic.ArrayObject([layer]), name("/D"): shown}
        )
        old = writer.pages[0].get_contents().get_data()
        more = generic.DecodedStreamObject()
        more.set_data(old + b"\n/OC /L BDC 0 0 400 250 re f EMC\n")
        writer.pages[0][name("/Contents")] = writer._add_object(more)

    papers({"a.pdf": changed(pages(RENT), hide)})
    made = bind(("a.pdf", RENT))
    with closing(pypdfium2.PdfDocument(made)) as document:
        drawn = document[1].render().to_pil().convert("RGB")
    assert drawn.getpixel((200, 500)) == (255, 255, 255)


def test_what_is_no_pdf_is_laid_out_with_its_quotes_and_says_what_it_cannot_show(papers, bind):
    table = "| Part | Price |\n| --- | --- |\n| Bolt | 12.50 |\n| Nut | 3.00 |"
    text = f"Η προθεσμία είναι τριάντα ημέρες.\nСрок составляет тридцать дней.\nשלום עולם, 合同。\n\n{table}\n"
    papers({"a.md": text})
    made = bind(("a.md", "τριάντα ημέρες"), ("a.md", "тридцать дней"), ("a.md", "| Nut | 3.00 |"))
    assert [words for _, _, words in highlights(made)] == ["τριάντα ημέρες", "тридцать дней", "Nut 3.00"]
    shown = texts(made)[1]
    assert "[8 Hebrew letters]" in shown and "[3 CJK letters]" in shown and "text as it was read" in shown
    assert legible("plain") == ("plain", [0, 1, 2, 3, 4, 5])


def test_of_a_long_text_the_parts_around_its_quotes_are_laid_out(papers, bind):
    lines = [f"Clause {number} says that the rent is {number} euro." for number in range(2000)]
    papers({"a.txt": "\n".join(lines)})
    made = bind(("a.txt", "the rent is 700 euro"), ("a.txt", "the rent is 1900 euro"))
    assert [words for _, _, words in highlights(made)] == ["the rent is 700 euro", "the rent is 1900 euro"]
    whole = "\n".join(texts(made))
    assert whole.count("characters left out") == 3 and "Clause 300 " not in whole and len(texts(made)) < 6


def test_a_quote_over_two_pages_of_the_binder_is_highlighted_on_both(papers, bind):
    lines = [f"Line {number} of the agreement." for number in range(90)]
    papers({"a.txt": "\n".join(lines)})
    made = bind(("a.txt", "\n".join(lines[40:60])))
    (first, page, words), (second, other, rest) = highlights(made)
    assert (first, second, other) == ("1", "1", page + 1)
    assert f"{words} {rest}" == " ".join(lines[40:60])


@pytest.mark.parametrize(("how", "said"), [("missing", "no longer there"), ("changed", "has changed")])
def test_without_its_original_a_page_is_the_text_that_was_read(papers, bind, settings, how, said):
    root = papers({"a.pdf": pages(RENT)})
    at, file = cite(settings, "a.pdf", RENT), root / "a.pdf"
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(pages("Another text."))
    made = bind(at=[at])
    assert (
        highlights(made) == [("1", 2, RENT)] and said in texts(made)[1] and "the text that was read" in texts(made)[1]
    )


def test_a_password_that_is_not_at_hand_gives_the_text(models, folder, settings, bind):
    def lock(writer):
        writer.encrypt("secret", algorithm="AES-256")

    root = folder({"a.pdf": changed(pages(RENT), lock)})
    with closing(api.open_library("papers", settings=settings, create=True)) as library:
        library.ingest(root, passwords=["secret"])
    made = bind(("a.pdf", RENT))
    assert highlights(made) == [("1", 2, RENT)] and "password" in texts(made)[1]


def test_of_a_document_that_is_gone_the_quote_is_bound(papers, bind, settings):
    papers({"a.pdf": pages(RENT), "b.txt": "The deposit."})
    at = [cite(settings, "a.pdf", RENT), cite(settings, "b.txt", "deposit")]
    with closing(api.open_library("papers", settings=settings)) as library:
        library.forget(["a.pdf"])
    made = bind(at=at)
    assert [words for _, _, words in highlights(made)] == [RENT, "deposit"] and "cannot be opened" in texts(made)[1]


def test_an_encrypted_library_is_bound_and_same_input_gives_same_bytes(papers, bind, settings):
    papers({"a.pdf": pages(RENT), "b.txt": "The deposit."})
    encrypt_folder(settings.library_dir("papers"))
    made = bind(("a.pdf", RENT), ("b.txt", "deposit"))
    assert len(highlights(made)) == 2 and made == bind(("b.txt", "deposit"), ("a.pdf", RENT))


def test_hostile_names_and_titles_are_cleaned(papers, bind):
    papers({"a\u202efdp.txt": "The deposit."})
    made = bind(("*.txt", "deposit"), title="A\u202e title\x07")
    reader = PdfReader(io.BytesIO(made))
    said = "".join(
        (*texts(made), *(one.title for one in reader.outline if not isinstance(one, list)), reader.metadata.title)
    )
    assert "\u202e" not in said and "\x07" not in said and "deposit" in said


def test_without_a_quote_there_is_no_binder(bind):
    with pytest.raises(UsageError, match="no quote"):
        bind()


FORM = {"/Type": "/XObject", "/Subtype": "/Form", "/BBox": [0, 0, 100, 100]}


@pytest.mark.parametrize(
    "copy",
    [
        PageCopy(0, 100, ((FORM, b""),)),
        PageCopy(float("inf"), 100, ((FORM, b""),)),
        PageCopy(100, 100, ()),
        PageCopy(100, 100, (([], b""),)),
        PageCopy(100, 100, ((FORM | {"/OC": "#7"}, b""),)),
        PageCopy(100, 100, ((FORM | {"/Name": "JavaScript"}, b""),)),
        PageCopy(100, 100, ((FORM | {"/Name": "(zz"}, b""),)),
        PageCopy(100, 100, ((FORM | {"Name": "/a"}, b""),)),
        PageCopy(100, 100, ((FORM, b""),), (((9.0, 0.0, 1.0, 1.0),),)),
        PageCopy(100, 100, ((FORM, b""),), (), (3,)),
    ],
)
def test_a_copy_that_no_reader_makes_is_refused(copy):
    with pytest.raises(Malformed):
        wire._check_copy(copy)


def test_keys_that_draw_nothing_are_left_out_whatever_a_reader_sends():
    blank = io.BytesIO()
    canvas = Canvas(blank, invariant=1)
    canvas.showPage()
    canvas.save()
    live = {"/S": "/JavaScript", "/JS": "(6170702e616c657274"}
    fonts = {"/Font": {"/AA": "#1"}, "/AA": live}
    form = FORM | {"/AA": live, "/Resources": fonts, "/Name": "/a (b) /JS <</OpenAction"}
    copy = PageCopy(100, 100, ((form, b"q Q"), ({"/Type": "/Font", "/A": live, "/AF": live}, None)))
    wire._check_copy(copy)
    made = binding.bind(blank.getvalue(), [binding.Placed(0, copy, 0, 0)], [])
    found = [key for one in objects(made) for key in keys(one)]
    assert (
        "/JS" not in found
        and "/A" not in found
        and "/AF" not in found
        and b"/OpenAction" not in made.replace(b"#", b"")
    )
    assert found.count("/AA") == 1  # the name that the file gives a font


def test_pages_of_a_file_share_what_they_draw_with(papers, bind):
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=(400, 600))
    noise = Image.effect_noise((300, 300), 90).convert("RGB")
    for number in range(4):
        canvas.drawImage(ImageReader(noise), 0, 0, 100, 100)
        canvas.drawString(40, 500, f"Quote number {number} of this file.")
        canvas.showPage()
    canvas.save()
    papers({"a.pdf": made.getvalue()})
    one = len(bind(("a.pdf", "Quote number 1")))
    assert len(bind(*(("a.pdf", f"Quote number {number}") for number in range(4)))) < one + 30_000
