import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from localrag.ingest.readers import pdf
from localrag.ingest.readers.pdf_words import is_visual, plain
from localrag.ingest.readers.source import Options, Source
from localrag.text import drop_running_lines

WORDS = "corn is ground between two stones of which the upper one turns while the lower one lies still".split()


def prose(start, words=8):
    return " ".join(WORDS[(start + step) % len(WORDS)] for step in range(words))


def read(path, *draws):
    sheet = canvas.Canvas(str(path), pagesize=A4)
    for draw in draws:
        sheet.setFont("Helvetica", 10)
        draw(sheet)
        sheet.showPage()
    sheet.save()
    return [page.text for page in pdf.read(Source.of(path), Options(ocr="off")).pages]


def across(sheet, left, right, top=700):
    for row, (one, other) in enumerate(zip(left, right, strict=True)):
        sheet.drawString(50, top - 12 * row, one)
        sheet.drawString(310, top - 12 * row, other)


def test_columns_drawn_across_are_read_one_after_the_other(tmp_path):
    left = [f"L{row} {prose(row)}" for row in range(25)]
    right = [f"R{row} {prose(row + 3)}" for row in range(25)]

    def draw(sheet):
        sheet.drawString(50, 740, "A title that goes over the whole width of the page and belongs to its columns")
        across(sheet, left, right)
        sheet.drawString(50, 380, "And a last line below that goes over the whole width of the page like the first one")

    lines = read(tmp_path / "a.pdf", draw)[0].split("\n")
    assert [line for line in lines if line][1:-1] == left + right
    assert lines[0].startswith("A title") and lines[-1].startswith("And a last line")


def test_columns_that_the_file_draws_in_order_stay_as_they_are(tmp_path):
    def draw(sheet):
        for x in (50, 310):
            for row in range(20):
                sheet.drawString(x, 700 - 12 * row, prose(row + x))

    expected = "\n".join(prose(row + x) for x in (50, 310) for row in range(20))
    assert read(tmp_path / "a.pdf", draw) == [expected]


def pages(number, head="The Mill Company", foot="Page {} of 9"):
    return [
        f"{head}\nSaid {page * page} times here.\nMore of {page % 3}.\n{foot.format(page)}" for page in range(1, number)
    ]


def test_running_headers_and_footers_are_kept_once():
    first, *rest = drop_running_lines(pages(10))
    assert first == pages(2)[0]
    assert rest[0] == "Said 4 times here.\nMore of 2."
    assert all("Mill" not in text and "Page" not in text for text in rest)
    texts = drop_running_lines([f"Some words on leaf {number * number}.\n{number}" for number in range(5, 12)])
    assert texts[3] == "Some words on leaf 64."  # a bare number


def alike(number):
    return f"Total {number * 37 % 11} {number * 53 % 17}\nprose of page {number}\nEnd {number * 37 % 11}."


def rows(number):
    return f"Prose {number * number}\n| Item | Price |\n| --- | --- |\n| Total | {number * 31 % 7} |"


@pytest.mark.parametrize(
    "texts", [[alike(n) for n in range(9)], ["Same line"] * 6, pages(3), [rows(n) for n in range(8)]]
)
def test_lines_that_only_look_alike_few_pages_and_rows_of_tables_stay(texts):
    assert drop_running_lines(texts) == texts


def test_text_set_from_the_left_is_turned_round_and_other_stays():
    seen = "ةيبرعلا ةغللاب 2024 باتكلا (دمحا)"
    assert is_visual(seen)
    assert plain(seen, True) == "(احمد) الكتاب 2024 باللغة العربية"
    assert plain("Title: םולש to all of them", True) == "Title: שלום to all of them"
    text = "اللغة العربية في المدرسة"
    assert not is_visual(text) and plain(text, False) == text
