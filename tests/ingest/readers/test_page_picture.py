"""Pages as pictures: the quote's words are boxed where they are drawn, and only on the file that was read."""

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

# --- finding words (pure) -----------------------------------------------------------------------------------


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


def test_words_of_a_line_share_a_box_and_each_line_has_its_own():
    words = drawn("Either party may end", "this agreement now.")
    boxes = boxed("Either party may end\nthis agreement now.", "may end\nthis", words)
    assert boxes == [(words[2].left, 0, words[3].right, 10), (0, 20, words[4].right, 30)]


def test_word_cut_at_a_lines_end_is_boxed_on_both_lines():
    words = drawn("the whole con\ufffe", "tract ends")
    assert [box[1] for box in boxed("the whole contract ends", "contract", words)] == [0, 20]


def test_of_several_places_the_one_with_the_same_words_around_it_is_boxed():
    rows = ("First rent is due monthly", "Second rent is due monthly", "Third rent is due monthly")
    text = "\n".join(rows)
    for number in range(3):
        assert [box[1] for box in boxed(text, "rent is due", drawn(*rows), number)] == [20 * number]


def test_row_of_a_table_is_boxed_cell_by_cell():
    words = [
        Word(0, 4, "Bolt", 0, 40, 40, 50),
        Word(5, 9, "12.5", 300, 40, 340, 50),
        Word(10, 13, "Nut", 0, 60, 30, 70),
    ]
    text = "| Item | Price |\n| --- | --- |\n| Bolt | 12.5 |\n| Nut |  |"
    assert boxed(text, "| Bolt | 12.5 |", words) == [(0, 40, 40, 50), (300, 40, 340, 50)]


def test_right_to_left_words_are_found_however_they_are_drawn():
    text = "תקופת ההודעה היא שלושים יום"
    assert len(boxed(text, "ההודעה היא שלושים", drawn(text))) == 1
    assert len(boxed(text, "ההודעה היא שלושים", drawn(text[::-1]))) == 1


def test_words_that_are_mostly_not_there_are_not_boxed():
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


def seen(path, quote, width=400):
    (part,) = [one for one in base.read_parts(path) if hasattr(one, "reading")]
    page = part.reading.pages[0]
    start = page.text.index(quote)
    document = Document(1, str(path.parent), path.name, "", part.sha256, 1, 1, 1, True, path.name)
    with Drawer() as drawer:
        return source_files.page_image(path, document, page, width, ((start, start + len(quote)),), drawer)


def test_quote_is_boxed_where_it_is_drawn(tmp_path):
    image = seen(pdf(tmp_path), "thirty days")
    assert (image.width, image.height) == (400, 600)
    ((left, top, right, bottom),) = image.boxes
    assert 100 / 400 < left < 115 / 400 and right < 230 / 400 and 80 / 600 < top < bottom < 110 / 600
    drawing = image.image()
    assert drawing.getpixel((round(left * 400) - 3, round((top + bottom) / 2 * 600)))[0] > 150  # the frame is red
    assert drawing.getpixel((20, 590)) == (255, 255, 255)


def test_file_that_is_another_by_now_is_not_drawn(tmp_path):
    path = pdf(tmp_path)
    (part,) = base.read_parts(path)
    document = Document(1, str(tmp_path), "a.pdf", "", "0" * 64, 1, 1, 1, True, "a.pdf")
    with Drawer() as drawer:
        with pytest.raises(ReadError, match="has changed"):
            source_files.page_image(path, document, part.reading.pages[0], 300, (), drawer)
        path.unlink()
        with pytest.raises(ReadError, match="no longer exists"):
            source_files.page_image(path, document, part.reading.pages[0], 300, (), drawer)


@pytest.fixture
def started(monkeypatch):
    """The processes that were started."""
    found = []
    spawn = isolate._spawn
    monkeypatch.setattr(isolate, "_spawn", lambda files: found.append(spawn(files)) or found[-1])
    return found


def wanted_of(path):
    (part,) = [one for one in base.read_parts(path) if hasattr(one, "reading")]
    return PageRequest("", part.sha256, 1, 300, part.reading.pages[0].text, ((0, 4),))


def test_a_process_draws_pages_of_one_file_only(tmp_path, started):
    one, other = pdf(tmp_path, name="one.pdf"), pdf(tmp_path, name="other.pdf")
    with Drawer() as drawer:
        first = drawer.draw(one, wanted_of(one))
        assert drawer.draw(one, wanted_of(one)) == first and len(started) == 1
        drawer.draw(other, wanted_of(other))
        assert len(started) == 2 and started[0].poll() is not None and started[1].poll() is None
    assert started[1].poll() is not None


def test_one_that_was_killed_while_it_waited_costs_no_picture(tmp_path, started):
    path = pdf(tmp_path)
    with Drawer() as drawer:
        first = drawer.draw(path, wanted_of(path))
        started[0].kill()
        started[0].wait()
        assert drawer.draw(path, wanted_of(path)) == first and len(started) == 2


def test_a_damaged_page_is_reported(tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4 nothing")
    wanted = PageRequest("", base.sha256_of(Source.of(path)), 1, 300, "")
    with pytest.raises(ReadError, match="damaged"):
        draw_page(Source.of(path), wanted, Options())


def test_document_inside_an_archive_is_drawn(tmp_path):
    outer = tmp_path / "a.zip"
    outer.write_bytes(zipped({"papers/note.txt": "nothing here", "papers/inner.pdf": pdf(tmp_path).read_bytes()}))
    (part,) = [one for one in base.read_parts(outer) if getattr(one, "name", "").endswith(".pdf")]
    document = Document(1, str(tmp_path), f"a.zip/{part.name}", "", part.sha256, 1, 1, 1, True, "a.zip")
    assert source_files.has_pictures(document)
    text = part.reading.pages[0].text
    start = text.index("rent")
    with Drawer() as drawer:
        image = source_files.page_image(outer, document, part.reading.pages[0], 300, ((start, start + 4),), drawer)
    assert image.boxes


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
