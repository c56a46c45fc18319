from itertools import pairwise

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from localrag.ingest.readers import pdf
from localrag.ingest.readers.pdf_tables import is_figure
from localrag.ingest.readers.source import Options, Source


def read(path, draw):
    sheet = canvas.Canvas(str(path), pagesize=A4)
    sheet.setFont("Helvetica", 9)
    draw(sheet)
    sheet.save()
    return pdf.read(Source.of(path), Options(ocr="off")).pages[0].text


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.split("\n") if line[:1] == "|"]


def filing(sheet, top=700):
    """A statement as filings set it: "$" and ")" apart, headers over two lines, a label over two lines."""
    sheet.drawCentredString(410, top, "Three Months Ended")
    sheet.line(320, top - 3, 500, top - 3)
    for x, date in ((400, "July 1,"), (490, "June 25,")):
        sheet.drawRightString(x, top - 13, date)
    for x, year in ((400, "2023"), (490, "2022")):
        sheet.drawRightString(x, top - 23, year)
    lines = (
        ("Net sales:",),
        ("  Products", "60,584", "63,355", "$"),
        ("  Services", "21,213", "19,604"),
        ("Other income and expense, net of the",),
        ("costs of hedging", "(265", "(10"),
        ("Net income", "19,881", "19,442", "$"),
    )
    for row, (label, *figures) in enumerate(lines, 1):
        y = top - 26 - 14 * row - (0 if row < 5 else -4)
        sheet.drawString(50 + 10 * label.startswith("  "), y, label.strip())
        for x, figure in zip((400, 490), figures, strict=False):
            if figures[-1] == "$":
                sheet.drawString(x - 70, y, "$")
            sheet.drawRightString(x, y, figure)
            if figure.startswith("("):
                sheet.drawString(x + 2, y, ")")


ABOVE = "The statement below is not audited, and should be read with the notes that follow it."
BELOW = "Sales fell because of the weak dollar, as we had said in the report before this one."


def test_a_statement_keeps_rows_and_columns(tmp_path):
    def draw(sheet):
        sheet.drawString(50, 760, ABOVE)
        filing(sheet)
        sheet.drawString(50, 560, BELOW)

    text = read(tmp_path / "a.pdf", draw)
    assert rows(text) == [
        ["", "Three Months Ended July 1, 2023", "Three Months Ended June 25, 2022"],
        *(["---", "---", "---"], ["Net sales:", "", ""], ["Products", "$60,584", "$63,355"]),
        ["Services", "21,213", "19,604"],
        ["Other income and expense, net of the costs of hedging", "(265)", "(10)"],
        ["Net income", "$19,881", "$19,442"],
    ]
    assert text.startswith(f"{ABOVE}\n") and text.endswith(f"\n{BELOW}")


def test_a_period_belongs_to_the_years_under_it(tmp_path):
    def draw(sheet):
        for x, words in ((325, "Three Months Ended June 30,"), (485, "Six Months Ended June 30,")):
            sheet.drawCentredString(x, 700, words)
        for x, year in ((300, "2023"), (370, "2022"), (460, "2023"), (530, "2022")):
            sheet.drawRightString(x, 688, year)
        for row, label in enumerate(("Mill", "Bakery", "Total")):
            sheet.drawString(50, 670 - 14 * row, label)
            for x in (300, 370, 460, 530):
                sheet.drawRightString(x, 670 - 14 * row, f"{row + 1},{x}")

    header, _, *body = rows(read(tmp_path / "a.pdf", draw))
    periods = ("Three Months Ended June 30", "Six Months Ended June 30")
    assert header == ["", *(f"{period}, {year}" for period in periods for year in (2023, 2022))]
    assert body[2] == ["Total", "3,300", "3,370", "3,460", "3,530"]


def grid(sheet, xs, ys, skip=()):
    for y in ys:
        sheet.line(xs[0], y, xs[-1], y)
    for index, x in enumerate(xs):
        for top, bottom in pairwise(ys):
            if (index, ys.index(top)) not in skip:
                sheet.line(x, top, x, bottom)


def test_a_ruled_table_keeps_its_cells_even_if_they_are_words(tmp_path):
    def draw(sheet):
        xs, ys = [50, 150, 300, 420], [700, 684, 650, 634]
        grid(sheet, xs, ys)
        for x, words in zip(xs, ("Role", "Duty", "Room"), strict=False):
            sheet.drawString(x + 3, 688, words)
        sheet.drawString(53, 672, "Miller")
        sheet.drawString(153, 672, "grinds the corn and")
        sheet.drawString(153, 660, "sweeps the floor")
        sheet.drawString(303, 672, "Cellar | north")
        sheet.drawString(53, 638, "Baker")
        sheet.drawString(303, 638, "Yard")

    assert read(tmp_path / "a.pdf", draw) == (
        "| Role | Duty | Room |\n| --- | --- | --- |\n"
        "| Miller | grinds the corn and sweeps the floor | Cellar \\| north |\n| Baker |  | Yard |"
    )


def test_a_header_cell_over_several_columns_holds_for_each(tmp_path):
    def draw(sheet):
        xs, ys = [50, 150, 250, 350], [700, 684, 668, 652]
        grid(sheet, xs, ys, skip={(2, 0)})
        sheet.drawString(155, 688, "Rent")
        for y, cells in ((672, ("House", "Summer", "Winter")), (656, ("Mill", "120", "90"))):
            for x, words in zip(xs, cells, strict=False):
                sheet.drawString(x + 3, y, words)

    assert rows(read(tmp_path / "a.pdf", draw))[::2] == [["House", "Rent Summer", "Rent Winter"], ["Mill", "120", "90"]]


def test_contents_lists_and_frames_are_no_tables(tmp_path):
    def contents(sheet):
        for row in range(12):
            sheet.drawString(50, 750 - 14 * row, f"Chapter {row + 1} of the mill")
            sheet.drawRightString(500, 750 - 14 * row, str(3 + 4 * row))

    def numbered(sheet):
        for row in range(8):
            sheet.drawString(50, 750 - 14 * row, f"{row + 1}.")
            sheet.drawString(80, 750 - 14 * row, f"the mill grinds the corn of all the {row} farms around it")

    def framed(sheet):
        sheet.rect(40, 40, 500, 760)
        sheet.rect(45, 45, 490, 750)
        for row in range(6):
            sheet.drawString(60, 700 - 14 * row, f"This is sentence {row} of a page with a frame around it.")

    for draw in (contents, numbered, framed):
        assert "|" not in read(tmp_path / "a.pdf", draw), draw


def test_figures_are_known_from_words_and_dates():
    assert all(map(is_figure, "12 1,234 $(1,234) (12)% 12.5% — $— -- N/A NM €1.200,50 10x 3.5(2)".split()))
    assert not any(map(is_figure, ["12,", "1.1 Rent", "July 1, 2023", "A4", "Total", "12/04/2024"]))
