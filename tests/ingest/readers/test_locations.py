import pytest
from waiting import cheap

from localrag.store.locations import cell_name, spot
from localrag.types import Anchor, place

TEXT = (
    "Prices 2024 | net\n\n"
    "| Item | Unit \\| pack | Price |\n| --- | --- | --- |\n"
    "| Bolt |  | 12.5 |\n|  | box | 3 |\n\n"
    "A note\nin two lines"
)
ANCHORS = (
    Anchor(0, "B1"),
    Anchor(TEXT.index("| Item"), "B4"),
    Anchor(TEXT.index("| Bolt"), "B5"),
    Anchor(TEXT.index("|  | box"), "B6"),
    Anchor(TEXT.index("A note"), "D9"),
)


def of(words, text=TEXT, anchors=ANCHORS):
    start = text.index(words)
    return spot(text, anchors, start, start + len(words))


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("Unit \\| pack", "C4"),
        ("pack", "C4"),
        ("Price |", "D4"),
        ("12.5 |\n", "D5"),
        ("| Bolt |  | 12.5 |", "B5:D5"),
        ("box | 3", "C6:D6"),
        ("net", "B1"),
        ("in two lines", "D9"),
    ],
)
def test_a_span_in_one_line_is_the_cells_it_touches(words, place):
    assert of(words) == place


def test_a_span_over_several_lines_is_a_range_and_a_time_the_one_at_its_start():
    assert of("12.5 |\n|  | box") == "B5:D6"
    assert of(TEXT[TEXT.index("| Item") : TEXT.index("\n\nA note")]) == "B4:D6"
    assert spot(TEXT, ANCHORS, 0, len(TEXT)) == "B1:D9"
    text = "00:01 hello\nthere\n00:05 bye"
    anchors = (Anchor(0, "00:00:01"), Anchor(18, "00:00:05"))
    assert spot(text, anchors, 12, 27) == "00:00:01"
    assert spot(text, anchors, 24, 27) == "00:00:05"
    assert spot("abc", (), 0, 3) == ""
    assert spot("head\nabc", (Anchor(5, "00:00:05"),), 0, 4) == ""
    assert spot("head\nabc", (Anchor(5, "A1"),), 0, 4) == ""


def test_cells_are_named_as_in_a_spreadsheet_and_printed_page_numbers_shown():
    assert [cell_name(0, column) for column in (0, 26, 701, 16383)] == ["A1", "AA1", "ZZ1", "XFD1"]
    assert place(21, "18", ()) == "p. 21 (printed 18)"
    assert place(18, "18", ()) == place(18, None, ()) == "p. 18"
    assert place(3, "Outlook", (), "slide") == "slide 3 (Outlook)"


def test_a_hundred_thousand_anchors_are_no_burden():
    line = "| one | two | three |\n"
    text = line * 100_000
    anchors = tuple(Anchor(number * len(line), cell_name(number, 0)) for number in range(100_000))
    with cheap(1):
        for number in range(0, 100_000, 100):
            at = number * len(line) + 8
            assert spot(text, anchors, at, at + 3) == f"B{number + 1}"


@pytest.mark.parametrize(
    ("start", "end", "place"),
    [(0, 3, "23:4"), (1, 7, "23:4-5"), (4, 11, "23:5-24:1"), (8, 20, "24:1"), (12, 20, ""), (12, 12, "")],
)
def test_numbered_lines_are_named_from_the_first_to_the_last(start, end, place):
    anchors = Anchor(0, "23:4"), Anchor(4, "23:5"), Anchor(8, "24:1"), Anchor(12, "")
    assert spot("one\ntwo\nthe\nunknown\n", anchors, start, end) == place
