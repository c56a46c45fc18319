import pytest
from containers import zipped

from localrag import types
from localrag.errors import ReadError
from localrag.ingest import source_files
from localrag.ingest.readers import base, isolate
from localrag.ingest.readers.isolate import Drawer
from localrag.ingest.readers.page_picture import draw_page, locate
from localrag.ingest.readers.pdf_words import Word
from localrag.ingest.readers.source import Options, Source
from localrag.ingest.source_files import PageRequest
from localrag.types import Document


def drawn(*rows):
    """Words as they would be drawn: 10 high, 10 wide for each letter, a row every 20."""
    found, at = [], 0
    for row, text in enumerate(rows):
        left = 0
        for word in text.split(" "):
            found.append(Word(at, at + len(word), word, left, 20 * row, left + 10 * len(word), 20 * row + 10))
            at += len(word) + 1
            left += 10 * len(word) + 4
    return found


def boxed(text, quote, words, nth=0):
    start = -1
    for _ in range(nth + 1):
        start = text.index(quote, start + 1)
    return locate(text, start, start + len(quote), words)


def test_each_line_and_each_part_of_a_cut_word_has_its_own_box():
    words = drawn("Either party may end", "this agreement now.")
    boxes = boxed("Either party may end\nthis agreement now.", "may end\nthis", words)
    assert boxes == [(words[2].left, 0, words[3].right, 10), (0, 20, words[4].right, 30)]
    words = drawn("the whole con\ufffe", "tract ends")
    assert [box[1] for box in boxed("the whole contract ends", "contract", words)] == [0, 20]


def test_of_several_places_the_one_with_the_same_words_around_it_is_boxed():
    rows = ("First rent is due monthly", "Second rent is due monthly", "Third rent is due monthly")
    text = "\n".join(rows)
    for number in range(3):
        assert [box[1] for box in boxed(text, "rent is due", drawn(*rows), number)] == [20 * number]


def test_row_of_a_table_is_boxed_cell_by_cell():
    bolt = Word(0, 4, "Bolt", 0, 40, 40, 50), Word(5, 9, "12.5", 300, 40, 340, 50)
    words = [*bolt, Word(10, 13, "Nut", 0, 60, 30, 70)]
    text = "| Item | Price |\n| --- | --- |\n| Bolt | 12.5 |\n| Nut |  |"
    assert boxed(text, "| Bolt | 12.5 |", words) == [(0, 40, 40, 50), (300, 40, 340, 50)]


def test_right_to_left_words_are_found_and_words_that_are_not_there_not():
    text = "תקופת ההודעה היא שלושים יום"
    assert len(boxed(text, "ההודעה היא שלושים", drawn(text))) == 1
    assert len(boxed(text, "ההודעה היא שלושים", drawn(text[::-1]))) == 1
    assert boxed("the rent was paid on Monday", "the rent was paid", drawn("something else entirely the end")) == []
    assert boxed("| --- | --- |", "| --- |", drawn("a b c")) == []


def pdf(tmp_path, rotate=0, name="a.pdf"):
    from reportlab.pdfgen import canvas

    path = tmp_path / name
    page = canvas.Canvas(str(path), pagesize=(400, 600))
    if rotate:
        page.setPageRotation(rotate)
    page.setFont("Helvetica", 16)
    page.drawString(40, 500, "Notice is thirty days.")
    page.drawString(40, 300, "The rent is due on Monday.")
    page.save()
    return path


def part_of(path, end=""):
    (part,) = [one for one in base.read_parts(path) if hasattr(one, "reading") and one.name.endswith(end)]
    return part


def seen(path, quote, width=400, inside="", sha256=""):
    part = part_of(path, inside)
    start = part.reading.pages[0].text.index(quote)
    name = f"{path.name}/{part.name}" if inside else path.name
    document = Document(1, str(path.parent), name, "", sha256 or part.sha256, 1, 1, 1, True, path.name)
    assert source_files.has_pictures(document)
    with Drawer() as drawer:
        place = ((start, start + len(quote)),)
        return source_files.page_image(path, document, part.reading.pages[0], width, place, drawer)


