"""Transcripts of depositions: their lines are numbered, and cited by printed page and line."""

import pytest
from reportlab.pdfgen import canvas

from localrag.ingest.readers import base
from localrag.ingest.readers.numbered_lines import numbered
from localrag.ingest.readers.page_picture import boxes_of
from localrag.ingest.readers.pdf import open_document
from localrag.ingest.readers.source import Source
from localrag.ingest.source_files import PageRequest
from localrag.store.locations import place_at

FOOTER = "Ferris Reporting   800.555.0100"
QUOTE = "Dr. Lind ordered the bypass closed on the\nmorning of April 9, 2019."


def page(number):
    lines = [f"Q. And what did you see at stop {number}.{line}?" for line in range(25)]
    if number == 23:
        lines[10:12] = "A. Dr. Lind ordered the bypass closed on the", "morning of April 9, 2019."
    return lines


def drawn(path, columns=False, name="Page {}"):
    sheet = canvas.Canvas(str(path))
    sheet.drawString(100, 700, "DEPOSITION OF MARTIN OYELARAN, January 14, 2020")
    sheet.showPage()
    for number in range(20, 28):
        sheet.drawString(480, 800, name.format(number))
        rows = [(line, 770 - 28 * line, text) for line, text in enumerate(page(number))]
        for line, down, text in rows:
            sheet.drawRightString(60, down, str(line + 1))
            if not columns:
                sheet.drawString(80, down, text)
        for _, down, text in rows if columns else ():
            sheet.drawString(80, down, text)
        sheet.drawString(200, 30, FOOTER)
        sheet.showPage()
    sheet.save()
    return path


def plain(form="{:05d}", between="\n", gap="\n"):
    pages = []
    for number in range(20, 28):
        lines = [f"{at:2d}   {text}" for at, text in enumerate(page(number), 1)]
        pages.append(form.format(number) + "\n" + gap.join(lines))
    return between.join(pages) + "\n"


def read(path):
    (part,) = base.read_parts(path)
    return part.reading


def place_of(reading, words):
    (found,) = (one for one in reading.pages if words in one.text)
    at = found.text.index(words)
    return place_at(found, at, at + len(words))


@pytest.mark.parametrize("columns", [False, True])
@pytest.mark.parametrize("name", ["Page {}", "{}", "M. Oyelaran - {}"])
def test_a_quote_over_lines_of_a_deposition_is_cited_by_printed_page_and_lines(tmp_path, columns, name):
    reading = read(drawn(tmp_path / "dep.pdf", columns, name))
    assert place_of(reading, QUOTE) == "p. 5, 23:11-12"
    assert place_of(reading, "Q. And what did you see at stop 24.0?") == "p. 6, 24:1"
    assert [FOOTER.split()[0] in one.text for one in reading.pages].count(True) == 1
    assert "OYELARAN" in reading.pages[0].text


def test_its_lines_are_boxed_on_the_page(tmp_path):
    path = drawn(tmp_path / "dep.pdf", columns=True)
    text = read(path).pages[4].text
    at = text.index(QUOTE)
    document = open_document(Source.of(path), ())
    wanted = PageRequest("", "", 5, 800, text, ((at, at + len(QUOTE)),))
    (boxes,) = boxes_of(document[4], wanted)
    document.close()
    assert len(boxes) == 2


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
@pytest.mark.parametrize(
    ("form", "between", "place"),
    [("{:05d}", "\n", "23:11-12"), ("  Page {}\n", "\n\n", "23:11-12"), ("Page {}", "\f", "p. 4, 23:11-12")],
)
def test_a_plain_transcript_is_cited_alike(tmp_path, form, between, place, gap):
    path = tmp_path / "dep.txt"
    path.write_text(plain(form, between, gap))
    reading = read(path)
    assert place_of(reading, QUOTE.replace("\n", gap)) == place
    assert not any(line.strip() in ("00024", "Page 24") for one in reading.pages for line in one.text.splitlines())


def test_lines_over_two_pages_of_one_text_are_named_on_both(tmp_path):
    path = tmp_path / "dep.txt"
    path.write_text(plain())
    assert place_of(read(path), "at stop 22.24?\nQ. And what did you see at stop 23.0?") == "22:25-23:1"


def test_times_before_the_numbers_are_left_out_with_them():
    texts = ["\n".join(f"10:0{line % 10} {line:2d}  words {line}" for line in range(1, 21)) + f"\n{n}" for n in (7, 8)]
    (first, anchors), _ = numbered(texts)
    assert first.startswith("words 1\nwords 2\n")
    assert [one.name for one in anchors][:2] == ["7:1", "7:2"]


def test_a_page_whose_number_is_not_known_is_not_cited_by_lines():
    texts = plain(between="\f").split("\f")
    texts[3] = texts[3].removeprefix("00023\n")
    found = numbered(texts)
    assert {one.name for one in found[3][1]} == {""}
    assert found[4][1][0].name == "24:1"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{at}. Item of a list" for at in range(1, 26))
        + "\f"
        + "\n".join(f"{at}) Item" for at in range(1, 26)),
        "\n".join(f"{at} Winner of the race" for at in range(1, 26)),  # once
        "\f".join("\n".join(f"{at} kg of flour" for at in range(1, 12)) for _ in range(5)),  # too few
        ("Prose of a report that goes on.\n" * 40 + "\n".join(f"{at} Winner" for at in range(1, 16)) + "\n") * 3,
    ],
)
def test_lists_and_tables_keep_their_numbers(text):
    assert numbered(text.split("\f")) is None