def test_quote_is_boxed_where_it_is_drawn(tmp_path):
    image = seen(pdf(tmp_path), "thirty days")
    assert (image.width, image.height) == (400, 600)
    ((left, top, right, bottom),) = image.boxes
    assert 100 / 400 < left < 115 / 400 and right < 230 / 400 and 80 / 600 < top < bottom < 110 / 600
    drawing = image.image()
    assert drawing.getpixel((round(left * 400) - 3, round((top + bottom) / 2 * 600)))[0] > 150  # the frame is red
    assert drawing.getpixel((20, 590)) == (255, 255, 255)


def test_quote_is_boxed_on_a_page_that_inherits_its_size(tmp_path):
    from pypdf import PdfWriter
    from pypdf.generic import ArrayObject, NameObject, NumberObject

    writer = PdfWriter(pdf(tmp_path))
    del writer.pages[0]["/MediaBox"]
    writer._root_object["/Pages"].get_object()[NameObject("/MediaBox")] = ArrayObject(
        map(NumberObject, (0, 0, 400, 600))
    )
    writer.write(tmp_path / "inherits.pdf")
    image = seen(tmp_path / "inherits.pdf", "thirty days")
    ((_, top, _, bottom),) = image.boxes
    assert (image.width, image.height) == (400, 600) and 80 / 600 < top < bottom < 110 / 600


def test_a_file_that_is_another_by_now_gone_or_damaged_is_not_drawn(tmp_path):
    path = pdf(tmp_path)
    with pytest.raises(ReadError, match="has changed"):
        seen(path, "rent", sha256="0" * 64)
    wanted = wanted_of(path)
    path.unlink()
    with Drawer() as drawer, pytest.raises(ReadError, match="no longer exists"):
        drawer.draw(path, wanted)
    path.write_bytes(b"%PDF-1.4 nothing")
    wanted = PageRequest("", base.sha256_of(Source.of(path)), 1, 300, "")
    with pytest.raises(ReadError, match="damaged"):
        draw_page(Source.of(path), wanted, Options())


@pytest.fixture
def started(monkeypatch):
    found = []
    spawn = isolate._spawn
    monkeypatch.setattr(isolate, "_spawn", lambda files: found.append(spawn(files)) or found[-1])
    return found


def wanted_of(path):
    part = part_of(path)
    return PageRequest("", part.sha256, 1, 300, part.reading.pages[0].text, ((0, 4),))


def test_a_process_draws_pages_of_one_file_and_a_killed_one_costs_no_picture(tmp_path, started):
    one, other = pdf(tmp_path, name="one.pdf"), pdf(tmp_path, name="other.pdf")
    with Drawer() as drawer:
        first = drawer.draw(one, wanted_of(one))
        assert drawer.draw(one, wanted_of(one)) == first and len(started) == 1
        started[0].kill()
        started[0].wait()
        assert drawer.draw(one, wanted_of(one)) == first and len(started) == 2
        drawer.draw(other, wanted_of(other))
        assert len(started) == 3 and started[1].poll() is not None and started[2].poll() is None
    assert started[2].poll() is not None


def test_document_inside_an_archive_is_drawn(tmp_path):
    outer = tmp_path / "a.zip"
    outer.write_bytes(zipped({"papers/note.txt": "nothing here", "papers/inner.pdf": pdf(tmp_path).read_bytes()}))
    assert seen(outer, "rent", 300, ".pdf").boxes


def test_recognised_words_of_a_picture_are_boxed(tmp_path):
    from PIL import Image

    path = tmp_path / "scan.png"
    Image.new("RGB", (800, 400), "white").save(path)
    boxes = ((0, 5, 0.1, 0.1, 0.2, 0.2), (6, 10, 0.22, 0.1, 0.3, 0.2), (11, 15, 0.1, 0.5, 0.2, 0.6))
    words = tuple(types.Word(*box) for box in boxes)
    wanted = PageRequest("", base.sha256_of(Source.of(path)), 1, 400, "Rent: 1000 paid", ((0, 10),), words)
    image = draw_page(Source.of(path), wanted, Options())
    assert (image.width, image.height) == (400, 200)
    assert image.boxes == ((0.1, 0.1, 0.3, 0.2),)
    assert image.image().getpixel((60, 30)) == (255, 243, 150)
